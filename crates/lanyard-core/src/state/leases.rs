//! The leases, and the ways to find them without a scan.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use crate::charter::Name;
use crate::id::{LeaseId, TaskId};
use crate::lease::{Awaits, Entry, Lease, Stage};
use crate::scope::Scope;
use crate::task::Task;
use crate::time::Timestamp;

/// Every lease under which something may be live or must stay revoked.
#[derive(Debug, Clone, Default)]
pub struct Leases {
    all: HashMap<LeaseId, Lease>,
    by_task: HashMap<TaskId, (Arc<Task>, BTreeSet<LeaseId>)>,
    entries: BTreeSet<Arc<Entry>>,
    due: BTreeSet<(Timestamp, LeaseId)>,
    stopping: Stopping,
    live: usize,
}

impl Leases {
    /// One lease.
    #[must_use]
    pub fn get(&self, id: LeaseId) -> Option<&Lease> {
        self.all.get(&id)
    }

    /// All of them, in no order.
    pub fn iter(&self) -> impl Iterator<Item = &Lease> {
        self.all.values()
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.all.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// How many are live: asked for or issued, and not being stopped.
    #[must_use]
    pub const fn live(&self) -> usize {
        self.live
    }

    /// The leases of one task.
    pub fn of_task(&self, task: TaskId) -> impl Iterator<Item = &Lease> {
        self.by_task
            .get(&task)
            .into_iter()
            .flat_map(|(_, ids)| ids.iter())
            .filter_map(|id| self.all.get(id))
    }

    /// The leases that a scope covers, whatever their role.
    pub fn in_scope<'a>(&'a self, scope: &'a Scope) -> Box<dyn Iterator<Item = &'a Lease> + 'a> {
        match scope {
            Scope::Lease(id) => Box::new(self.all.get(id).into_iter()),
            Scope::Task(id) => Box::new(self.of_task(*id)),
            Scope::All => Box::new(self.all.values()),
            Scope::Charter(_) | Scope::Agent(_) | Scope::Environment(_) | Scope::Target(_) => {
                Box::new(
                    self.by_task
                        .values()
                        .filter(|(task, _)| could_cover(scope, task))
                        .flat_map(|(_, ids)| ids.iter())
                        .filter_map(|id| self.all.get(id))
                        .filter(|lease| scope.covers(&lease.facets())),
                )
            }
        }
    }

    /// The leases of one target that are being stopped.
    pub fn stopping(&self, target: &Name) -> impl Iterator<Item = &Lease> {
        self.stopping
            .get(target)
            .into_iter()
            .flat_map(BTreeMap::values)
            .flatten()
            .filter_map(|id| self.all.get(id))
    }

    /// Those of them that wait for this.
    pub fn awaiting(&self, target: &Name, what: Awaits) -> impl Iterator<Item = &Lease> {
        self.stopping
            .get(target)
            .and_then(|steps| steps.get(&what))
            .into_iter()
            .flatten()
            .filter_map(|id| self.all.get(id))
    }

    /// The targets with leases that are being stopped.
    pub fn stopping_targets(&self) -> impl Iterator<Item = &Name> {
        self.stopping.keys()
    }

    /// The leases whose next deadline has come, soonest first. A lease's deadline is the end of its
    /// intent, then its expiry, then its worst expiry.
    pub fn due(&self, now: Timestamp) -> impl Iterator<Item = &Lease> {
        self.due
            .iter()
            .take_while(move |(at, _)| *at <= now)
            .filter_map(|(_, id)| self.all.get(id))
    }

    /// One shared entry for all leases of the same grant.
    pub(super) fn share(&mut self, entry: &Entry) -> Arc<Entry> {
        if let Some(shared) = self.entries.get(entry) {
            return Arc::clone(shared);
        }
        let shared = Arc::new(entry.clone());
        self.entries.insert(Arc::clone(&shared));
        shared
    }

    pub(super) fn insert(&mut self, lease: Lease) {
        self.due.insert((deadline(&lease), lease.id));
        self.by_task
            .entry(lease.task.id)
            .or_insert_with(|| (Arc::clone(&lease.task), BTreeSet::new()))
            .1
            .insert(lease.id);
        if lease.is_live() {
            self.live += 1;
        }
        note(&mut self.stopping, &lease, None);
        self.all.insert(lease.id, lease);
    }

    /// Changes a lease and keeps the indexes right.
    pub(super) fn update(&mut self, id: LeaseId, change: impl FnOnce(&mut Lease)) {
        let Some(lease) = self.all.get_mut(&id) else {
            return;
        };
        let (was_due, was_live, awaited) = (deadline(lease), lease.is_live(), lease.awaits());
        change(lease);
        let is_due = deadline(lease);
        if was_due != is_due {
            self.due.remove(&(was_due, id));
            self.due.insert((is_due, id));
        }
        if was_live && !lease.is_live() {
            self.live -= 1;
        }
        note(&mut self.stopping, lease, awaited);
    }

    pub(super) fn remove(&mut self, id: LeaseId) -> Option<Lease> {
        let lease = self.all.remove(&id)?;
        self.due.remove(&(deadline(&lease), id));
        if lease.is_live() {
            self.live -= 1;
        }
        if let Some(awaited) = lease.awaits() {
            unnote(&mut self.stopping, &lease, awaited);
        }
        if let Some((_, ids)) = self.by_task.get_mut(&lease.task.id) {
            ids.remove(&id);
            if ids.is_empty() {
                self.by_task.remove(&lease.task.id);
            }
        }
        Some(lease)
    }
}

type Stopping = BTreeMap<Name, BTreeMap<Awaits, BTreeSet<LeaseId>>>;

/// Moves a lease to what it waits for now.
fn note(stopping: &mut Stopping, lease: &Lease, before: Option<Awaits>) {
    let now = lease.awaits();
    if now == before {
        return;
    }
    if let Some(now) = now {
        let steps = stopping.entry(lease.entry.target.clone()).or_default();
        steps.entry(now).or_default().insert(lease.id);
    }
    if let Some(before) = before {
        unnote(stopping, lease, before);
    }
}

fn unnote(stopping: &mut Stopping, lease: &Lease, before: Awaits) {
    let target = &lease.entry.target;
    let Some(steps) = stopping.get_mut(target) else {
        return;
    };
    if let Some(ids) = steps.get_mut(&before) {
        ids.remove(&lease.id);
        if ids.is_empty() {
            steps.remove(&before);
        }
    }
    if steps.is_empty() {
        stopping.remove(target);
    }
}

fn could_cover(scope: &Scope, task: &Task) -> bool {
    match scope {
        Scope::Charter(name) => *name == task.charter,
        Scope::Agent(name) => *name == task.agent,
        Scope::Environment(name) => *name == task.environment,
        Scope::All | Scope::Target(_) | Scope::Task(_) | Scope::Lease(_) => true,
    }
}

fn deadline(lease: &Lease) -> Timestamp {
    match lease.stage {
        Stage::Intent => lease.deadline,
        Stage::Issued { .. } => lease.expires,
        Stage::Stopping { .. } => lease.worst_expiry,
    }
}
