//! The keys with which the broker signs its own tokens.

use std::time::Duration;

use lanyard_in_process::{Given, Stage, answers, refuses};
use lanyard_proto::v1;
use lanyard_proto::v1::signing_key_service_client::SigningKeyServiceClient;
use serde_json::Value;
use tonic::Code;

use crate::{is_role_denied, until};

const LIST: v1::ListSigningKeysRequest = v1::ListSigningKeysRequest {};

fn rotate() -> v1::RotateSigningKeyRequest {
    v1::RotateSigningKeyRequest {
        reason: "ticket 12".to_owned(),
    }
}

fn revoke(kid: &str) -> v1::RevokeSigningKeyRequest {
    v1::RevokeSigningKeyRequest {
        kid: kid.to_owned(),
        reason: "leaked".to_owned(),
    }
}

fn body(answer: &str) -> Value {
    serde_json::from_str(answer.split_once("\r\n\r\n").unwrap().1).unwrap()
}

/// The ids of the keys in the broker's JWKS.
fn published(stage: &Stage) -> Vec<String> {
    let answer = stage
        .listeners()
        .http("GET", "/.well-known/jwks.json", &[], "");
    let keys = body(&answer.unwrap());
    let keys = keys.pointer("/keys").and_then(Value::as_array).unwrap();
    let kids = keys.iter().map(|key| key.pointer("/kid").unwrap().as_str());
    kids.map(|kid| kid.unwrap().to_owned()).collect()
}

pub(crate) fn token(stage: &Stage) -> String {
    let task = stage.task().unwrap();
    let of = [
        "creds",
        "token",
        "--direct",
        "--task",
        &task,
        "read-tickets",
    ];
    stage.agent.ok(&of).unwrap()
}

/// Asks the broker whether a token is valid (RFC 7662).
fn is_active(stage: &Stage, token: &str) -> bool {
    let bearer = format!("Bearer {}", stage.oncall.ok(&["identity"]).unwrap());
    let headers = [
        ("authorization", bearer.as_str()),
        ("content-type", "application/x-www-form-urlencoded"),
    ];
    let form = format!("token={}", token.trim());
    let answer = stage
        .listeners()
        .http("POST", "/oauth2/introspect", &headers, &form);
    body(&answer.unwrap()).pointer("/active").unwrap() == true
}

#[test]
fn a_key_is_rotated_on_command_and_a_leaked_one_is_revoked_at_once() {
    let stage = Stage::set().unwrap();
    let agent = stage.caller("agent").unwrap();
    let oncall = stage.caller("oncall").unwrap();
    let admin = stage.caller("admin").unwrap();
    is_role_denied(&refuses!(
        agent,
        SigningKeyServiceClient::list_signing_keys(LIST)
    ));
    let listed = answers!(oncall, SigningKeyServiceClient::list_signing_keys(LIST));
    let [first] = listed.keys.try_into().unwrap();
    assert!(first.signs && first.retire_time.is_none(), "{first:?}");

    is_role_denied(&refuses!(
        oncall,
        SigningKeyServiceClient::rotate_signing_key(rotate())
    ));
    let made = answers!(admin, SigningKeyServiceClient::rotate_signing_key(rotate()));
    let next = made.key.unwrap();
    assert!(!next.signs, "{next:?}");
    assert_eq!(published(&stage), [&*first.kid, &*next.kid]);

    let signed = token(&stage);
    assert!(is_active(&stage, &signed));
    is_role_denied(&refuses!(
        agent,
        SigningKeyServiceClient::revoke_signing_key(revoke(&first.kid))
    ));
    let unknown = refuses!(
        oncall,
        SigningKeyServiceClient::revoke_signing_key(revoke("nothing"))
    );
    assert_eq!(unknown.code, Code::NotFound);
    let revoked = answers!(
        oncall,
        SigningKeyServiceClient::revoke_signing_key(revoke(&first.kid))
    );
    let successor = revoked.successor.unwrap();
    assert!(successor.signs, "{successor:?}");
    assert_eq!(published(&stage), [&*successor.kid, &*next.kid]);
    assert!(!is_active(&stage, &signed));
    assert!(is_active(&stage, &token(&stage)));

    let said = stage.oncall.ok(&["audit", "query", &first.kid]).unwrap();
    assert!(said.contains("revoked signing key"), "{said}");
    assert!(said.contains("leaked"), "{said}");
}

#[test]
fn keys_rotate_on_schedule() {
    let stage = Stage::given(&Given {
        lines: "rotate_signing_keys_every: 1h",
        ..Given::default()
    });
    let mut stage = stage.unwrap();
    let [first] = published(&stage).try_into().unwrap();
    stage.clock.pass(Duration::from_secs(3600));
    stage.start_again().unwrap();
    until(|| published(&stage).len() == 2);
    assert_eq!(published(&stage).first(), Some(&first));
}
