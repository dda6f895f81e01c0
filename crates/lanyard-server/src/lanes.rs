//! Fair turns: a bounded number for all owners, a bounded number for each, in the order of asking.
//! The module does not know what is done in a turn.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Weak};

use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The number of owners' lanes that are kept before empty ones are dropped.
const KEPT_LANES: usize = 1024;

/// The turns of all owners.
#[derive(Debug)]
pub(crate) struct Lanes<K> {
    all: Arc<Semaphore>,
    of_an_owner: usize,
    lanes: Mutex<HashMap<K, Weak<Semaphore>>>,
}

/// A turn, until it is dropped.
#[derive(Debug)]
pub(crate) struct Turn {
    _own: Option<OwnedSemaphorePermit>,
    _all: Option<OwnedSemaphorePermit>,
}

impl<K: Hash + Eq + Clone> Lanes<K> {
    pub(crate) fn new(all: usize, of_an_owner: usize) -> Self {
        Self {
            all: Arc::new(Semaphore::new(all.min(Semaphore::MAX_PERMITS))),
            of_an_owner: of_an_owner.clamp(1, Semaphore::MAX_PERMITS),
            lanes: Mutex::default(),
        }
    }

    /// Waits for a turn.
    pub(crate) async fn take(&self, owner: &K) -> Turn {
        // An owner waits for itself before it waits among the others, so that it takes no more of
        // their places than it may. Nobody closes a lane, so no wait fails.
        let own = self.lane(owner).acquire_owned().await.ok();
        let all = Arc::clone(&self.all).acquire_owned().await.ok();
        Turn {
            _own: own,
            _all: all,
        }
    }

    fn lane(&self, owner: &K) -> Arc<Semaphore> {
        let mut lanes = self.lanes.lock();
        if let Some(lane) = lanes.get(owner).and_then(Weak::upgrade) {
            return lane;
        }
        // At each doubling, so that a call looks at one lane on the average.
        if lanes.len() >= KEPT_LANES && lanes.len() == lanes.capacity() {
            lanes.retain(|_, lane| lane.strong_count() > 0);
        }
        let lane = Arc::new(Semaphore::new(self.of_an_owner));
        lanes.insert(owner.clone(), Arc::downgrade(&lane));
        lane
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    #[tokio::test]
    async fn an_owner_waits_for_itself_and_takes_no_more_than_its_turns() {
        let lanes = Lanes::new(3, 2);
        let (one, two) = (lanes.take(&"a").await, lanes.take(&"a").await);
        let mut third = Box::pin(lanes.take(&"a"));
        assert!((&mut third).now_or_never().is_none());
        let other = lanes.take(&"b").await;
        let mut waits = Box::pin(lanes.take(&"c"));
        assert!((&mut waits).now_or_never().is_none(), "there are three");
        drop(one);
        // Whoever waited among all was first.
        drop(waits.await);
        drop(third.await);
        drop((two, other));
        assert_eq!(lanes.all.available_permits(), 3);
    }

    #[tokio::test]
    async fn lanes_that_nobody_is_in_are_forgotten() {
        let lanes = Lanes::new(1, 1);
        for owner in 0..100_000 {
            drop(lanes.take(&owner).await);
        }
        let kept = lanes.lanes.lock().len();
        assert!(kept <= 4 * KEPT_LANES, "{kept}");
    }
}
