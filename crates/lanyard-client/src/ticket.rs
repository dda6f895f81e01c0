//! Kill tickets: signed offline, kept in a safe, presented with curl when the identity provider is down.

use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};

use crate::context::ContextError;
use crate::signer::Signer;

/// The type that a ticket's header names.
const TYPE: &str = "lanyard-kill-ticket+jwt";

/// A ticket for this scope, as `/v1/kill` takes it: `"all"`, or `{"charter": "name"}` and the like. It is signed with
/// the Ed25519 key of a PKCS #8 file, under the name that the broker's configuration knows it by.
///
/// # Errors
/// When the key cannot be read, or the system gives no random bits.
pub fn sign(
    key: &Path,
    kid: &str,
    audience: &str,
    scope: &Value,
    life: Duration,
) -> Result<String, ContextError> {
    let signer = Signer::open(key)?;
    let now = crate::context::now()?;
    let claims = json!({"aud": audience, "iat": now, "exp": now + life.as_secs(), "scope": scope,
        "jti": crate::context::fresh_id()?});
    Ok(signer.sign(&json!({"alg": "EdDSA", "typ": TYPE, "kid": kid}), &claims))
}
