//! What a stop reaches: scopes, and the facets of a lease or a request that they are matched against.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::charter::{Name, Role};
use crate::id::{LeaseId, TaskId};
use crate::identity::Identity;
use crate::task::{Above, Task};

/// An agent's name: the configured name over all its identities, or else its one identity in canonical form.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct AgentName(pub String);

impl AgentName {
    /// Whether this is how an identity is called that has no configured name.
    #[must_use]
    pub fn is(&self, identity: &Identity) -> bool {
        // A configured name holds no `#`: the comparison is seldom made.
        self.0.contains('#') && self.0 == identity.to_string()
    }
}

impl AgentName {
    fn is_above(&self, above: &Above) -> bool {
        let identity = above.identity.as_ref();
        *self == above.agent || identity.is_some_and(|identity| self.is(identity))
    }
}

impl fmt::Display for AgentName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0.escape_debug().to_string())
    }
}

/// How far a kill order reaches.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Scope {
    /// Everything.
    All,
    /// One environment.
    Environment(Name),
    /// One target.
    Target(Name),
    /// One charter, by name, over all its revisions, and what was opened under its tasks.
    Charter(Name),
    /// One agent, under all its identities, and what was opened under its tasks.
    Agent(AgentName),
    /// One task and what was opened under it.
    Task(TaskId),
    /// One lease.
    Lease(LeaseId),
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => f.write_str("everything"),
            Self::Environment(name) => write!(f, "environment {name}"),
            Self::Target(name) => write!(f, "target {name}"),
            Self::Charter(name) => write!(f, "charter {name}"),
            Self::Agent(name) => write!(f, "agent {name}"),
            Self::Task(id) => write!(f, "task {id}"),
            Self::Lease(id) => write!(f, "lease {id}"),
        }
    }
}

/// Which roles a stop reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RoleFilter {
    /// plan and apply.
    Both,
    /// apply alone.
    ApplyOnly,
}

impl RoleFilter {
    /// Whether credentials of this role are reached.
    #[must_use]
    pub const fn reaches(self, role: Role) -> bool {
        matches!(
            (self, role),
            (Self::Both, _) | (Self::ApplyOnly, Role::Apply)
        )
    }
}

/// What is known of a lease, a request or an approval that a scope can speak of.
#[derive(Debug, Clone, Copy)]
pub struct Facets<'a> {
    /// Of the task.
    pub environment: &'a Name,
    /// Where the credential works.
    pub target: &'a Name,
    /// Of the task.
    pub charter: &'a Name,
    /// Of the task.
    pub agent: &'a AgentName,
    /// The identity that the task is of, by which orders name agents too.
    pub identity: &'a Identity,
    /// The task itself.
    pub task: TaskId,
    /// The tasks above it.
    pub lineage: &'a [Above],
    /// The lease, where there is one.
    pub lease: Option<LeaseId>,
    /// plan or apply.
    pub role: Role,
}

impl Scope {
    /// Whether the scope covers what has these facets.
    #[must_use]
    pub fn covers(&self, facets: &Facets<'_>) -> bool {
        match self {
            Self::All => true,
            Self::Environment(name) => name == facets.environment,
            Self::Target(name) => name == facets.target,
            Self::Charter(name) => {
                name == facets.charter || facets.lineage.iter().any(|above| above.charter == *name)
            }
            Self::Agent(name) => {
                let own = name == facets.agent || name.is(facets.identity);
                own || facets.lineage.iter().any(|above| name.is_above(above))
            }
            Self::Task(id) => {
                *id == facets.task || facets.lineage.iter().any(|above| above.task == *id)
            }
            Self::Lease(id) => Some(*id) == facets.lease,
        }
    }

    /// Whether everything of a task is covered, whatever targets it may reach.
    #[must_use]
    pub fn covers_task(&self, task: &Task) -> bool {
        let above = |is: &dyn Fn(&Above) -> bool| task.lineage.iter().any(is);
        match self {
            Self::All => true,
            Self::Environment(name) => *name == task.environment,
            Self::Charter(name) => *name == task.charter || above(&|above| above.charter == *name),
            Self::Agent(name) => {
                let own = *name == task.agent || name.is(&task.identity);
                own || above(&|above| name.is_above(above))
            }
            Self::Task(id) => *id == task.id || above(&|above| above.task == *id),
            Self::Target(_) | Self::Lease(_) => false,
        }
    }
}
