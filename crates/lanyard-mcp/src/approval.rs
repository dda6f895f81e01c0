//! What waits for people: asking the user to open the page, where the client can, and waiting for the answer.

use std::collections::BTreeMap;
use std::time::Duration;

use lanyard_vocabulary::id::{ApprovalId, TaskId};
use rmcp::model::{
    ElicitRequest, ElicitRequestParams, ElicitationAction, InputRequest, InputRequiredResult,
    ProtocolVersion,
};
use serde_json::Value;
use url::Url;

use crate::call::Call;
use crate::refused::Refused;

/// How long the user is given to say whether to open the page.
const PROMPT: Duration = Duration::from_secs(300);
/// How long an answer is waited for after the user has opened the page.
const AFTER_OPENING: Duration = Duration::from_secs(60);
/// How often the broker is asked in the meantime.
const PACE: Duration = Duration::from_secs(1);
/// What the request is called among those of one round.
const KEY: &str = "approval";

/// What came of asking the user.
pub(crate) enum Asked {
    /// The page was opened: an answer is worth waiting for, so long at least.
    Opened(Duration),
    /// The user does not want to open it.
    Declined,
    /// The client cannot do it, or there is no page.
    Not,
    /// The client does it between two calls (protocol 2026-07-28).
    Round(Box<InputRequiredResult>),
}

/// Asks the user to open the page of an approval.
pub(crate) async fn ask(call: &Call<'_>, pending: &Refused, task: TaskId) -> Asked {
    if let Some(answer) = call.responses.and_then(|given| given.get(KEY)) {
        return match answer.get("action").and_then(Value::as_str) {
            Some("accept") => Asked::Opened(AFTER_OPENING),
            Some(_) | None => Asked::Declined,
        };
    }
    let (Some(url), Some(approval)) = (&pending.about.url, pending.about.approval) else {
        return Asked::Not;
    };
    let capabilities = call.context.client_capabilities();
    let elicitation = capabilities.and_then(|it| it.elicitation);
    if elicitation.and_then(|it| it.url).is_none() {
        return Asked::Not;
    }
    let version = call.context.protocol_version();
    if version.is_some_and(|version| version >= ProtocolVersion::V_2026_07_28) {
        return Asked::Round(Box::new(round(pending, url, approval, task)));
    }
    let answer = call.context.peer.elicit_url_with_timeout(
        message(pending),
        url.clone(),
        approval.to_string(),
        Some(PROMPT),
    );
    tokio::select! {
        () = call.gone() => Asked::Not,
        answer = answer => match answer {
            Ok(ElicitationAction::Accept) => Asked::Opened(AFTER_OPENING),
            // A no, or something that is not a yes.
            Ok(_) => Asked::Declined,
            Err(_) => Asked::Not,
        },
    }
}

/// The request that the client fulfils before it calls again, with the task for which it is: a client that names another task with
/// it gets no further than by naming that task itself.
fn round(pending: &Refused, url: &Url, approval: ApprovalId, task: TaskId) -> InputRequiredResult {
    let params = ElicitRequestParams::UrlElicitationParams {
        meta: None,
        message: message(pending),
        url: url.to_string(),
        elicitation_id: approval.to_string(),
    };
    let request = InputRequest::Elicitation(ElicitRequest::new(params));
    let requests = BTreeMap::from([(KEY.to_owned(), request)]);
    InputRequiredResult::new(Some(requests), Some(task.to_string()))
}

fn message(pending: &Refused) -> String {
    format!(
        "{}. Open the page to see what the agent wants to do, and to decide.",
        pending.line.trim_end_matches('.')
    )
}

/// Waits until people have decided; whether they have.
pub(crate) async fn decided(call: &Call<'_>, approval: ApprovalId, at_most: Duration) -> bool {
    let decision = async {
        loop {
            match call.broker.approval(approval).await {
                Ok(approval) if approval.complete || !approval.denied.is_empty() => return true,
                Ok(_) => tokio::time::sleep(PACE).await,
                // What there is to say about it is said by the next request for the credential.
                Err(_) => return false,
            }
        }
    };
    tokio::select! {
        decided = tokio::time::timeout(at_most, decision) => decided.unwrap_or(false),
        () = call.gone() => false,
    }
}
