//! A task: one run of an agent under one charter revision in one environment, with a stated reason.

use serde::{Deserialize, Serialize};

use crate::charter::{Name, Revision, Version};
use crate::id::TaskId;
use crate::identity::{Evidence, Identity};
use crate::person::Person;
use crate::scope::AgentName;
use crate::time::Timestamp;

/// A task above another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Above {
    /// Its id.
    pub task: TaskId,
    /// Its charter.
    pub charter: Name,
    /// Who runs it.
    pub agent: AgentName,
    /// The identity that runs it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identity: Option<Identity>,
}

/// What was said when the task was opened; it never changes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Task {
    /// Its id.
    pub id: TaskId,
    /// Which charter.
    pub charter: Name,
    /// The revision it is pinned to.
    pub revision: Revision,
    /// Where.
    pub environment: Name,
    /// Who runs it.
    pub agent: AgentName,
    /// The identity that opened it; only this identity can use it (T15).
    pub identity: Identity,
    /// How that was proved.
    #[serde(default, skip_serializing_if = "Evidence::is_none")]
    pub evidence: Evidence,
    /// The person on whose behalf the agent acts, where the identity says so; never an approver (T19).
    pub sponsor: Option<Person>,
    /// Why.
    pub reason: String,
    /// The ticket that it belongs to, where one was named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ticket: Option<String>,
    /// Which build of the agent runs it, as the agent says; nothing proves it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<Version>,
    /// The tasks above it, nearest first, where it was opened for another agent.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lineage: Vec<Above>,
    /// When it was opened.
    pub opened: Timestamp,
    /// When it ends by itself; no lease outlives it.
    pub expires: Timestamp,
}

impl Task {
    /// The same task, used by somebody who is proved to be its agent like this.
    #[must_use]
    pub fn used_by(&self, evidence: &Evidence) -> Self {
        Self {
            evidence: evidence.clone(),
            ..self.clone()
        }
    }

    /// The tasks above one that is opened under this one.
    #[must_use]
    pub fn lineage_below(&self) -> Vec<Above> {
        let own = Above {
            task: self.id,
            charter: self.charter.clone(),
            agent: self.agent.clone(),
            identity: Some(self.identity.clone()),
        };
        std::iter::once(own)
            .chain(self.lineage.iter().cloned())
            .collect()
    }
}
