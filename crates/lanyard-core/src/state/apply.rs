//! The effect of each command on the state. Applying cannot fail: a command that was admitted, or
//! that stands in the journal, has happened.

use std::sync::Arc;

use lanyard_vocabulary::id::{ApprovalId, LeaseId, RearmId, TaskId};
use lanyard_vocabulary::operator::Operator;
use lanyard_vocabulary::scope::Scope;
use lanyard_vocabulary::seq::Seq;
use lanyard_vocabulary::time::Timestamp;

use super::tasks::{REPORTED_TASK_REMEMBERED, REQUEST_REMEMBERED};
use super::{State, TaskEntry};
use crate::action::Report;
use crate::approval::{Approval, Consent};
use crate::command::{Command, Intent, Record};
use crate::drill::{Drill, Drills};
use crate::emergency::Emergency;
use crate::kill::{KillOrder, REARM_PROPOSAL_LIFE, RearmProposal, RearmStage};
use crate::lease::{Handle, Lease, Progress, Stage, StopCause};
use crate::pause::Pause;
use crate::plan::Plan;
use crate::task::Task;

impl State {
    /// Skips the records before this sequence number, which cannot be read any more.
    pub fn pass_over(&mut self, until: Seq) {
        self.next = self.next.max(until);
    }

    /// Applies the next record and returns its sequence number.
    pub fn apply(&mut self, record: &Record) -> Seq {
        let (seq, at) = (self.next, record.at);
        self.next = Seq(seq.0 + 1);
        // Not the latest of all: an operator who accepts a clock that was ahead has later records
        // carry earlier times.
        self.latest = at;
        self.count(&record.command, at, seq);
        match &record.command {
            Command::CharterInForce {
                charter, revision, ..
            } => drop(self.in_force.insert(charter.clone(), revision.clone())),
            Command::CharterWithdrawn { charter, .. } => drop(self.in_force.remove(charter)),
            Command::OpenTask { task, request } => self.open(task, request.as_ref()),
            Command::CloseTask { task } => self.close(*task, at),
            Command::BeginMint(intent) => self.begin(intent, seq, at),
            Command::ConfirmMint {
                lease,
                expires,
                handle,
            } => self.confirm(*lease, *expires, handle.as_ref()),
            Command::ExpiryExtended { lease, until } => self.outlives(*lease, *until),
            Command::Delivered { leases } => leases.iter().for_each(|id| self.delivered(*id)),
            Command::Stop { leases, cause } => leases.iter().for_each(|id| self.stop(*id, *cause)),
            Command::Advance { progress } => progress
                .iter()
                .for_each(|(id, progress)| self.advance(*id, *progress, at)),
            Command::Forget { leases } => leases.iter().for_each(|id| self.forget(*id, at)),
            Command::SubmitPlan {
                plan, requirement, ..
            } => self.submit(plan, requirement.as_ref(), seq),
            Command::Approve {
                approval,
                operator,
                comment,
                acknowledged,
                ..
            } => self.consent(*approval, (operator, comment, *acknowledged), at),
            Command::Reject {
                approval,
                operator,
                reason,
            } => self.reject(*approval, (operator, reason), at),
            Command::Withdraw {
                approval,
                by,
                reason,
            } => self.withdraw(*approval, (by, reason), at),
            Command::Recognize(operator) => self.recognize(operator),
            Command::Kill(order) => self.engage(order, seq),
            Command::WithdrawKill { kill, .. } => self.kills.lift(*kill, RearmStage::Apply, at),
            Command::Pause(pause) => self.pause(pause, at),
            Command::DeclareEmergency(emergency) => self.declare(emergency),
            Command::EndEmergency { charter, .. } => drop(self.emergencies.remove(charter)),
            Command::Resume { pause, .. } => drop(self.pauses.remove(pause)),
            Command::ProposeRearm(step) => self.propose(step, at),
            Command::ConfirmRearm { rearm, .. } => self.lift(*rearm, at),
            Command::Clock(clock) => self.clock = Some(clock.clone()),
            Command::Report(report) => self.reported(report, at),
            Command::Observe { what, .. } => self.observed.take(what),
            Command::Drill(drill) => self.drilled(drill, at),
            Command::Enrolment(step) => self.enrolment.take(step, at),
            Command::Started { .. }
            | Command::Accept(_)
            | Command::SigningKey(_)
            | Command::Deny { .. }
            | Command::DenialsSuppressed { .. }
            | Command::Alert(_)
            | Command::BeginSession(_) => {}
        }
        self.forget_ended(self.latest);
        seq
    }

    fn engage(&mut self, order: &KillOrder, seq: Seq) {
        let idle = match &order.scope {
            Scope::Task(id) => !self.tasks.contains(*id),
            Scope::Lease(id) => self.leases.get(*id).is_none(),
            Scope::All
            | Scope::Environment(_)
            | Scope::Target(_)
            | Scope::Charter(_)
            | Scope::Agent(_) => false,
        };
        self.kills.engage(order.clone(), seq, idle);
    }

    fn propose(&mut self, step: &RearmProposal, at: Timestamp) {
        self.rearms
            .retain(|_, proposal| at <= proposal.at + REARM_PROPOSAL_LIFE);
        self.rearms.insert(step.id, step.clone());
    }

    fn reject(&mut self, approval: ApprovalId, (by, why): (&Operator, &str), at: Timestamp) {
        let denied = Some((by.clone(), why.to_owned(), at));
        self.on_approval(approval, |approval| approval.denied = denied);
    }

    fn reported(&mut self, report: &Report, at: Timestamp) {
        self.deliveries.take(report, at);
        if let Some(entry) = self.tasks.get(report.task) {
            self.report_rates.count(&entry.task.identity, at);
        }
        self.reports
            .entry(report.task)
            .or_default()
            .take(report, at);
    }

    fn outlives(&mut self, lease: LeaseId, until: Timestamp) {
        self.leases.update(lease, |lease| {
            lease.worst_expiry = lease.worst_expiry.max(until);
            lease.confirmed = true;
        });
    }

    fn declare(&mut self, emergency: &Emergency) {
        let charter = emergency.charter.clone();
        self.emergencies.insert(charter, emergency.clone());
    }

    fn pause(&mut self, pause: &Pause, at: Timestamp) {
        self.pauses.retain(|_, pause| pause.lasts(at));
        self.pauses.insert(pause.id, pause.clone());
    }

    fn consent(
        &mut self,
        approval: ApprovalId,
        (operator, comment, acknowledged): (&Operator, &str, u32),
        at: Timestamp,
    ) {
        let consent = Consent {
            operator: self.as_known(operator),
            at,
            comment: comment.to_owned(),
            acknowledged,
        };
        self.on_approval(approval, |approval| approval.consents.push(consent));
    }

    fn open(&mut self, task: &Task, request: Option<&String>) {
        let above = task.lineage.first();
        let above = above.and_then(|above| self.tasks.get(above.task));
        self.tasks.insert(TaskEntry {
            asker: above.map(|above| above.task.identity.clone()),
            task: Arc::new(task.clone()),
            closed: None,
            request: request.cloned(),
        });
    }

    fn close(&mut self, task: TaskId, at: Timestamp) {
        for id in self.tasks.with_those_below(task) {
            self.tasks.close(id, at);
            self.spent_out.remove(&id);
            let ids: Vec<_> = self.leases.of_task(id).map(|lease| lease.id).collect();
            ids.into_iter()
                .for_each(|id| self.stop(id, StopCause::TaskClosed));
        }
    }

    /// Drops ended tasks without remains, with their plans and approvals, and after a while the
    /// kill orders that cover nothing any more.
    fn forget_ended(&mut self, now: Timestamp) {
        let mut due = self.tasks.due(now);
        while let Some(id) = due.pop() {
            self.forget_task(id, now);
        }
        let oldest = self.leases.oldest().into_iter();
        let oldest = oldest.chain(self.approvals.oldest()).min();
        let mut forgotten = self.kills.forget_idle(now);
        forgotten.extend(self.kills.forget_lifted(now, oldest));
        for order in forgotten {
            self.tallies.remove(&order);
        }
    }

    fn forget_task(&mut self, id: TaskId, now: Timestamp) {
        let Some(entry) = self.tasks.get(id) else {
            return;
        };
        let (ends, task) = (entry.ends(), Arc::clone(&entry.task));
        self.spent_out.remove(&id);
        // It comes back when the last of them is gone.
        if self.leases.of_task(id).next().is_some() || self.tasks.has_below(id) {
            return;
        }
        let until = ends + REPORTED_TASK_REMEMBERED;
        if now < until && self.reports.contains_key(&id) {
            return self.tasks.stays_until(id, until);
        }
        // A request of people counts against its agent for longer than its task lasts (S14).
        if let Some(until) = self.asked_until(id).filter(|until| now < *until) {
            return self.tasks.stays_until(id, until);
        }
        for plan in self.plans_of.remove(&id).unwrap_or_default() {
            let approval = self.plans.remove(&plan).and_then(|plan| plan.approval);
            approval
                .into_iter()
                .for_each(|it| self.approvals.remove(it));
        }
        self.requests.remove(&id);
        // What was done with a credential is told late, by an agent that was held up: the task
        // waits for that, and for nothing else.
        if now < until && self.tasks.was_used(id) {
            if let Some(first) = self.tasks.await_reports(id, until) {
                self.forget_task(first, now);
            }
            return;
        }
        self.reports.remove(&id);
        self.spent.remove(&id);
        self.breakers.forget_task(&task);
        self.kills.idle(&Scope::Task(id), now);
        for above in self.tasks.remove(id) {
            self.tasks.nothing_left(above, now);
        }
    }

    /// The time until which an approval of the task can matter.
    fn asked_until(&self, id: TaskId) -> Option<Timestamp> {
        let plans = self.plans_of.get(&id).into_iter().flatten();
        let asked = plans.filter_map(|plan| self.plans.get(plan)?.approval);
        let asked = asked.filter_map(|approval| self.approvals.get(approval));
        let last = asked.map(|approval| {
            let denied = approval.denied.as_ref().map(|(.., at)| *at);
            denied.map_or(approval.requested, |at| at.max(approval.requested))
        });
        last.max().map(|last| last + REQUEST_REMEMBERED)
    }

    /// Notes an open task that has used up its budget and has nothing live, so that the broker
    /// closes it.
    pub(super) fn note_spent(&mut self, task: TaskId) {
        let over = self.spent.get(&task).is_some_and(|spent| spent.is_over());
        let open = self.tasks.get(task).is_some_and(|it| it.closed.is_none());
        if over && open && !self.leases.of_task(task).any(Lease::is_live) {
            self.spent_out.insert(task);
        }
    }

    fn begin(&mut self, intent: &Intent, seq: Seq, at: Timestamp) {
        let entry = self.tasks.get(intent.task);
        let Some(task) = entry.map(|entry| Arc::clone(&entry.task)) else {
            return;
        };
        self.quotas.minted(&task, at);
        if let Some(budget) = intent.limits.budget {
            let seconds = intent.expires.since(at).as_secs();
            self.spent.entry(task.id).or_default().take(budget, seconds);
        }
        if let Some(request) = &intent.request {
            let of_task = self.requests.entry(intent.task).or_default();
            of_task.insert(request.clone(), intent.lease);
        }
        if let Some((id, _)) = &intent.approval {
            let lease = intent.lease;
            self.on_approval(*id, |approval| {
                approval.used += u32::from(approval.session.is_none());
                approval.session = Some(lease);
            });
        }
        let entry = self.leases.share(&intent.entry);
        self.leases.insert(Lease {
            id: intent.lease,
            task,
            entry,
            intent: seq,
            asked: at,
            handle: intent.handle.clone(),
            expires: intent.expires,
            worst_expiry: intent.worst_expiry,
            deadline: intent.deadline,
            approval: intent.approval.as_ref().map(|(id, _)| *id),
            confirmed: false,
            taken: None,
            stage: Stage::Intent,
        });
    }

    fn confirm(&mut self, id: LeaseId, expires: Timestamp, handle: Option<&Handle>) {
        self.leases.update(id, |lease| {
            lease.stage = Stage::Issued { delivered: false };
            lease.confirmed = true;
            lease.expires = expires;
            if let Some(handle) = handle {
                lease.handle = handle.clone();
            }
        });
    }

    fn lift(&mut self, rearm: RearmId, at: Timestamp) {
        if let Some(proposal) = self.rearms.remove(&rearm) {
            self.kills.lift(proposal.kill, proposal.stage, at);
        }
    }

    fn delivered(&mut self, id: LeaseId) {
        self.leases.update(id, |lease| match &mut lease.stage {
            Stage::Issued { delivered } => *delivered = true,
            Stage::Intent | Stage::Stopping { .. } => {}
        });
    }

    fn stop(&mut self, id: LeaseId, cause: StopCause) {
        let Some(lease) = self.leases.get(id) else {
            return;
        };
        let (was_live, killed_before) = (lease.is_live(), lease.killed_by().is_some());
        let (task, approval) = (Arc::clone(&lease.task), lease.approval);
        self.leases.update(id, |lease| match &mut lease.stage {
            Stage::Stopping { cause: earlier, .. } => {
                if earlier.kill().is_none() && cause.kill().is_some() {
                    *earlier = cause;
                }
            }
            Stage::Intent | Stage::Issued { .. } => {
                lease.stage = Stage::Stopping {
                    cause,
                    progress: Progress::Fenced,
                };
            }
        });
        if cause.kill().is_some() && !killed_before {
            self.tally(id);
        }
        if was_live {
            self.quotas.stopped(&task);
            self.note_spent(task.id);
            if let Some(approval) = approval {
                self.end_session(approval, id, cause);
            }
        }
    }

    /// Ends an approval's apply session. A use whose secret was never handed over is given back. A
    /// release or a kill closes the session; the natural end of a lease leaves it open for the next
    /// lease of the same plan.
    fn end_session(&mut self, id: ApprovalId, lease: LeaseId, cause: StopCause) {
        self.on_approval(id, |approval| {
            if approval.session != Some(lease) {
                return;
            }
            match cause {
                StopCause::Unconfirmed | StopCause::Undelivered | StopCause::Excessive => {
                    approval.used = approval.used.saturating_sub(1);
                    approval.session = None;
                }
                StopCause::Released
                | StopCause::TaskClosed
                | StopCause::Killed(_)
                | StopCause::Collateral(_) => approval.session = None,
                StopCause::Expired => {}
            }
        });
    }

    fn forget(&mut self, id: LeaseId, at: Timestamp) {
        if let Some(Stage::Stopping { progress, .. }) = self.leases.get(id).map(|it| it.stage)
            && !progress.is_confirmed()
        {
            self.advance(id, Progress::Expired(at), at);
        }
        self.tally_forgotten(id);
        if let Some(lease) = self.leases.remove(id) {
            if lease.is_live() {
                self.quotas.stopped(&lease.task);
                self.note_spent(lease.task.id);
            }
            self.tasks.use_of(lease.task.id);
            if self.leases.of_task(lease.task.id).next().is_none() {
                self.tasks.nothing_left(lease.task.id, at);
            }
        }
        self.kills.idle(&Scope::Lease(id), at);
        if let Some(order) = self.kills.forget_drill(id) {
            self.tallies.remove(&order);
        }
    }

    fn drilled(&mut self, drill: &Drill, at: Timestamp) {
        let last = (at, drill.clone());
        let before = self.drills.remove(&drill.target);
        let good = if drill.outcome.is_passed() {
            Some(last.clone())
        } else {
            before.and_then(|before| before.good)
        };
        self.drills
            .insert(drill.target.clone(), Drills { last, good });
    }

    fn submit(
        &mut self,
        plan: &Plan,
        requirement: Option<&lanyard_charter::requirement::Requirement>,
        seq: Seq,
    ) {
        if let (Some(id), Some(requirement)) = (plan.approval, requirement) {
            let approval = Approval {
                id,
                plan: plan.id,
                digest: plan.digest,
                task: plan.task,
                requirement: requirement.clone(),
                requested: plan.submitted,
                seq,
                consents: Vec::new(),
                denied: None,
                taken_back: None,
                used: 0,
                session: None,
            };
            let asking = self.asking(plan.task);
            self.approvals.insert(approval, asking);
        }
        self.plans_of.entry(plan.task).or_default().push(plan.id);
        self.plans.insert(plan.id, plan.clone());
    }

    pub(super) fn on_approval(&mut self, id: ApprovalId, change: impl FnOnce(&mut Approval)) {
        self.approvals.update(id, change);
    }
}
