//! Taking a compact JWS (RFC 7515) apart, before any cryptography.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use lanyard_core::time::Timestamp;
use serde::Deserialize;
use serde::de::{DeserializeOwned, IgnoredAny};

use crate::RejectedToken;
use crate::jwks::Algorithm;

/// The longest token, in bytes.
///
/// # Limit
/// - for: a caller
/// - unit: bytes
/// - beyond: the token is refused before it is read
/// - test: `t44_what_a_token_says_has_bounds`
pub const MAX_TOKEN_BYTES: usize = 8 * 1024;
/// The longest key id, in bytes (T3).
///
/// # Limit
/// - for: a token
/// - unit: bytes
/// - beyond: the token is refused
/// - test: `t44_what_a_token_says_has_bounds`
pub const MAX_KEY_ID_BYTES: usize = 128;

/// A token whose form is right; nothing in it is believed yet.
#[derive(Debug)]
pub struct Jws<'a> {
    /// The algorithm that the header names.
    pub algorithm: Algorithm,
    /// The key that the header names.
    pub kid: String,
    /// What was signed.
    pub message: &'a [u8],
    /// The payload.
    pub payload: Vec<u8>,
    /// The signature.
    pub signature: Vec<u8>,
}

/// Exactly the members that are understood. Another one (`jwk`, `jku`, `x5u`, `x5c`, `crit`, `b64`, `enc`), or
/// one twice, refuses the token (T4, T5).
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    alg: String,
    kid: String,
    typ: Option<String>,
    /// Thumbprints of the issuer's certificate, which some issuers add: they say nothing that `kid` does not.
    #[serde(rename = "x5t")]
    _sha1: Option<IgnoredAny>,
    #[serde(rename = "x5t#S256")]
    _sha256: Option<IgnoredAny>,
}

/// The three parts of a token, with the first two decoded no further than from base64url.
pub(crate) struct Parts<'a> {
    pub(crate) header: Vec<u8>,
    pub(crate) payload: Vec<u8>,
    pub(crate) signature: Vec<u8>,
    pub(crate) message: &'a [u8],
}

impl<'a> Parts<'a> {
    pub(crate) fn of(token: &'a str) -> Result<Self, RejectedToken> {
        Self::within(token, MAX_TOKEN_BYTES)
    }

    fn within(token: &'a str, limit: usize) -> Result<Self, RejectedToken> {
        if token.len() > limit {
            return Err(RejectedToken::Form);
        }
        let (message, signature) = token.rsplit_once('.').ok_or(RejectedToken::Form)?;
        let (header, payload) = message.split_once('.').ok_or(RejectedToken::Form)?;
        Ok(Self {
            header: decode(header)?,
            payload: decode(payload)?,
            signature: decode(signature)?,
            message: message.as_bytes(),
        })
    }
}

/// When a token says that it was issued; nothing of it is believed yet.
#[must_use]
pub fn issued_at(token: &str) -> Option<Timestamp> {
    #[derive(Deserialize)]
    struct Issued {
        iat: u64,
    }
    let mut parts = token.split('.').filter(|_| token.len() <= MAX_TOKEN_BYTES);
    let payload = decode(parts.nth(1)?).ok()?;
    let issued: Issued = serde_json::from_slice(&payload).ok()?;
    Some(Timestamp::from_secs(issued.iat))
}

/// What a token says of its own type. Nothing is believed for that: whoever takes tokens of a type checks it again.
#[must_use]
pub fn type_of(token: &str) -> Option<String> {
    let header = token
        .split('.')
        .next()
        .filter(|_| token.len() <= MAX_TOKEN_BYTES)?;
    let header: Header = serde_json::from_slice(&decode(header).ok()?).ok()?;
    header.typ
}

impl<'a> Jws<'a> {
    /// Takes it apart: an ordinary JWT, an access token (RFC 9068), or a JWT-SVID.
    ///
    /// # Errors
    /// [`RejectedToken::Form`] or [`RejectedToken::Header`].
    pub fn parse(token: &'a str) -> Result<Self, RejectedToken> {
        let known = ["jwt", "at+jwt", "jose"];
        Self::typed(Parts::of(token)?, |typ| {
            typ.is_none_or(|typ| known.iter().any(|known| typ.eq_ignore_ascii_case(known)))
        })
    }

    /// What the payload says; nothing in it is believed before the signature was checked.
    ///
    /// # Errors
    /// [`RejectedToken::Claims`] where it is of another shape.
    pub fn claims<T: DeserializeOwned>(&self) -> Result<T, RejectedToken> {
        serde_json::from_slice(&self.payload).map_err(|_| RejectedToken::Claims)
    }

    /// As [`Jws::parse`], where the header has to name this type.
    ///
    /// # Errors
    /// [`RejectedToken::Form`] or [`RejectedToken::Header`].
    pub fn parse_as(token: &'a str, expected: &str) -> Result<Self, RejectedToken> {
        Self::typed(Parts::of(token)?, |typ| typ == Some(expected))
    }

    /// As [`Jws::parse_as`], for something that may be longer than a token: a status list.
    ///
    /// # Errors
    /// [`RejectedToken::Form`] or [`RejectedToken::Header`].
    pub fn parse_within(
        text: &'a str,
        expected: &str,
        limit: usize,
    ) -> Result<Self, RejectedToken> {
        Self::typed(Parts::within(text, limit)?, |typ| typ == Some(expected))
    }

    fn typed(
        parts: Parts<'a>,
        accepts: impl Fn(Option<&str>) -> bool,
    ) -> Result<Self, RejectedToken> {
        let header: Header =
            serde_json::from_slice(&parts.header).map_err(|_| RejectedToken::Header)?;
        if !accepts(header.typ.as_deref()) || header.kid.len() > MAX_KEY_ID_BYTES {
            return Err(RejectedToken::Header);
        }
        Ok(Self {
            algorithm: Algorithm::parse(&header.alg).ok_or(RejectedToken::Header)?,
            kid: header.kid,
            message: parts.message,
            payload: parts.payload,
            signature: parts.signature,
        })
    }
}

fn decode(part: &str) -> Result<Vec<u8>, RejectedToken> {
    URL_SAFE_NO_PAD
        .decode(part)
        .map_err(|_| RejectedToken::Form)
}
