//! The one place that reads a clock and draws random bits.

use std::time::Duration;

use lanyard_core::time::Timestamp;

/// Time, as the engine sees it.
pub trait Clock: Send + Sync {
    /// Now.
    fn now(&self) -> Timestamp;
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

/// The system's wall clock, which never goes back within a process: a step back holds the time still
/// until it is passed again (T62).
#[derive(Debug, Default)]
pub struct SystemClock {
    highest: std::sync::atomic::AtomicU64,
}

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is the clock")]
    fn now(&self) -> Timestamp {
        let since = std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .unwrap_or(Duration::ZERO);
        let millis = u64::try_from(since.as_millis()).unwrap_or(u64::MAX);
        let before = self
            .highest
            .fetch_max(millis, std::sync::atomic::Ordering::Relaxed);
        Timestamp::from_millis(before.max(millis))
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
