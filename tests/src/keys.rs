//! An issuer of the tests' own: a key, what it signs, and proofs that it is held.

use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::digest::{SHA256, digest};
use ring::rand::{SecureRandom as _, SystemRandom};
use ring::signature::{Ed25519KeyPair, KeyPair as _};
use serde_json::{Value, json};

/// A fresh Ed25519 key pair, which signs as a client does.
pub struct Key(Ed25519KeyPair);

/// Base64 of RFC 7515.
pub fn b64(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// Seconds since the epoch.
///
/// # Errors
/// When the clock is before that.
#[expect(
    clippy::disallowed_methods,
    reason = "tokens say when they were issued"
)]
pub fn now() -> Result<u64> {
    Ok(SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs())
}

/// Something that was never used before.
///
/// # Errors
/// When the system gives no random bits.
pub fn fresh() -> Result<String> {
    let mut bytes = [0; 16];
    let drawn = SystemRandom::new().fill(&mut bytes);
    drawn.ok().context("no random bits")?;
    Ok(b64(bytes))
}

impl Key {
    /// A fresh one.
    ///
    /// # Errors
    /// When the system gives no random bits.
    pub fn fresh() -> Result<Self> {
        let pkcs8 = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new());
        let pkcs8 = pkcs8.ok().context("no random bits")?;
        let pair = Ed25519KeyPair::from_pkcs8(pkcs8.as_ref());
        Ok(Self(pair.ok().context("no key")?))
    }

    /// The public half (`x`).
    #[must_use]
    pub fn public(&self) -> String {
        b64(self.0.public_key())
    }

    /// The same as a JWK.
    #[must_use]
    pub fn jwk(&self) -> Value {
        json!({"kty": "OKP", "crv": "Ed25519", "x": self.public()})
    }

    /// The key's JWK thumbprint (RFC 7638).
    #[must_use]
    pub fn thumbprint(&self) -> String {
        let members = format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{}"}}"#, self.public());
        b64(digest(&SHA256, members.as_bytes()))
    }

    /// A key set with this key, named `one`.
    #[must_use]
    pub fn jwks(&self) -> String {
        let mut jwk = self.jwk();
        if let Some(members) = jwk.as_object_mut() {
            members.insert("kid".to_owned(), json!("one"));
        }
        json!({"keys": [jwk]}).to_string()
    }

    /// A raw signature, in base64url.
    #[must_use]
    pub fn sign(&self, message: &[u8]) -> String {
        b64(self.0.sign(message))
    }

    /// A compact JWS of exactly these texts.
    #[must_use]
    pub fn jws(&self, header: &str, payload: &str) -> String {
        let message = format!("{}.{}", b64(header), b64(payload));
        let signature = self.sign(message.as_bytes());
        format!("{message}.{signature}")
    }

    /// A JWT under the name `one`.
    #[must_use]
    pub fn token(&self, claims: &Value) -> String {
        let header = json!({"alg": "EdDSA", "typ": "JWT", "kid": "one"});
        self.jws(&header.to_string(), &claims.to_string())
    }

    /// A proof that this key is held (RFC 9449), for a POST of this token to this address.
    ///
    /// # Errors
    /// As [`fresh`] and [`now`].
    pub fn proof(&self, url: &str, token: Option<&str>) -> Result<String> {
        let header = json!({"typ": "dpop+jwt", "alg": "EdDSA", "jwk": self.jwk()});
        let ath = token.map(|token| b64(digest(&SHA256, token.as_bytes())));
        let claims = json!({"jti": fresh()?, "iat": now()?, "htm": "POST", "htu": url, "ath": ath});
        Ok(self.jws(&header.to_string(), &claims.to_string()))
    }
}
