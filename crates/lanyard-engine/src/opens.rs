//! What a re-arm lets be issued again, by the charters in force: without what has ended, and
//! without what another kill order, a pause, a freeze, the hours or the mode of the charter still
//! holds back.

use std::collections::BTreeMap;

use lanyard_charter::{Charter, Grant};
use lanyard_core::decide::{Withheld, withheld};
use lanyard_core::emergency::Emergency;
use lanyard_core::kill::KillOrder;
use lanyard_core::pause::{Demand, Pause, Reach};
use lanyard_core::state::State;
use lanyard_core::task::Task;
use lanyard_vocabulary::agent::AgentName;
use lanyard_vocabulary::identity::Identity;
use lanyard_vocabulary::name::Name;
use lanyard_vocabulary::role::Role;
use lanyard_vocabulary::scope::Scope;
use lanyard_vocabulary::time::Timestamp;

use crate::reach::Scopes;

/// So many charters are named that a re-arm lets go.
const CHARTERS_NAMED: usize = 20;

/// The state that holds back some of what a re-arm would let go, or lets it go in an emergency.
pub(crate) struct Holds {
    /// The other kill orders and the pauses.
    stops: Vec<Hold>,
    /// The emergencies that nobody has ended, by charter.
    emergencies: BTreeMap<Name, Emergency>,
    /// The environment of the task that is lifted, where a task is.
    environment: Option<Name>,
}

/// A kill order or a pause, by the places it covers with every agent there. A field that is `None`
/// covers every place.
struct Hold {
    by: String,
    environment: Option<Name>,
    target: Option<Name>,
    charter: Option<Name>,
}

impl Holds {
    /// Selects the stops of this role, besides the order that is lifted.
    pub(crate) fn of(state: &State, (lifted, role): (&KillOrder, Role), now: Timestamp) -> Self {
        let orders = state.overlapping(lifted);
        let orders = orders.filter(|other| other.stops(role) && other.order.roles.reaches(role));
        // A task is held back by what is over its agent, its charter or the tasks above it.
        let task = match &lifted.scope {
            Scope::Task(id) => state.task(*id).map(|entry| entry.task.as_ref()),
            Scope::All
            | Scope::Environment(_)
            | Scope::Target(_)
            | Scope::Charter(_)
            | Scope::Agent(_)
            | Scope::Lease(_) => None,
        };
        let orders = orders.filter_map(|other| of_order(&other.order, (lifted, task)));
        let pauses = state.pauses();
        let pauses = pauses.filter(|pause| pause.demand == Demand::NoIssuance && pause.lasts(now));
        let pauses = pauses.filter_map(|pause| of_pause(pause, (lifted, task), role));
        let emergencies = state.emergencies();
        let emergencies = emergencies.map(|it| (it.charter.clone(), it.clone()));
        Self {
            stops: orders.chain(pauses).collect(),
            emergencies: emergencies.collect(),
            environment: task.map(|task| task.environment.clone()),
        }
    }

    /// Says what keeps all uses of a grant back that the lifted order covers, in words that the
    /// names of grants go on from; none if it is let go.
    fn keeping(
        &self,
        grant: &Grant,
        (charter, lifted): (&Charter, &KillOrder),
        now: Timestamp,
    ) -> Option<String> {
        let mut stops = self.stops.iter();
        if let Some(hold) = stops.find(|hold| hold.covers(grant, (charter, lifted))) {
            return Some(format!("{} still stops", hold.by));
        }
        let lifted_in = |environment: &&Name| match (&self.environment, &lifted.scope) {
            (Some(own), _) | (None, Scope::Environment(own)) => *environment == own,
            (
                None,
                Scope::All
                | Scope::Target(_)
                | Scope::Charter(_)
                | Scope::Agent(_)
                | Scope::Task(_)
                | Scope::Lease(_),
            ) => true,
        };
        let environments: Vec<_> = match grant.environments.is_empty() {
            true => charter.environments.keys().filter(lifted_in).collect(),
            false => grant.environments.iter().filter(lifted_in).collect(),
        };
        let emergency = self.emergencies.get(&charter.name);
        // Let go where it is let go in one of them.
        let why = environments
            .into_iter()
            .map(|environment| withheld(charter, grant, environment, emergency, now));
        let why: Option<Vec<_>> = why.collect();
        why?.first().map(told)
    }
}

fn told(why: &Withheld) -> String {
    match why {
        Withheld::Shadow => "in shadow:".to_owned(),
        Withheld::Autonomy => "not given by the autonomy:".to_owned(),
        Withheld::Frozen { until } => format!("frozen until {until}:"),
        Withheld::OutOfHours { opens: Some(opens) } => format!("out of hours until {opens}:"),
        Withheld::OutOfHours { opens: None } => "out of hours:".to_owned(),
    }
}

fn of_order(order: &KillOrder, (lifted, task): (&KillOrder, Option<&Task>)) -> Option<Hold> {
    let hold = Hold {
        by: order.id.to_string(),
        environment: None,
        target: None,
        charter: None,
    };
    let is_all_of_it = match (&order.scope, &lifted.scope) {
        (Scope::Agent(held), Scope::Agent(name)) => covers_agent((held, order.as_typed), name),
        (held, scope) => held == scope || task.is_some_and(|task| order.covers_task(task)),
    };
    if is_all_of_it {
        return Some(hold);
    }
    match &order.scope {
        Scope::All => Some(hold),
        Scope::Environment(name) => Some(Hold {
            environment: Some(name.clone()),
            ..hold
        }),
        Scope::Target(name) => Some(Hold {
            target: Some(name.clone()),
            ..hold
        }),
        Scope::Charter(name) => Some(Hold {
            charter: Some(name.clone()),
            ..hold
        }),
        // An order over one agent holds back nothing of the others'.
        Scope::Agent(_) | Scope::Task(_) | Scope::Lease(_) => None,
    }
}

fn of_pause(
    pause: &Pause,
    (lifted, task): (&KillOrder, Option<&Task>),
    role: Role,
) -> Option<Hold> {
    // Where and in which role is compared grant by grant; the rest has to be all of what is lifted.
    let reach = Reach {
        target: None,
        role: None,
        ..pause.reach.clone()
    };
    let is_agent = |held: &AgentName| match &lifted.scope {
        Scope::Agent(name) => covers_agent((held, reach.as_typed), name),
        Scope::All
        | Scope::Environment(_)
        | Scope::Target(_)
        | Scope::Charter(_)
        | Scope::Task(_)
        | Scope::Lease(_) => false,
    };
    let is_all_of_it = match task {
        Some(task) => reach.covers_task(task),
        None => reach.task.is_none() && reach.agent.as_ref().is_none_or(is_agent),
    };
    let is_held = is_all_of_it && pause.reach.role.is_none_or(|held| held == role);
    is_held.then(|| Hold {
        by: format!("pause {}", pause.id),
        environment: reach.environment.clone().filter(|_| task.is_none()),
        target: pause.reach.target.clone(),
        charter: reach.charter.clone().filter(|_| task.is_none()),
    })
}

/// True if every agent that the name means is held back by the other name, as a person typed it.
fn covers_agent((held, as_typed): (&AgentName, bool), name: &AgentName) -> bool {
    let as_subject = || Identity {
        issuer: String::new(),
        subject: name.0.clone(),
    };
    let identity = || name.identity().unwrap_or_else(as_subject);
    held == name || as_typed && (held.is_spelled_like(name) || held.can_mean(&identity()))
}

impl Hold {
    fn covers(&self, grant: &Grant, (charter, lifted): (&Charter, &KillOrder)) -> bool {
        let is = |named: &Option<Name>, found: &Name| named.as_ref().is_none_or(|one| one == found);
        let in_environment = |held: &Name| match &lifted.scope {
            Scope::Environment(name) => name == held,
            Scope::All
            | Scope::Target(_)
            | Scope::Charter(_)
            | Scope::Agent(_)
            | Scope::Task(_)
            | Scope::Lease(_) => is_used_there_alone(grant, charter, held),
        };
        is(&self.charter, &charter.name)
            && is(&self.target, &grant.target)
            && self.environment.as_ref().is_none_or(in_environment)
    }
}

/// True if the grant can be used in this environment and in no other one.
fn is_used_there_alone(grant: &Grant, charter: &Charter, environment: &Name) -> bool {
    match grant.environments.is_empty() {
        true => charter.environments.keys().eq([environment]),
        false => grant.environments.iter().eq([environment]),
    }
}

/// Says what a step of a re-arm lets be issued again, one line for each charter.
pub(crate) fn opens(scopes: &Scopes, order: &KillOrder, role: Role, holds: &Holds) -> Vec<String> {
    if !order.roles.reaches(role) {
        return vec![format!("nothing: the order does not stop the {role} role")];
    }
    match &order.scope {
        Scope::Lease(id) => return vec![format!("nothing: lease {id} stays dead")],
        Scope::Task(id) if scopes.charter_of(*id).is_none() => {
            return vec![format!("nothing: task {id} is gone")];
        }
        Scope::All
        | Scope::Environment(_)
        | Scope::Target(_)
        | Scope::Charter(_)
        | Scope::Agent(_)
        | Scope::Task(_) => {}
    }
    let now = scopes.context.now();
    let (mut opens, mut held) = (Vec::new(), Vec::new());
    for charter in scopes.charters_within(order) {
        if charter.expires.is_some_and(|end| end.when <= now) {
            continue;
        }
        match line(&charter, (order, role), holds, now) {
            Some((line, true)) => opens.push(line),
            Some((line, false)) => held.push(line),
            None => {}
        }
    }
    opens.append(&mut held);
    let more = opens.len().saturating_sub(CHARTERS_NAMED);
    opens.truncate(CHARTERS_NAMED);
    if more > 0 {
        opens.push(format!("and {more} more charters"));
    }
    if opens.is_empty() {
        opens.push(format!(
            "nothing now: no charter in force has a grant of the {role} role there"
        ));
    }
    opens
}

/// The line of a charter, and whether a grant of it is let go; none where the order is over no
/// grant of it.
fn line(
    charter: &Charter,
    (order, role): (&KillOrder, Role),
    holds: &Holds,
    now: Timestamp,
) -> Option<(String, bool)> {
    let (mut free, mut held) = (Vec::new(), BTreeMap::<String, Vec<&str>>::new());
    for grant in charter.grants.values() {
        if grant.role != role || !is_within(grant, &order.scope) {
            continue;
        }
        match holds.keeping(grant, (charter, order), now) {
            None => free.push(grant.name.as_str()),
            Some(why) => held.entry(why).or_default().push(grant.name.as_str()),
        }
    }
    let held = held.iter();
    let held: Vec<_> = held
        .map(|(why, grants)| format!("{why} {}", grants.join(", ")))
        .collect();
    let name = &charter.name;
    match (free.as_slice(), held.as_slice()) {
        ([], []) => None,
        ([], held) => Some((
            format!("charter {name}: nothing, {}", held.join(", ")),
            false,
        )),
        (free, []) => Some((format!("charter {name}: {}", free.join(", ")), true)),
        (free, held) => {
            let (free, held) = (free.join(", "), held.join(", "));
            Some((format!("charter {name}: {free} ({held})"), true))
        }
    }
}

fn is_within(grant: &Grant, scope: &Scope) -> bool {
    match scope {
        Scope::Target(name) => grant.target == *name,
        Scope::Environment(name) => {
            grant.environments.is_empty() || grant.environments.contains(name)
        }
        Scope::All | Scope::Charter(_) | Scope::Agent(_) | Scope::Task(_) | Scope::Lease(_) => true,
    }
}
