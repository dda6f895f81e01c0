//! Requests for a credential, and why none was issued.

use lanyard_core::command::RequestOptions;
use lanyard_core::decide::Denial;
use lanyard_core::ledger::CommitError;
use lanyard_core::plan::Unjudged;
use lanyard_core::provider::{PrepareError, ProviderError};
use lanyard_vocabulary::id::{ApprovalId, DecisionId, LeaseId, PlanId, TaskId};
use lanyard_vocabulary::name::Name;
use lanyard_vocabulary::time::Ttl;

use crate::clock::NoRandomness;
use crate::condition::NotIssuing;
use crate::gate::Closed;
use crate::records::TooManyRecords;

/// A request for a credential.
#[derive(Debug, Clone)]
pub struct IssueRequest {
    /// The task that asks.
    pub task: TaskId,
    /// The grant asked for.
    pub grant: Name,
    /// The lifetime asked for; `None` asks for the longest that the charter allows.
    pub ttl: Option<Ttl>,
    /// The plan that an apply belongs to.
    pub plan: Option<PlanId>,
    /// The request id: a second request with it issues nothing (T57).
    pub request: Option<String>,
}

impl IssueRequest {
    pub(crate) const fn options(&self) -> RequestOptions {
        RequestOptions {
            ttl: self.ttl,
            plan: self.plan,
            proposed: None,
        }
    }
}

/// The reason why no credential was issued.
#[derive(Debug, thiserror::Error)]
pub enum IssueError {
    /// The charter denies the request.
    #[error("{denial} (decision {decision})")]
    Denied {
        /// The decision's id, for `explain`.
        decision: DecisionId,
        /// The denial as decided.
        denial: Box<Denial>,
    },
    /// The charter allows the request, and something else delays it. The refusal is recorded as a
    /// decision.
    #[error("{error}; {} (decision {decision})", .denial.next)]
    Refused {
        /// The decision's id, for `explain`.
        decision: DecisionId,
        /// The refusal as recorded.
        denial: Box<Denial>,
        /// The reason for the delay.
        error: Box<IssueError>,
    },
    /// No such task or plan exists for this caller (T15).
    #[error("there is no such {0}")]
    NotFound(&'static str),
    /// People have to approve, and no plan was submitted.
    #[error("{}", .0.message)]
    PlanNeeded(Box<Denial>),
    /// People have to approve a submitted plan first.
    #[error("approval {approval} of plan {plan} is needed first: {why}")]
    ApprovalNeeded {
        /// The plan to approve.
        plan: PlanId,
        /// The approval to give.
        approval: ApprovalId,
        /// The reason why the approval covers no session.
        why: lanyard_core::approval::Unusable,
    },
    /// The same request had its credential. A secret is handed out once (T57).
    #[error("this request was answered before, with lease {0}: a secret is given once")]
    Repeated(LeaseId),
    /// The request cannot be rendered for the target.
    #[error(transparent)]
    Prepare(PrepareError),
    /// The provider did not issue the credential.
    #[error("{0}")]
    Provider(ProviderError),
    /// The ledger refused the command, or cannot be written.
    #[error(transparent)]
    Commit(CommitError),
    /// A kill order or the daemon's end stopped the request on its way.
    #[error(transparent)]
    Closed(Closed),
    /// The broker issues nothing at present.
    #[error(transparent)]
    NotIssuing(NotIssuing),
    /// The target takes no new credential at present.
    #[error("nothing is issued at target {target} now: {why}")]
    NotNow {
        /// The name of the target.
        target: Name,
        /// The reason, for operators.
        why: String,
    },
    /// The identity has used up its rate of records.
    #[error(transparent)]
    TooManyRecords(#[from] TooManyRecords),
    /// The broker is judging another plan of the same agent.
    #[error("another plan of this agent is being looked at: one at a time")]
    Busy,
    /// The plan cannot be read or judged.
    #[error(transparent)]
    Plan(#[from] Unjudged),
    /// The operating system gave no random bits for ids.
    #[error(transparent)]
    Randomness(#[from] NoRandomness),
}
