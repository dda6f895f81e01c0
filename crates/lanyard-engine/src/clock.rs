//! The one place that reads a clock and draws random bits.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use lanyard_core::condition::Reason;
use lanyard_core::time::Timestamp;

/// Time, as the engine sees it.
pub trait Clock: Send + Sync {
    /// Now.
    fn now(&self) -> Timestamp;

    /// Why nothing may be issued, as far as the clock knows: asked before every hand-over, so it must not wait.
    fn faults(&self) -> Vec<Reason> {
        Vec::new()
    }

    /// How far the system's own clock is behind that: it was set back.
    fn behind(&self) -> Duration {
        Duration::ZERO
    }
}

/// Random bits for ids.
pub trait Randomness: Send + Sync {
    /// 128 fresh bits, from a source that nobody can predict.
    ///
    /// # Errors
    /// When the system gives none: nothing is issued then.
    fn draw(&self) -> Result<u128, NoRandomness>;
}

/// The system gave no random bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the system gives no random bits")]
pub struct NoRandomness;

/// The system's wall clock, which never goes back: where it is set back, time goes on by the time since the boot, which
/// counts what the machine slept (T62).
#[derive(Debug)]
pub struct SystemClock {
    highest: AtomicU64,
    /// The wall clock and the time since the boot when this began, in milliseconds.
    began: (u64, u64),
}

impl Default for SystemClock {
    fn default() -> Self {
        Self {
            highest: AtomicU64::new(0),
            began: (wall(), since_boot()),
        }
    }
}

impl SystemClock {
    /// It was at least this late before: what the journal's last record says.
    pub fn raise(&self, to: Timestamp) {
        self.highest.fetch_max(to.as_millis(), Ordering::Relaxed);
    }

    /// The time, by a wall clock and a time since the boot.
    fn read(&self, wall: u64, boot: u64) -> u64 {
        let (began, booted) = self.began;
        let grown = began.saturating_add(boot.saturating_sub(booted));
        let now = wall.max(grown);
        self.highest.fetch_max(now, Ordering::Relaxed).max(now)
    }
}

#[expect(clippy::disallowed_methods, reason = "this is the clock")]
fn wall() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    u64::try_from(since.unwrap_or(Duration::ZERO).as_millis()).unwrap_or(u64::MAX)
}

fn since_boot() -> u64 {
    let since = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    let seconds = u64::try_from(since.tv_sec).unwrap_or(0);
    let millis = u64::try_from(since.tv_nsec).unwrap_or(0) / 1_000_000;
    seconds.saturating_mul(1000).saturating_add(millis)
}

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.read(wall(), since_boot()))
    }

    fn behind(&self) -> Duration {
        let wall = wall();
        let now = self.read(wall, since_boot());
        Duration::from_millis(now.saturating_sub(wall))
    }
}

/// The operating system's source, through ring.
#[derive(Debug)]
pub struct SystemRandomness(ring::rand::SystemRandom);

impl Default for SystemRandomness {
    fn default() -> Self {
        Self(ring::rand::SystemRandom::new())
    }
}

impl Randomness for SystemRandomness {
    fn draw(&self) -> Result<u128, NoRandomness> {
        let mut bytes = [0; 16];
        ring::rand::SecureRandom::fill(&self.0, &mut bytes).map_err(|_| NoRandomness)?;
        Ok(u128::from_be_bytes(bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // T62
    #[test]
    fn t62_a_clock_that_is_set_back_goes_on_by_the_time_since_the_boot() {
        let clock = SystemClock {
            highest: AtomicU64::new(0),
            began: (1_000_000, 50),
        };
        assert_eq!(clock.read(1_000_100, 150), 1_000_100);
        // Back by ten minutes; a second later, by the other clock.
        assert_eq!(clock.read(400_100, 1150), 1_001_100);
        // On by an hour.
        assert_eq!(clock.read(4_600_000, 1200), 4_600_000);
        assert_eq!(clock.read(1_000_200, 1250), 4_600_000);
    }

    // T62
    #[test]
    fn t62_what_the_journal_has_seen_is_not_before_now() {
        let clock = SystemClock::default();
        let later = clock.now() + Duration::from_secs(3600);
        clock.raise(later);
        assert_eq!(clock.now(), later);
        assert!(clock.behind() > Duration::from_secs(3590));
    }
}
