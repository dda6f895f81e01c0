//! Verifies tokens that this issuer signed. The checks are strict, because no foreign token has to
//! be understood.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use lanyard_vocabulary::time::Timestamp;
use serde::Deserialize;

use crate::claims::Claims;
use crate::key::ACCESS_TOKEN_TYPE;
use crate::keyring::Keyring;

/// The longest token that is verified; those of this issuer have about 900 bytes.
///
/// # Limit
/// - for: a token
/// - unit: bytes
/// - beyond: the token is refused before it is read
/// - test: `a_token_has_a_size_limit`
const MAX_TOKEN_BYTES: usize = 16 * 1024;

/// Time by which `iat` may lie in the future, in seconds, since the clocks of two replicas differ.
const CLOCK_SKEW_SECS: u64 = 30;

/// The reason why a text is not a valid token of this issuer. Callers outside see no difference
/// between the reasons.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum VerifyError {
    /// The text is not three parts of base64url, or is too long.
    #[error("token is not a compact JWS of at most {MAX_TOKEN_BYTES} bytes")]
    NotCompact,
    /// The header has another algorithm or type, or a member that Lanyard never writes (T1, T4,
    /// T5).
    #[error("token's header differs from those that Lanyard writes")]
    Header,
    /// No published key has the header's `kid` (T3).
    #[error("token's key is unknown")]
    UnknownKey,
    /// The key did not make the signature.
    #[error("token's signature does not verify")]
    Signature,
    /// The claims are not those of an access token, or are another issuer's.
    #[error("token's claims differ from those that this issuer writes")]
    Claims,
    /// The token was issued in the future (T13).
    #[error("token is issued in the future")]
    NotYet,
    /// The token is past its `exp`.
    #[error("token has expired")]
    Expired,
}

/// The header members that Lanyard writes. Any other one, and any one twice, is an error.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    typ: String,
    alg: String,
    kid: String,
}

impl Keyring {
    /// Verifies an access token of `issuer` and returns its claims.
    ///
    /// # Errors
    /// See [`VerifyError`].
    pub fn verify(&self, token: &str, issuer: &str, now: Timestamp) -> Result<Claims, VerifyError> {
        let payload = self.verify_as(ACCESS_TOKEN_TYPE, token, now)?;
        let claims: Claims = serde_json::from_slice(&payload).map_err(|_| VerifyError::Claims)?;
        check(&claims, issuer, now).map(|()| claims)
    }

    /// Verifies the signature and the `typ` of a token, and returns its payload unparsed.
    ///
    /// # Errors
    /// See [`VerifyError`].
    pub fn verify_as(
        &self,
        typ: &str,
        token: &str,
        now: Timestamp,
    ) -> Result<Vec<u8>, VerifyError> {
        if token.len() > MAX_TOKEN_BYTES {
            return Err(VerifyError::NotCompact);
        }
        // The signature covers the text as it arrived, before anything in it is parsed.
        let (message, signature) = token.rsplit_once('.').ok_or(VerifyError::NotCompact)?;
        let (header, payload) = message.split_once('.').ok_or(VerifyError::NotCompact)?;
        let [header, payload, signature] = [decode(header)?, decode(payload)?, decode(signature)?];
        let header: Header = serde_json::from_slice(&header).map_err(|_| VerifyError::Header)?;
        if header.alg != "EdDSA" || header.typ != typ {
            return Err(VerifyError::Header);
        }
        let key = self.key(&header.kid, now).ok_or(VerifyError::UnknownKey)?;
        if !key.verifies(message.as_bytes(), &signature) {
            return Err(VerifyError::Signature);
        }
        Ok(payload)
    }
}

fn check(claims: &Claims, issuer: &str, now: Timestamp) -> Result<(), VerifyError> {
    if claims.iss != issuer {
        Err(VerifyError::Claims)
    } else if claims.iat > now.as_secs().saturating_add(CLOCK_SKEW_SECS) {
        Err(VerifyError::NotYet)
    } else if Timestamp::from_secs(claims.exp) <= now {
        Err(VerifyError::Expired)
    } else {
        Ok(())
    }
}

fn decode(part: &str) -> Result<Vec<u8>, VerifyError> {
    URL_SAFE_NO_PAD
        .decode(part)
        .map_err(|_| VerifyError::NotCompact)
}
