//! What is issued now: the conditions of the broker, its kill orders and its pauses taken together.

use lanyard_core::condition::Condition;
use lanyard_core::kill::EngagedOrder;
use lanyard_core::pause::{Demand, Pause, Reach};
use lanyard_core::state::State;
use lanyard_engine::Engine;
use lanyard_proto::v1;
use lanyard_vocabulary::id::KillId;
use lanyard_vocabulary::role::Role;
use lanyard_vocabulary::scope::Scope;
use lanyard_vocabulary::time::Timestamp;

/// The most orders and pauses that a status names.
///
/// # No limit
/// `lanyard kill list` and `lanyard pause list` have them all.
const MAX_STOPS_NAMED: usize = 10;

/// The roles that are issued somewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Issuing {
    pub(crate) plan: bool,
    pub(crate) apply: bool,
}

impl Issuing {
    /// Returns the roles that orders and pauses over everything leave.
    pub(crate) fn by(state: &State, now: Timestamp) -> Self {
        let is_issued = |role| {
            let mut orders = state.kills().of_scope(&Scope::All);
            let is_stopped =
                orders.any(|engaged| engaged.order.roles.reaches(role) && engaged.stops(role));
            let mut pauses = state.pauses().filter(|pause| stills(pause, now));
            !is_stopped && !pauses.any(|pause| is_of_everything(&pause.reach, role))
        };
        Self {
            plan: is_issued(Role::Plan),
            apply: is_issued(Role::Apply),
        }
    }

    /// The same for a broker in this condition.
    pub(crate) const fn under(self, condition: Condition) -> Self {
        match condition {
            Condition::Issuing => self,
            Condition::RevokeOnly | Condition::Stopped => Self {
                plan: false,
                apply: false,
            },
        }
    }

    pub(crate) const fn is_nothing(self) -> bool {
        !self.plan && !self.apply
    }

    /// For the wire; `except` says whether something narrower is stopped.
    pub(crate) const fn told(self, except: bool) -> v1::Issuing {
        match (self.plan, self.apply) {
            (false, false) => v1::Issuing::No,
            (true, false) => v1::Issuing::PlanRoleOnly,
            (false, true) => v1::Issuing::ApplyRoleOnly,
            (true, true) if except => v1::Issuing::YesExcept,
            (true, true) => v1::Issuing::Yes,
        }
    }
}

/// The orders and pauses that stop a part of what is issued, the newest orders first.
pub(crate) fn exceptions(state: &State, now: Timestamp) -> Vec<v1::StoppingOrder> {
    let stops = |engaged: &&EngagedOrder| {
        let is_gone = engaged.idle_since.is_some();
        engaged.is_engaged() && engaged.order.scope != Scope::All && !is_gone
    };
    let orders = state.kills().before(None).filter(stops);
    let orders = orders.map(|engaged| v1::StoppingOrder {
        id: engaged.order.id.to_string(),
        reason: engaged.order.reason.clone(),
        apply_only: !(engaged.order.roles.reaches(Role::Plan) && engaged.stops(Role::Plan)),
        what: engaged.order.scope.to_string(),
    });
    let pauses = state.pauses().filter(|pause| stills(pause, now));
    let pauses = pauses.filter(|pause| !is_everything(&pause.reach));
    let pauses = pauses.map(told);
    orders.chain(pauses).take(MAX_STOPS_NAMED).collect()
}

/// Says of an order that reaches nothing that it does: nobody has to look for what it stops.
pub(crate) fn with_reach(engine: &Engine, stop: v1::StoppingOrder) -> v1::StoppingOrder {
    let Ok(id) = stop.id.parse::<KillId>() else {
        return stop;
    };
    let order = engine
        .context()
        .peek(|state| Some(state.kills().get(id)?.order.clone()));
    match order {
        Some(order) if engine.scopes().reaches_nothing(&order) => v1::StoppingOrder {
            what: format!("{}, which nothing is called", stop.what),
            ..stop
        },
        Some(_) | None => stop,
    }
}

/// The pauses that stop a role everywhere, or both.
pub(crate) fn pauses_of_everything(
    state: &State,
    now: Timestamp,
) -> impl Iterator<Item = v1::StoppingOrder> {
    let pauses = state.pauses().filter(move |pause| stills(pause, now));
    pauses.filter(|pause| is_everything(&pause.reach)).map(told)
}

fn told(pause: &Pause) -> v1::StoppingOrder {
    v1::StoppingOrder {
        id: pause.id.to_string(),
        reason: pause.reason.clone(),
        apply_only: pause.reach.role == Some(Role::Apply),
        what: pause.reach.to_string(),
    }
}

fn stills(pause: &Pause, now: Timestamp) -> bool {
    pause.demand == Demand::NoIssuance && pause.lasts(now)
}

fn is_everything(reach: &Reach) -> bool {
    is_of_everything(reach, Role::Plan) || is_of_everything(reach, Role::Apply)
}

/// Tells if a pause with this reach stops the role everywhere.
fn is_of_everything(reach: &Reach, role: Role) -> bool {
    let Reach {
        environment,
        target,
        charter,
        agent,
        as_typed: _,
        task,
        role: of,
    } = reach;
    let is_wide = environment.is_none() && target.is_none() && charter.is_none();
    is_wide && agent.is_none() && task.is_none() && of.is_none_or(|of| of == role)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use lanyard_core::kill::Actor;
    use lanyard_testkit::ledger::MemoryLedger;
    use lanyard_vocabulary::agent::AgentName;
    use lanyard_vocabulary::scope::RoleFilter;

    use super::*;
    use crate::spool::tests::engine_over;

    #[tokio::test]
    async fn u02_a_status_says_of_an_order_that_reaches_nothing_that_it_does() {
        let ledger = MemoryLedger::replay(Arc::default(), Vec::new());
        let engine = engine_over(Arc::new(ledger));
        let scope = Scope::Agent(AgentName("ruter".to_owned()));
        let reason = "it loops".to_owned();
        let draft = engine
            .kills()
            .draft(scope, RoleFilter::Both, reason, Actor::Local);
        engine.kills().engage(draft.unwrap()).await;
        let now = engine.clock().now();
        let named = engine.context().peek(|state| exceptions(state, now));
        let told: Vec<_> = named
            .into_iter()
            .map(|stop| with_reach(&engine, stop).what)
            .collect();
        assert_eq!(told, ["agent ruter, which nothing is called"]);
    }
}
