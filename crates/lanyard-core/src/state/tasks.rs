//! The tasks, with the indexes that spare a scan.
//!
//! A task is open until it is closed or reaches its end. Some time later the ledger forgets the
//! task with its plans and approvals, unless something is live under it or a task below it remains.
//! Its request id is remembered longer, so that a repeated request opens nothing.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use lanyard_vocabulary::agent::AgentName;
use lanyard_vocabulary::digest::Digest;
use lanyard_vocabulary::id::TaskId;
use lanyard_vocabulary::identity::Identity;
use lanyard_vocabulary::name::Name;
use lanyard_vocabulary::time::Timestamp;
use lanyard_vocabulary::typed_name::Identities;
use serde::{Deserialize, Serialize};

use super::behind;
use crate::task::Task;

/// The time for which an ended task stays in memory with its plans and approvals, once no lease of
/// it is in the books.
///
/// # Limit
/// - for: a task
/// - unit: after its end and the end of its last lease
/// - beyond: the task leaves memory and snapshots; its timeline is read from the history,
///   everything else says that there is no such task
/// - test: `s51_an_ended_task_leaves_memory_soon`
pub const ENDED_TASK_REMEMBERED: Duration = Duration::from_secs(60);

/// The time for which an ended task stays in memory that had credentials, or of which actions were
/// reported: how an action came out is known late.
///
/// # Limit
/// - for: a task that had credentials, or of which actions were reported
/// - unit: after its end
/// - beyond: a report of it is refused, as one of a task that never was
/// - test: `s51_a_task_with_reports_takes_more_of_them_for_an_hour`
pub const REPORTED_TASK_REMEMBERED: Duration = Duration::from_secs(3600);

/// Ended tasks that had credentials and stay in memory for their last reports, without their plans
/// and approvals.
///
/// # Limit
/// - for: all identities together
/// - unit: tasks
/// - beyond: the task that ended first leaves memory; a report of it is refused, as one of a task
///   that never was
/// - test: `s51_so_many_ended_tasks_wait_for_late_reports_and_no_more`
pub const MAX_TASKS_WITH_LATE_REPORTS: usize = 10_000;
/// The time for which an ended task stays in memory of which people were asked for approval: no
/// charter lets an agent wait for longer after a request.
///
/// # Limit
/// - for: a task with requests for approval
/// - unit: after the last request or denial
/// - beyond: the task leaves memory with its plans and approvals
/// - test: `s51_a_task_that_asked_people_stays_as_long_as_that_counts`
pub const REQUEST_REMEMBERED: Duration = Duration::from_secs(24 * 3600);

/// The time for which the request id that opened a task is remembered after the task ended.
///
/// # Limit
/// - for: a request id
/// - unit: after the end of the task
/// - beyond: a request with the same id opens a new task
/// - test: `s51_a_request_that_is_repeated_late_opens_nothing`
pub const REQUEST_ID_REMEMBERED: Duration = Duration::from_secs(3600);

/// Tasks that are open at the same time.
///
/// # Limit
/// - for: all identities together
/// - unit: tasks
/// - beyond: no task is opened until another one ends; kills, closings and credentials of open
///   tasks go on
/// - test: `s05_open_tasks_are_bounded_in_all`
pub const MAX_OPEN_TASKS: usize = 100_000;

/// Tasks of one identity that are open at the same time; those that it opened for other agents are
/// among them.
///
/// # Limit
/// - for: an identity
/// - unit: tasks
/// - beyond: the identity opens no further task until one of them ends
/// - test: `s05_open_tasks_are_bounded_by_identity`
pub const MAX_OPEN_TASKS_PER_IDENTITY: usize = 1000;

/// A task with its state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskEntry {
    /// The facts fixed when the task was opened.
    pub task: Arc<Task>,
    /// The time at which the task was closed.
    pub closed: Option<Timestamp>,
    /// The caller's request id: a second request with it returns the same task.
    pub request: Option<String>,
    /// The identity that opened the task, if it is not the one that runs it.
    pub asker: Option<Identity>,
}

impl TaskEntry {
    /// True if the task can be used at `now`.
    #[must_use]
    pub fn is_open(&self, now: Timestamp) -> bool {
        self.closed.is_none() && now < self.task.expires
    }

    /// The time at which the task ended or will end.
    #[must_use]
    pub fn ends(&self) -> Timestamp {
        self.closed
            .map_or(self.task.expires, |closed| closed.min(self.task.expires))
    }

    /// The identity that opened the task.
    #[must_use]
    pub fn asker(&self) -> &Identity {
        self.asker.as_ref().unwrap_or(&self.task.identity)
    }
}

/// The digest of an identity and its request id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RequestKey(Digest);

impl RequestKey {
    fn of(asker: &Identity, request: &str) -> Self {
        let parts = [&asker.issuer, &asker.subject, request];
        // With their lengths, so that no two requests are written alike.
        let written: String = parts
            .iter()
            .map(|part| format!("{}:{part}", part.len()))
            .collect();
        Self(Digest::of(written.as_bytes()))
    }
}

/// Every task that has not been forgotten.
#[derive(Debug, Clone, Default)]
pub(super) struct Tasks {
    all: HashMap<TaskId, TaskEntry>,
    /// The open tasks, ordered by their natural end.
    open: BTreeSet<(Timestamp, TaskId)>,
    /// The open tasks of each identity that opened any, ordered by their natural end.
    open_of: HashMap<Identity, BTreeSet<(Timestamp, TaskId)>>,
    /// The open tasks of each charter.
    open_under: BTreeMap<Name, BTreeSet<TaskId>>,
    /// The tasks directly or indirectly below each task.
    below: HashMap<TaskId, BTreeSet<TaskId>>,
    /// The times from which ended tasks may be forgotten. A task with remains is absent and returns
    /// when they are gone.
    endings: BTreeSet<(Timestamp, TaskId)>,
    /// The tasks that had a credential, whose actions may be reported late.
    used: HashSet<TaskId>,
    /// The ended tasks kept for late reports alone, ordered by their end.
    late: BTreeSet<(Timestamp, TaskId)>,
    /// The identities that run the tasks, ended ones included: a task stays while a lease of it is
    /// in the books.
    identities: Identities,
    /// The number of tasks of each agent, by the name that the agent had when the task was opened.
    agents: BTreeMap<AgentName, usize>,
    requests: HashMap<RequestKey, TaskId>,
    /// The requests of ended tasks, ordered by the time at which they may be forgotten.
    request_endings: BTreeSet<(Timestamp, RequestKey)>,
}

impl Tasks {
    pub(super) fn get(&self, id: TaskId) -> Option<&TaskEntry> {
        self.all.get(&id)
    }

    pub(super) fn contains(&self, id: TaskId) -> bool {
        self.all.contains_key(&id)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &TaskEntry> {
        self.all.values()
    }

    /// The open tasks after this place, ordered by their natural end.
    pub(super) fn open_after(
        &self,
        after: Option<(Timestamp, TaskId)>,
    ) -> impl Iterator<Item = ((Timestamp, TaskId), &TaskEntry)> {
        let places = self.open.range(behind(after));
        places.filter_map(|place| Some((*place, self.all.get(&place.1)?)))
    }

    /// The open tasks after this place that an identity opened, ordered by their natural end.
    pub(super) fn open_of_after(
        &self,
        asker: &Identity,
        after: Option<(Timestamp, TaskId)>,
    ) -> impl Iterator<Item = ((Timestamp, TaskId), &TaskEntry)> {
        let own = self.open_of.get(asker).into_iter();
        let places = own.flat_map(move |own| own.range(behind(after)));
        places.filter_map(|place| Some((*place, self.all.get(&place.1)?)))
    }

    /// The identities that run the tasks.
    pub(super) const fn identities(&self) -> &Identities {
        &self.identities
    }

    /// True if a task was opened under this agent's name.
    pub(super) fn has_agent(&self, name: &AgentName) -> bool {
        self.agents.contains_key(name)
    }

    /// The open tasks of a charter.
    pub(super) fn open_under(&self, charter: &Name) -> impl Iterator<Item = &TaskEntry> {
        let ids = self.open_under.get(charter).into_iter().flatten();
        ids.filter_map(|id| self.all.get(id))
    }

    /// The number of open tasks.
    pub(super) fn open(&self, now: Timestamp) -> usize {
        live(&self.open, now)
    }

    /// The number of open tasks that this identity opened.
    pub(super) fn open_of(&self, asker: &Identity, now: Timestamp) -> usize {
        let own = self.open_of.get(asker);
        own.map_or(0, |own| live(own, now))
    }

    /// The task that this identity's request opened. The task itself may be forgotten.
    pub(super) fn of_request(&self, asker: &Identity, request: &str) -> Option<TaskId> {
        let key = RequestKey::of(asker, request);
        self.requests.get(&key).copied()
    }

    /// The requests whose tasks are forgotten, with the time until which they are remembered.
    pub(super) fn requests_of_forgotten(
        &self,
    ) -> impl Iterator<Item = (RequestKey, TaskId, Timestamp)> {
        let endings = self.request_endings.iter();
        endings.filter_map(|(until, key)| Some((*key, *self.requests.get(key)?, *until)))
    }

    pub(super) fn remember_request(&mut self, key: RequestKey, task: TaskId, until: Timestamp) {
        self.requests.insert(key, task);
        self.request_endings.insert((until, key));
    }

    pub(super) fn insert(&mut self, entry: TaskEntry) {
        let (id, task) = (entry.task.id, &entry.task);
        if let Some(request) = &entry.request {
            let key = RequestKey::of(entry.asker(), request);
            self.requests.insert(key, id);
        }
        for above in &task.lineage {
            self.below.entry(above.task).or_default().insert(id);
        }
        if entry.closed.is_none() {
            let own = (task.expires, id);
            self.open.insert(own);
            let of_asker = self.open_of.entry(entry.asker().clone());
            of_asker.or_default().insert(own);
            let of_charter = self.open_under.entry(task.charter.clone());
            of_charter.or_default().insert(id);
        }
        let ends = entry.ends();
        self.identities.insert(&entry.task.identity);
        *self.agents.entry(entry.task.agent.clone()).or_default() += 1;
        self.all.insert(id, entry);
        self.endings.insert((ends + ENDED_TASK_REMEMBERED, id));
    }

    /// The task with all tasks that have it in their lineage.
    pub(super) fn with_those_below(&self, task: TaskId) -> Vec<TaskId> {
        let below = self.below.get(&task).into_iter().flatten();
        std::iter::once(task).chain(below.copied()).collect()
    }

    pub(super) fn close(&mut self, id: TaskId, at: Timestamp) {
        let Some(entry) = self.all.get_mut(&id) else {
            return;
        };
        if entry.closed.is_some() {
            return;
        }
        let before = entry.ends();
        entry.closed = Some(at);
        let after = entry.ends();
        self.endings.remove(&(before + ENDED_TASK_REMEMBERED, id));
        self.endings.insert((after + ENDED_TASK_REMEMBERED, id));
        self.ended(id);
    }

    /// Removes a task from the indexes of open tasks.
    fn ended(&mut self, id: TaskId) {
        let Some(entry) = self.all.get(&id) else {
            return;
        };
        let own = (entry.task.expires, id);
        self.open.remove(&own);
        if let Some(of_asker) = self.open_of.get_mut(entry.asker()) {
            of_asker.remove(&own);
            if of_asker.is_empty() {
                self.open_of.remove(entry.asker());
            }
        }
        if let Some(of_charter) = self.open_under.get_mut(&entry.task.charter) {
            of_charter.remove(&id);
            if of_charter.is_empty() {
                self.open_under.remove(&entry.task.charter);
            }
        }
    }

    /// Notes that the last remains of an ended task are gone, so that it may be forgotten in time.
    pub(super) fn nothing_left(&mut self, id: TaskId, at: Timestamp) {
        if let Some(entry) = self.all.get(&id) {
            let ended = entry.ends().max(at);
            self.endings.insert((ended + ENDED_TASK_REMEMBERED, id));
        }
    }

    /// Notes that the task had a credential.
    pub(super) fn use_of(&mut self, id: TaskId) {
        if self.all.contains_key(&id) {
            self.used.insert(id);
        }
    }

    pub(super) fn was_used(&self, id: TaskId) -> bool {
        self.used.contains(&id)
    }

    /// Keeps an ended task for late reports, and returns the task that has to leave for it.
    pub(super) fn await_reports(&mut self, id: TaskId, until: Timestamp) -> Option<TaskId> {
        self.stays_until(id, until);
        self.late.insert((until, id));
        if self.late.len() <= MAX_TASKS_WITH_LATE_REPORTS {
            return None;
        }
        let (_, first) = self.late.pop_first()?;
        self.used.remove(&first);
        Some(first)
    }

    /// Keeps a task until this time, because something may still refer to it.
    pub(super) fn stays_until(&mut self, id: TaskId, until: Timestamp) {
        self.endings.insert((until, id));
    }

    /// Removes tasks that reached their end from the open ones and returns the tasks that may be
    /// forgotten now. The cost depends on how many there are to remove, not on how many there are.
    pub(super) fn due(&mut self, now: Timestamp) -> Vec<TaskId> {
        while let Some((expires, id)) = self.open.first().copied()
            && expires <= now
        {
            self.ended(id);
        }
        while let Some((until, key)) = self.request_endings.first().copied()
            && until <= now
        {
            self.request_endings.pop_first();
            self.requests.remove(&key);
        }
        let mut due = Vec::new();
        while let Some((at, id)) = self.endings.first().copied()
            && at <= now
        {
            self.endings.pop_first();
            due.push(id);
        }
        due
    }

    /// True if a task below this one remains.
    pub(super) fn has_below(&self, id: TaskId) -> bool {
        self.below.contains_key(&id)
    }

    /// Removes an ended task, and returns the tasks above it that have none below them any more.
    pub(super) fn remove(&mut self, id: TaskId) -> Vec<TaskId> {
        self.ended(id);
        let Some(entry) = self.all.remove(&id) else {
            return Vec::new();
        };
        self.identities.remove(&entry.task.identity);
        if let Some(count) = self.agents.get_mut(&entry.task.agent) {
            *count -= 1;
            if *count == 0 {
                self.agents.remove(&entry.task.agent);
            }
        }
        self.used.remove(&id);
        self.late
            .remove(&(entry.ends() + REPORTED_TASK_REMEMBERED, id));
        if let Some(request) = &entry.request {
            let key = RequestKey::of(entry.asker(), request);
            self.remember_request(key, id, entry.ends() + REQUEST_ID_REMEMBERED);
        }
        let mut bare = Vec::new();
        for above in &entry.task.lineage {
            if let Some(below) = self.below.get_mut(&above.task) {
                below.remove(&id);
                if below.is_empty() {
                    self.below.remove(&above.task);
                    bare.push(above.task);
                }
            }
        }
        bare
    }
}

/// Counts the tasks of a set that have not ended. Those that have are not removed yet.
fn live(open: &BTreeSet<(Timestamp, TaskId)>, now: Timestamp) -> usize {
    let over = open.iter().take_while(|(expires, _)| *expires <= now);
    open.len() - over.count()
}
