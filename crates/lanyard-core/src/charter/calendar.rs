//! When a charter says no whatever else it says: after its end, and in a freeze.

use std::collections::BTreeSet;

use super::{Name, Position, Role};
use crate::time::Timestamp;

/// A time in which something is not given: the change calendar.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Freeze {
    /// Its first moment.
    pub from: Timestamp,
    /// The moment after it.
    pub to: Timestamp,
    /// What is not given.
    pub roles: BTreeSet<Role>,
    /// Where; everywhere when empty.
    pub environments: BTreeSet<Name>,
    /// Why, in the words that the agent is told.
    pub reason: String,
    /// Where it stands.
    pub at: Position,
}

impl Freeze {
    /// Whether it is about this role there.
    #[must_use]
    pub fn is_about(&self, role: Role, environment: &Name) -> bool {
        let there = self.environments.is_empty() || self.environments.contains(environment);
        there && self.roles.contains(&role)
    }

    /// Whether it holds now.
    #[must_use]
    pub fn holds(&self, now: Timestamp) -> bool {
        self.from <= now && now < self.to
    }
}

/// The end of a charter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct End {
    /// The moment from which on it gives nothing.
    pub when: Timestamp,
    /// Where it stands.
    pub at: Position,
}
