//! The broker's knowledge of a server's tokens, from earlier searches.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use lanyard_vocabulary::id::LeaseId;
use parking_lot::Mutex;

use crate::handle::LeaseHandle;

/// Leases without a known token that are remembered.
const LOST_LEASES_REMEMBERED: usize = 10_000;

/// The broker's knowledge of the server's tokens.
#[derive(Default)]
pub(crate) struct Search {
    /// Every accessor of the last listing that was looked up.
    pub(crate) known: Mutex<BTreeMap<String, Known>>,
    /// Accessors of the first listing that were not looked up yet. Only these can belong to leases
    /// that this process does not know. `None` before the first listing.
    pub(crate) backlog: Mutex<Option<BTreeSet<String>>>,
    /// Leases that were revoked while their handle named no token. A request whose answer was lost
    /// may still be carried out, and a mint in progress may still send one.
    lost: Mutex<VecDeque<LeaseId>>,
}

/// The owner of an accessor.
#[derive(Clone)]
pub(crate) enum Known {
    /// A token of a lease of this broker.
    Lease(LeaseId, LeaseHandle),
    /// A parent token of this broker.
    Parent,
    /// A token of another party.
    Other,
    /// The server denies the look-up of the token.
    Denied,
}

/// The tokens of this broker that a search found.
#[derive(Default)]
pub(crate) struct Tokens {
    /// Tokens of leases, by lease.
    pub(crate) leases: BTreeMap<LeaseId, LeaseHandle>,
    /// True if the server denied the look-up of further tokens.
    pub(crate) denied: bool,
}

impl Search {
    pub(crate) fn lose(&self, lease: LeaseId) {
        let mut lost = self.lost.lock();
        if !lost.contains(&lease) {
            if lost.len() >= LOST_LEASES_REMEMBERED {
                lost.pop_front();
            }
            lost.push_back(lease);
        }
    }

    pub(crate) fn is_lost(&self, lease: LeaseId) -> bool {
        self.lost.lock().contains(&lease)
    }
}
