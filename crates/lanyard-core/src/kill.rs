//! Kill orders: durable stops of a scope.
//!
//! An order is marked lifted, role by role, and stays for as long as it can matter. It makes dead for good whatever it
//! covers and is older than it; while it is engaged, nothing new is issued in its scope.

use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::charter::{Name, Role};
use crate::id::{KillId, RearmId};
use crate::identity::Identity;
use crate::lease::{Lease, Seq};
use crate::person::Person;
use crate::scope::{Facets, RoleFilter, Scope};
use crate::task::{Above, Task};
use crate::time::Timestamp;

mod book;
mod places;
mod tally;

pub use book::{KILL_ORDER_REMEMBERED, KillBook, LIFTED_ORDER_REMEMBERED, OrderChanges};
pub use tally::{Spread, Tally};

/// What an operator orders.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KillOrder {
    /// Its id.
    pub id: KillId,
    /// How far it reaches.
    pub scope: Scope,
    /// Which roles it reaches.
    pub roles: RoleFilter,
    /// Why.
    pub reason: String,
    /// Who pulled.
    pub by: Actor,
    /// When.
    pub at: Timestamp,
    /// The records that it rests on, where a breaker pulled.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub evidence: Vec<Seq>,
    /// What whoever gave it calls it, so that giving it twice is giving it once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// The identities that the configuration had under the agent's name when the order was given: it reaches them under
    /// whatever name their tasks were opened.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub identities: BTreeSet<Identity>,
    /// Nothing went by the name of the scope when the order was given: then one person can lift it. What is known changes,
    /// and an order over a charter that is out of force today must not become one that a single person lifts.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub reaches_nothing: bool,
}

impl KillOrder {
    /// Whether it is one of the broker's own, over the canary of a drill.
    #[must_use]
    pub fn is_drill(&self) -> bool {
        self.by == Actor::Broker && matches!(self.scope, Scope::Lease(_))
    }

    /// Whether everything of a task is covered, whatever targets it may reach.
    #[must_use]
    pub fn covers_task(&self, task: &Task) -> bool {
        self.scope.covers_task(task) || self.names(&task.identity, &task.lineage)
    }

    /// Whether a lease is within the scope, whatever its role and whenever it was asked for.
    #[must_use]
    pub fn covers(&self, lease: &Lease) -> bool {
        match &self.scope {
            Scope::All => true,
            Scope::Lease(id) => lease.id == *id,
            Scope::Target(name) => lease.entry.target == *name,
            Scope::Charter(_) | Scope::Agent(_) | Scope::Environment(_) | Scope::Task(_) => {
                self.covers_task(&lease.task)
            }
        }
    }

    fn names(&self, identity: &Identity, lineage: &[Above]) -> bool {
        let is = |identity: &Identity| self.identities.contains(identity);
        let mut above = lineage.iter().filter_map(|above| above.identity.as_ref());
        !self.identities.is_empty() && (is(identity) || above.any(is))
    }

    /// Whether what has these facets is within reach, whenever it came to be.
    #[must_use]
    pub fn reaches(&self, facets: &Facets<'_>) -> bool {
        let named = || self.names(facets.identity, facets.lineage);
        self.roles.reaches(facets.role) && (self.scope.covers(facets) || named())
    }
}

/// Who did something.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Actor {
    /// A person with a verified identity.
    Operator(Identity),
    /// An agent.
    Agent(Identity),
    /// A holder of a ticket that an offline key signed.
    Ticket {
        /// The ticket's id.
        id: String,
        /// The key's configured name.
        key: String,
    },
    /// A person with a key that engages kills and does nothing else.
    BreakGlass {
        /// The person's configured name.
        name: String,
        /// The key's thumbprint.
        key: String,
    },
    /// Somebody at the data directory of the daemon.
    Local,
    /// A breaker of a charter, which tripped by itself.
    Breaker {
        /// The charter.
        charter: Name,
        /// Where in its file the breaker stands.
        line: u32,
        /// The field that it stands in, where the charter comes from a Kubernetes object.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        path: Option<String>,
        /// The record that tripped it.
        record: Seq,
    },
    /// A system of the configuration that may engage, by its name.
    Signal {
        /// What it speaks: `alertmanager`, `caep`.
        kind: String,
        /// Its configured name.
        name: String,
    },
    /// The broker itself.
    Broker,
}

impl fmt::Display for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Operator(identity) | Self::Agent(identity) => identity.fmt(f),
            Self::Ticket { id, key } => write!(
                f,
                "kill ticket {} of {}",
                id.escape_debug(),
                key.escape_debug()
            ),
            Self::BreakGlass { name, key } => write!(
                f,
                "{} by break-glass key {}",
                name.escape_debug(),
                key.escape_debug()
            ),
            Self::Local => f.write_str("local operator"),
            Self::Breaker {
                charter,
                path: Some(path),
                ..
            } => write!(f, "breaker of charter {charter}, {}", path.escape_debug()),
            Self::Breaker { charter, line, .. } => {
                write!(f, "breaker of charter {charter}, line {line}")
            }
            Self::Signal { kind, name } => {
                write!(f, "{} {}", kind.escape_debug(), name.escape_debug())
            }
            Self::Broker => f.write_str("the broker"),
        }
    }
}

/// How far an order has been lifted. Plan first, apply later.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Lifted {
    /// Engaged for every role that it reaches.
    Nothing,
    /// The plan role may be issued again.
    Plan,
    /// Everything may be issued again.
    Everything,
}

/// An order in the books.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EngagedOrder {
    /// What was ordered.
    pub order: KillOrder,
    /// Its place in the journal.
    pub seq: Seq,
    /// How far it was lifted.
    pub lifted: Lifted,
    /// When it was last lifted a step.
    pub lifted_at: Option<Timestamp>,
    /// When the task or the lease that it covers left the books: nothing can be live under it from then on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idle_since: Option<Timestamp>,
}

impl EngagedOrder {
    /// Whether anything is still stopped by it, other than the canary of a drill.
    #[must_use]
    pub fn is_engaged(&self) -> bool {
        self.lifted != Lifted::Everything && !self.order.is_drill()
    }

    /// Whether new credentials of this role are stopped.
    #[must_use]
    pub const fn stops(&self, role: Role) -> bool {
        match (self.lifted, role) {
            (Lifted::Nothing, _) | (Lifted::Plan, Role::Apply) => true,
            (Lifted::Plan, Role::Plan) | (Lifted::Everything, _) => false,
        }
    }
}

/// Which step of a re-arm is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RearmStage {
    /// Let the plan role be issued again.
    Plan,
    /// Let the apply role be issued again.
    Apply,
}

/// A proposal to lift an order by a step; good for one use, by another person, for an hour.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RearmProposal {
    /// Its id.
    pub id: RearmId,
    /// Which order.
    pub kill: KillId,
    /// Which step.
    pub stage: RearmStage,
    /// Who proposes.
    pub by: Person,
    /// Why.
    pub reason: String,
    /// When.
    pub at: Timestamp,
    /// Whether it is meant even while revocations of the order are not confirmed.
    pub despite_unconfirmed: bool,
    /// The newest kill order at that time: a newer one voids the proposal.
    #[serde(default)]
    pub epoch: Seq,
    /// How long the plan role has to have been issued again before the apply role may be, in seconds.
    #[serde(default)]
    pub soak: u32,
}

impl RearmProposal {
    /// From when on this step can be taken, where it is one that has to wait.
    #[must_use]
    pub fn soaks_until(&self, engaged: &EngagedOrder) -> Option<Timestamp> {
        match self.stage {
            RearmStage::Plan => None,
            RearmStage::Apply => {
                Some(engaged.lifted_at? + Duration::from_secs(u64::from(self.soak)))
            }
        }
    }
}

/// How long a re-arm proposal can be confirmed.
///
/// # Limit
/// - for: a proposal to re-arm
/// - unit: of time
/// - beyond: the proposal cannot be confirmed any more; another can be made
/// - test: `a_proposal_to_re_arm_is_good_for_an_hour`
pub const REARM_PROPOSAL_LIFE: Duration = Duration::from_secs(3600);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::{LeaseId, TaskId};
    use crate::scope::AgentName;

    fn order(bits: u128, scope: Scope, roles: RoleFilter) -> KillOrder {
        KillOrder {
            id: KillId::from_bits(bits),
            scope,
            roles,
            reason: "test".into(),
            by: Actor::Local,
            at: Timestamp::EPOCH,
            evidence: Vec::new(),
            key: None,
            identities: BTreeSet::new(),
            reaches_nothing: false,
        }
    }

    fn with_facets<R>(role: Role, test: impl FnOnce(&Facets<'_>) -> R) -> R {
        let name: Name = "x".parse().unwrap();
        test(&Facets {
            environment: &name,
            target: &name,
            charter: &name,
            agent: &AgentName("a".into()),
            identity: &Identity {
                issuer: "i".into(),
                subject: "s".into(),
            },
            task: TaskId::from_bits(1),
            lineage: &[],
            lease: Some(LeaseId::from_bits(1)),
            role,
        })
    }

    #[test]
    fn a_lifted_order_still_kills_what_was_older() {
        let mut book = KillBook::default();
        book.engage(order(1, Scope::All, RoleFilter::Both), Seq(10), false);
        book.lift(KillId::from_bits(1), RearmStage::Plan, Timestamp::EPOCH);
        book.lift(KillId::from_bits(1), RearmStage::Apply, Timestamp::EPOCH);
        with_facets(Role::Plan, |facets| {
            assert!(book.killer(facets, Seq(9)).is_some());
            assert!(book.killer(facets, Seq(11)).is_none());
            assert!(book.stopper(facets).is_none());
        });
    }

    #[test]
    fn an_order_for_apply_leaves_plan_alone() {
        let mut book = KillBook::default();
        book.engage(order(1, Scope::All, RoleFilter::ApplyOnly), Seq(10), false);
        with_facets(Role::Plan, |facets| assert!(book.stopper(facets).is_none()));
        with_facets(Role::Apply, |facets| {
            assert!(book.stopper(facets).is_some())
        });
    }

    #[test]
    fn overlapping_orders_do_not_undo_each_other() {
        let mut book = KillBook::default();
        book.engage(order(1, Scope::All, RoleFilter::Both), Seq(10), false);
        book.engage(
            order(2, Scope::Agent(AgentName("a".into())), RoleFilter::Both),
            Seq(11),
            false,
        );
        book.lift(KillId::from_bits(1), RearmStage::Apply, Timestamp::EPOCH);
        with_facets(Role::Plan, |facets| assert!(book.stopper(facets).is_some()));
    }
}
