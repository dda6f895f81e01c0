//! The calls of `lanyard.v1` that go on to the broker with the user's identity: what agents do. Nothing that people do with
//! their own hands is among them: no approving, killing or re-arming.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::{IntoResponse as _, Response};
use lanyard_client::ClientError;
use lanyard_client::v1::CloseTaskRequest;
use prost::Message as _;
use tonic::Status;

use crate::service::Shared;
use crate::tasks::Tasks;

/// The methods, by path.
const METHODS: [&str; 11] = [
    "/lanyard.v1.ActionService/ReportAction",
    "/lanyard.v1.ApprovalService/GetApproval",
    "/lanyard.v1.AuditService/WhoAmI",
    "/lanyard.v1.CharterService/ListCharters",
    "/lanyard.v1.PlanService/GetPlan",
    "/lanyard.v1.PlanService/SubmitPlan",
    "/lanyard.v1.TaskService/CloseTask",
    "/lanyard.v1.TaskService/GetTask",
    "/lanyard.v1.TaskService/GetTaskTimeline",
    "/lanyard.v1.TaskService/OpenTask",
    "/lanyard.v1.TaskService/WatchTask",
];
const CLOSE: &str = "/lanyard.v1.TaskService/CloseTask";
/// The longest body, in bytes: a plan of 4 MiB in its chunks.
const BODY: usize = 5 * 1024 * 1024;

/// Which task a call ends: one message in its frame (length-prefixed, without compression).
fn closed(body: &[u8]) -> Option<String> {
    let message = CloseTaskRequest::decode(body.get(5..)?).ok()?;
    Some(message.id)
}

/// Passes a call on, if it is one of those.
pub(crate) async fn forward(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let path = request.uri().path();
    if !METHODS.contains(&path) {
        let line = format!("the local agent does not pass {path} on: use the broker itself");
        return Status::unimplemented(line).into_http::<Body>();
    }
    match passed(&shared, request).await {
        Ok(response) => response,
        Err(error) => error.status().into_http::<Body>(),
    }
}

async fn passed(shared: &Shared, request: Request) -> Result<Response, ClientError> {
    let context = Tasks::context(request.headers())?;
    let client = shared.tasks.client(&context).await?;
    let (parts, body) = request.into_parts();
    let body = axum::body::to_bytes(body, BODY).await;
    let body = body.map_err(|_| {
        let line = format!("the call has more than {BODY} bytes, or was broken off");
        ClientError::from(Status::invalid_argument(line))
    })?;
    // What is being closed is handed out no more, whatever the broker answers.
    if parts.uri.path() == CLOSE
        && let Some(task) = closed(&body).and_then(|id| shared.tasks.known(&context, &id))
    {
        task.forget();
    }
    let answer = client.forward(&parts.uri, &parts.headers, body).await?;
    Ok(answer.map(Body::new).into_response())
}
