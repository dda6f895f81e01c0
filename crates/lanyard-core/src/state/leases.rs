//! The leases, and the ways to find them without a scan.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use crate::charter::Name;
use crate::id::{KillId, LeaseId, TaskId};
use crate::kill::KillOrder;
use crate::lease::{Awaits, Entry, Lease, Stage};
use crate::scope::Scope;
use crate::task::Task;
use crate::time::Timestamp;

/// Every lease under which something may be live or must stay revoked.
#[derive(Debug, Clone, Default)]
pub struct Leases {
    /// Boxed: a table has twice as many places as it needs after it grew.
    all: HashMap<LeaseId, Box<Lease>>,
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
        self.all.get(&id).map(Box::as_ref)
    }

    /// All of them, in no order.
    pub fn iter(&self) -> impl Iterator<Item = &Lease> {
        self.all.values().map(Box::as_ref)
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
            .filter_map(|id| self.get(*id))
    }

    /// The leases that an order reaches, whatever their role.
    pub fn in_reach<'a>(
        &'a self,
        order: &'a KillOrder,
    ) -> Box<dyn Iterator<Item = &'a Lease> + 'a> {
        match &order.scope {
            Scope::Lease(id) => Box::new(self.get(*id).into_iter()),
            Scope::All => Box::new(self.iter()),
            Scope::Target(name) => {
                Box::new(self.iter().filter(move |lease| lease.entry.target == *name))
            }
            Scope::Charter(_) | Scope::Agent(_) | Scope::Environment(_) | Scope::Task(_) => {
                let tasks = self.by_task.values();
                let covered = tasks.filter(move |(task, _)| order.covers_task(task));
                let ids = covered.flat_map(|(_, ids)| ids.iter());
                Box::new(ids.filter_map(|id| self.get(*id)))
            }
        }
    }

    /// The leases of one target that are being stopped.
    pub fn stopping(&self, target: &Name) -> impl Iterator<Item = &Lease> {
        self.stopping
            .by_target
            .get(target)
            .into_iter()
            .flat_map(BTreeMap::values)
            .flatten()
            .filter_map(|id| self.get(*id))
    }

    /// Those of them that wait for this.
    pub fn awaiting(&self, target: &Name, what: Awaits) -> impl Iterator<Item = &Lease> {
        self.stopping
            .by_target
            .get(target)
            .and_then(|steps| steps.get(&what))
            .into_iter()
            .flatten()
            .filter_map(|id| self.get(*id))
    }

    /// The leases that an order killed, and that wait for this.
    pub fn killed(&self, kill: KillId, what: Awaits) -> impl Iterator<Item = &Lease> {
        let steps = self.stopping.by_kill.get(&kill);
        steps
            .and_then(|steps| steps.get(&what))
            .into_iter()
            .flatten()
            .filter_map(|id| self.get(*id))
    }

    /// The orders with leases that wait for their provider or for its declared bound.
    pub fn unfinished(&self) -> impl Iterator<Item = KillId> {
        let open = |steps: &Steps| {
            [Awaits::Kill, Awaits::Bound]
                .iter()
                .any(|what| steps.contains_key(what))
        };
        let orders = self.stopping.by_kill.iter();
        orders
            .filter(move |(_, steps)| open(steps))
            .map(|(id, _)| *id)
    }

    /// The targets with leases that are being stopped.
    pub fn stopping_targets(&self) -> impl Iterator<Item = &Name> {
        self.stopping.by_target.keys()
    }

    /// The leases whose next deadline has come, soonest first. A lease's deadline is the end of its
    /// intent, then its expiry, then its worst expiry.
    pub fn due(&self, now: Timestamp) -> impl Iterator<Item = &Lease> {
        self.due
            .iter()
            .take_while(move |(at, _)| *at <= now)
            .filter_map(|(_, id)| self.get(*id))
    }

    /// All of them, soonest deadline first: the order in which they are quickest to insert.
    pub(super) fn by_deadline(&self) -> impl Iterator<Item = &Lease> {
        self.due.iter().filter_map(|(_, id)| self.get(*id))
    }

    /// None yet, with room for so many; an untrue number is only slower.
    pub(super) fn with_room(leases: usize) -> Self {
        const MOST: usize = 1 << 22;
        Self {
            all: HashMap::with_capacity(leases.min(MOST)),
            ..Self::default()
        }
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
        self.stopping.moved(&lease, None);
        self.all.insert(lease.id, Box::new(lease));
    }

    /// Changes a lease and keeps the indexes right.
    pub(super) fn update(&mut self, id: LeaseId, change: impl FnOnce(&mut Lease)) {
        let Some(lease) = self.all.get_mut(&id) else {
            return;
        };
        let (was_due, was_live, before) = (deadline(lease), lease.is_live(), found(lease));
        change(lease);
        let is_due = deadline(lease);
        if was_due != is_due {
            self.due.remove(&(was_due, id));
            self.due.insert((is_due, id));
        }
        if was_live && !lease.is_live() {
            self.live -= 1;
        }
        self.stopping.moved(lease, before);
    }

    pub(super) fn remove(&mut self, id: LeaseId) -> Option<Lease> {
        let lease = self.all.remove(&id)?;
        self.due.remove(&(deadline(&lease), id));
        if lease.is_live() {
            self.live -= 1;
        }
        self.stopping.taken_out(&lease);
        if let Some((_, ids)) = self.by_task.get_mut(&lease.task.id) {
            ids.remove(&id);
            if ids.is_empty() {
                self.by_task.remove(&lease.task.id);
            }
        }
        Some(*lease)
    }
}

/// Leases by what they wait for.
type Steps = BTreeMap<Awaits, BTreeSet<LeaseId>>;

/// What is being stopped, found by its target and by the order that killed it.
#[derive(Debug, Clone, Default)]
struct Stopping {
    by_target: BTreeMap<Name, Steps>,
    by_kill: HashMap<KillId, Steps>,
}

/// Where a lease is to be found.
type Found = Option<(Awaits, Option<KillId>)>;

fn found(lease: &Lease) -> Found {
    match lease.stage {
        Stage::Stopping { cause, .. } => lease.awaits().map(|what| (what, cause.kill())),
        Stage::Intent | Stage::Issued { .. } => None,
    }
}

impl Stopping {
    fn taken_out(&mut self, lease: &Lease) {
        self.take_out(lease, found(lease));
    }

    fn moved(&mut self, lease: &Lease, before: Found) {
        let now = found(lease);
        if now == before {
            return;
        }
        self.take_out(lease, before);
        if let Some((what, kill)) = now {
            let target = lease.entry.target.clone();
            let steps = self.by_target.entry(target).or_default();
            steps.entry(what).or_default().insert(lease.id);
            if let Some(kill) = kill {
                let steps = self.by_kill.entry(kill).or_default();
                steps.entry(what).or_default().insert(lease.id);
            }
        }
    }

    fn take_out(&mut self, lease: &Lease, before: Found) {
        if let Some((what, kill)) = before {
            let target = &lease.entry.target;
            if take_out(self.by_target.get_mut(target), what, lease.id) {
                self.by_target.remove(target);
            }
            if let Some(kill) = kill
                && take_out(self.by_kill.get_mut(&kill), what, lease.id)
            {
                self.by_kill.remove(&kill);
            }
        }
    }
}

/// Says whether nothing is left.
fn take_out(steps: Option<&mut Steps>, what: Awaits, id: LeaseId) -> bool {
    steps.is_some_and(|steps| {
        if let Some(ids) = steps.get_mut(&what) {
            ids.remove(&id);
            if ids.is_empty() {
                steps.remove(&what);
            }
        }
        steps.is_empty()
    })
}

fn deadline(lease: &Lease) -> Timestamp {
    match lease.stage {
        Stage::Intent => lease.deadline,
        Stage::Issued { .. } => lease.expires,
        Stage::Stopping { .. } => lease.over(),
    }
}
