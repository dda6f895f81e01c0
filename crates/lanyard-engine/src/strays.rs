//! Reconciliation of providers and ledger. A provider may have credentials that the ledger does not
//! know, after a journal was lost or restored from a copy; and the ledger may have leases that the
//! provider does not.

use std::collections::BTreeSet;
use std::time::Duration;

use lanyard_core::charter::{Name, Rights};
use lanyard_core::command::Observation;
use lanyard_core::id::{LeaseId, TaskId};
use lanyard_core::lease::{LeaseRef, Stage};
use lanyard_core::provider::{Found, Provider, ProviderError, Revocation, Revoked};
use lanyard_core::time::Timestamp;

use crate::engine::Engine;
use crate::pass::MAX_LEASES_PER_LOOK;

/// How often a target is reconciled.
pub(crate) const EVERY: Duration = Duration::from_secs(300);
/// How soon a failed reconciliation is repeated.
pub(crate) const AGAIN: Duration = Duration::from_secs(5);
/// How long one listing, or one revocation of what it found, may take.
const CALL: Duration = Duration::from_secs(60);

/// The first error that concerns the target. A credential that does not end yet is tried at the
/// next reconciliation, and holds up no other.
fn failed(
    target: &Name,
    outcomes: Vec<(LeaseId, Result<Revoked, ProviderError>)>,
) -> Option<ProviderError> {
    let mut errors = outcomes
        .into_iter()
        .filter_map(|(lease, it)| Some((lease, it.err()?)));
    errors.find_map(|(lease, error)| {
        if matches!(error, ProviderError::Pending { .. }) {
            tracing::error!(%target, %lease, %error, "a credential that no lease stands for does not end yet");
            return None;
        }
        Some(error)
    })
}

impl Engine {
    /// Issues nothing at a target before it is reconciled: after a start, credentials may exist
    /// that this ledger does not know.
    pub fn look_before_issuing(&self) {
        for lane in self.lanes.values() {
            lane.distrust("it has not been looked through since the start".to_owned());
        }
    }

    /// Revokes every credential at a target that bears the broker's marks and belongs to no lease.
    /// Returns how many, or `None` if the target could not be listed or a revocation failed. The
    /// intent is in the ledger before the provider is called, so a mint under way is never taken
    /// for one.
    pub async fn revoke_strays(&self, target: &Name) -> Option<usize> {
        self.hold_against_witness(target).await?;
        self.look_through(target).await
    }

    /// Compares the journal with the checkpoint that a target keeps, before the first
    /// reconciliation.
    pub(crate) async fn hold_against_witness(&self, target: &Name) -> Option<()> {
        let (provider, lane) = (self.providers().get(target)?, self.lanes.get(target)?);
        if lane.unseen().is_some()
            && let Err(why) = self.ask_witness(target, provider.as_ref()).await
        {
            tracing::warn!(%target, why, "the target could not be looked through");
            lane.distrust(why);
            return None;
        }
        Some(())
    }

    /// Reconciles a target as [`Engine::revoke_strays`] does, once the journal was compared with
    /// the checkpoint.
    pub(crate) async fn look_through(&self, target: &Name) -> Option<usize> {
        let (provider, lane) = (self.providers().get(target)?, self.lanes.get(target)?);
        let issued = self.issued_at(target, provider.as_ref());
        let looked = match tokio::time::timeout(CALL, provider.list()).await {
            Ok(Ok(listed)) => {
                self.note_missing(target, issued, &listed).await;
                self.revoke_unknown(target, provider.as_ref(), listed).await
            }
            Ok(Err(error)) => Err(error.to_string()),
            Err(_) => Err("no answer in time".to_owned()),
        };
        match looked {
            Ok(count) => {
                lane.trust();
                self.tidy(target, provider.as_ref()).await;
                Some(count)
            }
            Err(why) => {
                tracing::warn!(%target, why, "the target could not be looked through");
                // What was looked through once since the start stays trusted: the mints since then are known.
                if lane.unseen().is_some() {
                    lane.distrust(why);
                }
                None
            }
        }
    }

    /// Removes shared objects that no credential uses any more.
    async fn tidy(&self, target: &Name, provider: &dyn Provider) {
        let charters = self.charters().all();
        let grants = charters.iter().flat_map(|charter| charter.grants.values());
        let here = grants.filter(|grant| grant.target == *target);
        let rights: Vec<Rights> = here.map(|grant| grant.rights.clone()).collect();
        let in_use = || {
            let mut handles = Vec::new();
            let answered = self.pass(|_, lease| {
                if lease.entry.target == *target {
                    handles.push(lease.handle.clone());
                }
            });
            answered.then_some(handles)
        };
        match tokio::time::timeout(CALL, provider.tidy(&rights, &in_use)).await {
            Ok(Ok(0)) => {}
            Ok(Ok(count)) => {
                tracing::info!(%target, count, "what no lease uses any more was removed");
            }
            Ok(Err(error)) => {
                tracing::warn!(%target, %error, "what no lease uses any more is not removed yet");
            }
            Err(_) => {
                tracing::warn!(%target, "what no lease uses any more is not removed yet: no answer in time");
            }
        }
    }

    async fn revoke_unknown(
        &self,
        target: &Name,
        provider: &dyn Provider,
        listed: Vec<Found>,
    ) -> Result<usize, String> {
        let mut due = Vec::new();
        for some in listed.chunks(MAX_LEASES_PER_LOOK) {
            let strays = self.peek(|state| {
                let unknown = some
                    .iter()
                    .filter(|found| state.leases().get(found.lease).is_none());
                let stray = unknown.map(|found| LeaseRef {
                    id: found.lease,
                    task: TaskId::from_bits(0),
                    handle: found.handle.clone(),
                    asked: Timestamp::EPOCH,
                    worst_expiry: Timestamp::NEVER,
                    kill: None,
                });
                stray.collect::<Vec<_>>()
            });
            due.extend(strays.ok_or("the ledger does not answer")?);
        }
        let count = due.len();
        if count > 0 {
            tracing::error!(%target, count, "credentials that no lease stands for are being revoked");
        }
        let batches = provider.capabilities().at_once.max(1);
        for some in due.chunks(batches) {
            for stray in some {
                self.observe(target, Observation::Stray(stray.id)).await;
            }
            let revocation = Revocation {
                now: self.now(),
                due: some.to_vec(),
                ..Revocation::default()
            };
            let report = tokio::time::timeout(CALL, provider.revoke(&revocation)).await;
            let report = report.map_err(|_| "no answer in time to a revocation")?;
            if let Some(error) = failed(target, report.outcomes) {
                return Err(format!("what no lease stands for is not revoked: {error}"));
            }
            let proved = tokio::time::timeout(CALL, provider.prove(some)).await;
            let proved = proved.map_err(|_| "no answer in time to what is left of strays")?;
            if let Some(error) = failed(target, proved) {
                return Err(format!("what no lease stands for is not removed: {error}"));
            }
        }
        Ok(count)
    }

    /// The leases that a complete listing has to contain.
    fn issued_at(&self, target: &Name, provider: &dyn Provider) -> BTreeSet<LeaseId> {
        if !provider.capabilities().lists {
            return BTreeSet::new();
        }
        let mut issued = BTreeSet::new();
        let answered = self.pass(|_, lease| {
            if lease.entry.target == *target && matches!(lease.stage, Stage::Issued { .. }) {
                issued.insert(lease.id);
            }
        });
        if answered { issued } else { BTreeSet::new() }
    }

    /// Records that leases lost what they rest on at the target, because somebody else removed it.
    /// Their holders cannot use them.
    async fn note_missing(&self, target: &Name, issued: BTreeSet<LeaseId>, listed: &[Found]) {
        let listed: BTreeSet<LeaseId> = listed.iter().map(|found| found.lease).collect();
        let gone: Vec<LeaseId> = issued.difference(&listed).copied().collect();
        let mut missing = BTreeSet::new();
        for some in gone.chunks(MAX_LEASES_PER_LOOK) {
            let still = self.peek(|state| {
                let live = some.iter().copied().filter(|id| {
                    let lease = state.leases().get(*id);
                    lease.is_some_and(|lease| matches!(lease.stage, Stage::Issued { .. }))
                });
                live.collect::<Vec<_>>()
            });
            missing.extend(still.unwrap_or_default());
        }
        let new: Vec<LeaseId> = {
            let mut noted = self.missing.lock();
            let noted = noted.entry(target.clone()).or_default();
            let new = missing.difference(noted).copied().collect();
            *noted = missing;
            new
        };
        if new.is_empty() {
            return;
        }
        tracing::error!(%target, count = new.len(), "leases of the ledger have nothing at their target any more");
        self.observe(target, Observation::Missing(new)).await;
    }
}
