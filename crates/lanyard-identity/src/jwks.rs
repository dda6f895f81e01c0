//! The keys of an issuer (RFC 7517). An unusable key is skipped with its reason, so that it does
//! not block the other keys of the set (section 5).

use std::collections::BTreeMap;
use std::fmt;

use base64::Engine as _;
use base64::alphabet::URL_SAFE;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use ring::signature::{
    ECDSA_P256_SHA256_FIXED, ED25519, RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents,
    UnparsedPublicKey,
};
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::unique::Unique;

/// Largest number of keys in a set.
///
/// # Limit
/// - for: an issuer
/// - unit: keys
/// - beyond: the set is refused, and the last fetched keys stay in use
/// - test: `t44_a_key_set_has_bounds`
const MAX_KEYS_PER_SET: usize = 64;
/// Largest key set.
///
/// # Limit
/// - for: an issuer
/// - unit: bytes
/// - beyond: the set is refused, and the last fetched keys stay in use
/// - test: `t44_a_key_set_has_bounds`
const MAX_KEY_SET_BYTES: usize = 256 * 1024;

/// Base64url with or without padding. RFC 7515 section 2 forbids padding, but some issuers write
/// it.
const NUMBERS: GeneralPurpose = GeneralPurpose::new(
    &URL_SAFE,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);
/// Sizes of moduli, in bits, that ring verifies with.
const RSA_MODULUS_BITS: std::ops::RangeInclusive<usize> = 2048..=8192;
/// Longest public exponent that ring accepts, in bytes.
const RSA_EXPONENT_BYTES: usize = 5;
/// Length of a P-256 coordinate, in bytes.
const COORDINATE_BYTES: usize = 32;

/// The supported signature algorithms. None of them is symmetric, so a public key never serves as a
/// shared secret (T2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Algorithm {
    /// Ed25519, RFC 8037; `Ed25519` as its fully-specified name (RFC 9864).
    EdDsa,
    /// ECDSA on P-256, RFC 7518 section 3.4; `ESP256` as its fully-specified name (RFC 9864).
    Es256,
    /// RSA PKCS #1 v1.5 with SHA-256, RFC 7518 section 3.3; at least 2048 bits.
    Rs256,
}

impl Algorithm {
    /// Finds the algorithm for the `alg` of a header.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        match name {
            "EdDSA" | "Ed25519" => Some(Self::EdDsa),
            "ES256" | "ESP256" => Some(Self::Es256),
            "RS256" => Some(Self::Rs256),
            _ => None,
        }
    }
}

/// A key set that is refused as a whole.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JwksError {
    /// The set is not JSON of the expected shape, or too large.
    #[error(
        "not a key set: JSON with a list `keys`, of at most {MAX_KEY_SET_BYTES} bytes and {MAX_KEYS_PER_SET} keys"
    )]
    Form,
}

/// A key that the parser skipped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PassedOver {
    /// Position of the key in the set, from 0.
    pub place: usize,
    /// The key's id, if it has one.
    pub kid: Option<String>,
    /// Reason for skipping the key.
    pub why: Unusable,
}

impl fmt::Display for PassedOver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "key {} of the set", self.place)?;
        if let Some(kid) = &self.kid {
            let shown: String = kid.chars().take(64).collect();
            write!(f, " (kid `{}`)", shown.escape_debug())?;
        }
        write!(f, ": {}", self.why)
    }
}

/// The reason why a key is not used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unusable {
    /// A member has another type than the RFC requires.
    #[error("its `{0}` has a wrong type")]
    Type(&'static str),
    /// Any other reason, as text.
    #[error("{0}")]
    Why(&'static str),
}

impl Unusable {
    const fn text(self) -> &'static str {
        match self {
            Self::Type(_) => "a part of it has a wrong type",
            Self::Why(why) => why,
        }
    }
}

#[derive(Deserialize)]
struct RawSet {
    keys: Vec<Unique>,
}

enum Key {
    Ed25519(Vec<u8>),
    P256(Vec<u8>),
    Rsa(RsaPublicKeyComponents<Vec<u8>>),
}

/// A single public key.
pub struct PublicKey(Key);

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({})", self.thumbprint())
    }
}

impl PublicKey {
    /// Parses a JWK: Ed25519 or P-256.
    ///
    /// # Errors
    /// The fault of the key, as text. A point off the curve is accepted here, and its signatures do
    /// not verify.
    pub fn parse(jwk: &Value) -> Result<Self, &'static str> {
        let members = jwk.as_object().ok_or("it is not a JWK")?;
        match parse(members).map_err(Unusable::text)? {
            Some(key @ (Key::Ed25519(_) | Key::P256(_))) => Ok(Self(key)),
            Some(Key::Rsa(_)) | None => Err("it is neither an Ed25519 nor a P-256 key"),
        }
    }

    /// True if this key signed `message`.
    #[must_use]
    pub fn verifies(&self, algorithm: Algorithm, message: &[u8], signature: &[u8]) -> bool {
        self.0.verifies(algorithm, message, signature)
    }

    /// Returns the thumbprint (RFC 7638): SHA-256 of the required members, in base64url.
    #[must_use]
    pub fn thumbprint(&self) -> String {
        self.0.thumbprint()
    }
}

/// The public keys of one issuer.
pub struct Jwks {
    by_kid: BTreeMap<String, Key>,
    /// Keys without an id.
    nameless: Vec<Key>,
    passed_over: Vec<PassedOver>,
}

impl fmt::Debug for Jwks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Jwks")
            .field("by_kid", &self.by_kid.keys())
            .field("nameless", &self.nameless.len())
            .field("passed_over", &self.passed_over)
            .finish()
    }
}

impl Jwks {
    /// Parses a key set. [`Jwks::passed_over`] lists the keys that cannot be used.
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
        let mut found = Vec::new();
        let mut passed_over = Vec::new();
        for (place, entry) in set.keys.into_iter().enumerate() {
            let members = match entry.0 {
                Some(Value::Object(members)) => members,
                Some(_) | None => {
                    let why = Unusable::Why("it is not an object, or has a member twice");
                    passed_over.push(PassedOver {
                        place,
                        kid: None,
                        why,
                    });
                    continue;
                }
            };
            let kid = text(&members, "kid").map(|kid| kid.filter(|kid| !kid.is_empty()));
            let shown = kid.ok().flatten().map(str::to_owned);
            let key = kid.and_then(|_| parse(&members)).and_then(|key| match key {
                Some(Key::P256(point)) if !on_the_curve(&point) => {
                    Err(Unusable::Why("its point is not on the curve"))
                }
                key => Ok(key),
            });
            match key {
                Ok(Some(key)) => found.push((place, shown, key)),
                // A key for another use, such as encryption, needs no report.
                Ok(None) => {}
                Err(why) => passed_over.push(PassedOver {
                    place,
                    kid: shown,
                    why,
                }),
            }
        }
        let mut keys = Self {
            by_kid: BTreeMap::new(),
            nameless: Vec::new(),
            passed_over,
        };
        keys.take(found);
        Ok(keys)
    }

    /// Indexes the keys by id. If two different keys have the same id, neither is used: an attacker
    /// who adds a key to the set must not replace a genuine one (T6). The same key twice is one
    /// key.
    fn take(&mut self, found: Vec<(usize, Option<String>, Key)>) {
        let mut prints: BTreeMap<String, Option<String>> = BTreeMap::new();
        for (_, kid, key) in &found {
            let Some(kid) = kid else { continue };
            let print = key.thumbprint();
            let first = prints
                .entry(kid.clone())
                .or_insert_with(|| Some(print.clone()));
            if first.as_ref() != Some(&print) {
                *first = None;
            }
        }
        for (place, kid, key) in found {
            let Some(kid) = kid else {
                self.nameless.push(key);
                continue;
            };
            if prints.get(&kid).is_some_and(Option::is_some) {
                self.by_kid.insert(kid, key);
            } else {
                self.passed_over.push(PassedOver {
                    place,
                    kid: Some(kid),
                    why: Unusable::Why("another key of the set has the same `kid`"),
                });
            }
        }
        self.passed_over.sort_by_key(|it| it.place);
    }

    /// Lists the skipped keys in the order of the set.
    #[must_use]
    pub fn passed_over(&self) -> &[PassedOver] {
        &self.passed_over
    }

    /// True if the set has no usable key.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.by_kid.is_empty() && self.nameless.is_empty()
    }

    /// Finds the key for a `kid`. A header may omit `kid` if the issuer has only one key (OpenID
    /// Connect Core section 10.1).
    fn meant(&self, kid: Option<&str>) -> Option<&Key> {
        match kid {
            Some(kid) => self.by_kid.get(kid),
            None => {
                let mut all = self.by_kid.values().chain(&self.nameless);
                all.next().filter(|_| all.next().is_none())
            }
        }
    }

    /// True if the key `kid` signed `message`. The key's kind must agree with `algorithm`.
    #[must_use]
    pub fn verifies<'a>(
        &self,
        kid: impl Into<Option<&'a str>>,
        algorithm: Algorithm,
        message: &[u8],
        signature: &[u8],
    ) -> bool {
        let key = self.meant(kid.into());
        key.is_some_and(|key| key.verifies(algorithm, message, signature))
    }

    /// True if the set has the key `kid`, or a single key if `kid` is `None`.
    #[must_use]
    pub fn knows<'a>(&self, kid: impl Into<Option<&'a str>>) -> bool {
        self.meant(kid.into()).is_some()
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

    fn thumbprint(&self) -> String {
        let b64 = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        let members = match self {
            Self::Ed25519(x) => format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{}"}}"#, b64(x)),
            Self::P256(point) => {
                let (x, y) = point
                    .get(1..)
                    .unwrap_or_default()
                    .split_at(COORDINATE_BYTES);
                format!(
                    r#"{{"crv":"P-256","kty":"EC","x":"{}","y":"{}"}}"#,
                    b64(x),
                    b64(y)
                )
            }
            Self::Rsa(RsaPublicKeyComponents { n, e }) => {
                format!(r#"{{"e":"{}","kty":"RSA","n":"{}"}}"#, b64(e), b64(n))
            }
        };
        let digest = ring::digest::digest(&ring::digest::SHA256, members.as_bytes());
        b64(digest.as_ref())
    }
}

/// Parses the members of a JWK. `Ok(None)` means a key for encryption.
fn parse(members: &Map<String, Value>) -> Result<Option<Key>, Unusable> {
    let is_there = |name: &str| members.get(name).is_some_and(|value| !value.is_null());
    let kty = text(members, "kty")?.ok_or(Unusable::Why("it has no `kty`"))?;
    if is_there("d") || is_there("k") || kty == "oct" {
        let why = "it holds private or symmetric key material";
        return Err(Unusable::Why(why));
    }
    match text(members, "use")? {
        None | Some("sig" | "jwt-svid") => {}
        Some("enc") => return Ok(None),
        Some(_) => return Err(Unusable::Why("its `use` is not `sig`")),
    }
    // RFC 7517 section 4.3: if the operations are listed, `verify` must be one of them.
    match members.get("key_ops") {
        None | Some(Value::Null) => {}
        Some(Value::Array(named)) if named.iter().any(|one| one == "verify") => {}
        Some(Value::Array(_)) => return Err(Unusable::Why("its `key_ops` has no `verify`")),
        Some(Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Object(_)) => {
            return Err(Unusable::Type("key_ops"));
        }
    }
    let alg = text(members, "alg")?;
    let is_for = |algorithm: Algorithm| match alg {
        Some(alg) if Algorithm::parse(alg) != Some(algorithm) => Err(Unusable::Why(
            "its `alg` does not fit its key type: RS256 with RSA, ES256 or ESP256 with P-256, EdDSA or \
             Ed25519 with Ed25519",
        )),
        Some(_) | None => Ok(()),
    };
    let key = match (kty, text(members, "crv")?) {
        ("OKP", Some("Ed25519")) => {
            is_for(Algorithm::EdDsa)?;
            let x = number(members, "x")?;
            let is_whole = x.len() == COORDINATE_BYTES;
            is_whole.then_some(Key::Ed25519(x)).ok_or(LENGTH)?
        }
        ("EC", Some("P-256")) => {
            is_for(Algorithm::Es256)?;
            let (x, y) = (coordinate(members, "x")?, coordinate(members, "y")?);
            Key::P256(std::iter::once(4).chain(x).chain(y).collect())
        }
        ("RSA", _) => {
            is_for(Algorithm::Rs256)?;
            Key::Rsa(rsa(number(members, "n")?, number(members, "e")?)?)
        }
        _ => {
            let why = "its key type is not supported: use RSA, EC on P-256, or OKP with Ed25519";
            return Err(Unusable::Why(why));
        }
    };
    Ok(Some(key))
}

const LENGTH: Unusable = Unusable::Why("a number of it has a wrong length");

/// Prepares the numbers for ring, which refuses the leading zeroes that some issuers write.
fn rsa(n: Vec<u8>, e: Vec<u8>) -> Result<RsaPublicKeyComponents<Vec<u8>>, Unusable> {
    let (n, e) = (without_zeroes(n), without_zeroes(e));
    let unused = n.first().map_or(0, |byte| byte.leading_zeros() as usize);
    let bits = (n.len() * 8).saturating_sub(unused);
    if bits < *RSA_MODULUS_BITS.start() {
        return Err(Unusable::Why("it is under 2048 bits"));
    }
    if bits > *RSA_MODULUS_BITS.end() {
        return Err(Unusable::Why("it is over 8192 bits"));
    }
    if is_of_weak_primes(&n) {
        return Err(Unusable::Why(
            "its primes come from a generator whose primes can be guessed (ROCA, CVE-2017-15361)",
        ));
    }
    let is_odd = e.last().is_some_and(|byte| byte % 2 == 1);
    if !is_odd || e == [1] || e.len() > RSA_EXPONENT_BYTES {
        return Err(Unusable::Why("its exponent is unsafe"));
    }
    Ok(RsaPublicKeyComponents { n, e })
}

/// Detects moduli of the faulty generator (ROCA): modulo each of these primes, such a modulus is a
/// power of 65537. Fewer than one in 100 million other moduli match.
fn is_of_weak_primes(n: &[u8]) -> bool {
    const PRIMES: [u32; 17] = [
        11, 13, 17, 19, 37, 53, 61, 71, 73, 79, 97, 103, 107, 109, 127, 151, 157,
    ];
    PRIMES.into_iter().all(|prime| {
        let rest = n
            .iter()
            .fold(0, |rest, byte| (rest * 256 + u32::from(*byte)) % prime);
        let powers = std::iter::successors(Some(1), |power| Some(power * (65537 % prime) % prime));
        powers.take(prime as usize).any(|power| power == rest)
    })
}

fn without_zeroes(mut number: Vec<u8>) -> Vec<u8> {
    let zeroes = number.iter().take_while(|byte| **byte == 0).count();
    number.split_off(zeroes)
}

/// Reads a coordinate and pads it to its full length. Issuers that treat coordinates as integers
/// drop leading zeroes (RFC 7518 section 6.2.1.2).
fn coordinate(members: &Map<String, Value>, name: &'static str) -> Result<Vec<u8>, Unusable> {
    let digits = without_zeroes(number(members, name)?);
    let zeroes = COORDINATE_BYTES.checked_sub(digits.len()).ok_or(LENGTH)?;
    Ok([vec![0; zeroes], digits].concat())
}

/// Checks that a point is on the curve. ring checks a point only in a key agreement, so one is made
/// with a throwaway key.
fn on_the_curve(point: &[u8]) -> bool {
    use ring::agreement::{ECDH_P256, EphemeralPrivateKey, UnparsedPublicKey, agree_ephemeral};
    EphemeralPrivateKey::generate(&ECDH_P256, &ring::rand::SystemRandom::new())
        .and_then(|ours| agree_ephemeral(ours, &UnparsedPublicKey::new(&ECDH_P256, point), |_| ()))
        .is_ok()
}

fn text<'a>(
    members: &'a Map<String, Value>,
    name: &'static str,
) -> Result<Option<&'a str>, Unusable> {
    match members.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_)) => {
            Err(Unusable::Type(name))
        }
    }
}

fn number(members: &Map<String, Value>, name: &'static str) -> Result<Vec<u8>, Unusable> {
    let text = text(members, name)?.ok_or(Unusable::Why("a number of it is missing"))?;
    // Some issuers write standard base64. No text decodes to different numbers in the two
    // alphabets, so both are accepted.
    let text = text.replace('+', "-").replace('/', "_");
    NUMBERS
        .decode(text)
        .map_err(|_| Unusable::Why("a number of it is not base64url"))
}
