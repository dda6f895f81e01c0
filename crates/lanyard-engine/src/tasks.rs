//! Opening and closing tasks.

use lanyard_core::charter::Name;
use lanyard_core::command::{Asked, Command};
use lanyard_core::decide::{Denial, may_open, not_in_force};
use lanyard_core::id::{DecisionId, TaskId};
use lanyard_core::identity::Identity;
use lanyard_core::ledger::CommitError;
use lanyard_core::state::{Refusal, TaskEntry};
use lanyard_core::task::{Task, Version};

use crate::clock::NoRandomness;
use crate::engine::Engine;

/// What an agent says when it opens a task.
#[derive(Debug, Clone)]
pub struct OpenTask {
    /// Which charter.
    pub charter: Name,
    /// Where.
    pub environment: Name,
    /// Why.
    pub reason: String,
    /// The ticket that it belongs to.
    pub ticket: Option<String>,
    /// Which build of the agent runs it.
    pub version: Option<Version>,
    /// The person behind it, as the identity says.
    pub sponsor: Option<Identity>,
    /// Makes a retry safe.
    pub request: Option<String>,
}

/// Why a task was not opened or closed.
#[derive(Debug, thiserror::Error)]
pub enum TaskError {
    /// The charter says no.
    #[error("{denial} (decision {decision})")]
    Denied {
        /// Its id, for `explain`.
        decision: DecisionId,
        /// Why.
        denial: Denial,
    },
    /// No such task, or not yours (T15).
    #[error("there is no such task")]
    NotFound,
    /// The ledger did not take it.
    #[error(transparent)]
    Commit(CommitError),
    /// No ids.
    #[error(transparent)]
    Randomness(#[from] NoRandomness),
}

impl Engine {
    /// Opens a task under the charter in force.
    ///
    /// # Errors
    /// See [`TaskError`].
    pub async fn open_task(&self, identity: &Identity, ask: OpenTask) -> Result<Task, TaskError> {
        if let Some(earlier) = self.earlier_task(identity, &ask).await? {
            return Ok(earlier);
        }
        let now = self.now();
        let charter = self.charters().in_force(&ask.charter);
        let verdict = charter.as_ref().map_or_else(
            || Err(not_in_force(&ask.charter)),
            |charter| {
                let ticket = ask.ticket.as_deref();
                may_open(charter, identity, &ask.environment, ticket, now).map(|()| charter)
            },
        );
        let charter = match verdict {
            Ok(charter) => charter,
            Err(denial) => {
                let (decision, denial) = self.deny(identity, (None, None), denial).await?;
                return Err(TaskError::Denied { decision, denial });
            }
        };
        let task = Task {
            id: TaskId::from_bits(self.draw()?),
            charter: charter.name.clone(),
            revision: charter.revision.clone(),
            environment: ask.environment,
            agent: self.agent(identity),
            identity: identity.clone(),
            sponsor: ask.sponsor,
            reason: ask.reason,
            ticket: ask.ticket,
            version: ask.version,
            opened: now,
            expires: now + charter.limits.task,
        };
        let command = Command::OpenTask {
            task: task.clone(),
            request: ask.request,
        };
        self.commit(command).await.map_err(TaskError::Commit)?;
        Ok(task)
    }

    async fn earlier_task(
        &self,
        identity: &Identity,
        ask: &OpenTask,
    ) -> Result<Option<Task>, TaskError> {
        let Some(request) = &ask.request else {
            return Ok(None);
        };
        let found = self.query(|state| {
            let id = state.task_of_request(identity, request)?;
            state.task(id).map(|entry| Task::clone(&entry.task))
        });
        found.await.map_err(TaskError::Commit)
    }

    /// The task, if it is this identity's.
    ///
    /// # Errors
    /// The same for one that never was (T15).
    pub async fn task_of(&self, identity: &Identity, id: TaskId) -> Result<TaskEntry, TaskError> {
        self.query(|state| state.task(id).cloned())
            .await
            .map_err(TaskError::Commit)?
            .filter(|entry| entry.task.identity == *identity)
            .ok_or(TaskError::NotFound)
    }

    /// Ends a task and everything of it.
    ///
    /// # Errors
    /// See [`TaskError`].
    pub async fn close_task(&self, id: TaskId) -> Result<(), TaskError> {
        match self.commit(Command::CloseTask { task: id }).await {
            Ok(_) => {
                self.wake_all();
                Ok(())
            }
            Err(CommitError::Refused(Refusal::Unknown(_))) => Err(TaskError::NotFound),
            Err(other) => Err(TaskError::Commit(other)),
        }
    }

    /// Journals a denial, unless this agent has had too many, and gives it an id.
    pub(crate) async fn deny(
        &self,
        identity: &Identity,
        (task, ask): (Option<TaskId>, Option<(&Name, Asked)>),
        denial: Denial,
    ) -> Result<(DecisionId, Denial), NoRandomness> {
        let decision = DecisionId::from_bits(self.draw()?);
        let agent = self.agent(identity);
        if self.denials.admits(&agent, &denial, self.now()) {
            let (grant, asked) = ask.map(|(grant, asked)| (grant.clone(), asked)).unzip();
            let record = Command::Deny {
                decision,
                identity: identity.clone(),
                agent,
                task,
                grant,
                asked: asked.unwrap_or_default(),
                denial: denial.clone(),
            };
            if let Err(error) = self.commit(record).await {
                tracing::error!(%error, %decision, "a denial could not be journaled");
            }
        }
        Ok((decision, denial))
    }

    /// Journals how many denials were not journaled, for the windows that are over, or for all.
    pub async fn settle_denials(&self, all: bool) {
        for left in self.denials.over(self.now(), all) {
            let record = Command::DenyMore {
                agent: left.agent,
                charter: left.charter,
                rule: left.rule,
                since: left.since,
                count: left.count,
            };
            if let Err(error) = self.commit(record).await {
                tracing::error!(%error, count = left.count, "denials could not be journaled");
            }
        }
    }
}
