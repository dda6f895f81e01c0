//! Leases whose objects somebody's finalizer keeps, and from when on their tokens are refused all the same.

use std::collections::BTreeMap;
use std::time::Duration;

use lanyard_core::id::LeaseId;
use parking_lot::Mutex;
use tokio::time::Instant;

/// How long an API server goes on accepting a token whose Secret or ServiceAccount is marked as deleted and kept by a
/// finalizer: a minute, then its cache of authentications, and some seconds for its clock.
/// <https://github.com/kubernetes/kubernetes/blob/master/pkg/serviceaccount/claims.go>
const ACCEPTED_WHILE_KEPT: Duration = Duration::from_secs(60 + 10 + 5);

/// The leases whose Secret or ServiceAccount is kept by a finalizer, and since when that is known. What is not revoked any
/// more leaves with its lease.
#[derive(Default)]
pub(crate) struct Kept(Mutex<BTreeMap<LeaseId, Instant>>);

/// Leases that are being revoked and whose objects somebody's finalizer keeps.
///
/// # Limit
/// - for: a cluster
/// - unit: leases
/// - beyond: the lease is not called dead before the finalizer is gone
/// - test: `s47_a_finalizer_beyond_the_bound_is_waited_for`
const MAX_KEPT: usize = 10_000;

impl Kept {
    /// Whether the token of a lease is refused although its objects are still there.
    pub(crate) fn is_over(&self, lease: LeaseId) -> bool {
        let mut kept = self.0.lock();
        let now = Instant::now();
        if kept.len() >= MAX_KEPT && !kept.contains_key(&lease) {
            kept.retain(|_, since| now.duration_since(*since) < 2 * ACCEPTED_WHILE_KEPT);
            if kept.len() >= MAX_KEPT {
                return false;
            }
        }
        let since = *kept.entry(lease).or_insert(now);
        now.duration_since(since) >= ACCEPTED_WHILE_KEPT
    }

    pub(crate) fn forget(&self, lease: LeaseId) {
        self.0.lock().remove(&lease);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn s47_a_finalizer_beyond_the_bound_is_waited_for() {
        let kept = Kept::default();
        let lease = |place: usize| LeaseId::from_bits(u128::try_from(place).unwrap());
        for place in 0..=MAX_KEPT {
            assert!(!kept.is_over(lease(place)));
        }
        tokio::time::advance(ACCEPTED_WHILE_KEPT).await;
        assert!(kept.is_over(lease(0)) && kept.is_over(lease(MAX_KEPT - 1)));
        assert!(!kept.is_over(lease(MAX_KEPT)), "nobody knows since when");
        kept.forget(lease(0));
        assert!(!kept.is_over(lease(MAX_KEPT)));
        tokio::time::advance(ACCEPTED_WHILE_KEPT).await;
        assert!(kept.is_over(lease(MAX_KEPT)));
    }
}
