//! Identity providers and OAuth clients as they are, at every way in of a real daemon.

use anyhow::{Context, Result};
use lanyard_tests::keys::{Key, fresh, now};
use lanyard_tests::{Stage, until};
use serde_json::{Value, json};

const ISSUER: &str = "https://login.example";
const EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
const JWT: &str = "urn:ietf:params:oauth:token-type:jwt";
const SESSION: &str = "urn:lanyard:params:oauth:token-type:session";

/// A stage whose people come from an issuer of the tests, with their groups there.
fn stage(key: &Key, groups_claim: &str) -> Result<Stage> {
    let people = format!(
        "  - issuer: {ISSUER}\n    kind: operators\n    jwks_file: login.json\n    groups_claim: {groups_claim}\n    \
         roles: {{viewer: [oncall], on-call: [oncall]}}\n"
    );
    let stage = Stage::believing(&[("login.json", &key.jwks())], &people)?;
    let context = json!({"endpoint": stage.url(""), "ca_file": "../dev-ca.pem",
        "identity": {"token_file": "carol.jwt"}});
    let file = stage.directory.path().join("contexts/carol.json");
    std::fs::write(file, context.to_string())?;
    Ok(stage)
}

/// The claims of a person, with these besides.
fn claims(more: &Value) -> Result<Value> {
    let mut claims = json!({"iss": ISSUER, "sub": "carol", "aud": "lanyard-dev", "iat": now()?,
        "exp": now()? + 240, "jti": fresh()?});
    let more = more.as_object().context("no claims")?.clone();
    claims.as_object_mut().context("no claims")?.extend(more);
    Ok(claims)
}

/// As many groups as Entra ID puts into a token, the last of which has a role.
fn groups(count: usize) -> Value {
    let guids = (1..count).map(|at| format!("{at:08x}-1111-2222-3333-444444444444"));
    let all: Vec<_> = guids.chain(["oncall".to_owned()]).collect();
    json!({"groups": all, "name": "Carol Example", "preferred_username": "carol@acme.example"})
}

/// Has the context `carol` show this token.
fn whoami(stage: &Stage, token: &str) -> Result<lanyard_rig::Answer> {
    let folder = stage.directory.path().join("contexts");
    std::fs::write(folder.join("carol.jwt"), token)?;
    stage.daemon.cli("carol")?.run(&["whoami"])
}

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

/// Introspects nothing, as whoever shows this session with this key; the status.
fn introspected(stage: &Stage, session: &str, held: &Key) -> Result<u16> {
    let url = stage.url("/oauth2/introspect");
    let proof = held.proof(&url, Some(session))?;
    let authorization = format!("DPoP {session}");
    let headers = [("authorization", authorization.as_str()), ("dpop", &proof)];
    Ok(stage
        .post("/oauth2/introspect", &headers, &[("token", "x")])?
        .0)
}

#[test]
fn d12_a_token_of_two_hundred_groups_comes_in_by_every_way() -> Result<()> {
    let (key, held) = (Key::fresh()?, Key::fresh()?);
    let stage = stage(&key, "groups")?;
    let token = || anyhow::Ok(key.token(&claims(&groups(200))?));
    assert!(token()?.len() > 10_000);
    // gRPC, by the command line.
    let me = whoami(&stage, &token()?)?;
    assert_eq!(me.code, 0, "{me:?}");
    assert!(me.stdout.contains("viewer, on-call"), "{me:?}");
    // A header of HTTP, and the form of an exchange.
    let bearer = format!("Bearer {}", token()?);
    let headers = [("authorization", bearer.as_str())];
    let (status, answer) = stage.post("/oauth2/introspect", &headers, &[("token", "x")])?;
    assert_eq!(status, 200, "{answer}");
    let proof = held.proof(&stage.url("/oauth2/token"), None)?;
    let (status, answer) =
        stage.post("/oauth2/token", &[("dpop", &proof)], &beginning(&token()?))?;
    assert_eq!(status, 200, "{answer}");
    // The session has the groups too.
    let session = text(&answer, "access_token")?;
    assert!(session.len() > 10_000);
    assert_eq!(introspected(&stage, session, &held)?, 200);
    let order = stage
        .daemon
        .kill_plane(&headers, r#"{"scope":"all","reason":"trial"}"#)?;
    assert!(order.contains(" 200 "), "{order}");

    // What is longer says by how much, to its holder too.
    let long = key.token(&claims(&groups(400))?);
    let said = format!("the token has {} bytes, the limit is 16384", long.len());
    let (status, answer) = stage.post("/oauth2/token", &[], &beginning(&long))?;
    assert_eq!((status, text(&answer, "reason")?), (401, "TOKEN_TOO_LONG"));
    assert!(
        text(&answer, "error_description")?.contains(&said),
        "{answer}"
    );
    let me = whoami(&stage, &long)?;
    assert_eq!(me.code, 4, "{me:?}");
    assert!(me.stderr.contains(&said), "{me:?}");
    assert!(stage.daemon.log().contains(&said));
    Ok(())
}

// No broker reads a head of this size, and none can answer it with a sentence.
#[test]
fn d12_a_token_too_long_for_a_request_is_refused_with_its_length() -> Result<()> {
    let key = Key::fresh()?;
    let stage = stage(&key, "groups")?;
    let endless = key.token(&claims(&groups(1000))?);
    assert!(endless.len() > 40_000);
    let me = whoami(&stage, &endless)?;
    assert_eq!(me.code, 4, "{me:?}");
    let said = me.stderr.split_whitespace().collect::<Vec<_>>().join(" ");
    let line = format!(
        "not logged in: the token has {} bytes, and no request carries more than 30720: have its issuer put fewer groups and \
         claims into it",
        endless.len()
    );
    assert!(said.contains(&line), "{said}");
    Ok(())
}

#[test]
fn d13_whoever_logs_in_without_a_role_is_told_why() -> Result<()> {
    let (key, held) = (Key::fresh()?, Key::fresh()?);
    let stage = stage(&key, "[realm_access, roles]")?;
    let maps = "maps groups of this issuer to the roles viewer, on-call";
    for (more, said) in [
        (
            json!({"groups": ["oncall"]}),
            "the token has no claim `realm_access`",
        ),
        (
            json!({"realm_access": {"roles": ["a", "b"]}}),
            "`roles` in claim `realm_access` has 2 groups",
        ),
        (
            json!({"realm_access": {"roles": 7}}),
            "`roles` in claim `realm_access` is a number",
        ),
        (
            json!({"_claim_names": {"groups": "src1"}}),
            "too many (overage, over 200 at Entra ID)",
        ),
    ] {
        // A login ends in an exchange for a session.
        let token = key.token(&claims(&more)?);
        let proof = held.proof(&stage.url("/oauth2/token"), None)?;
        let (status, answer) =
            stage.post("/oauth2/token", &[("dpop", &proof)], &beginning(&token))?;
        assert_eq!(
            (status, text(&answer, "reason")?),
            (403, "ROLE_DENIED"),
            "{answer}"
        );
        let line = text(&answer, "error_description")?;
        assert!(
            line.contains("your login is accepted and gives you no role: "),
            "{line}"
        );
        assert!(line.contains(said) && line.contains(maps), "{line}");
        let me = whoami(&stage, &key.token(&claims(&more)?))?;
        assert_eq!(me.code, 0, "{me:?}");
        let shown = me.stdout.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(shown.contains("no role") && shown.contains(said), "{me:?}");
        // So is whoever asks for something that takes a role.
        let refused = stage.daemon.cli("carol")?.run(&["kill", "list"])?;
        assert!(refused.stderr.contains(said), "{refused:?}");
    }
    let good = json!({"realm_access": {"roles": "oncall"}});
    let me = whoami(&stage, &key.token(&claims(&good)?))?;
    assert!(
        me.stdout.contains("viewer, on-call") && !me.stdout.contains("no role"),
        "{me:?}"
    );
    until(|| Ok(stage.daemon.log().contains("a person has no role")))
}

#[test]
fn d37_forms_are_read_as_the_rfcs_have_it() -> Result<()> {
    let key = Key::fresh()?;
    let agents = format!("  - issuer: {ISSUER}\n    kind: agents\n    jwks_file: login.json\n");
    let stage = Stage::believing(&[("login.json", &key.jwks())], &agents)?;
    stage.admit(&format!("    - issuer: {ISSUER}\n      subject: carol\n"))?;
    let asked = |more: &[(&str, &str)]| -> Result<(u16, Value)> {
        let token = key.token(&claims(&json!({}))?);
        let usual = [
            ("grant_type", EXCHANGE),
            ("subject_token", token.as_str()),
            ("subject_token_type", JWT),
            ("charter", "ticket-router"),
            ("environment", "staging"),
            ("reason", "ticket 12"),
            ("grant", "read-tickets"),
        ];
        let replaced = |name: &str| more.iter().any(|(other, _)| *other == name);
        let mut form: Vec<_> = usual
            .into_iter()
            .filter(|(name, _)| !replaced(name))
            .collect();
        form.extend(more);
        stage.post("/oauth2/token", &[], &form)
    };
    until(|| Ok(asked(&[])?.0 == 200))?;
    for more in [
        &[("scope", "")][..],
        &[("audience", ""), ("resource", "")],
        &[("actor_token", ""), ("actor_token_type", "")],
        &[
            ("task", ""),
            ("ticket", ""),
            ("plan", ""),
            ("ttl", ""),
            ("request_id", ""),
        ],
        &[("requested_token_type", "")],
        &[("client_id", "x"), ("foo", "bar")],
        &[("client_assertion", ""), ("client_assertion_type", "")],
        &[(
            "requested_token_type",
            "urn:ietf:params:oauth:token-type:access_token",
        )],
    ] {
        let (status, answer) = asked(more)?;
        assert_eq!(status, 200, "{more:?}: {answer}");
    }
    for (more, error, said) in [
        (
            &[("task", "a"), ("task", "b")][..],
            "invalid_request",
            "task: stands there twice",
        ),
        (
            &[("foo", ""), ("foo", "")],
            "invalid_request",
            "foo: stands there twice",
        ),
        (
            &[("scope", "x")],
            "invalid_scope",
            "scope: is not understood here",
        ),
        (
            &[("audience", "x")],
            "invalid_target",
            "audience: is not understood here",
        ),
        (
            &[("resource", "https://x")],
            "invalid_target",
            "resource: is not understood",
        ),
        (
            &[("grant_type", "")],
            "invalid_request",
            "grant_type: must be given",
        ),
        (
            &[("grant_type", "password")],
            "unsupported_grant_type",
            "grant_type: has to be",
        ),
        (
            &[("subject_token", "")],
            "invalid_request",
            "subject_token: must be given",
        ),
        (
            &[("charter", "")],
            "invalid_request",
            "charter: must be given, or a task",
        ),
        (&[("grant", "")], "invalid_request", "grant: must be given"),
        (
            &[("ttl", "soon")],
            "invalid_request",
            "ttl: has to be a number",
        ),
        (&[("ttl", "0")], "invalid_request", "ttl: "),
    ] {
        let (status, answer) = asked(more)?;
        assert_eq!(
            (status, text(&answer, "error")?),
            (400, error),
            "{more:?}: {answer}"
        );
        assert!(
            text(&answer, "error_description")?.starts_with(said),
            "{answer}"
        );
    }
    // The other endpoints read forms the same way.
    let bearer = format!("Bearer {}", stage.oncall.ok(&["identity"])?);
    let headers = [("authorization", bearer.as_str())];
    let form = [("token", "x"), ("token_type_hint", "")];
    assert_eq!(stage.post("/oauth2/introspect", &headers, &form)?.0, 200);
    assert_eq!(stage.post("/oauth2/revoke", &[], &form)?.0, 200);
    for form in [&[("token", "")][..], &[], &[("token", "x"), ("token", "y")]] {
        let (status, answer) = stage.post("/oauth2/revoke", &[], form)?;
        assert_eq!((status, text(&answer, "error")?), (400, "invalid_request"));
    }
    Ok(())
}

#[test]
fn d30_events_that_stop_nothing_are_taken_and_counted() -> Result<()> {
    let key = Key::fresh()?;
    let address = lanyard_rig::free_port()?;
    let stage = Stage::configured(
        &[("sso.json", &key.jwks())],
        &format!(
            "metrics_listen: {address}\ncaep_transmitters:\n  \
             - {{name: sso, issuer: '{ISSUER}', audience: 'https://lanyard.example/ssf', jwks_file: sso.json}}"
        ),
    )?;
    let post = |more: &Value| -> Result<(String, Value)> {
        let mut event = json!({"iss": ISSUER, "aud": "https://lanyard.example/ssf", "iat": now()?, "jti": fresh()?});
        for (name, value) in more.as_object().context("no claims")? {
            event[name] = value.clone();
        }
        let header = json!({"alg": "EdDSA", "kid": "one", "typ": "secevent+jwt"});
        let token = key.jws(&header.to_string(), &event.to_string());
        let answer = stage.daemon.kill_plane_at("/v1/hooks/caep", &[], &token)?;
        let status = answer.split(' ').nth(1).context("no status")?.to_owned();
        let (_, body) = answer.split_once("\r\n\r\n").context("no body")?;
        Ok((status, serde_json::from_str(body).unwrap_or_default()))
    };
    let base = "https://schemas.openid.net/secevent/";
    let (updated, revoked) = (
        format!("{base}ssf/event-type/stream-updated"),
        format!("{base}caep/event-type/session-revoked"),
    );
    let email = json!({"format": "email", "email": "alice@acme.example"});
    for event in [
        json!({"events": {&updated: {"status": "paused"}}, "sub_id": {"format": "opaque", "id": "s"}}),
        json!({"events": {&revoked: {}}, "sub_id": email}),
    ] {
        assert_eq!(post(&event)?.0, "202", "{event}");
    }
    let (status, said) = post(&json!({"events": {}}))?;
    assert_eq!(
        (status.as_str(), text(&said, "err")?),
        ("400", "invalid_request")
    );
    assert!(text(&said, "description")?.contains("`events`"), "{said}");
    assert_eq!(stage.oncall.json(&["kill", "list"])?, json!([]));
    let log = stage.daemon.log();
    assert!(
        log.contains("a revoked session stops nothing") && !log.contains("alice@"),
        "{log}"
    );
    until(|| {
        let served = stage.daemon.http_on(address, "/metrics")?;
        let counted = |outcome: &str, transmitter: &str, count: u32| {
            let line = format!(
                "lanyard_security_events_total{{transmitter=\"{transmitter}\",outcome=\"{outcome}\"}} {count}"
            );
            served.contains(&line)
        };
        Ok(counted("unused", "sso", 2) && counted("refused", "", 1))
    })
}
