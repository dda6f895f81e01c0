//! The mints in progress in this process. A search for tokens must not conclude that a lease
//! without a token has none while its mint is in progress.

use std::collections::BTreeSet;

use lanyard_vocabulary::id::LeaseId;
use parking_lot::Mutex;

/// The leases whose mints are in progress.
#[derive(Default)]
pub(crate) struct MintsInProgress {
    leases: Mutex<BTreeSet<LeaseId>>,
}

/// A mint in progress, until dropped.
pub(crate) struct MintInProgress<'a> {
    mints: &'a MintsInProgress,
    lease: LeaseId,
}

impl Drop for MintInProgress<'_> {
    fn drop(&mut self) {
        self.mints.leases.lock().remove(&self.lease);
    }
}

impl MintsInProgress {
    pub(crate) fn begin(&self, lease: LeaseId) -> MintInProgress<'_> {
        self.leases.lock().insert(lease);
        MintInProgress { mints: self, lease }
    }

    pub(crate) fn leases(&self) -> BTreeSet<LeaseId> {
        self.leases.lock().clone()
    }
}
