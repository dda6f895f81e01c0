//! Drills: the broker mints a canary credential, uses it, kills it and checks it, to show that the
//! kill switch works.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use lanyard_vocabulary::id::{KillId, LeaseId};
use lanyard_vocabulary::name::Name;
use lanyard_vocabulary::time::Timestamp;

/// A drill at one target.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Drill {
    /// The target where the drill was held.
    pub target: Name,
    /// The lease of the canary; `None` if none was minted.
    pub lease: Option<LeaseId>,
    /// The kill order for the canary; `None` if the drill did not get that far.
    pub kill: Option<KillId>,
    /// The result of the drill.
    pub outcome: DrillOutcome,
}

/// The result of a drill.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DrillOutcome {
    /// The canary worked, was killed, and is dead as far as this kind of target can show.
    Passed {
        /// Time from the kill order to the fence, in microseconds.
        fenced_micros: u64,
        /// Time from the kill order to the provider's acknowledgement, in milliseconds.
        taken_millis: u64,
        /// Time from the kill order to a check that showed the canary dead, in milliseconds; `None`
        /// if no check can show that.
        dead_millis: Option<u64>,
    },
    /// The drill did not end as it should.
    Failed {
        /// The fault, in words for people.
        why: String,
    },
}

impl DrillOutcome {
    /// True if the drill passed.
    #[must_use]
    pub const fn is_passed(&self) -> bool {
        matches!(self, Self::Passed { .. })
    }
}

/// The drills of one target that status shows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Drills {
    /// The newest drill and its time.
    pub last: (Timestamp, Drill),
    /// The newest drill that passed and its time.
    pub good: Option<(Timestamp, Drill)>,
}

/// The age from which a drill counts as out of date, if the configuration sets no other.
pub const OLD: Duration = Duration::from_secs(7 * 24 * 3600);
