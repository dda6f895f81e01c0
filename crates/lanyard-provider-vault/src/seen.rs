//! What is known of the tokens of a server.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use lanyard_core::id::LeaseId;
use parking_lot::Mutex;

use crate::handle::Held;

/// How many leases are remembered whose tokens were looked for and not found.
const LOST: usize = 10_000;

/// The tokens of one server, as they were seen.
#[derive(Default)]
pub(crate) struct Search {
    /// Every accessor of the last listing.
    pub(crate) known: Mutex<BTreeMap<String, Known>>,
    /// What the first listing showed and has not been looked up: only these can be of leases that this process knows
    /// nothing of. Nothing before the first listing.
    pub(crate) backlog: Mutex<Option<BTreeSet<String>>>,
    /// They were to be revoked, and their handles did not name them: a request whose answer was lost may still be
    /// carried out, and a mint that is under way may still send one.
    lost: Mutex<VecDeque<LeaseId>>,
}

/// What an accessor is of.
#[derive(Clone)]
pub(crate) enum Known {
    /// The token of a lease.
    Lease(LeaseId, Held),
    /// A parent token of this broker.
    Parent,
    /// Something else.
    Other,
    /// The server does not say.
    Denied,
}

/// What there is.
#[derive(Default)]
pub(crate) struct Tokens {
    /// Of this broker, by lease.
    pub(crate) leases: BTreeMap<LeaseId, Held>,
    /// Whether there is more, of which the server does not say what it is.
    pub(crate) denied: bool,
}

impl Search {
    pub(crate) fn lose(&self, lease: LeaseId) {
        let mut lost = self.lost.lock();
        if !lost.contains(&lease) {
            if lost.len() >= LOST {
                lost.pop_front();
            }
            lost.push_back(lease);
        }
    }

    pub(crate) fn is_lost(&self, lease: LeaseId) -> bool {
        self.lost.lock().contains(&lease)
    }
}
