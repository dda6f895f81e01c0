//! Verifies that a token is one of ours: strictly, since nobody else's has to be understood.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use lanyard_core::time::Timestamp;
use serde::Deserialize;

use crate::claims::Claims;
use crate::key::ACCESS_TOKEN;
use crate::keyring::Keyring;

/// The longest token that is looked at; ours take about 900 bytes.
///
/// # Limit
/// - for: a token
/// - unit: bytes
/// - beyond: the token is refused before it is read
/// - test: `a_token_has_so_many_bytes_and_no_more`
const MAX_TOKEN_BYTES: usize = 16 * 1024;

/// How far in the future `iat` may lie: clocks of two replicas differ.
const SKEW_SECS: u64 = 30;

/// Why a text is not a valid token of ours. Outside, all of these look the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum VerifyError {
    /// Not three parts of base64url, or too long.
    #[error("token is not a compact JWS of at most {MAX_TOKEN_BYTES} bytes")]
    NotCompact,
    /// Another algorithm or type, or a member that we never write (T1, T4, T5).
    #[error("token's header is not that of one of our tokens")]
    Header,
    /// No published key of that name (T3).
    #[error("token's key is not known")]
    UnknownKey,
    /// Not signed by that key.
    #[error("token's signature does not verify")]
    Signature,
    /// Signed by us, but not these claims, or for another issuer.
    #[error("token's claims are not those of one of our tokens")]
    Claims,
    /// Issued in the future (T13).
    #[error("token is issued in the future")]
    NotYet,
    /// Past its `exp`.
    #[error("token has expired")]
    Expired,
}

/// Exactly the members that we write: any other one, and any one twice, is an error.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    typ: String,
    alg: String,
    kid: String,
}

impl Keyring {
    /// The claims of a token that this keyring signed for this issuer and that has not expired.
    ///
    /// # Errors
    /// See [`VerifyError`].
    pub fn verify(&self, token: &str, issuer: &str, now: Timestamp) -> Result<Claims, VerifyError> {
        let payload = self.verify_as(ACCESS_TOKEN, token, now)?;
        let claims: Claims = serde_json::from_slice(&payload).map_err(|_| VerifyError::Claims)?;
        check(&claims, issuer, now).map(|()| claims)
    }

    /// The payload of something that this keyring signed with this type; nothing in it is looked at.
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
    } else if claims.iat > now.as_secs().saturating_add(SKEW_SECS) {
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
