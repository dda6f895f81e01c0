//! Plans, as their formats have them: what they change, how people are shown that, and what Rego policies say of it.
//!
//! Everything here is a function of the bytes. Where they are kept, and when they are read, is the caller's.

mod compare;
mod folder;
mod manifests;
mod policy;
mod shown;
mod terraform;

use lanyard_core::plan::{Effects, PlanFormat, PlanReach, Reading, Unjudged};
use serde_json::Value;

pub use folder::PolicyFolder;
pub use manifests::compared;
pub use policy::{Context, Fault, PolicySet, RISK_RULES};

/// A plan in its format.
#[derive(Debug, Clone)]
pub enum Document {
    /// As `terraform show -json` prints it.
    Terraform(terraform::TerraformPlan),
    /// Kubernetes objects.
    Manifests(Vec<manifests::Manifest>),
    /// Whatever a person can read.
    Text(String),
}

impl Document {
    /// Reads the bytes.
    ///
    /// # Errors
    /// Where and why they are not in that format.
    pub fn read(format: PlanFormat, content: &[u8]) -> Result<Self, Unjudged> {
        let fault = |form| move |why: String| Unjudged::Form { form, why };
        match format {
            PlanFormat::TerraformJson => terraform::TerraformPlan::parse(content)
                .map(Self::Terraform)
                .map_err(fault("a plan as `terraform show -json` prints it")),
            PlanFormat::Manifests => manifests::parse(content)
                .map(Self::Manifests)
                .map_err(fault("Kubernetes manifests")),
            PlanFormat::ManifestDiff | PlanFormat::Text => std::str::from_utf8(content)
                .map(|text| Self::Text(text.to_owned()))
                .map_err(|error| fault("text")(error.to_string())),
        }
    }

    /// What it changes.
    #[must_use]
    pub fn reading(&self) -> Reading {
        match self {
            Self::Terraform(plan) => plan.reading(),
            Self::Manifests(manifests) => manifests::reading(manifests),
            Self::Text(_) => Reading {
                effects: Effects::default(),
                reach: PlanReach::default(),
                objects: Vec::new(),
            },
        }
    }

    /// What its approvers read: without what is sensitive, and nothing in it acts on a terminal (T21).
    #[must_use]
    pub fn text(&self) -> String {
        shown::bounded(match self {
            Self::Terraform(plan) => plan.text(),
            Self::Manifests(manifests) => manifests::text(manifests),
            Self::Text(text) => shown::shown(text),
        })
    }

    /// What policies are asked about, one after the other.
    fn inputs(&self) -> Vec<&Value> {
        match self {
            Self::Terraform(plan) => vec![plan.json()],
            Self::Manifests(manifests) => manifests.iter().map(|it| &it.json).collect(),
            Self::Text(_) => Vec::new(),
        }
    }
}
