//! The names of agents.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::identity::Identity;

/// An agent's name: the configured name for all identities of the agent, or the canonical form of
/// its only identity.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct AgentName(pub String);

impl AgentName {
    /// True if this is the name of an identity that has no configured name.
    #[must_use]
    pub fn is(&self, identity: &Identity) -> bool {
        // A configured name holds no `#`: the comparison is seldom made.
        self.0.contains('#') && self.0 == identity.to_string()
    }
}

impl fmt::Display for AgentName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0.escape_debug().to_string())
    }
}
