//! The broker's keys: when they are fetched, and how long they are trusted.

use std::sync::Arc;
use std::time::Duration;

use lanyard_verifier::{Refusal, RejectedToken};
use serde_json::json;

use crate::fake::{KEYS, Key, LIST, Scene};

const SECOND: Duration = Duration::from_secs(1);

#[tokio::test]
async fn keys_are_fetched_once_for_many_and_again_after_five_minutes() {
    let scene = Scene::set();
    for _ in 0..100 {
        assert!(scene.shows(&scene.token()).await.is_ok());
    }
    assert_eq!(
        (scene.documents.asked(KEYS), scene.documents.asked(LIST)),
        (1, 1)
    );
    scene.time.pass(300 * SECOND);
    scene.list(&[]);
    assert!(scene.shows(&scene.token()).await.is_ok());
    assert_eq!(scene.documents.asked(KEYS), 2);
}

#[tokio::test]
async fn concurrent_requests_fetch_the_keys_once() {
    let scene = Arc::new(Scene::set());
    // The barrier opens for two: the request that fetches, and the test once all others wait.
    let barrier = Arc::new(tokio::sync::Barrier::new(2));
    *scene.documents.held_back.lock() = Some(Arc::clone(&barrier));
    let mut all = tokio::task::JoinSet::new();
    for _ in 0..50 {
        let scene = Arc::clone(&scene);
        all.spawn(async move { scene.shows(&scene.token()).await });
    }
    for _ in [KEYS, LIST] {
        barrier.wait().await;
    }
    while let Some(accepted) = all.join_next().await {
        assert!(accepted.unwrap().is_ok());
    }
    assert_eq!(
        (scene.documents.asked(KEYS), scene.documents.asked(LIST)),
        (1, 1)
    );
}

// T11
#[tokio::test]
async fn t11_an_unknown_key_causes_a_fetch_every_ten_seconds_at_most() {
    let scene = Scene::set();
    assert!(scene.shows(&scene.token()).await.is_ok());
    let next = Key::named("two");
    let token = next.sign("at+jwt", &scene.claims());
    let forged = Err(Refusal::Forged(RejectedToken::Signature));
    for _ in 0..10 {
        assert_eq!(scene.shows(&token).await, forged);
    }
    assert_eq!(scene.documents.asked(KEYS), 1);
    scene.publish(&[&scene.key, &next]);
    scene.time.pass(9 * SECOND);
    assert_eq!(scene.shows(&token).await, forged);
    scene.time.pass(SECOND);
    scene.list(&[]);
    assert!(scene.shows(&token).await.is_ok());
    assert!(scene.shows(&scene.token()).await.is_ok());
    assert_eq!(scene.documents.asked(KEYS), 2);
}

// T11
#[tokio::test]
async fn t11_keys_that_cannot_be_fetched_again_are_trusted_for_an_hour() {
    let scene = Scene::set();
    assert!(scene.shows(&scene.token()).await.is_ok());
    scene.documents.at.lock().remove(KEYS);
    scene.time.pass(3599 * SECOND);
    scene.list(&[]);
    assert!(scene.shows(&scene.token()).await.is_ok());
    scene.time.pass(SECOND);
    scene.list(&[]);
    assert_eq!(scene.shows(&scene.token()).await, Err(Refusal::NoKeys));
    scene.publish(&[&scene.key]);
    scene.time.pass(10 * SECOND);
    scene.list(&[]);
    assert!(scene.shows(&scene.token()).await.is_ok());
}

#[tokio::test]
async fn a_key_that_is_withdrawn_signs_nothing_five_minutes_later() {
    let scene = Scene::set();
    assert!(scene.shows(&scene.token()).await.is_ok());
    scene.publish(&[&Key::named("two")]);
    scene.time.pass(300 * SECOND);
    let forged = Refusal::Forged(RejectedToken::Signature);
    assert_eq!(scene.shows(&scene.token()).await, Err(forged));
}

// T6, T7
#[tokio::test]
async fn d24_t6_t7_a_bad_key_is_skipped_and_an_invalid_set_is_refused() {
    let scene = Scene::set();
    let good = scene.key.published();
    for bad in [
        good.clone(),
        json!({"kty": "oct", "kid": "x", "k": "AAAA"}),
        json!({"kty": "OKP", "crv": "Ed25519", "kid": "x", "x": "AAAA"}),
        json!({"kty": "AKP", "alg": "ML-DSA-65", "kid": "x", "pub": "AAAA"}),
        json!(7),
    ] {
        let keys = json!({"keys": [bad, good]});
        scene.documents.put(KEYS, keys.to_string());
        assert!(scene.shows(&scene.token()).await.is_ok(), "{keys}");
    }
    // Of two keys with the same id, neither verifies a token.
    let scene = Scene::set();
    let keys = json!({"keys": [scene.key.published(), Key::named("one").published()]});
    scene.documents.put(KEYS, keys.to_string());
    let forged = Refusal::Forged(RejectedToken::Signature);
    assert_eq!(scene.shows(&scene.token()).await, Err(forged));
    for set in [json!({"keys": good}), json!([])] {
        let scene = Scene::set();
        scene.documents.put(KEYS, set.to_string());
        assert_eq!(
            scene.shows(&scene.token()).await,
            Err(Refusal::NoKeys),
            "{set}"
        );
        // The next request does not fetch the set again at once.
        assert_eq!(scene.shows(&scene.token()).await, Err(Refusal::NoKeys));
        assert_eq!(scene.documents.asked(KEYS), 1);
    }
}
