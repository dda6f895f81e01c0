//! How leases end, and how that is shown.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream;
use lanyard_core::id::LeaseId;
use lanyard_core::lease::LeaseRef;
use lanyard_core::provider::{Probe, ProviderError, Revocation, Revoked};
use tokio::time::{Instant, timeout_at};

use crate::api::{Looked, VaultApi};
use crate::handle::Held;
use crate::provider::VaultProvider;
use crate::seen::Tokens;
use crate::transport::{ambiguous, pending, refused};

/// How many leases are revoked at the same time.
const AT_ONCE: usize = 16;
const OPERATION: &str = "revoke";
/// How long leases are begun to be revoked by name before their parents are, and how long what was begun may take: the
/// parents have to have their turn before the whole call is given up.
const EACH: Duration = Duration::from_secs(10);
const BEGUN: Duration = Duration::from_secs(3);
/// How long the parents may take, all of them.
const PARENTS: Duration = Duration::from_secs(10);
/// How long the server may take to show that it is well.
const WELL: Duration = Duration::from_secs(2);

type Ended = Result<(), ProviderError>;
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
                Err(pending(OPERATION, "its mint is still under way"))
            }
            found => Ok(found),
        }
    }

    fn is_whole(&self) -> bool {
        self.tokens.as_ref().is_ok_and(|tokens| !tokens.denied)
    }
}

/// How far one lease came in the time that all have.
enum Each {
    Ended(Ended),
    /// Its secret was begun to be revoked.
    Slow,
    /// Its turn did not come, or the server did not answer.
    Left,
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

/// A token has ended with its parent. What it read has not for certain: the server takes that back in its own time.
fn taken_along(lease: &LeaseRef, cut: &Cut) -> Ended {
    let held = Held::read(&lease.handle).ok_or_else(unreadable)?;
    match cut.get(&held.parent) {
        Some(Ok(())) if held.reads.is_none() => Ok(()),
        Some(Err(error)) => Err(error.clone()),
        Some(Ok(())) => Err(pending(
            OPERATION,
            "the engine that made its secret is asked next",
        )),
        None => Err(ambiguous(
            OPERATION,
            "the calls for other leases took all of the time of this one",
        )),
    }
}

/// Whether a search would add nothing: the token is known, or the handle cannot be read at all.
fn is_named(lease: &LeaseRef) -> bool {
    Held::read(&lease.handle).is_none_or(|held| held.accessor.is_some())
}

impl<A: VaultApi> VaultProvider<A> {
    pub(crate) async fn revoke_all(&self, revocation: &Revocation) -> Vec<(LeaseId, Outcome)> {
        let (mut named, unnamed): (Vec<LeaseRef>, Vec<LeaseRef>) =
            revocation.due.iter().cloned().partition(is_named);
        // What needs no engine goes first: engines can hang.
        let has_secret = |held: Held| held.secret.is_some();
        named.sort_by_key(|lease| Held::read(&lease.handle).is_some_and(has_secret));
        // A server revokes the children of a parent one after the other, each with its writes to the disk: what is
        // known by name goes first, many at once, and the parent takes the rest. Not both at the same time: a token
        // that is revoked twice at once can leave its accessor behind.
        let each = self.each(named).await;
        let cut = self.cut(revocation).await;
        let is_slow = |each: &Each| matches!(each, Each::Slow);
        let is_well = each.iter().any(|(_, each)| is_slow(each)) && self.is_well().await;
        let ended = each.into_iter().map(|(lease, ended)| {
            let ended = match ended {
                Each::Ended(ended) => ended,
                // What hangs is the engine, and nothing but this secret waits for it.
                Each::Slow if is_well => taken_along(&lease, &cut)
                    .map_err(|_| pending(OPERATION, "the engine that made its secret takes long")),
                Each::Slow | Each::Left => taken_along(&lease, &cut),
            };
            (lease.id, ended.map(|()| Revoked::Acknowledged))
        });
        let mut outcomes: Vec<_> = ended.collect();
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
        let until = Instant::now() + PARENTS;
        stream::iter(parents)
            .map(|parent| async move {
                self.parents.forget(&parent);
                let revoked = timeout_at(until, self.api.revoke_accessor(&parent)).await;
                let late = || Err(ambiguous(OPERATION, "a parent token takes long"));
                let revoked = revoked.unwrap_or_else(|_| late());
                if let Err(error) = &revoked {
                    tracing::warn!(%error, "a parent token could not be revoked; its leases are, one by one");
                }
                (parent, revoked)
            })
            .buffer_unordered(AT_ONCE)
            .collect()
            .await
    }

    /// Whether the server answers while an engine of it does not.
    async fn is_well(&self) -> bool {
        let asked = tokio::time::timeout(WELL, self.api.mounts()).await;
        asked.is_ok_and(|answer| answer.is_ok())
    }

    /// What became of each.
    async fn each(&self, leases: Vec<LeaseRef>) -> Vec<(LeaseRef, Each)> {
        let until = Instant::now() + EACH;
        stream::iter(leases)
            .map(|lease| async move {
                let ended = match Held::read(&lease.handle) {
                    None => Each::Ended(Err(unreadable())),
                    Some(_) if Instant::now() >= until => Each::Left,
                    Some(held) => match timeout_at(until + BEGUN, self.end_held(&held)).await {
                        Ok(ended) => Each::Ended(ended),
                        Err(_) if held.secret.is_some() => Each::Slow,
                        Err(_) => Each::Left,
                    },
                };
                (lease, ended)
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
