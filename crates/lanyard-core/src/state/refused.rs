//! A refusal as a decision: the record that the journal keeps of it, and what whoever asked can do.

use lanyard_charter::{Budget, Rate};
use lanyard_vocabulary::count::counted;
use lanyard_vocabulary::name::Name;
use lanyard_vocabulary::revision::Revision;
use lanyard_vocabulary::time::Timestamp;

use super::Refusal;
use crate::approval::Unusable;
use crate::decide::{Denial, HeldBy, LimitReached, ReasonCode, Rule, not_in_force};

/// The words that a refusal adds to its own message.
struct Told {
    rule: Rule,
    code: ReasonCode,
    next: String,
    limit: Option<LimitReached>,
    retry_after: Option<Timestamp>,
    held_by: Option<HeldBy>,
}

impl Told {
    fn new(rule: Rule, code: ReasonCode, next: impl Into<String>) -> Self {
        Self {
            rule,
            code,
            next: next.into(),
            limit: None,
            retry_after: None,
            held_by: None,
        }
    }

    fn over(mut self, name: &'static str, value: impl ToString) -> Self {
        self.limit = Some(LimitReached {
            name: name.into(),
            value: value.to_string(),
        });
        self
    }

    fn until(mut self, at: Option<Timestamp>) -> Self {
        self.retry_after = at;
        self
    }

    fn held_by(mut self, what: HeldBy) -> Self {
        self.held_by = Some(what);
        self
    }
}

fn quota(code: ReasonCode, next: impl Into<String>) -> Told {
    Told::new(Rule::Quota, code, next)
}

impl Refusal {
    /// The decision that this refusal is, under this charter; none where the command was not a
    /// request for a task, a plan or a credential, or where its ids were wrong.
    #[must_use]
    pub fn decision(&self, charter: &Name, revision: Option<&Revision>) -> Option<Denial> {
        let told = self.told()?;
        Some(Denial {
            revision: revision.cloned(),
            rule: told.rule,
            message: self.to_string(),
            next: told.next,
            reason_code: Some(told.code),
            limit: told.limit.map(Box::new),
            retry_after: told.retry_after,
            held_by: told.held_by,
            ..not_in_force(charter)
        })
    }

    /// Returns when the same command could take effect, where that is known.
    #[must_use]
    pub fn retry_after(&self) -> Option<Timestamp> {
        if let Self::TooManyReports { until, .. }
        | Self::TooManyMessages { until }
        | Self::TooManyReportsOfAgent { until, .. }
        | Self::Soaking { until } = self
        {
            return Some(*until);
        }
        self.told()?.retry_after
    }

    fn told(&self) -> Option<Told> {
        Some(match self {
            Self::Killed(engaged) => Told::new(
                Rule::Kill,
                ReasonCode::Killed,
                "stop the work: people lift the order, and not an agent",
            )
            .held_by(HeldBy::Kill(engaged.order.id)),
            Self::Paused(pause) => {
                let next = match pause.until {
                    Some(until) => format!(
                        "wait until {until}, or until an operator ends the pause with `lanyard resume {} --reason …`",
                        pause.id
                    ),
                    None => format!(
                        "wait until an operator ends the pause with `lanyard resume {} --reason …`",
                        pause.id
                    ),
                };
                Told::new(Rule::Pause, ReasonCode::Paused, next)
                    .until(pause.until)
                    .held_by(HeldBy::Pause(pause.id))
            }
            Self::Tripped(_) => Told::new(
                Rule::Breakers,
                ReasonCode::BreakerTripped,
                "wait until people have looked at it: `lanyard kill list` and `lanyard pause` show what the breaker does",
            ),
            Self::ApprovalAsked(pause) => Told::new(
                Rule::AwaitsApproval,
                ReasonCode::ApprovalRequired,
                "submit what is to be done with `lanyard plan submit`, and ask again with --plan once people approved",
            )
            .held_by(HeldBy::Pause(pause.id)),
            Self::TaskEnded(_) => {
                Told::new(Rule::Task, ReasonCode::TaskEnded, "open another task")
            }
            Self::TooManyLive { most, until, .. } => {
                let next = match until {
                    Some(until) => format!(
                        "release a lease with `lanyard lease release`, or wait until {until}, when the first of them ends"
                    ),
                    None => "release a lease with `lanyard lease release`".to_owned(),
                };
                quota(ReasonCode::LiveLeases, next)
                    .over("limits.live_leases", most)
                    .until(*until)
            }
            Self::TooFast { rate, until } => quota(
                ReasonCode::MintRate,
                format!("wait until {until}, and use each credential for its whole life"),
            )
            .over("limits.mints", of_rate(*rate))
            .until(Some(*until)),
            Self::BudgetSpent { budget, .. } => quota(
                ReasonCode::BudgetSpent,
                "ask for a shorter credential, or open another task",
            )
            .over("limits.budget", of_budget(*budget)),
            Self::NotApproved { why, .. } => {
                Told::new(Rule::AwaitsApproval, unusable(why), remedy(why))
            }
            Self::TooManyRequests { most, .. } => quota(
                ReasonCode::OpenRequests,
                "wait until people have answered one: `lanyard task show` tells when they have",
            )
            .over("limits.approval_requests.open", most),
            Self::CoolingDown {
                cooldown, until, ..
            } => quota(
                ReasonCode::CoolingDown,
                format!("change the plan as they said, and submit it from {until} on"),
            )
            .over("limits.approval_requests.cooldown", cooldown)
            .until(Some(*until)),
            Self::TooManyTasks { most, .. } => quota(
                ReasonCode::OpenTasks,
                "close one with `lanyard task close`, or wait until one ends: `lanyard task list` shows them",
            )
            .over("open_tasks_per_identity", most),
            Self::TooManyTasksInAll { most } => {
                quota(ReasonCode::OpenTasks, "wait until one ends").over("open_tasks", most)
            }
            Self::TooManyPlans { most, .. } => {
                quota(ReasonCode::Plans, "open another task").over("plans_per_task", most)
            }
            Self::Exists(_)
            | Self::Unknown(_)
            | Self::CharterMoved(_)
            | Self::TooManyReports { .. }
            | Self::TooManyMessages { .. }
            | Self::TooManyReportsOfAgent { .. }
            | Self::Consent(_)
            | Self::LeaseMoved(_)
            | Self::Soaking { .. }
            | Self::Rearm(_)
            | Self::RearmVoid(_) => return None,
        })
    }
}

fn of_rate(rate: Rate) -> String {
    format!("{} per {}", rate.count, rate.per)
}

fn of_budget(budget: Budget) -> String {
    format!(
        "{}, {} in all",
        counted(budget.mints.into(), "credential"),
        budget.time
    )
}

/// The code of an approval that does not carry a request.
const fn unusable(why: &Unusable) -> ReasonCode {
    match why {
        Unusable::Pending { .. } | Unusable::Missing(_) => ReasonCode::ApprovalPending,
        Unusable::Denied(_) => ReasonCode::ApprovalDenied,
        Unusable::Unsatisfiable { .. }
        | Unusable::RiskRose { .. }
        | Unusable::TakenBack(_)
        | Unusable::Expired(_)
        | Unusable::Used(_)
        | Unusable::Busy(_) => ReasonCode::ApprovalUnusable,
    }
}

const fn remedy(why: &Unusable) -> &'static str {
    match why {
        Unusable::Pending { .. } | Unusable::Missing(_) => {
            "wait until people have said yes, and ask again"
        }
        Unusable::Denied(_) => "change the plan as they said, and submit it again",
        Unusable::Unsatisfiable { .. } => "open another task, and submit the plan under it",
        Unusable::RiskRose { .. }
        | Unusable::TakenBack(_)
        | Unusable::Expired(_)
        | Unusable::Used(_) => "submit the plan again",
        Unusable::Busy(_) => "release that lease, or wait until it ends",
    }
}

/// The decision that an approval is which does not carry a request.
#[must_use]
pub fn not_approved(
    charter: &Name,
    revision: &Revision,
    (text, why): (String, &Unusable),
) -> Denial {
    Denial {
        revision: Some(revision.clone()),
        rule: Rule::AwaitsApproval,
        message: text,
        next: remedy(why).to_owned(),
        reason_code: Some(unusable(why)),
        ..not_in_force(charter)
    }
}
