//! A plan: what the agent proposes to do. The bytes are kept elsewhere, under their digest.

mod judgement;
mod reach;

use std::collections::BTreeSet;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::charter::{ActionPattern, Name};
use crate::digest::Digest;
use crate::id::{ApprovalId, PlanId, TaskId};
use crate::time::Timestamp;

pub use judgement::{Judge, Judgement, Reading, Risk, Unjudged};
pub use reach::{Arn, Effects, KubernetesObject, Named, Narrowing, PlanReach, Sensitive};

/// In what form the bytes are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PlanFormat {
    /// As `terraform show -json` prints it.
    TerraformJson,
    /// Kubernetes manifests, as they are applied.
    Manifests,
    /// A unified diff of manifests.
    ManifestDiff,
    /// What has no format.
    Text,
}

/// How formats are written.
pub const PLAN_FORMATS: &[(&str, PlanFormat)] = &[
    ("terraform-json", PlanFormat::TerraformJson),
    ("manifests", PlanFormat::Manifests),
    ("manifest-diff", PlanFormat::ManifestDiff),
    ("text", PlanFormat::Text),
];

impl fmt::Display for PlanFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::TerraformJson => "terraform-json",
            Self::Manifests => "manifests",
            Self::ManifestDiff => "manifest-diff",
            Self::Text => "text",
        })
    }
}

/// The largest plan, in bytes.
///
/// # Limit
/// - for: a plan
/// - unit: bytes
/// - beyond: the plan is refused while it is submitted
/// - test: `t44_a_plan_over_the_limit_and_a_large_message_are_refused`
pub const MAX_BYTES_PER_PLAN: usize = 4 * 1024 * 1024;

/// What became of a rehearsal at the target.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Rehearsal {
    /// What it came to, as text, under this digest.
    Done(Digest),
    /// Why there was none.
    Not(String),
}

/// One submitted plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// Its id.
    pub id: PlanId,
    /// The task that proposes it.
    pub task: TaskId,
    /// The apply grant that it is for.
    pub grant: Name,
    /// In what form the bytes are.
    pub format: PlanFormat,
    /// Over the exact bytes.
    pub digest: Digest,
    /// How many bytes.
    pub size: u64,
    /// The agent's own words.
    pub summary: String,
    /// The destructive actions of the grant that the plan asks for by name.
    pub destructive: BTreeSet<ActionPattern>,
    /// How much it does, as far as its form says.
    #[serde(default)]
    pub effects: Effects,
    /// How much it does, as the target rehearsed it. The agent is not told: what is there is not for it to learn from a plan.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rehearsed: Option<Effects>,
    /// The sensitive values that it changes, which whoever approves it acknowledges.
    #[serde(default)]
    pub sensitive: Sensitive,
    /// What its credential can change besides, although it is narrowed to the plan.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub beyond: Option<String>,
    /// The risk that was decided on when it was submitted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub counted: Option<Risk>,
    /// What the credential for it is narrowed to; nothing where it is not.
    #[serde(default)]
    pub reach: Option<PlanReach>,
    /// What the session for it can do, and what narrowing took away, as it was decided when the plan was submitted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub narrowing: Option<Narrowing>,
    /// What the target said that manifests would do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rehearsal: Option<Rehearsal>,
    /// What the policies of every charter that has a say make of it.
    #[serde(default)]
    pub judgements: Vec<Judgement>,
    /// When it was submitted.
    pub submitted: Timestamp,
    /// The approval it waits for, where the charter asks for one.
    pub approval: Option<ApprovalId>,
}

impl Plan {
    /// What these policies make of it, if they were asked.
    #[must_use]
    pub fn judged_by(&self, policies: Digest) -> Option<&Judgement> {
        let mut all = self.judgements.iter();
        all.find(|judgement| judgement.policies == policies)
    }

    /// The risk that counts: that is shown, that decides who is asked and how fresh their login has to be. The highest that any judge
    /// sees, and high where the credential is not narrowed to the plan, whatever they see.
    #[must_use]
    pub fn risk(&self) -> Risk {
        self.counted.unwrap_or(if self.reach.is_some() {
            self.judged_risk()
        } else {
            Risk::High
        })
    }

    /// The highest risk that any of its judges sees; high where nobody judged.
    #[must_use]
    pub fn judged_risk(&self) -> Risk {
        let risks = self.judgements.iter().map(|judgement| judgement.risk);
        risks.max().unwrap_or(Risk::High)
    }
}
