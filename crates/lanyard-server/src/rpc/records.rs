//! Records of the journal that are asked after: each with what it is about, and as a sentence.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use lanyard_core::command::{Command, Record};
use lanyard_core::id::{ApprovalId, DecisionId, LeaseId, PlanId, TaskId};
use lanyard_core::references::references;
use lanyard_core::scope::Scope;
use lanyard_core::state::State;
use lanyard_core::task::Task;
use lanyard_core::time::Timestamp;
use lanyard_core::trip::Counted;
use lanyard_engine::Engine;
use lanyard_ledger::history::{History, MAX_RECORDS_PER_ANSWER, Query, kind_of};
use lanyard_proto::v1;
use serde_json::Value;

use super::{sentence, time};

mod follow;

pub(super) use follow::follow;

/// Records that one call looks at, whether or not they are asked for: the answer says where the next call goes on.
const RECORDS_LOOKED_AT_PER_CALL: usize = 20_000;
/// Of a record about many leases, so many are looked up.
const LEASES_LOOKED_UP: usize = 10;

/// What is asked for, besides what the index knows.
#[derive(Debug, Clone, Default)]
pub(super) struct Filters {
    pub(super) since: Option<Timestamp>,
    pub(super) until: Option<Timestamp>,
    pub(super) who: Option<String>,
    pub(super) charter: Option<String>,
    pub(super) environment: Option<String>,
    pub(super) ticket: Option<String>,
    pub(super) outcome: Option<String>,
    pub(super) kind: Option<String>,
    /// The records alone.
    pub(super) bare: bool,
}

impl Filters {
    /// Whether the index answers alone, and nobody wants more than the records.
    const fn is_bare(&self) -> bool {
        self.bare
            && self.who.is_none()
            && self.charter.is_none()
            && self.environment.is_none()
            && self.ticket.is_none()
            && self.outcome.is_none()
    }
}

/// The outcomes that can be asked for.
pub(super) const OUTCOMES: [&str; 6] = [
    "allowed", "denied", "approved", "stopped", "failed", "other",
];

/// Looks up what records are about. Made for one answer: what was looked up is kept until then.
pub(super) struct Lookup<'a> {
    engine: &'a Engine,
    history: &'a History,
    tasks: HashMap<TaskId, Option<Arc<Task>>>,
    leases: HashMap<LeaseId, Option<TaskId>>,
    approvals: HashMap<ApprovalId, Option<TaskId>>,
}

impl<'a> Lookup<'a> {
    pub(super) fn new(engine: &'a Engine, history: &'a History) -> Self {
        Self {
            engine,
            history,
            tasks: HashMap::new(),
            leases: HashMap::new(),
            approvals: HashMap::new(),
        }
    }

    /// The record for the wire.
    pub(super) fn record(&mut self, index: u64, bytes: &[u8]) -> v1::AuditRecord {
        match serde_json::from_slice::<Record>(bytes) {
            Ok(parsed) => {
                let about = self.about(&parsed.command);
                self.told(index, bytes, &parsed, about)
            }
            // Of a kind that this version does not know.
            Err(_) => plain(index, bytes),
        }
    }

    fn told(&self, index: u64, bytes: &[u8], record: &Record, about: About) -> v1::AuditRecord {
        let task = about.tasks.first().map(Arc::as_ref);
        v1::AuditRecord {
            said: sentence::of(&record.command, task),
            outcome: outcome(&record.command).to_owned(),
            agent: task.map(|task| task.agent.0.clone()).unwrap_or_default(),
            task_id: task.map(|task| task.id.to_string()).unwrap_or_default(),
            ticket: task
                .and_then(|task| task.ticket.clone())
                .unwrap_or_default(),
            charter: first(about.charters),
            environment: first(about.environments),
            reason_code: reason_code(&record.command).unwrap_or_default(),
            ..plain(index, bytes)
        }
    }

    /// Whether a record is asked for.
    fn is_asked(&mut self, record: &Record, filters: &Filters) -> (bool, About) {
        let about = self.about(&record.command);
        let is = |asked: &Option<String>, among: &BTreeSet<String>| {
            asked
                .as_ref()
                .is_none_or(|asked| among.contains(asked.as_str()))
        };
        let is_who = filters.who.as_ref().is_none_or(|who| {
            let names = references(&record.command);
            let of_tasks = about.tasks.iter().flat_map(|task| {
                [
                    task.agent.0.clone(),
                    task.identity.to_string(),
                    task.identity.subject.clone(),
                ]
            });
            let mut all = names.into_iter().chain(of_tasks);
            all.any(|name| is_name_of(&name, who))
        });
        let is_outcome = filters
            .outcome
            .as_ref()
            .is_none_or(|asked| asked == outcome(&record.command));
        let is_ticket = filters.ticket.as_ref().is_none_or(|asked| {
            let mut tickets = about.tasks.iter().filter_map(|task| task.ticket.as_ref());
            tickets.any(|ticket| ticket.eq_ignore_ascii_case(asked))
        });
        let is_place =
            is(&filters.charter, &about.charters) && is(&filters.environment, &about.environments);
        (is_who && is_outcome && is_ticket && is_place, about)
    }

    /// The tasks that a record is about, and the charters and environments.
    fn about(&mut self, command: &Command) -> About {
        let mut about = About::default();
        for id in self.tasks_of(command) {
            if let Some(task) = self.task(id) {
                about.add(task);
            }
        }
        if let Command::OpenTask { task, .. } = command {
            about.add(Arc::new(task.clone()));
        }
        about.named_by(command);
        about
    }

    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "of all that happens, this is about a task"
    )]
    fn tasks_of(&mut self, command: &Command) -> Vec<TaskId> {
        let leases: Vec<LeaseId> = match command {
            Command::CloseTask { task } => return vec![*task],
            Command::Deny { task, .. } => return task.iter().copied().collect(),
            Command::BeginMint(intent) => return vec![intent.task],
            Command::SubmitPlan { plan, .. } => return vec![plan.task],
            Command::Report(report) => return vec![report.task],
            Command::Pause(pause) => return pause.reach.task.into_iter().collect(),
            Command::Alert(trip) => {
                return match &trip.of {
                    Counted::Task(task, _) => vec![*task],
                    Counted::Charter | Counted::Agent(_) | Counted::Target(_) => Vec::new(),
                };
            }
            Command::Approve { approval, .. }
            | Command::Reject { approval, .. }
            | Command::Withdraw { approval, .. } => {
                return self.task_of_approval(*approval).into_iter().collect();
            }
            Command::Kill(order) => match &order.scope {
                Scope::Task(task) => return vec![*task],
                Scope::Lease(lease) => vec![*lease],
                _ => return Vec::new(),
            },
            Command::ConfirmMint { lease, .. } | Command::Outlives { lease, .. } => vec![*lease],
            Command::Delivered { leases }
            | Command::Stop { leases, .. }
            | Command::Forget { leases } => leases.clone(),
            Command::Advance { progress } => progress.iter().map(|(lease, _)| *lease).collect(),
            _ => return Vec::new(),
        };
        let some = leases.into_iter().take(LEASES_LOOKED_UP);
        let mut tasks: Vec<TaskId> = Vec::new();
        for lease in some {
            let task = self.task_of_lease(lease);
            tasks.extend(task.filter(|task| !tasks.contains(task)));
        }
        tasks
    }

    fn task(&mut self, id: TaskId) -> Option<Arc<Task>> {
        if let Some(known) = self.tasks.get(&id) {
            return known.clone();
        }
        let in_memory = |state: &State| Some(Arc::clone(&state.task(id)?.task));
        let found = self.engine.peek(in_memory).flatten();
        let found = found.or_else(|| {
            let opened = self.first(&id.to_string(), "open-task")?;
            let Command::OpenTask { task, .. } = opened else {
                return None;
            };
            Some(Arc::new(task))
        });
        self.tasks.insert(id, found.clone());
        found
    }

    fn task_of_lease(&mut self, id: LeaseId) -> Option<TaskId> {
        if let Some(known) = self.leases.get(&id) {
            return *known;
        }
        let in_memory = |state: &State| Some(state.leases().get(id)?.task.id);
        let found = self.engine.peek(in_memory).flatten();
        let found = found.or_else(|| {
            let begun = self.first(&id.to_string(), "begin-mint")?;
            let Command::BeginMint(intent) = begun else {
                return None;
            };
            Some(intent.task)
        });
        self.leases.insert(id, found);
        found
    }

    fn task_of_approval(&mut self, id: ApprovalId) -> Option<TaskId> {
        if let Some(known) = self.approvals.get(&id) {
            return *known;
        }
        let in_memory = |state: &State| Some(state.approval(id)?.task);
        let found = self.engine.peek(in_memory).flatten();
        let found = found.or_else(|| {
            let submitted = self.first(&id.to_string(), "submit-plan")?;
            let Command::SubmitPlan { plan, .. } = submitted else {
                return None;
            };
            Some(plan.task)
        });
        self.approvals.insert(id, found);
        found
    }

    /// The first record of a kind that mentions this.
    fn first(&self, mentions: &str, kind: &str) -> Option<Command> {
        let (found, _) = self.history.query(&Query {
            mentions: Some(mentions.to_owned()),
            kind: Some(kind.to_owned()),
            from: 0,
            limit: 1,
        });
        let (_, bytes) = found.first()?;
        let record = serde_json::from_slice::<Record>(bytes).ok()?;
        Some(record.command)
    }
}

/// What a record is about.
#[derive(Default)]
struct About {
    tasks: Vec<Arc<Task>>,
    charters: BTreeSet<String>,
    environments: BTreeSet<String>,
}

impl About {
    fn add(&mut self, task: Arc<Task>) {
        self.charters.insert(task.charter.to_string());
        self.environments.insert(task.environment.to_string());
        self.tasks.push(task);
    }

    /// What a record names without a task.
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "of all that happens, this names a charter or an environment"
    )]
    fn named_by(&mut self, command: &Command) {
        match command {
            Command::CharterInForce { charter, .. }
            | Command::CharterWithdrawn { charter, .. }
            | Command::EndEmergency { charter, .. } => {
                self.charters.insert(charter.to_string());
            }
            Command::DeclareEmergency(emergency) => {
                self.charters.insert(emergency.charter.to_string());
            }
            Command::Deny {
                denial,
                environment,
                ..
            } => {
                self.charters.insert(denial.charter.to_string());
                self.environments
                    .extend(environment.iter().map(ToString::to_string));
            }
            Command::DenyMore { charter, .. } => {
                self.charters
                    .extend(charter.iter().map(ToString::to_string));
            }
            Command::Alert(trip) => {
                self.charters.insert(trip.charter.to_string());
            }
            Command::Pause(pause) => {
                let (charter, environment) = (&pause.reach.charter, &pause.reach.environment);
                self.charters
                    .extend(charter.iter().map(ToString::to_string));
                self.environments
                    .extend(environment.iter().map(ToString::to_string));
            }
            Command::Kill(order) => match &order.scope {
                Scope::Charter(name) => {
                    self.charters.insert(name.to_string());
                }
                Scope::Environment(name) => {
                    self.environments.insert(name.to_string());
                }
                _ => {}
            },
            _ => {}
        }
    }
}

fn first(names: BTreeSet<String>) -> String {
    names.into_iter().next().unwrap_or_default()
}

/// Whether somebody goes by this name, or by the end of it behind a separator.
fn is_name_of(name: &str, asked: &str) -> bool {
    // Records of people name the subject alone.
    if asked
        .split_once('#')
        .is_some_and(|(_, subject)| subject == name)
    {
        return true;
    }
    let before = name.strip_suffix(asked);
    before.is_some_and(|before| before.is_empty() || before.ends_with([':', '/', '#']))
}

/// In one word, what came of it for whoever asked.
#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "most of what happens is no answer to anybody"
)]
fn outcome(command: &Command) -> &'static str {
    match command {
        Command::OpenTask { .. } | Command::BeginMint(_) => "allowed",
        Command::Deny { .. } | Command::DenyMore { .. } | Command::Reject { .. } => "denied",
        Command::Approve { .. } => "approved",
        Command::Kill(_) | Command::Pause(_) => "stopped",
        Command::Stop { cause, .. } if cause.kill().is_some() => "stopped",
        Command::Drill(drill) if !drill.outcome.is_passed() => "failed",
        Command::Report(report) if report.outcome == lanyard_core::action::Outcome::Failed => {
            "failed"
        }
        _ => "other",
    }
}

/// The class of a denial.
#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "of all that happens, this is a denial"
)]
fn reason_code(command: &Command) -> Option<String> {
    match command {
        Command::Deny { denial, .. } => Some(denial.code().to_string()),
        Command::DenyMore { rule, .. } => Some(rule.code().to_string()),
        _ => None,
    }
}

/// A record without a word about it.
pub(super) fn plain(index: u64, bytes: &[u8]) -> v1::AuditRecord {
    let parsed: Value = serde_json::from_slice(bytes).unwrap_or_default();
    let at = parsed.get("at").cloned();
    let at: Option<Timestamp> = at.and_then(|at| serde_json::from_value(at).ok());
    v1::AuditRecord {
        index,
        time: at.and_then(time),
        kind: kind_of(&parsed).unwrap_or_default().to_owned(),
        body: String::from_utf8_lossy(bytes).into_owned(),
        ..v1::AuditRecord::default()
    }
}

/// What was found, and where to go on.
pub(super) type Found = (Vec<v1::AuditRecord>, Option<u64>);

/// The records that are asked for, oldest first.
pub(super) fn query(
    lookup: &mut Lookup<'_>,
    mentions: Option<&str>,
    filters: &Filters,
    (from, most): (u64, usize),
) -> Found {
    let history = lookup.history;
    let mut from = match filters.since {
        Some(since) => from.max(first_at(history, since)),
        None => from,
    };
    let (mut found, mut looked) = (Vec::new(), 0);
    loop {
        let page = Query {
            mentions: mentions.map(str::to_owned),
            kind: filters.kind.clone(),
            from,
            limit: MAX_RECORDS_PER_ANSWER,
        };
        let (records, next) = history.query(&page);
        for (index, bytes) in records {
            if found.len() == most || looked == RECORDS_LOOKED_AT_PER_CALL {
                return (found, Some(index));
            }
            looked += 1;
            let Ok(record) = serde_json::from_slice::<Record>(&bytes) else {
                continue;
            };
            if filters.until.is_some_and(|until| record.at > until) {
                return (found, None);
            }
            if filters.is_bare() {
                found.push(plain(index, &bytes));
                continue;
            }
            let (is_asked, about) = lookup.is_asked(&record, filters);
            if is_asked {
                found.push(lookup.told(index, &bytes, &record, about));
            }
        }
        match next {
            Some(next) => from = next,
            None => return (found, None),
        }
    }
}

/// These records, by their places; one that is not there is left out.
pub(super) fn at(lookup: &mut Lookup<'_>, indices: &[u64]) -> Vec<v1::AuditRecord> {
    let mut found = Vec::new();
    for index in indices {
        let one = Query {
            from: *index,
            limit: 1,
            ..Query::default()
        };
        let (records, _) = lookup.history.query(&one);
        let record = records.first().filter(|(at, _)| at == index);
        found.extend(record.map(|(at, bytes)| lookup.record(*at, bytes)));
    }
    found
}

/// Whether a text is an id whose records can be followed.
pub(super) fn is_id(text: &str) -> bool {
    text.parse::<TaskId>().is_ok()
        || text.parse::<LeaseId>().is_ok()
        || text.parse::<PlanId>().is_ok()
        || text.parse::<ApprovalId>().is_ok()
        || text.parse::<DecisionId>().is_ok()
        || text.parse::<lanyard_core::id::KillId>().is_ok()
        || text.parse::<lanyard_core::id::RearmId>().is_ok()
        || text.parse::<lanyard_core::id::PauseId>().is_ok()
        || text.parse::<lanyard_core::id::ActionId>().is_ok()
}

/// The place of the first record from this time on. The times of records go up with their places, except where the clock was
/// set back: then the search ends at one of the places that may be meant.
fn first_at(history: &History, since: Timestamp) -> u64 {
    let at = |index: u64| {
        let one = Query {
            from: index,
            limit: 1,
            ..Query::default()
        };
        let (found, _) = history.query(&one);
        let (_, bytes) = found.first()?;
        let record: Value = serde_json::from_slice(bytes).ok()?;
        serde_json::from_value::<Timestamp>(record.get("at")?.clone()).ok()
    };
    let (mut low, mut high) = (0, history.applied());
    while low < high {
        let middle = low + (high - low) / 2;
        if at(middle).is_some_and(|at| at < since) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    low
}

#[cfg(test)]
mod tests;
