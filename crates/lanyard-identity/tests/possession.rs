//! Proof of possession, and the replay cache's entries for it.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test may panic"
)]

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use lanyard_identity::RejectedToken;
use lanyard_identity::dpop::{Proof, Target, check};
use lanyard_identity::replay_cache::{Owner, ProofId, ReplayCache, Use};
use lanyard_vocabulary::identity::Confirmation;
use lanyard_vocabulary::time::Timestamp;
use ring::signature::{Ed25519KeyPair, KeyPair as _};
use serde_json::{Value, json};

const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);
const TOKEN: &str = "a.b.c";

fn b64(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

fn pair(seed: u8) -> Ed25519KeyPair {
    Ed25519KeyPair::from_seed_unchecked(&[seed; 32]).unwrap()
}

fn jwk(seed: u8) -> Value {
    json!({"kty": "OKP", "crv": "Ed25519", "x": b64(pair(seed).public_key())})
}

fn header() -> Value {
    json!({"typ": "dpop+jwt", "alg": "EdDSA", "jwk": jwk(1)})
}

fn claims() -> Value {
    let ath = ring::digest::digest(&ring::digest::SHA256, TOKEN.as_bytes());
    json!({"jti": "1", "htm": "POST", "htu": "https://lanyard.example/oauth2/token", "iat": NOW.as_secs(), "ath": b64(ath)})
}

fn signed(header: &Value, claims: &Value) -> String {
    let message = format!("{}.{}", b64(header.to_string()), b64(claims.to_string()));
    format!("{message}.{}", b64(pair(1).sign(message.as_bytes())))
}

fn outcome(proof: &str) -> Result<Proof, RejectedToken> {
    let origins = ["https://lanyard.example".to_owned()];
    let target = Target {
        method: "POST",
        path: "/oauth2/token",
        origins: &origins,
    };
    check(proof, &target, Some(TOKEN), NOW)
}

fn with(of: &Value, name: &str, value: Value) -> Value {
    let mut changed = of.clone();
    changed[name] = value;
    changed
}

#[test]
fn a_proof_shows_the_key_by_the_thumbprint_of_rfc_7638() {
    // RFC 8037, appendix A.3.
    let jwk =
        json!({"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"});
    let key = lanyard_identity::jwks::PublicKey::parse(&jwk).unwrap();
    assert_eq!(
        key.thumbprint(),
        "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"
    );
    assert!(outcome(&signed(&header(), &claims())).is_ok());
}

#[test]
fn a_proof_of_another_request_token_or_time_is_refused() {
    let now = NOW.as_secs();
    for (name, value) in [
        ("htm", json!("GET")),
        ("htu", json!("https://lanyard.example/oauth2/revoke")),
        (
            "htu",
            json!("https://lanyard.example.evil.example/oauth2/token"),
        ),
        ("htu", json!("http://lanyard.example/oauth2/token")),
        ("htu", json!("https://evil.example/oauth2/token")),
        ("ath", json!(b64([0; 32]))),
        ("ath", Value::Null),
        ("jti", json!("")),
        ("iat", json!(now - 91)),
        ("iat", json!(now + 31)),
    ] {
        let proof = signed(&header(), &with(&claims(), name, value.clone()));
        assert!(outcome(&proof).is_err(), "{name}: {value}");
    }
    let query = with(
        &claims(),
        "htu",
        json!("https://lanyard.example/oauth2/token?a=b#c"),
    );
    assert!(outcome(&signed(&header(), &query)).is_ok());
}

#[test]
fn t1_t2_t4_a_proof_brings_a_public_key_that_signed_it_and_nothing_else() {
    let mut secret = jwk(1);
    secret["d"] = json!(b64([1; 32]));
    for (name, value) in [
        ("typ", json!("JWT")),
        ("alg", json!("none")),
        ("alg", json!("HS256")),
        ("alg", json!("ES256")),
        ("jwk", jwk(2)),
        ("jwk", secret),
        ("jwk", json!({"kty": "oct", "k": "AA"})),
        ("jku", json!("https://evil.example/keys")),
        ("x5c", json!(["AA"])),
        ("crit", json!(["x"])),
    ] {
        let proof = signed(&with(&header(), name, value.clone()), &claims());
        assert!(outcome(&proof).is_err(), "{name}: {value}");
    }
}

fn used(name: &str, key: Option<&str>, until: Timestamp) -> Use {
    Use {
        id: ProofId::of(&[name]),
        key: key.map(|key| Confirmation::Key(key.to_owned())),
        until,
    }
}

const fn owner(name: &str) -> Owner<'_> {
    Owner {
        issuer: "issuer",
        name,
        is_known: true,
    }
}

async fn remember(memory: &ReplayCache, proof: &Use, now: Timestamp) -> Result<(), RejectedToken> {
    memory.remember(proof, owner("agent"), now)?.durable().await
}

#[tokio::test]
async fn t12_uses_are_remembered_across_a_restart_until_they_expire() {
    let directory = tempfile::tempdir().unwrap();
    let until = NOW + Duration::from_secs(600);
    let memory = ReplayCache::open(&lanyard_disk::system(), directory.path(), NOW, false).unwrap();
    let (once, held) = (used("once", None, until), used("held", Some("a"), until));
    remember(&memory, &once, NOW).await.unwrap();
    remember(&memory, &held, NOW).await.unwrap();
    drop(memory);

    let memory = ReplayCache::open(&lanyard_disk::system(), directory.path(), NOW, false).unwrap();
    let replayed = Err(RejectedToken::Replayed);
    assert_eq!(remember(&memory, &once, NOW).await, replayed);
    assert_eq!(
        remember(&memory, &used("held", Some("b"), until), NOW).await,
        replayed
    );
    assert_eq!(
        remember(&memory, &used("held", None, until), NOW).await,
        replayed
    );
    assert_eq!(remember(&memory, &held, NOW).await, Ok(()));
    let later = until + Duration::from_secs(1);
    assert_eq!(
        remember(&memory, &used("once", None, later), later).await,
        Ok(())
    );
}

#[tokio::test]
async fn t12_the_file_stays_small_and_keeps_all_live_uses() {
    let directory = tempfile::tempdir().unwrap();
    let memory = ReplayCache::open(&lanyard_disk::system(), directory.path(), NOW, false).unwrap();
    let day = NOW + Duration::from_secs(24 * 3600);
    remember(&memory, &used("long", Some("a"), day), NOW)
        .await
        .unwrap();
    let mut now = NOW;
    for turn in 0..40 {
        now = now + Duration::from_secs(100);
        let until = now + Duration::from_secs(60);
        let written = (0..1000).map(|n| {
            let proof = used(&format!("short {turn} {n}"), None, until);
            memory.remember(&proof, owner("agent"), now).unwrap()
        });
        for written in written.collect::<Vec<_>>() {
            written.durable().await.unwrap();
        }
    }
    let size = std::fs::metadata(directory.path().join("used"))
        .unwrap()
        .len();
    assert!(size < 25_000 * 76, "{size}");
    drop(memory);
    let memory = ReplayCache::open(&lanyard_disk::system(), directory.path(), now, false).unwrap();
    assert!(memory.knows(ProofId::of(&["long"])));
    assert!(memory.knows(ProofId::of(&["short 39 999"])));
    assert!(!memory.knows(ProofId::of(&["short 3 0"])));
    let another = used("long", Some("b"), day);
    assert_eq!(
        remember(&memory, &another, now).await,
        Err(RejectedToken::Replayed)
    );
}

#[test]
fn one_identity_cannot_use_up_the_room_of_others() {
    let directory = tempfile::tempdir().unwrap();
    let memory = ReplayCache::open(&lanyard_disk::system(), directory.path(), NOW, false).unwrap();
    let until = NOW + Duration::from_secs(600);
    let mut taken = (0..300_000).map(|n| {
        let proof = used(&n.to_string(), None, until);
        memory.remember(&proof, owner("greedy"), NOW).map(drop)
    });
    assert_eq!(
        taken.find_map(Result::err),
        Some(RejectedToken::ReplayCacheFull)
    );
    let other = memory.remember(&used("x", None, until), owner("other"), NOW);
    assert!(other.is_ok());
}

#[tokio::test]
async fn t58_a_torn_tail_of_used_proofs_is_cut() {
    let directory = tempfile::tempdir().unwrap();
    let until = NOW + Duration::from_secs(600);
    let file = directory.path().join("used");
    let memory = ReplayCache::open(&lanyard_disk::system(), directory.path(), NOW, false).unwrap();
    remember(&memory, &used("one", None, until), NOW)
        .await
        .unwrap();
    drop(memory);
    let whole = std::fs::read(&file).unwrap();
    std::fs::write(&file, [&whole[..], &whole[..40]].concat()).unwrap();
    let memory = ReplayCache::open(&lanyard_disk::system(), directory.path(), NOW, false).unwrap();
    assert!(memory.knows(ProofId::of(&["one"])));
    remember(&memory, &used("two", None, until), NOW)
        .await
        .unwrap();
    drop(memory);
    let memory = ReplayCache::open(&lanyard_disk::system(), directory.path(), NOW, false).unwrap();
    assert!(memory.knows(ProofId::of(&["two"])));
}

#[test]
fn t44_a_proof_of_possession_has_bounds() {
    let taken = |name: &str, value: Value| {
        outcome(&signed(&header(), &with(&claims(), name, value))).is_ok()
    };
    assert!(taken("jti", json!("j".repeat(128))) && !taken("jti", json!("j".repeat(129))));
    // A minute, and thirty seconds of skew.
    let now = NOW.as_secs();
    assert!(taken("iat", json!(now - 90)) && !taken("iat", json!(now - 91)));
}
