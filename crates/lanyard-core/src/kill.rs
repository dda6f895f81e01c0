//! Kill orders: durable stops of everything in a scope.
//!
//! A kill order stops for good every lease that its scope covers and whose intent is older. While
//! the order is engaged, nothing new is issued in its scope. People lift an order role by role; the
//! ledger keeps a lifted order for as long as it can matter.

use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use lanyard_vocabulary::agent::AgentName;
use lanyard_vocabulary::id::{KillId, RearmId};
use lanyard_vocabulary::identity::Identity;
use lanyard_vocabulary::lineage::Above;
use lanyard_vocabulary::name::Name;
use lanyard_vocabulary::person::Person;
use lanyard_vocabulary::role::Role;
use lanyard_vocabulary::scope::{Facets, RoleFilter, Scope};
use lanyard_vocabulary::seq::Seq;
use lanyard_vocabulary::time::Timestamp;
use serde::{Deserialize, Serialize};

use crate::lease::Lease;
use crate::task::Task;

mod book;
mod places;
mod tally;

pub use book::{KILL_ORDER_REMEMBERED, KillBook, LIFTED_ORDER_REMEMBERED, OrderChanges};
pub use tally::{Spread, Tally};

/// A kill order, as it was given.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KillOrder {
    /// The id of the order.
    pub id: KillId,
    /// The scope that the order covers.
    pub scope: Scope,
    /// The roles that the order covers.
    pub roles: RoleFilter,
    /// The reason, for people.
    pub reason: String,
    /// The person, agent or system that gave the order.
    pub by: Actor,
    /// The time at which the order was given.
    pub at: Timestamp,
    /// The records that made a circuit breaker trip, if one gave the order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub evidence: Vec<Seq>,
    /// The idempotency key: an order that is given twice with one key is one order.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// The identities that the configuration listed under the agent's name when the order was
    /// given. The order covers them under whatever name their tasks were opened.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub identities: BTreeSet<Identity>,
    /// True if a person typed the name of the agent. The order then covers every identity that the
    /// name can mean ([`AgentName::can_mean`]), those that come later among them: no look-alike of
    /// a name escapes an order or takes the order away from another agent.
    ///
    /// [`AgentName::can_mean`]: lanyard_vocabulary::agent::AgentName::can_mean
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub as_typed: bool,
    /// True if nothing had the name of the scope when the order was given. One person may lift such
    /// an order. The flag is fixed at that time, because a charter that is out of force today must
    /// not become liftable by one person.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub reaches_nothing: bool,
}

impl KillOrder {
    /// True if the broker gave the order itself, over the canary of a drill.
    #[must_use]
    pub fn is_drill(&self) -> bool {
        self.by == Actor::Broker && matches!(self.scope, Scope::Lease(_))
    }

    /// True if the scope covers the task with everything in it, whichever targets the task uses.
    #[must_use]
    pub fn covers_task(&self, task: &Task) -> bool {
        self.scope.covers_task(&task.facets()) || self.names(&task.identity, &task.lineage)
    }

    /// True if the scope covers the lease, whatever its role and age.
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
        if self.identities.is_empty() && !self.as_typed {
            return false;
        }
        let mut above = lineage.iter().filter_map(Above::run_by);
        self.names_identity(identity) || above.any(|identity| self.names_identity(&identity))
    }

    /// True if the order is over an agent and lists this identity, or has a typed name that can
    /// mean it.
    #[must_use]
    pub fn names_identity(&self, identity: &Identity) -> bool {
        let can_mean = || match &self.scope {
            Scope::Agent(name) => self.as_typed && name.can_mean(identity),
            Scope::All
            | Scope::Environment(_)
            | Scope::Target(_)
            | Scope::Charter(_)
            | Scope::Task(_)
            | Scope::Lease(_) => false,
        };
        self.identities.contains(identity) || can_mean()
    }

    /// True if one agent can be covered by both orders, which are over these names.
    #[must_use]
    pub fn shares_an_agent(&self, name: &AgentName, (other, others): (&Self, &AgentName)) -> bool {
        let by_name = match self.as_typed || other.as_typed {
            true => name.can_mean_one_with(others),
            false => name == others,
        };
        let names = |one: &Self, two: &Self| {
            let mut identities = two.identities.iter();
            identities.any(|identity| one.scope.is_agent(identity) || one.names_identity(identity))
        };
        by_name || names(self, other) || names(other, self)
    }

    /// True if the scope and the roles cover something with these facts, whatever its age.
    #[must_use]
    pub fn reaches(&self, facets: &Facets<'_>) -> bool {
        let named = || self.names(facets.task.identity, facets.task.lineage);
        self.roles.reaches(facets.role) && (self.scope.covers(facets) || named())
    }
}

/// The person, agent or system that acted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Actor {
    /// A person with a verified identity.
    Operator(Identity),
    /// An agent with a verified identity.
    Agent(Identity),
    /// The holder of a ticket that an offline key signed.
    Ticket {
        /// The id of the ticket.
        id: String,
        /// The configured name of the signing key.
        key: String,
    },
    /// A person with a break-glass key, which can give kill orders and nothing else.
    BreakGlass {
        /// The person's configured name.
        name: String,
        /// The thumbprint of the key.
        key: String,
    },
    /// Somebody with access to the daemon's data directory.
    Local,
    /// A circuit breaker of a charter.
    Breaker {
        /// The charter that declares the circuit breaker.
        charter: Name,
        /// The line of the circuit breaker in the charter's file.
        line: u32,
        /// The circuit breaker's field path, if the charter comes from a Kubernetes object.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        path: Option<String>,
        /// The record at which the circuit breaker tripped.
        record: Seq,
    },
    /// A configured system that may give kill orders.
    Signal {
        /// The protocol of the system: `alertmanager` or `caep`.
        kind: String,
        /// The system's configured name.
        name: String,
    },
    /// The broker itself, for a reason of its own.
    Broker,
}

impl Actor {
    /// True if a person typed the names in an order. The broker itself names agents exactly.
    #[must_use]
    pub const fn types_names(&self) -> bool {
        match self {
            Self::Operator(_)
            | Self::Agent(_)
            | Self::Ticket { .. }
            | Self::BreakGlass { .. }
            | Self::Local
            | Self::Signal { .. } => true,
            Self::Breaker { .. } | Self::Broker => false,
        }
    }
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

/// The roles for which people have lifted an order: first the plan role, then the apply role.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Lifted {
    /// The order stops every role that it covers.
    Nothing,
    /// The plan role may be issued again.
    Plan,
    /// Every role may be issued again.
    Everything,
}

impl Lifted {
    /// The word for it on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Nothing => "nothing",
            Self::Plan => "plan",
            Self::Everything => "everything",
        }
    }

    /// Reads the word of the wire; `None` if this version does not know the word.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        [Self::Nothing, Self::Plan, Self::Everything]
            .into_iter()
            .find(|lifted| lifted.as_str() == word)
    }
}

/// A kill order in the ledger, with what happened to it since.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EngagedOrder {
    /// The order as it was given.
    pub order: KillOrder,
    /// The order's record in the journal.
    pub seq: Seq,
    /// The roles for which people have lifted the order.
    pub lifted: Lifted,
    /// The time of the last step of lifting.
    pub lifted_at: Option<Timestamp>,
    /// The time at which the only task or lease that the order covers left the ledger. Nothing can
    /// be live under the order after that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idle_since: Option<Timestamp>,
}

impl EngagedOrder {
    /// True if the order still stops something other than the canary of a drill.
    #[must_use]
    pub fn is_engaged(&self) -> bool {
        self.lifted != Lifted::Everything && !self.order.is_drill()
    }

    /// True if the order stops new credentials of this role.
    #[must_use]
    pub const fn stops(&self, role: Role) -> bool {
        match (self.lifted, role) {
            (Lifted::Nothing, _) | (Lifted::Plan, Role::Apply) => true,
            (Lifted::Plan, Role::Plan) | (Lifted::Everything, _) => false,
        }
    }
}

/// The step of a re-arm.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RearmStage {
    /// Lets the plan role be issued again.
    Plan,
    /// Lets the apply role be issued again.
    Apply,
}

/// A proposal to lift an order by one step. Another person can confirm it once, within
/// [`REARM_PROPOSAL_LIFE`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RearmProposal {
    /// The id of the proposal.
    pub id: RearmId,
    /// The order to lift.
    pub kill: KillId,
    /// The step of lifting.
    pub stage: RearmStage,
    /// The person who proposes.
    pub by: Person,
    /// The reason, in the person's words.
    pub reason: String,
    /// The time of the proposal.
    pub at: Timestamp,
    /// True if the person means the step even while leases of the order are not known to be dead.
    pub despite_unconfirmed: bool,
    /// The newest kill order at that time. A newer order voids the proposal.
    #[serde(default)]
    pub epoch: Seq,
    /// The time for which the plan role must have been issued again before the apply role may be,
    /// in seconds.
    #[serde(default)]
    pub soak: u32,
}

impl RearmProposal {
    /// The time from which the step may be taken, if it has to wait.
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

/// The time for which a re-arm proposal can be confirmed.
///
/// # Limit
/// - for: a proposal to re-arm
/// - unit: of time
/// - beyond: the proposal cannot be confirmed any more; another can be made
/// - test: `a_proposal_to_re_arm_is_good_for_an_hour`
pub const REARM_PROPOSAL_LIFE: Duration = Duration::from_secs(3600);

#[cfg(test)]
mod tests {
    use lanyard_vocabulary::agent::AgentName;
    use lanyard_vocabulary::id::{LeaseId, TaskId};

    use lanyard_vocabulary::scope::TaskFacets;

    use super::*;

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
            as_typed: false,
            reaches_nothing: false,
        }
    }

    fn with_facets<R>(role: Role, test: impl FnOnce(&Facets<'_>) -> R) -> R {
        let name: Name = "x".parse().unwrap();
        test(&Facets {
            task: TaskFacets {
                environment: &name,
                charter: &name,
                agent: &AgentName("a".into()),
                identity: &Identity {
                    issuer: "i".into(),
                    subject: "s".into(),
                },
                id: TaskId::from_bits(1),
                lineage: &[],
            },
            target: &name,
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
