//! Waiting for people: the server asks the user to open the approval page, if the client can show
//! one, and then waits for the decision.

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

/// Time for the user to answer whether to open the page.
const PROMPT_WAIT: Duration = Duration::from_secs(300);
/// Time to wait for a decision after the user has opened the page.
const DECISION_WAIT: Duration = Duration::from_secs(60);
/// Interval at which the broker is asked about the approval.
const POLL_INTERVAL: Duration = Duration::from_secs(1);
/// Name of the elicitation among the requests of one round.
const REQUEST_NAME: &str = "approval";

/// The outcome of asking the user.
pub(crate) enum PromptOutcome {
    /// The user opened the page, so a decision is worth waiting for, at least this long.
    Opened(Duration),
    /// The user refused to open the page.
    Declined,
    /// The client cannot open pages, or the broker named no page.
    NotPossible,
    /// The client opens the page between two calls (protocol 2026-07-28).
    Round(Box<InputRequiredResult>),
}

/// Asks the user to open the page of the pending approval.
pub(crate) async fn ask(call: &Call<'_>, pending: &Refused, task: TaskId) -> PromptOutcome {
    if let Some(answer) = call.responses.and_then(|given| given.get(REQUEST_NAME)) {
        return match answer.get("action").and_then(Value::as_str) {
            Some("accept") => PromptOutcome::Opened(DECISION_WAIT),
            Some(_) | None => PromptOutcome::Declined,
        };
    }
    let (Some(url), Some(approval)) = (&pending.about.url, pending.about.approval) else {
        return PromptOutcome::NotPossible;
    };
    let capabilities = call.context.client_capabilities();
    let elicitation = capabilities.and_then(|it| it.elicitation);
    if elicitation.and_then(|it| it.url).is_none() {
        return PromptOutcome::NotPossible;
    }
    let version = call.context.protocol_version();
    if version.is_some_and(|version| version >= ProtocolVersion::V_2026_07_28) {
        return PromptOutcome::Round(Box::new(round(pending, url, approval, task)));
    }
    let answer = call.context.peer.elicit_url_with_timeout(
        message(pending),
        url.clone(),
        approval.to_string(),
        Some(PROMPT_WAIT),
    );
    // The user may take minutes. A client that disconnects meanwhile must not keep the call.
    tokio::select! {
        () = call.gone() => PromptOutcome::NotPossible,
        answer = answer => match answer {
            Ok(ElicitationAction::Accept) => PromptOutcome::Opened(DECISION_WAIT),
            // An action that this version does not know counts as a refusal.
            Ok(_) => PromptOutcome::Declined,
            Err(_) => PromptOutcome::NotPossible,
        },
    }
}

/// Builds the request that the client fulfils before it calls again. The state carries the task id:
/// a client that forges the id gains no more than by passing it as an argument.
fn round(pending: &Refused, url: &Url, approval: ApprovalId, task: TaskId) -> InputRequiredResult {
    let params = ElicitRequestParams::UrlElicitationParams {
        meta: None,
        message: message(pending),
        url: url.to_string(),
        elicitation_id: approval.to_string(),
    };
    let request = InputRequest::Elicitation(ElicitRequest::new(params));
    let requests = BTreeMap::from([(REQUEST_NAME.to_owned(), request)]);
    InputRequiredResult::new(Some(requests), Some(task.to_string()))
}

fn message(pending: &Refused) -> String {
    format!(
        "{}. Open the page to see what the agent wants to do, and to decide.",
        pending.line.trim_end_matches('.')
    )
}

/// Waits until people have decided. Returns false if they have not within `at_most`, or if the
/// client is gone.
pub(crate) async fn decided(call: &Call<'_>, approval: ApprovalId, at_most: Duration) -> bool {
    let decision = async {
        loop {
            match call.broker.approval(approval).await {
                Ok(approval) if approval.complete || !approval.denied.is_empty() => return true,
                Ok(_) => tokio::time::sleep(POLL_INTERVAL).await,
                // The next request for the credential reports the error.
                Err(_) => return false,
            }
        }
    };
    tokio::select! {
        decided = tokio::time::timeout(at_most, decision) => decided.unwrap_or(false),
        () = call.gone() => false,
    }
}
