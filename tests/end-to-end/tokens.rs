//! What verifiers of tokens are told: introspection, the status list, and revocation.

use anyhow::{Context, Result};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use lanyard_tests::{Stage, until};
use serde_json::Value;

fn claims(token: &str) -> Result<Value> {
    let payload = token.split('.').nth(1).context("not a JWS")?;
    Ok(serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload)?)?)
}

fn get(stage: &Stage, path: &str) -> Result<(String, String)> {
    let answer = stage.daemon.http("GET", path, &[], "")?;
    let (head, body) = answer.split_once("\r\n\r\n").context("no body")?;
    Ok((head.to_ascii_lowercase(), body.to_owned()))
}

/// True if the status list says that a token is revoked.
fn is_listed(stage: &Stage, token: &str) -> Result<bool> {
    let claims = claims(token)?;
    let at = |path: &str| claims.pointer(path).cloned().context("no place");
    let uri = at("/status/status_list/uri")?;
    let index = at("/status/status_list/idx")?
        .as_u64()
        .context("no index")?;
    let uri = uri.as_str().context("no URI")?;
    let path = uri
        .strip_prefix("https://dev.lanyard.invalid")
        .context("another issuer")?;
    let (head, list) = get(stage, path)?;
    assert!(head.starts_with("http/1.1 200"), "{head}");
    assert!(head.contains("application/statuslist+jwt"), "{head}");
    let header: Value = serde_json::from_slice(
        &URL_SAFE_NO_PAD.decode(list.split('.').next().context("not a JWS")?)?,
    )?;
    assert_eq!(header.get("typ"), Some(&Value::from("statuslist+jwt")));
    let list = self::claims(list.trim())?;
    assert_eq!(list.get("sub").and_then(Value::as_str), Some(uri));
    let (from, to) = (
        list.get("iat").context("iat")?,
        list.get("exp").context("exp")?,
    );
    assert_eq!(
        to.as_u64().context("exp")? - from.as_u64().context("iat")?,
        30
    );
    let bits = list.pointer("/status_list/lst").and_then(Value::as_str);
    let bits = URL_SAFE_NO_PAD.decode(bits.context("no list")?)?;
    let bits = miniz_oxide::inflate::decompress_to_vec_zlib(&bits)
        .map_err(|error| anyhow::anyhow!("{error:?}"))?;
    let byte = bits
        .get(usize::try_from(index / 8)?)
        .context("off the list")?;
    Ok(byte >> (index % 8) & 1 == 1)
}

fn revoke(stage: &Stage, token: &str) -> Result<String> {
    let form = ("content-type", "application/x-www-form-urlencoded");
    let body = format!("token={token}");
    stage.daemon.http("POST", "/oauth2/revoke", &[form], &body)
}

fn is_active(stage: &Stage, token: &str) -> Result<bool> {
    stage.is_active(token, &stage.oncall.ok(&["identity"])?)
}

#[test]
fn a_killed_token_is_on_the_status_list_and_its_neighbour_is_not() -> Result<()> {
    let stage = Stage::set()?;
    let (task, other) = (stage.task()?, stage.task()?);
    let (killed, kept) = (stage.token(&task)?, stage.token(&other)?);
    assert!(!is_listed(&stage, &killed)? && !is_listed(&stage, &kept)?);
    stage
        .oncall
        .ok(&["kill", "--task", &task, "--reason", "drill", "--yes"])?;
    until(|| is_listed(&stage, &killed))?;
    assert!(!is_listed(&stage, &kept)?);
    // Another process goes on with the lists of this one.
    let stage = stage.crash()?;
    assert!(is_listed(&stage, &killed)?);
    let (head, _) = get(&stage, "/oauth2/status-lists/nothing")?;
    assert!(head.starts_with("http/1.1 404"), "{head}");
    Ok(())
}

#[test]
fn whoever_holds_a_token_may_end_it_and_learns_nothing_of_others() -> Result<()> {
    let stage = Stage::set()?;
    let task = stage.task()?;
    let (ended, kept) = (stage.token(&task)?, stage.token(&task)?);
    assert!(revoke(&stage, &ended)?.starts_with("HTTP/1.1 200"));
    assert!(!is_active(&stage, &ended)? && is_active(&stage, &kept)?);
    let forged = kept.rsplit_once('.').context("not a JWS")?.0.to_owned() + ".AAAA";
    for again in [ended.as_str(), "nonsense", &forged] {
        assert!(revoke(&stage, again)?.starts_with("HTTP/1.1 200"));
    }
    assert!(is_active(&stage, &kept)?);
    Ok(())
}

// T12
#[test]
fn t12_a_token_in_a_file_is_good_again_and_again_with_the_key_of_its_context_alone() -> Result<()> {
    let stage = Stage::set()?;
    let contexts = stage.directory.path().join("contexts");
    let token = stage.oncall.ok(&["identity"])?;
    std::fs::write(contexts.join("token"), &token)?;
    let usual = std::fs::read_to_string(contexts.join("oncall.json"))?;
    let mut context: Value = serde_json::from_str(&usual)?;
    let place = context.as_object_mut().context("no context")?;
    place.insert(
        "identity".into(),
        serde_json::json!({"token_file": "token"}),
    );
    for name in ["file", "copy"] {
        std::fs::write(contexts.join(format!("{name}.json")), context.to_string())?;
    }
    let (first, copy) = (stage.daemon.cli("file")?, stage.daemon.cli("copy")?);
    first.ok(&["whoami"])?;
    first.ok(&["status"])?;
    // Whoever has the token and not the key, or shows it without one, has nothing.
    copy.fails(4, &["whoami"])?;
    let answer = stage.daemon.http(
        "POST",
        "/oauth2/introspect",
        &[
            ("authorization", &format!("Bearer {token}")),
            ("content-type", "application/x-www-form-urlencoded"),
        ],
        "token=x",
    )?;
    assert!(answer.starts_with("HTTP/1.1 401"), "{answer}");
    Ok(())
}
