//! The mints that are under way in this process.

use std::collections::BTreeSet;

use lanyard_core::id::LeaseId;
use parking_lot::Mutex;

#[derive(Default)]
pub(crate) struct Mints {
    under_way: Mutex<BTreeSet<LeaseId>>,
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
}
