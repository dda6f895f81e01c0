//! Drills: a canary credential is minted, used, killed and looked for, to know that the switch works.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::charter::Name;
use crate::id::{KillId, LeaseId};
use crate::time::Timestamp;

/// One drill at one target.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Drill {
    /// Where.
    pub target: Name,
    /// The canary, where it came to be.
    pub lease: Option<LeaseId>,
    /// The order that killed it, where there was one.
    pub kill: Option<KillId>,
    /// What came of it.
    pub outcome: DrillOutcome,
}

/// What came of a drill.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DrillOutcome {
    /// The canary worked, was killed, and is dead as far as this kind of target can show.
    Passed {
        /// From the order to the fence, in microseconds.
        fenced_micros: u64,
        /// From the order until the provider took the revocation, in milliseconds.
        taken_millis: u64,
        /// From the order until a check showed it dead, in milliseconds; nothing where no check shows that.
        dead_millis: Option<u64>,
    },
    /// It did not go that way.
    Failed {
        /// What went wrong.
        why: String,
    },
}

impl DrillOutcome {
    /// Whether it went as it must.
    #[must_use]
    pub const fn is_passed(&self) -> bool {
        matches!(self, Self::Passed { .. })
    }
}

/// What is remembered of the drills at one target.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Drills {
    /// The last one.
    pub last: (Timestamp, Drill),
    /// The last that passed.
    pub good: Option<(Timestamp, Drill)>,
}

/// A drill that is older than this is no proof any more, where the configuration says nothing else.
pub const OLD: Duration = Duration::from_secs(7 * 24 * 3600);
