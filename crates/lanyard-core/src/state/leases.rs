//! The leases, with the indexes that spare a scan.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use lanyard_vocabulary::agent::AgentName;
use lanyard_vocabulary::id::{KillId, LeaseId, TaskId};
use lanyard_vocabulary::identity::Identity;
use lanyard_vocabulary::name::Name;
use lanyard_vocabulary::seq::Seq;
use lanyard_vocabulary::time::Timestamp;

use super::behind;
use crate::lease::{Awaits, GrantRef, Lease, Stage};
use crate::task::Task;

/// Every lease under which a credential may be live or must stay revoked.
#[derive(Debug, Clone, Default)]
pub struct Leases {
    /// The leases by id. Boxed, because a hash table has up to twice as many slots as entries after
    /// it grew.
    all: HashMap<LeaseId, Box<Lease>>,
    by_task: HashMap<TaskId, BTreeSet<LeaseId>>,
    entries: BTreeSet<Arc<GrantRef>>,
    /// The leases in the order of their intents, which is the order of listings.
    by_intent: BTreeMap<Seq, LeaseId>,
    by_identity: HashMap<Identity, BTreeSet<Seq>>,
    deadlines: Deadlines,
    stopping: Stopping,
    live: usize,
    /// The live leases of an agent under a charter, by their ends: whoever is over a limit is told
    /// when the first of them ends, and an agent may have many identities.
    ends: HashMap<(Name, AgentName), BTreeSet<(Timestamp, LeaseId)>>,
}

impl Leases {
    /// The lease with this id.
    #[must_use]
    pub fn get(&self, id: LeaseId) -> Option<&Lease> {
        self.all.get(&id).map(Box::as_ref)
    }

    /// All leases, in no order.
    pub fn iter(&self) -> impl Iterator<Item = &Lease> {
        self.all.values().map(Box::as_ref)
    }

    /// The number of leases.
    #[must_use]
    pub fn len(&self) -> usize {
        self.all.len()
    }

    /// True if there are no leases.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// The number of live leases: in the stages intent and issued.
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

    /// The stopping leases of one target.
    pub fn stopping(&self, target: &Name) -> impl Iterator<Item = &Lease> {
        self.stopping
            .by_target
            .get(target)
            .into_iter()
            .flat_map(BTreeMap::values)
            .flatten()
            .filter_map(|id| self.get(*id))
    }

    /// The stopping leases of one target that wait for `what`.
    pub fn awaiting(&self, target: &Name, what: Awaits) -> impl Iterator<Item = &Lease> {
        self.stopping
            .by_target
            .get(target)
            .and_then(|steps| steps.get(&what))
            .into_iter()
            .flatten()
            .filter_map(|id| self.get(*id))
    }

    /// The leases that the kill order stops and that wait for `what`.
    pub fn killed(&self, kill: KillId, what: Awaits) -> impl Iterator<Item = &Lease> {
        let steps = self.stopping.by_kill.get(&kill);
        steps
            .and_then(|steps| steps.get(&what))
            .into_iter()
            .flatten()
            .filter_map(|id| self.get(*id))
    }

    /// The first lease after this id that the kill order stops and that waits for one of these. A
    /// lease keeps its place when it begins to wait for something else.
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

    /// The time of the newest intent among the target's leases that the kill order stops.
    #[must_use]
    pub fn last_asked(&self, target: &Name, kill: KillId) -> Option<Timestamp> {
        let asked = self.stopping.asked.get(&(target.clone(), kill))?;
        asked.last().map(|(asked, _)| *asked)
    }

    /// The record of the oldest intent.
    #[must_use]
    pub fn oldest(&self) -> Option<Seq> {
        self.by_intent.keys().next().copied()
    }

    /// The kill orders with leases that wait for their provider or for its settle time.
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

    /// The targets with stopping leases.
    pub fn stopping_targets(&self) -> impl Iterator<Item = &Name> {
        self.stopping.by_target.keys()
    }

    /// The leases after this record, oldest first; only those of one identity if one is given.
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

    /// The end of the first live lease that the agent of this task has under its charter, by any of
    /// its identities.
    #[must_use]
    pub fn first_end(&self, task: &Task) -> Option<Timestamp> {
        let ends = self.ends.get(&holder(task))?;
        ends.first().map(|(at, _)| *at)
    }

    /// The intents that were not confirmed by their deadline, earliest deadline first.
    pub fn given_up(&self, now: Timestamp) -> impl Iterator<Item = &Lease> {
        self.due(&self.deadlines.intents, now)
    }

    /// The issued leases that have reached their end, earliest end first.
    pub fn expired(&self, now: Timestamp) -> impl Iterator<Item = &Lease> {
        self.due(&self.deadlines.issued, now)
    }

    /// The targets with leases that can be forgotten at a known time.
    pub fn ending_targets(&self) -> impl Iterator<Item = &Name> {
        self.deadlines.over.keys()
    }

    /// The stopping leases of a target that can be forgotten by `now`, earliest first. A lease that
    /// only a revocation ends is not among them before its revocation is acknowledged.
    pub fn over(&self, target: &Name, now: Timestamp) -> impl Iterator<Item = &Lease> {
        let of_target = self.deadlines.over.get(target).into_iter();
        of_target.flat_map(move |due| self.due(due, now))
    }

    /// The leases past their end by `now` whose mint was never answered and whose revocation was
    /// never acknowledged.
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

    /// All leases in the order in which inserting them is fastest.
    pub(super) fn by_intent(&self) -> impl Iterator<Item = &Lease> {
        self.by_intent.values().filter_map(|id| self.get(*id))
    }

    /// An empty collection with room for this many leases. A wrong number costs time only.
    pub(super) fn with_room(leases: usize) -> Self {
        const LEASES_WITH_ROOM: usize = 1 << 22;
        Self {
            all: HashMap::with_capacity(leases.min(LEASES_WITH_ROOM)),
            ..Self::default()
        }
    }

    /// Returns the one shared value for all leases of the same grant.
    pub(super) fn share(&mut self, entry: &GrantRef) -> Arc<GrantRef> {
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
            let ends = self.ends.entry(holder(&lease.task)).or_default();
            ends.insert((lease.expires, lease.id));
        }
        self.stopping.moved(&lease, None);
        self.all.insert(lease.id, Box::new(lease));
    }

    /// Changes a lease and updates the indexes.
    pub(super) fn update(&mut self, id: LeaseId, change: impl FnOnce(&mut Lease)) {
        let Some(lease) = self.all.get_mut(&id) else {
            return;
        };
        let (was_due, was_live, before) = (deadline(lease), lease.is_live(), found(lease));
        let ended = lease.expires;
        change(lease);
        if was_due != deadline(lease) {
            self.deadlines.take_out(was_due, lease);
            self.deadlines.insert(lease);
        }
        if was_live && (!lease.is_live() || ended != lease.expires) {
            take_end(&mut self.ends, &lease.task, (ended, id));
            if lease.is_live() {
                let ends = self.ends.entry(holder(&lease.task)).or_default();
                ends.insert((lease.expires, id));
            } else {
                self.live -= 1;
            }
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
            take_end(&mut self.ends, &lease.task, (lease.expires, id));
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

fn holder(task: &Task) -> (Name, AgentName) {
    (task.charter.clone(), task.agent.clone())
}

fn take_end(
    ends: &mut HashMap<(Name, AgentName), BTreeSet<(Timestamp, LeaseId)>>,
    task: &Task,
    end: (Timestamp, LeaseId),
) {
    let holder = holder(task);
    if let Some(own) = ends.get_mut(&holder) {
        own.remove(&end);
        if own.is_empty() {
            ends.remove(&holder);
        }
    }
}

/// Lease ids by what the leases wait for.
type Steps = BTreeMap<Awaits, BTreeSet<LeaseId>>;

/// The stopping leases, by target and by kill order.
#[derive(Debug, Clone, Default)]
struct Stopping {
    by_target: BTreeMap<Name, Steps>,
    by_kill: HashMap<KillId, Steps>,
    /// The time of each intent, by target and kill order.
    asked: HashMap<(Name, KillId), BTreeSet<(Timestamp, LeaseId)>>,
}

/// The place of a lease in the indexes.
type IndexPlace = Option<(Awaits, Option<KillId>)>;

fn found(lease: &Lease) -> IndexPlace {
    match lease.stage {
        Stage::Stopping { cause, .. } => lease.awaits().map(|what| (what, cause.kill())),
        Stage::Intent | Stage::Issued { .. } => None,
    }
}

impl Stopping {
    fn taken_out(&mut self, lease: &Lease) {
        self.take_out(lease, found(lease));
    }

    fn moved(&mut self, lease: &Lease, before: IndexPlace) {
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

    fn take_out(&mut self, lease: &Lease, before: IndexPlace) {
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

/// Removes the lease and returns true if nothing is left there.
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

/// The next event of a lease that time brings, and its time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Deadline {
    /// The intent is given up.
    Intent(Timestamp),
    /// The issued lease ends.
    Issued(Timestamp),
    /// The lease is forgotten.
    Over(Timestamp),
    /// The lease has to be revoked, unless its provider says that it ended by itself.
    Unanswered(Timestamp),
}

fn deadline(lease: &Lease) -> Deadline {
    match lease.stage {
        Stage::Intent => Deadline::Intent(lease.deadline),
        Stage::Issued { .. } => Deadline::Issued(lease.expires),
        Stage::Stopping { progress, .. } if progress.is_due() && !lease.confirmed => {
            Deadline::Unanswered(lease.retained_until())
        }
        Stage::Stopping { .. } => Deadline::Over(lease.retained_until()),
    }
}

/// Leases by the next event that time brings, one index for each kind of event: a target or a kind
/// of event that is stuck must not hold up the others.
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
