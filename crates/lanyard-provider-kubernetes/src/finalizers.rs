//! Leases whose objects a foreign finalizer keeps. The API server refuses their tokens after a
//! fixed time all the same.

use std::collections::BTreeMap;
use std::time::Duration;

use lanyard_vocabulary::id::LeaseId;
use parking_lot::Mutex;
use tokio::time::Instant;

/// Time for which an API server accepts a token whose Secret or ServiceAccount is marked as deleted
/// and kept by a finalizer: one minute, then the authentication cache, and some seconds for the
/// clock. <https://github.com/kubernetes/kubernetes/blob/master/pkg/serviceaccount/claims.go>
const ACCEPTED_WHILE_KEPT_TIME: Duration = Duration::from_secs(60 + 10 + 5);

/// Leases whose Secret or ServiceAccount a finalizer keeps, with the time at which this was first
/// seen. A lease leaves the map when its revocation ends.
#[derive(Default)]
pub(crate) struct KeptByFinalizer(Mutex<BTreeMap<LeaseId, Instant>>);

/// Leases of this kind that the broker tracks.
///
/// # Limit
/// - for: a cluster
/// - unit: leases
/// - beyond: the lease is not presumed dead before the finalizer is removed
/// - test: `s47_a_finalizer_beyond_the_bound_must_be_removed_first`
const MAX_KEPT: usize = 10_000;

impl KeptByFinalizer {
    /// Returns true if the lease's token is refused by now although a finalizer keeps its objects.
    pub(crate) fn is_over(&self, lease: LeaseId) -> bool {
        let mut kept = self.0.lock();
        let now = Instant::now();
        if kept.len() >= MAX_KEPT && !kept.contains_key(&lease) {
            kept.retain(|_, since| now.duration_since(*since) < 2 * ACCEPTED_WHILE_KEPT_TIME);
            if kept.len() >= MAX_KEPT {
                return false;
            }
        }
        let since = *kept.entry(lease).or_insert(now);
        now.duration_since(since) >= ACCEPTED_WHILE_KEPT_TIME
    }

    pub(crate) fn forget(&self, lease: LeaseId) {
        self.0.lock().remove(&lease);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn s47_a_finalizer_beyond_the_bound_must_be_removed_first() {
        let kept = KeptByFinalizer::default();
        let lease = |place: usize| LeaseId::from_bits(u128::try_from(place).unwrap());
        for place in 0..=MAX_KEPT {
            assert!(!kept.is_over(lease(place)));
        }
        tokio::time::advance(ACCEPTED_WHILE_KEPT_TIME).await;
        assert!(kept.is_over(lease(0)) && kept.is_over(lease(MAX_KEPT - 1)));
        assert!(!kept.is_over(lease(MAX_KEPT)), "the time is unknown");
        kept.forget(lease(0));
        assert!(!kept.is_over(lease(MAX_KEPT)));
        tokio::time::advance(ACCEPTED_WHILE_KEPT_TIME).await;
        assert!(kept.is_over(lease(MAX_KEPT)));
    }
}
