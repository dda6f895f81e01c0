//! What policies say of a plan.

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

/// How much a plan could break.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Risk {
    /// What can be undone by another apply.
    Low,
    /// What runs changes.
    Medium,
    /// Data, identity or the network perimeter change, or nobody can tell.
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

/// What the policies of one charter, and the rules of risk, say of a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Judgement {
    /// Over the policies that were asked.
    pub policies: Digest,
    /// Why it must not be applied; nothing where it may be.
    pub denied: Vec<String>,
    /// What its approvers should know.
    pub warned: Vec<String>,
    /// How much it could break.
    pub risk: Risk,
    /// Why.
    pub reasons: Vec<String>,
    /// At least so many people have to approve it.
    pub people: u32,
    /// One of the people has to be in each of these groups.
    pub groups: BTreeSet<String>,
}

impl Judgement {
    /// Of a plan that nobody can read: nothing is held against it, and its risk is high.
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

/// What the bytes of a plan say by themselves.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reading {
    /// How much it does.
    pub effects: Effects,
    /// To what.
    pub reach: PlanReach,
    /// The objects of manifests, which a cluster can rehearse.
    pub objects: Vec<Value>,
    /// What each of them is called, where its kind is known.
    pub named: Vec<Option<KubernetesObject>>,
    /// The sensitive values that it changes.
    pub sensitive: Sensitive,
}

/// Why there is no judgement.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unjudged {
    /// The bytes are not in the form that was named.
    #[error("the plan is not {form}: {why}")]
    Form {
        /// What it should be.
        form: &'static str,
        /// Where and why it is not.
        why: String,
    },
    /// The policies cannot be asked.
    #[error("the policies cannot be asked: {0}")]
    Policies(String),
    /// The bytes cannot be stored, or not be read again.
    #[error("the stored plan cannot be used: {0}")]
    Store(String),
    /// This agent, or all of them, have taken what there is to take.
    #[error("{0}")]
    TooMuch(String),
}

/// Reads plans and asks policies. Whatever keeps a policy from an answer is a denial within the judgement.
#[async_trait]
pub trait Judge: Send + Sync {
    /// What these bytes say, for this task, and in which form: the one that is given, or else the one that they are recognised
    /// by.
    ///
    /// # Errors
    /// When they are not in that form, or in none.
    async fn read(
        &self,
        task: &Task,
        format: Option<PlanFormat>,
        content: &Arc<[u8]>,
    ) -> Result<(PlanFormat, Reading), Unjudged>;

    /// What a rehearsal came to, as people read it.
    ///
    /// # Errors
    /// When it cannot be put into words.
    async fn compared(&self, task: &Task, rehearsed: Vec<Rehearsed>)
    -> Result<Arc<[u8]>, Unjudged>;

    /// Stores the bytes of a plan of this task and what belongs to it, each under its digest; on return they survive a crash.
    ///
    /// # Errors
    /// When they cannot be stored, or the task's identity has its share.
    async fn store(&self, task: &Task, bytes: Vec<Arc<[u8]>>) -> Result<(), Unjudged>;

    /// Looks whether the bytes of a plan are stored, and are those of its digest: nobody can see what a plan does whose bytes
    /// are gone.
    ///
    /// # Errors
    /// When they are gone, or are not what was stored.
    async fn stored(&self, plan: &Plan) -> Result<(), Unjudged>;

    /// What the policies of a charter say of a plan: of these bytes, or of those that are stored.
    ///
    /// # Errors
    /// When its bytes are gone, or are not what was stored.
    async fn judge(
        &self,
        by: (&Charter, &Task),
        plan: &Plan,
        content: Option<&Arc<[u8]>>,
    ) -> Result<Judgement, Unjudged>;
}
