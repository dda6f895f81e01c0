//! The HTTP doors: keys, introspection, the kill in one curl line, liveness.

use std::sync::Arc;

use axum::extract::{DefaultBodyLimit, Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Extension, Json, Router};
use lanyard_core::kill::KillOrder;
use lanyard_identity::jws::type_of;
use lanyard_identity::session::SESSION_TYPE;
use lanyard_provider_token::introspection::{self, Answer, LeaseView};
use lanyard_provider_token::status;
use lanyard_vocabulary::id::ActionId;
use lanyard_vocabulary::scope::{RoleFilter, Scope};
use serde::Deserialize;
use serde_json::json;

use crate::asked_scope::AskedScope;
use crate::broker::Broker;
use crate::exchange;
use crate::fields::text;
use crate::identity::Presented;
use crate::issuing::Issuing;
use crate::oauth_form::{OAuthForm, failed, no_store};
use crate::refusal::{self, refused};
use crate::refused::{Class, Refused};
use crate::rpc::action::{Said, report, report_once};
use crate::rpc::{identities, reached};
use crate::signals::alertmanager;
use crate::signed_message::{self, Signed};
use crate::switch::Asked;

/// The largest body, in bytes (T44).
///
/// # Limit
/// - for: a request over HTTP
/// - unit: bytes
/// - beyond: the request is refused with 413
/// - test: `t44_a_body_over_http_has_so_many_bytes_and_no_more`
const MAX_HTTP_BODY_BYTES: usize = 64 * 1024;
/// The longest id of a reporter's message, in bytes.
///
/// # Limit
/// - for: a message of a reporter
/// - unit: bytes
/// - beyond: the message is refused with 400
/// - test: `the_id_of_a_message_has_a_bound`
const MAX_MESSAGE_ID_BYTES: usize = 128;

/// The body of a broker that could issue, and may not. Anybody can read it: no id and no reason
/// stands there.
const READY_AND_STOPPED: &str =
    "ok: a kill order or a pause stops all issuing; operators see which with `lanyard status`\n";

pub(crate) fn router(broker: Arc<Broker>) -> Router {
    Router::new()
        .route("/.well-known/jwks.json", get(jwks))
        .route("/.well-known/ssf-configuration", get(transmitter))
        .route("/oauth2/introspect", post(introspect))
        .route("/oauth2/revoke", post(revoke))
        .route("/oauth2/token", post(exchange::token))
        .route(
            "/.well-known/oauth-authorization-server",
            get(exchange::metadata),
        )
        .route("/oauth2/status-lists/{list}", get(status_list))
        .route("/v1/actions", post(action))
        .route("/v1/hooks/actions/{reporter}", post(reported))
        .layer(DefaultBodyLimit::max(MAX_HTTP_BODY_BYTES))
        .with_state(Arc::clone(&broker))
        .merge(kill_router(broker))
}

/// Returns the routes that the kill plane serves as well.
pub(crate) fn kill_router(broker: Arc<Broker>) -> Router {
    Router::new()
        .route("/v1/kill", post(kill))
        .route(
            "/v1/hooks/alertmanager",
            post(alerts).layer(DefaultBodyLimit::max(alertmanager::MAX_ALERTS_BYTES)),
        )
        .route("/v1/hooks/caep", post(security_event))
        .route("/livez", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .route("/readyz/kill", get(|| async { "ok\n" }))
        .layer(DefaultBodyLimit::max(MAX_HTTP_BODY_BYTES))
        .with_state(broker)
}

async fn jwks(State(broker): State<Arc<Broker>>) -> Response {
    Json(broker.keyring.jwks(broker.engine.clock().now())).into_response()
}

/// Returns what receivers of security events need to know (SSF 1.0 section 7.1).
async fn transmitter(State(broker): State<Arc<Broker>>) -> Response {
    let issuer = broker.issuer.trim_end_matches('/');
    Json(json!({
        "spec_version": "1_0",
        "issuer": broker.issuer,
        "jwks_uri": format!("{issuer}/.well-known/jwks.json"),
        "delivery_methods_supported": ["urn:ietf:rfc:8935"],
    }))
    .into_response()
}

/// Ready is: the broker can issue. A kill order or a pause over everything is what somebody asked
/// for, and no fault of this process: the status stays, and the body says so. Kills are taken all
/// the same, which `/readyz/kill` says as long as the process answers: whatever routes traffic by
/// this one must not take the kill plane away (S11).
async fn ready(State(broker): State<Arc<Broker>>) -> (StatusCode, String) {
    match broker.engine.conditions().check() {
        Ok(()) => {
            let now = broker.engine.clock().now();
            let issued = broker
                .engine
                .context()
                .peek(|state| Issuing::by(state, now));
            let is_stopped = issued.is_nothing();
            let said = if is_stopped {
                READY_AND_STOPPED
            } else {
                "ok\n"
            };
            (StatusCode::OK, said.to_owned())
        }
        Err(why) => (StatusCode::SERVICE_UNAVAILABLE, format!("{why}\n")),
    }
}

/// Handles `GET /oauth2/status-lists/{list}`, for everybody, like the keys.
async fn status_list(State(broker): State<Arc<Broker>>, Path(list): Path<String>) -> Response {
    match broker.status_lists.token(&broker.engine, &list).await {
        Ok(Some(token)) => {
            let caching = format!("max-age={}", status::TTL.as_secs());
            let kind = "application/statuslist+jwt".to_owned();
            let headers = [
                (header::CONTENT_TYPE, kind),
                (header::CACHE_CONTROL, caching),
            ];
            (headers, token).into_response()
        }
        Ok(None) => (StatusCode::NOT_FOUND, "there is no such list\n").into_response(),
        Err(error) => (StatusCode::SERVICE_UNAVAILABLE, format!("{error}\n")).into_response(),
    }
}

/// RFC 7662. The caller proves who it is; whatever is not known to be live is inactive.
async fn introspect(
    State(broker): State<Arc<Broker>>,
    Extension(presented): Extension<Presented>,
    request: OAuthForm,
) -> Response {
    if let Err(status) = broker.caller(&presented).await {
        return failed(&status);
    }
    let token = match request.needed("token") {
        Ok(token) => token,
        Err(status) => return failed(&status),
    };
    let now = broker.engine.clock().now();
    let answer = match broker.keyring.verify(token, &broker.issuer, now) {
        Ok(claims) => {
            let lease = broker
                .engine
                .context()
                .query(|state| LeaseView::of(state, claims.jti))
                .await;
            introspection::answer(claims, lease.ok().flatten(), now)
        }
        Err(_) => Answer::Inactive,
    };
    (no_store(), Json(answer)).into_response()
}

/// RFC 7009. Whoever holds a token may end it, and learns of any other token nothing (section 2.2).
async fn revoke(
    State(broker): State<Arc<Broker>>,
    Extension(presented): Extension<Presented>,
    request: OAuthForm,
) -> Response {
    let token = match request.needed("token") {
        Ok(token) => token,
        Err(status) => return failed(&status),
    };
    if type_of(token).as_deref() == Some(SESSION_TYPE) {
        return match broker.end_session(&presented, token).await {
            Ok(()) => StatusCode::OK.into_response(),
            Err(status) => failed(&status),
        };
    }
    let now = broker.engine.clock().now();
    if let Ok(claims) = broker.keyring.verify(token, &broker.issuer, now)
        && let Err(error) = broker.engine.expiry().give_back(claims.jti).await
    {
        return failed(&refusal::issue(
            error,
            &broker.engine,
            broker.approval_url.as_ref(),
        ));
    }
    StatusCode::OK.into_response()
}

/// An action, reported by a tool that was shown the token of the lease, which is its proof.
async fn action(
    State(broker): State<Arc<Broker>>,
    Extension(presented): Extension<Presented>,
    body: bytes::Bytes,
) -> Response {
    let now = broker.engine.clock().now();
    let shown = presented.token().and_then(|(_, token)| {
        let claims = broker.keyring.verify(token, &broker.issuer, now).ok()?;
        Some((token, claims))
    });
    let Some((token, claims)) = shown else {
        return refused(&refusal::unauthenticated());
    };
    if let Some(key) = &claims.cnf
        && !broker.holds(&presented, token, key).await
    {
        return refused(&refusal::unauthenticated());
    }
    let task = match broker.engine.actions().live_task_of(claims.jti).await {
        Ok(Some(task)) => task,
        Ok(None) => return refused(&refusal::unauthenticated()),
        Err(error) => return refused(&refusal::commit(error)),
    };
    let lease = Some(claims.jti);
    match serde_json::from_slice::<Said>(&body) {
        Ok(said) if said.task.is_none() && said.lease.is_none() => {
            answered(report(&broker, Said { lease, ..said }, task).await)
        }
        Ok(_) => refused(&Refused::plain(
            Class::Invalid,
            "the body: the token says which task and lease it is about",
        )),
        Err(error) => refused(&Refused::plain(
            Class::Invalid,
            format!("the body: {error}"),
        )),
    }
}

/// An action, reported by a configured reporter, whose signature is its proof.
async fn reported(
    State(broker): State<Arc<Broker>>,
    Path(reporter): Path<String>,
    headers: HeaderMap,
    body: bytes::Bytes,
) -> Response {
    let header = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let signed = || {
        Some(Signed {
            id: header(signed_message::ID)?,
            at: header(signed_message::TIMESTAMP)?,
            signatures: header(signed_message::SIGNATURE)?,
        })
    };
    let secret = broker.reporters.get(&reporter);
    let now = broker.engine.clock().system();
    let is_of = |secret| signed().is_some_and(|signed| signed.is_of(secret, &body, now));
    if !secret.is_some_and(is_of) {
        return refused(&refusal::unauthenticated());
    }
    let said = match serde_json::from_slice::<Said>(&body) {
        Ok(said) => said,
        Err(error) => {
            return refused(&Refused::plain(
                Class::Invalid,
                format!("the body: {error}"),
            ));
        }
    };
    let of_lease = broker.engine.context().query(|state| {
        let lease = state.leases().get(said.lease?)?;
        Some(lease.task.id)
    });
    let task = match (said.task, of_lease.await) {
        (Some(task), Ok(_)) | (None, Ok(Some(task))) => task,
        (None, Ok(None)) => {
            return refused(&Refused::plain(
                Class::Invalid,
                "the body: name a task or a lease",
            ));
        }
        (_, Err(error)) => return refused(&refusal::commit(error)),
    };
    let message = header(signed_message::ID).unwrap_or_default();
    if let Err(status) = is_message_id(message) {
        return refused(&status);
    }
    answered(report_once(&broker, said, (task, &reporter), message).await)
}

fn is_message_id(text: &str) -> Result<(), Refused> {
    if (1..=MAX_MESSAGE_ID_BYTES).contains(&text.len()) {
        return Ok(());
    }
    let bounds = format!("must have 1 to {MAX_MESSAGE_ID_BYTES} bytes");
    Err(refusal::invalid(signed_message::ID, bounds))
}

fn answered(action: Result<ActionId, Refused>) -> Response {
    match action {
        Ok(action) => Json(json!({"action_id": action})).into_response(),
        Err(status) => refused(&status),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Kill {
    scope: AskedScope,
    #[serde(default = "both")]
    roles: RoleFilter,
    reason: String,
}

const fn both() -> RoleFilter {
    RoleFilter::Both
}

/// `curl -H "Authorization: Bearer $TOKEN" -d '{"scope":"all","reason":"…"}' …/v1/kill`
async fn kill(
    State(broker): State<Arc<Broker>>,
    Extension(presented): Extension<Presented>,
    body: bytes::Bytes,
) -> Response {
    // Nobody learns from an error in the body what a stranger may not do.
    let parsed = serde_json::from_slice::<Kill>(&body)
        .map_err(|error| Refused::plain(Class::Invalid, format!("the body: {error}")))
        .and_then(|kill| Ok(((kill.scope.scope()?, kill.roles), kill.reason)));
    let scope = parsed.as_ref().map_or(&Scope::All, |((scope, _), _)| scope);
    let by = match broker.killer(&presented, scope).await {
        Ok(by) => by,
        Err(status) => return refused(&status),
    };
    let parsed = parsed.and_then(|(asked, reason)| Ok((asked, text("reason", reason)?)));
    let (asked, reason) = match parsed {
        Ok(parsed) => parsed,
        Err(status) => {
            let why = status.message;
            return refused(&Refused::plain(
                Class::Invalid,
                format!("{why}; nothing is stopped"),
            ));
        }
    };
    let (scope, roles) = asked;
    let asked = Asked {
        scope,
        roles,
        reason,
        by,
        key: None,
    };
    match broker.switch().engage(asked).await {
        Ok((fenced, took)) => {
            let KillOrder {
                id, scope, roles, ..
            } = &fenced.order;
            let radius = reached(&broker.engine, scope, *roles, Some(*id)).await;
            Json(json!({
                "kill_id": id,
                "reaches_nothing": radius.is_nothing(),
                "unknown_name": radius.unknown_name,
                "near_names": radius.near,
                "identities": identities(&radius),
                "identity_count": radius.identities.len(),
                "live_leases": radius.leases,
                "note": radius.note,
                "fenced": true,
                "durable": fenced.is_durable(),
                "fenced_in_ms": took.as_micros() as f64 / 1000.0,
            }))
            .into_response()
        }
        Err(status) => refused(&status),
    }
}

/// Handles alerts, `POST /v1/hooks/alertmanager`.
async fn alerts(
    State(broker): State<Arc<Broker>>,
    headers: HeaderMap,
    body: bytes::Bytes,
) -> Response {
    broker
        .signals
        .alerts(broker.switch(), &headers, &body)
        .await
}

/// Handles `POST /v1/hooks/caep` with a security event token as the body.
async fn security_event(State(broker): State<Arc<Broker>>, body: bytes::Bytes) -> Response {
    broker.signals.event(broker.switch(), &body).await
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use hyper::service::Service as _;
    use hyper_util::service::TowerToHyperService;

    use super::*;
    use crate::machine::Machine;

    #[test]
    fn the_id_of_a_message_has_a_bound() {
        let of = |bytes: usize| is_message_id(&"m".repeat(bytes)).is_ok();
        assert!(of(1) && of(128) && !of(129) && !of(0));
    }

    #[tokio::test]
    async fn t44_a_body_over_http_has_so_many_bytes_and_no_more() {
        let directory = tempfile::tempdir().unwrap();
        let listen = "127.0.0.1:1".parse().unwrap();
        let file = crate::dev::prepare(directory.path(), listen, None, None).unwrap();
        let config = crate::config::load(&file).unwrap();
        let machine = Machine::default();
        let broker = crate::wire::assemble(&config, &machine).await.unwrap();
        let broker = Arc::new(broker);
        let service = TowerToHyperService::new(router(broker));
        let too_large = async |path: &str, bytes: usize| {
            let request = axum::http::Request::post(path).body(Body::from(vec![b'x'; bytes]));
            let answer = service.call(request.unwrap()).await.unwrap();
            answer.status() == StatusCode::PAYLOAD_TOO_LARGE
        };
        for (path, most) in [
            ("/v1/hooks/actions/runbooks", MAX_HTTP_BODY_BYTES),
            ("/v1/hooks/alertmanager", alertmanager::MAX_ALERTS_BYTES),
        ] {
            assert!(!too_large(path, most).await, "{path}");
            assert!(too_large(path, most + 1).await, "{path}");
        }
    }
}
