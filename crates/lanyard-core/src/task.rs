//! A task: one run of an agent under one charter revision in one environment, with a stated reason.

use serde::{Deserialize, Serialize};

use lanyard_charter::Version;
use lanyard_vocabulary::agent::AgentName;
use lanyard_vocabulary::id::{LeaseId, TaskId};
use lanyard_vocabulary::identity::{Evidence, Identity};
use lanyard_vocabulary::name::Name;
use lanyard_vocabulary::person::Person;
use lanyard_vocabulary::revision::Revision;
use lanyard_vocabulary::role::Role;
use lanyard_vocabulary::scope::{Facets, TaskFacets};
use lanyard_vocabulary::time::Timestamp;

use lanyard_vocabulary::lineage::Above;

/// The facts fixed when a task is opened. They never change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Task {
    /// The id of the task.
    pub id: TaskId,
    /// The name of the charter.
    pub charter: Name,
    /// The charter revision that the task is pinned to.
    pub revision: Revision,
    /// The environment in which the task runs.
    pub environment: Name,
    /// The agent that runs the task.
    pub agent: AgentName,
    /// The identity that opened the task. No other identity can use the task (T15).
    pub identity: Identity,
    /// The way in which the agent proved that identity.
    #[serde(default, skip_serializing_if = "Evidence::is_none")]
    pub evidence: Evidence,
    /// The person on whose behalf the agent acts, if the identity names one. A sponsor never counts
    /// as an approver (T19).
    pub sponsor: Option<Person>,
    /// The reason why the agent opened the task, in the agent's words.
    pub reason: String,
    /// The ticket that the agent named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ticket: Option<String>,
    /// The build of the agent, as the agent states it without proof.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<Version>,
    /// The tasks above this one, nearest first, if another task opened this one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lineage: Vec<Above>,
    /// The time at which the task was opened.
    pub opened: Timestamp,
    /// The time at which the task ends by itself. No lease of the task outlives it.
    pub expires: Timestamp,
}

impl Task {
    /// The same task with the evidence of the caller who uses it now.
    #[must_use]
    pub fn used_by(&self, evidence: &Evidence) -> Self {
        Self {
            evidence: evidence.clone(),
            ..self.clone()
        }
    }

    /// The facts about a credential of the task that scopes are matched against; without a lease,
    /// if there is none yet.
    #[must_use]
    pub fn lease_facets<'a>(
        &'a self,
        target: &'a Name,
        role: Role,
        lease: Option<LeaseId>,
    ) -> Facets<'a> {
        Facets {
            task: self.facets(),
            target,
            lease,
            role,
        }
    }

    /// The facts about the task that scopes are matched against.
    #[must_use]
    pub fn facets(&self) -> TaskFacets<'_> {
        TaskFacets {
            environment: &self.environment,
            charter: &self.charter,
            agent: &self.agent,
            identity: &self.identity,
            id: self.id,
            lineage: &self.lineage,
        }
    }

    /// The lineage of a task that this task opens.
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
