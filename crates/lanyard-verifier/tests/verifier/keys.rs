//! The broker's keys: when they are fetched, and how long they are believed.

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
async fn many_that_come_at_once_ask_the_broker_once() {
    let scene = Arc::new(Scene::set());
    // Two are needed to go on: the one that fetches, and the test, once all others wait for it.
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
async fn t11_a_key_that_is_not_known_is_asked_for_every_ten_seconds_at_most() {
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
async fn t11_keys_that_cannot_be_fetched_are_believed_for_an_hour() {
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
async fn d24_t6_t7_a_bad_key_is_passed_over_and_what_is_no_set_is_none() {
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
    // Of two keys with one name, neither signs.
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
        // It is not asked for again with each request.
        assert_eq!(scene.shows(&scene.token()).await, Err(Refusal::NoKeys));
        assert_eq!(scene.documents.asked(KEYS), 1);
    }
}
