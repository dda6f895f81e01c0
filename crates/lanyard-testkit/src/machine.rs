//! A machine whose clocks are set by a test. The time since the boot is the truth; the wall clock is what people and
//! daemons make of it.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use lanyard_core::time::Timestamp;

use crate::clock::ManualClock;

/// Shared by reference.
#[derive(Debug)]
pub struct Machine {
    truth: AtomicU64,
    booted: AtomicU64,
    boots: AtomicU64,
    /// The wall clock minus the truth, in milliseconds.
    off: AtomicI64,
}

impl Default for Machine {
    fn default() -> Self {
        let start = ManualClock::START.as_millis();
        Self {
            truth: AtomicU64::new(start),
            booted: AtomicU64::new(start - 1_000_000),
            boots: AtomicU64::new(1),
            off: AtomicI64::new(0),
        }
    }
}

impl Machine {
    /// What time it really is.
    #[must_use]
    pub fn truth(&self) -> Timestamp {
        Timestamp::from_millis(self.truth.load(Ordering::SeqCst))
    }

    /// How far the wall clock is ahead of the truth, in milliseconds.
    #[must_use]
    pub fn off(&self) -> i64 {
        self.off.load(Ordering::SeqCst)
    }

    /// Time passes, for all clocks alike.
    pub fn pass(&self, span: Duration) {
        let millis = u64::try_from(span.as_millis()).unwrap_or(u64::MAX);
        self.truth.fetch_add(millis, Ordering::SeqCst);
    }

    /// The wall clock is set so far ahead of the truth, or behind it.
    pub fn set_off(&self, millis: i64) {
        self.off.store(millis, Ordering::SeqCst);
    }

    /// The machine was down for this long, and its wall clock is kept meanwhile.
    pub fn reboot(&self, down: Duration) {
        self.pass(down);
        self.booted
            .store(self.truth.load(Ordering::SeqCst), Ordering::SeqCst);
        self.boots.fetch_add(1, Ordering::SeqCst);
    }

    /// The wall clock, in milliseconds.
    #[must_use]
    pub fn wall(&self) -> u64 {
        let truth = self.truth.load(Ordering::SeqCst);
        truth.saturating_add_signed(self.off())
    }

    /// The time since the boot, in milliseconds.
    #[must_use]
    pub fn since_boot(&self) -> u64 {
        let truth = self.truth.load(Ordering::SeqCst);
        truth - self.booted.load(Ordering::SeqCst)
    }

    /// Which boot it is.
    #[must_use]
    pub fn boot_id(&self) -> String {
        self.boots.load(Ordering::SeqCst).to_string()
    }
}
