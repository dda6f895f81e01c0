//! How many decisions there were, for a monitoring system: every one counts, also those that the journal holds as a number.

use std::collections::BTreeMap;

use lanyard_core::charter::Name;
use parking_lot::Mutex;

/// What a decision that says yes counts as.
pub const ALLOWED: &str = "ALLOWED";

/// Counts since the start of the process.
#[derive(Debug, Default)]
pub struct DecisionCounts(Mutex<BTreeMap<(Option<Name>, &'static str), u64>>);

impl DecisionCounts {
    /// Counts one. Only charters in force have a count of their own: whoever makes up names fills nothing.
    pub(crate) fn count(&self, charter: Option<&Name>, code: &'static str) {
        let mut counts = self.0.lock();
        let count = counts.entry((charter.cloned(), code)).or_default();
        *count = count.saturating_add(1);
    }

    /// By charter, where there is one in force, and reason code.
    #[must_use]
    pub fn all(&self) -> Vec<(Option<Name>, &'static str, u64)> {
        let counts = self.0.lock();
        let all = counts.iter();
        all.map(|((charter, code), count)| (charter.clone(), *code, *count))
            .collect()
    }
}
