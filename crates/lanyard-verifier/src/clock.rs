//! The time, as the verifier needs it: of day for what tokens say, and running for how long something was kept.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use lanyard_vocabulary::time::Timestamp;

/// Two clocks: nobody makes a kept list younger by setting one of them back.
pub trait Clock: Send + Sync {
    /// The time of day.
    fn now(&self) -> Timestamp;
    /// How long this clock has been running; never less than before.
    fn running(&self) -> Duration;
}

/// The clocks of the system.
#[derive(Debug)]
pub struct SystemClock(Instant);

impl SystemClock {
    /// Running from here on.
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
