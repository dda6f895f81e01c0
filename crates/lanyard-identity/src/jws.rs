//! Parsing of a compact JWS (RFC 7515), before any cryptography.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use lanyard_vocabulary::time::Timestamp;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::RejectedToken;
use crate::jwks::Algorithm;
use crate::numeric_date::NumericDate;
use crate::unique;

/// Longest token. Entra ID puts up to 200 groups into a token, which then has about 12 KiB.
///
/// # Limit
/// - for: a caller
/// - unit: bytes
/// - beyond: the token is refused before it is read
/// - test: `t44_the_fields_of_a_token_have_length_limits`
pub const MAX_TOKEN_BYTES: usize = 16 * 1024;
/// Longest key id (T3).
///
/// # Limit
/// - for: a token
/// - unit: bytes
/// - beyond: the token is refused
/// - test: `t44_the_fields_of_a_token_have_length_limits`
pub const MAX_KEY_ID_BYTES: usize = 128;

/// A well-formed token whose signature is not verified yet.
#[derive(Debug)]
pub struct Jws<'a> {
    /// Algorithm that the header names.
    pub algorithm: Algorithm,
    /// Key id that the header names, if any.
    pub kid: Option<String>,
    /// The signed bytes: header and payload as transmitted.
    pub message: &'a [u8],
    /// The decoded payload, which nothing may rely on before the signature is verified.
    pub payload: Vec<u8>,
    /// The decoded signature bytes.
    pub signature: Vec<u8>,
}

/// Header parameters that make a token be refused: they bring a key or change how the token is read
/// (T4, T5). Other unknown parameters are ignored (RFC 7515 section 4).
const REFUSED_PARAMETERS: [&str; 8] = ["crit", "jku", "jwk", "x5u", "x5c", "b64", "enc", "zip"];
/// Known algorithms that are not supported. Only these names appear in messages, never a name that
/// the token chose.
const OTHER_ALGORITHMS: [&str; 16] = [
    "none",
    "HS256",
    "HS384",
    "HS512",
    "RS384",
    "RS512",
    "PS256",
    "PS384",
    "PS512",
    "ES384",
    "ES512",
    "ES256K",
    "ESP384",
    "ESP512",
    "Ed448",
    "ML-DSA-65",
];

/// The header members that matter.
pub(crate) struct Header {
    pub(crate) algorithm: Algorithm,
    pub(crate) kid: Option<String>,
    pub(crate) typ: Option<String>,
}

impl Header {
    /// Reads a header that has no refused parameter.
    pub(crate) fn of(members: &Map<String, Value>) -> Result<Self, RejectedToken> {
        plain(members)?;
        let Some(named) = text(members, "alg")? else {
            return Err(RejectedToken::Algorithm("nothing"));
        };
        let algorithm = Algorithm::parse(named).ok_or_else(|| {
            let mut others = OTHER_ALGORITHMS.into_iter();
            RejectedToken::Algorithm(others.find(|it| *it == named).unwrap_or("something else"))
        })?;
        let kid = text(members, "kid")?;
        if kid.is_some_and(|kid| kid.len() > MAX_KEY_ID_BYTES) {
            return Err(RejectedToken::Header);
        }
        Ok(Self {
            algorithm,
            kid: kid.map(str::to_owned),
            typ: text(members, "typ")?.map(str::to_owned),
        })
    }
}

fn members(header: &[u8]) -> Result<Map<String, Value>, RejectedToken> {
    unique::object(header).map_err(|_| RejectedToken::Header)
}

fn plain(members: &Map<String, Value>) -> Result<(), RejectedToken> {
    let mut refused = REFUSED_PARAMETERS.into_iter();
    let found = refused.find(|name| members.contains_key(*name));
    // `cty` JWT marks a payload that is a token itself (RFC 7519 section 5.2).
    let is_nested = |cty: &str| media_type(cty).eq_ignore_ascii_case("JWT");
    let nested = members.get("cty").and_then(Value::as_str);
    let found = found.or_else(|| nested.filter(|cty| is_nested(cty)).map(|_| "cty"));
    found.map_or(Ok(()), |name| Err(RejectedToken::Parameter(name)))
}

fn text<'a>(members: &'a Map<String, Value>, name: &str) -> Result<Option<&'a str>, RejectedToken> {
    match members.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_)) => {
            Err(RejectedToken::Header)
        }
    }
}

/// Strips the prefix of a media type that may be omitted (RFC 7515 section 4.1.9).
fn media_type(typ: &str) -> &str {
    let prefix = "application/";
    match typ.split_at_checked(prefix.len()) {
        Some((found, rest)) if found.eq_ignore_ascii_case(prefix) => rest,
        Some(_) | None => typ,
    }
}

/// The parts of a token, decoded from base64url and not parsed further.
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
            return Err(RejectedToken::TooLong {
                bytes: token.len(),
                limit,
            });
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

/// Reads `iat` of a token whose signature is not verified.
#[must_use]
pub fn issued_at(token: &str) -> Option<Timestamp> {
    #[derive(Deserialize)]
    struct Issued {
        iat: NumericDate,
    }
    let mut parts = token.split('.').filter(|_| token.len() <= MAX_TOKEN_BYTES);
    let payload = decode(parts.nth(1)?).ok()?;
    let issued: Issued = serde_json::from_slice(&payload).ok()?;
    Some(issued.iat.0)
}

/// Reads `typ` of a token whose signature is not verified. The parser for that type checks `typ`
/// again.
#[must_use]
pub fn type_of(token: &str) -> Option<String> {
    let header = token
        .split('.')
        .next()
        .filter(|_| token.len() <= MAX_TOKEN_BYTES)?;
    let members = members(&decode(header).ok()?).ok()?;
    plain(&members).ok()?;
    Some(members.get("typ")?.as_str()?.to_owned())
}

impl<'a> Jws<'a> {
    /// Parses a plain JWT, an access token (RFC 9068) or a JWT-SVID.
    ///
    /// # Errors
    /// See [`RejectedToken`].
    pub fn parse(token: &'a str) -> Result<Self, RejectedToken> {
        let known = ["jwt", "at+jwt", "jose"];
        Self::typed(Parts::of(token)?, |typ| {
            let typ = typ.map(media_type);
            typ.is_none_or(|typ| known.iter().any(|known| typ.eq_ignore_ascii_case(known)))
        })
    }

    /// Parses the payload. Callers verify the signature before they use a claim.
    ///
    /// # Errors
    /// [`RejectedToken::Claims`] if the payload has another shape.
    pub fn claims<T: DeserializeOwned>(&self) -> Result<T, RejectedToken> {
        serde_json::from_slice(&self.payload).map_err(|_| RejectedToken::Claims)
    }

    /// Like [`Jws::parse`], for a token whose `typ` is `expected`.
    ///
    /// # Errors
    /// See [`RejectedToken`].
    pub fn parse_as(token: &'a str, expected: &str) -> Result<Self, RejectedToken> {
        Self::typed(Parts::of(token)?, |typ| typ == Some(expected))
    }

    /// Like [`Jws::parse_as`], and accepts every spelling of the media type: any case, with or
    /// without `application/`.
    ///
    /// # Errors
    /// See [`RejectedToken`].
    pub(crate) fn parse_as_media_type(
        token: &'a str,
        expected: &str,
    ) -> Result<Self, RejectedToken> {
        Self::typed(Parts::of(token)?, |typ| {
            typ.is_some_and(|typ| media_type(typ).eq_ignore_ascii_case(expected))
        })
    }

    /// Like [`Jws::parse_as`], for a text that may be longer than a token, such as a status list.
    ///
    /// # Errors
    /// See [`RejectedToken`].
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
        let header = Header::of(&members(&parts.header)?)?;
        if !accepts(header.typ.as_deref()) {
            return Err(RejectedToken::Type);
        }
        Ok(Self {
            algorithm: header.algorithm,
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
