//! The claims and the signature that a token needs.

use lanyard_verifier::{AgentName, Refusal, RejectedToken};
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use serde_json::json;

use crate::fake::{KEYS, Key, START, Scene, b64, head};

#[tokio::test]
async fn a_token_in_order_is_accepted_with_all_that_it_says() {
    let scene = Scene::set();
    let delegated =
        json!({"sub": "dispatcher", "act": {"sub": "router", "act": {"sub": "planner"}}});
    let accepted = scene.shows(&scene.token_with(&delegated)).await.unwrap();
    assert_eq!(accepted.subject, "dispatcher");
    assert_eq!(accepted.agent, AgentName("router".into()));
    let acting = ["router", "planner"].map(|agent| AgentName(agent.into()));
    assert_eq!(accepted.acting, acting);
    assert_eq!(accepted.task.to_string(), "T-0TYM3XZBCCFE22Z8KHHVXMF9ZK");
    assert_eq!(accepted.lease.to_string(), "L-05EKSYFMMTKJ80XZJ8XRC1XPXP");
    assert_eq!(accepted.grant.as_str(), "read-tickets");
    assert_eq!(accepted.expires.as_secs(), START + 600);
    assert!(accepted.gives(["tickets.read", "tickets.list"]));
    assert!(!accepted.gives(["tickets.read", "tickets"]) && !accepted.gives(["Tickets.read"]));
    assert!(accepted.gives([]));
}

#[tokio::test]
async fn an_unknown_claim_is_ignored() {
    let scene = Scene::set();
    let token = scene.token_with(&json!({"later": {"than": "this"}}));
    assert!(scene.shows(&token).await.is_ok());
}

// T8, T9, T13
#[tokio::test]
async fn t8_t9_t13_each_claim_is_compared_with_the_expected_value() {
    let claims = Refusal::Forged(RejectedToken::Claims);
    for (change, refusal) in [
        (json!({"iss": "https://lanyard.example/"}), Refusal::Issuer),
        (json!({"iss": "https://Lanyard.example"}), Refusal::Issuer),
        (json!({"aud": "ticket"}), Refusal::Audience),
        (json!({"aud": "Tickets"}), Refusal::Audience),
        (json!({"aud": ["tickets"]}), claims.clone()),
        (json!({"aud": ["tickets", "mail"]}), claims.clone()),
        (json!({"aud": null}), claims.clone()),
        (json!({"exp": null}), claims.clone()),
        (json!({"exp": START - 5}), Refusal::Expired),
        (json!({"exp": -1}), claims.clone()),
        (json!({"exp": "1900000000"}), claims.clone()),
        (json!({"iat": START + 6}), Refusal::NotYet),
        (json!({"nbf": START + 6}), Refusal::NotYet),
        (json!({"jti": "x"}), claims.clone()),
        (json!({"task": null}), claims.clone()),
        (json!({"role": "root"}), claims.clone()),
        (json!({"scope": ["tickets.read"]}), claims.clone()),
        (json!({"cnf": {}}), claims.clone()),
        (json!({"cnf": {"jwk": {}}}), claims.clone()),
        (
            json!({"cnf": {"jkt": "a", "x5t#S256": "b"}}),
            claims.clone(),
        ),
        (json!({"status": null}), Refusal::NoStatus),
        (json!({"status": {}}), claims.clone()),
    ] {
        let scene = Scene::set();
        let token = scene.token_with(&change);
        assert_eq!(scene.shows(&token).await, Err(refusal), "{change}");
    }
}

// T13
#[tokio::test]
async fn t13_clocks_may_differ_by_five_seconds() {
    let scene = Scene::set();
    for change in [
        json!({"exp": START - 4}),
        json!({"iat": START + 5}),
        json!({"nbf": START + 5}),
    ] {
        let token = scene.token_with(&change);
        assert!(scene.shows(&token).await.is_ok(), "{change}");
    }
}

// T1 to T5
#[tokio::test]
async fn t1_t2_t3_t4_t5_the_header_chooses_nothing() {
    let scene = Scene::set();
    let payload = scene.claims().to_string();
    let long = format!(
        r#"{{"typ":"at+jwt","alg":"EdDSA","kid":"{}"}}"#,
        "k".repeat(10_000)
    );
    for header in [
        r#"{"typ":"at+jwt","alg":"none","kid":"one"}"#,
        r#"{"typ":"at+jwt","alg":"HS256","kid":"one"}"#,
        r#"{"typ":"at+jwt","alg":"RS256","kid":"one"}"#,
        r#"{"typ":"at+jwt","alg":"ES256","kid":"one"}"#,
        r#"{"typ":"at+jwt","alg":"eddsa","kid":"one"}"#,
        r#"{"typ":"JWT","alg":"EdDSA","kid":"one"}"#,
        r#"{"typ":"lanyard-session+jwt","alg":"EdDSA","kid":"one"}"#,
        r#"{"typ":"statuslist+jwt","alg":"EdDSA","kid":"one"}"#,
        r#"{"typ":"AT+JWT","alg":"EdDSA","kid":"one"}"#,
        r#"{"alg":"EdDSA","kid":"one"}"#,
        r#"{"typ":"at+jwt","alg":"EdDSA"}"#,
        r#"{"typ":"at+jwt","alg":"EdDSA","kid":"two"}"#,
        r#"{"typ":"at+jwt","alg":"EdDSA","kid":"../one"}"#,
        r#"{"typ":"at+jwt","alg":"EdDSA","kid":"one","kid":"one"}"#,
        r#"{"typ":"at+jwt","alg":"EdDSA","kid":"one","jku":"https://evil.example"}"#,
        r#"{"typ":"at+jwt","alg":"EdDSA","kid":"one","x5u":"https://evil.example"}"#,
        r#"{"typ":"at+jwt","alg":"EdDSA","kid":"one","jwk":{}}"#,
        r#"{"typ":"at+jwt","alg":"EdDSA","kid":"one","crit":["b64"],"b64":false}"#,
        r#"{"typ":"at+jwt","alg":"EdDSA","kid":"one","enc":"A128GCM"}"#,
        "null",
        long.as_str(),
    ] {
        let token = scene.key.jws(header, &payload);
        let refused = scene.shows(&token).await;
        assert!(
            matches!(refused, Err(Refusal::Forged(_))),
            "{header}: {refused:?}"
        );
    }
    let asked = scene.documents.all_asked();
    assert_eq!(asked, [KEYS], "nothing in a token is an address to ask");
}

#[tokio::test]
async fn another_key_of_the_same_name_signs_nothing() {
    let scene = Scene::set();
    let token = Key::named("one").sign("at+jwt", &scene.claims());
    let forged = Refusal::Forged(RejectedToken::Signature);
    assert_eq!(scene.shows(&token).await, Err(forged));
}

#[tokio::test]
async fn no_token_with_a_changed_character_is_accepted() {
    let scene = Scene::set();
    let token = scene.token();
    assert!(scene.shows(&token).await.is_ok());
    for place in 0..token.len() {
        let mut bytes = token.clone().into_bytes();
        bytes[place] = if bytes[place] == b'A' { b'B' } else { b'A' };
        let changed = String::from_utf8(bytes).unwrap();
        assert!(scene.shows(&changed).await.is_err(), "{changed}");
        assert!(scene.shows(&token[..place]).await.is_err());
    }
    let padded = format!("{token}=");
    for odd in [
        padded.as_str(),
        "",
        ".",
        "..",
        "a.b.c.d.e",
        r#"{"payload":""}"#,
    ] {
        assert!(scene.shows(odd).await.is_err(), "{odd}");
    }
}

// T5
#[tokio::test]
async fn t5_a_repeated_claim_is_refused() {
    let scene = Scene::set();
    let claims = scene.claims().to_string();
    let twice = claims.replacen('{', r#"{"aud":"tickets","#, 1);
    let token = scene
        .key
        .jws(r#"{"typ":"at+jwt","alg":"EdDSA","kid":"one"}"#, &twice);
    let claims = Refusal::Forged(RejectedToken::Claims);
    assert_eq!(scene.shows(&token).await, Err(claims));
}

#[tokio::test]
async fn a_broker_that_signs_with_es256_is_understood() {
    let scene = Scene::set();
    let (random, algorithm) = (SystemRandom::new(), &ECDSA_P256_SHA256_FIXED_SIGNING);
    let pkcs8 = EcdsaKeyPair::generate_pkcs8(algorithm, &random).unwrap();
    let pair = EcdsaKeyPair::from_pkcs8(algorithm, pkcs8.as_ref(), &random).unwrap();
    let (x, y) = pair.public_key().as_ref()[1..].split_at(32);
    let jwk = json!({"kty": "EC", "crv": "P-256", "x": b64(x), "y": b64(y), "kid": "ec"});
    let keys = json!({"keys": [scene.key.published(), jwk]});
    scene.documents.put(KEYS, keys.to_string());
    let header = r#"{"typ":"at+jwt","alg":"ES256","kid":"ec"}"#;
    let message = format!("{}.{}", b64(header), b64(scene.claims().to_string()));
    let signature = pair.sign(&random, message.as_bytes()).unwrap();
    let token = format!("{message}.{}", b64(signature));
    assert!(scene.shows(&token).await.is_ok());
}

#[tokio::test]
async fn a_request_shows_one_token_in_one_way() {
    let scene = Scene::set();
    let token = scene.token();
    let bearer = format!("Bearer {token}");
    for (headers, refusal) in [
        (vec![], Refusal::Absent),
        (vec![("authorization", token.as_str())], Refusal::Absent),
        (vec![("authorization", "Basic eDp5")], Refusal::Absent),
        (vec![("dpop", "x")], Refusal::Absent),
        (
            vec![
                ("authorization", bearer.as_str()),
                ("authorization", bearer.as_str()),
            ],
            Refusal::Ambiguous,
        ),
    ] {
        let refused = scene.verifier.accept(&head(&headers)).await;
        assert_eq!(refused, Err(refusal), "{headers:?}");
    }
    for scheme in ["bearer", "BEARER", "Bearer  "] {
        let shown = head(&[("authorization", &format!("{scheme} {token}"))]);
        assert!(scene.verifier.accept(&shown).await.is_ok(), "{scheme}");
    }
}
