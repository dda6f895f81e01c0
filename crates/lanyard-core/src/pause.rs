//! Pauses: the broker issues nothing new within a pause's reach and revokes nothing. One person
//! resumes, or the pause ends by itself.

use std::fmt;

use lanyard_vocabulary::agent::AgentName;
use lanyard_vocabulary::id::{PauseId, TaskId};
use lanyard_vocabulary::identity::Identity;
use lanyard_vocabulary::lineage::Above;
use lanyard_vocabulary::name::Name;
use lanyard_vocabulary::role::Role;
use lanyard_vocabulary::scope::{Facets, Scope};
use lanyard_vocabulary::seq::Seq;
use lanyard_vocabulary::time::Timestamp;
use serde::{Deserialize, Serialize};

use crate::kill::Actor;
use crate::task::Task;

/// A pause, from its record to its end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pause {
    /// The id of the pause.
    pub id: PauseId,
    /// The requests that the pause covers.
    pub reach: Reach,
    /// The demand of the pause while it lasts.
    pub demand: Demand,
    /// The reason, for people.
    pub reason: String,
    /// The person or circuit breaker that paused.
    pub by: Actor,
    /// The time at which the pause began.
    pub at: Timestamp,
    /// The time at which the pause ends by itself; `None` if only a person ends it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
    /// The records that made a circuit breaker trip.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub evidence: Vec<Seq>,
}

/// The demand of a pause while it lasts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Demand {
    /// The broker issues nothing.
    #[serde(rename = "stillness")]
    NoIssuance,
    /// A credential is issued with a person's approval only, also where the charter demands none.
    Approval,
}

/// The requests that a pause covers. A set field has to match; a field that is `None` matches
/// everything.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reach {
    /// The environment to match.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub environment: Option<Name>,
    /// The target to match.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<Name>,
    /// The charter to match.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub charter: Option<Name>,
    /// The agent to match.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<AgentName>,
    /// True if a person typed the name of the agent: the pause covers every identity that the name
    /// can mean, as a kill order does.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub as_typed: bool,
    /// The task to match.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task: Option<TaskId>,
    /// The role to match.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<Role>,
}

impl Reach {
    /// True if the pause covers something with these facts.
    #[must_use]
    pub fn covers(&self, facets: &Facets<'_>) -> bool {
        let is = |named: &Option<Name>, found: &Name| named.as_ref().is_none_or(|one| one == found);
        let covers = |named: Option<Scope>| named.is_none_or(|scope| scope.covers(facets));
        self.role.is_none_or(|role| role == facets.role)
            && is(&self.environment, facets.task.environment)
            && is(&self.target, facets.target)
            && covers(self.charter.clone().map(Scope::Charter))
            && self
                .agent
                .as_ref()
                .is_none_or(|name| self.names(name, facets))
            && covers(self.task.map(Scope::Task))
    }

    fn names(&self, agent: &AgentName, facets: &Facets<'_>) -> bool {
        let mut above = facets.task.lineage.iter().filter_map(Above::run_by);
        let can_mean = |identity: &Identity| self.as_typed && agent.can_mean(identity);
        Scope::Agent(agent.clone()).covers(facets)
            || can_mean(facets.task.identity)
            || above.any(|identity| can_mean(&identity))
    }

    /// True if the pause covers the task with everything in it, whichever targets the task uses.
    #[must_use]
    pub fn covers_task(&self, task: &Task) -> bool {
        // A pause that names neither a target nor a role covers a credential whatever these are.
        let (target, role) = (&task.environment, lanyard_vocabulary::role::Role::Plan);
        self.target.is_none()
            && self.role.is_none()
            && self.covers(&task.lease_facets(target, role, None))
    }
}

/// Written as `charter payments, target prod-eu`, or `everything` if no field is set.
impl fmt::Display for Reach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut parts = Vec::new();
        let mut part = |what: &str, name: Option<String>| {
            parts.extend(name.map(|name| format!("{what} {name}")));
        };
        part(
            "environment",
            self.environment.as_ref().map(Name::to_string),
        );
        part("charter", self.charter.as_ref().map(Name::to_string));
        part("target", self.target.as_ref().map(Name::to_string));
        part("agent", self.agent.as_ref().map(AgentName::to_string));
        part("task", self.task.map(|id| id.to_string()));
        part("role", self.role.map(|role| role.to_string()));
        if parts.is_empty() {
            return f.write_str("everything");
        }
        f.write_str(&parts.join(", "))
    }
}

impl Pause {
    /// True if the pause has not ended at `now`.
    #[must_use]
    pub fn lasts(&self, now: Timestamp) -> bool {
        self.until.is_none_or(|until| now < until)
    }
}
