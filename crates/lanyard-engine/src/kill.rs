//! A kill, from the order to the stop of its leases, for every origin of an order: a person, a
//! ticket, an alert, a signal, a breaker, a journal that lost something, a drill, the spool.
//!
//! 1. The fence in memory: no secret in scope leaves this process any more.
//! 2. The commit: the ledger refuses new intents in scope, and the answers of mints under way.
//! 3. Without the journal, the spool: the next start takes the order from there.
//! 4. The sweep: every lease in scope is stopped, and the revokers go on from there.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use lanyard_core::command::Command;
use lanyard_core::condition::Reason;
use lanyard_core::kill::{Actor, KillOrder};
use lanyard_core::lease::StopCause;
use lanyard_core::ledger::CommitError;
use lanyard_core::spool::KillSpool;
use lanyard_core::state::is_unswept;
use lanyard_vocabulary::id::{KillId, LeaseId};
use lanyard_vocabulary::scope::{RoleFilter, Scope};
use lanyard_vocabulary::seq::Seq;
use parking_lot::Mutex;

use crate::clock::NoRandomness;
use crate::context::{Context, is_in_effect};
use crate::expiry::MAX_LEASES_PER_RECORD;
use crate::gate::SharedGate;
use crate::reach::Scopes;

/// An order that is in effect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fenced {
    /// The order as engaged.
    pub order: KillOrder,
    /// The order's place in the journal, once durable there.
    pub seq: Option<Seq>,
    /// True if the spool keeps the order for the next start, because the journal does not take it.
    pub spooled: bool,
}

impl Fenced {
    /// True if the order outlives this process.
    #[must_use]
    pub const fn is_durable(&self) -> bool {
        self.seq.is_some() || self.spooled
    }
}

/// Engages kill orders, and sweeps the leases that they make dead.
pub struct Kills {
    pub(crate) context: Arc<Context>,
    pub(crate) scopes: Arc<Scopes>,
    pub(crate) gate: SharedGate,
    pub(crate) spool: Arc<dyn KillSpool>,
    /// The newest order whose leases are all being stopped, as are those of every order before it:
    /// there will be no more of them.
    pub(crate) swept: Mutex<Option<Seq>>,
}

impl Kills {
    /// Makes a new order, which is not given yet.
    ///
    /// # Errors
    /// Without random bits there is no id.
    pub fn draft(
        &self,
        scope: Scope,
        roles: RoleFilter,
        reason: String,
        by: Actor,
    ) -> Result<KillOrder, NoRandomness> {
        self.context.draft_kill(scope, roles, reason, by)
    }

    /// Engages an order. The fence is up when this returns, whatever it returns; giving the same
    /// order again changes nothing.
    pub async fn engage(&self, order: KillOrder) -> Fenced {
        let fenced = self.fence(order).await;
        if fenced.seq.is_some() {
            return fenced;
        }
        let stored = self.spool.store(&fenced.order).await;
        if let Err(error) = &stored {
            tracing::error!(%error, kill = %fenced.order.id, "the spool does not take the order either");
        }
        Fenced {
            spooled: stored.is_ok(),
            ..fenced
        }
    }

    /// Raises the fence, then commits the order.
    async fn fence(&self, order: KillOrder) -> Fenced {
        // A cut reaches back from the time of its order: one of the future, by a clock that was
        // ahead, would deny what is issued after the re-arm.
        let order = KillOrder {
            at: order.at.min(self.context.now()),
            ..order
        };
        let order = self.scopes.with_identities(order);
        // What was named is fenced before anything is looked for.
        self.gate.raise(&order);
        let order = KillOrder {
            reaches_nothing: !self.scopes.names_something(&order),
            ..order
        };
        let conditions = &self.context.conditions;
        let not_durable = Reason::OrderNotDurable { order: order.id };
        let outcome = self.context.commit(Command::Kill(order.clone())).await;
        let seq = match outcome {
            Ok(seq) => {
                conditions.lower(&not_durable);
                Some(seq)
            }
            Err(CommitError::Refused(refusal)) => {
                tracing::info!(kill = %order.id, %refusal, "this order was given before");
                self.gate.lower(order.id);
                return self.given_before(order).await;
            }
            // The ledger issues nothing while it is so, and goes on where it stopped once it can be
            // written again.
            Err(CommitError::Volatile { why, .. }) => {
                tracing::error!(kill = %order.id, why, "in effect in this process alone: the order is not durable");
                // The order is in the state, which every release looks at. A fence left here would
                // outlast a re-arm.
                self.gate.lower(order.id);
                None
            }
            Err(CommitError::Unavailable(why)) => {
                tracing::error!(kill = %order.id, why, "fenced in this process only: the order is not durable");
                conditions.raise(not_durable);
                None
            }
        };
        if seq.is_some() {
            self.gate.lower(order.id);
        }
        self.context.wake_all();
        Fenced {
            order,
            seq,
            spooled: false,
        }
    }

    /// The same order, or the one of the same key.
    async fn given_before(&self, order: KillOrder) -> Fenced {
        let known = self.context.peek(|state| {
            let kills = state.kills();
            let same = kills.get(order.id);
            let same = same.or_else(|| kills.of_key(order.key.as_deref()?));
            same.map(|engaged| (engaged.order.clone(), engaged.seq))
        });
        let (order, seq) = match known {
            Some((order, seq)) if self.context.settle().await.is_ok() => (order, Some(seq)),
            Some((order, _)) => (order, None),
            None => (order, None),
        };
        Fenced {
            order,
            seq,
            spooled: false,
        }
    }

    /// Stops every lease that an order makes dead. Intents newer than an order are refused by the
    /// ledger, so one pass after the order finds all there are; the first pass of a process looks
    /// once at each lease, for all orders together.
    pub async fn sweep_orders(&self) {
        let context = &self.context;
        let through = *self.swept.lock();
        let epoch = context.peek(|state| state.kills().epoch());
        if through == Some(epoch) {
            return;
        }
        let Some(through) = through else {
            let mut found: BTreeMap<KillId, Vec<LeaseId>> = BTreeMap::new();
            context.pass(|state, lease| {
                if let Some(order) = state.unswept(lease) {
                    found.entry(order).or_default().push(lease.id);
                }
            });
            for (order, leases) in found {
                if !self.sweep(order, &leases).await {
                    return;
                }
            }
            *self.swept.lock() = Some(epoch);
            return;
        };
        let new = context.peek(|state| {
            let orders = state.kills().after(through);
            let orders = orders.map(|engaged| (engaged.order.clone(), engaged.seq));
            orders.collect::<Vec<_>>()
        });
        for (order, seq) in new {
            let leases = self.unswept(&order, seq);
            if !self.sweep(order.id, &leases).await {
                return;
            }
            *self.swept.lock() = Some(seq);
        }
    }

    /// The leases that an order makes dead and that no kill is stopping yet. No lease becomes one
    /// after the order is in effect, so that pages one after the other find all of them.
    pub(crate) fn unswept(&self, order: &KillOrder, seq: Seq) -> Vec<LeaseId> {
        let mut found = Vec::new();
        self.context.pass_in_reach(order, |_, lease| {
            if is_unswept(lease, order, seq) {
                found.push(lease.id);
            }
        });
        found
    }

    /// Stops the leases of an order, and returns true if the ledger took it.
    async fn sweep(&self, order: KillId, leases: &[LeaseId]) -> bool {
        for some in leases.chunks(MAX_LEASES_PER_RECORD) {
            let stop = Command::Stop {
                leases: some.to_vec(),
                cause: StopCause::Killed(order),
            };
            let stopped = self.context.commit(stop).await;
            if let Err(error) = &stopped {
                tracing::error!(%error, kill = %order, "the sweep could not be journaled");
            }
            if !is_in_effect(&stopped) {
                return false;
            }
            self.context.wake_all();
        }
        true
    }
}

impl Context {
    /// Makes a new order, which is not given yet.
    pub(crate) fn draft_kill(
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
}
