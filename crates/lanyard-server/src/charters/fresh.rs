//! The rate of new revisions from charter objects. Each revision is a journal record and a folder
//! on disk, both permanent, and whoever may write an object may change it as often as the API
//! server allows.

use std::collections::BTreeMap;
use std::time::Duration;

use lanyard_vocabulary::name::Name;
use tokio::time::Instant;

/// New revisions that the charters of a namespace may have at once: every charter of a full
/// namespace, and a few changes.
///
/// # Limit
/// - for: a namespace of `charter_objects`
/// - unit: new revisions; one more each minute
/// - beyond: the charter is not in force until there is room (`TooManyChanges`)
/// - test: `a_namespace_brings_so_many_new_revisions_and_no_more`
const MAX_NEW_REVISIONS: u32 = 2500;
/// The time in which the quota grows by one revision.
const REFILL: Duration = Duration::from_secs(60);

/// The remaining quota of each namespace.
#[derive(Default)]
pub(super) struct Fresh(BTreeMap<Name, Left>);

struct Left {
    revisions: u32,
    since: Instant,
}

impl Fresh {
    /// Takes one from the quota; returns false if it is used up.
    pub(super) fn take(&mut self, namespace: &Name, now: Instant) -> bool {
        let left = self.0.entry(namespace.clone()).or_insert(Left {
            revisions: MAX_NEW_REVISIONS,
            since: now,
        });
        while left.revisions < MAX_NEW_REVISIONS && now.duration_since(left.since) >= REFILL {
            left.revisions += 1;
            left.since += REFILL;
        }
        if left.revisions == MAX_NEW_REVISIONS {
            left.since = now;
        }
        let taken = left.revisions.checked_sub(1);
        left.revisions = taken.unwrap_or(0);
        taken.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_namespace_brings_so_many_new_revisions_and_no_more() {
        let (mut fresh, start) = (Fresh::default(), Instant::now());
        let one: Name = "one".parse().unwrap();
        for _ in 0..MAX_NEW_REVISIONS {
            assert!(fresh.take(&one, start));
        }
        assert!(!fresh.take(&one, start));
        assert!(fresh.take(&"two".parse().unwrap(), start));
        assert!(!fresh.take(&one, start + REFILL - Duration::from_secs(1)));
        assert!(fresh.take(&one, start + REFILL) && !fresh.take(&one, start + REFILL));
        let later = start + REFILL * 10_000;
        for _ in 0..MAX_NEW_REVISIONS {
            assert!(fresh.take(&one, later));
        }
        assert!(!fresh.take(&one, later));
    }
}
