//! The state that the journal adds up to: tasks, leases, plans, approvals, kill orders.
//!
//! A command is first admitted ([`State::admit`]: preconditions, changes nothing) and then applied
//! ([`State::apply`]: cannot fail). Replay applies without admitting.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use crate::action::Reports;
use crate::approval::Approval;
use crate::charter::{Name, Revision};
use crate::command::Observed;
use crate::drill::Drills;
use crate::emergency::Emergency;
use crate::enrolment::Enrolment;
use crate::id::{ActionId, ApprovalId, KillId, LeaseId, PauseId, PlanId, RearmId, TaskId};
use crate::identity::{Identity, Operator};
use crate::kill::{KillBook, KillOrder, RearmProposal, Tally};
use crate::lease::{Lease, Seq};
use crate::pause::{Demand, Pause};
use crate::plan::Plan;
use crate::scope::Facets;
use crate::task::Task;
use crate::time::{BootClock, Timestamp};
use crate::trip::Trip;

mod admit;
mod apply;
mod breakers;
mod deliveries;
mod image;
mod leases;
mod people;
mod quota;
mod reach;
mod tallies;

pub use admit::Refusal;
pub use image::Image;
pub use leases::Leases;

use breakers::Breakers;
use deliveries::Deliveries;
use quota::{Quotas, Spent};

/// Everything that the broker knows and must not forget.
#[derive(Debug, Clone, Default)]
pub struct State {
    next: Seq,
    /// The time of the last record.
    latest: Timestamp,
    /// How the last process saw the time since the boot.
    clock: Option<BootClock>,
    in_force: BTreeMap<Name, Revision>,
    tasks: HashMap<TaskId, TaskEntry>,
    leases: Leases,
    quotas: Quotas,
    plans: HashMap<PlanId, Plan>,
    approvals: HashMap<ApprovalId, Approval>,
    kills: KillBook,
    /// What each order came to, by target.
    tallies: HashMap<KillId, BTreeMap<Name, Tally>>,
    drills: BTreeMap<Name, Drills>,
    observed: Observed,
    enrolment: Enrolment,
    rearms: BTreeMap<RearmId, RearmProposal>,
    requests: HashMap<(TaskId, String), LeaseId>,
    task_requests: HashMap<(crate::identity::Identity, String), TaskId>,
    /// The tasks that have one above them.
    below: HashMap<TaskId, Vec<TaskId>>,
    pauses: BTreeMap<PauseId, Pause>,
    emergencies: BTreeMap<Name, Emergency>,
    breakers: Breakers,
    /// What was reported, by task.
    reports: HashMap<TaskId, Reports>,
    /// The messages of reporters that were taken, by reporter and id.
    deliveries: Deliveries,
    /// The newest that is known of people who were seen of late.
    people: BTreeMap<Identity, Operator>,
    /// What was had under a budget, by task.
    spent: HashMap<TaskId, Spent>,
}

/// A task and whether it is over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskEntry {
    /// What was said when it was opened.
    pub task: Arc<Task>,
    /// When it was closed.
    pub closed: Option<Timestamp>,
    /// The caller's request id, which makes a retry safe.
    pub request: Option<String>,
}

impl TaskEntry {
    /// Whether it can still be used.
    #[must_use]
    pub fn is_open(&self, now: Timestamp) -> bool {
        self.closed.is_none() && now < self.task.expires
    }
}

impl State {
    /// The place of the next record.
    #[must_use]
    pub const fn next_seq(&self) -> Seq {
        self.next
    }

    /// The time of the last record.
    #[must_use]
    pub const fn latest(&self) -> Timestamp {
        self.latest
    }

    /// How the last process saw the time since the boot of its machine.
    #[must_use]
    pub const fn clock(&self) -> Option<&BootClock> {
        self.clock.as_ref()
    }

    /// The revision of a charter that is in force.
    #[must_use]
    pub fn in_force(&self, charter: &Name) -> Option<&Revision> {
        self.in_force.get(charter)
    }

    /// Every charter in force, with its revision.
    pub fn all_in_force(&self) -> impl Iterator<Item = (&Name, &Revision)> {
        self.in_force.iter()
    }

    /// One task.
    #[must_use]
    pub fn task(&self, id: TaskId) -> Option<&TaskEntry> {
        self.tasks.get(&id)
    }

    /// Every task that has not been forgotten.
    pub fn tasks(&self) -> impl Iterator<Item = &TaskEntry> {
        self.tasks.values()
    }

    /// The task that an earlier request with this id opened.
    #[must_use]
    pub fn task_of_request(
        &self,
        identity: &crate::identity::Identity,
        request: &str,
    ) -> Option<TaskId> {
        self.task_requests
            .get(&(identity.clone(), request.to_owned()))
            .copied()
    }

    /// The lease that an earlier request with this id made.
    #[must_use]
    pub fn lease_of_request(&self, task: TaskId, request: &str) -> Option<LeaseId> {
        self.requests.get(&(task, request.to_owned())).copied()
    }

    /// The leases.
    #[must_use]
    pub const fn leases(&self) -> &Leases {
        &self.leases
    }

    /// The orders.
    #[must_use]
    pub const fn kills(&self) -> &KillBook {
        &self.kills
    }

    /// What was seen at the targets.
    #[must_use]
    pub const fn observed(&self) -> Observed {
        self.observed
    }

    /// Who is invited and enrolled.
    #[must_use]
    pub const fn enrolment(&self) -> &Enrolment {
        &self.enrolment
    }

    /// What is known of the drills, by target.
    #[must_use]
    pub const fn drills(&self) -> &BTreeMap<Name, Drills> {
        &self.drills
    }

    /// One plan.
    #[must_use]
    pub fn plan(&self, id: PlanId) -> Option<&Plan> {
        self.plans.get(&id)
    }

    /// Every plan that has not been forgotten.
    pub fn plans(&self) -> impl Iterator<Item = &Plan> {
        self.plans.values()
    }

    /// The open tasks whose budget is spent, and of which nothing is live.
    pub fn spent_tasks(&self, now: Timestamp) -> impl Iterator<Item = TaskId> {
        let over = self.spent.iter().filter(|(_, spent)| spent.is_over());
        over.map(|(task, _)| *task).filter(move |task| {
            let open = self.tasks.get(task).is_some_and(|entry| entry.is_open(now));
            open && !self.leases.of_task(*task).any(Lease::is_live)
        })
    }

    /// What was reported of a task.
    #[must_use]
    pub fn reports(&self, task: TaskId) -> Option<&Reports> {
        self.reports.get(&task)
    }

    /// The action that a message of a reporter reported before.
    #[must_use]
    pub fn reported_by(&self, reporter: &str, message: &str) -> Option<ActionId> {
        self.deliveries.get(reporter, message)
    }

    /// One approval.
    #[must_use]
    pub fn approval(&self, id: ApprovalId) -> Option<&Approval> {
        self.approvals.get(&id)
    }

    /// Every approval that has not been forgotten.
    pub fn approvals(&self) -> impl Iterator<Item = &Approval> {
        self.approvals.values()
    }

    /// Everybody who said yes to something, as they were then, and everybody who was seen of late.
    #[must_use]
    pub fn consenting(&self) -> Vec<Operator> {
        let consents = self
            .approvals
            .values()
            .flat_map(|approval| &approval.consents);
        let consenting = consents.map(|consent| &consent.operator);
        consenting.chain(self.people.values()).cloned().collect()
    }

    /// The approvals that people can still give, and have to: those of tasks that are open.
    pub fn waiting(&self, now: Timestamp) -> impl Iterator<Item = &Approval> {
        let approvals = self.approvals.values();
        approvals.filter(move |approval| approval.waits() && self.void(approval, now).is_none())
    }

    /// One re-arm proposal.
    #[must_use]
    pub fn rearm(&self, id: RearmId) -> Option<&RearmProposal> {
        self.rearms.get(&id)
    }

    /// The pauses that nobody has ended and that may have ended by themselves; oldest first by id.
    pub fn pauses(&self) -> impl Iterator<Item = &Pause> {
        self.pauses.values()
    }

    /// The pause that asks this of what has these facets.
    #[must_use]
    pub fn pausing(&self, facets: &Facets<'_>, demand: Demand, now: Timestamp) -> Option<&Pause> {
        let mut asking = self.pauses.values().filter(|pause| pause.demand == demand);
        asking.find(|pause| pause.lasts(now) && pause.reach.covers(facets))
    }

    /// The emergency that was last declared under a charter, if nobody has ended it.
    #[must_use]
    pub fn emergency(&self, charter: &Name) -> Option<&Emergency> {
        self.emergencies.get(charter)
    }

    /// Every emergency that nobody has ended and that may have ended by itself.
    pub fn emergencies(&self) -> impl Iterator<Item = &Emergency> {
        self.emergencies.values()
    }

    /// The breakers that tripped and whose consequences are not recorded yet.
    #[must_use]
    pub fn tripped(&self) -> &[Trip] {
        self.breakers.tripped()
    }

    /// The leases that an order makes dead and that are not being stopped by a kill yet.
    #[must_use]
    pub fn unswept(&self, order: &KillOrder, seq: Seq) -> Vec<LeaseId> {
        self.leases
            .in_reach(order)
            .filter(|lease| {
                lease.intent < seq && order.reaches(&lease.facets()) && needs_sweep(lease)
            })
            .map(|lease| lease.id)
            .collect()
    }
}

fn needs_sweep(lease: &Lease) -> bool {
    match lease.stage {
        crate::lease::Stage::Intent | crate::lease::Stage::Issued { .. } => true,
        crate::lease::Stage::Stopping { cause, progress } => {
            cause.kill().is_none() && !progress.is_confirmed()
        }
    }
}
