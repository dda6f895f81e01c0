//! The loopback endpoint: serves the credentials of one task to the holder of that task's token, in
//! the formats that HTTP clients know.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path as Segment, Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use lanyard_client::{ClientError, Held};
use lanyard_proto::v1::credential::Kind;
use serde_json::json;

use crate::clock::after;
use crate::shared::Shared;
use crate::tokens::Asked;

/// Longest Authorization header that the endpoint reads.
///
/// # Limit
/// - for: a request on loopback
/// - unit: bytes
/// - beyond: the request is refused with 401
/// - test: `a_longer_authorization_header_is_refused_unread`
const MAX_AUTHORIZATION_BYTES: usize = 256;

/// Builds the routes of the loopback endpoint.
pub(crate) fn router(shared: Arc<Shared>) -> axum::Router {
    axum::Router::new()
        .route("/v1/aws/{grant}", get(aws))
        .route("/v1/token/{grant}", get(token))
        .layer(axum::middleware::from_fn_with_state(
            Arc::clone(&shared),
            guard,
        ))
        .with_state(shared)
}

/// Refuses requests of web pages. A page in a browser can reach loopback, but cannot forge the Host
/// header (DNS rebinding) and cannot set Authorization.
async fn guard(State(shared): State<Arc<Shared>>, mut request: Request, next: Next) -> Response {
    let headers = request.headers();
    let port = shared.endpoint.address.port();
    let hosts = [format!("127.0.0.1:{port}"), format!("localhost:{port}")];
    let host = headers
        .get(header::HOST)
        .and_then(|host| host.to_str().ok());
    if !host.is_some_and(|host| hosts.iter().any(|it| it == host))
        || headers.contains_key(header::ORIGIN)
    {
        return refusal(
            StatusCode::MISDIRECTED_REQUEST,
            "Misdirected",
            "only programs of this machine may call this endpoint, under the host 127.0.0.1",
        );
    }
    let Some(asked) = shown(headers).and_then(|token| shared.endpoint.task(token)) else {
        return refusal(
            StatusCode::UNAUTHORIZED,
            "Unauthorized",
            "the Authorization header must hold the content of the token file",
        );
    };
    request.extensions_mut().insert(asked);
    let mut response = next.run(request).await;
    let never = axum::http::HeaderValue::from_static("no-store");
    response.headers_mut().insert(header::CACHE_CONTROL, never);
    response
}

/// Returns the token of a request.
fn shown(headers: &header::HeaderMap) -> Option<&str> {
    let shown = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let shown = (shown.len() <= MAX_AUTHORIZATION_BYTES).then_some(shown)?;
    Some(shown.strip_prefix("Bearer ").unwrap_or(shown))
}

async fn held(
    shared: &Shared,
    (context, task): &Asked,
    grant: &str,
) -> Result<Arc<Held>, Response> {
    let found = async {
        let task = shared.tasks.task(context, task).await?;
        task.credential(grant, None).await
    };
    found.await.map_err(|error| {
        let (status, code) = match &error {
            ClientError::Denied(_) => (StatusCode::FORBIDDEN, "Denied"),
            ClientError::ApprovalPending(_) => (StatusCode::CONFLICT, "ApprovalPending"),
            ClientError::Killed(_) => (StatusCode::FORBIDDEN, "Killed"),
            ClientError::RefusedForNow(_) => (StatusCode::TOO_MANY_REQUESTS, "RefusedForNow"),
            ClientError::NotLoggedIn(_) | ClientError::FreshLogin(_) | ClientError::Context(_) => {
                (StatusCode::UNAUTHORIZED, "NotLoggedIn")
            }
            ClientError::Unavailable(_) => (StatusCode::SERVICE_UNAVAILABLE, "Unavailable"),
            ClientError::NotFound(_) => (StatusCode::NOT_FOUND, "NotFound"),
            ClientError::Refused(_) => (StatusCode::FORBIDDEN, "Refused"),
        };
        refusal(status, code, &error.to_string())
    })
}

fn refusal(status: StatusCode, code: &str, line: &str) -> Response {
    (status, Json(json!({"code": code, "message": line}))).into_response()
}

fn of_another_kind() -> Response {
    refusal(
        StatusCode::BAD_REQUEST,
        "WrongKind",
        "this grant gives a credential of another kind",
    )
}

/// Serves the container credentials of the AWS SDKs.
async fn aws(
    State(shared): State<Arc<Shared>>,
    Segment(grant): Segment<String>,
    axum::Extension(asked): axum::Extension<Asked>,
) -> Response {
    let held = match held(&shared, &asked, &grant).await {
        Ok(held) => held,
        Err(refusal) => return refusal,
    };
    match &held.credential.kind {
        Some(Kind::Aws(aws)) => Json(
            json!({"AccessKeyId": aws.access_key_id, "SecretAccessKey": aws.secret_access_key,
            "Token": aws.session_token, "Expiration": expiration(&held)}),
        )
        .into_response(),
        Some(
            Kind::Token(_)
            | Kind::Kubernetes(_)
            | Kind::Vault(_)
            | Kind::VaultSecret(_)
            | Kind::Github(_)
            | Kind::Other(_),
        )
        | None => of_another_kind(),
    }
}

/// Serves a token in the format of RFC 6749 section 5.1.
async fn token(
    State(shared): State<Arc<Shared>>,
    Segment(grant): Segment<String>,
    axum::Extension(asked): axum::Extension<Asked>,
) -> Response {
    let held = match held(&shared, &asked, &grant).await {
        Ok(held) => held,
        Err(refusal) => return refusal,
    };
    match &held.credential.kind {
        Some(Kind::Token(token)) => Json(json!({"access_token": token.jwt, "token_type": "Bearer",
            "expires_in": held.lifetime().as_secs()}))
        .into_response(),
        Some(
            Kind::Aws(_)
            | Kind::Kubernetes(_)
            | Kind::Vault(_)
            | Kind::VaultSecret(_)
            | Kind::Github(_)
            | Kind::Other(_),
        )
        | None => of_another_kind(),
    }
}

fn expiration(held: &Held) -> String {
    let at = after(held.lifetime());
    jiff::Timestamp::from_second(at.seconds)
        .map(|at| at.to_string())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_longer_authorization_header_is_refused_unread() {
        let with = |value: String| {
            let value = value.parse().unwrap();
            header::HeaderMap::from_iter([(header::AUTHORIZATION, value)])
        };
        assert_eq!(shown(&with("Bearer abc".to_owned())), Some("abc"));
        let longest = "a".repeat(256);
        assert_eq!(shown(&with(longest.clone())), Some(longest.as_str()));
        assert_eq!(shown(&with("a".repeat(257))), None);
    }
}
