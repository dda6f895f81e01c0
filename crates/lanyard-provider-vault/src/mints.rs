//! The mints that are under way in this process, and when a lease without an answer can no longer come to be.

use std::collections::BTreeSet;
use std::time::Duration;

use lanyard_core::id::LeaseId;
use lanyard_core::time::Timestamp;
use parking_lot::Mutex;
use tokio::time::Instant;

use crate::provider::{LONGEST_REQUEST, MINT};

/// From the intent of a lease until its token is there or never will be, with some seconds for the way to the server.
const SETTLED: Duration = Duration::from_secs(MINT.as_secs() + LONGEST_REQUEST.as_secs() + 10);

#[derive(Default)]
pub(crate) struct Mints {
    under_way: Mutex<BTreeSet<LeaseId>>,
    /// A time that had come, and when that was known.
    told: Mutex<Option<(Timestamp, Instant)>>,
}

/// One mint; dropped with it, whatever becomes of it.
pub(crate) struct UnderWay<'a> {
    mints: &'a Mints,
    lease: LeaseId,
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.mints.under_way.lock().remove(&self.lease);
    }
}

impl Mints {
    pub(crate) fn begin(&self, lease: LeaseId) -> UnderWay<'_> {
        self.under_way.lock().insert(lease);
        UnderWay { mints: self, lease }
    }

    pub(crate) fn under_way(&self) -> BTreeSet<LeaseId> {
        self.under_way.lock().clone()
    }

    /// It is this late, at least; how late it is now, at least.
    pub(crate) fn told(&self, now: Timestamp) -> Timestamp {
        let mut told = self.told.lock();
        let since = |(at, when): (Timestamp, Instant)| at + when.elapsed();
        match told.map(since) {
            Some(later) if later >= now => later,
            Some(_) | None => {
                *told = Some((now, Instant::now()));
                now
            }
        }
    }

    /// Whether a token for a lease of this age would be there by now.
    pub(crate) fn is_settled(&self, asked: Timestamp) -> bool {
        self.told(asked) >= asked + SETTLED
    }
}
