//! Proof of possession of a key by DPoP (RFC 9449): a JWT that the caller signs for one request and
//! one token.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use lanyard_vocabulary::identity::Confirmation;
use lanyard_vocabulary::time::Timestamp;
use serde::Deserialize;

use crate::jwks::{Algorithm, PublicKey};
use crate::jws::{Header, Parts};
use crate::numeric_date::NumericDate;
use crate::replay_cache::ProofId;
use crate::{CLOCK_SKEW, RejectedToken, unique};

/// Age up to which a proof is accepted.
///
/// # Limit
/// - for: a proof of possession
/// - unit: of time
/// - beyond: the proof is refused; 30 s of clock skew are added
/// - test: `t44_a_proof_of_possession_has_bounds`
const MAX_PROOF_AGE: Duration = Duration::from_secs(60);
/// Longest `jti` of a proof.
///
/// # Limit
/// - for: a proof of possession
/// - unit: bytes
/// - beyond: the proof is refused
/// - test: `t44_a_proof_of_possession_has_bounds`
const MAX_PROOF_ID_BYTES: usize = 128;

/// The request that a proof must name.
#[derive(Debug, Clone, Copy)]
pub struct Target<'a> {
    /// The HTTP method; `POST` for gRPC.
    pub method: &'a str,
    /// The path, without a query.
    pub path: &'a str,
    /// Schemes and authorities under which the broker is reached, such as
    /// `https://lanyard.example`. They come from the configuration: whoever relays a proof chooses
    /// the `Host` header.
    pub origins: &'a [String],
}

/// A valid proof of possession.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proof {
    /// The key that signed the proof.
    pub key: Confirmation,
    /// The proof's key in the replay cache.
    pub id: ProofId,
    /// Time until which the replay cache holds the proof.
    pub until: Timestamp,
}

#[derive(Deserialize)]
struct Claims {
    jti: String,
    htm: String,
    htu: String,
    iat: NumericDate,
    ath: Option<String>,
}

/// Verifies a proof for the request and, if there is one, the token (RFC 9449 section 4.3).
///
/// # Errors
/// [`RejectedToken::Times`] for the age of the proof, [`RejectedToken::Possession`] for any other
/// fault.
pub fn check(
    proof: &str,
    target: &Target<'_>,
    token: Option<&str>,
    now: Timestamp,
) -> Result<Proof, RejectedToken> {
    let bad = RejectedToken::Possession;
    let parts = Parts::of(proof)?;
    let mut header = unique::object(&parts.header).map_err(|_| bad)?;
    // DPoP is the one token type that brings its own key. The thumbprint below binds that key.
    let jwk = header.remove("jwk").ok_or(bad)?;
    let header = Header::of(&header).map_err(|_| bad)?;
    let algorithm = header.algorithm;
    if header.typ.as_deref() != Some("dpop+jwt") || algorithm == Algorithm::Rs256 {
        return Err(bad);
    }
    let claims: Claims = serde_json::from_slice(&parts.payload).map_err(|_| bad)?;
    let issued = claims.iat.0;
    if now > issued + MAX_PROOF_AGE + CLOCK_SKEW || issued > now + CLOCK_SKEW {
        return Err(RejectedToken::Times);
    }
    let asked = claims.htu.split(['?', '#']).next().unwrap_or_default();
    let is_here = |origin: &String| asked.strip_prefix(origin.as_str()) == Some(target.path);
    let is_for_it = claims.htm == target.method && target.origins.iter().any(is_here);
    let named = !claims.jti.is_empty() && claims.jti.len() <= MAX_PROOF_ID_BYTES;
    if !is_for_it || !named || claims.ath.as_deref() != token.map(digest).as_deref() {
        return Err(bad);
    }
    let key = PublicKey::parse(&jwk).map_err(|_| bad)?;
    if !key.verifies(algorithm, parts.message, &parts.signature) {
        return Err(bad);
    }
    let key = key.thumbprint();
    Ok(Proof {
        id: ProofId::of(&["dpop", &key, &claims.jti]),
        key: Confirmation::Key(key),
        until: issued + MAX_PROOF_AGE + CLOCK_SKEW,
    })
}

/// Computes `ath`: SHA-256 of the token, in base64url.
fn digest(token: &str) -> String {
    let digest = ring::digest::digest(&ring::digest::SHA256, token.as_bytes());
    URL_SAFE_NO_PAD.encode(digest.as_ref())
}
