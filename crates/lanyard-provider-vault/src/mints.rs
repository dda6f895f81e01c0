//! The mints under way in this process. A search for a lease's token must not conclude anything
//! about them.

use std::collections::BTreeSet;

use lanyard_core::id::LeaseId;
use parking_lot::Mutex;

/// The leases that a mint is working on.
#[derive(Default)]
pub(crate) struct Mints {
    under_way: Mutex<BTreeSet<LeaseId>>,
}

/// A mint under way, from its creation until it is dropped.
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
}
