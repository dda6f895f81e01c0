//! Tokens that are bound to a key: accepted with a proof of that key, and refused otherwise.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::request::Parts;
use lanyard_verifier::{
    Accepted, ClientCertificate, Confirmation, Demands, Refusal, RejectedToken,
};
use serde_json::{Value, json};

use crate::fake::{Key, START, Scene, head};

const BAD: Refusal = Refusal::Proof(RejectedToken::Possession);

fn digest(token: &str) -> String {
    URL_SAFE_NO_PAD.encode(ring::digest::digest(
        &ring::digest::SHA256,
        token.as_bytes(),
    ))
}

/// Returns a token that is bound to a key, and the claims of a proof for it.
fn bound(scene: &Scene, key: &Key) -> (String, Value) {
    let token = scene.token_with(&json!({"cnf": {"jkt": key.thumbprint()}}));
    let proof = json!({
        "jti": "a", "htm": "GET", "htu": "https://tickets.example/tickets",
        "iat": scene.time.secs(), "ath": digest(&token),
    });
    (token, proof)
}

async fn shows(scene: &Scene, token: &str, proof: &str) -> Result<Accepted, Refusal> {
    let authorization = format!("DPoP {token}");
    let head = head(&[("authorization", &authorization), ("dpop", proof)]);
    scene.verifier.accept(&head).await
}

// T12
#[tokio::test]
async fn t12_a_bound_token_is_accepted_with_a_proof_once() {
    let (scene, key) = (Scene::set(), Key::named("agent"));
    let (token, claims) = bound(&scene, &key);
    let proof = key.proof(&claims);
    let accepted = shows(&scene, &token, &proof).await.unwrap();
    assert_eq!(accepted.key, Some(Confirmation::Key(key.thumbprint())));
    assert_eq!(shows(&scene, &token, &proof).await, Err(Refusal::Replayed));
    let mut next = claims;
    next["jti"] = json!("b");
    assert!(shows(&scene, &token, &key.proof(&next)).await.is_ok());
}

#[tokio::test]
async fn a_bound_token_without_its_key_is_worth_nothing() {
    let (scene, key) = (Scene::set(), Key::named("agent"));
    let (token, claims) = bound(&scene, &key);
    assert_eq!(scene.shows(&token).await, Err(Refusal::Scheme));
    let dpop = format!("DPoP {token}");
    let without = head(&[("authorization", &dpop)]);
    assert_eq!(scene.verifier.accept(&without).await, Err(BAD));
    let proof = key.proof(&claims);
    let twice = head(&[("authorization", &dpop), ("dpop", &proof), ("dpop", &proof)]);
    assert_eq!(scene.verifier.accept(&twice).await, Err(Refusal::Ambiguous));
    // A proof next to a bearer token is ignored.
    let bearer = format!("Bearer {token}");
    let beside = head(&[("authorization", &bearer), ("dpop", &proof)]);
    assert_eq!(scene.verifier.accept(&beside).await, Err(Refusal::Scheme));
    let other = Key::named("other").proof(&claims);
    assert_eq!(shows(&scene, &token, &other).await, Err(BAD));
    // The refused requests have not used up the proof.
    assert!(shows(&scene, &token, &proof).await.is_ok());
}

#[tokio::test]
async fn a_proof_is_of_this_request_and_this_token_and_of_now() {
    let (scene, key) = (Scene::set(), Key::named("agent"));
    let (token, claims) = bound(&scene, &key);
    let old = Refusal::Proof(RejectedToken::Times);
    for (name, value, refusal) in [
        ("htm", json!("POST"), BAD),
        ("htu", json!("https://tickets.example/other"), BAD),
        ("htu", json!("https://ignored.example/tickets"), BAD),
        ("htu", json!("http://tickets.example/tickets"), BAD),
        (
            "htu",
            json!("https://tickets.example.evil.example/tickets"),
            BAD,
        ),
        ("ath", json!(digest("another")), BAD),
        ("ath", Value::Null, BAD),
        ("jti", json!(""), BAD),
        ("jti", json!("j".repeat(200)), BAD),
        ("iat", json!(START - 91), old.clone()),
        ("iat", json!(START + 31), old),
    ] {
        let mut changed = claims.clone();
        changed[name] = value.clone();
        let refused = shows(&scene, &token, &key.proof(&changed)).await;
        assert_eq!(refused, Err(refusal), "{name}: {value}");
    }
    // A proof does not cover the query.
    let mut with_query = claims;
    with_query["htu"] = json!("https://tickets.example/tickets?page=2");
    assert!(shows(&scene, &token, &key.proof(&with_query)).await.is_ok());
}

#[tokio::test]
async fn a_verifier_without_an_origin_accepts_no_proof() {
    let (scene, key) = (
        Scene::demanding(Demands::audience("tickets")),
        Key::named("agent"),
    );
    let (token, claims) = bound(&scene, &key);
    assert_eq!(shows(&scene, &token, &key.proof(&claims)).await, Err(BAD));
}

#[tokio::test]
async fn a_token_without_a_binding_is_refused_where_one_is_demanded() {
    let scene = Scene::set();
    let token = scene.token();
    assert!(scene.shows(&token).await.is_ok());
    // A proof adds nothing to a token without a binding.
    let key = Key::named("agent");
    let (_, mut claims) = bound(&scene, &key);
    claims["ath"] = json!(digest(&token));
    assert_eq!(
        shows(&scene, &token, &key.proof(&claims)).await,
        Err(Refusal::Scheme)
    );
    let demands = Demands::audience("tickets")
        .reached_at("https://tickets.example")
        .bound();
    let scene = Scene::demanding(demands);
    assert_eq!(scene.shows(&scene.token()).await, Err(Refusal::Unbound));
    let (token, claims) = bound(&scene, &key);
    assert!(shows(&scene, &token, &key.proof(&claims)).await.is_ok());
}

fn with(token: &str, certificate: Option<&[u8]>) -> Parts {
    let mut head = head(&[
        ("authorization", &format!("Bearer {token}")),
        ("x-client-certificate", "anything"),
    ]);
    if let Some(der) = certificate {
        head.extensions.insert(ClientCertificate::of(der));
    }
    head
}

#[tokio::test]
async fn a_token_of_a_certificate_is_accepted_on_its_connections_alone() {
    let scene = Scene::set();
    let fingerprint = ClientCertificate::of(b"leaf").fingerprint().to_owned();
    let token = scene.token_with(&json!({"cnf": {"x5t#S256": fingerprint}}));
    let judged = |certificate| {
        let head = with(&token, certificate);
        let verifier = scene.verifier.clone();
        async move { verifier.accept(&head).await }
    };
    let accepted = judged(Some(&b"leaf"[..])).await.unwrap();
    assert_eq!(
        accepted.key,
        Some(Confirmation::Certificate(fingerprint.clone()))
    );
    assert_eq!(judged(Some(b"other")).await, Err(Refusal::Certificate));
    assert_eq!(judged(None).await, Err(Refusal::Certificate));
    let key = Key::named("agent");
    let (_, mut claims) = bound(&scene, &key);
    claims["ath"] = json!(digest(&token));
    assert_eq!(
        shows(&scene, &token, &key.proof(&claims)).await,
        Err(Refusal::Scheme)
    );
}
