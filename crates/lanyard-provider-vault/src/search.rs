//! Finding leases by what is written on their tokens: those whose answer was lost, and everything there is.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use futures_util::StreamExt as _;
use futures_util::stream;
use lanyard_core::id::LeaseId;
use lanyard_core::provider::{Found, ProviderError};
use parking_lot::Mutex;

use crate::api::{Looked, VaultApi};
use crate::handle::Held;
use crate::provider::VaultProvider;
use crate::transport::ambiguous;

/// How many tokens are looked up at the same time.
const AT_ONCE: usize = 16;
/// How many tokens that were not seen before are looked up in one go: seconds. The next go continues.
const LOOKED_UP: usize = 10_000;
/// How many leases are remembered whose tokens were looked for and not found.
const LOST: usize = 10_000;

/// What is known of the tokens of the server.
#[derive(Default)]
pub(crate) struct Search {
    /// Every accessor of the last listing.
    known: Mutex<BTreeMap<String, Known>>,
    /// They were to be revoked, and their handles did not name them: a request whose answer was lost may still be
    /// carried out, and a mint that is under way may still send one.
    lost: Mutex<VecDeque<LeaseId>>,
}

/// What an accessor is of.
#[derive(Clone)]
enum Known {
    /// The token of a lease.
    Lease(LeaseId, Held),
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

impl<A: VaultApi> VaultProvider<A> {
    /// The tokens of all leases of this broker.
    pub(crate) async fn find(&self) -> Result<Tokens, ProviderError> {
        let listed: BTreeSet<String> = self.api.accessors().await?.into_iter().collect();
        let (new, left) = {
            let mut known = self.search.known.lock();
            known.retain(|accessor, _| listed.contains(accessor));
            let new = listed.into_iter().filter(|it| !known.contains_key(it));
            let new: Vec<String> = new.collect();
            let left = new.len().saturating_sub(LOOKED_UP);
            (new, left)
        };
        let ours = format!("auth/token/create/{}", self.target.token_role);
        let mut lookups = stream::iter(new.into_iter().take(LOOKED_UP))
            .map(|accessor| async move {
                let facts = self.api.lookup(&accessor).await;
                (accessor, facts)
            })
            .buffer_unordered(AT_ONCE);
        while let Some((accessor, looked)) = lookups.next().await {
            let known = match looked? {
                // It has ended since the listing.
                Looked::Gone => Known::Other,
                Looked::Denied => Known::Denied,
                Looked::There(facts) => {
                    // Anybody can write what they like on a token, but not by which role it was made.
                    let suffixed = facts.path.strip_prefix(&ours);
                    let made = |rest: &str| rest.is_empty() || rest.starts_with('/');
                    let lease = suffixed
                        .is_some_and(made)
                        .then(|| Held::of(&accessor, &facts.meta));
                    let lease = lease.flatten();
                    lease.map_or(Known::Other, |(lease, held)| Known::Lease(lease, held))
                }
            };
            self.search.known.lock().insert(accessor, known);
        }
        if left > 0 {
            let code = format!("{left} tokens are still to be looked at");
            return Err(ambiguous("look for a token", &code));
        }
        self.resolve().await?;
        let mut tokens = Tokens::default();
        for known in self.search.known.lock().values() {
            match known {
                Known::Lease(lease, held) => drop(tokens.leases.insert(*lease, held.clone())),
                Known::Denied => tokens.denied = true,
                Known::Other => {}
            }
        }
        Ok(tokens)
    }

    /// Of what the server does not say, what was about to end is not listed any more.
    async fn resolve(&self) -> Result<(), ProviderError> {
        let denied = |known: &Known| matches!(known, Known::Denied);
        if !self.search.known.lock().values().any(denied) {
            return Ok(());
        }
        let listed: BTreeSet<String> = self.api.accessors().await?.into_iter().collect();
        let mut known = self.search.known.lock();
        known.retain(|accessor, known| !denied(known) || listed.contains(accessor));
        Ok(())
    }

    pub(crate) async fn list_all(&self) -> Result<Vec<Found>, ProviderError> {
        let mut found = Vec::new();
        for (lease, held) in self.find().await?.leases {
            // A mint that is under way gives up what it made by itself.
            if self.search.is_lost(lease) && !self.mints.under_way().contains(&lease) {
                // It came after all, and nobody has it.
                self.end_held(&held).await?;
            } else {
                let handle = held.handle();
                found.push(Found { lease, handle });
            }
        }
        Ok(found)
    }
}
