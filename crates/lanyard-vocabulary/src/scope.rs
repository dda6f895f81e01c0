//! Scopes of kill orders, and the facts of a lease or request that scopes are matched against.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::agent::AgentName;
use crate::id::{LeaseId, TaskId};
use crate::identity::Identity;
use crate::lineage::Above;
use crate::name::Name;
use crate::role::Role;

/// What a kill order covers.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Scope {
    /// Every lease, task and request.
    All,
    /// One environment.
    Environment(Name),
    /// One target.
    Target(Name),
    /// One charter in all its revisions, with the tasks that its tasks opened.
    Charter(Name),
    /// One agent under all its identities, with the tasks that its tasks opened.
    Agent(AgentName),
    /// One task, with the tasks that it opened.
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

/// The roles that a kill order covers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RoleFilter {
    /// The plan role and the apply role.
    Both,
    /// The apply role alone.
    ApplyOnly,
}

impl RoleFilter {
    /// True if credentials of this role are covered.
    #[must_use]
    pub const fn reaches(self, role: Role) -> bool {
        matches!(
            (self, role),
            (Self::Both, _) | (Self::ApplyOnly, Role::Apply)
        )
    }
}

/// The facts of a lease, request or approval that a scope can name.
#[derive(Debug, Clone, Copy)]
pub struct Facets<'a> {
    /// The task's environment.
    pub environment: &'a Name,
    /// The target where the credential works.
    pub target: &'a Name,
    /// The task's charter.
    pub charter: &'a Name,
    /// The task's agent.
    pub agent: &'a AgentName,
    /// The identity that opened the task. A kill order may name an agent by its identity.
    pub identity: &'a Identity,
    /// The task's id.
    pub task: TaskId,
    /// The tasks above the task.
    pub lineage: &'a [Above],
    /// The lease, if there is one yet.
    pub lease: Option<LeaseId>,
    /// The plan role or the apply role.
    pub role: Role,
}

/// The facts of a task that a scope can name.
#[derive(Debug, Clone, Copy)]
pub struct TaskFacets<'a> {
    /// The environment in which the task runs.
    pub environment: &'a Name,
    /// The charter that the task runs under.
    pub charter: &'a Name,
    /// The agent that runs the task.
    pub agent: &'a AgentName,
    /// The identity that opened it, by which orders name agents too.
    pub identity: &'a Identity,
    /// The task's id.
    pub task: TaskId,
    /// The tasks above the task.
    pub lineage: &'a [Above],
}

impl Scope {
    /// True if the scope is an agent that is called by this identity.
    #[must_use]
    pub fn is_agent(&self, identity: &Identity) -> bool {
        match self {
            Self::Agent(name) => name.is(identity),
            Self::All
            | Self::Environment(_)
            | Self::Target(_)
            | Self::Charter(_)
            | Self::Task(_)
            | Self::Lease(_) => false,
        }
    }

    /// True if the scope covers something with these facts.
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
                own || facets.lineage.iter().any(|above| is_of(name, above))
            }
            Self::Task(id) => {
                *id == facets.task || facets.lineage.iter().any(|above| above.task == *id)
            }
            Self::Lease(id) => Some(*id) == facets.lease,
        }
    }

    /// True if the scope covers the task with everything in it, whichever targets the task uses.
    #[must_use]
    pub fn covers_task(&self, task: &TaskFacets<'_>) -> bool {
        let above = |is: &dyn Fn(&Above) -> bool| task.lineage.iter().any(is);
        match self {
            Self::All => true,
            Self::Environment(name) => name == task.environment,
            Self::Charter(name) => name == task.charter || above(&|above| above.charter == *name),
            Self::Agent(name) => {
                let own = name == task.agent || name.is(task.identity);
                own || above(&|above| is_of(name, above))
            }
            Self::Task(id) => *id == task.task || above(&|above| above.task == *id),
            Self::Target(_) | Self::Lease(_) => false,
        }
    }
}

/// True if the agent runs the task `above`.
fn is_of(agent: &AgentName, above: &Above) -> bool {
    let identity = above.identity.as_ref();
    *agent == above.agent || identity.is_some_and(|identity| agent.is(identity))
}
