//! How leases end, and how that is shown.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::StreamExt as _;
use futures_util::stream;
use lanyard_core::id::LeaseId;
use lanyard_core::lease::LeaseRef;
use lanyard_core::provider::{Probe, ProviderError, Revocation, Revoked};

use crate::api::{Looked, VaultApi};
use crate::handle::Held;
use crate::provider::VaultProvider;
use crate::search::Tokens;
use crate::transport::{ambiguous, refused};

/// How many leases are revoked at the same time.
const AT_ONCE: usize = 16;
const OPERATION: &str = "revoke";

type Outcome = Result<Revoked, ProviderError>;
/// What became of the parents that were revoked.
type Cut = BTreeMap<String, Result<(), ProviderError>>;

/// What was looked for.
struct Sought {
    /// The mints that were under way when the search began.
    minting: BTreeSet<LeaseId>,
    /// What there is, or why that is not known.
    tokens: Result<Tokens, ProviderError>,
}

impl Sought {
    /// The token of a lease whose handle does not name it.
    fn of(&self, lease: LeaseId) -> Result<Option<&Held>, ProviderError> {
        let tokens = self.tokens.as_ref().map_err(Clone::clone)?;
        match tokens.leases.get(&lease) {
            None if self.minting.contains(&lease) => {
                Err(ambiguous(OPERATION, "its mint is still under way"))
            }
            found => Ok(found),
        }
    }

    fn is_whole(&self) -> bool {
        self.tokens.as_ref().is_ok_and(|tokens| !tokens.denied)
    }
}

/// What the server was told of a token just now, and took.
#[derive(Clone, Copy)]
enum Told {
    Nothing,
    Revoked,
}

fn unreadable() -> ProviderError {
    refused(OPERATION, "the handle cannot be read")
}

/// Whether a search would add nothing: the token is known, or the handle cannot be read at all.
fn is_named(lease: &LeaseRef) -> bool {
    Held::read(&lease.handle).is_none_or(|held| held.accessor.is_some())
}

impl<A: VaultApi> VaultProvider<A> {
    pub(crate) async fn revoke_all(&self, revocation: &Revocation) -> Vec<(LeaseId, Outcome)> {
        self.mints.told(revocation.now);
        let (named, unnamed): (Vec<LeaseRef>, Vec<LeaseRef>) =
            revocation.due.iter().cloned().partition(is_named);
        // A server revokes the children of a parent one after the other, each with its writes to the disk: what is
        // known by name goes first, many at once, and the parent takes the rest. Not both at the same time: a token
        // that is revoked twice at once can leave its accessor behind.
        let mut outcomes = self.each(named).await;
        let cut = self.cut(revocation).await;
        let sought = self.seek(&unnamed).await;
        for lease in unnamed {
            let ended = self.end_unnamed(&lease, &cut, &sought).await;
            outcomes.push((lease.id, ended.map(|()| Revoked::Acknowledged)));
        }
        outcomes
    }

    /// A kill of the whole target: each parent, with all of its leases, known or not. A parent from after the kill
    /// has no lease that was asked for before it.
    async fn cut(&self, revocation: &Revocation) -> Cut {
        let Some(at) = revocation.cut else {
            return Cut::new();
        };
        let before = revocation.due.iter().filter(|lease| lease.asked <= at);
        let parents: BTreeSet<String> = before
            .filter_map(|lease| Some(Held::read(&lease.handle)?.parent))
            .collect();
        let mut cut = Cut::new();
        for parent in parents {
            self.parents.forget(&parent);
            let revoked = self.api.revoke_accessor(&parent).await;
            if let Err(error) = &revoked {
                tracing::warn!(%error, "a parent token could not be revoked; its leases are, one by one");
            }
            cut.insert(parent, revoked);
        }
        cut
    }

    async fn each(&self, leases: Vec<LeaseRef>) -> Vec<(LeaseId, Outcome)> {
        stream::iter(leases)
            .map(|lease| async move {
                let ended = match Held::read(&lease.handle) {
                    Some(held) => self.end_held(&held).await,
                    None => Err(unreadable()),
                };
                (lease.id, ended.map(|()| Revoked::Acknowledged))
            })
            .buffer_unordered(AT_ONCE)
            .collect()
            .await
    }

    /// The tokens of leases whose handles do not name them, where there are any such leases.
    async fn seek(&self, leases: &[LeaseRef]) -> Sought {
        let unnamed = leases.iter().filter(|lease| !is_named(lease));
        let unnamed: Vec<LeaseId> = unnamed.map(|lease| lease.id).collect();
        // In this order: a mint that begins later sees that its lease is lost, one that is under way is not said to
        // have come to nothing, and what one that is over has made is listed.
        unnamed.iter().for_each(|lease| self.search.lose(*lease));
        let minting = self.mints.under_way();
        let tokens = if unnamed.is_empty() {
            Ok(Tokens::default())
        } else {
            self.find().await
        };
        Sought { minting, tokens }
    }

    async fn end_unnamed(
        &self,
        lease: &LeaseRef,
        cut: &Cut,
        sought: &Sought,
    ) -> Result<(), ProviderError> {
        let held = Held::read(&lease.handle).ok_or_else(unreadable)?;
        if let Some(Err(error)) = cut.get(&held.parent) {
            return Err(error.clone());
        }
        match sought.of(lease.id)? {
            Some(found) => self.end_held(found).await,
            // It never came to be, or it comes when nobody can have it any more.
            None => Ok(()),
        }
    }

    /// The secret first: it is what works without the server.
    pub(crate) async fn end_held(&self, held: &Held) -> Result<(), ProviderError> {
        if let Some(secret) = &held.secret {
            self.api.revoke_lease(secret).await?;
        }
        match &held.accessor {
            Some(accessor) => self.api.revoke_accessor(accessor).await,
            None => Ok(()),
        }
    }

    pub(crate) async fn prove_all(&self, leases: &[LeaseRef]) -> Vec<(LeaseId, Outcome)> {
        let sought = &self.seek(leases).await;
        stream::iter(leases.to_vec())
            .map(|lease| async move {
                let proved = self.prove_one(&lease, sought).await;
                (lease.id, proved)
            })
            .buffer_unordered(AT_ONCE)
            .collect()
            .await
    }

    async fn prove_one(&self, lease: &LeaseRef, sought: &Sought) -> Outcome {
        let mut held = Held::read(&lease.handle).ok_or_else(unreadable)?;
        if held.accessor.is_none() {
            match sought.of(lease.id)? {
                Some(found) => held = found.clone(),
                None if !self.mints.is_settled(lease.asked) => {
                    let why = "a request without an answer may still be carried out";
                    return Err(ambiguous("look for a token", why));
                }
                // It could be what the server does not tell of.
                None if !sought.is_whole() => return Ok(Revoked::Acknowledged),
                None => return Ok(Revoked::ProvedDead),
            }
        }
        match self.is_dead(&held, Told::Nothing).await? {
            Probe::Dead => return Ok(Revoked::ProvedDead),
            Probe::Unknowable => return Ok(Revoked::Acknowledged),
            Probe::Live => {}
        }
        self.end_held(&held).await?;
        match self.is_dead(&held, Told::Revoked).await? {
            Probe::Dead => Ok(Revoked::ProvedDead),
            Probe::Unknowable => Ok(Revoked::Acknowledged),
            Probe::Live => Err(ambiguous(OPERATION, "the server still knows it")),
        }
    }

    async fn is_dead(&self, held: &Held, told: Told) -> Result<Probe, ProviderError> {
        let Some(accessor) = &held.accessor else {
            return Ok(Probe::Unknowable);
        };
        match (self.api.lookup(accessor).await?, told) {
            // What was just revoked can leave its accessor behind.
            (Looked::Gone, _) | (Looked::Denied, Told::Revoked) => {}
            (Looked::There(_), _) | (Looked::Denied, Told::Nothing) => return Ok(Probe::Live),
        }
        match (&held.secret, &held.reads) {
            (Some(secret), _) if self.api.lease_exists(secret).await? => Ok(Probe::Live),
            (Some(_), _) | (None, None) => Ok(Probe::Dead),
            // The token is gone, and the server ends what it read in its own time.
            (None, Some(_)) => Ok(Probe::Unknowable),
        }
    }

    pub(crate) async fn probe_one(&self, lease: &LeaseRef) -> Result<Probe, ProviderError> {
        let Some(held) = Held::read(&lease.handle) else {
            return Ok(Probe::Unknowable);
        };
        if held.accessor.is_some() {
            return self.is_dead(&held, Told::Nothing).await;
        }
        let found = self.find().await?;
        Ok(match found.leases.get(&lease.id) {
            Some(_) => Probe::Live,
            None => Probe::Unknowable,
        })
    }
}
