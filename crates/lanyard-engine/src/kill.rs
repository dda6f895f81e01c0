//! Kill orders: fence first, then durable, then the sweep; and the report of how far it got.

use std::collections::BTreeMap;

use lanyard_core::charter::Name;
use lanyard_core::command::Command;
use lanyard_core::id::{KillId, LeaseId, RearmId};
use lanyard_core::identity::Identity;
use lanyard_core::kill::{Actor, EngagedOrder, KillOrder, RearmProposal, RearmStage};
use lanyard_core::lease::{Awaits, Lease, Progress, Seq, Stage, StopCause};
use lanyard_core::ledger::{CommitError, Reach};
use lanyard_core::scope::{RoleFilter, Scope};
use lanyard_core::state::{Refusal, State};
use lanyard_core::time::Timestamp;

use crate::clock::NoRandomness;
use crate::engine::Engine;

/// How many leases one record stops.
const BATCH: usize = 4096;
/// How many leases a report lists one by one.
const MOST_LINES: usize = 1000;

/// An order that is in effect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fenced {
    /// The order.
    pub order: KillOrder,
    /// Its place in the journal, once durable there.
    pub seq: Option<Seq>,
    /// Whether it is kept elsewhere for the next start, where the journal does not take it.
    pub spooled: bool,
    /// How far it is known.
    pub reach: Reach,
}

/// What an order reaches now.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BlastRadius {
    /// Live leases, by target.
    pub leases: BTreeMap<Name, usize>,
}

/// How far a kill got.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KillReport {
    /// The order, and how far it was lifted.
    pub engaged: EngagedOrder,
    /// Lease by lease, those first that are furthest from dead; a thousand at most.
    pub lines: Vec<KillLine>,
    /// Leases in reach that the sweep has not come to.
    pub unswept: usize,
    /// Leases whose revocation no provider has taken yet.
    pub requested: usize,
    /// Leases whose revocation was taken, and whose declared bound has not passed.
    pub acknowledged: usize,
    /// Leases that are dead as far as can be known.
    pub dead: usize,
}

impl KillReport {
    /// Whether every lease in it is dead as far as can be known.
    #[must_use]
    pub const fn is_confirmed(&self) -> bool {
        self.is_taken() && self.acknowledged == 0
    }

    /// Whether nothing is left to do but to wait.
    #[must_use]
    pub const fn is_taken(&self) -> bool {
        self.unswept == 0 && self.requested == 0
    }
}

/// One lease of a report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KillLine {
    /// Which lease.
    pub lease: LeaseId,
    /// Where it worked.
    pub target: Name,
    /// How far its revocation got.
    pub progress: Progress,
    /// Whether it died for its neighbour.
    pub collateral: bool,
    /// Until when it could be live at worst.
    pub worst_expiry: Timestamp,
}

impl Fenced {
    /// Whether it outlives this process.
    #[must_use]
    pub const fn is_durable(&self) -> bool {
        self.seq.is_some() || self.spooled
    }
}

impl Engine {
    /// A new order, not yet given.
    ///
    /// # Errors
    /// Without random bits there is no id.
    pub fn draft_kill(
        &self,
        scope: Scope,
        roles: RoleFilter,
        reason: String,
        by: Actor,
    ) -> Result<KillOrder, NoRandomness> {
        Ok(KillOrder {
            id: KillId::from_bits(self.draw()?),
            scope,
            roles,
            reason,
            by,
            at: self.now(),
            evidence: Vec::new(),
        })
    }

    /// Engages an order. The fence is up when this returns, whatever it returns; giving the same order
    /// again changes nothing.
    pub async fn engage(&self, order: KillOrder) -> Fenced {
        self.gate.raise(&order);
        let outcome = self.commit(Command::Kill(order.clone())).await;
        let seq = match outcome {
            Ok(seq) => Some(seq),
            Err(CommitError::Refused(refusal)) => {
                tracing::info!(kill = %order.id, %refusal, "this order was given before");
                self.peek(|state| state.kills().get(order.id).map(|engaged| engaged.seq))
                    .flatten()
            }
            Err(CommitError::Unavailable(why)) => {
                tracing::error!(kill = %order.id, why, "fenced in this process only: the order is not durable");
                self.gate.shut();
                None
            }
        };
        let reach = match seq {
            Some(seq) => {
                self.gate.lower(order.id);
                self.parts.ledger.barrier(seq).await
            }
            None => Reach::Here,
        };
        self.wake_all();
        Fenced {
            order,
            seq,
            spooled: false,
            reach,
        }
    }

    /// What an order would reach now.
    #[must_use]
    pub fn blast_radius(&self, scope: &Scope, roles: RoleFilter) -> BlastRadius {
        let mut radius = BlastRadius::default();
        self.peek(|state| {
            for lease in state.leases().in_scope(scope) {
                if lease.is_live() && roles.reaches(lease.entry.role) {
                    *radius.leases.entry(lease.entry.target.clone()).or_default() += 1;
                }
            }
        });
        radius
    }

    /// Stops every lease that an order makes dead. Intents newer than an order are refused by the
    /// ledger, so one pass after the order finds all there are.
    pub async fn sweep_orders(&self) {
        let swept = self.swept.lock().clone();
        let orders: Vec<_> = self
            .peek(|state| {
                let orders = state.kills().iter();
                let open = orders.filter(|engaged| !swept.contains(&engaged.order.id));
                open.map(|engaged| (engaged.order.clone(), engaged.seq))
                    .collect()
            })
            .unwrap_or_default();
        for (order, seq) in orders {
            let Some(found) = self.peek(|state| state.unswept(&order, seq)) else {
                return;
            };
            for some in found.chunks(BATCH) {
                let stop = Command::Stop {
                    leases: some.to_vec(),
                    cause: StopCause::Killed(order.id),
                };
                if let Err(error) = self.commit(stop).await {
                    tracing::error!(%error, kill = %order.id, "the sweep could not be journaled");
                    return;
                }
                self.wake_all();
            }
            self.swept.lock().insert(order.id);
        }
    }

    /// How far an order got.
    ///
    /// # Errors
    /// When the ledger cannot say.
    pub async fn kill_report(&self, id: KillId) -> Result<Option<KillReport>, CommitError> {
        let swept = self.swept.lock().contains(&id);
        self.query(|state| report(state, id, swept)).await
    }

    /// Proposes to lift an order by a step.
    ///
    /// # Errors
    /// As of the ledger.
    pub async fn propose_rearm(
        &self,
        step: RearmStep,
        by: &Identity,
    ) -> Result<RearmProposal, CommitError> {
        let id = RearmId::from_bits(
            self.draw()
                .map_err(|error| CommitError::Unavailable(error.to_string()))?,
        );
        let proposal = RearmProposal {
            id,
            kill: step.kill,
            stage: step.stage,
            by: by.clone(),
            reason: step.reason,
            at: self.now(),
            despite_unconfirmed: step.despite_unconfirmed,
        };
        self.commit(Command::ProposeRearm(proposal.clone())).await?;
        Ok(proposal)
    }

    /// Confirms one, as another person. Refused while a lease of the order is not confirmed dead, unless both
    /// people say that they know.
    ///
    /// # Errors
    /// As of the ledger.
    pub async fn confirm_rearm(
        &self,
        rearm: RearmId,
        by: &Identity,
        despite_unconfirmed: bool,
    ) -> Result<EngagedOrder, CommitError> {
        let proposal = self.query(|state| state.rearm(rearm).cloned()).await?;
        let unknown = || CommitError::Refused(Refusal::Unknown(format!("re-arm {rearm}")));
        let proposal = proposal.ok_or_else(unknown)?;
        let kill = proposal.kill;
        let report = self.kill_report(kill).await?;
        let open = report.is_some_and(|report| !report.is_confirmed());
        if open && !(proposal.despite_unconfirmed && despite_unconfirmed) {
            return Err(CommitError::Refused(Refusal::Rearm(
                "a lease of this order is neither proved nor presumed dead yet: wait, or let both people say \
                 that they re-arm despite that",
            )));
        }
        self.commit(Command::ConfirmRearm {
            rearm,
            kill,
            by: by.clone(),
        })
        .await?;
        self.query(|state| state.kills().get(kill).cloned())
            .await?
            .ok_or_else(unknown)
    }
}

/// What is proposed.
#[derive(Debug, Clone)]
pub struct RearmStep {
    /// Which order.
    pub kill: KillId,
    /// Which step.
    pub stage: RearmStage,
    /// Why.
    pub reason: String,
    /// Whether it is meant even while revocations of the order are not confirmed.
    pub despite_unconfirmed: bool,
}

fn report(state: &State, id: KillId, swept: bool) -> Option<KillReport> {
    let engaged = state.kills().get(id)?;
    let leases = state.leases();
    let steps = [Awaits::Provider, Awaits::Bound, Awaits::End];
    let line = |lease: &Lease| match lease.stage {
        Stage::Stopping { cause, progress } => Some(KillLine {
            lease: lease.id,
            target: lease.entry.target.clone(),
            progress,
            collateral: matches!(cause, StopCause::Collateral(_)),
            worst_expiry: lease.worst_expiry,
        }),
        Stage::Intent | Stage::Issued { .. } => None,
    };
    let lines = steps
        .into_iter()
        .flat_map(|what| leases.killed(id, what))
        .filter_map(line);
    Some(KillReport {
        lines: lines.take(MOST_LINES).collect(),
        unswept: if swept {
            0
        } else {
            state.unswept(&engaged.order, engaged.seq).len()
        },
        requested: leases.count_killed(id, Awaits::Provider),
        acknowledged: leases.count_killed(id, Awaits::Bound),
        dead: leases.count_killed(id, Awaits::End),
        engaged: engaged.clone(),
    })
}
