//! Revokes leases, and proves that they are dead.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures_util::{StreamExt as _, stream};
use lanyard_core::lease::LeaseRef;
use lanyard_core::provider::{Probe, ProviderError, Revocation, Revoked};
use lanyard_vocabulary::id::LeaseId;
use tokio::time::{Instant, timeout_at};

use crate::api::{AccessorLookup, VaultApi};
use crate::handle::LeaseHandle;
use crate::known_tokens::Tokens;
use crate::provider::VaultProvider;
use crate::transport::{ambiguous, pending, refused};

/// Number of leases that are revoked concurrently.
const CONCURRENT_REVOCATIONS: usize = 16;
const OPERATION: &str = "revoke";
/// Revocations by name may begin within this time, and each must end within as much again. The rest
/// of the engine's time limit is left for the parents.
const BY_NAME_TIME: Duration = Duration::from_secs(10);
const BEGUN_REVOCATION_TIME: Duration = Duration::from_secs(3);
/// Time limit for revoking all parents.
const PARENTS_TIME: Duration = Duration::from_secs(10);
/// The time in which the server must show that it is up.
const HEALTH_CHECK_TIME: Duration = Duration::from_secs(2);

type Ended = Result<(), ProviderError>;
type Outcome = Result<Revoked, ProviderError>;
/// Outcome of each parent's revocation, by accessor.
type Cut = BTreeMap<String, Result<(), ProviderError>>;

/// The result of a search for tokens that no handle names.
struct SearchResult {
    /// Mints in progress when the search began.
    minting: BTreeSet<LeaseId>,
    /// The tokens of this broker, or why they could not be listed.
    tokens: Result<Tokens, ProviderError>,
}

impl SearchResult {
    /// The token of a lease whose handle does not name it.
    fn of(&self, lease: LeaseId) -> Result<Option<&LeaseHandle>, ProviderError> {
        let tokens = self.tokens.as_ref().map_err(Clone::clone)?;
        match tokens.leases.get(&lease) {
            None if self.minting.contains(&lease) => {
                Err(pending(OPERATION, "its mint is still in progress"))
            }
            found => Ok(found),
        }
    }

    fn is_whole(&self) -> bool {
        self.tokens.as_ref().is_ok_and(|tokens| !tokens.denied)
    }
}

/// Progress of one lease's revocation within its time.
enum ByName {
    Ended(Ended),
    /// The revocation of the lease's secret began and did not end in time.
    Slow,
    /// The revocation never began, or the server did not answer.
    Left,
}

/// The order that the server last acknowledged for a token.
#[derive(Clone, Copy)]
enum LastOrder {
    Nothing,
    Revoked,
}

fn unreadable() -> ProviderError {
    refused(OPERATION, "the handle cannot be read")
}

/// Returns the outcome for a lease whose parent was revoked. Its token is dead. A secret that the
/// token read ends when the server comes to it, so a lease with a secret is not acknowledged.
fn ended_with_parent(lease: &LeaseRef, cut: &Cut) -> Ended {
    let held = LeaseHandle::read(&lease.handle).ok_or_else(unreadable)?;
    match cut.get(&held.parent) {
        Some(Ok(())) if held.reads.is_none() => Ok(()),
        Some(Err(error)) => Err(error.clone()),
        Some(Ok(())) => Err(pending(
            OPERATION,
            "its secret has still to be revoked at its engine",
        )),
        None => Err(ambiguous(
            OPERATION,
            "the time was used up by calls for other leases",
        )),
    }
}

/// Returns true if a search cannot help: the handle names the token, or cannot be read.
fn is_named(lease: &LeaseRef) -> bool {
    LeaseHandle::read(&lease.handle).is_none_or(|held| held.accessor.is_some())
}

impl<A: VaultApi> VaultProvider<A> {
    pub(crate) async fn revoke_all(&self, revocation: &Revocation) -> Vec<(LeaseId, Outcome)> {
        let (mut named, unnamed): (Vec<LeaseRef>, Vec<LeaseRef>) =
            revocation.due.iter().cloned().partition(is_named);
        // Leases that need no engine first, because engines can hang.
        let has_secret = |held: LeaseHandle| held.secret.is_some();
        named.sort_by_key(|lease| LeaseHandle::read(&lease.handle).is_some_and(has_secret));
        // Revoke by name first, many at once, and the parents afterwards: a server revokes a
        // parent's children one by one, with disk writes for each. Never both at once: a token that
        // is revoked twice at the same time can leave its accessor behind.
        let each = self.revoke_by_name(named).await;
        let cut = self.revoke_parents(revocation).await;
        let is_slow = |each: &ByName| matches!(each, ByName::Slow);
        let is_answering = each.iter().any(|(_, each)| is_slow(each)) && self.is_answering().await;
        let ended = each.into_iter().map(|(lease, ended)| {
            let ended = match ended {
                ByName::Ended(ended) => ended,
                // The server answers, so it is the engine that hangs, and only this lease waits for
                // it.
                ByName::Slow if is_answering => ended_with_parent(&lease, &cut).map_err(|_| {
                    pending(OPERATION, "the engine of its secret did not finish in time")
                }),
                ByName::Slow | ByName::Left => ended_with_parent(&lease, &cut),
            };
            (lease.id, ended.map(|()| Revoked::Acknowledged))
        });
        let mut outcomes: Vec<_> = ended.collect();
        let sought = self.search_unnamed(&unnamed).await;
        for lease in unnamed {
            let ended = self.end_unnamed(&lease, &cut, &sought).await;
            outcomes.push((lease.id, ended.map(|()| Revoked::Acknowledged)));
        }
        outcomes
    }

    /// Revokes the parents of a killed target, and with each all of its leases, known or unknown. A
    /// parent created after the kill has only leases requested after the kill, and stays.
    async fn revoke_parents(&self, revocation: &Revocation) -> Cut {
        let Some(at) = revocation.cut else {
            return Cut::new();
        };
        let before = revocation.due.iter().filter(|lease| lease.asked <= at);
        let parents: BTreeSet<String> = before
            .filter_map(|lease| Some(LeaseHandle::read(&lease.handle)?.parent))
            .collect();
        let until = Instant::now() + PARENTS_TIME;
        stream::iter(parents)
            .map(|parent| async move {
                self.parents.forget(&parent);
                let revoked = timeout_at(until, self.api.revoke_accessor(&parent)).await;
                let late = || Err(ambiguous(OPERATION, "the revocation of a parent token did not finish in time"));
                let revoked = revoked.unwrap_or_else(|_| late());
                if let Err(error) = &revoked {
                    tracing::warn!(%error, "cannot revoke a parent token; its leases are revoked one by one");
                }
                (parent, revoked)
            })
            .buffer_unordered(CONCURRENT_REVOCATIONS)
            .collect()
            .await
    }

    /// Returns true if the server answers, while one of its engines does not.
    async fn is_answering(&self) -> bool {
        let asked = tokio::time::timeout(HEALTH_CHECK_TIME, self.api.mounts()).await;
        asked.is_ok_and(|answer| answer.is_ok())
    }

    /// Revokes the leases by name, and returns how far each got.
    async fn revoke_by_name(&self, leases: Vec<LeaseRef>) -> Vec<(LeaseRef, ByName)> {
        let until = Instant::now() + BY_NAME_TIME;
        stream::iter(leases)
            .map(|lease| async move {
                let ended = match LeaseHandle::read(&lease.handle) {
                    None => ByName::Ended(Err(unreadable())),
                    Some(_) if Instant::now() >= until => ByName::Left,
                    Some(held) => {
                        match timeout_at(until + BEGUN_REVOCATION_TIME, self.end_held(&held)).await
                        {
                            Ok(ended) => ByName::Ended(ended),
                            Err(_) if held.secret.is_some() => ByName::Slow,
                            Err(_) => ByName::Left,
                        }
                    }
                };
                (lease, ended)
            })
            .buffer_unordered(CONCURRENT_REVOCATIONS)
            .collect()
            .await
    }

    /// Searches for the tokens of leases whose handles name none. Without such leases it makes no
    /// call.
    async fn search_unnamed(&self, leases: &[LeaseRef]) -> SearchResult {
        let unnamed = leases.iter().filter(|lease| !is_named(lease));
        let unnamed: Vec<LeaseId> = unnamed.map(|lease| lease.id).collect();
        // The order matters. A mint that begins later sees that its lease is lost; a mint in
        // progress does not count as one that created nothing; and the listing shows what a
        // finished mint created.
        unnamed.iter().for_each(|lease| self.search.lose(*lease));
        let minting = self.mints.leases();
        let tokens = if unnamed.is_empty() {
            Ok(Tokens::default())
        } else {
            self.find().await
        };
        SearchResult { minting, tokens }
    }

    async fn end_unnamed(
        &self,
        lease: &LeaseRef,
        cut: &Cut,
        sought: &SearchResult,
    ) -> Result<(), ProviderError> {
        let held = LeaseHandle::read(&lease.handle).ok_or_else(unreadable)?;
        if let Some(Err(error)) = cut.get(&held.parent) {
            return Err(error.clone());
        }
        match sought.of(lease.id)? {
            Some(found) => self.end_held(found).await,
            // The token does not exist. If it is created later, nobody receives it: the lost mint
            // revokes what it creates.
            None => Ok(()),
        }
    }

    /// Revokes the secret, then the token. The secret comes first, because it works without the
    /// server.
    pub(crate) async fn end_held(&self, held: &LeaseHandle) -> Result<(), ProviderError> {
        if let Some(secret) = &held.secret {
            self.api.revoke_lease(secret).await?;
        }
        match &held.accessor {
            Some(accessor) => self.api.revoke_accessor(accessor).await,
            None => Ok(()),
        }
    }

    pub(crate) async fn prove_all(&self, leases: &[LeaseRef]) -> Vec<(LeaseId, Outcome)> {
        let sought = &self.search_unnamed(leases).await;
        stream::iter(leases.to_vec())
            .map(|lease| async move {
                let proved = self.prove_one(&lease, sought).await;
                (lease.id, proved)
            })
            .buffer_unordered(CONCURRENT_REVOCATIONS)
            .collect()
            .await
    }

    async fn prove_one(&self, lease: &LeaseRef, sought: &SearchResult) -> Outcome {
        let mut held = LeaseHandle::read(&lease.handle).ok_or_else(unreadable)?;
        if held.accessor.is_none() {
            match sought.of(lease.id)? {
                Some(found) => held = found.clone(),
                // The token may be one of those that the server does not describe.
                None if !sought.is_whole() => return Ok(Revoked::Acknowledged),
                None => return Ok(Revoked::ProvedDead),
            }
        }
        match self.is_dead(&held, LastOrder::Nothing).await? {
            Probe::Dead => return Ok(Revoked::ProvedDead),
            Probe::Unknowable => return Ok(Revoked::Acknowledged),
            Probe::Live => {}
        }
        self.end_held(&held).await?;
        match self.is_dead(&held, LastOrder::Revoked).await? {
            Probe::Dead => Ok(Revoked::ProvedDead),
            Probe::Unknowable => Ok(Revoked::Acknowledged),
            Probe::Live => Err(ambiguous(OPERATION, "the server still holds it")),
        }
    }

    async fn is_dead(&self, held: &LeaseHandle, told: LastOrder) -> Result<Probe, ProviderError> {
        let Some(accessor) = &held.accessor else {
            return Ok(Probe::Unknowable);
        };
        match (self.api.lookup(accessor).await?, told) {
            // A token that was just revoked can leave its accessor behind.
            (AccessorLookup::Gone, _) | (AccessorLookup::Denied, LastOrder::Revoked) => {}
            (AccessorLookup::Found(_), _) | (AccessorLookup::Denied, LastOrder::Nothing) => {
                return Ok(Probe::Live);
            }
        }
        match (&held.secret, &held.reads) {
            (Some(secret), _) if self.api.lease_exists(secret).await? => Ok(Probe::Live),
            (Some(_), _) | (None, None) => Ok(Probe::Dead),
            // The token is gone, but the server ends the secret that the token read at a time of
            // its own.
            (None, Some(_)) => Ok(Probe::Unknowable),
        }
    }

    pub(crate) async fn probe_one(&self, lease: &LeaseRef) -> Result<Probe, ProviderError> {
        let Some(held) = LeaseHandle::read(&lease.handle) else {
            return Ok(Probe::Unknowable);
        };
        if held.accessor.is_some() {
            return self.is_dead(&held, LastOrder::Nothing).await;
        }
        let found = self.find().await?;
        Ok(match found.leases.get(&lease.id) {
            Some(_) => Probe::Live,
            None => Probe::Unknowable,
        })
    }
}
