//! An issuer that is a key file: the holder of the key vouches for every subject of the issuer.

use anyhow::{Result, bail};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::signature::{Ed25519KeyPair, KeyPair as _};
use serde_json::json;
use zeroize::Zeroizing;

/// An Ed25519 key in PKCS#8.
pub(crate) struct SigningKey {
    pub(crate) pkcs8: Zeroizing<Vec<u8>>,
    /// The public key, in base64url.
    x: String,
}

impl SigningKey {
    /// Generates a key.
    ///
    /// # Errors
    /// When the operating system gives no random bits.
    pub(crate) fn generate() -> Result<Self> {
        let Ok(pkcs8) = Ed25519KeyPair::generate_pkcs8(&ring::rand::SystemRandom::new()) else {
            bail!("the system gives no random bits")
        };
        Self::of(Zeroizing::new(pkcs8.as_ref().to_vec()))
    }

    /// Reads a key.
    ///
    /// # Errors
    /// When these bytes are no key.
    pub(crate) fn of(pkcs8: Zeroizing<Vec<u8>>) -> Result<Self> {
        let Ok(pair) = Ed25519KeyPair::from_pkcs8(&pkcs8) else {
            bail!("no Ed25519 key in PKCS#8")
        };
        let x = URL_SAFE_NO_PAD.encode(pair.public_key());
        Ok(Self { pkcs8, x })
    }

    /// The JWK set with the public key.
    pub(crate) fn jwks(&self, kid: &str) -> String {
        let key = json!({"kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "use": "sig", "kid": kid, "x": self.x});
        format!("{:#}\n", json!({"keys": [key]}))
    }
}
