//! Finding leases by what is written on their tokens: those whose answer was lost, and everything there is.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use futures_util::StreamExt as _;
use futures_util::stream;
use lanyard_core::id::LeaseId;
use lanyard_core::provider::{Found, ProviderError};
use parking_lot::Mutex;

use crate::api::VaultApi;
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
    /// Every accessor of the last listing, with the lease whose token it is where it is one of ours.
    known: Mutex<BTreeMap<String, Option<(LeaseId, Held)>>>,
    /// Not found when they were to be revoked: a request whose answer was lost may still be carried out.
    lost: Mutex<VecDeque<LeaseId>>,
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

    fn is_lost(&self, lease: LeaseId) -> bool {
        self.lost.lock().contains(&lease)
    }
}

impl<A: VaultApi> VaultProvider<A> {
    /// The tokens of all leases of this broker, by lease.
    pub(crate) async fn find(&self) -> Result<BTreeMap<LeaseId, Held>, ProviderError> {
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
        while let Some((accessor, facts)) = lookups.next().await {
            // One that has ended since the listing is of no interest.
            let Some(facts) = facts? else { continue };
            // Anybody can write what they like on a token, but not by which role it was made.
            let suffixed = facts.path.strip_prefix(&ours);
            let made_here = suffixed.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
            let lease = made_here
                .then(|| Held::of(&accessor, &facts.meta))
                .flatten();
            self.search.known.lock().insert(accessor, lease);
        }
        if left > 0 {
            let code = format!("{left} tokens are still to be looked at");
            return Err(ambiguous("look for a token", &code));
        }
        let known = self.search.known.lock();
        Ok(known.values().flatten().cloned().collect())
    }

    pub(crate) async fn list_all(&self) -> Result<Vec<Found>, ProviderError> {
        let mut found = Vec::new();
        for (lease, held) in self.find().await? {
            if self.search.is_lost(lease) {
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
