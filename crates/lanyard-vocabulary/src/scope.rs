//! Scopes of kill orders, and the facts of a lease or request that scopes are matched against.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::agent::AgentName;
use crate::id::{LeaseId, TaskId};
use crate::identity::Identity;
use crate::lineage::Above;
use crate::name::Name;
use crate::role::Role;

/// Lifetime of a kill ticket, which is signed in advance for one scope.
///
/// # Limit
/// - for: a kill ticket
/// - unit: of time
/// - beyond: the command line does not sign the ticket, and the broker refuses it
/// - test: `t44_a_ticket_has_bounds`
pub const MAX_TICKET_LIFE: Duration = Duration::from_secs(366 * 24 * 3600);

/// The leases, tasks and requests that a kill order covers.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Scope {
    /// Every lease, task and request.
    All,
    /// An environment with all that runs in it.
    Environment(Name),
    /// A target with all its leases.
    Target(Name),
    /// A charter in all its revisions, with the tasks that its tasks opened.
    Charter(Name),
    /// An agent under all its identities, with the tasks that its tasks opened.
    Agent(AgentName),
    /// A task, with the tasks that it opened.
    Task(TaskId),
    /// A lease by its id.
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
    /// The facts of the task.
    pub task: TaskFacets<'a>,
    /// The target where the credential works.
    pub target: &'a Name,
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
    /// The identity that opened the task. A kill order may name an agent by its identity.
    pub identity: &'a Identity,
    /// The id of the task.
    pub id: TaskId,
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
            Self::Target(name) => name == facets.target,
            Self::Lease(id) => Some(*id) == facets.lease,
            Self::All
            | Self::Environment(_)
            | Self::Charter(_)
            | Self::Agent(_)
            | Self::Task(_) => self.covers_task(&facets.task),
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
            Self::Task(id) => *id == task.id || above(&|above| above.task == *id),
            Self::Target(_) | Self::Lease(_) => false,
        }
    }
}

/// True if the agent runs the task `above`.
fn is_of(agent: &AgentName, above: &Above) -> bool {
    let identity = above.identity.as_ref();
    *agent == above.agent || identity.is_some_and(|identity| agent.is(identity))
}
