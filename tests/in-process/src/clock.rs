//! A clock ahead of this machine's.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use lanyard_engine::clock::{MachineTime, TimeSource};

/// The clocks of this machine, ahead by as much as a test lets pass.
#[derive(Debug, Default)]
pub struct Ahead {
    millis: AtomicU64,
    /// The wall clock's own steps, in milliseconds.
    stepped: AtomicI64,
}

impl Ahead {
    /// Lets time pass on every clock, as it passes for a machine that runs.
    pub fn pass(&self, span: Duration) {
        let millis = u64::try_from(span.as_millis()).unwrap_or(u64::MAX);
        self.millis.fetch_add(millis, Ordering::SeqCst);
    }

    /// Sets the wall clock forward by so many milliseconds, or back, while no time passes.
    pub fn step(&self, millis: i64) {
        self.stepped.fetch_add(millis, Ordering::SeqCst);
    }

    fn of(&self, millis: u64) -> u64 {
        millis.saturating_add(self.millis.load(Ordering::SeqCst))
    }
}

impl TimeSource for Ahead {
    fn wall(&self) -> u64 {
        let stepped = self.stepped.load(Ordering::SeqCst);
        self.of(MachineTime.wall()).saturating_add_signed(stepped)
    }

    fn since_boot(&self) -> u64 {
        self.of(MachineTime.since_boot())
    }

    fn boot_id(&self) -> Option<String> {
        MachineTime.boot_id()
    }
}
