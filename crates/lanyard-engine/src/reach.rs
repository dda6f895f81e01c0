//! What an order reaches: the leases in its scope, and whether anything that is known goes by its
//! name.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use lanyard_charter::Charter;
use lanyard_core::kill::{Actor, KillOrder};
use lanyard_core::lease::{Lease, Stage};
use lanyard_core::pause::Reach;
use lanyard_core::state::State;
use lanyard_document::near_names;
use lanyard_vocabulary::id::{KillId, LeaseId, TaskId};
use lanyard_vocabulary::identity::Identity;
use lanyard_vocabulary::name::Name;
use lanyard_vocabulary::scope::{RoleFilter, Scope};
use lanyard_vocabulary::time::Timestamp;

use crate::context::Context;
use crate::pass::MAX_LEASES_PER_LOOK;

/// So many names are listed beside one that nothing has.
const NAMES_LISTED: usize = 10;
/// So many near names are told.
pub(crate) const NEAR_NAMES: usize = 3;
/// In how many digits an id may differ that is called near.
const NEAR_DIGITS: u32 = 2;

/// The objects that an order reaches.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BlastRadius {
    /// Leases that are live, or that the order found live, by target.
    pub leases: BTreeMap<Name, usize>,
    /// The reason why the order reaches nothing: nothing of its name is configured, in force or in
    /// the books. The order is worth engaging all the same: the name may come.
    pub unknown_name: Option<String>,
    /// Names like the one that nothing has, the nearest first.
    pub near: Vec<String>,
    /// The identities that the order reaches besides its name.
    pub identities: BTreeSet<Identity>,
    /// A remark about what the order is over, if no lease of it is live.
    pub note: Option<String>,
}

impl BlastRadius {
    /// Tells if nothing that is known is in reach.
    #[must_use]
    pub const fn is_nothing(&self) -> bool {
        self.unknown_name.is_some()
    }
}

/// A name that nothing has.
struct Unknown {
    said: String,
    near: Vec<String>,
}

/// The known names of the kind of a scope.
#[derive(Default)]
struct Known {
    what: &'static str,
    name: String,
    /// The names that there are.
    names: BTreeSet<String>,
    /// The names that are meant, perhaps, if they are known already.
    near: Vec<String>,
    /// The form of a name of this kind, if none is near.
    form: &'static str,
    /// The effect that the order has all the same.
    besides: &'static str,
    /// A remark about the one thing that the scope names.
    note: Option<String>,
}

/// The part that says what orders over a scope reach, by the names that are known.
pub struct Scopes {
    pub(crate) context: Arc<Context>,
}

impl Scopes {
    /// Counts what an order would reach now, or what one that was given has reached.
    ///
    /// Every lease is looked at: whoever gives an order gives it first and counts afterwards.
    #[must_use]
    pub fn blast_radius(
        &self,
        scope: &Scope,
        roles: RoleFilter,
        given: Option<KillId>,
    ) -> BlastRadius {
        let known = given.and_then(|id| {
            let order = |state: &State| Some(state.kills().get(id)?.order.clone());
            self.context.peek(order)
        });
        let Some(order) = known.or_else(|| self.order_over(scope)) else {
            return BlastRadius::default();
        };
        let mut radius = BlastRadius {
            identities: self.identities_named(&order),
            ..BlastRadius::default()
        };
        let mut has_leases = false;
        self.context.pass_in_reach(&order, |_, lease| {
            // A lease that the order is stopping already has the name as well.
            has_leases = true;
            let is_reached = lease.is_live() || given.is_some() && lease.killed_by() == given;
            if is_reached && roles.reaches(lease.entry.role) {
                let count = radius.leases.entry(lease.entry.target.clone());
                *count.or_default() += 1;
            }
        });
        if !radius.leases.is_empty() {
            return radius;
        }
        match self.unknown(&order).filter(|_| !has_leases) {
            Some(unknown) => {
                radius.unknown_name = Some(unknown.said);
                radius.near = unknown.near;
            }
            None => radius.note = self.known(&order.scope).note,
        }
        radius
    }

    /// Describes an order whose name nothing has: neither the configuration, nor a charter, nor the
    /// books.
    fn unknown(&self, order: &KillOrder) -> Option<Unknown> {
        if self.names_something(order) || self.covers_an_open_task(order) {
            return None;
        }
        let known = self.known(&order.scope);
        let near = match known.near.is_empty() {
            false => known.near.clone(),
            true => {
                let names = known.names.iter().map(String::as_str);
                let near = near_names(&known.name, names, NEAR_NAMES).into_iter();
                near.map(str::to_owned).collect()
            }
        };
        let said = known.said(&near);
        Some(Unknown { said, near })
    }

    /// Counts what a pause would be about. Names that nothing has are told as those of a kill order
    /// are; every open task may be looked at.
    #[must_use]
    pub fn pause_radius(&self, reach: &Reach) -> BlastRadius {
        let scopes = [
            reach.environment.clone().map(Scope::Environment),
            reach.target.clone().map(Scope::Target),
            reach.charter.clone().map(Scope::Charter),
            reach.agent.clone().map(Scope::Agent),
            reach.task.map(Scope::Task),
        ];
        let mut radius = BlastRadius::default();
        let mut said = Vec::new();
        for order in scopes
            .iter()
            .flatten()
            .filter_map(|scope| self.order_over(scope))
        {
            radius.identities.extend(self.identities_named(&order));
            if let Some(unknown) = self.unknown(&order) {
                said.push(unknown.said);
                radius.near.extend(unknown.near);
            }
        }
        radius.unknown_name = (!said.is_empty()).then(|| said.join("; "));
        radius
    }

    /// Tells if nothing went by the name of an order when the order was given, and nothing does
    /// now.
    #[must_use]
    pub fn reaches_nothing(&self, order: &KillOrder) -> bool {
        order.reaches_nothing && !self.names_something(order)
    }

    /// An order over both roles of a scope that nobody gives: what an order over that scope would
    /// cover.
    #[must_use]
    pub fn order_over(&self, scope: &Scope) -> Option<KillOrder> {
        let draft = self.context.draft_kill(
            scope.clone(),
            RoleFilter::Both,
            String::new(),
            Actor::Broker,
        );
        let order = draft.ok()?;
        Some(self.with_identities(KillOrder {
            as_typed: true,
            ..order
        }))
    }

    fn covers_an_open_task(&self, order: &KillOrder) -> bool {
        let now = self.context.now();
        let mut covers = false;
        self.context.pages(|state, after| {
            let open = state.open_tasks(after).take(MAX_LEASES_PER_LOOK);
            let seen = open.map(|(place, entry)| {
                covers |= entry.is_open(now) && order.covers_task(&entry.task);
                place
            });
            seen.collect()
        });
        covers
    }

    /// Tells if something goes by the name that an order is over. An order is not durable before
    /// this has answered, so no near name is looked for here, and no lease is passed over.
    pub(crate) fn names_something(&self, order: &KillOrder) -> bool {
        let of_charters = |is: &dyn Fn(&Charter) -> bool| {
            let charters = &self.context.charters;
            let mut known = charters.all().into_iter().chain(charters.known());
            known.any(|charter| is(&charter))
        };
        let of_state = |is: &dyn Fn(&State) -> bool| self.context.peek(|state| is(state));
        match &order.scope {
            Scope::All => true,
            Scope::Target(name) => self.context.targets.lanes.contains_key(name),
            Scope::Environment(name) => {
                of_charters(&|charter| charter.environments.contains_key(name))
            }
            Scope::Charter(name) => of_charters(&|charter| charter.name == *name),
            Scope::Agent(agent) => self.names_an_agent(order, agent),
            Scope::Task(id) => of_state(&|state| state.task(*id).is_some()),
            Scope::Lease(id) => of_state(&|state| state.leases().get(*id).is_some()),
        }
    }

    /// Returns the known names of the kind that an order is over.
    fn known(&self, scope: &Scope) -> Known {
        // A process beside the daemon has read no charter file, and knows the revisions that the
        // daemon has kept.
        let in_force = match self.context.charters.all() {
            none if none.is_empty() => self.context.charters.known(),
            some => some,
        };
        match scope {
            Scope::All => Known {
                note: Some(
                    "no lease is live now; nothing is issued until this order is lifted".to_owned(),
                ),
                ..Known::default()
            },
            Scope::Target(name) => {
                let names = self.context.targets.lanes.keys().map(Name::to_string);
                Known::named("target", name, names.collect())
            }
            Scope::Environment(name) => {
                let names = in_force
                    .iter()
                    .flat_map(|charter| charter.environments.keys());
                Known::named("environment", name, names.map(Name::to_string).collect())
            }
            Scope::Charter(name) => {
                let names = in_force.iter().map(|charter| charter.name.to_string());
                Known::named("charter", name, names.collect())
            }
            Scope::Agent(agent) => Known {
                what: "agent",
                name: agent.to_string(),
                near: self.near_agents(agent),
                form: "; an agent has a name of the configuration, or an issuer and a subject as in `https://issuer.example#subject`",
                besides: match self.lets_in_by_pattern() {
                    true => {
                        "; one that a pattern of a charter lets in and that ends so is stopped when it comes"
                    }
                    false => "",
                },
                note: Some(fenced("agent", agent)),
                ..Known::default()
            },
            Scope::Task(id) => self.known_task(*id),
            Scope::Lease(id) => self.known_lease(*id),
        }
    }

    fn known_task(&self, id: TaskId) -> Known {
        let now = self.context.now();
        let entry = self.context.peek(|state| state.task(id).cloned());
        let note = entry.as_ref().map(|entry| match entry.is_open(now) {
            true => fenced("task", &id),
            false => format!("task {id} ended at {}: nothing of it is live", entry.ends()),
        });
        let mut near = Vec::new();
        if entry.is_none() {
            self.context.pages(|state, after| {
                let open = state.open_tasks(after).take(MAX_LEASES_PER_LOOK);
                let seen = open.map(|(place, entry)| {
                    near.extend(near_id(id.bits(), entry.task.id.bits(), &entry.task.id));
                    place
                });
                seen.collect()
            });
        }
        Known::of_id("task", &id, note, near)
    }

    fn known_lease(&self, id: LeaseId) -> Known {
        let lease = self.context.peek(|state| state.leases().get(id).cloned());
        let note = lease
            .as_ref()
            .map(|lease| of_lease(lease, self.context.now()));
        let mut near = Vec::new();
        if lease.is_none() {
            self.context
                .pass(|_, lease| near.extend(near_id(id.bits(), lease.id.bits(), &lease.id)));
        }
        Known::of_id("lease", &id, note, near)
    }
}

impl Known {
    fn named(what: &'static str, name: &Name, names: BTreeSet<String>) -> Self {
        Self {
            what,
            name: name.to_string(),
            names,
            near: Vec::new(),
            form: "",
            besides: "",
            note: Some(fenced(what, name)),
        }
    }

    fn of_id(
        what: &'static str,
        id: &dyn std::fmt::Display,
        note: Option<String>,
        mut near: Vec<String>,
    ) -> Self {
        near.sort();
        near.truncate(NEAR_NAMES);
        Self {
            what,
            name: id.to_string(),
            names: BTreeSet::new(),
            near,
            form: "; one that ended leaves the books after a while",
            besides: "",
            note,
        }
    }

    /// Says why nothing is reached, and what may be meant.
    fn said(&self, near: &[String]) -> String {
        let Self {
            what,
            name,
            form,
            besides,
            ..
        } = self;
        let mut said = format!("no {what} `{name}` is known");
        if !near.is_empty() {
            let near: Vec<String> = near.iter().map(|name| format!("`{name}`")).collect();
            return format!("{said}{besides}; did you mean {}?", near.join(" or "));
        }
        said.push_str(form);
        said.push_str(besides);
        let mut listed: Vec<&str> = self
            .names
            .iter()
            .take(NAMES_LISTED)
            .map(String::as_str)
            .collect();
        if self.names.len() > listed.len() {
            listed.push("…");
        }
        if !listed.is_empty() {
            said.push_str(&format!("; there are {}", listed.join(", ")));
        }
        said
    }
}

/// The line for what is known and has no live lease: the order stops it all the same.
fn fenced(what: &str, name: &dyn std::fmt::Display) -> String {
    format!("no lease of {what} {name} is live now; nothing new is issued there")
}

fn of_lease(lease: &Lease, now: Timestamp) -> String {
    let id = lease.id;
    match lease.stage {
        Stage::Stopping { progress, .. } => match progress.dead_at() {
            Some(at) => format!("lease {id} was dead already, since {at}"),
            None => format!("lease {id} was being stopped already"),
        },
        Stage::Intent | Stage::Issued { .. } if lease.expires <= now => {
            format!("lease {id} ended at {}", lease.expires)
        }
        Stage::Intent | Stage::Issued { .. } => fenced("lease", &id),
    }
}

/// The id, where it differs from what was asked for in a digit or two: somebody read it aloud.
fn near_id(asked: u128, known: u128, id: &dyn std::fmt::Display) -> Option<String> {
    let mut differs = asked ^ known;
    let mut digits = 0;
    while differs != 0 {
        digits += u32::from(differs & 31 != 0);
        differs >>= 5;
    }
    (1..=NEAR_DIGITS).contains(&digits).then(|| id.to_string())
}
