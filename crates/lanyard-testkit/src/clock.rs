//! A clock that moves only when a test moves it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use lanyard_vocabulary::time::Timestamp;

/// A manual clock, shared by reference. Every reader sees the last time that was set.
#[derive(Debug)]
pub struct ManualClock(AtomicU64);

impl ManualClock {
    /// 2027-01-15T08:00:00Z, the start of the samples in this crate.
    pub const START: Timestamp = Timestamp::from_secs(1_800_000_000);

    /// Makes a clock that shows `now`.
    #[must_use]
    pub const fn at(now: Timestamp) -> Self {
        Self(AtomicU64::new(now.as_millis()))
    }

    /// Returns the current time.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.0.load(Ordering::SeqCst))
    }

    /// Moves the clock forward and returns the new time.
    pub fn advance(&self, by: Duration) -> Timestamp {
        let millis = u64::try_from(by.as_millis()).unwrap_or(u64::MAX);
        let before = self.0.fetch_add(millis, Ordering::SeqCst);
        Timestamp::from_millis(before.saturating_add(millis))
    }

    /// Sets the clock, possibly backwards (T62).
    pub fn set(&self, now: Timestamp) {
        self.0.store(now.as_millis(), Ordering::SeqCst);
    }
}

impl Default for ManualClock {
    fn default() -> Self {
        Self::at(Self::START)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manual_clock_moves_only_when_set() {
        let clock = ManualClock::default();
        assert_eq!(clock.now(), ManualClock::START);
        let later = clock.advance(Duration::from_millis(1500));
        assert_eq!(later.since(ManualClock::START), Duration::from_millis(1500));
        assert_eq!(clock.now(), later);
        clock.set(Timestamp::EPOCH);
        assert_eq!(clock.now(), Timestamp::EPOCH);
    }
}
