//! Kill orders indexed by scope, so that a look-up costs as much as it can match.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Bound;

use lanyard_vocabulary::agent::AgentName;
use lanyard_vocabulary::id::{LeaseId, TaskId};
use lanyard_vocabulary::identity::Identity;
use lanyard_vocabulary::lineage::Above;
use lanyard_vocabulary::name::Name;
use lanyard_vocabulary::scope::{Facets, Scope};
use lanyard_vocabulary::seq::Seq;
use lanyard_vocabulary::typed_name::{Ends, keys};

use crate::kill::KillOrder;
use crate::task::Task;

/// The records of kill orders, by scope.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Places {
    all: BTreeSet<Seq>,
    environments: BTreeMap<Name, BTreeSet<Seq>>,
    targets: BTreeMap<Name, BTreeSet<Seq>>,
    charters: BTreeMap<Name, BTreeSet<Seq>>,
    agents: BTreeMap<AgentName, BTreeSet<Seq>>,
    /// The orders over agents that are called by their only identity.
    called: BTreeMap<String, BTreeSet<Seq>>,
    /// The orders over agents as a person typed the name, by the keys of that name.
    typed: BTreeMap<String, BTreeSet<Seq>>,
    /// The orders that list identities besides the agent's name.
    identities: BTreeMap<Identity, BTreeSet<Seq>>,
    tasks: HashMap<TaskId, BTreeSet<Seq>>,
    leases: HashMap<LeaseId, BTreeSet<Seq>>,
}

impl Places {
    pub(super) fn insert(&mut self, order: &KillOrder, seq: Seq) {
        for identity in &order.identities {
            let of_identity = self.identities.entry(identity.clone());
            of_identity.or_default().insert(seq);
        }
        if let Scope::Agent(name) = &order.scope
            && name.0.contains('#')
        {
            let of_name = self.called.entry(name.0.clone());
            of_name.or_default().insert(seq);
        }
        for key in typed_keys(order) {
            self.typed.entry(key).or_default().insert(seq);
        }
        let places = match &order.scope {
            Scope::All => &mut self.all,
            Scope::Environment(name) => self.environments.entry(name.clone()).or_default(),
            Scope::Target(name) => self.targets.entry(name.clone()).or_default(),
            Scope::Charter(name) => self.charters.entry(name.clone()).or_default(),
            Scope::Agent(name) => self.agents.entry(name.clone()).or_default(),
            Scope::Task(id) => self.tasks.entry(*id).or_default(),
            Scope::Lease(id) => self.leases.entry(*id).or_default(),
        };
        places.insert(seq);
    }

    pub(super) fn remove(&mut self, order: &KillOrder, seq: Seq) {
        for identity in &order.identities {
            ordered(&mut self.identities, identity, seq);
        }
        if let Scope::Agent(name) = &order.scope {
            ordered(&mut self.called, &name.0, seq);
        }
        for key in typed_keys(order) {
            ordered(&mut self.typed, &key, seq);
        }
        match &order.scope {
            Scope::All => {
                self.all.remove(&seq);
            }
            Scope::Environment(name) => ordered(&mut self.environments, name, seq),
            Scope::Target(name) => ordered(&mut self.targets, name, seq),
            Scope::Charter(name) => ordered(&mut self.charters, name, seq),
            Scope::Agent(name) => ordered(&mut self.agents, name, seq),
            Scope::Task(id) => hashed(&mut self.tasks, id, seq),
            Scope::Lease(id) => hashed(&mut self.leases, id, seq),
        }
    }

    /// The orders of exactly this scope.
    pub(super) fn of(&self, scope: &Scope) -> Option<&BTreeSet<Seq>> {
        match scope {
            Scope::All => Some(&self.all),
            Scope::Environment(name) => self.environments.get(name),
            Scope::Target(name) => self.targets.get(name),
            Scope::Charter(name) => self.charters.get(name),
            Scope::Agent(name) => self.agents.get(name),
            Scope::Task(id) => self.tasks.get(id),
            Scope::Lease(id) => self.leases.get(id),
        }
    }

    /// The sets of orders whose scopes cover something with these facts. An order can be in several
    /// sets.
    pub(super) fn covering<'a>(
        &'a self,
        facets: &Facets<'a>,
    ) -> impl Iterator<Item = &'a BTreeSet<Seq>> {
        let (task, lease) = (&facets.task, facets.lease);
        let lease = lease.and_then(|id| self.leases.get(&id));
        let own = (task.charter, task.agent, task.identity, task.id);
        self.covering_task(task.environment, own, task.lineage)
            .chain(self.targets.get(facets.target))
            .chain(lease)
    }

    /// The sets of orders whose scopes cover the task with everything in it.
    pub(super) fn covering_whole<'a>(
        &'a self,
        task: &'a Task,
    ) -> impl Iterator<Item = &'a BTreeSet<Seq>> {
        let own = (&task.charter, &task.agent, &task.identity, task.id);
        self.covering_task(&task.environment, own, &task.lineage)
    }

    fn covering_task<'a>(
        &'a self,
        environment: &Name,
        (charter, agent, identity, task): (&Name, &AgentName, &Identity, TaskId),
        lineage: &'a [Above],
    ) -> impl Iterator<Item = &'a BTreeSet<Seq>> {
        let named = self.of_identity(identity);
        let own = [
            (!self.all.is_empty()).then_some(&self.all),
            self.environments.get(environment),
            self.charters.get(charter),
            self.agents.get(agent),
            self.tasks.get(&task),
        ];
        let above = lineage.iter().flat_map(|above| {
            let identity = above.run_by();
            let named = identity.map(|it| self.of_identity(&it)).unwrap_or_default();
            let own = [
                self.charters.get(&above.charter),
                self.agents.get(&above.agent),
                self.tasks.get(&above.task),
            ];
            own.into_iter().flatten().chain(named)
        });
        own.into_iter().flatten().chain(named).chain(above)
    }
}

impl Places {
    /// The orders that list this identity, an agent that is called by it, or a name that can mean
    /// it.
    fn of_identity(&self, identity: &Identity) -> Vec<&BTreeSet<Seq>> {
        let mut found: Vec<_> = self.identities.get(identity).into_iter().collect();
        if !self.called.is_empty() {
            found.extend(self.called.get(&identity.to_string()));
        }
        if !self.typed.is_empty() {
            let ends = Ends::of(identity);
            found.extend(ends.keys().filter_map(|key| self.typed.get(key)));
        }
        found
    }
}

/// The keys of the name that a person typed for the order, if there is one.
fn typed_keys(order: &KillOrder) -> BTreeSet<String> {
    match &order.scope {
        Scope::Agent(name) if order.as_typed => keys(name),
        Scope::All
        | Scope::Environment(_)
        | Scope::Target(_)
        | Scope::Charter(_)
        | Scope::Agent(_)
        | Scope::Task(_)
        | Scope::Lease(_) => BTreeSet::new(),
    }
}

/// The orders of a set that are later than this record, latest first.
pub(super) fn later(
    places: &BTreeSet<Seq>,
    than: Option<Seq>,
) -> impl DoubleEndedIterator<Item = Seq> {
    let from = than.map_or(Bound::Unbounded, Bound::Excluded);
    places.range((from, Bound::Unbounded)).rev().copied()
}

fn ordered<K: Ord>(places: &mut BTreeMap<K, BTreeSet<Seq>>, key: &K, seq: Seq) {
    if let Some(of_key) = places.get_mut(key) {
        of_key.remove(&seq);
        if of_key.is_empty() {
            places.remove(key);
        }
    }
}

fn hashed<K: std::hash::Hash + Eq>(places: &mut HashMap<K, BTreeSet<Seq>>, key: &K, seq: Seq) {
    if let Some(of_key) = places.get_mut(key) {
        of_key.remove(&seq);
        if of_key.is_empty() {
            places.remove(key);
        }
    }
}
