//! The state that the journal adds up to: tasks, leases, plans, approvals, kill orders.
//!
//! A command is first admitted ([`State::admit`] checks its precondition and changes nothing) and
//! then applied ([`State::apply`] cannot fail). Replay applies without admitting.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Bound;

use lanyard_vocabulary::agent::AgentName;
use lanyard_vocabulary::id::{
    ActionId, ApprovalId, KillId, LeaseId, PauseId, PlanId, RearmId, TaskId,
};
use lanyard_vocabulary::identity::Identity;
use lanyard_vocabulary::name::Name;
use lanyard_vocabulary::operator::Operator;
use lanyard_vocabulary::revision::Revision;
use lanyard_vocabulary::scope::Facets;
use lanyard_vocabulary::seq::Seq;
use lanyard_vocabulary::time::{BootClock, Timestamp};
use lanyard_vocabulary::typed_name::Identities;

use crate::action::Reports;
use crate::approval::Approval;
use crate::checkpoint::JournalCheckpoint;
use crate::command::Observed;
use crate::drill::Drills;
use crate::emergency::Emergency;
use crate::enrolment::Enrolment;
use crate::kill::{KillBook, KillOrder, RearmProposal, Tally};
use crate::lease::Lease;
use crate::pause::{Demand, Pause};
use crate::plan::Plan;
use crate::trip::Trip;

mod admit;
mod apply;
mod approvals;
mod breakers;
mod deliveries;
mod image;
mod leases;
mod people;
mod quota;
mod rates;
mod reach;
mod rearms;
mod refused;
mod tallies;
mod tasks;
mod unusual;

pub use admit::Refusal;
pub use image::Image;
pub use leases::Leases;
pub use rates::MAX_REPORTS_PER_IDENTITY_PER_HOUR;
pub use refused::not_approved;
pub use tasks::{
    ENDED_TASK_REMEMBERED, MAX_OPEN_TASKS, MAX_OPEN_TASKS_PER_IDENTITY,
    MAX_TASKS_WITH_LATE_REPORTS, REPORTED_TASK_REMEMBERED, REQUEST_ID_REMEMBERED,
    REQUEST_REMEMBERED, TaskEntry,
};
pub use unusual::Unusual;

use approvals::Approvals;
use breakers::Breakers;
use deliveries::Deliveries;
use quota::{Quotas, Spent};
use rates::Rates;
use tasks::Tasks;

/// Everything that the broker must not forget.
#[derive(Debug, Clone, Default)]
pub struct State {
    next: Seq,
    /// The time of the last record.
    latest: Timestamp,
    /// The boot clock that the last process recorded.
    clock: Option<BootClock>,
    in_force: BTreeMap<Name, Revision>,
    tasks: Tasks,
    leases: Leases,
    quotas: Quotas,
    plans: BTreeMap<PlanId, Plan>,
    plans_of: HashMap<TaskId, Vec<PlanId>>,
    approvals: Approvals,
    kills: KillBook,
    /// The results of each kill order, by target.
    tallies: HashMap<KillId, BTreeMap<Name, Tally>>,
    drills: BTreeMap<Name, Drills>,
    observed: Observed,
    enrolment: Enrolment,
    rearms: BTreeMap<RearmId, RearmProposal>,
    /// The leases by task and request id.
    requests: HashMap<TaskId, BTreeMap<String, LeaseId>>,
    pauses: BTreeMap<PauseId, Pause>,
    emergencies: BTreeMap<Name, Emergency>,
    breakers: Breakers,
    /// The reports about each task.
    reports: HashMap<TaskId, Reports>,
    /// The replay cache for reporters' messages.
    deliveries: Deliveries,
    /// The newest groups and roles of people who were seen recently.
    people: BTreeMap<Identity, Operator>,
    report_rates: Rates,
    /// The part of each task's budget that is used up.
    spent: HashMap<TaskId, Spent>,
    /// The open tasks that have used up their budget and have nothing live.
    spent_out: BTreeSet<TaskId>,
}

impl State {
    /// The sequence number of the next record.
    #[must_use]
    pub const fn next_seq(&self) -> Seq {
        self.next
    }

    /// Returns the journal's size and root, for whoever remembers them elsewhere.
    #[must_use]
    pub fn checkpoint(&self) -> JournalCheckpoint {
        JournalCheckpoint {
            records: self.next_seq(),
            epoch: self.kills().epoch(),
        }
    }

    /// The time of the last record.
    #[must_use]
    pub const fn latest(&self) -> Timestamp {
        self.latest
    }

    /// The boot clock that the last process recorded.
    #[must_use]
    pub const fn clock(&self) -> Option<&BootClock> {
        self.clock.as_ref()
    }

    /// The charter's revision in force; `None` if the charter is not in force.
    #[must_use]
    pub fn in_force(&self, charter: &Name) -> Option<&Revision> {
        self.in_force.get(charter)
    }

    /// Every charter in force, with its revision.
    pub fn all_in_force(&self) -> impl Iterator<Item = (&Name, &Revision)> {
        self.in_force.iter()
    }

    /// The task with this id.
    #[must_use]
    pub fn task(&self, id: TaskId) -> Option<&TaskEntry> {
        self.tasks.get(id)
    }

    /// Every task that has not been forgotten.
    pub fn tasks(&self) -> impl Iterator<Item = &TaskEntry> {
        self.tasks.iter()
    }

    /// Returns the agents that have tasks, ended ones that are not forgotten among them: found by
    /// the names that people type.
    #[must_use]
    pub const fn identities(&self) -> &Identities {
        self.tasks.identities()
    }

    /// True if a task that is not forgotten was opened under this agent's name.
    #[must_use]
    pub fn has_agent(&self, name: &AgentName) -> bool {
        self.tasks.has_agent(name)
    }

    /// The open tasks of a charter.
    pub fn open_tasks_under(&self, charter: &Name) -> impl Iterator<Item = &TaskEntry> {
        self.tasks.open_under(charter)
    }

    /// The number of open tasks that this identity opened.
    #[must_use]
    pub fn open_tasks_of(
        &self,
        asker: &lanyard_vocabulary::identity::Identity,
        now: Timestamp,
    ) -> usize {
        self.tasks.open_of(asker, now)
    }

    /// The task that an earlier request with this id opened. The task itself may be forgotten.
    #[must_use]
    pub fn task_of_request(
        &self,
        identity: &lanyard_vocabulary::identity::Identity,
        request: &str,
    ) -> Option<TaskId> {
        self.tasks.of_request(identity, request)
    }

    /// The lease that an earlier request with this id made.
    #[must_use]
    pub fn lease_of_request(&self, task: TaskId, request: &str) -> Option<LeaseId> {
        self.requests.get(&task)?.get(request).copied()
    }

    /// Returns the book of leases.
    #[must_use]
    pub const fn leases(&self) -> &Leases {
        &self.leases
    }

    /// Returns the book of kill orders.
    #[must_use]
    pub const fn kills(&self) -> &KillBook {
        &self.kills
    }

    /// The counts of differences found at the targets.
    #[must_use]
    pub const fn observed(&self) -> Observed {
        self.observed
    }

    /// The invited and enrolled agents.
    #[must_use]
    pub const fn enrolment(&self) -> &Enrolment {
        &self.enrolment
    }

    /// The drills, by target.
    #[must_use]
    pub const fn drills(&self) -> &BTreeMap<Name, Drills> {
        &self.drills
    }

    /// The plan with this id.
    #[must_use]
    pub fn plan(&self, id: PlanId) -> Option<&Plan> {
        self.plans.get(&id)
    }

    /// The plans after this id that have not been forgotten, ordered by id.
    pub fn plans(&self, after: Option<PlanId>) -> impl Iterator<Item = &Plan> {
        self.plans.range(behind(after)).map(|(_, plan)| plan)
    }

    /// The plans of one task, in the order in which they were submitted.
    pub fn plans_of(&self, task: TaskId) -> impl Iterator<Item = &Plan> {
        let own = self.plans_of.get(&task).into_iter().flatten();
        own.filter_map(|id| self.plans.get(id))
    }

    /// The open tasks after this place, ordered by their natural end.
    pub fn open_tasks(
        &self,
        after: Option<(Timestamp, TaskId)>,
    ) -> impl Iterator<Item = ((Timestamp, TaskId), &TaskEntry)> {
        self.tasks.open_after(after)
    }

    /// The open tasks after this place that the identity opened, ordered by their natural end.
    pub fn open_tasks_opened_by(
        &self,
        asker: &Identity,
        after: Option<(Timestamp, TaskId)>,
    ) -> impl Iterator<Item = ((Timestamp, TaskId), &TaskEntry)> {
        self.tasks.open_of_after(asker, after)
    }

    /// The task with all tasks that have it in their lineage.
    #[must_use]
    pub fn task_and_those_below(&self, task: TaskId) -> Vec<TaskId> {
        self.tasks.with_those_below(task)
    }

    /// The open tasks that have used up their budget and have nothing live.
    pub fn spent_tasks(&self) -> impl Iterator<Item = TaskId> {
        self.spent_out.iter().copied()
    }

    /// The reports about a task.
    #[must_use]
    pub fn reports(&self, task: TaskId) -> Option<&Reports> {
        self.reports.get(&task)
    }

    /// The action that this message reported before.
    #[must_use]
    pub fn reported_by(&self, reporter: &str, message: &str) -> Option<ActionId> {
        self.deliveries.get(reporter, message)
    }

    /// The approval with this id.
    #[must_use]
    pub fn approval(&self, id: ApprovalId) -> Option<&Approval> {
        self.approvals.get(id)
    }

    /// The approvals after this id that have not been forgotten, ordered by id.
    pub fn approvals(&self, after: Option<ApprovalId>) -> impl Iterator<Item = &Approval> {
        self.approvals.after(after)
    }

    /// Every approver as recorded with the approval, and everybody who was seen recently.
    #[must_use]
    pub fn consenting(&self) -> Vec<Operator> {
        let approvals = self.approvals.iter();
        let consents = approvals.flat_map(|approval| &approval.consents);
        let consenting = consents.map(|consent| &consent.operator);
        consenting.chain(self.people.values()).cloned().collect()
    }

    /// True if the approval still needs answers and its task is open.
    #[must_use]
    pub fn is_waiting(&self, approval: &Approval, now: Timestamp) -> bool {
        approval.waits() && self.void(approval, now).is_none()
    }

    /// The re-arm proposal with this id.
    #[must_use]
    pub fn rearm(&self, id: RearmId) -> Option<&RearmProposal> {
        self.rearms.get(&id)
    }

    /// The pauses that nobody has ended, ordered by id. Some may have ended by themselves.
    pub fn pauses(&self) -> impl Iterator<Item = &Pause> {
        self.pauses.values()
    }

    /// The pause that demands this of something with these facts.
    #[must_use]
    pub fn pausing(&self, facets: &Facets<'_>, demand: Demand, now: Timestamp) -> Option<&Pause> {
        let mut asking = self.pauses.values().filter(|pause| pause.demand == demand);
        asking.find(|pause| pause.lasts(now) && pause.reach.covers(facets))
    }

    /// The emergency last declared under a charter, unless a person ended it.
    #[must_use]
    pub fn emergency(&self, charter: &Name) -> Option<&Emergency> {
        self.emergencies.get(charter)
    }

    /// The emergencies that nobody has ended. Some may have ended by themselves.
    pub fn emergencies(&self) -> impl Iterator<Item = &Emergency> {
        self.emergencies.values()
    }

    /// The circuit breakers that tripped and whose consequences are not recorded yet.
    #[must_use]
    pub fn tripped(&self) -> &[Trip] {
        self.breakers.tripped()
    }

    /// The oldest kill order that covers a lease which no kill order stops yet.
    #[must_use]
    pub fn unswept(&self, lease: &Lease) -> Option<KillId> {
        if !needs_sweep(lease) {
            return None;
        }
        let engaged = self.kills.first_killer(&lease.facets(), lease.intent)?;
        Some(engaged.order.id)
    }
}

/// True if a kill order with this sequence number covers the lease and no kill order stops the
/// lease yet.
#[must_use]
pub fn is_unswept(lease: &Lease, order: &KillOrder, seq: Seq) -> bool {
    lease.intent < seq && order.reaches(&lease.facets()) && needs_sweep(lease)
}

fn behind<K>(after: Option<K>) -> (Bound<K>, Bound<K>) {
    (
        after.map_or(Bound::Unbounded, Bound::Excluded),
        Bound::Unbounded,
    )
}

fn needs_sweep(lease: &Lease) -> bool {
    match lease.stage {
        crate::lease::Stage::Intent | crate::lease::Stage::Issued { .. } => true,
        crate::lease::Stage::Stopping { cause, progress } => {
            cause.kill().is_none() && !progress.is_confirmed()
        }
    }
}
