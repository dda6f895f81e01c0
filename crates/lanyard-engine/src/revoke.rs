//! Revocation, one worker a target: what is being stopped is revoked, again and again, until the provider
//! has taken it or nothing can be live.

use std::time::Duration;

use lanyard_core::charter::Name;
use lanyard_core::command::Command;
use lanyard_core::id::LeaseId;
use lanyard_core::kill::Lifted;
use lanyard_core::lease::{Awaits, LeaseRef, Progress, Stage, StopCause};
use lanyard_core::provider::{Capabilities, Revocation, Revoked};
use lanyard_core::scope::{RoleFilter, Scope};
use lanyard_core::state::State;
use lanyard_core::time::Timestamp;

use crate::engine::Engine;

/// How many leases one record presumes dead.
const BATCH: usize = 4096;
/// How long one call may take.
const CALL: Duration = Duration::from_secs(30);

/// What a round came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Round {
    /// Nothing was due.
    Idle,
    /// Everything that was due was taken; there may be more.
    Done,
    /// Something failed: again after a while.
    Failed,
}

impl Engine {
    /// One round on one target: as many leases as its provider takes at once.
    pub async fn revoke_round(&self, target: &Name) -> Round {
        let Some(provider) = self.providers().get(target) else {
            return Round::Idle;
        };
        let now = self.now();
        let limits = provider.capabilities();
        let Some(work) = self.peek(|state| work(state, target, now, &limits)) else {
            return Round::Failed;
        };
        if work.due.is_empty() {
            return Round::Idle;
        }
        let due: Vec<LeaseId> = work.due.iter().map(|lease| lease.id).collect();
        let requested = due.iter().map(|id| (*id, Progress::Requested)).collect();
        self.advance(requested).await;
        let Ok(report) = tokio::time::timeout(CALL, provider.revoke(&work)).await else {
            tracing::warn!(%target, leases = due.len(), "the provider did not answer a revocation");
            return Round::Failed;
        };
        let now = self.now();
        let mut progress = Vec::with_capacity(report.outcomes.len());
        let mut failed = report.outcomes.len() < due.len();
        for (lease, outcome) in report.outcomes {
            match outcome {
                Ok(Revoked::Acknowledged) => progress.push((lease, Progress::Acknowledged(now))),
                Ok(Revoked::ProvedDead) => progress.push((lease, Progress::ProvedDead(now))),
                Err(error) => {
                    failed = true;
                    tracing::warn!(%target, %lease, %error, "a revocation failed and will be repeated");
                }
            }
        }
        failed |= !self.advance(progress).await;
        if let Some(cut) = report.cut {
            self.collateral(target, cut).await;
        }
        if failed { Round::Failed } else { Round::Done }
    }

    /// Journals progress; says whether it is. A revocation goes on without the journal, and is then
    /// repeated, which is harmless.
    async fn advance(&self, progress: Vec<(LeaseId, Progress)>) -> bool {
        if progress.is_empty() {
            return true;
        }
        let outcome = self.commit(Command::Advance { progress }).await;
        if let Err(error) = &outcome {
            tracing::error!(%error, "the progress of a revocation could not be journaled");
        }
        outcome.is_ok()
    }

    /// A cut of a role took along leases that nobody ordered dead: they are ended, and said to be.
    async fn collateral(&self, target: &Name, cut: Timestamp) {
        let found = self.peek(|state| {
            let order = state
                .kills()
                .iter()
                .next_back()
                .map(|engaged| engaged.order.id)?;
            let leases: Vec<_> = state
                .leases()
                .iter()
                .filter(|lease| {
                    lease.is_live() && lease.entry.target == *target && lease.asked <= cut
                })
                .map(|lease| lease.id)
                .collect();
            (!leases.is_empty()).then_some((order, leases))
        });
        if let Some((order, leases)) = found.flatten() {
            let stop = Command::Stop {
                leases,
                cause: StopCause::Collateral(order),
            };
            if let Err(error) = self.commit(stop).await {
                tracing::error!(%error, %target, "collateral of a cut could not be journaled");
            }
        }
    }

    /// Acknowledged leases whose declared bound has passed are presumed dead.
    pub async fn presume(&self, target: &Name) {
        let Some(provider) = self.providers().get(target) else {
            return;
        };
        let (bound, now) = (provider.capabilities().settles, self.now());
        let due = self.peek(|state| {
            state
                .leases()
                .awaiting(target, Awaits::Bound)
                .filter_map(|lease| match lease.stage {
                    Stage::Stopping {
                        progress: Progress::Acknowledged(at),
                        ..
                    } if at + bound <= now => Some((lease.id, Progress::PresumedDead(now))),
                    Stage::Stopping { .. } | Stage::Intent | Stage::Issued { .. } => None,
                })
                .take(BATCH)
                .collect()
        });
        self.advance(due.unwrap_or_default()).await;
    }
}

fn work(state: &State, target: &Name, now: Timestamp, limits: &Capabilities) -> Revocation {
    let mut work = Revocation {
        now,
        cut: cut(state, target),
        ..Revocation::default()
    };
    let mut due = state.leases().awaiting(target, Awaits::Provider);
    work.due = due
        .by_ref()
        .take(limits.at_once)
        .map(LeaseRef::from)
        .collect();
    if limits.whole && !work.due.is_empty() {
        let others = [Awaits::Bound, Awaits::End, Awaits::Nothing].into_iter();
        let others = others.flat_map(|what| state.leases().awaiting(target, what));
        work.standing = due.chain(others).map(LeaseRef::from).collect();
    }
    work
}

/// The newest order over the whole target, of both roles, while it is engaged or anything under it could live.
fn cut(state: &State, target: &Name) -> Option<Timestamp> {
    state
        .kills()
        .iter()
        .rev()
        .find(|engaged| {
            let whole = match &engaged.order.scope {
                Scope::All => true,
                Scope::Target(name) => name == target,
                Scope::Environment(_)
                | Scope::Charter(_)
                | Scope::Agent(_)
                | Scope::Task(_)
                | Scope::Lease(_) => false,
            };
            let both = engaged.order.roles == RoleFilter::Both;
            whole
                && both
                && (engaged.lifted == Lifted::Nothing || stands(state, target, engaged.order.id))
        })
        .map(|engaged| engaged.order.at)
}

fn stands(state: &State, target: &Name, order: lanyard_core::id::KillId) -> bool {
    state
        .leases()
        .stopping(target)
        .any(|lease| match lease.stage {
            Stage::Stopping { cause, .. } => cause.kill() == Some(order),
            Stage::Intent | Stage::Issued { .. } => false,
        })
}
