//! How leases end, and how that is shown.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::StreamExt as _;
use futures_util::stream;
use lanyard_core::id::LeaseId;
use lanyard_core::lease::LeaseRef;
use lanyard_core::provider::{Probe, ProviderError, Revocation, Revoked};

use crate::api::VaultApi;
use crate::handle::Held;
use crate::provider::VaultProvider;
use crate::transport::{ambiguous, refused};

/// How many leases are revoked at the same time.
const AT_ONCE: usize = 16;
const OPERATION: &str = "revoke";

type Outcome = Result<Revoked, ProviderError>;
/// The tokens that were looked for, or why they could not be.
type Sought = Result<BTreeMap<LeaseId, Held>, ProviderError>;
/// What became of the parents that were revoked.
type Cut = BTreeMap<String, Result<(), ProviderError>>;

fn unreadable() -> ProviderError {
    refused(OPERATION, "the handle cannot be read")
}

/// Whether a search would add nothing: the token is known, or the handle cannot be read at all.
fn is_named(lease: &LeaseRef) -> bool {
    Held::read(&lease.handle).is_none_or(|held| held.accessor.is_some())
}

impl<A: VaultApi> VaultProvider<A> {
    pub(crate) async fn revoke_all(&self, revocation: &Revocation) -> Vec<(LeaseId, Outcome)> {
        let (named, unnamed): (Vec<LeaseRef>, Vec<LeaseRef>) =
            revocation.due.iter().cloned().partition(is_named);
        // A server revokes the children of a parent one after the other, each with its writes to the disk: what is
        // known by name goes first, many at once, and the parent takes the rest. Not both at the same time: a token
        // that is revoked twice at once can leave its accessor behind.
        let mut outcomes = self.each(named).await;
        let cut = self.cut(revocation).await;
        let sought = self.seek(&unnamed).await;
        for lease in unnamed {
            let ended = self.end_unnamed(&lease, &cut, sought.as_ref()).await;
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
        if leases.iter().all(is_named) {
            return Ok(BTreeMap::new());
        }
        self.find().await
    }

    async fn end_unnamed(
        &self,
        lease: &LeaseRef,
        cut: &Cut,
        sought: Result<&BTreeMap<LeaseId, Held>, &ProviderError>,
    ) -> Result<(), ProviderError> {
        let held = Held::read(&lease.handle).ok_or_else(unreadable)?;
        if let Some(Err(error)) = cut.get(&held.parent) {
            return Err(error.clone());
        }
        match sought.map_err(Clone::clone)?.get(&lease.id) {
            Some(found) => self.end_held(found).await,
            // It never came to be, or it comes when nobody can have it any more.
            None => {
                self.search.lose(lease.id);
                Ok(())
            }
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
        let sought = self.seek(leases).await;
        let sought = sought.as_ref();
        stream::iter(leases.to_vec())
            .map(|lease| async move {
                let proved = self.prove_one(&lease, sought).await;
                (lease.id, proved)
            })
            .buffer_unordered(AT_ONCE)
            .collect()
            .await
    }

    async fn prove_one(
        &self,
        lease: &LeaseRef,
        sought: Result<&BTreeMap<LeaseId, Held>, &ProviderError>,
    ) -> Outcome {
        let mut held = Held::read(&lease.handle).ok_or_else(unreadable)?;
        if held.accessor.is_none() {
            match sought.map_err(Clone::clone)?.get(&lease.id) {
                Some(found) => held = found.clone(),
                None => return Ok(Revoked::ProvedDead),
            }
        }
        match self.is_dead(&held).await? {
            Probe::Dead => return Ok(Revoked::ProvedDead),
            Probe::Unknowable => return Ok(Revoked::Acknowledged),
            Probe::Live => {}
        }
        self.end_held(&held).await?;
        match self.is_dead(&held).await? {
            Probe::Dead => Ok(Revoked::ProvedDead),
            Probe::Unknowable => Ok(Revoked::Acknowledged),
            Probe::Live => Err(ambiguous(OPERATION, "the server still knows it")),
        }
    }

    async fn is_dead(&self, held: &Held) -> Result<Probe, ProviderError> {
        let Some(accessor) = &held.accessor else {
            return Ok(Probe::Unknowable);
        };
        if self.api.lookup(accessor).await?.is_some() {
            return Ok(Probe::Live);
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
            return self.is_dead(&held).await;
        }
        let found = self.find().await?;
        Ok(match found.get(&lease.id) {
            Some(_) => Probe::Live,
            None => Probe::Unknowable,
        })
    }
}
