//! The charters and owners that an event concerns.

use std::sync::Arc;

use lanyard_charter::Charter;
use lanyard_core::command::Command;
use lanyard_core::kill::{Actor, KillOrder};
use lanyard_core::pause::Pause;
use lanyard_core::state::State;
use lanyard_core::trip::Counted;
use lanyard_engine::Engine;
use lanyard_engine::charters::Charters;
use lanyard_vocabulary::id::{KillId, TaskId};
use lanyard_vocabulary::name::Name;
use lanyard_vocabulary::scope::Scope;
use serde_json::{Map, Value, json};

/// The most charters that one event names.
const CHARTERS_NAMED: usize = 20;

pub(super) fn counted_agent(of: &Counted) -> Option<String> {
    match of {
        Counted::Agent(agent) | Counted::Task(_, agent) => Some(agent.to_string()),
        Counted::Charter | Counted::Target(_) => None,
    }
}

/// Returns the charter that an event is about, if it is about exactly one.
#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "the event of every other command names its charter already"
)]
pub(super) fn charter_of(
    state: &State,
    command: &Command,
    data: &serde_json::Map<String, Value>,
) -> Option<Name> {
    let of_order = |id: &KillId| of_kill(state, &state.kills().get(*id)?.order);
    match command {
        Command::Kill(order) => of_kill(state, order),
        Command::WithdrawKill { kill, .. } | Command::ConfirmRearm { kill, .. } => of_order(kill),
        Command::ProposeRearm(proposal) => of_order(&proposal.kill),
        Command::Pause(pause) => {
            let of_task = || task_charter(state, pause.reach.task?);
            let named = pause.reach.charter.clone().or_else(of_task);
            named.or_else(|| of_breaker(&pause.by))
        }
        _ => data.get("charter")?.as_str()?.parse().ok(),
    }
}

/// Returns the charter of a kill order's scope, or else of the breaker that gave the order.
fn of_kill(state: &State, order: &KillOrder) -> Option<Name> {
    of_scope(state, &order.scope).or_else(|| of_breaker(&order.by))
}

fn of_breaker(by: &Actor) -> Option<Name> {
    match by {
        Actor::Breaker { charter, .. } => Some(charter.clone()),
        Actor::Operator(_)
        | Actor::Agent(_)
        | Actor::Ticket { .. }
        | Actor::BreakGlass { .. }
        | Actor::Local
        | Actor::Signal { .. }
        | Actor::Broker => None,
    }
}

/// Describes the scope of a kill order, each part in a field of its own.
pub(super) fn of_order(state: &State, order: &KillOrder) -> Map<String, Value> {
    let mut parts = Map::new();
    let mut part = |name: &str, value: Value| {
        parts.insert(name.to_owned(), value);
    };
    match &order.scope {
        Scope::All => {}
        Scope::Environment(name) => part("environment", json!(name)),
        Scope::Target(name) => part("target", json!(name)),
        Scope::Charter(_) => {}
        Scope::Agent(name) => part("agent", json!(name.to_string())),
        Scope::Task(id) => {
            part("task", json!(id));
            if let Some(entry) = state.task(*id) {
                part("agent", json!(entry.task.agent.to_string()));
            }
        }
        Scope::Lease(id) => {
            part("lease", json!(id));
            if let Some(lease) = state.leases().get(*id) {
                part("agent", json!(lease.task.agent.to_string()));
            }
        }
    }
    if let Some(charter) = of_kill(state, order) {
        part("charter", json!(charter));
    }
    parts
}

/// Describes the scope of a pause, each part in a field of its own. A paused task is shown with its
/// agent, because the reader of a breaker's event asks whose task it is.
pub(super) fn of_pause(state: &State, pause: &Pause) -> Map<String, Value> {
    let reach = &pause.reach;
    let task = reach.task.and_then(|id| state.task(id));
    let of_task = task.map(|entry| entry.task.agent.to_string());
    let named = reach.agent.as_ref().map(ToString::to_string);
    let charter = reach.charter.clone();
    let charter = charter.or_else(|| task.map(|entry| entry.task.charter.clone()));
    let text = |value: Option<&dyn std::fmt::Display>| value.map(ToString::to_string);
    let parts = [
        (
            "environment",
            text(reach.environment.as_ref().map(|it| it as _)),
        ),
        ("target", text(reach.target.as_ref().map(|it| it as _))),
        (
            "charter",
            charter
                .or_else(|| of_breaker(&pause.by))
                .map(|name| name.to_string()),
        ),
        ("agent", named.or(of_task)),
        ("task", text(reach.task.as_ref().map(|it| it as _))),
        ("role", text(reach.role.as_ref().map(|it| it as _))),
    ];
    let parts = parts.into_iter();
    let parts = parts.filter_map(|(name, value)| Some((name.to_owned(), json!(value?))));
    parts.collect()
}

/// Returns the charters in force that an event about an agent, a task or a charter concerns, so
/// that the event can name their owners. Several charters can name one agent.
pub(super) fn concerned(engine: &Engine, command: &Command) -> Vec<Arc<Charter>> {
    let of_order = |id: KillId| {
        let order = |state: &State| Some(state.kills().get(id)?.order.clone());
        engine.context().peek(order)
    };
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "the other commands concern no agent"
    )]
    let order = match command {
        Command::Kill(order) => Some(order.clone()),
        Command::WithdrawKill { kill, .. } | Command::ConfirmRearm { kill, .. } => of_order(*kill),
        Command::ProposeRearm(proposal) => of_order(proposal.kill),
        Command::Pause(pause) if pause.reach.charter.is_none() && pause.reach.task.is_none() => {
            let agent = pause.reach.agent.clone().map(Scope::Agent);
            agent.and_then(|scope| engine.scopes().order_over(&scope))
        }
        _ => None,
    };
    let mut charters = order.map_or_else(Vec::new, |order| engine.scopes().charters_of(&order));
    charters.truncate(CHARTERS_NAMED);
    charters
}

/// Names these charters with their owners.
pub(super) fn named(charters: &[Arc<Charter>]) -> Value {
    let of_each = charters.iter();
    of_each
        .map(|charter| json!({"charter": charter.name, "owners": owners_of(charter)}))
        .collect()
}

/// Returns the charter of a kill order's scope, if the scope lies within one charter.
fn of_scope(state: &State, scope: &Scope) -> Option<Name> {
    match scope {
        Scope::Charter(name) => Some(name.clone()),
        Scope::Task(id) => task_charter(state, *id),
        Scope::Lease(id) => Some(state.leases().get(*id)?.task.charter.clone()),
        Scope::All | Scope::Environment(_) | Scope::Target(_) | Scope::Agent(_) => None,
    }
}

fn task_charter(state: &State, id: TaskId) -> Option<Name> {
    Some(state.task(id)?.task.charter.clone())
}

/// Returns the owners of a charter in force.
pub(super) fn owners(charters: &Charters, name: &Name) -> Option<Value> {
    charters.in_force(name).map(|charter| owners_of(&charter))
}

fn owners_of(charter: &Charter) -> Value {
    let owners = &charter.owners;
    json!({
        "business": owners.business, "technical": owners.technical, "security": owners.security,
    })
}

#[cfg(test)]
mod tests {
    use lanyard_charter::parse;
    use lanyard_core::command::Record;
    use lanyard_core::pause::{Demand, Reach};
    use lanyard_testkit::ledger::MemoryLedger;
    use lanyard_testkit::world;
    use lanyard_vocabulary::agent::AgentName;
    use lanyard_vocabulary::id::PauseId;
    use lanyard_vocabulary::scope::RoleFilter;
    use lanyard_vocabulary::seq::Seq;
    use lanyard_vocabulary::time::Timestamp;

    use super::super::outgoing::event;
    use super::*;
    use crate::spool::tests::engine_over;

    const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);

    fn breaker() -> Actor {
        Actor::Breaker {
            charter: world::name("payments-terraform"),
            line: 40,
            path: None,
            record: Seq(9),
        }
    }

    /// Starts an engine with charters of these names in force, all for the same agent.
    fn engine(names: &[&str]) -> Arc<Engine> {
        let ledger = MemoryLedger::replay(Arc::default(), Vec::new());
        let engine = engine_over(Arc::new(ledger));
        let charters = names.iter().map(|name| {
            let text = world::CHARTER.replace("name: payments-terraform", &format!("name: {name}"));
            parse(&text, &world::world()).unwrap().charter
        });
        engine.charters().replace(charters.collect());
        engine
    }

    async fn told(engine: &Engine, command: Command) -> Value {
        let within = concerned(engine, &command);
        let record = Record { at: NOW, command };
        let charters = engine.charters();
        let told = engine
            .context()
            .query(|state| event(state, (charters, &within), &record));
        told.await.unwrap().unwrap()["data"].clone()
    }

    fn pause(reach: Reach, by: Actor) -> Command {
        Command::Pause(Box::new(Pause {
            id: PauseId::from_bits(1),
            reach,
            demand: Demand::NoIssuance,
            reason: "5 action ticket.* within 10m".to_owned(),
            by,
            at: NOW,
            until: None,
            evidence: vec![Seq(8), Seq(9)],
        }))
    }

    fn kill(engine: &Engine, scope: Scope, by: Actor) -> Command {
        let draft = engine
            .kills()
            .draft(scope, RoleFilter::Both, "it loops".to_owned(), by);
        let as_typed = true;
        let order = draft.unwrap();
        Command::Kill(KillOrder { as_typed, ..order })
    }

    fn router() -> Scope {
        Scope::Agent(AgentName("terraformer".to_owned()))
    }

    #[tokio::test]
    async fn u20_a_pause_of_a_breaker_names_agent_charter_owners_and_records() {
        let engine = engine(&["payments-terraform", "orders"]);
        let reach = Reach {
            charter: Some(world::name("payments-terraform")),
            agent: Some(AgentName(world::agent().to_string())),
            ..Reach::default()
        };
        let data = told(&engine, pause(reach, breaker())).await;
        assert_eq!(data["charter"], "payments-terraform");
        assert_eq!(data["agent"], world::agent().to_string());
        assert_eq!(data["evidence"], json!([8, 9]));
        assert_eq!(
            data["owners"]["technical"],
            "payments-platform@acme.example"
        );
        // A pause of a target has the charter of the breaker that caused it.
        let reach = Reach {
            target: Some(world::name("apis")),
            ..Reach::default()
        };
        let data = told(&engine, pause(reach, breaker())).await;
        assert_eq!(
            (&data["target"], &data["charter"]),
            (&json!("apis"), &json!("payments-terraform"))
        );
        assert!(data["owners"].is_object(), "{data}");
        // A pause of everything concerns no single charter.
        let data = told(&engine, pause(Reach::default(), Actor::Local)).await;
        for absent in ["charter", "agent", "owners", "charters"] {
            assert!(data.get(absent).is_none(), "{absent}: {data}");
        }
    }

    #[tokio::test]
    async fn u15_a_kill_of_an_agent_names_the_owners_of_every_charter_that_names_the_agent() {
        let one = engine(&["payments-terraform"]);
        let data = told(&one, kill(&one, router(), Actor::Local)).await;
        assert_eq!(data["agent"], "terraformer");
        assert_eq!(
            data["owners"]["technical"],
            "payments-platform@acme.example"
        );
        let two = engine(&["payments-terraform", "orders"]);
        let data = told(&two, kill(&two, router(), Actor::Local)).await;
        let charters = data["charters"].as_array().unwrap();
        let names: Vec<_> = charters.iter().map(|one| one["charter"].clone()).collect();
        assert_eq!(names, ["orders", "payments-terraform"]);
        for one in charters {
            assert_eq!(one["owners"]["security"], "appsec@acme.example");
        }
        assert!(data.get("owners").is_none(), "no charter is named: {data}");
        // A breaker's kill has the breaker's charter.
        let data = told(&two, kill(&two, router(), breaker())).await;
        assert_eq!(data["charter"], "payments-terraform");
        assert!(data["owners"].is_object());
        // No charter names this agent, so the event has no owners.
        let stranger = Scope::Agent(AgentName("nobody".to_owned()));
        let data = told(&two, kill(&two, stranger, Actor::Local)).await;
        assert!(data.get("owners").is_none() && data.get("charters").is_none());
        // A kill of everything has none either. A pause over an agent names what a kill names.
        let data = told(&two, kill(&two, Scope::All, Actor::Local)).await;
        assert!(data.get("charters").is_none(), "{data}");
        let reach = Reach {
            agent: Some(AgentName("terraformer".to_owned())),
            ..Reach::default()
        };
        let data = told(&one, pause(reach, Actor::Local)).await;
        assert!(data["owners"].is_object(), "{data}");
    }
}
