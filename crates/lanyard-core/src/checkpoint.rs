//! A checkpoint of the journal, stored outside the journal's disk, by which the broker detects that
//! an older copy was restored.

use serde::{Deserialize, Serialize};

use lanyard_vocabulary::seq::Seq;

/// A checkpoint: the journal's length and its newest kill order.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JournalCheckpoint {
    /// The number of records in the journal.
    pub records: Seq,
    /// The sequence number of the newest kill order.
    pub epoch: Seq,
}

impl JournalCheckpoint {
    /// True if `journal` lacks records that this checkpoint saw.
    #[must_use]
    pub fn is_ahead_of(&self, journal: &Self) -> bool {
        self.records > journal.records || self.epoch > journal.epoch
    }
}
