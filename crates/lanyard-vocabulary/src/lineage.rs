//! The lineage of a task: the tasks above it, by what scopes name of them.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use crate::agent::AgentName;
use crate::id::TaskId;
use crate::identity::Identity;
use crate::name::Name;

/// A task in the lineage of another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Above {
    /// The id of the task.
    pub task: TaskId,
    /// The charter that the task runs under.
    pub charter: Name,
    /// The agent that runs the task.
    pub agent: AgentName,
    /// The identity that runs the task; absent in records of older versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identity: Option<Identity>,
}

impl Above {
    /// The identity that runs the task. Records of older versions have the identity in the agent's
    /// name alone, if no other name was configured.
    #[must_use]
    pub fn run_by(&self) -> Option<Cow<'_, Identity>> {
        let identity = self.identity.as_ref().map(Cow::Borrowed);
        identity.or_else(|| self.agent.identity().map(Cow::Owned))
    }
}
