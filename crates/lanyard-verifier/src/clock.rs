//! The two clocks of a verifier: the time of day for claims, and a monotonic clock for the age of
//! what is cached.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use lanyard_vocabulary::time::Timestamp;

/// A source of both times. The age of a cached list comes from the monotonic clock, so that setting
/// the system's clock back makes no list younger.
pub trait Clock: Send + Sync {
    /// The time of day, for `iat`, `nbf` and `exp`.
    fn now(&self) -> Timestamp;
    /// The time since this clock started; monotonic.
    fn running(&self) -> Duration;
}

/// The operating system's clocks.
#[derive(Debug)]
pub struct SystemClock(Instant);

impl SystemClock {
    /// Starts the monotonic clock at zero.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "this is the clock")]
    pub fn start() -> Self {
        Self(Instant::now())
    }
}

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is the clock")]
    fn now(&self) -> Timestamp {
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        let millis = since.unwrap_or_default().as_millis();
        Timestamp::from_millis(u64::try_from(millis).unwrap_or(u64::MAX))
    }

    fn running(&self) -> Duration {
        self.0.elapsed()
    }
}
