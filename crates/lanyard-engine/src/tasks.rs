//! Tasks: opened by agents under a charter, and closed.

use std::sync::Arc;

use lanyard_charter::Version;
use lanyard_core::command::Command;
use lanyard_core::decide::{
    Denial, MAX_LINEAGE, Rule, may_delegate, may_open, not_in_force, unread,
};
use lanyard_core::ledger::CommitError;
use lanyard_core::state::{Refusal, TaskEntry};
use lanyard_core::task::Task;
use lanyard_vocabulary::caller::Caller;
use lanyard_vocabulary::id::{DecisionId, TaskId};
use lanyard_vocabulary::identity::Identity;
use lanyard_vocabulary::name::Name;
use lanyard_vocabulary::revision::Revision;
use lanyard_vocabulary::time::Timestamp;

use crate::clock::NoRandomness;
use crate::context::Context;
use crate::decisions::{Decisions, Pair};
use crate::issue::IssueError;
use crate::records::TooManyRecords;
use crate::requests::{Requested, Requests, sponsored};

/// A task as an agent opens it.
#[derive(Debug, Clone)]
pub struct OpenTask {
    /// The name of the charter.
    pub charter: Name,
    /// The name of the environment.
    pub environment: Name,
    /// The reason, in the agent's words.
    pub reason: String,
    /// The ticket that it belongs to.
    pub ticket: Option<String>,
    /// The build of the agent that runs it.
    pub version: Option<Version>,
    /// Under which task of the caller's, and for whom: the agent that is to run it.
    pub under: Option<(TaskId, Identity)>,
    /// Makes a retry safe.
    pub request: Option<String>,
}

/// The reason why a task was not opened or closed.
#[derive(Debug, thiserror::Error)]
pub enum TaskError {
    /// The charter says no.
    #[error("{denial} (decision {decision})")]
    Denied {
        /// The id of the decision, for `explain`.
        decision: DecisionId,
        /// The denial as decided.
        denial: Box<Denial>,
    },
    /// Something holds the task up, and the refusal is recorded as a decision.
    #[error("{error}; {} (decision {decision})", .denial.next)]
    Refused {
        /// The id of the decision, for `explain`.
        decision: DecisionId,
        /// The refusal as recorded.
        denial: Box<Denial>,
        /// The cause that holds it up.
        error: Box<TaskError>,
    },
    /// No such task, or not yours (T15).
    #[error("there is no such task")]
    NotFound,
    /// The ledger did not take it.
    #[error(transparent)]
    Commit(CommitError),
    /// The identity asks too often.
    #[error(transparent)]
    TooManyRecords(#[from] TooManyRecords),
    /// The system gave no random bytes for an id.
    #[error(transparent)]
    Randomness(#[from] NoRandomness),
}

impl TaskError {
    /// Returns what stopped the request, without the decision that records it.
    #[must_use]
    pub fn cause(self) -> Self {
        match self {
            Self::Refused { error, .. } => *error,
            Self::Denied { .. }
            | Self::NotFound
            | Self::Commit(_)
            | Self::TooManyRecords(_)
            | Self::Randomness(_) => self,
        }
    }

    fn decision(&self, charter: &Name, revision: Option<&Revision>) -> Option<Denial> {
        match self {
            Self::Commit(CommitError::Refused(refusal)) => refusal.decision(charter, revision),
            Self::TooManyRecords(error) => Some(error.decision(charter, revision)),
            Self::Refused { .. }
            | Self::Denied { .. }
            | Self::NotFound
            | Self::Commit(_)
            | Self::Randomness(_) => None,
        }
    }
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

/// Opens and closes tasks.
pub struct Tasks {
    pub(crate) context: Arc<Context>,
    pub(crate) decisions: Arc<Decisions>,
    pub(crate) requests: Arc<Requests>,
}

impl Tasks {
    /// Opens a task under the charter in force.
    ///
    /// # Errors
    /// See [`TaskError`].
    pub async fn open(&self, caller: &Caller, ask: OpenTask) -> Result<Task, TaskError> {
        let charter = ask.charter.clone();
        let requested = Requested {
            environment: Some(ask.environment.clone()),
            ..Requested::default()
        };
        let runs = ask.under.as_ref().map(|(_, agent)| agent.clone());
        let denial = match self.opened(caller, ask).await {
            Ok(Ok(task)) => return Ok(task),
            Ok(Err(denial)) => denial,
            Err(error) => {
                let runs = runs.as_ref().unwrap_or(&caller.identity);
                let revision = self.revision_for(&charter, runs);
                let Some(denial) = error.decision(&charter, revision.as_ref()) else {
                    return Err(error);
                };
                let (decision, denial) = self
                    .requests
                    .deny(&caller.identity, requested, denial)
                    .await?;
                let error = Box::new(error);
                return Err(TaskError::Refused {
                    decision,
                    denial,
                    error,
                });
            }
        };
        let (decision, denial) = self
            .requests
            .deny(&caller.identity, requested, denial)
            .await?;
        Err(TaskError::Denied { decision, denial })
    }

    /// The revision in force, where it names this agent: whoever it does not name learns nothing of
    /// it (T15).
    fn revision_for(&self, charter: &Name, agent: &Identity) -> Option<Revision> {
        let charter = self.context.charters.in_force(charter)?;
        let is_named = charter.agents.iter().any(|rule| rule.names(agent));
        is_named.then(|| charter.revision.clone())
    }

    async fn opened(
        &self,
        caller: &Caller,
        ask: OpenTask,
    ) -> Result<Result<Task, Denial>, TaskError> {
        let identity = &caller.identity;
        if let Err(denial) = sponsored(caller, &ask.charter) {
            return Ok(Err(denial));
        }
        if let Some(earlier) = self.earlier_task(identity, &ask).await? {
            return Ok(Ok(earlier));
        }
        let now = self.context.now();
        let above = match &ask.under {
            Some((id, _)) => Some(self.get(identity, *id).await?.task),
            None => None,
        };
        let task = match self.drafted(caller, &ask, above.as_deref(), now)? {
            Ok(task) => task,
            Err(denial) => return Ok(Err(denial)),
        };
        let command = Command::OpenTask {
            task: task.clone(),
            request: ask.request,
        };
        self.requests.meter(identity, &command)?;
        self.context
            .commit(command)
            .await
            .map_err(TaskError::Commit)?;
        Ok(Ok(task))
    }

    /// The task, if the charter in force lets it be opened; under another one, if that one's
    /// charter does too.
    fn drafted(
        &self,
        caller: &Caller,
        ask: &OpenTask,
        above: Option<&Task>,
        now: Timestamp,
    ) -> Result<Result<Task, Denial>, NoRandomness> {
        let (runs, evidence) = match &ask.under {
            Some((_, agent)) => (agent, None),
            None => (&caller.identity, Some(&caller.evidence)),
        };
        let charter = self.context.charters.in_force(&ask.charter);
        let Some(charter) = charter else {
            let known = self.context.charters.unread(&ask.charter);
            let mut rules = known.iter().flat_map(|charter| &charter.agents);
            // Whoever the charter does not name learns nothing of it.
            return Ok(Err(if rules.any(|rule| rule.names(runs)) {
                unread(&ask.charter)
            } else {
                not_in_force(&ask.charter)
            }));
        };
        let ticket = ask.ticket.as_deref();
        if let Err(denial) = may_open(&charter, (runs, evidence), &ask.environment, ticket, now) {
            return Ok(Err(denial));
        }
        let expires = now + charter.limits.task;
        let task = Task {
            id: TaskId::from_bits(self.context.draw()?),
            charter: charter.name.clone(),
            revision: charter.revision.clone(),
            environment: ask.environment.clone(),
            agent: self.context.agent(runs),
            identity: runs.clone(),
            evidence: evidence.cloned().unwrap_or_default(),
            // Of a task under another, the sponsors are those of its lineage, and of whoever comes
            // to use it.
            sponsor: sponsored(caller, &ask.charter).ok().flatten().cloned(),
            reason: ask.reason.clone(),
            ticket: ask.ticket.clone(),
            version: ask.version.clone(),
            lineage: above.map(Task::lineage_below).unwrap_or_default(),
            opened: now,
            expires: above.map_or(expires, |above| expires.min(above.expires)),
        };
        let delegated = above.map_or(Ok(()), |above| self.may_open_under(above, &task));
        Ok(delegated.map(|()| task))
    }

    fn may_open_under(&self, above: &Task, task: &Task) -> Result<(), Denial> {
        let revisions = self.decisions.revisions(above);
        let Pair { pinned, in_force } =
            revisions.ok_or_else(|| self.decisions.without_revisions(above))?;
        may_delegate(&pinned, task)?;
        may_delegate(&in_force, task)?;
        let no = |message: String| Denial {
            revision: Some(in_force.revision.clone()),
            rule: Rule::Delegates,
            message,
            next: "open it where the task above it may".to_owned(),
            ..not_in_force(&above.charter)
        };
        if task.environment != above.environment {
            let (one, two) = (&task.environment, &above.environment);
            return Err(no(format!(
                "the task above is in {two}, and this one in {one}"
            )));
        }
        if task.lineage.len() > MAX_LINEAGE {
            let most = MAX_LINEAGE + 1;
            return Err(no(format!(
                "tasks are opened under each other to a depth of {most}"
            )));
        }
        Ok(())
    }

    async fn earlier_task(
        &self,
        identity: &Identity,
        ask: &OpenTask,
    ) -> Result<Option<Task>, TaskError> {
        let Some(request) = &ask.request else {
            return Ok(None);
        };
        let found = self.context.query(|state| {
            let id = state.task_of_request(identity, request)?;
            let task = state.task(id).map(|entry| Task::clone(&entry.task));
            // The task is over and forgotten: the request had its answer, and gets no second task.
            Some(task.ok_or(Refusal::TaskEnded(id)))
        });
        let found = found.await.map_err(TaskError::Commit)?;
        let found = found.transpose().map_err(CommitError::Refused);
        found.map_err(TaskError::Commit)
    }

    /// Returns the task, if it is this identity's.
    ///
    /// # Errors
    /// [`TaskError::NotFound`] for the task of another identity, as for one that never was (T15).
    pub async fn get(&self, identity: &Identity, id: TaskId) -> Result<TaskEntry, TaskError> {
        self.context
            .query(|state| state.task(id).cloned())
            .await
            .map_err(TaskError::Commit)?
            .filter(|entry| entry.task.identity == *identity)
            .ok_or(TaskError::NotFound)
    }

    /// Ends a task and everything of it.
    ///
    /// # Errors
    /// See [`TaskError`].
    pub async fn close(&self, id: TaskId) -> Result<(), TaskError> {
        let closed = self
            .context
            .query(|state| state.task(id).is_some_and(|it| it.closed.is_some()));
        if closed.await.map_err(TaskError::Commit)? {
            // Closed twice, it is closed once: no record a call.
            return Ok(());
        }
        match self.context.commit(Command::CloseTask { task: id }).await {
            Ok(_) => {
                self.context.wake_all();
                Ok(())
            }
            Err(CommitError::Refused(Refusal::Unknown(_))) => Err(TaskError::NotFound),
            Err(other) => Err(TaskError::Commit(other)),
        }
    }
}
