//! What stops agents when the identity provider is down. Kill tickets: signed offline, kept in a safe, presented with curl when the identity provider is down.

use std::path::Path;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use crate::context_error::ContextError;
use crate::digest::digest;
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
    let now = crate::clock::now()?;
    let claims = json!({"aud": audience, "iat": now, "exp": now + life.as_secs(), "scope": scope,
        "jti": crate::random::fresh_id()?});
    Ok(signer.sign(&json!({"alg": "EdDSA", "typ": TYPE, "kid": kid}), &claims))
}

/// The type that the header of a break-glass token names.
const BREAK_GLASS: &str = "lanyard-break-glass+jwt";
/// How long such a token is good, in seconds: it may be carried to another machine.
const BREAK_GLASS_LIFE: u64 = 600;

/// What a break-glass key has to sign, for ten minutes: for a key that does not leave its hardware.
pub struct Unsigned(String);

impl Unsigned {
    /// For a broker of this audience, by the key with this public half: 32 bytes of Ed25519 in base64url.
    ///
    /// # Errors
    /// When the system gives no random bits or no time.
    pub fn by(audience: &str, public_key: &str) -> Result<Self, ContextError> {
        let members = format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{public_key}"}}"#);
        let header = json!({"alg": "EdDSA", "typ": BREAK_GLASS, "kid": digest(members.as_bytes())});
        let now = crate::clock::now()?;
        let claims = json!({"aud": audience, "iat": now, "exp": now + BREAK_GLASS_LIFE,
            "jti": crate::random::fresh_id()?});
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        Ok(Self(format!("{}.{}", part(&header), part(&claims))))
    }

    /// The bytes to sign.
    #[must_use]
    pub fn message(&self) -> &[u8] {
        self.0.as_bytes()
    }

    /// The token, with the raw signature of those bytes.
    #[must_use]
    pub fn signed(self, signature: &[u8]) -> String {
        format!("{}.{}", self.0, URL_SAFE_NO_PAD.encode(signature))
    }
}

/// The same with a key of a PKCS #8 file.
///
/// # Errors
/// When the key cannot be read, or as [`Unsigned::by`].
pub fn break_glass(key: &Path, audience: &str) -> Result<String, ContextError> {
    let signer = Signer::open(key)?;
    let unsigned = Unsigned::by(audience, &signer.x())?;
    let signature = signer.raw(unsigned.message());
    Ok(unsigned.signed(&signature))
}
