//! Conversions of the messages in stop.proto: kill orders, pauses and circuit breakers.

use lanyard_core::kill::{Actor, KillOrder, RearmProposal, RearmStage};
use lanyard_core::pause::{Demand, Pause, Reach};
use lanyard_core::trip::{Counted, Trip};
use lanyard_vocabulary::scope::{RoleFilter, Scope};

use crate::stored::{Stored, enumerations, messages, put, take};
use crate::unread::Unread;
use crate::v1;
use crate::v1::{actor, counted, scope};

enumerations! {
    RoleFilter => RoleFilter { Both, ApplyOnly }
    RearmStage => RearmStage { Plan, Apply }
}

messages! {
    KillOrder => KillOrder {
        one id, req scope, one roles, one reason, req by, one at, many evidence, opt key,
        many identities, one as_typed, one reaches_nothing,
    }
    RearmProposal => RearmProposal {
        one id, one kill, one stage, req by, one reason, one at, one despite_unconfirmed, one epoch,
        one soak,
    }
    Pause => Pause {
        one id, req reach, one demand, one reason, req by, one at, opt until, many evidence,
    }
    Reach => Reach {
        opt environment, opt target, opt charter, opt agent, one as_typed, opt task, opt role,
    }
    Trip => Trip { one charter, req rule, req of, one at, many evidence }
}

impl Stored for Demand {
    type Wire = i32;

    fn store(&self) -> i32 {
        let demand = match self {
            Self::NoIssuance => v1::Demand::Stillness,
            Self::Approval => v1::Demand::Approval,
        };
        demand.into()
    }

    fn restore(wire: i32) -> Result<Self, Unread> {
        match v1::Demand::try_from(wire) {
            Ok(v1::Demand::Stillness) => Ok(Self::NoIssuance),
            Ok(v1::Demand::Approval) => Ok(Self::Approval),
            Ok(v1::Demand::Unspecified) | Err(_) => Err(Unread::Value {
                field: "Demand",
                value: format!("the number {wire}"),
            }),
        }
    }
}

impl Stored for Scope {
    type Wire = v1::Scope;

    fn store(&self) -> v1::Scope {
        let scope = match self {
            Self::All => scope::Scope::All(v1::Unit {}),
            Self::Environment(name) => scope::Scope::Environment(name.store()),
            Self::Target(name) => scope::Scope::Target(name.store()),
            Self::Charter(name) => scope::Scope::Charter(name.store()),
            Self::Agent(name) => scope::Scope::Agent(name.store()),
            Self::Task(id) => scope::Scope::Task(id.store()),
            Self::Lease(id) => scope::Scope::Lease(id.store()),
        };
        v1::Scope { scope: Some(scope) }
    }

    fn restore(wire: v1::Scope) -> Result<Self, Unread> {
        Ok(match wire.scope {
            Some(scope::Scope::All(v1::Unit {})) => Self::All,
            Some(scope::Scope::Environment(name)) => Self::Environment(Stored::restore(name)?),
            Some(scope::Scope::Target(name)) => Self::Target(Stored::restore(name)?),
            Some(scope::Scope::Charter(name)) => Self::Charter(Stored::restore(name)?),
            Some(scope::Scope::Agent(name)) => Self::Agent(Stored::restore(name)?),
            Some(scope::Scope::Task(id)) => Self::Task(Stored::restore(id)?),
            Some(scope::Scope::Lease(id)) => Self::Lease(Stored::restore(id)?),
            None => return Err(Unread::choice("Scope.scope")),
        })
    }
}

impl Stored for Actor {
    type Wire = v1::Actor;

    fn store(&self) -> v1::Actor {
        let actor = match self {
            Self::Operator(identity) => actor::Actor::Operator(identity.store()),
            Self::Agent(identity) => actor::Actor::Agent(identity.store()),
            Self::Ticket { id, key } => actor::Actor::Ticket(v1::TicketHolder {
                id: put::one(id),
                key: put::one(key),
            }),
            Self::BreakGlass { name, key } => actor::Actor::BreakGlass(v1::BreakGlassHolder {
                name: put::one(name),
                key: put::one(key),
            }),
            Self::Local => actor::Actor::Local(v1::Unit {}),
            Self::Breaker {
                charter,
                line,
                path,
                record,
            } => actor::Actor::Breaker(v1::BreakerActor {
                charter: put::one(charter),
                line: put::one(line),
                path: put::opt(path),
                record: put::one(record),
            }),
            Self::Signal { kind, name } => actor::Actor::Signal(v1::SignalSource {
                kind: put::one(kind),
                name: put::one(name),
            }),
            Self::Broker => actor::Actor::Broker(v1::Unit {}),
        };
        v1::Actor { actor: Some(actor) }
    }

    fn restore(wire: v1::Actor) -> Result<Self, Unread> {
        Ok(match wire.actor {
            Some(actor::Actor::Operator(identity)) => Self::Operator(Stored::restore(identity)?),
            Some(actor::Actor::Agent(identity)) => Self::Agent(Stored::restore(identity)?),
            Some(actor::Actor::Ticket(v1::TicketHolder { id, key })) => Self::Ticket { id, key },
            Some(actor::Actor::BreakGlass(v1::BreakGlassHolder { name, key })) => {
                Self::BreakGlass { name, key }
            }
            Some(actor::Actor::Local(v1::Unit {})) => Self::Local,
            Some(actor::Actor::Breaker(wire)) => Self::Breaker {
                charter: take::one(wire.charter, "BreakerActor.charter")?,
                line: take::one(wire.line, "BreakerActor.line")?,
                path: take::opt(wire.path, "BreakerActor.path")?,
                record: take::one(wire.record, "BreakerActor.record")?,
            },
            Some(actor::Actor::Signal(v1::SignalSource { kind, name })) => {
                Self::Signal { kind, name }
            }
            Some(actor::Actor::Broker(v1::Unit {})) => Self::Broker,
            None => return Err(Unread::choice("Actor.actor")),
        })
    }
}

impl Stored for Counted {
    type Wire = v1::Counted;

    fn store(&self) -> v1::Counted {
        let counted = match self {
            Self::Charter => counted::Counted::Charter(v1::Unit {}),
            Self::Agent(agent) => counted::Counted::Agent(agent.store()),
            Self::Task(task, agent) => counted::Counted::Task(v1::CountedTask {
                task: put::one(task),
                agent: put::one(agent),
            }),
            Self::Target(target) => counted::Counted::Target(target.store()),
        };
        v1::Counted {
            counted: Some(counted),
        }
    }

    fn restore(wire: v1::Counted) -> Result<Self, Unread> {
        Ok(match wire.counted {
            Some(counted::Counted::Charter(v1::Unit {})) => Self::Charter,
            Some(counted::Counted::Agent(agent)) => Self::Agent(Stored::restore(agent)?),
            Some(counted::Counted::Task(wire)) => Self::Task(
                take::one(wire.task, "CountedTask.task")?,
                take::one(wire.agent, "CountedTask.agent")?,
            ),
            Some(counted::Counted::Target(target)) => Self::Target(Stored::restore(target)?),
            None => return Err(Unread::choice("Counted.counted")),
        })
    }
}
