//! Plans: what an agent proposes to do. The plan store keeps their bytes, by digest.

mod judgement;

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use lanyard_charter::ActionPattern;
use lanyard_vocabulary::digest::Digest;
use lanyard_vocabulary::id::{ApprovalId, PlanId, TaskId};
use lanyard_vocabulary::name::Name;
use lanyard_vocabulary::time::Timestamp;

pub use judgement::{Judgement, Reading, Unjudged};
use lanyard_charter::plan::{PlanFormat, Risk};
use lanyard_charter::reach::{Effects, Narrowing, PlanReach, Sensitive};

/// The result of a rehearsal at the target.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Rehearsal {
    /// The rehearsal's text, by digest.
    Done(Digest),
    /// The reason why there was no rehearsal.
    Not(String),
}

/// A submitted plan without its bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// The id of the plan.
    pub id: PlanId,
    /// The task that submitted it.
    pub task: TaskId,
    /// The apply grant that the plan is for.
    pub grant: Name,
    /// The namespace of a Kubernetes grant at submission. Objects without a namespace are applied
    /// to that one, and policies read them with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// The format of the bytes.
    pub format: PlanFormat,
    /// The digest of the exact bytes.
    pub digest: Digest,
    /// The number of bytes.
    pub size: u64,
    /// The agent's summary, in the agent's words.
    pub summary: String,
    /// The destructive actions of the grant that the plan names.
    pub destructive: BTreeSet<ActionPattern>,
    /// The number of changes, as far as the format tells.
    #[serde(default)]
    pub effects: Effects,
    /// The number of changes in the target's rehearsal. Agents do not see it, because it tells what
    /// exists at the target.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rehearsed: Option<Effects>,
    /// The changing sensitive values, which approvers have to acknowledge.
    #[serde(default)]
    pub sensitive: Sensitive,
    /// The changes that the credential permits beyond the plan, although it is narrowed to the
    /// plan.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub beyond: Option<String>,
    /// The risk that the decision at submission was based on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub counted: Option<Risk>,
    /// The objects that the credential is narrowed to; `None` if it is not narrowed.
    #[serde(default)]
    pub reach: Option<PlanReach>,
    /// The rights of the apply session and those that narrowing removed, as decided at submission.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub narrowing: Option<Narrowing>,
    /// The target's rehearsal of the manifests.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rehearsal: Option<Rehearsal>,
    /// The judgements by the policies of every charter that takes part.
    #[serde(default)]
    pub judgements: Vec<Judgement>,
    /// The time of the submission.
    pub submitted: Timestamp,
    /// The approval that the plan waits for, if its charter demands one.
    pub approval: Option<ApprovalId>,
}

impl Plan {
    /// The judgement of these policies, if they judged the plan.
    #[must_use]
    pub fn judged_by(&self, policies: Digest) -> Option<&Judgement> {
        let mut all = self.judgements.iter();
        all.find(|judgement| judgement.policies == policies)
    }

    /// The risk that approvers are shown and that decides who has to approve. The highest of all
    /// judges, and high if the credential is not narrowed to the plan.
    #[must_use]
    pub fn risk(&self) -> Risk {
        self.counted.unwrap_or(if self.reach.is_some() {
            self.judged_risk()
        } else {
            Risk::High
        })
    }

    /// The highest risk of all judges; high if there is no judgement.
    #[must_use]
    pub fn judged_risk(&self) -> Risk {
        let risks = self.judgements.iter().map(|judgement| judgement.risk);
        risks.max().unwrap_or(Risk::High)
    }
}
