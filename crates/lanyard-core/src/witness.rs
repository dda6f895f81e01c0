//! How far a journal was, remembered outside its own disk, so that an older copy of it is known for one.

use serde::{Deserialize, Serialize};

use crate::lease::Seq;

/// A journal's length and its newest kill order at some time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Witness {
    /// How many records it had.
    pub records: Seq,
    /// The newest kill order's place.
    pub epoch: Seq,
}

impl Witness {
    /// Whether a journal that is no further than this has lost something that the witness saw.
    #[must_use]
    pub fn is_ahead_of(&self, journal: &Self) -> bool {
        self.records > journal.records || self.epoch > journal.epoch
    }
}
