//! Agents of issuers of the tests' own: what is accepted from them, and what comes of it.

use anyhow::{Context, Result};
use lanyard_in_process::usual;
use lanyard_tests::keys::{Key, fresh, now};
use lanyard_tests::{Stage, until};
use serde_json::{Value, json};

const MINE: &str = "  - issuer: https://mine.example\n    kind: agents\n    jwks_file: mine.json\n    claims: [team]\n";
const EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
const JWT: &str = "urn:ietf:params:oauth:token-type:jwt";
const SESSION: &str = "urn:lanyard:params:oauth:token-type:session";

/// A stage that believes a key of the tests, and lets its agents into the charter.
fn stage(key: &Key, agent: &str) -> Result<Stage> {
    let stage = usual()?.with_issuers(&[("mine.json", &key.jwks())], MINE)?;
    stage.admit(agent)?;
    Ok(stage)
}

fn claims() -> Result<Value> {
    Ok(
        json!({"iss": "https://mine.example", "sub": "runner:7", "aud": "lanyard-dev",
        "iat": now()?, "exp": now()? + 120, "jti": fresh()?, "team": "support"}),
    )
}

const AGENT: &str = "    - issuer: https://mine.example\n      subject: runner:7\n";

/// The form of an exchange for a credential under a grant.
fn asking(token: &str) -> Vec<(&str, &str)> {
    vec![
        ("grant_type", EXCHANGE),
        ("subject_token", token),
        ("subject_token_type", JWT),
        ("charter", "ticket-router"),
        ("environment", "staging"),
        ("reason", "ticket 12"),
        ("grant", "read-tickets"),
    ]
}

/// The form of an exchange for a session.
fn beginning(token: &str) -> [(&str, &str); 4] {
    [
        ("grant_type", EXCHANGE),
        ("subject_token", token),
        ("subject_token_type", JWT),
        ("requested_token_type", SESSION),
    ]
}

fn text<'a>(answer: &'a Value, name: &str) -> Result<&'a str> {
    let text = answer.get(name).and_then(Value::as_str);
    text.with_context(|| format!("no {name} in {answer}"))
}

#[test]
fn any_accepted_identity_is_exchanged_for_a_credential_under_a_grant_once() -> Result<()> {
    let key = Key::fresh()?;
    let stage = stage(&key, AGENT)?;
    let token = key.token(&claims()?);
    let (status, answer) = stage.post("/oauth2/token", &[], &asking(&token))?;
    assert_eq!(status, 200, "{answer}");
    assert_eq!(text(&answer, "token_type")?, "Bearer");
    let credential = text(&answer, "access_token")?.to_owned();
    let proof = stage.oncall.ok(&["identity"])?;
    assert!(stage.is_active(&credential, &proof)?);

    // T12
    let (status, answer) = stage.post("/oauth2/token", &[], &asking(&token))?;
    assert_eq!((status, text(&answer, "error")?), (401, "invalid_client"));

    // T57: a request that is sent again has had its secret, and its task goes on.
    for expected in [200, 400] {
        let token = key.token(&claims()?);
        let form = [&asking(&token)[..], &[("request_id", "retry-1")]].concat();
        let (status, answer) = stage.post("/oauth2/token", &[], &form)?;
        assert_eq!(status, expected, "{answer}");
    }
    assert!(stage.is_active(&credential, &stage.oncall.ok(&["identity"])?)?);

    // A client assertion (RFC 7523) is the same proof in another place.
    let assertion = key.token(&claims()?);
    let mut form = asking(&assertion);
    form.splice(
        0..3,
        [
            ("grant_type", "client_credentials"),
            ("client_assertion", assertion.as_str()),
            (
                "client_assertion_type",
                "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
            ),
        ],
    );
    let (status, answer) = stage.post("/oauth2/token", &[], &form)?;
    assert_eq!(status, 200, "{answer}");
    Ok(())
}

#[test]
fn t12_what_was_used_stays_used_after_a_crash() -> Result<()> {
    let key = Key::fresh()?;
    let mut stage = stage(&key, AGENT)?;
    let token = key.token(&claims()?);
    let (status, answer) = stage.post("/oauth2/token", &[], &asking(&token))?;
    assert_eq!(status, 200, "{answer}");
    stage.daemon = stage.daemon.serve_again(|config| config)?;
    let (status, _) = stage.post("/oauth2/token", &[], &asking(&token))?;
    assert_eq!(status, 401);
    let another = key.token(&claims()?);
    until(|| Ok(stage.post("/oauth2/token", &[], &asking(&another))?.0 != 403))?;
    Ok(())
}

#[test]
fn t12_the_first_key_that_shows_a_token_owns_it_and_what_is_minted_for_it() -> Result<()> {
    let (key, held, another) = (Key::fresh()?, Key::fresh()?, Key::fresh()?);
    let stage = stage(&key, AGENT)?;
    // Older than an unbound token may be.
    let mut claims = claims()?;
    claims["iat"] = json!(now()? - 1800);
    claims["exp"] = json!(now()? + 1800);
    let token = key.token(&claims);
    let url = stage.url("/oauth2/token");
    let ask = |key: Option<&Key>| -> Result<(u16, Value)> {
        let proof = key.map(|key| key.proof(&url, None)).transpose()?;
        let header = proof.as_deref().map(|proof| ("dpop", proof));
        let headers: Vec<_> = header.into_iter().collect();
        stage.post("/oauth2/token", &headers, &asking(&token))
    };
    assert_eq!(ask(None)?.0, 401);
    let (status, answer) = ask(Some(&held))?;
    assert_eq!(status, 200, "{answer}");
    assert_eq!(text(&answer, "token_type")?, "DPoP");
    assert_eq!(ask(Some(&another))?.0, 401);
    assert_eq!(ask(Some(&held))?.0, 200);

    let credential = text(&answer, "access_token")?;
    let proof = stage.oncall.ok(&["identity"])?;
    let (_, seen) = stage.post(
        "/oauth2/introspect",
        &[("authorization", &format!("Bearer {proof}"))],
        &[("token", credential)],
    )?;
    assert_eq!(seen.pointer("/cnf/jkt"), Some(&json!(held.thumbprint())));
    assert_eq!(text(&seen, "token_type")?, "DPoP");

    // Whoever found the token cannot report with it.
    let report = |headers: &[(&str, &str)]| {
        let body = r#"{"tool": "curl", "action": "ticket.move", "outcome": "succeeded"}"#;
        let answer = stage.daemon.http("POST", "/v1/actions", headers, body)?;
        let status = answer.split(' ').nth(1).map(str::to_owned);
        status.context("no status")
    };
    let bearer = format!("Bearer {credential}");
    assert_eq!(report(&[("authorization", &bearer)])?, "401");
    let proof = held.proof(&stage.url("/v1/actions"), Some(credential))?;
    let dpop = format!("DPoP {credential}");
    let reported = report(&[("authorization", &dpop), ("dpop", &proof)])?;
    assert_eq!(reported, "200");
    Ok(())
}

#[test]
fn a_session_is_good_for_its_key_alone_and_ends_when_that_says_so() -> Result<()> {
    let (key, held, another) = (Key::fresh()?, Key::fresh()?, Key::fresh()?);
    let stage = stage(&key, AGENT)?;
    let url = stage.url("/oauth2/token");
    let token = key.token(&claims()?);
    let (status, answer) = stage.post("/oauth2/token", &[], &beginning(&token))?;
    assert_eq!((status, text(&answer, "error")?), (400, "invalid_request"));
    let token = key.token(&claims()?);
    let ask = beginning(&token);
    let proof = held.proof(&url, None)?;
    let (status, answer) = stage.post("/oauth2/token", &[("dpop", &proof)], &ask)?;
    assert_eq!(status, 200, "{answer}");
    let session = text(&answer, "access_token")?.to_owned();

    let introspect = stage.url("/oauth2/introspect");
    let asked_by = |key: &Key, scheme: &str| -> Result<u16> {
        let proof = key.proof(&introspect, Some(&session))?;
        let authorization = format!("{scheme} {session}");
        let headers = [("authorization", authorization.as_str()), ("dpop", &proof)];
        Ok(stage
            .post("/oauth2/introspect", &headers, &[("token", "x")])?
            .0)
    };
    assert_eq!(asked_by(&held, "DPoP")?, 200);
    assert_eq!(asked_by(&another, "DPoP")?, 401);
    let bearer = format!("Bearer {session}");
    let alone = stage.post(
        "/oauth2/introspect",
        &[("authorization", &bearer)],
        &[("token", "x")],
    )?;
    assert_eq!(alone.0, 401);

    // It does not prolong itself.
    let proof = held.proof(&url, None)?;
    let (status, answer) =
        stage.post("/oauth2/token", &[("dpop", &proof)], &beginning(&session))?;
    assert_eq!((status, text(&answer, "error")?), (400, "invalid_request"));

    // A proof is good once, and for one request.
    let proof = held.proof(&introspect, Some(&session))?;
    let authorization = format!("DPoP {session}");
    let headers = [("authorization", authorization.as_str()), ("dpop", &proof)];
    assert_eq!(
        stage.post("/oauth2/revoke", &headers, &[("token", "x")])?.0,
        200
    );
    assert_eq!(
        stage
            .post("/oauth2/introspect", &headers, &[("token", "x")])?
            .0,
        200
    );
    assert_eq!(
        stage
            .post("/oauth2/introspect", &headers, &[("token", "x")])?
            .0,
        401
    );

    let end = |key: &Key| -> Result<u16> {
        let proof = key.proof(&stage.url("/oauth2/revoke"), Some(&session))?;
        let headers = [("authorization", authorization.as_str()), ("dpop", &proof)];
        Ok(stage
            .post("/oauth2/revoke", &headers, &[("token", &session)])?
            .0)
    };
    // Nothing is said, and nothing has ended.
    assert_eq!(end(&another)?, 200);
    assert_eq!(asked_by(&held, "DPoP")?, 200);
    assert_eq!(end(&held)?, 200);
    assert_eq!(asked_by(&held, "DPoP")?, 401);
    Ok(())
}

#[test]
fn a_person_kills_at_the_kill_plane_by_a_login_that_proves_its_key() -> Result<()> {
    let (held, another) = (Key::fresh()?, Key::fresh()?);
    let stage = usual()?;
    let token = stage.oncall.ok(&["identity"])?;
    let proof = held.proof(&stage.url("/oauth2/token"), None)?;
    let (status, answer) = stage.post("/oauth2/token", &[("dpop", &proof)], &beginning(&token))?;
    assert_eq!(status, 200, "{answer}");
    let session = text(&answer, "access_token")?.to_owned();

    let plane = format!("https://{}/v1/kill", stage.daemon.kill_address());
    let kill = |scheme: &str, proof: Option<&str>| -> Result<String> {
        let authorization = format!("{scheme} {session}");
        let own = [("authorization", authorization.as_str())];
        let proof = proof.map(|proof| ("dpop", proof));
        let headers: Vec<_> = own.into_iter().chain(proof).collect();
        let body = r#"{"scope": {"charter": "ticket-router"}, "reason": "it loops"}"#;
        stage.daemon.kill_plane(&headers, body)
    };
    // Whoever found the session stops nothing with it: without its key, by another one, or by a
    // proof for another call or another broker.
    let by_another = another.proof(&plane, Some(&session))?;
    let of_a_call = held.proof(&stage.url("/v1/actions"), Some(&session))?;
    let elsewhere = held.proof("https://elsewhere.example/v1/kill", Some(&session))?;
    for (scheme, proof) in [
        ("Bearer", None),
        ("DPoP", None),
        ("DPoP", Some(by_another.as_str())),
        ("DPoP", Some(&of_a_call)),
        ("DPoP", Some(&elsewhere)),
    ] {
        let answer = kill(scheme, proof)?;
        assert!(answer.starts_with("HTTP/1.1 401"), "{scheme}: {answer}");
    }
    assert_eq!(stage.oncall.json(&["kill", "list"])?, json!([]));

    let proof = held.proof(&plane, Some(&session))?;
    let answer = kill("DPoP", Some(&proof))?;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert!(answer.contains(r#""durable":true"#), "{answer}");
    let orders = stage.oncall.json(&["kill", "list"])?;
    let order = orders.as_array().and_then(|all| all.first());
    let by = order.and_then(|order| order["by"].as_str());
    assert!(by.is_some_and(|by| by.contains("oncall")), "{orders}");
    // No kill waits for the replay cache: a proof that was used stops once more.
    let again = kill("DPoP", Some(&proof))?;
    assert!(again.starts_with("HTTP/1.1 200"), "{again}");
    Ok(())
}

#[test]
fn a_charter_asks_what_the_issuer_says_and_for_a_key() -> Result<()> {
    let (key, held) = (Key::fresh()?, Key::fresh()?);
    let agent = "    - issuer: https://mine.example\n      subject: runner:7\n      claims: {team: support}\n";
    let stage = stage(&key, agent)?;
    let denied = |changed: &Value| -> Result<String> {
        let token = key.token(changed);
        let (status, answer) = stage.post("/oauth2/token", &[], &asking(&token))?;
        assert_eq!(status, 403, "{answer}");
        Ok(text(&answer, "error_description")?.to_owned())
    };
    let mut other = claims()?;
    other["team"] = json!("billing");
    // T15: to whom the charter does not speak it looks as if there were none.
    assert!(denied(&other)?.contains("no such charter is in force for you"));
    let mut listed = claims()?;
    listed["team"] = json!(["support"]);
    denied(&listed)?;
    let token = key.token(&claims()?);
    assert_eq!(stage.post("/oauth2/token", &[], &asking(&token))?.0, 200);

    stage.amend("  requires: [proof-of-possession]\n")?;
    assert!(denied(&claims()?)?.contains("did not show that it holds a key"));
    let proof = held.proof(&stage.url("/oauth2/token"), None)?;
    let token = key.token(&claims()?);
    let shown = stage.post("/oauth2/token", &[("dpop", &proof)], &asking(&token))?;
    assert_eq!(shown.0, 200, "{}", shown.1);
    Ok(())
}

#[test]
fn who_is_refused_too_often_is_not_listened_to_for_a_while() -> Result<()> {
    let (key, held, another) = (Key::fresh()?, Key::fresh()?, Key::fresh()?);
    let stage = stage(&key, AGENT)?;
    let url = stage.url("/oauth2/token");
    let token = key.token(&claims()?);
    let ask = |key: &Key| -> Result<u16> {
        let proof = key.proof(&url, None)?;
        Ok(stage
            .post("/oauth2/token", &[("dpop", &proof)], &asking(&token))?
            .0)
    };
    assert_eq!(ask(&held)?, 200);
    let refusals = (0..21).map(|_| ask(&another)).collect::<Result<Vec<_>>>()?;
    assert_eq!(
        (refusals.first(), refusals.last()),
        (Some(&401), Some(&429))
    );
    // Nobody else is held up.
    stage.oncall.ok(&["whoami"])?;
    Ok(())
}

#[test]
fn the_metadata_says_where_everything_is() -> Result<()> {
    let stage = usual()?;
    let answer = stage
        .daemon
        .http("GET", "/.well-known/oauth-authorization-server", &[], "")?;
    let (_, body) = answer.split_once("\r\n\r\n").context("no body")?;
    let body: Value = serde_json::from_str(body)?;
    assert_eq!(text(&body, "issuer")?, "https://dev.lanyard.invalid");
    assert_eq!(
        text(&body, "token_endpoint")?,
        "https://dev.lanyard.invalid/oauth2/token"
    );
    Ok(())
}
