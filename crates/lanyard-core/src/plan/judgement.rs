//! Judgements of plans by policies.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Effects, KubernetesObject, Plan, PlanFormat, PlanReach, Sensitive};
use crate::charter::Charter;
use crate::digest::Digest;
use crate::provider::Rehearsed;
use crate::task::Task;

/// The damage that a plan could do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Risk {
    /// Another apply can undo the plan.
    Low,
    /// Running things change.
    Medium,
    /// Data, identities or the network perimeter change, or nothing can read the plan.
    High,
}

impl fmt::Display for Risk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
        })
    }
}

/// The judgement of one charter's policies and of the rules of risk about a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Judgement {
    /// The digest of the policies that judged.
    pub policies: Digest,
    /// Why the plan must not be applied; empty if it may.
    pub denied: Vec<String>,
    /// Warnings for approvers.
    pub warned: Vec<String>,
    /// The damage that the plan could do.
    pub risk: Risk,
    /// The reasons for that risk.
    pub reasons: Vec<String>,
    /// The least number of people who have to approve.
    pub people: u32,
    /// Groups of which at least one approver each has to be a member.
    pub groups: BTreeSet<String>,
}

impl Judgement {
    /// The judgement of a plan that nothing can read: nothing denies it, and its risk is high.
    #[must_use]
    pub const fn unread(policies: Digest) -> Self {
        Self {
            policies,
            denied: Vec::new(),
            warned: Vec::new(),
            risk: Risk::High,
            reasons: Vec::new(),
            people: 0,
            groups: BTreeSet::new(),
        }
    }
}

/// The contents of a plan's bytes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reading {
    /// The number of changes.
    pub effects: Effects,
    /// The objects that the plan changes.
    pub reach: PlanReach,
    /// The objects of manifests, which a cluster can rehearse.
    pub objects: Vec<Value>,
    /// The name of each object, if its kind is known.
    pub named: Vec<Option<KubernetesObject>>,
    /// The sensitive values that the plan changes.
    pub sensitive: Sensitive,
}

/// Why there is no judgement.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unjudged {
    /// The bytes are not in the stated form.
    #[error("the plan is not {form}: {why}")]
    Form {
        /// The stated form.
        form: &'static str,
        /// Where and why the bytes differ from it.
        why: String,
    },
    /// The policies cannot be evaluated, for this reason.
    #[error("the policies cannot be asked: {0}")]
    Policies(String),
    /// The bytes cannot be stored, or not read back, for this reason.
    #[error("the stored plan cannot be used: {0}")]
    Store(String),
    /// The agent, or all agents together, have used up the plan store.
    #[error("{0}")]
    TooMuch(String),
}

/// Reads plans and evaluates policies. A policy that cannot answer is a denial in the judgement,
/// not an error.
#[async_trait]
pub trait Judge: Send + Sync {
    /// Reads the bytes of a plan for this task, in the given form or else in the form that they are
    /// recognized by.
    ///
    /// # Errors
    /// When they are not in that form, or in none.
    async fn read(
        &self,
        task: &Task,
        format: Option<PlanFormat>,
        content: &Arc<[u8]>,
    ) -> Result<(PlanFormat, Reading), Unjudged>;

    /// Describes the result of a rehearsal for people.
    ///
    /// # Errors
    /// When it cannot be described.
    async fn compared(&self, task: &Task, rehearsed: Vec<Rehearsed>)
    -> Result<Arc<[u8]>, Unjudged>;

    /// Stores the bytes of a task's plan and its attachments, each under its digest. On return they
    /// survive a crash.
    ///
    /// # Errors
    /// When they cannot be stored, or the task's identity has used up its share.
    async fn store(&self, task: &Task, bytes: Vec<Arc<[u8]>>) -> Result<(), Unjudged>;

    /// Checks that the stored bytes of a plan are complete and match its digest. Nobody can see
    /// what a plan does whose bytes are gone.
    ///
    /// # Errors
    /// When they are gone or do not match.
    async fn stored(&self, plan: &Plan) -> Result<(), Unjudged>;

    /// Evaluates the policies of a charter on a plan, given its bytes or reading the stored ones.
    ///
    /// # Errors
    /// When the stored bytes are gone or do not match.
    async fn judge(
        &self,
        by: (&Charter, &Task),
        plan: &Plan,
        content: Option<&Arc<[u8]>>,
    ) -> Result<Judgement, Unjudged>;
}
