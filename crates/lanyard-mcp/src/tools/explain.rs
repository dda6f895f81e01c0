//! Tool `explain`: the meaning of a finding, and the reason of a decision.

use lanyard_document::{Code, nearest};
use lanyard_proto::v1;
use lanyard_vocabulary::id::{DecisionId, TaskId};
use rmcp::model::ToolAnnotations;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::time;
use crate::call::Call;
use crate::redact;
use crate::refused::{Failure, Reason, Refused};
use crate::reply::Reply;
use crate::text::Text;
use crate::tool::Tool;

pub(crate) struct Explain;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Input {
    /// A decision (`D-…`, from the message of a denial), or the code or name of a finding of
    /// `lanyard charter lint` (such as LC108).
    what: Text<100>,
    /// Task of the decision. Without it, the tasks of this session are searched.
    #[serde(default)]
    #[schemars(with = "Option<String>")]
    task_id: Option<TaskId>,
}

/// An explanation of a finding or a decision.
#[derive(Serialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub(crate) enum Output {
    /// Explains a finding of `lanyard charter lint`.
    Finding {
        code: &'static str,
        name: &'static str,
        severity: String,
        summary: &'static str,
        explanation: &'static str,
    },
    /// Explains a decision of the broker.
    Decision {
        #[schemars(with = "String")]
        decision_id: DecisionId,
        #[schemars(with = "String")]
        task_id: TaskId,
        #[serde(skip_serializing_if = "Option::is_none")]
        time: Option<String>,
        /// `denied`, or `asked` if the request was allowed.
        event: String,
        /// The request, the decision and its reason.
        text: String,
    },
}

impl Tool for Explain {
    const NAME: &'static str = "explain";
    const TITLE: &'static str = "Explain a decision";
    const DESCRIPTION: &'static str = "Explains a decision by its id, or a finding about a charter by its code. Use it to tell the user why something was denied and \
        what would have to change; a charter is changed by its owners, never by you.";
    type Input = Input;
    type Output = Output;

    fn annotations() -> ToolAnnotations {
        ToolAnnotations::new().read_only(true).open_world(false)
    }

    async fn run(call: &Call<'_>, input: Input) -> Result<Reply<Output>, Failure> {
        let what = input.what.as_str().trim();
        Ok(Reply::Done(match what.parse() {
            Ok(decision) => decided(call, decision, input.task_id).await?,
            Err(_) => finding(what)?,
        }))
    }
}

fn finding(what: &str) -> Result<Output, Refused> {
    let Some(code) = Code::find(what) else {
        let names = Code::ALL.iter().flat_map(|code| [code.id(), code.name()]);
        let hint = nearest(what, names);
        let hint = hint.map_or_else(String::new, |name| format!(": did you mean {name}?"));
        let line = format!("unknown finding {}{hint}", redact::line(what));
        return Err(Refused::here(Reason::NotFound, line));
    };
    Ok(Output::Finding {
        code: code.id(),
        name: code.name(),
        severity: code.severity().to_string(),
        summary: code.summary(),
        explanation: code.explanation(),
    })
}

/// Finds a decision in the timelines of the tasks.
async fn decided(
    call: &Call<'_>,
    decision: DecisionId,
    task: Option<TaskId>,
) -> Result<Output, Refused> {
    let tasks = match task {
        Some(task) => vec![task],
        None => call.session.tasks().await,
    };
    let mark = format!("[{decision}]");
    let about = |event: &v1::TaskEvent| event.text.contains(&mark);
    for task in tasks {
        let events = call.broker.timeline(task).await?;
        if let Some(event) = events.into_iter().find(about) {
            return Ok(Output::Decision {
                decision_id: decision,
                task_id: task,
                time: time(event.time),
                event: redact::line(&event.kind),
                text: redact::line(&event.text),
            });
        }
    }
    let line = format!(
        "no decision {decision} in {}: pass the task_id of its task",
        task.map_or_else(
            || "this session's tasks".to_owned(),
            |task| task.to_string()
        )
    );
    Err(Refused::here(Reason::NotFound, line))
}
