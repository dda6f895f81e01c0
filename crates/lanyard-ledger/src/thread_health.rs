//! The health of the ledger's threads: what ails one, and the panic that ended it.

use std::panic::{AssertUnwindSafe, catch_unwind};

use parking_lot::Mutex;

/// The health of one ledger thread: a problem that may pass, or the panic that ended the thread.
#[derive(Debug, Default)]
pub(crate) struct ThreadHealth {
    problem: Mutex<Option<String>>,
    panicked: Mutex<Option<String>>,
}

impl ThreadHealth {
    pub(crate) fn set_problem(&self, why: Option<String>) {
        *self.problem.lock() = why;
    }

    pub(crate) fn problem(&self) -> Option<String> {
        self.problem.lock().clone()
    }

    /// The panic message of a thread that has panicked.
    pub(crate) fn panicked(&self) -> Option<String> {
        self.panicked.lock().clone()
    }
}

/// Runs a thread's work and records a panic. The thread is not restarted, because a panic may have
/// left the thread's data half changed.
pub(crate) fn supervised(name: &str, health: &ThreadHealth, run: impl FnOnce()) {
    if let Err(panic) = catch_unwind(AssertUnwindSafe(run)) {
        let why = panic_text(panic.as_ref());
        tracing::error!(
            thread = name,
            why,
            "a thread of the ledger panicked: it stays away until a restart"
        );
        *health.panicked.lock() = Some(why.to_owned());
    }
}

/// The text of a panic payload.
pub(crate) fn panic_text(panic: &(dyn std::any::Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
    text.unwrap_or("a panic without a message")
}
