//! Authentication of requests: the app by its JSON web token, an installation by its access token.

use anyhow::{Context as _, Result};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use ring::rsa::KeyPair;
use ring::signature::{KeyPair as _, RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey};
use serde_json::Value;

use super::http::{Request, Response};
use super::state::{State, Token};
use super::{APP_ID, CLIENT_ID, Fault};

/// Longest distance of `exp` in seconds.
const EXPIRY_SECONDS_AHEAD: u64 = 600;
/// Seconds during which a new token may be unknown if [`Fault::NotReplicated`] is set.
const REPLICATION: u64 = 5;

/// Extracts the public key of a PEM key in PKCS#1.
pub(crate) fn public_key(pem: &str) -> Result<Vec<u8>> {
    let text: String = pem.lines().filter(|line| !line.starts_with("--")).collect();
    let key = KeyPair::from_der(&STANDARD.decode(text)?);
    let key = key.ok().context("not an RSA key")?;
    Ok(key.public_key().as_ref().to_vec())
}

fn unauthorized(message: &str) -> Response {
    Response::message(401, message)
}

fn bearer(request: &Request) -> Result<&str, Response> {
    let given = request.headers.get("authorization");
    let given = given.and_then(|value| {
        value
            .strip_prefix("Bearer ")
            .or_else(|| value.strip_prefix("token "))
    });
    given.ok_or_else(|| unauthorized("Requires authentication"))
}

/// Checks the app's token: page «Generating a JSON Web Token (JWT) for a GitHub App».
pub(crate) fn app(state: &State, request: &Request) -> Result<(), Response> {
    let undecodable = || unauthorized("A JSON web token could not be decoded");
    let jwt = bearer(request)?;
    let (signed, signature) = jwt.rsplit_once('.').ok_or_else(undecodable)?;
    let (header, claims) = signed.split_once('.').ok_or_else(undecodable)?;
    let decode = |part: &str| URL_SAFE_NO_PAD.decode(part).ok();
    let read = |part: &str| -> Option<Value> { serde_json::from_slice(&decode(part)?).ok() };
    let header = read(header).ok_or_else(undecodable)?;
    let claims = read(claims).ok_or_else(undecodable)?;
    if header.get("alg").and_then(Value::as_str) != Some("RS256") {
        return Err(undecodable());
    }
    let issuer = claims.get("iss").and_then(Value::as_str);
    if !matches!(issuer, Some(APP_ID | CLIENT_ID)) {
        return Err(Response::message(404, "Integration not found"));
    }
    let signature = decode(signature).ok_or_else(undecodable)?;
    UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, &state.public_key)
        .verify(signed.as_bytes(), &signature)
        .map_err(|_| undecodable())?;
    let time = |name: &str| claims.get(name).and_then(Value::as_u64);
    let now = state.now();
    match time("exp") {
        Some(exp) if exp <= now => Err(unauthorized(
            "'Expiration time' claim ('exp') must be a numeric value representing the future time at which the assertion expires",
        )),
        Some(exp) if exp > now + EXPIRY_SECONDS_AHEAD => Err(unauthorized(
            "'Expiration time' claim ('exp') is too far in the future",
        )),
        Some(_) => Ok(()),
        None => Err(undecodable()),
    }?;
    match time("iat") {
        Some(iat) if iat <= now => Ok(()),
        Some(_) | None => Err(unauthorized(
            "'Issued at' claim ('iat') must be an Integer representing the time that the assertion was issued",
        )),
    }
}

/// Finds the access token: page «Authenticating as a GitHub App installation». A revoked or expired
/// token is unknown.
pub(crate) fn installation<'a>(
    state: &'a State,
    request: &Request,
) -> Result<(String, &'a Token), Response> {
    let bad = || unauthorized("Bad credentials");
    let text = bearer(request)?;
    let token = state.tokens.get(text).ok_or_else(bad)?;
    let now = state.now();
    let young = state.has(Fault::NotReplicated) && now < token.made + REPLICATION;
    if now >= token.expires || young {
        return Err(bad());
    }
    if state.suspended {
        let message = "This installation has been suspended";
        return Err(Response::message(403, message));
    }
    Ok((text.to_owned(), token))
}
