//! Plans, as their formats have them: what they change, how people are shown that, and what Rego policies say of it.
//!
//! Everything here is a function of the bytes. Where they are kept, and when they are read, is the caller's.

mod difference;
mod embedded;
mod folder;
mod held;
mod lists;
mod manifests;
mod numbers;
mod policy;
mod recognised;
mod rehearsed;
mod review;
mod rights;
mod scalars;
mod secrets;
mod shown;
mod terraform;
mod texts;
mod tree;
mod walls;
mod written;

use std::borrow::Cow;
use std::collections::BTreeSet;

use lanyard_core::plan::{Effects, PlanFormat, PlanReach, Reading, Sensitive, Unjudged};
use serde_json::Value;

pub use folder::{PolicyFolder, compiled};
pub use policy::{
    Context, Fault, MAX_JUDGE_TIME, PolicySet, RISK_RULES, rego_engine, rego_functions,
};
pub use rehearsed::compared;

use held::Held;
use review::{Finding, Review};
use secrets::Secrets;

/// Values that one plan holds: a tree of them takes up to a hundred times their bytes. Counted by what stands between them, in texts too.
///
/// # Limit
/// - for: a plan in Terraform's JSON or in Kubernetes manifests
/// - unit: values
/// - beyond: the plan is refused when it is submitted
/// - test: `a21_a_plan_holds_so_many_values_and_no_more`
const MAX_PLAN_VALUES: usize = 400_000;

/// A plan in its format, with what people are shown of it.
#[derive(Debug, Clone)]
pub struct Document {
    format: PlanFormat,
    form: Form,
    review: Review,
}

#[derive(Debug, Clone)]
enum Form {
    /// As `terraform show -json` prints it.
    Terraform(Box<terraform::TerraformPlan>),
    /// Kubernetes objects.
    Manifests(Vec<manifests::Manifest>),
    /// Whatever a person can read.
    Text,
}

/// At most so many values: where values stand on lines of their own, by the lines, and else by what separates and opens them.
fn values(content: &[u8]) -> usize {
    let count = |marks: &[u8]| content.iter().filter(|byte| marks.contains(byte)).count();
    count(b",[{").max(count(b"\n"))
}

impl Document {
    /// Reads the bytes, in the form that is given, or in the one that they are recognised by.
    ///
    /// # Errors
    /// Where and why they are not in that format, or are more than a person can be asked to read: nothing that is shown is cut.
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
            PlanFormat::ManifestDiff | PlanFormat::Text => (Form::Text, written::review(text)),
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

    /// In which form it was read.
    #[must_use]
    pub const fn format(&self) -> PlanFormat {
        self.format
    }

    /// What it changes.
    #[must_use]
    pub fn reading(&self) -> Reading {
        let reading = match &self.form {
            Form::Terraform(plan) => plan.reading(),
            Form::Manifests(manifests) => manifests::reading(manifests),
            Form::Text => Reading {
                effects: Effects::default(),
                reach: PlanReach::default(),
                objects: Vec::new(),
                named: Vec::new(),
                sensitive: Sensitive::default(),
            },
        };
        // Only people read what has no name: addresses, in which the key of an instance may be a secret.
        let secrets = self.review.secrets();
        let mut reach = reading.reach;
        for unnamed in [&mut reach.aws.unnamed, &mut reach.kubernetes.unnamed] {
            *unnamed = unnamed
                .iter()
                .map(|it| secrets.name(it).into_owned())
                .collect();
        }
        Reading {
            sensitive: self.review.sensitive().clone(),
            reach,
            ..reading
        }
    }

    /// What its approvers read: without what is sensitive, and nothing in it acts on a terminal (T21).
    #[must_use]
    pub fn text(&self) -> String {
        self.review.text().to_owned()
    }

    /// What makes it risky by its form alone, whatever policies say.
    fn findings(&self) -> &BTreeSet<Finding> {
        self.review.findings()
    }

    /// What nobody is shown, whatever a policy says of it.
    const fn secrets(&self) -> &Secrets {
        self.review.secrets()
    }

    /// The objects in what it changes.
    fn held(&self) -> Held {
        match &self.form {
            Form::Terraform(plan) => plan.held(),
            Form::Manifests(manifests) => manifests::held(manifests),
            Form::Text => Held::default(),
        }
    }

    /// What policies are asked about, one after the other: objects as the cluster gets them, in the grant's namespace where
    /// they name none.
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
