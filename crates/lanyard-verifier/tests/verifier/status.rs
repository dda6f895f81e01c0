//! Revocation by the status list, and the answer while no list can be fetched.

use std::time::Duration;

use lanyard_verifier::{Broker, Demands, MAX_LIST_AGE, Refusal, Verifier};
use serde_json::{Value, json};

use crate::fake::{ISSUER, Key, LIST, START, Scene, b64, head};

const SECOND: Duration = Duration::from_secs(1);
const STALE: Refusal = Refusal::Stale {
    oldest: MAX_LIST_AGE,
};

#[tokio::test]
async fn a_revoked_token_is_refused_within_the_lists_ttl_and_its_neighbour_is_not() {
    let scene = Scene::set();
    let neighbour = json!({"status": {"status_list": {"idx": 8, "uri": LIST}}});
    assert!(scene.shows(&scene.token()).await.is_ok());
    scene.list(&[7]);
    scene.time.pass(Duration::from_millis(9_999));
    assert!(scene.shows(&scene.token()).await.is_ok());
    assert_eq!(scene.documents.asked(LIST), 1);
    scene.time.pass(Duration::from_millis(1));
    assert_eq!(scene.shows(&scene.token()).await, Err(Refusal::Revoked));
    assert!(scene.shows(&scene.token_with(&neighbour)).await.is_ok());
    assert_eq!(scene.documents.asked(LIST), 2);
}

#[tokio::test]
async fn without_the_broker_a_stale_list_refuses_every_token() {
    let scene = Scene::set();
    let token = scene.token();
    assert!(scene.shows(&token).await.is_ok());
    scene.documents.at.lock().remove(LIST);
    scene.time.pass(29 * SECOND);
    assert!(scene.shows(&token).await.is_ok());
    scene.time.pass(SECOND);
    assert_eq!(scene.shows(&token).await, Err(STALE));
    // The list is requested once a second at most, and a revocation counts as soon as the broker
    // answers.
    let before = scene.documents.asked(LIST);
    assert_eq!(scene.shows(&token).await, Err(STALE));
    assert_eq!(scene.documents.asked(LIST), before);
    scene.list(&[7]);
    scene.time.pass(SECOND);
    assert_eq!(scene.shows(&token).await, Err(Refusal::Revoked));
}

#[tokio::test]
async fn the_list_age_can_be_lowered_and_never_raised() {
    let demands = Demands::audience("tickets").revoked_within(5 * SECOND);
    let scene = Scene::demanding(demands);
    assert!(scene.shows(&scene.token()).await.is_ok());
    scene.documents.at.lock().remove(LIST);
    scene.time.pass(6 * SECOND);
    let oldest = 5 * SECOND;
    assert_eq!(
        scene.shows(&scene.token()).await,
        Err(Refusal::Stale { oldest })
    );
    let demands = Demands::audience("tickets").revoked_within(3600 * SECOND);
    let scene = Scene::demanding(demands);
    assert!(scene.shows(&scene.token()).await.is_ok());
    scene.documents.at.lock().remove(LIST);
    scene.time.pass(31 * SECOND);
    assert_eq!(scene.shows(&scene.token()).await, Err(STALE));
}

// Replaying an older list must not make a revoked token valid: somebody on the way may have stored
// the list.
#[tokio::test]
async fn an_older_list_does_not_replace_a_newer_one() {
    let scene = Scene::set();
    let old = scene.documents.at.lock().get(LIST).cloned().unwrap();
    scene.time.pass(11 * SECOND);
    scene.list(&[7]);
    assert_eq!(scene.shows(&scene.token()).await, Err(Refusal::Revoked));
    scene.documents.put(LIST, old.clone());
    scene.time.pass(11 * SECOND);
    assert_eq!(scene.shows(&scene.token()).await, Err(Refusal::Revoked));
    // A second verifier has not seen the newer list, but knows how old this one is.
    let other = Scene::set();
    other.publish(&[&scene.key]);
    other.documents.put(LIST, old);
    other.time.pass(31 * SECOND);
    let token = scene.token();
    assert_eq!(other.shows(&token).await, Err(STALE));
}

// T62
#[tokio::test]
async fn t62_no_list_becomes_younger_when_the_clock_is_set_back() {
    let scene = Scene::set();
    let token = scene.token();
    assert!(scene.shows(&token).await.is_ok());
    scene.documents.at.lock().remove(LIST);
    scene.time.pass(31 * SECOND);
    scene.time.set(-31);
    assert_eq!(scene.shows(&token).await, Err(STALE));
    // With the clock far back, the list seems to come from the future.
    scene.time.set(-3600);
    let long_ago = scene.token_with(&json!({"iat": 1, "exp": START + 600}));
    assert_eq!(scene.shows(&long_ago).await, Err(STALE));
}

// T10
#[tokio::test]
async fn t10_a_foreign_list_is_not_fetched() {
    let scene = Scene::set();
    for uri in [
        "https://evil.example/oauth2/status-lists/0f-0",
        "https://lanyard.example.evil.example/oauth2/status-lists/0f-0",
        "https://lanyard.example/oauth2/status-lists/../../latest",
        "http://169.254.169.254/latest/meta-data",
        "file:///etc/passwd",
        "",
    ] {
        let status = json!({"status": {"status_list": {"idx": 7, "uri": uri}}});
        let token = scene.token_with(&status);
        assert_eq!(
            scene.shows(&token).await,
            Err(Refusal::ForeignList),
            "{uri}"
        );
    }
    assert_eq!(scene.documents.all_asked().len(), 1);
}

#[tokio::test]
async fn an_index_beyond_the_list_counts_as_revoked() {
    let scene = Scene::set();
    for place in [64_u64, u64::MAX] {
        let status = json!({"status": {"status_list": {"idx": place, "uri": LIST}}});
        let token = scene.token_with(&status);
        assert_eq!(scene.shows(&token).await, Err(Refusal::Revoked));
    }
}

fn with(mut claims: Value, name: &str, value: Value) -> Value {
    let members = claims.as_object_mut().unwrap();
    if value.is_null() {
        members.remove(name);
    } else {
        members.insert(name.to_owned(), value);
    }
    claims
}

#[tokio::test]
async fn an_invalid_list_refuses_every_token() {
    let bomb = b64(miniz_oxide::deflate::compress_to_vec_zlib(
        &vec![0; 1 << 20],
        9,
    ));
    for (name, value) in [
        (
            "sub",
            json!("https://lanyard.example/oauth2/status-lists/0f-1"),
        ),
        ("sub", Value::Null),
        ("iat", json!(START + 6)),
        ("iat", json!(START - 31)),
        ("iat", Value::Null),
        ("exp", json!(START)),
        ("exp", Value::Null),
        ("ttl", Value::Null),
        ("ttl", json!(-1)),
        ("status_list", json!({"bits": 2, "lst": "eNrbuRgAAhcBXQ"})),
        ("status_list", json!({"bits": 1, "lst": "eNrb"})),
        ("status_list", json!({"bits": 1, "lst": bomb})),
        ("status_list", Value::Null),
    ] {
        let scene = Scene::set();
        let claims = with(scene.list_claims(&[]), name, value.clone());
        scene
            .documents
            .put(LIST, scene.key.sign("statuslist+jwt", &claims));
        assert_eq!(
            scene.shows(&scene.token()).await,
            Err(STALE),
            "{name}: {value}"
        );
    }
}

#[tokio::test]
async fn a_list_is_signed_as_a_list_by_a_key_of_the_brokers() {
    let scene = Scene::set();
    let claims = scene.list_claims(&[]);
    let header = r#"{"typ":"statuslist+jwt","alg":"none","kid":"one"}"#;
    for list in [
        Key::named("one").sign("statuslist+jwt", &claims),
        Key::named("two").sign("statuslist+jwt", &claims),
        scene.key.sign("at+jwt", &claims),
        scene.key.sign("JWT", &claims),
        scene.key.jws(header, &claims.to_string()),
        claims.to_string(),
        String::new(),
        "\u{fffd}".to_owned(),
    ] {
        let other = Scene::set();
        other.publish(&[&scene.key]);
        other.documents.put(LIST, list.clone());
        let token = scene.token();
        assert_eq!(other.shows(&token).await, Err(STALE), "{list}");
    }
    let signed = scene.key.sign("statuslist+jwt", &claims) + "\n";
    scene.documents.put(LIST, signed);
    assert!(scene.shows(&scene.token()).await.is_ok());
}

// The longest list that the broker makes: every place in use, and any of them revoked.
#[tokio::test]
async fn a_full_list_fits() {
    let scene = Scene::set();
    let mut seed = 1_u64;
    let bits: Vec<u8> = std::iter::repeat_with(|| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        u8::try_from(seed >> 56).unwrap()
    })
    .take((1 << 16) / 8)
    .collect();
    let packed = b64(miniz_oxide::deflate::compress_to_vec_zlib(&bits, 9));
    let claims = with(
        scene.list_claims(&[]),
        "status_list",
        json!({"bits": 1, "lst": packed}),
    );
    scene
        .documents
        .put(LIST, scene.key.sign("statuslist+jwt", &claims));
    for place in [0, 9, (1 << 16) - 1] {
        let status = json!({"status": {"status_list": {"idx": place, "uri": LIST}}});
        let revoked = bits[place / 8] >> (place % 8) & 1 == 1;
        let shown = scene.shows(&scene.token_with(&status)).await;
        assert_eq!(shown.is_err(), revoked);
    }
}

#[tokio::test]
async fn a_broker_may_be_reached_elsewhere_than_its_name_says() {
    let scene = Scene::set();
    let broker = Broker::named(ISSUER).unwrap();
    let broker = broker.reached_at("https://lanyard.svc:7070/").unwrap();
    for (from, to) in [
        (
            crate::fake::KEYS,
            "https://lanyard.svc:7070/.well-known/jwks.json",
        ),
        (LIST, "https://lanyard.svc:7070/oauth2/status-lists/0f-0"),
    ] {
        let mut documents = scene.documents.at.lock();
        let moved = documents.remove(from).unwrap();
        documents.insert(to.to_owned(), moved);
    }
    let demands = Demands::audience("tickets");
    let verifier = Verifier::with(
        broker,
        demands,
        (scene.documents.clone(), scene.time.clone()),
    );
    let shown = head(&[("authorization", &format!("Bearer {}", scene.token()))]);
    assert!(verifier.accept(&shown).await.is_ok());
}
