//! What this process knows about leases beyond the journal. It need not survive a restart. Without
//! it, a lease whose mint GitHub refused would look like one whose answer was lost, until its worst
//! expiry.

use std::collections::BTreeMap;

use lanyard_core::lease::Handle;
use lanyard_vocabulary::id::LeaseId;
use lanyard_vocabulary::time::Timestamp;
use parking_lot::Mutex;

/// The most leases that are remembered.
///
/// # Limit
/// - for: a target
/// - unit: leases
/// - beyond: further leases are not remembered: an answer that the journal did not record is then
///   pending until its worst expiry
/// - test: `the_number_of_remembered_leases_is_limited`
const MAX_KNOWN_LEASES: usize = 65_536;

/// The fate of a lease's token, as this process saw it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Known {
    /// GitHub refused to create the token, or was never asked.
    Nothing,
    /// GitHub created the token.
    Made(Handle),
    /// GitHub created the token and accepted its end.
    Ended(Handle),
}

/// The remembered leases, each with its worst expiry.
#[derive(Debug, Default)]
pub(crate) struct Memory(Mutex<BTreeMap<LeaseId, (Timestamp, Known)>>);

impl Memory {
    /// Remembers the lease's token until the lease's worst expiry.
    pub(crate) fn keep(&self, lease: LeaseId, (now, until): (Timestamp, Timestamp), known: Known) {
        let mut held = self.0.lock();
        if held.len() >= MAX_KNOWN_LEASES {
            held.retain(|_, (until, _)| *until > now);
        }
        if held.len() < MAX_KNOWN_LEASES || held.contains_key(&lease) {
            held.insert(lease, (until, known));
        }
    }

    pub(crate) fn of(&self, lease: LeaseId) -> Option<Known> {
        self.0.lock().get(&lease).map(|(_, known)| known.clone())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn the_number_of_remembered_leases_is_limited() {
        let memory = Memory::default();
        let now = Timestamp::from_secs(1_800_000_000);
        let keep = |place: usize, at: Timestamp| {
            let lease = LeaseId::from_bits(place as u128);
            let until = at + Duration::from_secs(60);
            memory.keep(lease, (at, until), Known::Nothing);
            memory.of(lease).is_some()
        };
        assert!((0..MAX_KNOWN_LEASES).all(|place| keep(place, now)));
        assert!(!keep(MAX_KNOWN_LEASES, now));
        assert!(keep(MAX_KNOWN_LEASES, now + Duration::from_secs(61)));
    }
}
