//! Places in the journal.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The sequence number of a journal record. Sequence numbers order kill orders against mints.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Seq(pub u64);

impl Seq {
    /// A sequence number after that of every record.
    pub const END: Self = Self(u64::MAX);
}

impl fmt::Display for Seq {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
