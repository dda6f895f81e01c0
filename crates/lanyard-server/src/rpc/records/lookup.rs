//! What records are about, where they name no more than a task, a lease or an order.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use lanyard_core::command::{Command, Observation};
use lanyard_core::kill::KillOrder;
use lanyard_core::pause::Pause;
use lanyard_core::state::State;
use lanyard_core::task::Task;
use lanyard_core::trip::Counted;
use lanyard_engine::Engine;
use lanyard_ledger::history::{History, Query};
use lanyard_proto::v1;
use lanyard_vocabulary::id::{ApprovalId, KillId, LeaseId, PauseId, TaskId};
use lanyard_vocabulary::scope::Scope;

use super::about::About;
use super::filters::{Filters, outcome, reason_code};
use super::plain;
use crate::rpc::sentence;

/// The most leases that are looked up of a record about many.
const LEASES_LOOKED_UP: usize = 10;

/// Looks up what records are about. Made for one answer: what was looked up is kept until then.
pub(in crate::rpc) struct Lookup<'a> {
    engine: &'a Engine,
    pub(super) history: &'a History,
    tasks: HashMap<TaskId, Option<Arc<Task>>>,
    leases: HashMap<LeaseId, Option<TaskId>>,
    approvals: HashMap<ApprovalId, Option<TaskId>>,
    kills: HashMap<KillId, Option<KillOrder>>,
    pauses: HashMap<PauseId, Option<Pause>>,
}

impl<'a> Lookup<'a> {
    pub(in crate::rpc) fn new(engine: &'a Engine, history: &'a History) -> Self {
        Self {
            engine,
            history,
            tasks: HashMap::new(),
            leases: HashMap::new(),
            approvals: HashMap::new(),
            kills: HashMap::new(),
            pauses: HashMap::new(),
        }
    }

    /// The record for the wire, where it is asked for. One of a kind that this version does not
    /// know is told as it stands.
    pub(super) fn asked(
        &mut self,
        (index, bytes): (u64, &[u8]),
        filters: &Filters,
    ) -> Option<v1::AuditRecord> {
        let head = lanyard_records::head(bytes);
        if !filters.is_met_outside(head.at, &head.kind) {
            return None;
        }
        let Ok(record) = lanyard_records::decode(bytes) else {
            let may_be_met = filters.may_be_met(bytes);
            return may_be_met.then(|| plain(index, bytes, head));
        };
        if filters.bare && filters.are_of_the_record_alone() {
            return Some(plain(index, bytes, head));
        }
        let about = self.about(&record.command);
        let is_asked = filters.is_met(&record.command, &about);
        is_asked.then(|| told(plain(index, bytes, head), &record.command, about))
    }

    /// The tasks that a record is about, and the charters and environments. What lifts a kill order
    /// or a pause is about what that was over.
    fn about(&mut self, command: &Command) -> About {
        let mut about = About::default();
        if let Some(lifted) = self.lifted(command) {
            self.add(&lifted, &mut about);
        }
        self.add(command, &mut about);
        about
    }

    fn add(&mut self, command: &Command, about: &mut About) {
        for id in self.tasks_of(command) {
            if let Some(task) = self.task(id) {
                about.add(task);
            }
        }
        if let Command::OpenTask { task, .. } = command {
            about.add(Arc::new(task.clone()));
        }
        about.named_by(command);
    }

    /// The kill order or the pause that a record lifts, or is a step to lift.
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "of all that happens, this lifts something"
    )]
    fn lifted(&mut self, command: &Command) -> Option<Command> {
        match command {
            Command::WithdrawKill { kill, .. } | Command::ConfirmRearm { kill, .. } => {
                self.kill(*kill).map(Command::Kill)
            }
            Command::ProposeRearm(proposal) => self.kill(proposal.kill).map(Command::Kill),
            Command::Resume { pause, .. } => {
                let pause = self.pause(*pause)?;
                Some(Command::Pause(Box::new(pause)))
            }
            _ => None,
        }
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
            Command::ConfirmMint { lease, .. } | Command::ExpiryExtended { lease, .. } => {
                vec![*lease]
            }
            Command::Delivered { leases }
            | Command::Stop { leases, .. }
            | Command::Forget { leases } => leases.clone(),
            Command::Advance { progress } => progress.iter().map(|(lease, _)| *lease).collect(),
            Command::Observe {
                what: Observation::Missing(leases),
                ..
            } => leases.clone(),
            Command::Drill(drill) => drill.lease.into_iter().collect(),
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
        let found = self.engine.context().peek(in_memory);
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
        let found = self.engine.context().peek(in_memory);
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
        let found = self.engine.context().peek(in_memory);
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

    fn kill(&mut self, id: KillId) -> Option<KillOrder> {
        if let Some(known) = self.kills.get(&id) {
            return known.clone();
        }
        let in_memory = |state: &State| Some(state.kills().get(id)?.order.clone());
        let found = self.engine.context().peek(in_memory);
        let found = found.or_else(|| {
            let Command::Kill(order) = self.first(&id.to_string(), "kill")? else {
                return None;
            };
            Some(order)
        });
        self.kills.insert(id, found.clone());
        found
    }

    fn pause(&mut self, id: PauseId) -> Option<Pause> {
        if let Some(known) = self.pauses.get(&id) {
            return known.clone();
        }
        let in_memory = |state: &State| state.pauses().find(|pause| pause.id == id).cloned();
        let found = self.engine.context().peek(in_memory);
        let found = found.or_else(|| {
            let Command::Pause(pause) = self.first(&id.to_string(), "pause")? else {
                return None;
            };
            Some(*pause)
        });
        self.pauses.insert(id, found.clone());
        found
    }

    /// The first record of a kind that mentions this.
    fn first(&self, mentions: &str, kind: &str) -> Option<Command> {
        let (found, _) = self.history.query(&Query {
            mentions: Some(mentions.to_owned()),
            kind: Some(kind.to_owned()),
            limit: 1,
            ..Query::default()
        });
        let (_, bytes) = found.first()?;
        let record = lanyard_records::decode(bytes).ok()?;
        Some(record.command)
    }
}

fn told(plain: v1::AuditRecord, command: &Command, about: About) -> v1::AuditRecord {
    let task = about.tasks.first().map(Arc::as_ref);
    v1::AuditRecord {
        said: sentence::of(command, task),
        outcome: outcome(command).to_owned(),
        agent: task.map(|task| task.agent.0.clone()).unwrap_or_default(),
        task_id: task.map(|task| task.id.to_string()).unwrap_or_default(),
        ticket: task
            .and_then(|task| task.ticket.clone())
            .unwrap_or_default(),
        charter: first(about.charters),
        environment: first(about.environments),
        reason_code: reason_code(command).unwrap_or_default(),
        ..plain
    }
}

fn first(names: BTreeSet<String>) -> String {
    names.into_iter().next().unwrap_or_default()
}
