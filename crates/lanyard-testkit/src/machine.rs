//! A machine whose clocks a test sets. The time since boot is true; the wall clock may differ from
//! it.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use lanyard_vocabulary::time::Timestamp;

use crate::clock::ManualClock;

/// The clocks of one machine, shared by reference.
#[derive(Debug)]
pub struct Machine {
    truth: AtomicU64,
    booted: AtomicU64,
    boots: AtomicU64,
    /// Difference between wall clock and truth, in milliseconds.
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
    /// Returns the true time.
    #[must_use]
    pub fn truth(&self) -> Timestamp {
        Timestamp::from_millis(self.truth.load(Ordering::SeqCst))
    }

    /// Returns how far the wall clock is ahead of the truth, in milliseconds.
    #[must_use]
    pub fn off(&self) -> i64 {
        self.off.load(Ordering::SeqCst)
    }

    /// Lets time pass on all clocks.
    pub fn pass(&self, span: Duration) {
        let millis = u64::try_from(span.as_millis()).unwrap_or(u64::MAX);
        self.truth.fetch_add(millis, Ordering::SeqCst);
    }

    /// Sets the wall clock `millis` ahead of the truth, or behind if negative.
    pub fn set_off(&self, millis: i64) {
        self.off.store(millis, Ordering::SeqCst);
    }

    /// Reboots after a downtime, during which the wall clock continues.
    pub fn reboot(&self, down: Duration) {
        self.pass(down);
        self.booted
            .store(self.truth.load(Ordering::SeqCst), Ordering::SeqCst);
        self.boots.fetch_add(1, Ordering::SeqCst);
    }

    /// Returns the wall clock in milliseconds.
    #[must_use]
    pub fn wall(&self) -> u64 {
        let truth = self.truth.load(Ordering::SeqCst);
        truth.saturating_add_signed(self.off())
    }

    /// Returns the milliseconds since boot.
    #[must_use]
    pub fn since_boot(&self) -> u64 {
        let truth = self.truth.load(Ordering::SeqCst);
        truth - self.booted.load(Ordering::SeqCst)
    }

    /// Returns the id of the current boot.
    #[must_use]
    pub fn boot_id(&self) -> String {
        self.boots.load(Ordering::SeqCst).to_string()
    }
}
