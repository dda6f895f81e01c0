//! The part of the story with a token of Lanyard's own.

use std::process::Command;

use anyhow::{Context, Result, bail};
use lanyard_rig::{Cli, Daemon};

use super::Story;
use crate::build;

/// A library besides our own that verifies the token, installed from PyPI.
const PYJWT: &str = "pyjwt[crypto]==2.10.1";
/// A program that verifies the token on stdin's second line against the key set on its first.
const VERIFY: &str = "
import json, jwt, sys
keys, token, audience = (sys.stdin.readline().strip() for _ in range(3))
kid = jwt.get_unverified_header(token)['kid']
key = next(k for k in jwt.PyJWKSet.from_json(keys).keys if k.key_id == kid)
claims = jwt.decode(token, key.key, algorithms=['EdDSA'], audience=audience)
print(claims['sub'], claims['scope'])
";

/// Introspects the token, as a resource server does.
pub(super) fn active(daemon: &Daemon, oncall: &Cli, token: &str, expected: bool) -> Result<()> {
    let bearer = format!("Bearer {}", oncall.ok(&["identity"])?);
    let form = "application/x-www-form-urlencoded";
    let headers = [("authorization", bearer.as_str()), ("content-type", form)];
    let answer = daemon.http(
        "POST",
        "/oauth2/introspect",
        &headers,
        &format!("token={token}"),
    )?;
    if answer.contains(&format!(r#""active":{expected}"#)) {
        Ok(())
    } else {
        bail!("introspection answered {answer}")
    }
}

/// Verifies the token with another library, from the key set alone.
pub(super) fn outside(story: &mut Story, daemon: &Daemon, token: &str) -> Result<()> {
    let python = match lanyard_rig::python(PYJWT) {
        Ok(python) => python,
        Err(error) => {
            story
                .left_out
                .push(format!("the token verified by PyJWT: {error:#}"));
            return Ok(());
        }
    };
    let answer = daemon.http("GET", "/.well-known/jwks.json", &[], "")?;
    let keys = answer.lines().last().context("no key set")?;
    let input = format!("{keys}\n{token}\nhttps://tickets.acme.example\n");
    let verified = build::feed(Command::new(python).args(["-c", VERIFY]), &input);
    let shown = story.step("PyJWT verifies the token from the published keys", verified)?;
    println!("         {}", shown.trim());
    Ok(())
}
