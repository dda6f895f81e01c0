//! What an agent asks for, and why nothing was issued.

use lanyard_core::charter::Name;
use lanyard_core::command::Asked;
use lanyard_core::decide::Denial;
use lanyard_core::id::{ApprovalId, DecisionId, LeaseId, PlanId, TaskId};
use lanyard_core::ledger::CommitError;
use lanyard_core::plan::Unjudged;
use lanyard_core::provider::{PrepareError, ProviderError};
use lanyard_core::time::Ttl;

use crate::clock::NoRandomness;
use crate::condition::NotIssuing;
use crate::gate::Closed;
use crate::records::TooManyRecords;
use crate::tasks::TaskError;

/// What an agent asks for.
#[derive(Debug, Clone)]
pub struct Ask {
    /// Under which task.
    pub task: TaskId,
    /// Which grant of its charter.
    pub grant: Name,
    /// For less time than it may have.
    pub ttl: Option<Ttl>,
    /// The plan that an apply goes with.
    pub plan: Option<PlanId>,
    /// Makes a retry safe (T57).
    pub request: Option<String>,
}

impl Ask {
    pub(crate) const fn asked(&self) -> Asked {
        Asked {
            ttl: self.ttl,
            plan: self.plan,
            proposed: None,
        }
    }
}

/// Why nothing was issued.
#[derive(Debug, thiserror::Error)]
pub enum IssueError {
    /// The charter says no.
    #[error("{denial} (decision {decision})")]
    Denied {
        /// For `explain`.
        decision: DecisionId,
        /// Why.
        denial: Box<Denial>,
    },
    /// The charter would allow it and something holds it up; the refusal is recorded as a decision.
    #[error("{error}; {} (decision {decision})", .denial.next)]
    Refused {
        /// For `explain`.
        decision: DecisionId,
        /// What is recorded.
        denial: Box<Denial>,
        /// What holds it up.
        error: Box<IssueError>,
    },
    /// No such task or plan, or not yours (T15).
    #[error("there is no such {0}")]
    NotFound(&'static str),
    /// People have to approve, and they have been shown no plan.
    #[error("{}", .0.message)]
    PlanNeeded(Box<Denial>),
    /// People have to approve first.
    #[error("approval {approval} of plan {plan} is needed first: {why}")]
    ApprovalNeeded {
        /// Of which plan.
        plan: PlanId,
        /// Which approval.
        approval: ApprovalId,
        /// What is missing.
        why: lanyard_core::approval::Unusable,
    },
    /// The same request has had its credential: a secret is given once (T57).
    #[error("this request was answered before, with lease {0}: a secret is given once")]
    Repeated(LeaseId),
    /// The target cannot take it.
    #[error(transparent)]
    Prepare(PrepareError),
    /// The provider did not do it.
    #[error("{0}")]
    Provider(ProviderError),
    /// The ledger refused, or cannot be written.
    #[error(transparent)]
    Commit(CommitError),
    /// It was stopped on the way.
    #[error(transparent)]
    Closed(Closed),
    /// The broker issues nothing at all at present.
    #[error(transparent)]
    NotIssuing(NotIssuing),
    /// The target takes no new credential at present.
    #[error("nothing is issued at target {target} now: {why}")]
    NotNow {
        /// Which target.
        target: Name,
        /// Why.
        why: String,
    },
    /// The identity asks too often.
    #[error(transparent)]
    TooManyRecords(#[from] TooManyRecords),
    /// Another plan of the same agent is being looked at.
    #[error("another plan of this agent is being looked at: one at a time")]
    Busy,
    /// The plan cannot be read or judged.
    #[error(transparent)]
    Plan(#[from] Unjudged),
    /// No ids.
    #[error(transparent)]
    Randomness(#[from] NoRandomness),
}

impl From<TaskError> for IssueError {
    fn from(error: TaskError) -> Self {
        match error {
            TaskError::Denied { decision, denial } => Self::Denied { decision, denial },
            TaskError::Refused {
                decision,
                denial,
                error,
            } => Self::Refused {
                decision,
                denial,
                error: Box::new((*error).into()),
            },
            TaskError::NotFound => Self::NotFound("task"),
            TaskError::Commit(error) => Self::Commit(error),
            TaskError::TooManyRecords(error) => Self::TooManyRecords(error),
            TaskError::Randomness(error) => Self::Randomness(error),
        }
    }
}
