//! Judgements of plans by policies.

use std::collections::BTreeSet;

use lanyard_vocabulary::digest::Digest;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Effects, PlanReach, Risk, Sensitive};

/// The judgement of one charter's policies and of the rules of risk about a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Judgement {
    /// The digest of the policies that judged.
    pub policies: Digest,
    /// The reason why the plan must not be applied; empty if it may.
    pub denied: Vec<String>,
    /// The warnings that approvers see.
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
    /// The objects of manifests, which a target can rehearse.
    pub objects: Vec<Value>,
    /// The sensitive values that the plan changes.
    pub sensitive: Sensitive,
}

/// The reason why there is no judgement.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unjudged {
    /// The bytes are not in the stated form.
    #[error("the plan is not {form}: {why}")]
    Form {
        /// The form that was stated.
        form: &'static str,
        /// The place where the bytes differ from it, and the reason.
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
