//! Whom an event is about, and who answers for that.

use lanyard_core::charter::Name;
use lanyard_core::command::Command;
use lanyard_core::scope::Scope;
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
pub(super) fn charter_of(command: &Command, data: &serde_json::Map<String, Value>) -> Option<Name> {
    if let Command::Kill(order) = command
        && let Scope::Charter(name) = &order.scope
    {
        return Some(name.clone());
    }
    if let Command::Pause(pause) = command {
        return pause.reach.charter.clone();
    }
    data.get("charter")?.as_str()?.parse().ok()
}

/// Who answers for a charter in force.
pub(super) fn owners(charters: &Charters, name: &Name) -> Option<Value> {
    let owners = &charters.in_force(name)?.owners;
    Some(json!({
        "business": owners.business, "technical": owners.technical, "security": owners.security,
    }))
}
