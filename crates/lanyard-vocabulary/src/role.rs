//! The two roles that a credential can have.

use std::fmt;

use serde::{Deserialize, Serialize};

/// plan: read only, for working out a change. apply: can make it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// The role that reads.
    Plan,
    /// The role that changes things.
    Apply,
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Plan => "plan",
            Self::Apply => "apply",
        })
    }
}
