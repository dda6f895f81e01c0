//! Finds leases by the metadata of their tokens: leases whose answer was lost, and all leases of
//! this broker.

use std::collections::BTreeSet;

use futures_util::StreamExt as _;
use futures_util::stream;
use lanyard_core::provider::{FoundCredential, InUse, ProviderError};

use crate::api::{AccessorLookup, VaultApi};
use crate::handle::LeaseHandle;
use crate::known_tokens::{Known, Tokens};
use crate::parents::EPOCH_META;
use crate::provider::VaultProvider;
use crate::transport::ambiguous;

/// Tokens that are looked up concurrently.
const CONCURRENT_LOOKUPS: usize = 16;
/// New tokens that one search looks up, which takes seconds; the next search continues.
const LOOKED_UP_PER_SEARCH: usize = 10_000;
/// Parent tokens without a lease that one pass revokes.
///
/// # Limit
/// - for: a Vault
/// - unit: tokens
/// - beyond: the next pass continues, five minutes later; a parent also expires within a day or
///   twice its longest lease
/// - test: `s21_one_pass_revokes_a_limited_number_of_parents`
const MAX_PARENTS_REVOKED_AT_ONCE: usize = 200;

impl<A: VaultApi> VaultProvider<A> {
    /// Finds the tokens of all leases of this broker; an error while any token is still to be
    /// looked up.
    pub(crate) async fn find(&self) -> Result<Tokens, ProviderError> {
        let left = self.look_up_new().await?;
        if left > 0 {
            let code = format!("{left} tokens are still to be looked up");
            return Err(ambiguous("look for a token", &code));
        }
        self.resolve().await?;
        Ok(self.known())
    }

    /// Lists the accessors and looks up new ones, up to [`LOOKED_UP_PER_SEARCH`]; returns how many
    /// are left.
    async fn look_up_new(&self) -> Result<usize, ProviderError> {
        let listed: BTreeSet<String> = self.api.accessors().await?.into_iter().collect();
        let (now, left) = {
            let mut known = self.search.known.lock();
            known.retain(|accessor, _| listed.contains(accessor));
            let mut backlog = self.search.backlog.lock();
            let backlog = backlog.get_or_insert_with(|| listed.clone());
            backlog.retain(|accessor| listed.contains(accessor) && !known.contains_key(accessor));
            let later = listed.iter().filter(|it| !backlog.contains(*it));
            let later = later.filter(|it| !known.contains_key(*it));
            // Tokens of the first listing come first, so that the search ends even on a server that
            // creates tokens faster than they can be looked up.
            let new: Vec<String> = backlog.iter().chain(later).cloned().collect();
            let left = new.len().saturating_sub(LOOKED_UP_PER_SEARCH);
            (
                new.into_iter()
                    .take(LOOKED_UP_PER_SEARCH)
                    .collect::<Vec<_>>(),
                left,
            )
        };
        let mut lookups = stream::iter(now)
            .map(|accessor| async move {
                let facts = self.api.lookup(&accessor).await;
                (accessor, facts)
            })
            .buffer_unordered(CONCURRENT_LOOKUPS);
        while let Some((accessor, looked)) = lookups.next().await {
            let known = self.classify(&accessor, looked?);
            if let Some(backlog) = self.search.backlog.lock().as_mut() {
                backlog.remove(&accessor);
            }
            self.search.known.lock().insert(accessor, known);
        }
        Ok(left)
    }

    /// Decides whose token it is. The path proves the role, because the server writes it. Metadata
    /// alone proves nothing, because anybody can write it.
    fn classify(&self, accessor: &str, looked: AccessorLookup) -> Known {
        let facts = match looked {
            // The token ended after the listing.
            AccessorLookup::Gone => return Known::Other,
            AccessorLookup::Denied => return Known::Denied,
            AccessorLookup::Found(facts) => facts,
        };
        let made_by = |role: &str| {
            let path = format!("auth/token/create/{role}");
            let rest = facts.path.strip_prefix(&path);
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        if made_by(&self.target.token_role)
            && let Some((lease, held)) = LeaseHandle::of(accessor, &facts.meta)
        {
            return Known::Lease(lease, held);
        }
        if made_by(&self.target.parent_role) && facts.meta.contains_key(EPOCH_META) {
            return Known::Parent;
        }
        Known::Other
    }

    fn known(&self) -> Tokens {
        let mut tokens = Tokens::default();
        for known in self.search.known.lock().values() {
            match known {
                Known::Lease(lease, held) => drop(tokens.leases.insert(*lease, held.clone())),
                Known::Denied => tokens.denied = true,
                Known::Parent | Known::Other => {}
            }
        }
        tokens
    }

    /// Revokes parents that no lease depends on and no mint is about to use; returns their number.
    pub(crate) async fn revoke_unused(&self, in_use: InUse<'_>) -> Result<usize, ProviderError> {
        let parents: BTreeSet<String> = {
            let known = self.search.known.lock();
            let parents = known.iter().filter(|(_, it)| matches!(it, Known::Parent));
            parents.map(|(accessor, _)| accessor.clone()).collect()
        };
        if parents.is_empty() {
            return Ok(0);
        }
        // Under the lock that creates parents: a new parent is in `accessors` before it could look
        // unused.
        let _making = self.parents.making.lock().await;
        let Some(handles) = in_use() else {
            return Ok(0);
        };
        let mut used: BTreeSet<String> = self.parents.accessors();
        used.extend(
            handles
                .iter()
                .filter_map(|handle| Some(LeaseHandle::read(handle)?.parent)),
        );
        let mut revoked = 0;
        for parent in parents.difference(&used).take(MAX_PARENTS_REVOKED_AT_ONCE) {
            self.api.revoke_accessor(parent).await?;
            self.search.known.lock().remove(parent);
            revoked += 1;
        }
        Ok(revoked)
    }

    /// Lists again, and drops the tokens that the server did not describe and that are gone by now.
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

    pub(crate) async fn list_all(&self) -> Result<Vec<FoundCredential>, ProviderError> {
        self.look_up_new().await?;
        let left = self.search.backlog.lock().as_ref().map_or(0, BTreeSet::len);
        if left > 0 {
            let code = format!("{left} tokens from before the start are still to be looked up");
            return Err(ambiguous("look for a token", &code));
        }
        self.resolve().await?;
        let mut found = Vec::new();
        for (lease, held) in self.known().leases {
            // A mint in progress revokes what it created by itself.
            if self.search.is_lost(lease) && !self.mints.leases().contains(&lease) {
                // The token was created after its lease was given up, and nobody received it.
                match self.end_held(&held).await {
                    Ok(()) => continue,
                    // The failure of one lease must not hide others: it is listed, and revoked as a
                    // stray.
                    Err(error) if error.is_of_provider() => return Err(error),
                    Err(error) => {
                        tracing::warn!(%lease, %error, "cannot revoke a token that was created late; the next search tries again")
                    }
                }
            }
            let handle = held.handle();
            found.push(FoundCredential { lease, handle });
        }
        Ok(found)
    }
}
