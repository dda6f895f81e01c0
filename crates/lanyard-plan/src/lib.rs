//! Plans in their formats: what a plan changes, the view for approvers, and the verdict of Rego
//! policies.
//!
//! Every function depends on the bytes alone. The caller stores plans and decides when to read
//! them.

mod contained;
mod difference;
mod folder;
mod isolation;
mod lists;
mod manifests;
mod masks;
mod names;
mod numbers;
mod plain_text;
mod policy;
mod recognised;
mod rehearsed;
mod review;
mod rights;
mod scalars;
mod secrets;
mod shown;
mod strict;
mod terraform;
mod texts;
mod tree;
mod yaml_file;

use std::borrow::Cow;
use std::collections::BTreeSet;

use lanyard_charter::MoreKinds;
use lanyard_charter::kinds::plan_objects;
use lanyard_charter::plan::PlanFormat;
use lanyard_charter::reach::{Effects, PlanReach, Sensitive};
use lanyard_core::plan::{Reading, Unjudged};
use serde_json::Value;

pub use folder::{PolicyFolder, compiled};
pub use policy::{
    Context, Fault, MAX_JUDGE_TIME, PolicySet, RISK_RULES, rego_engine, rego_functions,
};
pub use rehearsed::compared;

use contained::ContainedObjects;
use review::{Finding, Review};
use secrets::Secrets;

/// Number of values in one plan. The tree of a plan takes up to a hundred times the plan's bytes.
/// Separators are counted, including those in texts.
///
/// # Limit
/// - for: a plan in Terraform's JSON or in Kubernetes manifests
/// - unit: values
/// - beyond: the plan is refused when it is submitted
/// - test: `a21_a_plan_holds_so_many_values_and_no_more`
const MAX_PLAN_VALUES: usize = 400_000;

/// A parsed plan with the view for its approvers.
#[derive(Debug, Clone)]
pub struct Document {
    format: PlanFormat,
    form: Form,
    review: Review,
}

#[derive(Debug, Clone)]
enum Form {
    /// JSON as `terraform show -json` prints it.
    Terraform(Box<terraform::TerraformPlan>),
    /// A list of Kubernetes objects.
    Manifests(Vec<manifests::Manifest>),
    /// Any text that people can read.
    Text,
}

/// Returns an upper bound on the number of values: the lines, or the separators and opening
/// brackets, whichever are more.
fn values(content: &[u8]) -> usize {
    let count = |marks: &[u8]| content.iter().filter(|byte| marks.contains(byte)).count();
    count(b",[{").max(count(b"\n"))
}

impl Document {
    /// Parses a plan in the given format, or in the format that is recognised from its content.
    ///
    /// # Errors
    /// The place and reason if the bytes are not in that format, or if the view is too long to be
    /// approved. Nothing in a view is cut, so a longer plan must be split.
    pub fn read(format: impl Into<Option<PlanFormat>>, content: &[u8]) -> Result<Self, Unjudged> {
        let fault = |form| move |why: String| Unjudged::Form { form, why };
        let given = format.into();
        let (form, is_tree) = match given {
            None => ("in a form that Lanyard reads", true),
            Some(PlanFormat::TerraformJson) => ("a plan as `terraform show -json` prints it", true),
            Some(PlanFormat::Manifests) => ("Kubernetes manifests", true),
            Some(PlanFormat::ManifestDiff | PlanFormat::Text) => ("text", false),
        };
        let text = recognised::text(content).map_err(fault(form))?;
        if is_tree && values(content) > MAX_PLAN_VALUES {
            let why = format!("it holds more than {MAX_PLAN_VALUES} values; split it");
            return Err(fault("small enough to be read")(why));
        }
        let format = match given {
            Some(format) => format,
            None => recognised::form(text).map_err(fault(form))?,
        };
        let (form, review) = match format {
            PlanFormat::TerraformJson => {
                let form = "a plan as `terraform show -json` prints it";
                let plan = terraform::TerraformPlan::parse(text)
                    .map_err(|why| recognised::named(text).unwrap_or(why))
                    .map_err(fault(form))?;
                let review = plan.review();
                (Form::Terraform(Box::new(plan)), review)
            }
            PlanFormat::Manifests => {
                let manifests = manifests::parse(text).map_err(fault("Kubernetes manifests"))?;
                let review = manifests::review(&manifests);
                (Form::Manifests(manifests), review)
            }
            PlanFormat::ManifestDiff | PlanFormat::Text => (Form::Text, plain_text::review(text)),
        };
        if let Some(why) = review.refused() {
            return Err(Unjudged::Form {
                form: "short enough to be approved",
                why,
            });
        }
        Ok(Self {
            format,
            form,
            review,
        })
    }

    /// Returns the format in which the plan was parsed.
    #[must_use]
    pub const fn format(&self) -> PlanFormat {
        self.format
    }

    /// Returns what the plan changes, and which objects of these kinds of target.
    #[must_use]
    pub fn reading(&self, more: MoreKinds) -> Reading {
        let reading = match &self.form {
            Form::Terraform(plan) => plan.reading(&plan_objects(more)),
            Form::Manifests(manifests) => manifests::reading(manifests),
            Form::Text => Reading {
                effects: Effects::default(),
                reach: PlanReach::default(),
                objects: Vec::new(),
                sensitive: Sensitive::default(),
            },
        };
        // Addresses without a known name are only read by people, and an instance key in one may be
        // a secret.
        let secrets = self.review.secrets();
        let shown = |place: &str| secrets.name(place).into_owned();
        Reading {
            sensitive: self.review.sensitive().clone(),
            reach: reading.reach.with_places(shown),
            ..reading
        }
    }

    /// Returns the view for approvers: sensitive values are masked, and control characters are
    /// escaped so that no text acts on a terminal (T21).
    #[must_use]
    pub fn text(&self) -> String {
        self.review.text().to_owned()
    }

    /// Returns the risks of the plan's form, which count whatever the policies say.
    fn findings(&self) -> &BTreeSet<Finding> {
        self.review.findings()
    }

    /// Returns the values to mask in messages, even in those of a policy.
    const fn secrets(&self) -> &Secrets {
        self.review.secrets()
    }

    /// Returns the Kubernetes objects in what the plan changes.
    fn contained_objects(&self) -> ContainedObjects {
        match &self.form {
            Form::Terraform(plan) => plan.contained_objects(),
            Form::Manifests(manifests) => manifests::contained_objects(manifests),
            Form::Text => ContainedObjects::default(),
        }
    }

    /// Returns the inputs of the policies, for one evaluation each: objects as the cluster gets
    /// them, in the grant's namespace where they name none.
    fn inputs(&self, namespace: Option<&str>) -> Vec<Cow<'_, Value>> {
        match &self.form {
            Form::Terraform(plan) => vec![Cow::Borrowed(plan.json())],
            Form::Manifests(manifests) => {
                let each = manifests.iter().map(|it| it.applied_to(namespace));
                each.collect()
            }
            Form::Text => Vec::new(),
        }
    }
}
