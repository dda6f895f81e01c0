//! Kill orders: fence first, then durable, then the sweep.

use std::collections::{BTreeMap, BTreeSet};

use lanyard_core::command::Command;
use lanyard_core::condition::Reason;
use lanyard_core::id::{KillId, LeaseId};
use lanyard_core::kill::{Actor, KillOrder};
use lanyard_core::lease::{Seq, StopCause};
use lanyard_core::ledger::{CommitError, Reach};
use lanyard_core::scope::{RoleFilter, Scope};
use lanyard_core::state::is_unswept;

use crate::clock::NoRandomness;
use crate::engine::{Engine, is_in_effect};
use crate::expiry::MAX_LEASES_PER_RECORD;

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
            key: None,
            identities: BTreeSet::new(),
            as_typed: false,
            reaches_nothing: false,
        })
    }

    /// Engages an order. The fence is up when this returns, whatever it returns; giving the same order
    /// again changes nothing.
    pub async fn engage(&self, order: KillOrder) -> Fenced {
        // A cut reaches back from the time of its order: one of the future, by a clock that was ahead, would deny what is
        // issued after the re-arm.
        let order = KillOrder {
            at: order.at.min(self.now()),
            ..order
        };
        let order = self.with_identities(order);
        // What was named is fenced before anything is looked for.
        self.gate.raise(&order);
        let order = KillOrder {
            reaches_nothing: !self.names_something(&order),
            ..order
        };
        let not_durable = Reason::OrderNotDurable { order: order.id };
        let outcome = self.commit(Command::Kill(order.clone())).await;
        let seq = match outcome {
            Ok(seq) => {
                self.conditions.lower(&not_durable);
                Some(seq)
            }
            Err(CommitError::Refused(refusal)) => {
                tracing::info!(kill = %order.id, %refusal, "this order was given before");
                self.gate.lower(order.id);
                return self.given_before(order).await;
            }
            // The ledger issues nothing while it is so, and goes on where it stopped once it can be written again.
            Err(CommitError::Volatile { why, .. }) => {
                tracing::error!(kill = %order.id, why, "in effect in this process alone: the order is not durable");
                // The order is in the state, which every release looks at. A fence left here would outlast a re-arm.
                self.gate.lower(order.id);
                None
            }
            Err(CommitError::Unavailable(why)) => {
                tracing::error!(kill = %order.id, why, "fenced in this process only: the order is not durable");
                self.conditions.raise(not_durable);
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

    /// The same order, or the one of the same key.
    async fn given_before(&self, order: KillOrder) -> Fenced {
        let known = self.peek(|state| {
            let kills = state.kills();
            let same = kills.get(order.id);
            let same = same.or_else(|| kills.of_key(order.key.as_deref()?));
            same.map(|engaged| (engaged.order.clone(), engaged.seq))
        });
        let (order, seq) = match known.flatten() {
            Some((order, seq)) if self.settle().await.is_ok() => (order, Some(seq)),
            Some((order, _)) => (order, None),
            None => (order, None),
        };
        let reach = match seq {
            Some(seq) => self.parts.ledger.barrier(seq).await,
            None => Reach::Here,
        };
        Fenced {
            order,
            seq,
            spooled: false,
            reach,
        }
    }

    /// Stops every lease that an order makes dead. Intents newer than an order are refused by the ledger, so one pass after
    /// the order finds all there are; the first pass of a process looks once at each lease, for all orders together.
    pub async fn sweep_orders(&self) {
        let through = *self.swept.lock();
        let epoch = self.peek(|state| state.kills().epoch());
        let Some(epoch) = epoch.filter(|epoch| through != Some(*epoch)) else {
            return;
        };
        let Some(through) = through else {
            let mut found: BTreeMap<KillId, Vec<LeaseId>> = BTreeMap::new();
            let answered = self.pass(|state, lease| {
                if let Some(order) = state.unswept(lease) {
                    found.entry(order).or_default().push(lease.id);
                }
            });
            if !answered {
                return;
            }
            for (order, leases) in found {
                if !self.sweep(order, &leases).await {
                    return;
                }
            }
            *self.swept.lock() = Some(epoch);
            return;
        };
        let new = self.peek(|state| {
            let orders = state.kills().after(through);
            let orders = orders.map(|engaged| (engaged.order.clone(), engaged.seq));
            orders.collect::<Vec<_>>()
        });
        for (order, seq) in new.unwrap_or_default() {
            let Some(leases) = self.unswept(&order, seq) else {
                return;
            };
            if !self.sweep(order.id, &leases).await {
                return;
            }
            *self.swept.lock() = Some(seq);
        }
    }

    /// The leases that an order makes dead and that no kill is stopping yet. No lease becomes one after the order is in
    /// effect, so that pages one after the other find all of them.
    pub(crate) fn unswept(&self, order: &KillOrder, seq: Seq) -> Option<Vec<LeaseId>> {
        let mut found = Vec::new();
        let answered = self.pass_in_reach(order, |_, lease| {
            if is_unswept(lease, order, seq) {
                found.push(lease.id);
            }
        });
        answered.then_some(found)
    }

    /// Says whether the journal took it.
    async fn sweep(&self, order: KillId, leases: &[LeaseId]) -> bool {
        for some in leases.chunks(MAX_LEASES_PER_RECORD) {
            let stop = Command::Stop {
                leases: some.to_vec(),
                cause: StopCause::Killed(order),
            };
            let stopped = self.commit(stop).await;
            if let Err(error) = &stopped {
                tracing::error!(%error, kill = %order, "the sweep could not be journaled");
            }
            if !is_in_effect(&stopped) {
                return false;
            }
            self.wake_all();
        }
        true
    }
}
