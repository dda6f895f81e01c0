//! ActionService, and the same over HTTP for tools that hold a credential and for configured
//! reporters.

use lanyard_core::action::{Outcome, Report, Reporter};
use lanyard_core::state::State;
use lanyard_proto::v1;
use lanyard_proto::v1::action_service_server::ActionService;
use lanyard_vocabulary::id::{ActionId, LeaseId, TaskId};
use serde::Deserialize;
use tonic::{Request, Response, Status};

use super::Services;
use crate::broker::Broker;
use crate::fields::{parsed, text};
use crate::refusal;
use crate::refused::{Class, Refused};

/// The longest name of a tool or an action, and of what it was done to, in characters.
const NAME: usize = 100;
const TARGET: usize = 300;

/// The fields of a reported action, whoever reports it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Said {
    #[serde(default)]
    pub(crate) task: Option<TaskId>,
    #[serde(default)]
    pub(crate) lease: Option<LeaseId>,
    pub(crate) tool: String,
    pub(crate) action: String,
    #[serde(default)]
    pub(crate) target: String,
    pub(crate) outcome: Outcome,
    #[serde(default)]
    pub(crate) detail: String,
    #[serde(default)]
    pub(crate) action_id: Option<ActionId>,
}

#[tonic::async_trait]
impl ActionService for Services {
    async fn report_action(
        &self,
        request: Request<v1::ReportActionRequest>,
    ) -> Result<Response<v1::ReportActionResponse>, Status> {
        let caller = self.agent(&request).await?;
        let request = request.into_inner();
        let outcome = outcome(request.outcome())?;
        let given = |text: String| (!text.is_empty()).then_some(text);
        let said = Said {
            task: Some(parsed("task_id", &request.task_id)?),
            lease: given(request.lease_id)
                .map(|id| parsed("lease_id", &id))
                .transpose()?,
            tool: request.tool,
            action: request.action,
            target: request.target,
            outcome,
            detail: request.detail,
            action_id: given(request.action_id)
                .map(|id| parsed("action_id", &id))
                .transpose()?,
        };
        let task = said.task.ok_or_else(|| refusal::not_found("task"))?;
        let engine = &self.0.engine;
        engine
            .tasks()
            .get(&caller.identity, task)
            .await
            .map_err(|error| refusal::task(error, &self.0.engine))?;
        let by = Reporter::Agent(caller.identity);
        let action = report(&self.0, said, (task, by)).await?;
        Ok(Response::new(v1::ReportActionResponse {
            action_id: action.to_string(),
        }))
    }
}

/// Takes a report in, about this task.
pub(crate) async fn report(
    broker: &Broker,
    said: Said,
    (task, by): (TaskId, Reporter),
) -> Result<ActionId, Refused> {
    let engine = &broker.engine;
    // Whoever holds a credential of a task reports at the cost of the task's agent; a configured
    // reporter is not metered.
    let whose = match &by {
        Reporter::Agent(identity) => Some(identity.clone()),
        Reporter::Holder => {
            let known = engine
                .context()
                .query(|state| Some(state.task(task)?.task.identity.clone()));
            known.await.map_err(refusal::commit)?
        }
        Reporter::Webhook(_) => None,
    };
    let report = checked(broker, said, (task, by)).await?;
    let action = report.action;
    let taken = match whose {
        Some(identity) => {
            let taken = engine.actions().record_by(&identity, report).await;
            taken.map_err(|error| refusal::too_many_records(&error, engine.clock().now()))?
        }
        None => engine.actions().record(report).await,
    };
    taken.map_err(|error| refusal::commit_at(error, engine.clock().now()))?;
    Ok(action)
}

/// Takes in a report that came by a message of a reporter. A message that is sent again, at the
/// same moment or after a restart, is the same report: the ledger takes it once (S30).
pub(crate) async fn report_once(
    broker: &Broker,
    said: Said,
    (task, reporter): (TaskId, &str),
    message: &str,
) -> Result<ActionId, Refused> {
    let before = || async {
        let known = |state: &State| state.reported_by(reporter, message);
        broker
            .engine
            .context()
            .query(known)
            .await
            .map_err(refusal::commit)
    };
    if let Some(action) = before().await? {
        return Ok(action);
    }
    let by = Reporter::Webhook(reporter.to_owned());
    let report = match checked(broker, said, (task, by)).await {
        Ok(report) => report,
        // What it ends may have been ended by the same message in the meantime.
        Err(status) => return before().await?.ok_or(status),
    };
    let action = report.action;
    let report = Report {
        delivery: Some(message.to_owned()),
        ..report
    };
    match broker.engine.actions().record(report).await {
        Ok(()) => Ok(action),
        Err(error) => {
            let now = broker.engine.clock().now();
            before()
                .await?
                .ok_or_else(|| refusal::commit_at(error, now))
        }
    }
}

async fn checked(
    broker: &Broker,
    said: Said,
    (task, by): (TaskId, Reporter),
) -> Result<Report, Refused> {
    let action = match said.action_id {
        Some(action) => {
            let open = broker.engine.context().query(|state| {
                let reports = state.reports(task);
                reports.is_some_and(|reports| reports.is_open(action))
            });
            if said.outcome == Outcome::Started || !open.await.map_err(refusal::commit)? {
                return Err(refusal::not_found("action that was started"));
            }
            action
        }
        None => {
            let drawn = broker.engine.actions().new_id();
            drawn.map_err(|error| Refused::plain(Class::Unavailable, error.to_string()))?
        }
    };
    Ok(Report {
        action,
        task,
        lease: said.lease,
        tool: within("tool", text("tool", said.tool)?, NAME)?,
        name: within("action", text("action", said.action)?, NAME)?,
        on: within("target", said.target, TARGET)?,
        outcome: said.outcome,
        detail: match said.detail {
            detail if detail.is_empty() => detail,
            detail => text("detail", detail)?,
        },
        by,
        delivery: None,
    })
}

fn within(field: &str, text: String, most: usize) -> Result<String, Refused> {
    let length = text.chars().count();
    if length > most {
        let message = format!("has {length} characters and may have {most}");
        return Err(refusal::invalid(field, message));
    }
    Ok(text)
}

fn outcome(outcome: v1::ActionOutcome) -> Result<Outcome, Refused> {
    Ok(match outcome {
        v1::ActionOutcome::Started => Outcome::Started,
        v1::ActionOutcome::Succeeded => Outcome::Succeeded,
        v1::ActionOutcome::Failed => Outcome::Failed,
        v1::ActionOutcome::RolledBack => Outcome::RolledBack,
        v1::ActionOutcome::Unspecified => {
            return Err(refusal::invalid("outcome", "must be given"));
        }
    })
}
