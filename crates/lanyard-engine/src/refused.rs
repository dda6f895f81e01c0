//! What holds up a request that the charter allows, as a decision of the journal.

use lanyard_core::charter::{Grant, Name};
use lanyard_core::command::Asked;
use lanyard_core::decide::Denial;
use lanyard_core::id::TaskId;
use lanyard_core::identity::Identity;
use lanyard_core::kill::EngagedOrder;
use lanyard_core::ledger::CommitError;
use lanyard_core::pause::{Demand, Pause};
use lanyard_core::scope::Facets;
use lanyard_core::state::not_approved;
use lanyard_core::task::Task;
use lanyard_core::time::Timestamp;

use crate::activity::Request;
use crate::clock::NoRandomness;
use crate::engine::Engine;
use crate::issue::IssueError;
use crate::tasks::Requested;

impl IssueError {
    /// What stopped the request, without the decision that records it.
    #[must_use]
    pub fn cause(self) -> Self {
        if let Self::Refused { error, .. } = self {
            *error
        } else {
            self
        }
    }

    /// The decision that the error is, where it is one and is not recorded yet.
    pub(crate) fn decision(&self, task: &Task) -> Option<Denial> {
        let (charter, revision) = (&task.charter, &task.revision);
        match self {
            Self::Commit(CommitError::Refused(refusal)) => {
                refusal.decision(charter, Some(revision))
            }
            Self::TooManyRecords(error) => Some(error.decision(charter, Some(revision))),
            Self::PlanNeeded(denial) => Some(Denial::clone(denial)),
            Self::ApprovalNeeded { why, .. } => {
                Some(not_approved(charter, revision, (self.to_string(), why)))
            }
            Self::Denied { .. }
            | Self::Refused { .. }
            | Self::NotFound(_)
            | Self::Repeated(_)
            | Self::Prepare(_)
            | Self::Provider(_)
            | Self::Commit(_)
            | Self::Closed(_)
            | Self::NotIssuing(_)
            | Self::NotNow { .. }
            | Self::Busy
            | Self::Plan(_)
            | Self::Randomness(_) => None,
        }
    }
}

impl Engine {
    /// The same error, with its decision where it is one.
    pub(crate) async fn recorded(
        &self,
        identity: &Identity,
        (task, grant, asked): (TaskId, &Name, Asked),
        error: IssueError,
    ) -> IssueError {
        let entry = self.peek(|state| state.task(task).cloned()).flatten();
        let Some(task) = entry.filter(|entry| entry.task.identity == *identity) else {
            return error;
        };
        let task = task.task;
        let Some(denial) = error.decision(&task) else {
            return error;
        };
        let requested = Requested {
            what: match asked.proposed {
                Some(_) => Request::Plan,
                None => Request::Credential,
            },
            task: Some(task.id),
            environment: Some(task.environment.clone()),
            grant: Some(grant.clone()),
            asked,
        };
        match self.deny(identity, requested, denial).await {
            Ok((decision, denial)) => IssueError::Refused {
                decision,
                denial,
                error: Box::new(error),
            },
            // The refusal stands; only its id is missing.
            Err(NoRandomness) => error,
        }
    }

    /// Whether a pause asks for a person's approval of what this grant gives.
    pub(crate) fn is_watched(&self, task: &Task, grant: &Grant, now: Timestamp) -> bool {
        let facets = facets(task, grant);
        let asked = self.peek(|state| state.pausing(&facets, Demand::Approval, now).is_some());
        asked.unwrap_or(true)
    }

    /// The order that stops what this grant gives.
    pub(crate) fn stopper(&self, task: &Task, grant: &Grant) -> Option<EngagedOrder> {
        let facets = facets(task, grant);
        self.peek(|state| state.kills().stopper(&facets).cloned())
            .flatten()
    }

    /// The pause that asks for it.
    pub(crate) fn asking_pause(&self, task: &Task, grant: &Grant, now: Timestamp) -> Option<Pause> {
        let facets = facets(task, grant);
        self.peek(|state| state.pausing(&facets, Demand::Approval, now).cloned())
            .flatten()
    }
}

fn facets<'a>(task: &'a Task, grant: &'a Grant) -> Facets<'a> {
    Facets {
        environment: &task.environment,
        target: &grant.target,
        charter: &task.charter,
        agent: &task.agent,
        identity: &task.identity,
        task: task.id,
        lineage: &task.lineage,
        lease: None,
        role: grant.role,
    }
}
