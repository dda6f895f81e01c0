//! What a request of an agent may cause in the journal: how many records, and the record of a
//! denial or a refusal.

use std::sync::Arc;

use lanyard_core::command::{Command, RequestOptions};
use lanyard_core::decide::{Denial, unmapped_sponsor};
use lanyard_core::ledger::CommitError;
use lanyard_core::state::not_approved;
use lanyard_core::task::Task;
use lanyard_vocabulary::caller::Caller;
use lanyard_vocabulary::id::{DecisionId, TaskId};
use lanyard_vocabulary::identity::Identity;
use lanyard_vocabulary::name::Name;
use lanyard_vocabulary::person::{Person, Sponsor};

use crate::activity::Request;
use crate::clock::NoRandomness;
use crate::context::Context;
use crate::denials::{DenialMeter, Journaled, Whose};
use crate::issue::IssueError;
use crate::records::{RecordMeter, TooManyRecords, weight};

/// A request, as the record of its denial holds it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Requested {
    pub(crate) what: Request,
    pub(crate) task: Option<TaskId>,
    pub(crate) environment: Option<Name>,
    pub(crate) grant: Option<Name>,
    pub(crate) asked: RequestOptions,
}

/// The person behind a caller.
///
/// # Errors
/// If the configuration does not name the person, who could then approve what the agent asks for.
pub(crate) fn sponsored<'a>(
    caller: &'a Caller,
    charter: &Name,
) -> Result<Option<&'a Person>, Denial> {
    match &caller.sponsor {
        Sponsor::Nobody => Ok(None),
        Sponsor::Person(person) => Ok(Some(person)),
        Sponsor::Unmapped { why } => Err(unmapped_sponsor(charter, why)),
    }
}

/// Counts the records that identities cause, and journals denials.
pub struct Requests {
    pub(crate) context: Arc<Context>,
    pub(crate) records: RecordMeter,
    pub(crate) denials: DenialMeter,
}

impl Requests {
    /// Counts a record that this identity is about to cause, and the record's bytes.
    ///
    /// # Errors
    /// When the record is one too many.
    pub fn meter(&self, identity: &Identity, command: &Command) -> Result<(), TooManyRecords> {
        let now = self.context.now();
        self.records.admit(identity, weight(command), now)
    }

    /// Journals a denial or a refusal, unless this agent has had too many, and gives it an id.
    pub(crate) async fn deny(
        &self,
        identity: &Identity,
        requested: Requested,
        denial: Denial,
    ) -> Result<(DecisionId, Box<Denial>), NoRandomness> {
        let context = &self.context;
        let decision = DecisionId::from_bits(context.draw()?);
        let agent = context.agent(identity);
        let charter = context.charters.in_force(&denial.charter);
        let charter = charter.is_some().then_some(&denial.charter);
        context.activity.denied(charter, requested.what, &denial);
        let Requested {
            what: _,
            task,
            environment,
            grant,
            asked,
        } = requested;
        let whose = if task.is_some() || context.knows(identity) {
            Whose::Agent(&agent, charter)
        } else {
            Whose::Stranger
        };
        let alone = Command::Deny {
            decision,
            identity: identity.clone(),
            agent: agent.clone(),
            task,
            environment,
            grant,
            asked,
            denial: denial.clone(),
        };
        let told = (&denial, weight(&alone));
        let record = match self.denials.admits(whose, told, context.now()) {
            Journaled::One => Some(alone),
            Journaled::Many(some) => Some(some.into()),
            Journaled::Later => None,
        };
        if let Some(record) = record
            && let Err(error) = context.commit(record).await
        {
            tracing::error!(%error, %decision, "a denial could not be journaled");
        }
        Ok((decision, Box::new(denial)))
    }

    /// Journals how many denials were not journaled, for the windows that are over, or for all.
    pub async fn settle_denials(&self, all: bool) {
        for left in self.denials.over(self.context.now(), all) {
            let count = left.count;
            if let Err(error) = self.context.commit(left.into()).await {
                tracing::error!(%error, count, "denials could not be journaled");
            }
        }
    }

    /// Returns the same error, with its decision recorded if the error is a decision.
    pub(crate) async fn recorded(
        &self,
        identity: &Identity,
        (task, grant, asked): (TaskId, &Name, RequestOptions),
        error: IssueError,
    ) -> IssueError {
        let entry = self.context.peek(|state| state.task(task).cloned());
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
}

impl IssueError {
    /// The cause of the refusal, without the decision that records it.
    #[must_use]
    pub fn cause(self) -> Self {
        if let Self::Refused { error, .. } = self {
            *error
        } else {
            self
        }
    }

    /// The decision that the error is, if the error is one and is not recorded yet.
    fn decision(&self, task: &Task) -> Option<Denial> {
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
