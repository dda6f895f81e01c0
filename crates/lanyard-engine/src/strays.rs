//! Reconciliation of providers and ledger. A provider may have credentials that the ledger does not
//! know, after a journal was lost or restored from a copy; and the ledger may have leases that the
//! provider does not.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use lanyard_charter::Rights;
use lanyard_core::checkpoint::JournalCheckpoint;
use lanyard_core::command::Observation;
use lanyard_core::lease::{LeaseRef, Stage};
use lanyard_core::provider::{FoundCredential, Provider, ProviderError, Revocation, Revoked};
use lanyard_vocabulary::id::{LeaseId, TaskId};
use lanyard_vocabulary::name::Name;
use lanyard_vocabulary::time::Timestamp;
use parking_lot::Mutex;

use crate::context::Context;
use crate::kill::Kills;
use crate::pass::MAX_LEASES_PER_LOOK;

/// The interval at which a target is reconciled.
pub(crate) const EVERY: Duration = Duration::from_secs(300);
/// The pause before a failed reconciliation is repeated.
pub(crate) const AGAIN: Duration = Duration::from_secs(5);
/// The time for which one listing, or one revocation of what it found, may take.
const LIST_CALL_WAIT: Duration = Duration::from_secs(60);

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
            tracing::error!(%target, %lease, %error, "could not revoke a credential that no lease stands for; the next pass retries");
            return None;
        }
        Some(error)
    })
}

/// Reconciles targets and ledger, and the journal with the checkpoints that targets keep.
pub struct Reconciler {
    pub(crate) context: Arc<Context>,
    pub(crate) kills: Arc<Kills>,
    /// The journal as this process found it.
    pub(crate) opened: JournalCheckpoint,
    /// The leases that are known to be gone from their target.
    pub(crate) missing: Mutex<BTreeMap<Name, BTreeSet<LeaseId>>>,
}

impl Reconciler {
    /// Issues nothing at a target before it is reconciled: after a start, credentials may exist
    /// that this ledger does not know.
    pub fn look_before_issuing(&self) {
        for lane in self.context.targets.lanes.values() {
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
        let (provider, lane) = self.context.targets.get(target)?;
        if lane.unseen().is_some()
            && let Err(why) = self.ask_witness(target, provider.as_ref()).await
        {
            tracing::warn!(%target, why, "could not reconcile the target with the ledger; the next pass retries");
            lane.distrust(why);
            return None;
        }
        Some(())
    }

    /// Reconciles a target as [`Reconciler::revoke_strays`] does, once the journal was compared
    /// with the checkpoint.
    pub(crate) async fn look_through(&self, target: &Name) -> Option<usize> {
        let (provider, lane) = self.context.targets.get(target)?;
        let issued = self.issued_at(target, provider.as_ref());
        let looked = match tokio::time::timeout(LIST_CALL_WAIT, provider.list()).await {
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
                tracing::warn!(%target, why, "could not reconcile the target with the ledger; the next pass retries");
                // What was looked through once since the start stays trusted: the mints since then
                // are known.
                if lane.unseen().is_some() {
                    lane.distrust(why);
                }
                None
            }
        }
    }

    /// Removes shared objects that no credential uses any more.
    async fn tidy(&self, target: &Name, provider: &dyn Provider) {
        let charters = self.context.charters.all();
        let grants = charters.iter().flat_map(|charter| charter.grants.values());
        let here = grants.filter(|grant| grant.target == *target);
        let rights: Vec<Rights> = here.map(|grant| grant.rights.clone()).collect();
        let in_use = || {
            let mut handles = Vec::new();
            self.context.pass(|_, lease| {
                if lease.entry.target == *target {
                    handles.push(lease.handle.clone());
                }
            });
            Some(handles)
        };
        match tokio::time::timeout(
            LIST_CALL_WAIT,
            provider.remove_unused_objects(&rights, &in_use),
        )
        .await
        {
            Ok(Ok(0)) => {}
            Ok(Ok(count)) => {
                tracing::info!(%target, count, "removed shared objects that no lease uses");
            }
            Ok(Err(error)) => {
                tracing::warn!(%target, %error, "could not remove unused shared objects; the next pass retries");
            }
            Err(_) => {
                tracing::warn!(%target, "could not remove unused shared objects: the target did not answer in time; the next pass retries");
            }
        }
    }

    async fn revoke_unknown(
        &self,
        target: &Name,
        provider: &dyn Provider,
        listed: Vec<FoundCredential>,
    ) -> Result<usize, String> {
        let mut due = Vec::new();
        for some in listed.chunks(MAX_LEASES_PER_LOOK) {
            let strays = self.context.peek(|state| {
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
            due.extend(strays);
        }
        let count = due.len();
        if count > 0 {
            tracing::error!(%target, count, "credentials that no lease stands for are being revoked");
        }
        let batches = provider.capabilities().max_batch.max(1);
        for some in due.chunks(batches) {
            for stray in some {
                self.context
                    .observe(target, Observation::Stray(stray.id))
                    .await;
            }
            let revocation = Revocation {
                now: self.context.now(),
                due: some.to_vec(),
                ..Revocation::default()
            };
            let report = tokio::time::timeout(LIST_CALL_WAIT, provider.revoke(&revocation)).await;
            let report = report.map_err(|_| "no answer in time to a revocation")?;
            if let Some(error) = failed(target, report.outcomes) {
                return Err(format!("what no lease stands for is not revoked: {error}"));
            }
            let proved =
                tokio::time::timeout(LIST_CALL_WAIT, provider.finish_and_prove(some)).await;
            let proved = proved.map_err(|_| "no answer in time to what is left of strays")?;
            if let Some(error) = failed(target, proved) {
                return Err(format!("what no lease stands for is not removed: {error}"));
            }
        }
        Ok(count)
    }

    /// The leases that a complete listing has to contain.
    fn issued_at(&self, target: &Name, provider: &dyn Provider) -> BTreeSet<LeaseId> {
        if !provider.capabilities().can_list {
            return BTreeSet::new();
        }
        let mut issued = BTreeSet::new();
        self.context.pass(|_, lease| {
            if lease.entry.target == *target && matches!(lease.stage, Stage::Issued { .. }) {
                issued.insert(lease.id);
            }
        });
        issued
    }

    /// Records that leases lost what they rest on at the target, because somebody else removed it.
    /// Their holders cannot use them.
    async fn note_missing(
        &self,
        target: &Name,
        issued: BTreeSet<LeaseId>,
        listed: &[FoundCredential],
    ) {
        let listed: BTreeSet<LeaseId> = listed.iter().map(|found| found.lease).collect();
        let gone: Vec<LeaseId> = issued.difference(&listed).copied().collect();
        let mut missing = BTreeSet::new();
        for some in gone.chunks(MAX_LEASES_PER_LOOK) {
            let still = self.context.peek(|state| {
                let live = some.iter().copied().filter(|id| {
                    let lease = state.leases().get(*id);
                    lease.is_some_and(|lease| matches!(lease.stage, Stage::Issued { .. }))
                });
                live.collect::<Vec<_>>()
            });
            missing.extend(still);
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
        tracing::error!(%target, count = new.len(), "the target no longer lists the credentials of some live leases");
        self.context
            .observe(target, Observation::Missing(new))
            .await;
    }
}
