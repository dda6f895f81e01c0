//! Kill tickets and break-glass tokens: signed offline, kept in a safe, and presented with curl
//! when the identity provider is down.

use std::path::Path;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use crate::context_error::ContextError;
use crate::digest::digest;
use crate::signer::Signer;

/// The `typ` of a kill ticket's header.
const KILL_TICKET_TYPE: &str = "lanyard-kill-ticket+jwt";

/// Signs a kill ticket for `scope`, in the form that `/v1/kill` takes: `"all"`, or `{"charter":
/// "name"}` and the like. `key` is an Ed25519 key in PKCS#8; `kid` is the key's name in the
/// broker's configuration.
///
/// # Errors
/// When the key cannot be read, or the system supplies no randomness.
pub fn sign(
    key: &Path,
    kid: &str,
    audience: &str,
    scope: &Value,
    life: Duration,
) -> Result<String, ContextError> {
    let signer = Signer::open(key)?;
    let now = crate::clock::now()?;
    let claims = json!({"aud": audience, "iat": now, "exp": now + life.as_secs(), "scope": scope,
        "jti": crate::random::fresh_id()?});
    Ok(signer.sign(
        &json!({"alg": "EdDSA", "typ": KILL_TICKET_TYPE, "kid": kid}),
        &claims,
    ))
}

/// The `typ` of a break-glass token's header.
const BREAK_GLASS_TYPE: &str = "lanyard-break-glass+jwt";
/// Lifetime of a break-glass token in seconds. A person may carry the token to another machine.
const BREAK_GLASS_LIFETIME_SECONDS: u64 = 600;

/// A break-glass token without its signature, for a key that never leaves its hardware.
pub struct Unsigned(String);

impl Unsigned {
    /// Prepares a token for the broker of `audience`. `public_key` is the Ed25519 public key of the
    /// signer, 32 bytes in base64url.
    ///
    /// # Errors
    /// When the system supplies neither randomness nor a clock reading.
    pub fn by(audience: &str, public_key: &str) -> Result<Self, ContextError> {
        let members = format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{public_key}"}}"#);
        let header =
            json!({"alg": "EdDSA", "typ": BREAK_GLASS_TYPE, "kid": digest(members.as_bytes())});
        let now = crate::clock::now()?;
        let claims = json!({"aud": audience, "iat": now, "exp": now + BREAK_GLASS_LIFETIME_SECONDS,
            "jti": crate::random::fresh_id()?});
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        Ok(Self(format!("{}.{}", part(&header), part(&claims))))
    }

    /// Returns the bytes to sign.
    #[must_use]
    pub fn message(&self) -> &[u8] {
        self.0.as_bytes()
    }

    /// Appends the raw Ed25519 signature of [`Unsigned::message`] and returns the token.
    #[must_use]
    pub fn signed(self, signature: &[u8]) -> String {
        format!("{}.{}", self.0, URL_SAFE_NO_PAD.encode(signature))
    }
}

/// Signs a break-glass token with the Ed25519 key in the PKCS#8 file `key`.
///
/// # Errors
/// When the key cannot be read; see also [`Unsigned::by`].
pub fn break_glass(key: &Path, audience: &str) -> Result<String, ContextError> {
    let signer = Signer::open(key)?;
    let unsigned = Unsigned::by(audience, &signer.x())?;
    let signature = signer.raw(unsigned.message());
    Ok(unsigned.signed(&signature))
}
