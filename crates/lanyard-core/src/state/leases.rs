//! The leases, and the ways to find them without a scan.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use super::behind;
use crate::charter::Name;
use crate::id::{KillId, LeaseId, TaskId};
use crate::identity::Identity;
use crate::lease::{Awaits, Entry, Lease, Seq, Stage};
use crate::time::Timestamp;

/// Every lease under which something may be live or must stay revoked.
#[derive(Debug, Clone, Default)]
pub struct Leases {
    /// Boxed: a table has twice as many places as it needs after it grew.
    all: HashMap<LeaseId, Box<Lease>>,
    by_task: HashMap<TaskId, BTreeSet<LeaseId>>,
    entries: BTreeSet<Arc<Entry>>,
    /// In the order of their intents, oldest first: the order in which they are listed.
    by_intent: BTreeMap<Seq, LeaseId>,
    by_identity: HashMap<Identity, BTreeSet<Seq>>,
    deadlines: Deadlines,
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
            .flatten()
            .filter_map(|id| self.get(*id))
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

    /// The first of the leases behind this one, by their ids, that an order killed and that wait for one of these. A lease that
    /// waits for something else in the meantime keeps its place.
    pub fn killed_after(
        &self,
        kill: KillId,
        steps: &[Awaits],
        (after, most): (Option<LeaseId>, usize),
    ) -> Vec<&Lease> {
        let of_kill = self.stopping.by_kill.get(&kill);
        let sets = steps.iter().filter_map(|what| of_kill?.get(what));
        let first = sets.flat_map(|ids| ids.range(behind(after)).take(most));
        let mut first: Vec<LeaseId> = first.copied().collect();
        first.sort_unstable();
        first.truncate(most);
        let found = first.into_iter();
        found.filter_map(|id| self.get(id)).collect()
    }

    /// When the last of the leases of a target that an order killed was asked for.
    #[must_use]
    pub fn last_asked(&self, target: &Name, kill: KillId) -> Option<Timestamp> {
        let asked = self.stopping.asked.get(&(target.clone(), kill))?;
        asked.last().map(|(asked, _)| *asked)
    }

    /// The place of the oldest.
    #[must_use]
    pub fn oldest(&self) -> Option<Seq> {
        self.by_intent.keys().next().copied()
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

    /// The leases behind this place, oldest first; those of one identity alone where one is given.
    pub fn listed<'a>(
        &'a self,
        of: Option<&Identity>,
        after: Option<Seq>,
    ) -> Box<dyn Iterator<Item = &'a Lease> + 'a> {
        let behind = behind(after);
        let found = |seq: &Seq| self.get(*self.by_intent.get(seq)?);
        match of {
            None => {
                let ids = self.by_intent.range(behind);
                Box::new(ids.filter_map(|(_, id)| self.get(*id)))
            }
            Some(identity) => {
                let own = self.by_identity.get(identity).into_iter();
                let own = own.flat_map(move |places| places.range(behind));
                Box::new(own.filter_map(found))
            }
        }
    }

    /// The leases of one identity, newest first.
    pub fn newest(&self, of: &Identity) -> impl Iterator<Item = &Lease> {
        let own = self.by_identity.get(of).into_iter().flatten().rev();
        own.filter_map(|seq| self.get(*self.by_intent.get(seq)?))
    }

    /// The intents that have not been confirmed by their deadline, soonest first.
    pub fn given_up(&self, now: Timestamp) -> impl Iterator<Item = &Lease> {
        self.due(&self.deadlines.intents, now)
    }

    /// The issued leases whose time is up, soonest first.
    pub fn expired(&self, now: Timestamp) -> impl Iterator<Item = &Lease> {
        self.due(&self.deadlines.issued, now)
    }

    /// The targets of leases that may be forgotten once their time is over.
    pub fn ending_targets(&self) -> impl Iterator<Item = &Name> {
        self.deadlines.over.keys()
    }

    /// The leases of a target that are being stopped and are over by `now`, soonest first. A lease that only a revocation
    /// ends is not among them before its revocation was taken.
    pub fn over(&self, target: &Name, now: Timestamp) -> impl Iterator<Item = &Lease> {
        let of_target = self.deadlines.over.get(target).into_iter();
        of_target.flat_map(move |due| self.due(due, now))
    }

    /// The leases that are over by `now`, and whose mint nobody answered and whose revocation nobody took.
    pub fn unanswered(&self, now: Timestamp) -> impl Iterator<Item = &Lease> {
        self.due(&self.deadlines.unanswered, now)
    }

    fn due<'a>(
        &'a self,
        due: &'a BTreeSet<(Timestamp, LeaseId)>,
        now: Timestamp,
    ) -> impl Iterator<Item = &'a Lease> {
        let come = due.iter().take_while(move |(at, _)| *at <= now);
        come.filter_map(|(_, id)| self.get(*id))
    }

    /// All of them, in the order in which they are quickest to insert.
    pub(super) fn by_intent(&self) -> impl Iterator<Item = &Lease> {
        self.by_intent.values().filter_map(|id| self.get(*id))
    }

    /// None yet, with room for so many; an untrue number is only slower.
    pub(super) fn with_room(leases: usize) -> Self {
        const LEASES_WITH_ROOM: usize = 1 << 22;
        Self {
            all: HashMap::with_capacity(leases.min(LEASES_WITH_ROOM)),
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
        self.deadlines.insert(&lease);
        self.by_intent.insert(lease.intent, lease.id);
        let of_identity = self.by_identity.entry(lease.task.identity.clone());
        of_identity.or_default().insert(lease.intent);
        let of_task = self.by_task.entry(lease.task.id);
        of_task.or_default().insert(lease.id);
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
        if was_due != deadline(lease) {
            self.deadlines.take_out(was_due, lease);
            self.deadlines.insert(lease);
        }
        if was_live && !lease.is_live() {
            self.live -= 1;
        }
        self.stopping.moved(lease, before);
    }

    pub(super) fn remove(&mut self, id: LeaseId) -> Option<Lease> {
        let lease = self.all.remove(&id)?;
        self.deadlines.take_out(deadline(&lease), &lease);
        self.by_intent.remove(&lease.intent);
        if let Some(own) = self.by_identity.get_mut(&lease.task.identity) {
            own.remove(&lease.intent);
            if own.is_empty() {
                self.by_identity.remove(&lease.task.identity);
            }
        }
        if lease.is_live() {
            self.live -= 1;
        }
        self.stopping.taken_out(&lease);
        if let Some(ids) = self.by_task.get_mut(&lease.task.id) {
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
    /// By target and order: when each was asked for.
    asked: HashMap<(Name, KillId), BTreeSet<(Timestamp, LeaseId)>>,
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
                let asked = self.asked.entry((lease.entry.target.clone(), kill));
                asked.or_default().insert((lease.asked, lease.id));
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
            if let Some(kill) = kill {
                let key = (target.clone(), kill);
                if let Some(asked) = self.asked.get_mut(&key) {
                    asked.remove(&(lease.asked, lease.id));
                    if asked.is_empty() {
                        self.asked.remove(&key);
                    }
                }
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

/// When the next thing is to be done about a lease because of the time, and what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Deadline {
    /// The intent is given up.
    Intent(Timestamp),
    /// The lease ends.
    Issued(Timestamp),
    /// The lease leaves the books.
    Over(Timestamp),
    /// The lease waits for its revocation, unless its provider says that it ended by itself.
    Unanswered(Timestamp),
}

fn deadline(lease: &Lease) -> Deadline {
    match lease.stage {
        Stage::Intent => Deadline::Intent(lease.deadline),
        Stage::Issued { .. } => Deadline::Issued(lease.expires),
        Stage::Stopping { progress, .. } if progress.is_due() && !lease.confirmed => {
            Deadline::Unanswered(lease.over())
        }
        Stage::Stopping { .. } => Deadline::Over(lease.over()),
    }
}

/// Leases by what the time brings next, each kind by itself: what cannot be done for some of one kind holds up none of another,
/// nor those of another target.
#[derive(Debug, Clone, Default)]
struct Deadlines {
    intents: BTreeSet<(Timestamp, LeaseId)>,
    issued: BTreeSet<(Timestamp, LeaseId)>,
    unanswered: BTreeSet<(Timestamp, LeaseId)>,
    over: BTreeMap<Name, BTreeSet<(Timestamp, LeaseId)>>,
}

impl Deadlines {
    fn insert(&mut self, lease: &Lease) {
        match deadline(lease) {
            Deadline::Intent(at) => {
                self.intents.insert((at, lease.id));
            }
            Deadline::Issued(at) => {
                self.issued.insert((at, lease.id));
            }
            Deadline::Over(at) => {
                let of_target = self.over.entry(lease.entry.target.clone());
                of_target.or_default().insert((at, lease.id));
            }
            Deadline::Unanswered(at) => {
                self.unanswered.insert((at, lease.id));
            }
        }
    }

    fn take_out(&mut self, before: Deadline, lease: &Lease) {
        match before {
            Deadline::Intent(at) => {
                self.intents.remove(&(at, lease.id));
            }
            Deadline::Issued(at) => {
                self.issued.remove(&(at, lease.id));
            }
            Deadline::Over(at) => {
                let target = &lease.entry.target;
                if let Some(of_target) = self.over.get_mut(target) {
                    of_target.remove(&(at, lease.id));
                    if of_target.is_empty() {
                        self.over.remove(target);
                    }
                }
            }
            Deadline::Unanswered(at) => {
                self.unanswered.remove(&(at, lease.id));
            }
        }
    }
}
