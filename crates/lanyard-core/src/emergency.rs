//! Emergencies: what a charter allows on easier terms for a while, once a person says that it is one.

use serde::{Deserialize, Serialize};

use crate::charter::Name;
use crate::person::Person;
use crate::time::Timestamp;

/// An emergency under one charter, from its record to its end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Emergency {
    /// Under which charter.
    pub charter: Name,
    /// Who says so; nobody's second person.
    pub by: Person,
    /// Why.
    pub reason: String,
    /// Since when.
    pub at: Timestamp,
    /// When it ends by itself; no credential under its terms outlives it.
    pub until: Timestamp,
}

impl Emergency {
    /// Whether it still lasts.
    #[must_use]
    pub fn lasts(&self, now: Timestamp) -> bool {
        now < self.until
    }
}
