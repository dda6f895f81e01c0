//! The time, as the engine's callers ask for it: the broker's, the system's, and the targets'.

use std::sync::Arc;

use lanyard_vocabulary::name::Name;
use lanyard_vocabulary::time::{Skew, Timestamp};

use crate::context::Context;
use crate::revocation_queue::RevocationQueue;
use crate::skew::MAX_SKEW;

/// Knows what time it is, and how far it can be believed.
pub struct BrokerClock {
    pub(crate) context: Arc<Context>,
}

impl BrokerClock {
    /// Returns the present time.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.context.now()
    }

    /// Returns the system's time, by which is judged what others signed.
    #[must_use]
    pub fn system(&self) -> Timestamp {
        self.context.clock.system()
    }

    /// True if the system's time is not believed.
    #[must_use]
    pub fn is_doubted(&self) -> bool {
        !self.context.clock.faults().is_empty()
    }

    /// Returns the times that a kill's proof may be judged by, which says that it was issued then.
    /// Where a target's clock agrees with the broker's, there is no doubt about the time.
    #[must_use]
    pub fn times_for_a_kill(&self, issued: Option<Timestamp>) -> [Timestamp; 3] {
        let [system, now, other] = self.context.clock.times_for_a_kill(issued);
        let agrees =
            |lane: &RevocationQueue| lane.skew().is_some_and(|skew| skew.size() <= MAX_SKEW);
        let mut lanes = self.context.targets.lanes.values();
        if !self.is_doubted() && lanes.any(agrees) {
            return [system, now, now];
        }
        [system, now, other]
    }

    /// Returns the time before which whatever ended may be forgotten: it is past by every clock
    /// there is, whichever of them is wrong.
    #[must_use]
    pub fn forgettable(&self) -> Timestamp {
        let clock = &self.context.clock;
        clock.system().min(clock.now()).min(clock.surely())
    }

    /// Journals where the clock stands against the time since the boot, where that is news: the
    /// next process sees by it whether the clock was set in between.
    pub async fn note(&self) {
        self.context.note_clock().await;
    }

    /// Asks a target what time it is. A target that does not say so keeps the skew that it had.
    pub async fn measure_skew(&self, target: &Name) {
        self.context.targets.measure_skew(target).await;
    }

    /// Returns how far the clock of a target is ahead, as it was measured last; `None` before it
    /// was.
    #[must_use]
    pub fn skew(&self, target: &Name) -> Option<Skew> {
        self.context.targets.skew(target)
    }
}
