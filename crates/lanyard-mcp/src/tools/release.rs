//! Tool `release`: ends a task, or releases its credentials.

use lanyard_vocabulary::id::{LeaseId, TaskId};
use rmcp::model::ToolAnnotations;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::call::Call;
use crate::refused::{Failure, Refused};
use crate::reply::Reply;
use crate::tool::Tool;

pub(crate) struct Release;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Input {
    /// The task to end or to release credentials of.
    #[schemars(with = "String")]
    task_id: TaskId,
    /// Extent of the release.
    #[serde(default)]
    what: What,
}

#[derive(Debug, Clone, Copy, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum What {
    /// The task with all its leases; the task ends.
    #[default]
    Task,
    /// The credentials that this machine holds for the task; the task stays open.
    Credentials,
}

/// The result of a release.
#[derive(Serialize, JsonSchema)]
pub(crate) struct Output {
    #[schemars(with = "String")]
    task_id: TaskId,
    /// True if the task has ended.
    closed: bool,
    /// Leases that were released one by one.
    #[schemars(with = "Vec<String>")]
    released_leases: Vec<LeaseId>,
}

impl Tool for Release {
    const NAME: &'static str = "release";
    const TITLE: &'static str = "Give credentials back";
    const DESCRIPTION: &'static str = "Ends a task and every lease of it, or (what: credentials) gives back the credentials and keeps the task open. Call it as soon as \
        the work is done: what was released cannot be misused.";
    type Input = Input;
    type Output = Output;

    fn annotations() -> ToolAnnotations {
        let annotations = ToolAnnotations::new().read_only(false).destructive(true);
        annotations.idempotent(true).open_world(true)
    }

    async fn run(call: &Call<'_>, input: Input) -> Result<Reply<Output>, Failure> {
        let released = released(call, input.task_id, input.what).await;
        Ok(Reply::Done(
            released.map_err(Failure::under(input.task_id))?,
        ))
    }
}

async fn released(call: &Call<'_>, task: TaskId, what: What) -> Result<Output, Refused> {
    let given_back = match what {
        What::Credentials => call.broker.release(task).await?,
        What::Task => {
            call.broker.close_task(task).await?;
            // Only after the broker has closed the task: one that could not be closed is tried
            // again at the end of the session.
            call.session.forget(task).await;
            Vec::new()
        }
    };
    Ok(Output {
        task_id: task,
        closed: matches!(what, What::Task),
        released_leases: given_back,
    })
}
