//! Kill orders: fence first, then durable, then the sweep.

use std::collections::{BTreeMap, BTreeSet};

use lanyard_core::charter::Name;
use lanyard_core::command::Command;
use lanyard_core::condition::Reason;
use lanyard_core::id::{KillId, LeaseId};
use lanyard_core::identity::Identity;
use lanyard_core::kill::{Actor, KillOrder};
use lanyard_core::lease::{Lease, Seq, StopCause};
use lanyard_core::ledger::{CommitError, Reach};
use lanyard_core::scope::{RoleFilter, Scope};
use lanyard_core::state::is_unswept;

use crate::clock::NoRandomness;
use crate::engine::{Engine, is_in_effect};
use crate::expiry::MAX_LEASES_PER_RECORD;

/// So many names are listed beside one that is not known.
const NAMES_LISTED: usize = 10;

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

/// What an order reaches.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BlastRadius {
    /// Leases that are live, or that the order found live, by target.
    pub leases: BTreeMap<Name, usize>,
    /// Why the scope may be mistyped: a target, an environment, a charter or an agent of a name that nothing has which is
    /// configured, in force or in the books. The order is worth engaging all the same: the name may come.
    pub unknown_name: Option<String>,
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
        self.gate.raise(&order);
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

    /// The order with the identities that the configuration has under its agent's name: tasks that were opened before the
    /// name was configured go by another one (S32).
    fn with_identities(&self, order: KillOrder) -> KillOrder {
        let Scope::Agent(name) = &order.scope else {
            return order;
        };
        let named = self.parts.agents.iter().filter(|(_, agent)| *agent == name);
        let mut identities = order.identities.clone();
        identities.extend(named.map(|(identity, _)| identity.clone()));
        KillOrder {
            identities,
            ..order
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

    /// What an order would reach now, or what one that was given has reached.
    ///
    /// Every lease is looked at: whoever gives an order gives it first and counts afterwards.
    #[must_use]
    pub fn blast_radius(
        &self,
        scope: &Scope,
        roles: RoleFilter,
        given: Option<KillId>,
    ) -> BlastRadius {
        let mut leases = BTreeMap::new();
        let mut has_leases = false;
        self.pass_in_scope(scope, |lease| {
            // A lease that the order is stopping already has the name as well.
            has_leases = true;
            let is_reached = lease.is_live() || given.is_some() && lease.killed_by() == given;
            if is_reached && roles.reaches(lease.entry.role) {
                *leases.entry(lease.entry.target.clone()).or_default() += 1;
            }
        });
        let unknown_name = if has_leases {
            None
        } else {
            self.not_known(scope)
        };
        BlastRadius {
            leases,
            unknown_name,
        }
    }

    /// Shows each lease that an order of this scope would cover.
    fn pass_in_scope(&self, scope: &Scope, mut visit: impl FnMut(&Lease)) {
        let drafted = self.draft_kill(
            scope.clone(),
            RoleFilter::Both,
            String::new(),
            Actor::Broker,
        );
        if let Ok(order) = drafted.map(|order| self.with_identities(order)) {
            self.pass_in_reach(&order, |_, lease| visit(lease));
        }
    }

    /// The name of a scope that nothing has which is configured or in force, and the names that there are.
    fn not_known(&self, scope: &Scope) -> Option<String> {
        let charters = self.charters().all();
        let (what, name, known) = match scope {
            Scope::All | Scope::Task(_) | Scope::Lease(_) => return None,
            Scope::Target(name) => (
                "target",
                name.to_string(),
                self.lanes.keys().cloned().collect(),
            ),
            Scope::Environment(name) => {
                let environments = charters
                    .iter()
                    .flat_map(|charter| charter.environments.keys());
                (
                    "environment",
                    name.to_string(),
                    environments.cloned().collect(),
                )
            }
            Scope::Charter(name) => {
                let names = charters.iter().map(|charter| charter.name.clone());
                ("charter", name.to_string(), names.collect())
            }
            Scope::Agent(agent) => {
                let configured = self.agents().values().any(|name| name == agent);
                let identity = agent.0.split_once('#').map(|(issuer, subject)| Identity {
                    issuer: issuer.to_owned(),
                    subject: subject.to_owned(),
                });
                if configured || identity.is_some_and(|identity| self.knows(&identity)) {
                    return None;
                }
                ("agent", agent.to_string(), BTreeSet::new())
            }
        };
        if known.iter().any(|known: &Name| known.as_str() == name) {
            return None;
        }
        let mut listed: Vec<_> = known.iter().take(NAMES_LISTED).map(Name::as_str).collect();
        if known.len() > listed.len() {
            listed.push("…");
        }
        let there_are = match (what, listed.as_slice()) {
            ("agent", _) => {
                ": a name of the configuration, or an issuer and a subject as in `https://issuer.example#subject`".to_owned()
            }
            (_, []) => String::new(),
            (_, some) => format!(": there are {}", some.join(", ")),
        };
        Some(format!("no {what} `{name}` is known{there_are}"))
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
