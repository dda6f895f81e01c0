//! Whom an event is about, and who answers for that.

use lanyard_core::charter::Name;
use lanyard_core::command::Command;
use lanyard_core::id::{KillId, TaskId};
use lanyard_core::scope::Scope;
use lanyard_core::state::State;
use lanyard_core::trip::Counted;
use lanyard_engine::charters::Charters;
use serde_json::{Value, json};

pub(super) fn counted_agent(of: &Counted) -> Option<String> {
    match of {
        Counted::Agent(agent) | Counted::Task(_, agent) => Some(agent.to_string()),
        Counted::Charter | Counted::Target(_) => None,
    }
}

/// The charter that an event is about, where it is about one.
#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "of all that happens, these do not name their charter in what is told"
)]
pub(super) fn charter_of(
    state: &State,
    command: &Command,
    data: &serde_json::Map<String, Value>,
) -> Option<Name> {
    let of_order = |id: &KillId| of_scope(state, &state.kills().get(*id)?.order.scope);
    match command {
        Command::Kill(order) => of_scope(state, &order.scope),
        Command::WithdrawKill { kill, .. } | Command::ConfirmRearm { kill, .. } => of_order(kill),
        Command::ProposeRearm(proposal) => of_order(&proposal.kill),
        Command::Pause(pause) => {
            let of_task = || task_charter(state, pause.reach.task?);
            pause.reach.charter.clone().or_else(of_task)
        }
        _ => data.get("charter")?.as_str()?.parse().ok(),
    }
}

/// The charter of what an order is over, where that is of one charter.
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

/// Who answers for a charter in force.
pub(super) fn owners(charters: &Charters, name: &Name) -> Option<Value> {
    let owners = &charters.in_force(name)?.owners;
    Some(json!({
        "business": owners.business, "technical": owners.technical, "security": owners.security,
    }))
}
