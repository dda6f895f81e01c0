//! A clock that no wall-clock change moves and that counts the time a machine sleeps.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// Time since boot, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct MonotonicTime(u64);

impl MonotonicTime {
    pub(crate) fn now() -> Self {
        #[cfg(target_os = "linux")]
        let clock = ClockId::Boottime;
        #[cfg(not(target_os = "linux"))]
        let clock = ClockId::Monotonic;
        let since = clock_gettime(clock);
        let seconds = u64::try_from(since.tv_sec).unwrap_or(0);
        let millis = u64::try_from(since.tv_nsec).unwrap_or(0) / 1_000_000;
        Self(seconds.saturating_mul(1000).saturating_add(millis))
    }

    /// Returns the time since `earlier`, or zero if `earlier` is later.
    pub(crate) const fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }

    pub(crate) fn after(self, span: Duration) -> Self {
        let millis = u64::try_from(span.as_millis()).unwrap_or(u64::MAX);
        Self(self.0.saturating_add(millis))
    }

    pub(crate) fn before(self, span: Duration) -> Self {
        let millis = u64::try_from(span.as_millis()).unwrap_or(u64::MAX);
        Self(self.0.saturating_sub(millis))
    }

    #[cfg(test)]
    pub(crate) const fn at(millis: u64) -> Self {
        Self(millis)
    }
}
