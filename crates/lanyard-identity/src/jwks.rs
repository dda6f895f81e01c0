//! The keys of an issuer (RFC 7517), parsed strictly: a set with one bad key is no set.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED, ED25519, RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents,
    UnparsedPublicKey,
};
use serde::Deserialize;

/// The most keys of a set.
const MOST_KEYS: usize = 64;
/// The largest set, in bytes.
const SIZE_LIMIT: usize = 256 * 1024;

/// The signature algorithms that are understood. None of them is symmetric (T2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Algorithm {
    /// Ed25519, RFC 8037.
    EdDsa,
    /// ECDSA on P-256, RFC 7518 section 3.4.
    Es256,
    /// RSA PKCS #1 v1.5 with SHA-256, RFC 7518 section 3.3; 2048 bits at least.
    Rs256,
}

impl Algorithm {
    /// By its name in a header.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        match name {
            "EdDSA" => Some(Self::EdDsa),
            "ES256" => Some(Self::Es256),
            "RS256" => Some(Self::Rs256),
            _ => None,
        }
    }
}

/// Why a set of keys is refused, whole.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JwksError {
    /// Not JSON of that shape, or too large.
    #[error("not a key set of at most {SIZE_LIMIT} bytes and {MOST_KEYS} keys")]
    Form,
    /// Two keys of one name (T6).
    #[error("two keys have the same kid")]
    DuplicateKid,
    /// A key that no algorithm here can use, or a weak one (T7).
    #[error("key {place} of the set: {why}")]
    Key {
        /// Its place, from 0.
        place: usize,
        /// What is wrong with it.
        why: &'static str,
    },
}

#[derive(Deserialize)]
struct RawSet {
    keys: Vec<RawKey>,
}

#[derive(Deserialize)]
struct RawKey {
    kty: String,
    kid: Option<String>,
    crv: Option<String>,
    alg: Option<String>,
    #[serde(rename = "use")]
    usage: Option<String>,
    x: Option<String>,
    y: Option<String>,
    n: Option<String>,
    e: Option<String>,
    d: Option<String>,
    k: Option<String>,
}

enum Key {
    Ed25519(Vec<u8>),
    P256(Vec<u8>),
    Rsa(RsaPublicKeyComponents<Vec<u8>>),
}

/// The keys of one issuer.
pub struct Jwks(BTreeMap<String, Key>);

impl std::fmt::Debug for Jwks {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

impl Jwks {
    /// Parses a set.
    ///
    /// # Errors
    /// See [`JwksError`].
    pub fn parse(bytes: &[u8]) -> Result<Self, JwksError> {
        if bytes.len() > SIZE_LIMIT {
            return Err(JwksError::Form);
        }
        let set: RawSet = serde_json::from_slice(bytes).map_err(|_| JwksError::Form)?;
        if set.keys.len() > MOST_KEYS {
            return Err(JwksError::Form);
        }
        let mut keys = BTreeMap::new();
        for (place, raw) in set.keys.iter().enumerate() {
            let bad = |why| JwksError::Key { place, why };
            let kid = raw
                .kid
                .clone()
                .filter(|kid| !kid.is_empty())
                .ok_or_else(|| bad("it has no kid"))?;
            let key = raw.parse().map_err(bad)?;
            if keys.insert(kid, key).is_some() {
                return Err(JwksError::DuplicateKid);
            }
        }
        Ok(Self(keys))
    }

    /// Whether a key of this name and kind signed the message. The key's kind and the named algorithm must agree.
    #[must_use]
    pub fn verifies(
        &self,
        kid: &str,
        algorithm: Algorithm,
        message: &[u8],
        signature: &[u8],
    ) -> bool {
        match (self.0.get(kid), algorithm) {
            (Some(Key::Ed25519(key)), Algorithm::EdDsa) => UnparsedPublicKey::new(&ED25519, key)
                .verify(message, signature)
                .is_ok(),
            (Some(Key::P256(key)), Algorithm::Es256) => {
                UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, key)
                    .verify(message, signature)
                    .is_ok()
            }
            (Some(Key::Rsa(key)), Algorithm::Rs256) => key
                .verify(&RSA_PKCS1_2048_8192_SHA256, message, signature)
                .is_ok(),
            (Some(Key::Ed25519(_) | Key::P256(_) | Key::Rsa(_)) | None, _) => false,
        }
    }
}

impl RawKey {
    fn parse(&self) -> Result<Key, &'static str> {
        if self.d.is_some() || self.k.is_some() {
            return Err("it holds private or symmetric key material");
        }
        if self.usage.as_deref().is_some_and(|usage| usage != "sig") {
            return Err("it is not for signatures");
        }
        let named = |algorithm: &str| self.alg.as_deref().is_none_or(|alg| alg == algorithm);
        match (self.kty.as_str(), self.crv.as_deref()) {
            ("OKP", Some("Ed25519")) if named("EdDSA") => {
                Ok(Key::Ed25519(part(self.x.as_ref(), 32)?))
            }
            ("EC", Some("P-256")) if named("ES256") => {
                let (x, y) = (part(self.x.as_ref(), 32)?, part(self.y.as_ref(), 32)?);
                let point: Vec<u8> = std::iter::once(4).chain(x).chain(y).collect();
                on_the_curve(&point)
                    .then_some(Key::P256(point))
                    .ok_or("its point is not on the curve")
            }
            ("RSA", None) if named("RS256") => {
                let (n, e) = (bytes(self.n.as_ref())?, bytes(self.e.as_ref())?);
                let strong = n.len() >= 256
                    && n.len() <= 1024
                    && n.first().is_some_and(|byte| *byte >= 0x80);
                let exponent =
                    e.len() <= 5 && e != [1] && e.last().is_some_and(|byte| byte % 2 == 1);
                (strong && exponent)
                    .then_some(())
                    .ok_or("it is under 2048 bits, or its exponent is unsafe")?;
                Ok(Key::Rsa(RsaPublicKeyComponents { n, e }))
            }
            _ => Err("its kind is not used here, or does not fit its algorithm"),
        }
    }
}

/// ring checks the point when it agrees on a key with it.
fn on_the_curve(point: &[u8]) -> bool {
    use ring::agreement::{ECDH_P256, EphemeralPrivateKey, UnparsedPublicKey, agree_ephemeral};
    EphemeralPrivateKey::generate(&ECDH_P256, &ring::rand::SystemRandom::new())
        .and_then(|ours| agree_ephemeral(ours, &UnparsedPublicKey::new(&ECDH_P256, point), |_| ()))
        .is_ok()
}

fn bytes(text: Option<&String>) -> Result<Vec<u8>, &'static str> {
    let text = text.ok_or("a part of it is missing")?;
    URL_SAFE_NO_PAD
        .decode(text)
        .map_err(|_| "a part of it is not base64url")
}

fn part(text: Option<&String>, length: usize) -> Result<Vec<u8>, &'static str> {
    bytes(text).and_then(|bytes| {
        (bytes.len() == length)
            .then_some(bytes)
            .ok_or("a part of it has a wrong length")
    })
}
