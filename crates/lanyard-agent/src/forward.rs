//! Calls of `lanyard.v1` that the local agent forwards to the broker with the user's identity:
//! those that agents make. Calls reserved for people are not forwarded: approving, killing,
//! re-arming.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::{IntoResponse as _, Response};
use lanyard_client::ClientError;
use lanyard_client::v1::CloseTaskRequest;
use prost::Message as _;
use tonic::Status;

use crate::shared::Shared;
use crate::tasks::Tasks;

/// Paths of the methods that are forwarded.
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
/// Longest body of a forwarded call: a plan of 4 MiB in chunks.
///
/// # Limit
/// - for: a call
/// - unit: bytes
/// - beyond: the call is refused with `INVALID_ARGUMENT`
/// - test: `a_forwarded_call_has_a_size_limit`
const MAX_BODY_BYTES: usize = 5 * 1024 * 1024;

/// Returns the task that a CloseTask call closes. The body is one gRPC frame: five bytes of header,
/// without compression.
fn closed(body: &[u8]) -> Option<String> {
    let message = CloseTaskRequest::decode(body.get(5..)?).ok()?;
    Some(message.id)
}

/// Forwards a call if its method is one of [`METHODS`].
pub(crate) async fn forward(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let path = request.uri().path();
    if !METHODS.contains(&path) {
        let line = format!("the local agent does not forward `{path}`: call the broker itself");
        return Status::unimplemented(line).into_http::<Body>();
    }
    match passed(&shared, request).await {
        Ok(response) => response,
        Err(error) => error.status().into_http::<Body>(),
    }
}

async fn whole(body: Body) -> Result<bytes::Bytes, ClientError> {
    let body = axum::body::to_bytes(body, MAX_BODY_BYTES).await;
    body.map_err(|_| {
        let line = format!("the call has more than {MAX_BODY_BYTES} bytes, or was broken off");
        ClientError::from(Status::invalid_argument(line))
    })
}

async fn passed(shared: &Shared, request: Request) -> Result<Response, ClientError> {
    let context = Tasks::context(request.headers())?;
    let client = shared.tasks.client(&context).await?;
    let (parts, body) = request.into_parts();
    let body = whole(body).await?;
    // Before the call: the caller wants the task to end, so its credentials are no longer handed
    // out even if the broker does not answer.
    if parts.uri.path() == CLOSE
        && let Some(task) = closed(&body).and_then(|id| shared.tasks.known(&context, &id))
    {
        task.forget();
    }
    let answer = client.forward(&parts.uri, &parts.headers, body).await?;
    Ok(answer.map(Body::new).into_response())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_forwarded_call_has_a_size_limit() {
        let of = |bytes: usize| whole(Body::from(vec![0; bytes]));
        assert_eq!(of(MAX_BODY_BYTES).await.unwrap().len(), 5_242_880);
        let refused = of(MAX_BODY_BYTES + 1).await.unwrap_err();
        assert!(matches!(refused, ClientError::Refused(_)), "{refused}");
    }
}
