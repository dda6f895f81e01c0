//! Emergencies: a person declares one, and a charter's easier terms hold until it ends.

use serde::{Deserialize, Serialize};

use lanyard_vocabulary::name::Name;
use lanyard_vocabulary::person::Person;
use lanyard_vocabulary::time::Timestamp;

/// An emergency under one charter, from its record to its end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Emergency {
    /// The charter whose emergency terms hold.
    pub charter: Name,
    /// The person who declared it, who does not count as an approver during it.
    pub by: Person,
    /// The reason, in the person's words.
    pub reason: String,
    /// The time at which the emergency began.
    pub at: Timestamp,
    /// The time at which the emergency ends by itself. No credential under its terms outlives it.
    pub until: Timestamp,
}

impl Emergency {
    /// True if the emergency has not ended at `now`.
    #[must_use]
    pub fn lasts(&self, now: Timestamp) -> bool {
        now < self.until
    }
}
