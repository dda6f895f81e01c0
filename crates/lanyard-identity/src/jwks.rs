//! The keys of an issuer (RFC 7517), parsed strictly: a set with one bad key is no set.

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED, ED25519, RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents,
    UnparsedPublicKey,
};
use serde::Deserialize;

/// The most keys of a set.
///
/// # Limit
/// - for: an issuer
/// - unit: keys
/// - beyond: the set is refused, and the last known keys are believed
/// - test: `t44_a_key_set_has_bounds`
const MAX_KEYS_PER_SET: usize = 64;
/// The largest set, in bytes.
///
/// # Limit
/// - for: an issuer
/// - unit: bytes
/// - beyond: the set is refused, and the last known keys are believed
/// - test: `t44_a_key_set_has_bounds`
const MAX_KEY_SET_BYTES: usize = 256 * 1024;

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
    #[error("not a key set of at most {MAX_KEY_SET_BYTES} bytes and {MAX_KEYS_PER_SET} keys")]
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
    key_ops: Option<Vec<String>>,
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

/// One public key by itself.
pub struct PublicKey(Key);

impl std::fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "PublicKey({})", self.thumbprint())
    }
}

impl PublicKey {
    /// Reads a JWK: Ed25519 or P-256.
    ///
    /// # Errors
    /// What is wrong with it. A point off the curve is found at the first signature, which does not verify.
    pub fn parse(jwk: &serde_json::Value) -> Result<Self, &'static str> {
        let raw = RawKey::deserialize(jwk).map_err(|_| "it is not a JWK")?;
        match raw.parse()? {
            Some(key @ (Key::Ed25519(_) | Key::P256(_))) => Ok(Self(key)),
            Some(Key::Rsa(_)) | None => Err("it is neither an Ed25519 nor a P-256 key"),
        }
    }

    /// Whether it signed the message.
    #[must_use]
    pub fn verifies(&self, algorithm: Algorithm, message: &[u8], signature: &[u8]) -> bool {
        self.0.verifies(algorithm, message, signature)
    }

    /// Its thumbprint (RFC 7638): SHA-256 of its required members, in base64url.
    #[must_use]
    pub fn thumbprint(&self) -> String {
        let b64 = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        let members = match &self.0 {
            Key::Ed25519(x) => format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{}"}}"#, b64(x)),
            Key::P256(point) => {
                let (x, y) = point.get(1..).unwrap_or_default().split_at(32);
                format!(
                    r#"{{"crv":"P-256","kty":"EC","x":"{}","y":"{}"}}"#,
                    b64(x),
                    b64(y)
                )
            }
            Key::Rsa(RsaPublicKeyComponents { n, e }) => {
                format!(r#"{{"e":"{}","kty":"RSA","n":"{}"}}"#, b64(e), b64(n))
            }
        };
        let digest = ring::digest::digest(&ring::digest::SHA256, members.as_bytes());
        b64(digest.as_ref())
    }
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
        if bytes.len() > MAX_KEY_SET_BYTES {
            return Err(JwksError::Form);
        }
        let set: RawSet = serde_json::from_slice(bytes).map_err(|_| JwksError::Form)?;
        if set.keys.len() > MAX_KEYS_PER_SET {
            return Err(JwksError::Form);
        }
        let (mut keys, mut named) = (BTreeMap::new(), BTreeSet::new());
        for (place, raw) in set.keys.iter().enumerate() {
            let bad = |why| JwksError::Key { place, why };
            let key = raw.parse().map_err(bad)?;
            if let Some(Key::P256(point)) = &key
                && !on_the_curve(point)
            {
                return Err(bad("its point is not on the curve"));
            }
            let kid = raw.kid.clone().filter(|kid| !kid.is_empty());
            let kid = match (kid, &key) {
                (Some(kid), _) => kid,
                (None, None) => continue,
                (None, Some(_)) => return Err(bad("it has no kid")),
            };
            if !named.insert(kid.clone()) {
                return Err(JwksError::DuplicateKid);
            }
            if let Some(key) = key {
                keys.insert(kid, key);
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
        let key = self.0.get(kid);
        key.is_some_and(|key| key.verifies(algorithm, message, signature))
    }

    /// Whether there is a key of that name.
    #[must_use]
    pub fn knows(&self, kid: &str) -> bool {
        self.0.contains_key(kid)
    }
}

impl Key {
    fn verifies(&self, algorithm: Algorithm, message: &[u8], signature: &[u8]) -> bool {
        match (self, algorithm) {
            (Self::Ed25519(key), Algorithm::EdDsa) => UnparsedPublicKey::new(&ED25519, key)
                .verify(message, signature)
                .is_ok(),
            (Self::P256(key), Algorithm::Es256) => {
                UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, key)
                    .verify(message, signature)
                    .is_ok()
            }
            (Self::Rsa(key), Algorithm::Rs256) => key
                .verify(&RSA_PKCS1_2048_8192_SHA256, message, signature)
                .is_ok(),
            (Self::Ed25519(_) | Self::P256(_) | Self::Rsa(_), _) => false,
        }
    }
}

impl RawKey {
    /// The key; none where it is for something else than these signatures, which makes it nobody's business here.
    fn parse(&self) -> Result<Option<Key>, &'static str> {
        if self.d.is_some() || self.k.is_some() || self.kty == "oct" {
            return Err("it holds private or symmetric key material");
        }
        let jwt_svid = self.usage.as_deref() == Some("jwt-svid");
        if !jwt_svid && self.usage.as_deref().is_some_and(|usage| usage != "sig") {
            return Ok(None);
        }
        // RFC 7517 section 4.3: where the operations are named, this has to be one of them.
        let verifies = |ops: &Vec<String>| ops.iter().any(|op| op == "verify");
        if !self.key_ops.as_ref().is_none_or(verifies) {
            return Err("it is not for verifying");
        }
        let named = |algorithm: &str| self.alg.as_deref().is_none_or(|alg| alg == algorithm);
        match (self.kty.as_str(), self.crv.as_deref()) {
            ("OKP", Some("Ed25519")) if named("EdDSA") => {
                Ok(Some(Key::Ed25519(part(self.x.as_ref(), 32)?)))
            }
            ("EC", Some("P-256")) if named("ES256") => {
                let (x, y) = (part(self.x.as_ref(), 32)?, part(self.y.as_ref(), 32)?);
                let point: Vec<u8> = std::iter::once(4).chain(x).chain(y).collect();
                Ok(Some(Key::P256(point)))
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
                Ok(Some(Key::Rsa(RsaPublicKeyComponents { n, e })))
            }
            ("OKP", Some("Ed25519")) | ("EC", Some("P-256")) | ("RSA", None) if self.is_odd() => {
                Err("its kind does not fit its algorithm")
            }
            _ => Ok(None),
        }
    }
}

impl RawKey {
    /// Whether it names an algorithm of another kind of key (T6).
    fn is_odd(&self) -> bool {
        let of_its_kind: &[&str] = match self.kty.as_str() {
            "RSA" => &[
                "RS256",
                "RS384",
                "RS512",
                "PS256",
                "PS384",
                "PS512",
                "RSA-OAEP",
                "RSA-OAEP-256",
            ],
            "EC" => &["ES256", "ECDH-ES"],
            _ => &["EdDSA"],
        };
        self.alg
            .as_deref()
            .is_some_and(|alg| !of_its_kind.contains(&alg))
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
