//! The token endpoint (RFC 8693), which turns any accepted identity into a session or into a
//! credential under a grant, and its metadata (RFC 8414).

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use lanyard_charter::kinds::{
    AwsCredential, Credential, GitHubCredential, KubernetesCredential, TokenCredential,
    VaultCredential, VaultSecretCredential,
};
use lanyard_engine::mint::{IssueError, IssueRequest, Issued};
use lanyard_engine::tasks::OpenTask;
use lanyard_identity::jws::type_of;
use lanyard_identity::session::SESSION_TYPE;
use lanyard_identity::verifier::Purpose;
use lanyard_vocabulary::caller::Caller;
use lanyard_vocabulary::id::TaskId;
use lanyard_vocabulary::identity::Confirmation;
use lanyard_vocabulary::time::Ttl;
use serde_json::{Value, json};

use crate::broker::Broker;
use crate::callers::{Begun, agent};
use crate::fields::{parsed, request_id, text};
use crate::gated::Gated;
use crate::identity::Presented;
use crate::oauth_form::{OAuthForm, failed, no_store};
use crate::refusal;
use crate::refused::Refused;

const EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
const ASSERTION: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
const SESSION: &str = "urn:lanyard:params:oauth:token-type:session";
const ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";
const AWS_CREDENTIALS: &str = "urn:lanyard:params:oauth:token-type:aws-credentials";
const KUBERNETES_TOKEN: &str = "urn:lanyard:params:oauth:token-type:kubernetes-token";
const VAULT_TOKEN: &str = "urn:lanyard:params:oauth:token-type:vault-token";
/// The token type of a dynamic secret: a JSON object of its fields.
const VAULT_SECRET: &str = "urn:lanyard:params:oauth:token-type:vault-secret";
/// The beginning of the type of a credential whose kind has no type of its own.
const OTHER_CREDENTIALS: &str = "urn:lanyard:params:oauth:token-type:credentials:";
const GITHUB_TOKEN: &str = "urn:lanyard:params:oauth:token-type:github-token";
/// The accepted types of a subject token. The type is not relied on: each token is recognized by
/// its content.
const SUBJECTS: &[&str] = &[
    "urn:ietf:params:oauth:token-type:jwt",
    "urn:ietf:params:oauth:token-type:id_token",
    ACCESS_TOKEN,
    "urn:lanyard:params:oauth:token-type:aws-caller-identity",
    SESSION,
];

/// Parameters that would narrow the answer, and are refused for that reason. Other unknown
/// parameters are ignored (RFC 6749 section 3.2).
const NARROWING: &[&str] = &["scope", "resource", "audience", "actor_token"];

/// Handles a token exchange, `POST /oauth2/token`.
pub(crate) async fn token(
    State(broker): State<Arc<Broker>>,
    Extension(presented): Extension<Presented>,
    asked: OAuthForm,
) -> Response {
    match exchanged(&broker, &presented, asked).await {
        Ok(response) => response,
        Err(status) => failed(&status),
    }
}

async fn exchanged(
    broker: &Arc<Broker>,
    presented: &Presented,
    asked: OAuthForm,
) -> Result<Response, Refused> {
    let shown = subject(&asked)?;
    let begins = asked.given("requested_token_type") == Some(SESSION);
    if begins && shown.and_then(type_of).as_deref() == Some(SESSION_TYPE) {
        // Else it would never end, whatever became of its agent.
        let why = "a session does not begin another: show what vouches for you";
        return Err(refusal::invalid("subject_token", why));
    }
    let who = broker.whose(presented, (shown, Purpose::Change)).await?;
    match asked.given("requested_token_type") {
        Some(SESSION) => {
            let key = broker.key_shown(presented)?.ok_or_else(|| {
                let why =
                    "a session is bound to a key: show one by DPoP or by a client certificate";
                refusal::invalid("DPoP", why)
            })?;
            let begun = broker.begin_session(who, key).await?;
            Ok(answer(&session(&begun)).into_response())
        }
        None
        | Some(
            ACCESS_TOKEN | AWS_CREDENTIALS | KUBERNETES_TOKEN | VAULT_TOKEN | VAULT_SECRET
            | GITHUB_TOKEN,
        ) => credential(broker, agent(who)?, asked).await,
        Some(_) => Err(refusal::invalid(
            "requested_token_type",
            "is not issued here",
        )),
    }
}

/// The subject token of the request; `None` if a client certificate is the identity.
fn subject(asked: &OAuthForm) -> Result<Option<&str>, Refused> {
    let missing = |field: &str| refusal::invalid(field, "must be given");
    if let Some(field) = NARROWING.iter().find(|name| asked.given(name).is_some()) {
        let why = "is not understood here: the grant says what is given, and to whom";
        return Err(refusal::invalid(field, why));
    }
    match asked.needed("grant_type")? {
        EXCHANGE => {
            let kind = asked.needed("subject_token_type")?;
            if !SUBJECTS.contains(&kind) {
                return Err(refusal::invalid("subject_token_type", "is not known here"));
            }
            asked.needed("subject_token").map(Some)
        }
        "client_credentials" => match (
            asked.given("client_assertion_type"),
            asked.given("client_assertion"),
        ) {
            (None, None) => Ok(None),
            (Some(kind), Some(token)) if kind == ASSERTION => Ok(Some(token)),
            (Some(_), Some(_)) => {
                let why = format!("has to be {ASSERTION}");
                Err(refusal::invalid("client_assertion_type", why))
            }
            (None, Some(_)) | (Some(_), None) => {
                Err(missing("client_assertion and client_assertion_type"))
            }
        },
        _ => Err(refusal::invalid(
            "grant_type",
            format!("has to be {EXCHANGE} or client_credentials"),
        )),
    }
}

fn session(begun: &Begun) -> Value {
    json!({
        "access_token": begun.token.expose(),
        "issued_token_type": SESSION,
        "token_type": token_type(Some(&begun.key)),
        "expires_in": begun.lasts.as_secs(),
    })
}

const fn token_type(key: Option<&Confirmation>) -> &'static str {
    match key {
        Some(Confirmation::Key(_)) => "DPoP",
        Some(Confirmation::Certificate(_)) | None => "Bearer",
    }
}

/// Issues a credential under a grant, in the named task or in a new one.
async fn credential(
    broker: &Arc<Broker>,
    caller: Caller,
    asked: OAuthForm,
) -> Result<Response, Refused> {
    let grant = parsed("grant", asked.needed("grant")?)?;
    let ttl = asked.given("ttl").map(|ttl| {
        let seconds = ttl.parse().map_err(|_| {
            let why = format!("has to be a number of whole seconds, at most {}", u32::MAX);
            refusal::invalid("ttl", why)
        })?;
        Ttl::from_secs(seconds).map_err(|error| refusal::invalid("ttl", error))
    });
    let plan = asked.given("plan").map(|id| parsed("plan", id));
    let (ttl, plan) = (ttl.transpose()?, plan.transpose()?);
    let request = request_id(asked.given("request_id").unwrap_or_default().to_owned())?;
    let key = caller.evidence.key.clone();
    let (task, opened) = match asked.given("task") {
        Some(id) => (parsed("task", id)?, false),
        None => (opened(broker, &caller, &asked).await?, true),
    };
    let ask = IssueRequest {
        task,
        grant,
        ttl,
        plan,
        request,
    };
    match broker.engine.mints().issue(&caller, &ask).await {
        Ok(issued) => Ok(handed_over(broker, issued, task, key.as_ref())),
        Err(error) => {
            // A request that is repeated found the task of the first time, and its credential with
            // it.
            let own = opened && !matches!(error, IssueError::Repeated(_));
            if own && let Err(error) = broker.engine.tasks().close(task).await {
                tracing::warn!(%error, %task, "a task of an exchange could not be closed");
            }
            Err(refusal::issue(
                error,
                &broker.engine,
                broker.approval_url.as_ref(),
            ))
        }
    }
}

async fn opened(broker: &Broker, caller: &Caller, asked: &OAuthForm) -> Result<TaskId, Refused> {
    let given = |field: &'static str| {
        let value = asked.given(field);
        value.ok_or_else(|| refusal::invalid(field, "must be given, or a task"))
    };
    let ask = OpenTask {
        charter: parsed("charter", given("charter")?)?,
        environment: parsed("environment", given("environment")?)?,
        reason: text("reason", given("reason")?.to_owned())?,
        ticket: match asked.given("ticket") {
            Some(ticket) => Some(text("ticket", ticket.to_owned())?),
            None => None,
        },
        version: None,
        under: None,
        request: request_id(asked.given("request_id").unwrap_or_default().to_owned())?,
    };
    let task = broker.engine.tasks().open(caller, ask).await;
    Ok(task
        .map_err(|error| refusal::task(error, &broker.engine))?
        .id)
}

fn handed_over(
    broker: &Broker,
    issued: Issued,
    task: TaskId,
    key: Option<&Confirmation>,
) -> Response {
    let lasts = issued.expires.since(broker.engine.clock().now()).as_secs();
    let expires = issued.expires.to_string();
    let credential = &issued.credential;
    let (token, kind) = token_in_answer(credential, &expires);
    let token_type = match credential.get::<TokenCredential>() {
        Some(_) => token_type(key),
        None => "N_A",
    };
    let body = json!({
        "access_token": token,
        "issued_token_type": kind,
        "token_type": token_type,
        "expires_in": lasts,
        "lease_id": issued.lease,
        "task_id": task,
    });
    let mut response = answer(&body).into_response();
    let gated = Gated::new(issued.release);
    response.extensions_mut().insert(gated);
    response
}

/// The credential as an answer of RFC 8693 holds it, and the type of that answer.
fn token_in_answer(credential: &Credential, expires: &str) -> (String, String) {
    if let Some(TokenCredential { jwt }) = credential.get() {
        return (jwt.expose().clone(), ACCESS_TOKEN.to_owned());
    }
    if let Some(aws) = credential.get::<AwsCredential>() {
        let document = json!({
            "Version": 1,
            "AccessKeyId": aws.access_key_id,
            "SecretAccessKey": aws.secret_access_key.expose(),
            "SessionToken": aws.session_token.expose(),
            "Expiration": expires,
        });
        return (document.to_string(), AWS_CREDENTIALS.to_owned());
    }
    if let Some(kubernetes) = credential.get::<KubernetesCredential>() {
        return (
            kubernetes.token.expose().clone(),
            KUBERNETES_TOKEN.to_owned(),
        );
    }
    if let Some(vault) = credential.get::<VaultCredential>() {
        return (vault.token.expose().clone(), VAULT_TOKEN.to_owned());
    }
    if let Some(github) = credential.get::<GitHubCredential>() {
        return (github.token.expose().clone(), GITHUB_TOKEN.to_owned());
    }
    let secrets = credential.secrets().into_iter();
    let secrets = secrets.map(|(field, value)| (field.to_owned(), value.expose().clone()));
    let is_vault = credential.get::<VaultSecretCredential>().is_some();
    // A kind without a type of its own hands over all of its fields.
    let values = credential.values().into_iter().filter(|_| !is_vault);
    let values = values.map(|(field, value)| (field.to_owned(), value));
    let document: BTreeMap<String, String> = values.chain(secrets).collect();
    let kind = if is_vault {
        VAULT_SECRET.to_owned()
    } else {
        format!("{OTHER_CREDENTIALS}{}", credential.kind())
    };
    (json!(document).to_string(), kind)
}

fn answer(body: &Value) -> impl IntoResponse {
    (no_store(), Json(body.clone()))
}

/// Handles a look at the metadata, `GET /.well-known/oauth-authorization-server`.
pub(crate) async fn metadata(State(broker): State<Arc<Broker>>) -> Response {
    let issuer = broker.issuer.trim_end_matches('/');
    Json(json!({
        "issuer": broker.issuer,
        "token_endpoint": format!("{issuer}/oauth2/token"),
        "introspection_endpoint": format!("{issuer}/oauth2/introspect"),
        "revocation_endpoint": format!("{issuer}/oauth2/revoke"),
        "jwks_uri": format!("{issuer}/.well-known/jwks.json"),
        "response_types_supported": [],
        "grant_types_supported": [EXCHANGE, "client_credentials"],
        "token_endpoint_auth_methods_supported": ["private_key_jwt", "tls_client_auth", "none"],
        "token_endpoint_auth_signing_alg_values_supported": ["EdDSA", "Ed25519", "ES256", "RS256"],
        "dpop_signing_alg_values_supported": ["EdDSA", "Ed25519", "ES256"],
        "tls_client_certificate_bound_access_tokens": true,
        "lanyard_audience": broker.doors.audience,
        "lanyard_login": broker.doors.logins,
    }))
    .into_response()
}
