//! Tests with requests that the real client signs: against moto, which checks signatures, and
//! against misbehaving servers.

use std::sync::Arc;
use std::time::SystemTime;

use axum::Router;
use axum::body::Body;
use axum::http::{Response, StatusCode};
use axum::routing::post;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use futures_util::stream;
use lanyard_client::aws::{Credentials, evidence, signed};
use lanyard_document::{Findings, read};
use lanyard_rig::Aws;
use lanyard_vocabulary::time::Timestamp;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::*;

const SERVER: &str = "lanyard.acme.example";
const TRUST: &str = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"*"},"Action":"sts:AssumeRole"}]}"#;

fn section(text: &str) -> Result<AwsIdentityConfig, Vec<String>> {
    let findings = Findings::default();
    let (root, shape) = (read(text).unwrap(), shape().into());
    let config = config(findings.item(&root, &shape), Path::new("/etc/lanyard"));
    let faults = findings.sorted();
    match config {
        Some(config) if faults.is_empty() => Ok(config),
        _ => Err(faults.into_iter().map(|fault| fault.message).collect()),
    }
}

fn identities(endpoint: &str, lease_roles: &[&str]) -> AwsIdentities {
    let provider = rustls::crypto::ring::default_provider();
    // Another test may have been first.
    provider.install_default().ok();
    let text = format!(
        "server_id: {SERVER}\nregions: [eu-west-1]\naccounts: ['123456789012']\nendpoint: {endpoint}\n"
    );
    let config = section(&text).unwrap();
    config.open(lease_roles.iter().copied()).unwrap()
}

#[expect(
    clippy::disallowed_methods,
    reason = "a signature says when it was made"
)]
fn clock() -> SystemTime {
    SystemTime::now()
}

fn now() -> Timestamp {
    let since = clock().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    Timestamp::from_secs(since.as_secs())
}

fn parsed(asked: &AwsIdentities, evidence: &str) -> CallerIdentityRequest {
    CallerIdentityRequest::parse(evidence, asked.callers(), now()).unwrap()
}

fn made_up(asked: &AwsIdentities) -> CallerIdentityRequest {
    let credentials = Credentials::new("AKIAIOSFODNN7EXAMPLE", "secret", None, None, "test");
    let evidence = signed(&credentials, "eu-west-1", SERVER, clock()).unwrap();
    parsed(asked, &evidence)
}

/// The evidence with a text replaced after it was signed.
fn changed(evidence: &str, from: &str, to: &str) -> String {
    let json = URL_SAFE_NO_PAD
        .decode(&evidence["lanyard-aws.".len()..])
        .unwrap();
    let json = String::from_utf8(json).unwrap();
    assert!(json.contains(from), "{from} is not in it");
    let json = json.replace(from, to);
    format!("lanyard-aws.{}", URL_SAFE_NO_PAD.encode(json))
}

fn moto() -> Option<Aws> {
    let aws = Aws::shared();
    if aws.is_none() {
        eprintln!("NOT RUN: no moto is named; `cargo xtask test` starts one");
    }
    aws
}

/// A fresh role, and credentials of a session of it.
fn assumed(aws: &Aws, role: &str) -> (String, Credentials) {
    let admin = |arguments: &[&str], pointer: &str| {
        let answer = aws.admin(arguments).unwrap();
        assert_eq!(answer.code, 0, "{}", answer.stderr);
        let made: Value = serde_json::from_str(&answer.stdout).unwrap();
        made.pointer(pointer).unwrap().clone()
    };
    let create = [
        "iam",
        "create-role",
        "--path",
        "/team/",
        "--role-name",
        role,
    ];
    let arn = admin(
        &[&create[..], &["--assume-role-policy-document", TRUST]].concat(),
        "/Role/Arn",
    );
    let arn = arn.as_str().unwrap().to_owned();
    let assume = [
        "sts",
        "assume-role",
        "--role-session-name",
        "worker-7",
        "--role-arn",
        &arn,
    ];
    let keys = admin(&assume, "/Credentials");
    let text = |name: &str| keys[name].as_str().unwrap().to_owned();
    let token = Some(text("SessionToken"));
    let (key, secret) = (text("AccessKeyId"), text("SecretAccessKey"));
    (arn, Credentials::new(key, secret, token, None, "moto"))
}

#[tokio::test]
async fn a_user_signs_with_credentials_of_the_environment() {
    let Some(aws) = moto() else { return };
    let asked = identities(aws.url(), &[]);
    let evidence = evidence("eu-west-1", SERVER).await.unwrap();
    let caller = asked.ask(&parsed(&asked, &evidence)).await.unwrap();
    assert_eq!(caller.identity().issuer, "aws:123456789012");
    assert_eq!(
        caller.identity().subject,
        "arn:aws:iam::123456789012:user/first-admin"
    );
}

#[tokio::test]
async fn a_session_is_its_role_and_one_of_a_lease_role_is_refused() {
    let Some(aws) = moto() else { return };
    let asked = identities(aws.url(), &[]);
    let (arn, credentials) = assumed(&aws, "aws-identity-worker");
    let evidence = signed(&credentials, "eu-west-1", SERVER, clock()).unwrap();
    let caller = asked.ask(&parsed(&asked, &evidence)).await.unwrap();
    assert_eq!(
        arn,
        "arn:aws:iam::123456789012:role/team/aws-identity-worker"
    );
    let subject = caller.identity().subject;
    assert_eq!(
        subject,
        "arn:aws:iam::123456789012:role/aws-identity-worker"
    );
    assert_eq!(caller.session(), Some("worker-7"));

    let asked = identities(aws.url(), &[&arn]);
    let refused = asked.ask(&parsed(&asked, &evidence)).await.unwrap_err();
    assert!(
        matches!(refused, AskError::Answer(RejectedAnswer::LeaseRole)),
        "{refused:?}"
    );
}

// The caller's signature covers the server id, the time, the token and the nonce.
#[tokio::test]
async fn sts_refuses_a_request_changed_after_signing() {
    let Some(aws) = moto() else { return };
    let asked = identities(aws.url(), &[]);
    let (_, credentials) = assumed(&aws, "aws-identity-forger");
    let sign = |server| signed(&credentials, "eu-west-1", server, clock()).unwrap();
    let elsewhere = changed(&sign("vault.acme.example"), "vault.acme.example", SERVER);
    let nonce = changed(
        &sign(SERVER),
        "\"x-lanyard-nonce\":\"",
        "\"x-lanyard-nonce\":\"A",
    );
    let form = "application/x-www-form-urlencoded";
    let charset = changed(&sign(SERVER), form, &format!("{form}; charset=utf-8"));
    let forged = Credentials::new(
        credentials.access_key_id(),
        "wrong",
        credentials.session_token().map(str::to_owned),
        None,
        "test",
    );
    let forged = signed(&forged, "eu-west-1", SERVER, clock()).unwrap();
    for evidence in [elsewhere, nonce, charset, forged] {
        let refused = asked.ask(&parsed(&asked, &evidence)).await.unwrap_err();
        let status = matches!(refused, AskError::Answer(RejectedAnswer::Status(403)));
        assert!(status, "{refused:?}");
    }
}

/// Starts a server that gives every request this answer.
async fn server(router: Router) -> (String, JoinSet<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let mut tasks = JoinSet::new();
    tasks.spawn(async move { axum::serve(listener, router).await.unwrap() });
    (url, tasks)
}

// T10
#[tokio::test]
async fn t10_a_redirect_is_not_followed_and_an_endless_answer_not_read() {
    let redirect = || async {
        let headers = [("location", "http://169.254.169.254/")];
        (StatusCode::TEMPORARY_REDIRECT, headers)
    };
    let endless = || async {
        let chunks = stream::repeat_with(|| Ok::<_, std::io::Error>("x".repeat(4096)));
        Response::new(Body::from_stream(chunks))
    };
    let (url, _tasks) = server(Router::new().route("/", post(redirect))).await;
    let asked = identities(&url, &[]);
    let refused = asked.ask(&made_up(&asked)).await.unwrap_err();
    let status = matches!(refused, AskError::Answer(RejectedAnswer::Status(307)));
    assert!(status, "{refused:?}");
    let (url, _tasks) = server(Router::new().route("/", post(endless))).await;
    let asked = identities(&url, &[]);
    let refused = asked.ask(&made_up(&asked)).await.unwrap_err();
    assert!(matches!(refused, AskError::Size), "{refused:?}");
}

// T10
#[tokio::test]
async fn t10_an_sts_that_does_not_answer_is_given_up() {
    let (came, mut comes) = mpsc::channel(1);
    let hangs = move || async move {
        came.send(()).await.unwrap();
        std::future::pending::<StatusCode>().await
    };
    let (url, _tasks) = server(Router::new().route("/", post(hangs))).await;
    let asked = Arc::new(identities(&url, &[]));
    let asking = Arc::clone(&asked);
    let asking = tokio::spawn(async move { asking.ask(&made_up(&asking)).await.map(drop) });
    comes.recv().await.unwrap();
    tokio::time::pause();
    let patience = CALL_TIMEOUT + Duration::from_millis(1);
    let given_up = tokio::time::timeout(patience, asking).await;
    let refused = given_up.unwrap().unwrap().unwrap_err();
    assert!(matches!(refused, AskError::Unreachable(_)), "{refused:?}");
}

// T41
#[tokio::test]
async fn t41_requests_in_flight_are_limited() {
    let (came, mut comes) = mpsc::channel(MAX_CALLS_TO_STS);
    let hangs = move || async move {
        came.send(()).await.unwrap();
        std::future::pending::<StatusCode>().await
    };
    let (url, _tasks) = server(Router::new().route("/", post(hangs))).await;
    let asked = Arc::new(identities(&url, &[]));
    let mut asking = JoinSet::new();
    for _ in 0..MAX_CALLS_TO_STS {
        let asked = Arc::clone(&asked);
        asking.spawn(async move { asked.ask(&made_up(&asked)).await.map(drop) });
    }
    for _ in 0..MAX_CALLS_TO_STS {
        comes.recv().await.unwrap();
    }
    let refused = asked.ask(&made_up(&asked)).await.unwrap_err();
    assert!(matches!(refused, AskError::Busy), "{refused:?}");
    // A request that is given up frees its slot.
    asking.shutdown().await;
    assert_eq!(asked.in_flight.available_permits(), MAX_CALLS_TO_STS);
}

#[test]
fn faults_of_the_section_are_reported() {
    let odd = "server_id: 'a b'\nregions: [moon]\naccounts: []\nendpoint: https://sts.evil.example\nmore: 1\n";
    assert_eq!(
        section(odd).unwrap_err(),
        [
            "not a server id: visible ASCII, 255 bytes at most",
            "not a region of AWS, like `eu-west-1`",
            "at least one entry is needed: without one no AWS workload can authenticate",
            "expected an `http://` URL on loopback: the endpoint is for tests only",
            "there is no field `more` here",
        ]
    );
    let bare = section(
        "server_id: x\nregions: [eu-west-1]\naccounts: ['123456789012']\nca_file: ca.pem\n",
    );
    let bare = bare.unwrap();
    assert_eq!(bare.ca_file, Some(PathBuf::from("/etc/lanyard/ca.pem")));
    let lease_roles = bare.open(["not a role"]);
    assert!(lease_roles.is_err());
}
