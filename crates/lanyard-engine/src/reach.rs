//! What an order reaches: the leases in its scope, and whether anything that is known goes by its name.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use lanyard_core::charter::{Charter, Name, SubjectPattern};
use lanyard_core::command::Command;
use lanyard_core::document::near_names;
use lanyard_core::id::{KillId, LeaseId, TaskId};
use lanyard_core::identity::Identity;
use lanyard_core::kill::{Actor, EngagedOrder, KillOrder};
use lanyard_core::lease::{Lease, Stage};
use lanyard_core::ledger::CommitError;
use lanyard_core::person::Person;
use lanyard_core::scope::{AgentName, RoleFilter, Scope};
use lanyard_core::state::{Refusal, State};
use lanyard_core::time::Timestamp;

use crate::engine::Engine;
use crate::pass::MAX_LEASES_PER_LOOK;

/// So many names are listed beside one that nothing has.
const NAMES_LISTED: usize = 10;
/// So many near names are told.
const NEAR_NAMES: usize = 3;
/// A name of an agent is shortened that is longer.
const SHORT_NAME_BYTES: usize = 32;
/// In how many digits an id may differ that is called near.
const NEAR_DIGITS: u32 = 2;

/// What an order reaches.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BlastRadius {
    /// Leases that are live, or that the order found live, by target.
    pub leases: BTreeMap<Name, usize>,
    /// Why the order reaches nothing: nothing of its name is configured, in force or in the books. The order is worth
    /// engaging all the same: the name may come.
    pub unknown_name: Option<String>,
    /// Names like the one that nothing has, the nearest first.
    pub near: Vec<String>,
    /// The identities that the order reaches besides its name.
    pub identities: BTreeSet<Identity>,
    /// What the order is over, where no lease of it is live.
    pub note: Option<String>,
}

impl BlastRadius {
    /// Whether nothing that is known is in reach.
    #[must_use]
    pub const fn is_nothing(&self) -> bool {
        self.unknown_name.is_some()
    }
}

/// What there is of the kind of a scope.
#[derive(Default)]
struct Known {
    what: &'static str,
    name: String,
    /// The names that there are.
    names: BTreeSet<String>,
    /// Those that are meant, perhaps, where they are known already.
    near: Vec<String>,
    /// How a name of this kind is written, where none is near.
    form: &'static str,
    /// What follows the near names.
    besides: &'static str,
    /// What else is known of the one thing that the scope names.
    note: Option<String>,
}

impl Engine {
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
        let known = given.and_then(|id| {
            let order = |state: &State| Some(state.kills().get(id)?.order.clone());
            self.peek(order).flatten()
        });
        let Some(order) = known.or_else(|| self.order_over(scope)) else {
            return BlastRadius::default();
        };
        let mut radius = BlastRadius {
            identities: order.identities.clone(),
            ..BlastRadius::default()
        };
        let mut has_leases = false;
        self.pass_in_reach(&order, |_, lease| {
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
        let known = self.known(&order.scope);
        if has_leases || self.names_something(&order) || self.covers_an_open_task(&order) {
            radius.note = known.note;
            return radius;
        }
        let near = match known.near.is_empty() {
            false => known.near.clone(),
            true => {
                let names = known.names.iter().map(String::as_str);
                let near = near_names(&known.name, names, NEAR_NAMES).into_iter();
                near.map(str::to_owned).collect()
            }
        };
        radius.unknown_name = Some(known.said(&near));
        radius.near = near;
        radius
    }

    /// An order over both roles of a scope that nobody gives: what an order over that scope would cover.
    #[must_use]
    pub fn order_over(&self, scope: &Scope) -> Option<KillOrder> {
        let draft = self.draft_kill(
            scope.clone(),
            RoleFilter::Both,
            String::new(),
            Actor::Broker,
        );
        draft.ok().map(|order| self.with_identities(order))
    }

    /// The shortest name of each of these agents that an order takes for this agent alone: the end of its subject, the subject,
    /// or else all of the identity.
    #[must_use]
    pub fn short_names(&self, identities: &BTreeSet<Identity>) -> BTreeMap<Identity, String> {
        let known: BTreeSet<Identity> =
            self.identities_known().union(identities).cloned().collect();
        let mut ends: BTreeMap<&str, usize> = BTreeMap::new();
        for identity in &known {
            for end in ends_of(&identity.subject) {
                *ends.entry(end).or_default() += 1;
            }
        }
        let names: BTreeSet<&str> = self.agents().values().map(|name| name.0.as_str()).collect();
        let short = |identity: &Identity| {
            let is_own = |end: &&str| ends.get(end) == Some(&1) && !names.contains(end);
            let mut own = ends_of(&identity.subject).filter(is_own);
            let first = own.next();
            // The whole subject is what people know, where it is short.
            let fits = first.filter(|end| end.len() <= SHORT_NAME_BYTES);
            fits.or(own.next_back()).or(first).map(str::to_owned)
        };
        let of_each = identities.iter();
        let of_each = of_each.map(|identity| {
            let name = short(identity).unwrap_or_else(|| identity.to_string());
            (identity.clone(), name)
        });
        of_each.collect()
    }

    /// The order with the identities that the configuration has under its agent's name: tasks that were opened before the
    /// name was configured go by another one (S32). A name that no agent has is the end of the one identity that ends so.
    pub(crate) fn with_identities(&self, order: KillOrder) -> KillOrder {
        let Scope::Agent(name) = &order.scope else {
            return order;
        };
        let named = self.parts.agents.iter().filter(|(_, agent)| *agent == name);
        let mut identities = order.identities.clone();
        identities.extend(named.map(|(identity, _)| identity.clone()));
        if identities.is_empty() && !self.is_agent(name) {
            let ends = self.ending_with(&name.0);
            if ends.len() == 1 {
                identities.extend(ends);
            }
        }
        KillOrder {
            identities,
            ..order
        }
    }

    /// Lifts an order that reaches nothing, on the word of one person.
    ///
    /// # Errors
    /// The order reaches something, or is lifted; else as of the ledger.
    pub async fn withdraw_kill(
        self: &Arc<Self>,
        kill: KillId,
        by: &Person,
        reason: String,
    ) -> Result<EngagedOrder, CommitError> {
        let unknown = || CommitError::Refused(Refusal::Unknown(format!("kill order {kill}")));
        let engaged = self.query(|state| state.kills().get(kill).cloned()).await?;
        let order = engaged.ok_or_else(unknown)?.order;
        let engine = Arc::clone(self);
        // Every lease is looked at, on another thread.
        let looked = tokio::task::spawn_blocking(move || {
            engine.blast_radius(&order.scope, order.roles, Some(order.id))
        });
        let reaches_nothing = looked.await.is_ok_and(|radius| radius.is_nothing());
        if !reaches_nothing {
            return Err(CommitError::Refused(Refusal::Rearm(
                "this kill order reaches something that is known: lifting it takes a re-arm by two people",
            )));
        }
        let by = by.clone();
        self.commit(Command::WithdrawKill { kill, by, reason })
            .await?;
        let lifted = self.query(|state| state.kills().get(kill).cloned()).await?;
        lifted.ok_or_else(unknown)
    }

    /// Whether an agent goes by exactly this name.
    fn is_agent(&self, name: &AgentName) -> bool {
        let identity = split(&name.0);
        if self.agents().values().any(|known| known == name)
            || identity.is_some_and(|identity| self.knows(&identity))
        {
            return true;
        }
        let mut is_of_task = false;
        self.pages(|state, after| {
            let open = state.open_tasks(after).take(MAX_LEASES_PER_LOOK);
            let seen = open.map(|(place, entry)| {
                is_of_task |= Scope::Agent(name.clone()).covers_task(&entry.task.facets());
                place
            });
            seen.collect()
        });
        is_of_task
    }

    /// Every identity of an agent that is known by name: configured, exactly named by a charter, or with an open task.
    fn identities_known(&self) -> BTreeSet<Identity> {
        let mut known: BTreeSet<Identity> = self.parts.agents.keys().cloned().collect();
        for charter in self.charters().known() {
            for rule in &charter.agents {
                if let SubjectPattern::Exact(subject) = &rule.subject {
                    known.insert(Identity {
                        issuer: rule.issuer.clone(),
                        subject: subject.clone(),
                    });
                }
            }
        }
        self.pages(|state, after| {
            let open = state.open_tasks(after).take(MAX_LEASES_PER_LOOK);
            let seen = open.map(|(place, entry)| {
                known.insert(entry.task.identity.clone());
                place
            });
            seen.collect()
        });
        known
    }

    /// The identities whose subject is this text, or ends with it behind a `:` or a `/`; of any case where none has that case.
    fn ending_with(&self, text: &str) -> BTreeSet<Identity> {
        let text = text.trim();
        if text.is_empty() {
            return BTreeSet::new();
        }
        let known = self.identities_known();
        let of = |same: &dyn Fn(&str) -> String| -> BTreeSet<Identity> {
            let wanted = same(text);
            let ends = known.iter().filter(|identity| {
                same(&identity.to_string()) == wanted || is_end(&same(&identity.subject), &wanted)
            });
            ends.cloned().collect()
        };
        let exact = of(&str::to_owned);
        if exact.is_empty() {
            of(&str::to_lowercase)
        } else {
            exact
        }
    }

    fn covers_an_open_task(&self, order: &KillOrder) -> bool {
        let now = self.now();
        let mut covers = false;
        self.pages(|state, after| {
            let open = state.open_tasks(after).take(MAX_LEASES_PER_LOOK);
            let seen = open.map(|(place, entry)| {
                covers |= entry.is_open(now) && order.covers_task(&entry.task);
                place
            });
            seen.collect()
        });
        covers
    }

    /// Whether something goes by the name that an order is over. An order is not durable before this has answered, so no near
    /// name is looked for here, and no lease is passed over.
    pub(crate) fn names_something(&self, order: &KillOrder) -> bool {
        let of_charters = |is: &dyn Fn(&Charter) -> bool| {
            let charters = self.charters();
            let mut known = charters.all().into_iter().chain(charters.known());
            known.any(|charter| is(&charter))
        };
        let of_state = |is: &dyn Fn(&State) -> bool| self.peek(|state| is(state)) == Some(true);
        match &order.scope {
            Scope::All => true,
            Scope::Target(name) => self.lanes.contains_key(name),
            Scope::Environment(name) => {
                of_charters(&|charter| charter.environments.contains_key(name))
            }
            Scope::Charter(name) => of_charters(&|charter| charter.name == *name),
            Scope::Agent(agent) => !order.identities.is_empty() || self.is_agent(agent),
            Scope::Task(id) => of_state(&|state| state.task(*id).is_some()),
            Scope::Lease(id) => of_state(&|state| state.leases().get(*id).is_some()),
        }
    }

    /// What there is of the kind that an order is over.
    fn known(&self, scope: &Scope) -> Known {
        // A process beside the daemon has read no charter file, and knows the revisions that the daemon has kept.
        let in_force = match self.charters().all() {
            none if none.is_empty() => self.charters().known(),
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
                let names = self.lanes.keys().map(Name::to_string);
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
            Scope::Agent(agent) => self.known_agent(agent),
            Scope::Task(id) => self.known_task(*id),
            Scope::Lease(id) => self.known_lease(*id),
        }
    }

    fn known_agent(&self, agent: &AgentName) -> Known {
        let identities = self.identities_known();
        let several = self.ending_with(&agent.0);
        let configured = self.agents().values().map(|name| name.0.clone());
        let mut names: BTreeSet<String> = configured.collect();
        names.extend(identities.iter().map(Identity::to_string));
        // What people remember of an agent is the end of its subject.
        let mut parts: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for identity in &identities {
            let subject = &identity.subject;
            let last = subject.rsplit([':', '/']).next().unwrap_or(subject);
            for part in [subject.as_str(), last] {
                let whole = parts.entry(part.to_owned()).or_default();
                whole.insert(identity.to_string());
            }
        }
        let of_names = near_names(&agent.0, names.iter().map(String::as_str), NEAR_NAMES);
        let of_parts = near_names(&agent.0, parts.keys().map(String::as_str), NEAR_NAMES);
        let mut near: Vec<String> = several.iter().map(Identity::to_string).collect();
        near.extend(of_names.into_iter().map(str::to_owned));
        near.extend(
            of_parts
                .into_iter()
                .filter_map(|part| parts.get(part))
                .flatten()
                .cloned(),
        );
        let mut seen = BTreeSet::new();
        near.retain(|name| seen.insert(name.clone()));
        near.truncate(NEAR_NAMES.max(several.len()).min(NAMES_LISTED));
        let besides = if several.len() > 1 {
            " several identities end so, and none of them is stopped: name one in full"
        } else {
            ""
        };
        Known {
            what: "agent",
            name: agent.to_string(),
            names: BTreeSet::new(),
            near,
            form: "; an agent has a name of the configuration, or an issuer and a subject as in `https://issuer.example#subject`",
            besides,
            note: Some(fenced("agent", agent)),
        }
    }

    fn known_task(&self, id: TaskId) -> Known {
        let now = self.now();
        let entry = self.peek(|state| state.task(id).cloned()).flatten();
        let note = entry.as_ref().map(|entry| match entry.is_open(now) {
            true => fenced("task", &id),
            false => format!("task {id} ended at {}: nothing of it is live", entry.ends()),
        });
        let mut near = Vec::new();
        if entry.is_none() {
            self.pages(|state, after| {
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
        let lease = self.peek(|state| state.leases().get(id).cloned()).flatten();
        let note = lease.as_ref().map(|lease| of_lease(lease, self.now()));
        let mut near = Vec::new();
        if lease.is_none() {
            self.pass(|_, lease| near.extend(near_id(id.bits(), lease.id.bits(), &lease.id)));
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

    /// Why nothing is reached, and what may be meant.
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
            return format!("{said}; did you mean {}?{besides}", near.join(" or "));
        }
        said.push_str(form);
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

/// An identity in its one form.
fn split(text: &str) -> Option<Identity> {
    let (issuer, subject) = text.split_once('#')?;
    Some(Identity {
        issuer: issuer.to_owned(),
        subject: subject.to_owned(),
    })
}

/// A subject, and what is left of it behind each of its separators: the longest first.
fn ends_of(subject: &str) -> impl DoubleEndedIterator<Item = &str> {
    let behind = subject.match_indices([':', '/']);
    let behind = behind.map(|(at, separator)| at + separator.len());
    let behind: Vec<usize> = std::iter::once(0).chain(behind).collect();
    let ends = behind.into_iter().filter_map(|at| subject.get(at..));
    ends.filter(|end| !end.is_empty())
}

/// Whether a subject is this text, or ends with it behind a separator.
fn is_end(subject: &str, text: &str) -> bool {
    let before = subject.strip_suffix(text);
    before.is_some_and(|before| before.is_empty() || before.ends_with([':', '/']))
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
