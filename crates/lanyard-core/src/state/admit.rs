//! The preconditions of every command, checked against everything admitted before it.

use lanyard_charter::{Budget, Rate};
use lanyard_vocabulary::count::{counted, verb_for};
use lanyard_vocabulary::id::{ApprovalId, KillId, LeaseId, TaskId};
use lanyard_vocabulary::identity::Identity;
use lanyard_vocabulary::name::Name;
use lanyard_vocabulary::scope::Facets;
use lanyard_vocabulary::time::{Timestamp, Ttl};

use super::{
    MAX_OPEN_TASKS, MAX_OPEN_TASKS_PER_IDENTITY, MAX_REPORTS_PER_IDENTITY_PER_HOUR, State,
};
use crate::action::{MAX_REPORTS_PER_TASK_PER_HOUR, Outcome, Report};
use crate::approval::{ConsentError, Seen, Unusable};
use crate::command::{Command, Intent};
use crate::emergency::Emergency;
use crate::enrolment::EnrolmentError;
use crate::kill::{EngagedOrder, KillOrder, Lifted};
use crate::lease::{Lease, Stage};
use crate::pause::{Demand, Pause};

/// The reason why a command cannot take effect.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// A kill order covers the command.
    #[error("stopped by kill order {} over {}: {}", .0.order.id, .0.order.scope, .0.order.reason.escape_debug())]
    Killed(Box<EngagedOrder>),
    /// A pause covers the command.
    #[error("paused by {} over {}: {}", .0.id, .0.reach, .0.reason.escape_debug())]
    Paused(Box<Pause>),
    /// A circuit breaker tripped, and its consequence is not recorded yet.
    #[error("stopped by a {0}")]
    Tripped(String),
    /// A pause demands a person's approval.
    #[error("pause {} over {} asks for a person's approval: {}", .0.id, .0.reach, .0.reason.escape_debug())]
    ApprovalAsked(Box<Pause>),
    /// The id is in use.
    #[error("{0} already exists")]
    Exists(String),
    /// The command refers to something that the state does not know.
    #[error("there is no {0}")]
    Unknown(String),
    /// The task has ended.
    #[error("task {0} has ended")]
    TaskEnded(TaskId),
    /// The charter changed between the decision and the commit (T74).
    #[error("charter {0} has changed: ask again")]
    CharterMoved(Name),
    /// The agent has as many live credentials as its charter allows.
    #[error("{agent} has {live} live leases under this charter and may have {most}")]
    TooManyLive {
        /// The name of the agent.
        agent: String,
        /// The number of its live credentials.
        live: u32,
        /// The limit of the charter.
        most: u32,
        /// The time at which the first of them ends by itself.
        until: Option<Timestamp>,
    },
    /// The agent has used up a mint rate of its charter.
    #[error(
        "the charter allows {} within {}, and the agent has had that",
        counted(.rate.count.into(), "credential"),
        .rate.per
    )]
    TooFast {
        /// The rate that is used up.
        rate: Rate,
        /// The time from which the next mint is within the rate.
        until: Timestamp,
    },
    /// The task has used up its budget.
    #[error("the budget of task {task} does not hold this credential")]
    BudgetSpent {
        /// The task with the budget.
        task: TaskId,
        /// The budget that is spent.
        budget: Budget,
    },
    /// The approval does not allow an apply session.
    #[error("approval {id}: {why}")]
    NotApproved {
        /// The id of the approval.
        id: ApprovalId,
        /// The reason why it covers no session.
        why: Unusable,
    },
    /// The agent has as many requests waiting for people as its charter allows (T23).
    #[error(
        "{} of {agent} {} for people under this charter, and {most} may",
        counted((*waiting).into(), "request"),
        verb_for((*waiting).into(), "waits", "wait")
    )]
    TooManyRequests {
        /// The name of the agent.
        agent: String,
        /// The number of waiting requests.
        waiting: u32,
        /// The limit of the charter.
        most: u32,
    },
    /// People rejected a request of the agent, and its charter demands a pause after that.
    #[error("people denied a request of {agent} less than {cooldown} ago")]
    CoolingDown {
        /// The name of the agent.
        agent: String,
        /// The length of the pause.
        cooldown: Ttl,
        /// The time at which the pause ends.
        until: Timestamp,
    },
    /// The task has reported as many actions within an hour as a task may.
    #[error(
        "{most} actions of task {task} were reported within an hour: the next can be at {until}"
    )]
    TooManyReports {
        /// The task that reports.
        task: TaskId,
        /// The limit, in reports an hour.
        most: usize,
        /// The time from which the next report is accepted.
        until: Timestamp,
    },
    /// The replay cache for reporters' messages is full.
    #[error(
        "more messages of reporters come than can be told apart: the next can be taken at {until}"
    )]
    TooManyMessages {
        /// The time from which the next message is accepted.
        until: Timestamp,
    },
    /// The person's approval is not accepted.
    #[error(transparent)]
    Consent(#[from] ConsentError),
    /// The lease is no longer in the stage that the command needs.
    #[error("lease {0} is not waiting for this")]
    LeaseMoved(LeaseId),
    /// The plan role was re-armed too recently.
    #[error(
        "the apply role can be re-armed from {until} on: the plan role comes first, for a while"
    )]
    Soaking {
        /// The time from which the apply role can be re-armed.
        until: Timestamp,
    },
    /// The command breaks a rule of re-arming (T68).
    #[error("{0}")]
    Rearm(&'static str),
    /// A kill order over part of the same scope is newer than the re-arm proposal.
    #[error(
        "kill order {0} was engaged after this re-arm was proposed: look at that order, and propose again"
    )]
    RearmVoid(KillId),
    /// The identity has as many open tasks as it may have.
    #[error("{asker} has {open} open tasks and may have {most}")]
    TooManyTasks {
        /// The identity that asks.
        asker: String,
        /// The number of its open tasks.
        open: usize,
        /// The limit, in reports an hour.
        most: usize,
    },
    /// All identities together have as many open tasks as the broker takes.
    #[error("the broker has {most} open tasks, which is all that it opens")]
    TooManyTasksInAll {
        /// The limit, in reports an hour.
        most: usize,
    },
    /// The agent's tasks have reported as many actions within an hour as an identity may.
    #[error(
        "{most} actions of tasks of {agent} were reported within an hour: the next can be at {until}"
    )]
    TooManyReportsOfAgent {
        /// The name of the agent.
        agent: String,
        /// The limit, in reports an hour.
        most: u32,
        /// The time from which the next report is accepted.
        until: Timestamp,
    },
    /// The task has submitted as many plans as a task may.
    #[error("{most} plans of task {task} were submitted, and no more are taken")]
    TooManyPlans {
        /// The task that submits.
        task: TaskId,
        /// The limit, in reports an hour.
        most: usize,
    },
}

impl From<EnrolmentError> for Refusal {
    fn from(error: EnrolmentError) -> Self {
        match error {
            EnrolmentError::Exists(what) => Self::Exists(what),
            EnrolmentError::Unknown(what) => Self::Unknown(what),
        }
    }
}

impl State {
    /// Checks whether the command can take effect now.
    ///
    /// # Errors
    /// The precondition that does not hold.
    pub fn admit(&self, command: &Command, now: Timestamp) -> Result<(), Refusal> {
        match command {
            Command::OpenTask { task, request } => self.admit_task(task, request.as_deref(), now),
            Command::CloseTask { task } => self.known_task(*task).map(drop),
            Command::BeginMint(intent) => self.admit_intent(intent, now),
            Command::ConfirmMint { lease, .. } => self.admit_confirmation(*lease),
            Command::SubmitPlan {
                plan,
                requirement,
                requests,
            } => self.admit_plan(plan, requirement.as_ref().map(|_| *requests), now),
            Command::Withdraw { approval, by, .. } => self.admit_withdrawal(*approval, (by, now)),
            Command::Report(report) => self.admit_report(report, now),
            Command::Approve {
                approval,
                digest,
                operator,
                acknowledged,
                ..
            } => {
                let (digest, sensitive) = (*digest, *acknowledged);
                let seen = Seen { digest, sensitive };
                self.admit_consent(*approval, seen, (operator, now))
            }
            Command::Reject {
                approval, operator, ..
            } => self.admit_rejection(*approval, (operator, now)),
            Command::Kill(order) => self.admit_order(order),
            Command::WithdrawKill { kill, .. } => self.admit_order_withdrawal(*kill),
            Command::Pause(pause) if self.pauses.contains_key(&pause.id) => {
                Err(Refusal::Exists(format!("pause {}", pause.id)))
            }
            Command::Resume { pause, .. } if !self.pauses.contains_key(pause) => {
                Err(Refusal::Unknown(format!("pause {pause}")))
            }
            Command::DeclareEmergency(emergency) => self.admit_emergency(emergency, now),
            Command::EndEmergency { charter, .. } if !self.emergencies.contains_key(charter) => {
                Err(Refusal::Unknown(format!("emergency of charter {charter}")))
            }
            Command::ProposeRearm(proposal) => self.admit_step(proposal, now),
            Command::ConfirmRearm {
                rearm, kill, by, ..
            } => self.admit_rearm(*rearm, *kill, by, now),
            Command::Enrolment(step) => self.enrolment.admit(step, now).map_err(Refusal::from),
            Command::CharterInForce { .. }
            | Command::CharterWithdrawn { .. }
            | Command::Deny { .. }
            | Command::DenialsSuppressed { .. }
            | Command::ExpiryExtended { .. }
            | Command::Delivered { .. }
            | Command::Stop { .. }
            | Command::Advance { .. }
            | Command::Forget { .. }
            | Command::Recognize(_)
            | Command::Pause(_)
            | Command::Resume { .. }
            | Command::Alert(_)
            | Command::Observe { .. }
            | Command::BeginSession(_)
            | Command::Drill(_)
            | Command::EndEmergency { .. }
            | Command::Started { .. }
            | Command::Clock(_)
            | Command::Accept(_)
            | Command::SigningKey(_) => Ok(()),
        }
    }

    pub(super) fn known_task(&self, id: TaskId) -> Result<&super::TaskEntry, Refusal> {
        self.tasks
            .get(id)
            .ok_or_else(|| Refusal::Unknown(format!("task {id}")))
    }

    pub(super) fn known_approval(
        &self,
        id: ApprovalId,
    ) -> Result<&crate::approval::Approval, Refusal> {
        self.approvals
            .get(id)
            .ok_or_else(|| Refusal::Unknown(format!("approval {id}")))
    }

    fn admit_task(
        &self,
        task: &crate::task::Task,
        request: Option<&str>,
        now: Timestamp,
    ) -> Result<(), Refusal> {
        if self.tasks.contains(task.id) {
            return Err(Refusal::Exists(format!("task {}", task.id)));
        }
        self.current(&task.charter, &task.revision)?;
        let above = task.lineage.first();
        let above = above.map(|above| self.known_task(above.task)).transpose()?;
        if let Some(above) = above.filter(|above| !above.is_open(now)) {
            return Err(Refusal::TaskEnded(above.task.id));
        }
        let asker = above.map_or(&task.identity, |above| &above.task.identity);
        if let Some(earlier) = request.and_then(|it| self.tasks.of_request(asker, it)) {
            return Err(Refusal::Exists(format!(
                "task {earlier} of the same request"
            )));
        }
        self.room_for_task(asker, now)?;
        let mut stoppers = self.kills.over_task(task);
        let stopper = stoppers.find(|engaged| {
            let both = engaged.order.roles == lanyard_vocabulary::scope::RoleFilter::Both;
            both && engaged.lifted == Lifted::Nothing
        });
        if let Some(engaged) = stopper {
            return Err(Refusal::Killed(Box::new(engaged.clone())));
        }
        let still = |pause: &&Pause| pause.demand == Demand::NoIssuance && pause.lasts(now);
        let mut pauses = self.pauses.values().filter(still);
        let pausing = pauses.find(|pause| pause.reach.covers_task(task));
        pausing.map_or(Ok(()), |pause| {
            Err(Refusal::Paused(Box::new(pause.clone())))
        })
    }

    fn room_for_task(&self, asker: &Identity, now: Timestamp) -> Result<(), Refusal> {
        let open = self.tasks.open_of(asker, now);
        if open >= MAX_OPEN_TASKS_PER_IDENTITY {
            return Err(Refusal::TooManyTasks {
                asker: asker.to_string(),
                open,
                most: MAX_OPEN_TASKS_PER_IDENTITY,
            });
        }
        if self.tasks.open(now) >= MAX_OPEN_TASKS {
            return Err(Refusal::TooManyTasksInAll {
                most: MAX_OPEN_TASKS,
            });
        }
        Ok(())
    }

    fn admit_emergency(&self, emergency: &Emergency, now: Timestamp) -> Result<(), Refusal> {
        let before = self.emergencies.get(&emergency.charter);
        match before.filter(|before| before.lasts(now)) {
            Some(before) => Err(Refusal::Exists(format!(
                "an emergency of charter {} until {}",
                before.charter, before.until
            ))),
            None => Ok(()),
        }
    }

    fn current(
        &self,
        charter: &Name,
        revision: &lanyard_vocabulary::revision::Revision,
    ) -> Result<(), Refusal> {
        match self.in_force.get(charter) {
            Some(in_force) if in_force == revision => Ok(()),
            Some(_) | None => Err(Refusal::CharterMoved(charter.clone())),
        }
    }

    fn admit_intent(&self, intent: &Intent, now: Timestamp) -> Result<(), Refusal> {
        let entry = self.known_task(intent.task)?;
        let task = &entry.task;
        let minted = &intent.entry;
        let facets = task.lease_facets(&minted.target, minted.role, Some(intent.lease));
        if let Some(engaged) = self.kills.stopper(&facets) {
            return Err(Refusal::Killed(Box::new(engaged.clone())));
        }
        self.unpaused(intent, &facets, now)?;
        if !entry.is_open(now) {
            return Err(Refusal::TaskEnded(task.id));
        }
        if self.leases.get(intent.lease).is_some() {
            return Err(Refusal::Exists(format!("lease {}", intent.lease)));
        }
        if let Some(request) = &intent.request
            && let Some(earlier) = self.lease_of_request(task.id, request)
        {
            return Err(Refusal::Exists(format!(
                "lease {earlier} of the same request"
            )));
        }
        self.current(&task.charter, &intent.in_force)?;
        for (charter, revision) in &intent.above {
            self.current(charter, revision)?;
        }
        self.within_limits(intent, task, now)?;
        self.approved(intent, &facets, now)
    }

    fn unpaused(
        &self,
        intent: &Intent,
        facets: &Facets<'_>,
        now: Timestamp,
    ) -> Result<(), Refusal> {
        if let Some(trip) = self.breakers.holding(facets) {
            return Err(Refusal::Tripped(trip.reason()));
        }
        if let Some(pause) = self.pausing(facets, Demand::NoIssuance, now) {
            return Err(Refusal::Paused(Box::new(pause.clone())));
        }
        match self.pausing(facets, Demand::Approval, now) {
            Some(pause) if intent.approval.is_none() => {
                Err(Refusal::ApprovalAsked(Box::new(pause.clone())))
            }
            Some(_) | None => Ok(()),
        }
    }

    fn within_limits(
        &self,
        intent: &Intent,
        task: &crate::task::Task,
        now: Timestamp,
    ) -> Result<(), Refusal> {
        let live = self.quotas.live(task);
        if live >= intent.limits.live {
            return Err(Refusal::TooManyLive {
                agent: task.agent.to_string(),
                live,
                most: intent.limits.live,
                until: self.leases.first_end(task),
            });
        }
        let seconds = intent.expires.since(now).as_secs();
        let spent = self.spent.get(&task.id).copied().unwrap_or_default();
        if let Some(budget) = intent.limits.budget
            && !spent.admits(budget, seconds)
        {
            let task = task.id;
            return Err(Refusal::BudgetSpent { task, budget });
        }
        match self.quotas.next_mint(task, &intent.limits.mints, now) {
            Some((until, rate)) => Err(Refusal::TooFast { rate, until }),
            None => Ok(()),
        }
    }

    fn approved(
        &self,
        intent: &Intent,
        facets: &Facets<'_>,
        now: Timestamp,
    ) -> Result<(), Refusal> {
        let Some((id, requirement)) = &intent.approval else {
            return Ok(());
        };
        let approval = self.known_approval(*id)?;
        if approval.task != intent.task {
            return Err(Refusal::Unknown(format!("approval {id}")));
        }
        if let Some(engaged) = self.kills.killer(facets, approval.seq) {
            return Err(Refusal::Killed(Box::new(engaged.clone())));
        }
        let not = |why| Refusal::NotApproved { id: *id, why };
        approval.usable(now, requirement).map_err(not)?;
        let live = approval.session.filter(|lease| {
            self.leases
                .get(*lease)
                .is_some_and(crate::lease::Lease::is_live)
        });
        live.map_or(Ok(()), |lease| Err(not(Unusable::Busy(lease))))
    }

    /// Checks step C of a mint: a kill order newer than the intent refuses it for good.
    fn admit_confirmation(&self, id: LeaseId) -> Result<(), Refusal> {
        let lease = self
            .leases
            .get(id)
            .ok_or_else(|| Refusal::Unknown(format!("lease {id}")))?;
        if let Some(engaged) = self.kills.killer(&lease.facets(), lease.intent) {
            return Err(Refusal::Killed(Box::new(engaged.clone())));
        }
        match lease.stage {
            Stage::Intent => Ok(()),
            Stage::Issued { .. } | Stage::Stopping { .. } => Err(Refusal::LeaseMoved(id)),
        }
    }

    /// Checks a report: its task must be known, its lease must belong to the task, and an end must
    /// belong to a beginning.
    fn admit_report(&self, report: &Report, now: Timestamp) -> Result<(), Refusal> {
        if self.deliveries.knows(report) {
            let id = report.delivery.as_deref().unwrap_or_default();
            return Err(Refusal::Exists(format!(
                "the report of message {}",
                id.escape_debug()
            )));
        }
        if let Some(until) = self.deliveries.room_at(report, now) {
            return Err(Refusal::TooManyMessages { until });
        }
        let entry = self.known_task(report.task)?;
        if report.outcome == Outcome::Started && !entry.is_open(now) {
            return Err(Refusal::TaskEnded(report.task));
        }
        let of = |lease: &Lease| lease.task.id == report.task;
        if let Some(lease) = report
            .lease
            .filter(|id| !self.leases.get(*id).is_some_and(of))
        {
            return Err(Refusal::Unknown(format!("lease {lease} of this task")));
        }
        let agent = &entry.task.identity;
        if let Some(until) = self.report_rates.next(agent, now) {
            return Err(Refusal::TooManyReportsOfAgent {
                agent: agent.to_string(),
                most: MAX_REPORTS_PER_IDENTITY_PER_HOUR,
                until,
            });
        }
        let until = self.reports.get(&report.task).and_then(|all| all.next(now));
        until.map_or(Ok(()), |until| {
            Err(Refusal::TooManyReports {
                task: report.task,
                most: MAX_REPORTS_PER_TASK_PER_HOUR,
                until,
            })
        })
    }

    fn admit_order(&self, order: &KillOrder) -> Result<(), Refusal> {
        let same = self.kills.get(order.id);
        let same = same.or_else(|| self.kills.of_key(order.key.as_deref()?));
        same.map_or(Ok(()), |same| {
            Err(Refusal::Exists(format!("kill order {}", same.order.id)))
        })
    }
}
