//! Tokens that must not be believed, each shown to a running daemon, with one that must be to
//! compare.

use anyhow::{Context, Result};
use lanyard_tests::issuer::{Keys, Provider};
use lanyard_tests::keys::{Key, b64, fresh, now};
use lanyard_tests::{Stage, until};
use serde_json::{Value, json};

const MINE: &str = "  - issuer: https://mine.example\n    kind: agents\n    jwks_file: mine.json\n";

/// A stage on which hostile tokens are tried.
struct Trial {
    stage: Stage,
    key: Key,
}

impl Trial {
    fn new() -> Result<Self> {
        let key = Key::fresh()?;
        let stage = Stage::believing(&[("mine.json", &key.jwks())], MINE)?;
        Ok(Self { stage, key })
    }

    fn believed(&self, token: &str) -> Result<bool> {
        believed(&self.stage, token)
    }

    fn signed(&self, header: &Value, claims: &Value) -> String {
        self.key.jws(&header.to_string(), &claims.to_string())
    }

    /// None of these is believed; the usual one still is.
    fn none_of(&self, tokens: impl IntoIterator<Item = (String, String)>) -> Result<()> {
        for (what, token) in tokens {
            assert!(!self.believed(&token)?, "{what}");
        }
        assert!(self.believed(&self.key.token(&claims()?))?);
        Ok(())
    }
}

fn believed(stage: &Stage, token: &str) -> Result<bool> {
    let bearer = format!("Bearer {token}");
    let headers = [("authorization", bearer.as_str())];
    match stage.post("/oauth2/introspect", &headers, &[("token", "x")])? {
        (200, _) => Ok(true),
        // Nothing but that it was not.
        (401, answer) => {
            assert_eq!(
                answer,
                json!({"error": "invalid_client", "error_description": "no accepted identity was presented",
                    "reason": "UNAUTHENTICATED"})
            );
            Ok(false)
        }
        other => anyhow::bail!("{other:?}"),
    }
}

fn claims() -> Result<Value> {
    claims_of("https://mine.example")
}

fn claims_of(issuer: &str) -> Result<Value> {
    Ok(
        json!({"iss": issuer, "sub": "runner:7", "aud": "lanyard-dev", "iat": now()?, "exp": now()? + 120,
        "jti": fresh()?}),
    )
}

fn with(name: &str, value: Value) -> Result<Value> {
    let mut claims = claims()?;
    let members = claims.as_object_mut().context("no claims")?;
    members.insert(name.to_owned(), value);
    Ok(claims)
}

fn header() -> Value {
    json!({"alg": "EdDSA", "typ": "JWT", "kid": "one"})
}

fn headed(name: &str, value: Value) -> Value {
    let mut header = header();
    if let Some(members) = header.as_object_mut() {
        members.insert(name.to_owned(), value);
    }
    header
}

#[test]
fn t1_t2_t3_t4_the_header_chooses_nothing() -> Result<()> {
    let trial = Trial::new()?;
    let mut tokens = Vec::new();
    for alg in [
        "none", "None", "nOnE", "HS256", "HS512", "RS256", "ES256", "PS256", "EdDSA2", "",
    ] {
        let header = headed("alg", json!(alg));
        tokens.push((format!("alg {alg}"), trial.signed(&header, &claims()?)));
    }
    let unsigned = format!(
        "{}.{}.",
        b64(headed("alg", json!("none")).to_string()),
        b64(claims()?.to_string())
    );
    tokens.push(("unsigned".to_owned(), unsigned));
    // T2: the public key as the secret of an HMAC.
    let message = format!(
        "{}.{}",
        b64(headed("alg", json!("HS256")).to_string()),
        b64(claims()?.to_string())
    );
    let public = trial.key.public();
    let secret = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, public.as_bytes());
    let tag = b64(ring::hmac::sign(&secret, message.as_bytes()));
    tokens.push((
        "HMAC by the public key".to_owned(),
        format!("{message}.{tag}"),
    ));
    for kid in [
        "../../../etc/passwd",
        "one' OR '1'='1",
        "ONE",
        "one\u{0}",
        "",
        &"k".repeat(10_240),
    ] {
        tokens.push((
            format!("kid {kid:.20}"),
            trial.signed(&headed("kid", json!(kid)), &claims()?),
        ));
    }
    let mallory = Key::fresh()?;
    let brought = [
        ("jwk", mallory.jwk()),
        ("jku", json!("https://evil.example/jwks")),
        ("x5u", json!("https://evil.example/cert")),
        ("x5c", json!(["MIIB"])),
    ];
    for (name, value) in brought {
        let header = headed(name, value).to_string();
        let token = mallory.jws(&header, &claims()?.to_string());
        tokens.push((name.to_owned(), token));
    }
    trial.none_of(tokens)
}

#[test]
fn t5_only_a_plain_compact_jws_is_read() -> Result<()> {
    let trial = Trial::new()?;
    let mut tokens = Vec::new();
    for (name, value) in [
        ("crit", json!(["exp"])),
        ("b64", json!(false)),
        ("zip", json!("DEF")),
        ("cty", json!("JWT")),
    ] {
        tokens.push((
            name.to_owned(),
            trial.signed(&headed(name, value), &claims()?),
        ));
    }
    let plain = trial.key.token(&claims()?);
    let parts: Vec<&str> = plain.split('.').collect();
    let [header, payload, signature] = parts.as_slice() else {
        anyhow::bail!("not three parts")
    };
    let serialised = json!({"protected": header, "payload": payload, "signature": signature});
    tokens.push(("JSON serialisation".to_owned(), serialised.to_string()));
    tokens.push(("JWE".to_owned(), format!("{plain}.AAAA.AAAA")));
    tokens.push(("padding".to_owned(), format!("{plain}=")));
    let twice = claims()?.to_string().replacen('{', r#"{"sub":"root","#, 1);
    tokens.push((
        "sub twice".to_owned(),
        trial.key.jws(&header_text(), &twice),
    ));
    let twice = claims()?.to_string().replacen('{', r#"{"x":1,"x":2,"#, 1);
    tokens.push(("x twice".to_owned(), trial.key.jws(&header_text(), &twice)));
    let twice = r#"{"alg":"none","alg":"EdDSA","kid":"one"}"#;
    tokens.push((
        "alg twice".to_owned(),
        trial.key.jws(twice, &claims()?.to_string()),
    ));
    trial.none_of(tokens)
}

fn header_text() -> String {
    header().to_string()
}

#[test]
fn t8_t9_t13_t14_claims_are_compared_byte_for_byte_and_times_hold() -> Result<()> {
    let trial = Trial::new()?;
    let now = now()?;
    let cases = [
        ("aud", json!("other")),
        ("aud", json!(["lanyard-dev", "other"])),
        ("aud", json!([])),
        ("aud", Value::Null),
        ("aud", json!("https://kubernetes.default.svc")),
        ("iss", json!("https://mine.example/")),
        ("iss", json!("https://MINE.example")),
        ("iss", json!("https://user@mine.example")),
        ("iss", json!("https://mine.example/x/..")),
        ("iss", json!("http://mine.example")),
        ("iss", Value::Null),
        ("exp", Value::Null),
        ("exp", json!(now - 31)),
        ("exp", json!(now + 100_000)),
        ("exp", json!("soon")),
        ("exp", json!(-1)),
        ("nbf", json!(now + 60)),
        ("iat", json!(now + 60)),
        ("iat", json!(now - 400)),
        ("sub", json!("")),
        ("sub", json!("r".repeat(2000))),
    ];
    let mut tokens = Vec::new();
    for (name, value) in cases {
        tokens.push((
            format!("{name} {value:.30}"),
            trial.key.token(&with(name, value)?),
        ));
    }
    trial.none_of(tokens)?;
    // T14: a subject is whom the bytes say, and the charter knows nobody else.
    trial
        .stage
        .admit("    - issuer: https://mine.example\n      subject: \"caf\u{e9}:7\"\n")?;
    let asked = |subject: &str| -> Result<u16> {
        let token = trial.key.token(&with("sub", json!(subject))?);
        Ok(trial
            .stage
            .post("/oauth2/token", &[], &asking(&token, &[]))?
            .0)
    };
    until(|| Ok(asked("caf\u{e9}:7")? == 200))?;
    for other in [
        "cafe\u{301}:7",
        "CAF\u{c9}:7",
        "caf\u{e9}:7 ",
        "\u{430}af\u{e9}:7",
    ] {
        assert_eq!(asked(other)?, 403, "{other}");
    }
    Ok(())
}

fn asking<'a>(token: &'a str, more: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    let usual = [
        (
            "grant_type",
            "urn:ietf:params:oauth:grant-type:token-exchange",
        ),
        ("subject_token", token),
        ("subject_token_type", "urn:ietf:params:oauth:token-type:jwt"),
        ("grant", "read-tickets"),
    ];
    let task = [
        ("charter", "ticket-router"),
        ("environment", "staging"),
        ("reason", "ticket 12"),
    ];
    let named = more.iter().any(|(name, _)| *name == "task");
    let task = if named { &[][..] } else { &task[..] };
    [&usual[..], task, more].concat()
}

#[test]
fn t15_t16_a_task_is_its_agents_alone_and_nobody_brings_a_chain_of_actors() -> Result<()> {
    let trial = Trial::new()?;
    let task = trial.stage.task()?;
    let ask = |task: &str| -> Result<(u16, Value)> {
        let token = trial.key.token(&claims()?);
        trial
            .stage
            .post("/oauth2/token", &[], &asking(&token, &[("task", task)]))
    };
    let (most, last) = task.split_at(task.len() - 1);
    let never = format!("{most}{}", if last == "0" { "1" } else { "0" });
    assert_eq!(ask(&task)?, ask(&never)?);

    trial
        .stage
        .admit("    - issuer: https://mine.example\n      subject: runner:7\n")?;
    let act = json!({"sub": "root", "act": {"sub": "deeper"}});
    let exchanged = || -> Result<(u16, Value)> {
        let token = trial.key.token(&with("act", act.clone())?);
        trial.stage.post("/oauth2/token", &[], &asking(&token, &[]))
    };
    until(|| Ok(exchanged()?.0 == 200))?;
    let (_, answer) = exchanged()?;
    let minted = answer.get("access_token").and_then(Value::as_str);
    let payload = minted
        .and_then(|token| token.split('.').nth(1))
        .context("no token")?;
    let payload =
        base64::Engine::decode(&base64::engine::general_purpose::URL_SAFE_NO_PAD, payload)?;
    let payload: Value = serde_json::from_slice(&payload)?;
    assert_eq!(payload.get("act"), None, "{payload}");
    let token = trial.key.token(&claims()?);
    let actor = trial.key.token(&claims()?);
    let form = asking(&token, &[("actor_token", &actor)]);
    assert_eq!(trial.stage.post("/oauth2/token", &[], &form)?.0, 400);
    Ok(())
}

/// A stage that discovers the keys of this provider.
fn discovering(keys: Keys) -> Result<(Stage, Provider)> {
    let mut stage = Stage::set()?;
    let provider = Provider::start(stage.directory.path(), keys)?;
    let issuer = format!(
        "issuers:\n  - issuer: {}\n    kind: agents\n    discovery: {{ca_file: dev-ca.pem}}\n",
        provider.url()
    );
    let change = |config: String| config.replacen("issuers:\n", &issuer, 1);
    stage.daemon = stage.daemon.serve_again(change)?;
    Ok((stage, provider))
}

#[test]
fn d24_t6_t7_a_key_that_cannot_be_trusted_is_passed_over_and_said() -> Result<()> {
    let key = Key::fresh()?;
    let good: Value = serde_json::from_str(&key.jwks())?;
    let one = good.pointer("/keys/0").cloned().context("no key")?;
    let set = |more: Value| Keys::Are(json!({"keys": [more, one]}).to_string());
    let bad = [
        (
            set(json!({"kty": "oct", "kid": "two", "k": "AAAA"})),
            "private or symmetric key material",
        ),
        (
            set(json!({"kty": "RSA", "kid": "two", "n": b64([0xff; 128]), "e": "AQAB"})),
            "under 2048 bits",
        ),
        (
            set(json!({"kty": "RSA", "kid": "two", "n": b64([0xff; 256]), "e": "AQ"})),
            "its exponent is unsafe",
        ),
        (
            set(json!({"kty": "AKP", "alg": "ML-DSA-65", "kid": "two", "pub": "AA"})),
            "its key type is not supported",
        ),
        (
            set(
                json!({"kty": "EC", "crv": "P-256", "kid": "two", "x": b64([1; 32]), "y": b64([1; 32])}),
            ),
            "its point is not on the curve",
        ),
        (
            set(
                json!({"kty": "OKP", "crv": "Ed25519", "kid": "two", "alg": "RS256", "x": key.public()}),
            ),
            "its `alg` does not fit its key type",
        ),
    ];
    for (keys, said) in bad {
        let shown = format!("{keys:.80?}");
        let (stage, provider) = discovering(keys)?;
        let token = || anyhow::Ok(key.token(&claims_of(&provider.url())?));
        until(|| believed(&stage, &token()?)).context(shown)?;
        let log = stage.daemon.log();
        assert!(
            log.contains("a key cannot be used") && log.contains(said),
            "{log}"
        );
    }
    // Of two keys with one name neither is used, and the status says that none is left.
    let other: Value = serde_json::from_str(&Key::fresh()?.jwks())?;
    let other = other.pointer("/keys/0").cloned().context("no key")?;
    let (stage, provider) = discovering(set(other))?;
    until(|| {
        let status = stage.oncall.run(&["status"])?;
        Ok(status.stderr.contains("has no key that can be used"))
    })?;
    assert!(!believed(&stage, &key.token(&claims_of(&provider.url())?))?);
    Ok(())
}

#[test]
fn t10_documents_that_cannot_be_trusted_are_no_key_sets() -> Result<()> {
    let key = Key::fresh()?;
    let bad = [
        (Keys::Are("[]".to_owned()), "not a key set"),
        (Keys::Redirected, "it answered 302"),
        (Keys::Endless, "a document of more than"),
        (
            Keys::At("https://169.254.169.254/latest/jwks".to_owned()),
            "a link-local address",
        ),
        (
            Keys::At("http://127.0.0.1:1/jwks".to_owned()),
            "cannot fetch the keys of an issuer",
        ),
        (Keys::Slow, "cannot fetch the keys of an issuer"),
    ];
    for (keys, said) in bad {
        let shown = format!("{keys:.80?}");
        let (stage, provider) = discovering(keys)?;
        // Nobody else is held up by it.
        let heard = || {
            stage.agent.ok(&["whoami"])?;
            Ok(stage.daemon.log().contains(said))
        };
        until(heard).context(shown)?;
        assert!(!believed(&stage, &key.token(&claims_of(&provider.url())?))?);
    }
    Ok(())
}

#[test]
fn t11_keys_outlast_their_issuer_and_unknown_ones_are_not_asked_for_without_end() -> Result<()> {
    let (key, next) = (Key::fresh()?, Key::fresh()?);
    let (stage, provider) = discovering(Keys::Are(key.jwks()))?;
    let token = |key: &Key| anyhow::Ok(key.token(&claims_of(&provider.url())?));
    until(|| believed(&stage, &token(&key)?))?;
    let asked = provider.asked();
    for _ in 0..50 {
        let header = headed("kid", json!(fresh()?)).to_string();
        let claims = claims_of(&provider.url())?.to_string();
        assert!(!believed(&stage, &next.jws(&header, &claims))?);
    }
    let more = provider.asked() - asked;
    assert!(more <= 2, "{more}");
    provider.leave();
    assert!(believed(&stage, &token(&key)?)?);
    Ok(())
}
