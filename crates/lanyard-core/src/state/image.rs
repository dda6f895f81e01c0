//! The serializable form of the state, which a snapshot holds.

use std::collections::BTreeMap;
use std::sync::Arc;

use lanyard_vocabulary::agent::AgentName;
use lanyard_vocabulary::id::{ApprovalId, KillId, LeaseId, PauseId, RearmId, TaskId};
use lanyard_vocabulary::identity::Identity;
use lanyard_vocabulary::name::Name;
use lanyard_vocabulary::operator::Operator;
use lanyard_vocabulary::revision::Revision;
use lanyard_vocabulary::seq::Seq;
use lanyard_vocabulary::time::{BootClock, Timestamp};
use serde::{Deserialize, Serialize};

use super::breakers::{Breakers, BreakersImage};
use super::deliveries::Delivery;
use super::quota::{Spent, Use};
use super::rates::Window;
use super::tasks::{RequestKey, Tasks};
use super::{Leases, State, TaskEntry};
use crate::action::Reports;
use crate::approval::Approval;
use crate::command::Observed;
use crate::drill::Drills;
use crate::emergency::Emergency;
use crate::enrolment::Enrolment;
use crate::kill::{KillBook, RearmProposal, Tally};
use crate::lease::{GrantRef, Handle, Lease, Stage};
use crate::pause::Pause;
use crate::plan::Plan;
use crate::task::Task;

/// An item of the state. The state is written and read item by item, so that neither needs all of
/// it in memory twice.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Image {
    /// The first item: the parts of the state that exist once.
    Head {
        /// The sequence number of the next record.
        next: Seq,
        /// The time of the last record.
        #[serde(default)]
        latest: Timestamp,
        /// The boot clock that the last process recorded.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        clock: Option<BootClock>,
        /// The charters in force, with their revisions.
        in_force: BTreeMap<Name, Revision>,
        /// The orders with their leases.
        kills: Box<KillBook>,
        /// The counts of differences found at the targets.
        #[serde(default)]
        observed: Observed,
        /// The invited and enrolled agents.
        #[serde(default)]
        enrolment: Box<Enrolment>,
        /// The proposals to re-arm.
        rearms: BTreeMap<RearmId, RearmProposal>,
        /// The pauses in force.
        #[serde(default)]
        pauses: BTreeMap<PauseId, Pause>,
        /// The emergencies that were declared.
        #[serde(default)]
        emergencies: BTreeMap<Name, Emergency>,
        /// The counts of the circuit breakers.
        #[serde(default)]
        breakers: Box<BreakersImage>,
        /// The number of leases that follow, for which the reader reserves room.
        leases: usize,
    },
    /// A task. It precedes the leases of the task.
    Task {
        /// The facts fixed when the task was opened.
        task: Box<Task>,
        /// The time at which the task was closed.
        closed: Option<Timestamp>,
        /// The id of the request that opened the task.
        request: Option<String>,
        /// The identity that asked, if another agent asked than the one that runs the task.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        asker: Option<Identity>,
        /// True if a credential of the task has left the ledger.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        used: bool,
    },
    /// The request that opened a task which is no longer in the state.
    Opened {
        /// The caller and the request id.
        request: RequestKey,
        /// The task that the request opened.
        task: TaskId,
        /// The time until which the request is remembered.
        until: Timestamp,
    },
    /// The number of actions that an identity reported within the current hour.
    Reporting {
        /// The identity that reports.
        identity: Identity,
        /// The count and the beginning of its hour.
        window: Window,
    },
    /// A plan without its bytes.
    Plan(Box<Plan>),
    /// An approval with its answers.
    Approval(Box<Approval>),
    /// A lease without its task, which precedes it.
    Lease(Box<LeaseImage>),
    /// The use that an agent made of a charter's quota.
    Used {
        /// The name of the charter.
        charter: Name,
        /// The name of the agent.
        agent: AgentName,
        /// The live credentials and the last mints.
        used: UseImage,
    },
    /// The reports about a task.
    Reports {
        /// The id of the task.
        task: TaskId,
        /// The reports that later reports are compared with.
        reports: Box<Reports>,
    },
    /// The part of a task's budget that is used up.
    Spent {
        /// The id of the task.
        task: TaskId,
        /// The part used up.
        spent: Spent,
    },
    /// The results of a kill order, by target.
    Tallies {
        /// The id of the kill order.
        order: KillId,
        /// The counts for each target.
        targets: BTreeMap<Name, Tally>,
    },
    /// The drills at one target.
    Drills(Box<Drills>),
    /// A remembered message of a reporter.
    Delivery(Box<Delivery>),
    /// The newest groups and roles of a person.
    Person(Box<Operator>),
    /// The lease that a request made.
    Request {
        /// The task of the request.
        task: TaskId,
        /// The id of the request.
        request: String,
        /// The lease that the request made.
        lease: LeaseId,
    },
}

/// The use of a quota: the live credentials and the last mints.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct UseImage(Use);

/// A lease that names its task by id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeaseImage {
    id: LeaseId,
    task: TaskId,
    entry: GrantRef,
    intent: Seq,
    asked: Timestamp,
    handle: Handle,
    expires: Timestamp,
    worst_expiry: Timestamp,
    deadline: Timestamp,
    approval: Option<ApprovalId>,
    confirmed: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    taken: Option<Timestamp>,
    stage: Stage,
}

impl From<&Lease> for LeaseImage {
    fn from(lease: &Lease) -> Self {
        Self {
            id: lease.id,
            task: lease.task.id,
            entry: GrantRef::clone(&lease.entry),
            intent: lease.intent,
            asked: lease.asked,
            handle: lease.handle.clone(),
            expires: lease.expires,
            worst_expiry: lease.worst_expiry,
            deadline: lease.deadline,
            approval: lease.approval,
            confirmed: lease.confirmed,
            taken: lease.taken,
            stage: lease.stage,
        }
    }
}

impl State {
    fn head(&self) -> Image {
        Image::Head {
            next: self.next,
            latest: self.latest,
            clock: self.clock.clone(),
            in_force: self.in_force.clone(),
            kills: Box::new(self.kills.clone()),
            observed: self.observed,
            enrolment: Box::new(self.enrolment.clone()),
            rearms: self.rearms.clone(),
            pauses: self.pauses.clone(),
            emergencies: self.emergencies.clone(),
            breakers: Box::new(self.breakers.image()),
            leases: self.leases.len(),
        }
    }

    /// The state, item by item, in the order that [`State::restore`] requires.
    pub fn image(&self) -> impl Iterator<Item = Image> {
        let head = self.head();
        let tasks = self.tasks.iter().map(|entry| Image::Task {
            task: Box::new(Task::clone(&entry.task)),
            closed: entry.closed,
            request: entry.request.clone(),
            asker: entry.asker.clone(),
            used: self.tasks.was_used(entry.task.id),
        });
        let opened = self.tasks.requests_of_forgotten();
        let opened = opened.map(|(request, task, until)| Image::Opened {
            request,
            task,
            until,
        });
        let of_tasks = self.requests.iter();
        let requests = of_tasks.flat_map(|(task, of_task)| {
            of_task.iter().map(|(request, lease)| Image::Request {
                task: *task,
                request: request.clone(),
                lease: *lease,
            })
        });
        let used = self
            .quotas
            .iter()
            .map(|((charter, agent), used)| Image::Used {
                charter: charter.clone(),
                agent: agent.clone(),
                used: UseImage(used.clone()),
            });
        std::iter::once(head)
            .chain(tasks)
            .chain(opened)
            .chain(
                self.plans
                    .values()
                    .map(|plan| Image::Plan(Box::new(plan.clone()))),
            )
            .chain(
                self.approvals
                    .iter()
                    .map(|approval| Image::Approval(Box::new(approval.clone()))),
            )
            .chain(
                self.leases
                    .by_intent()
                    .map(|lease| Image::Lease(Box::new(lease.into()))),
            )
            .chain(requests)
            .chain(self.tallies.iter().map(|(order, targets)| Image::Tallies {
                order: *order,
                targets: targets.clone(),
            }))
            .chain(
                self.drills
                    .values()
                    .map(|drills| Image::Drills(Box::new(drills.clone()))),
            )
            .chain(used)
            .chain(
                self.deliveries
                    .image()
                    .map(|one| Image::Delivery(Box::new(one))),
            )
            .chain(
                self.people
                    .values()
                    .map(|person| Image::Person(Box::new(person.clone()))),
            )
            .chain(self.spent.iter().map(|(task, spent)| Image::Spent {
                task: *task,
                spent: *spent,
            }))
            .chain(self.reports.iter().map(|(task, reports)| Image::Reports {
                task: *task,
                reports: Box::new(reports.clone()),
            }))
            .chain(
                self.report_rates
                    .iter()
                    .map(|(identity, window)| Image::Reporting {
                        identity: identity.clone(),
                        window: *window,
                    }),
            )
    }

    /// Takes in one item of an image. Returns false for a lease whose task is missing; such an
    /// image is incomplete.
    #[must_use]
    pub fn restore(&mut self, item: Image) -> bool {
        match item {
            Image::Head {
                next,
                latest,
                clock,
                in_force,
                kills,
                observed,
                enrolment,
                rearms,
                pauses,
                emergencies,
                breakers,
                leases,
            } => {
                *self = Self {
                    leases: Leases::with_room(leases),
                    next,
                    latest,
                    clock,
                    in_force,
                    kills: *kills,
                    observed,
                    enrolment: *enrolment,
                    rearms,
                    pauses,
                    emergencies,
                    breakers: Breakers::restore(*breakers, latest),
                    tasks: Tasks::default(),
                    ..Self::default()
                };
            }
            Image::Task {
                task,
                closed,
                request,
                asker,
                used,
            } => {
                let id = task.id;
                self.tasks.insert(TaskEntry {
                    task: Arc::from(task),
                    closed,
                    request,
                    asker,
                });
                if used {
                    self.tasks.use_of(id);
                }
            }
            Image::Opened {
                request,
                task,
                until,
            } => self.tasks.remember_request(request, task, until),
            Image::Plan(plan) => {
                self.plans_of.entry(plan.task).or_default().push(plan.id);
                self.plans.insert(plan.id, *plan);
            }
            Image::Approval(approval) => {
                let asking = self.asking(approval.task);
                self.approvals.insert(*approval, asking);
            }
            Image::Reporting { identity, window } => self.report_rates.restore(identity, window),
            Image::Used {
                charter,
                agent,
                used,
            } => self.quotas.restore((charter, agent), used.0),
            Image::Spent { task, spent } => {
                self.spent.insert(task, spent);
                self.note_spent(task);
            }
            Image::Tallies { order, targets } => drop(self.tallies.insert(order, targets)),
            Image::Delivery(delivery) => self.deliveries.restore(*delivery),
            Image::Person(person) => drop(self.people.insert(person.identity.clone(), *person)),
            Image::Drills(drills) => {
                self.drills.insert(drills.last.1.target.clone(), *drills);
            }
            Image::Reports { task, reports } => drop(self.reports.insert(task, *reports)),
            Image::Lease(lease) => return self.restore_lease(*lease),
            Image::Request {
                task,
                request,
                lease,
            } => {
                let of_task = self.requests.entry(task).or_default();
                of_task.insert(request, lease);
            }
        }
        true
    }

    fn restore_lease(&mut self, image: LeaseImage) -> bool {
        let entry = self.tasks.get(image.task);
        let Some(task) = entry.map(|entry| Arc::clone(&entry.task)) else {
            return false;
        };
        let lease = Lease {
            id: image.id,
            entry: self.leases.share(&image.entry),
            task,
            intent: image.intent,
            asked: image.asked,
            handle: image.handle,
            expires: image.expires,
            worst_expiry: image.worst_expiry,
            deadline: image.deadline,
            approval: image.approval,
            confirmed: image.confirmed,
            taken: image.taken,
            stage: image.stage,
        };
        self.leases.insert(lease);
        true
    }
}
