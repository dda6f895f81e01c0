//! Pauses: nothing new is issued within reach, and nothing is revoked. One person resumes, or time does.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::charter::{Name, Role};
use crate::id::{PauseId, TaskId};
use crate::kill::Actor;
use crate::lease::Seq;
use crate::scope::{AgentName, Facets, Scope};
use crate::task::Task;
use crate::time::Timestamp;

/// A pause, from its record to its end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pause {
    /// Its id.
    pub id: PauseId,
    /// What it is about.
    pub reach: Reach,
    /// What it asks for.
    pub demand: Demand,
    /// Why.
    pub reason: String,
    /// Who.
    pub by: Actor,
    /// When.
    pub at: Timestamp,
    /// When it ends by itself, where it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
    /// The records that it rests on.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub evidence: Vec<Seq>,
}

/// What holds while a pause lasts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Demand {
    /// Nothing is issued.
    Stillness,
    /// What is issued needs a person's approval, where nobody's was asked for.
    Approval,
}

/// Everything that is named has to match; what is not named may be anything.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reach {
    /// One environment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub environment: Option<Name>,
    /// One target.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<Name>,
    /// One charter.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub charter: Option<Name>,
    /// One agent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<AgentName>,
    /// One task.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task: Option<TaskId>,
    /// One role.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<Role>,
}

impl Reach {
    /// Whether this is within reach.
    #[must_use]
    pub fn covers(&self, facets: &Facets<'_>) -> bool {
        let is = |named: &Option<Name>, found: &Name| named.as_ref().is_none_or(|one| one == found);
        let covers = |named: Option<Scope>| named.is_none_or(|scope| scope.covers(facets));
        self.role.is_none_or(|role| role == facets.role)
            && is(&self.environment, facets.environment)
            && is(&self.target, facets.target)
            && covers(self.charter.clone().map(Scope::Charter))
            && covers(self.agent.clone().map(Scope::Agent))
            && covers(self.task.map(Scope::Task))
    }

    /// Whether everything of a task is within reach, whatever targets it may reach.
    #[must_use]
    pub fn covers_task(&self, task: &Task) -> bool {
        let target = task.environment.clone();
        self.target.is_none()
            && self.role.is_none()
            && self.covers(&Facets {
                environment: &task.environment,
                target: &target,
                charter: &task.charter,
                agent: &task.agent,
                identity: &task.identity,
                task: task.id,
                lineage: &task.lineage,
                lease: None,
                role: crate::charter::Role::Plan,
            })
    }
}

/// `charter payments, target prod-eu`; `everything` where nothing is named.
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
    /// Whether it still lasts.
    #[must_use]
    pub fn lasts(&self, now: Timestamp) -> bool {
        self.until.is_none_or(|until| now < until)
    }
}
