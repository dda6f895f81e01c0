//! Parsing a signed `GetCallerIdentity` request, and rendering it again.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use lanyard_vocabulary::secret::Secret;
use lanyard_vocabulary::time::Timestamp;
use serde::Deserialize;
use serde::de::{MapAccess, Visitor};

use super::authorization::{Authorization, instant};
use super::{AwsCallers, Region};

/// Prefix of this kind of evidence.
pub const PREFIX: &str = "lanyard-aws.";
/// Longest evidence.
///
/// # Limit
/// - for: a signed request to STS
/// - unit: bytes
/// - beyond: the evidence is refused before it is read
/// - test: `t05_evidence_has_one_form_and_a_bounded_size`
pub const MAX_EVIDENCE_BYTES: usize = 8 * 1024;
/// Body of every request that the broker sends.
pub const BODY: &str = "Action=GetCallerIdentity&Version=2011-06-15";

/// Tolerated difference between the caller's and the broker's clock (T13).
const CLOCK_SKEW: Duration = Duration::from_secs(30);
/// Age up to which a request is accepted (T12).
///
/// # Limit
/// - for: a signed request to STS
/// - unit: of time
/// - beyond: the evidence is refused; 30 s of clock skew are added
/// - test: `t13_a_request_is_good_for_five_minutes_and_thirty_seconds_of_skew`
const MAX_REQUEST_AGE: Duration = Duration::from_secs(300);

const AUTHORIZATION: &str = "authorization";
const CONTENT_TYPE: &str = "content-type";
const DATE: &str = "x-amz-date";
const HOST: &str = "host";
/// Random value that tells apart two requests signed in the same second.
const NONCE: &str = "x-lanyard-nonce";
const SECURITY_TOKEN: &str = "x-amz-security-token";
const SERVER_ID: &str = "x-lanyard-server-id";

/// The headers that a request may have, each once. The security token and the nonce may be absent.
/// Headers that change the form of the answer (`accept`), the length or the routing are refused.
const HEADERS: [&str; 7] = [
    AUTHORIZATION,
    CONTENT_TYPE,
    HOST,
    NONCE,
    DATE,
    SECURITY_TOKEN,
    SERVER_ID,
];
/// Content types that AWS SDKs send with a form.
const FORMS: [&str; 2] = [
    "application/x-www-form-urlencoded",
    "application/x-www-form-urlencoded; charset=utf-8",
];

/// A request that the broker does not send to STS. The caller only learns that the proof was
/// refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RejectedRequest {
    /// The evidence is malformed or too long.
    #[error("the evidence is not a signed request of at most {MAX_EVIDENCE_BYTES} bytes")]
    Form,
    /// The URL is not that of a configured region's STS.
    #[error("the request is not to the STS of a configured region")]
    Url,
    /// The body asks for another action or version, or has another order of fields.
    #[error("the request asks for something else than the caller's identity")]
    Body,
    /// A header is unexpected, missing, repeated or malformed.
    #[error("the request's headers differ from the expected ones")]
    Headers,
    /// The request names another server id.
    #[error("the request was not signed for this server")]
    Server,
    /// The `Authorization` header is malformed, or does not sign exactly the headers that are
    /// present.
    #[error("the request's signature does not cover its headers")]
    Authorization,
    /// The credential scope names another day, region or service.
    #[error("the request's credential is not scoped to that STS")]
    Scope,
    /// The request is too old or from the future.
    #[error("the request was signed too long ago, or in the future")]
    Times,
}

/// A well-formed request that the broker may send. Only STS can tell whether the signature is
/// genuine.
#[derive(Debug)]
pub struct CallerIdentityRequest {
    region: Region,
    issued: Timestamp,
    headers: Vec<(&'static str, Secret<String>)>,
    replay_key: [u8; 32],
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    url: String,
    headers: Pairs,
    body: String,
}

/// The members of a JSON object in their order. Repeated names stay visible, where a map would hide
/// them.
struct Pairs(Vec<(String, String)>);

impl<'de> Deserialize<'de> for Pairs {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members;
        impl<'de> Visitor<'de> for Members {
            type Value = Pairs;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of strings")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Pairs, A::Error> {
                let mut pairs = Vec::new();
                while let Some(pair) = map.next_entry()? {
                    pairs.push(pair);
                }
                Ok(Pairs(pairs))
            }
        }
        deserializer.deserialize_map(Members)
    }
}

impl CallerIdentityRequest {
    /// True if a bearer token has the prefix of this kind of evidence. Nothing is verified yet.
    #[must_use]
    pub fn is_one(token: &str) -> bool {
        token.starts_with(PREFIX)
    }

    /// Parses evidence: `lanyard-aws.` and the base64url of a JSON object `{url, headers, body}`.
    ///
    /// # Errors
    /// See [`RejectedRequest`].
    pub fn parse(
        text: &str,
        callers: &AwsCallers,
        now: Timestamp,
    ) -> Result<Self, RejectedRequest> {
        let raw = decode(text).ok_or(RejectedRequest::Form)?;
        let region = callers.region_of(&raw.url).ok_or(RejectedRequest::Url)?;
        if raw.body != BODY {
            return Err(RejectedRequest::Body);
        }
        let headers = headers(raw.headers).ok_or(RejectedRequest::Headers)?;
        let value = |name| headers.get(name).ok_or(RejectedRequest::Headers);
        let content_type = value(CONTENT_TYPE)?;
        if *value(HOST)? != region.host() || !FORMS.contains(&content_type.as_str()) {
            return Err(RejectedRequest::Headers);
        }
        if value(SERVER_ID)? != callers.server_id.as_str() {
            return Err(RejectedRequest::Server);
        }
        let authorization = value(AUTHORIZATION)?;
        let authorization =
            Authorization::parse(authorization).ok_or(RejectedRequest::Authorization)?;
        if authorization.signed != signed_names(&headers) {
            return Err(RejectedRequest::Authorization);
        }
        let issued = scoped(&authorization, region, value(DATE)?)?;
        if issued > now + CLOCK_SKEW || now > issued + MAX_REQUEST_AGE + CLOCK_SKEW {
            return Err(RejectedRequest::Times);
        }
        let mut replay_key = [0; 32];
        let signature = authorization.signature.as_bytes();
        let digest = ring::digest::digest(&ring::digest::SHA256, signature);
        replay_key.copy_from_slice(digest.as_ref());
        Ok(Self {
            region: region.clone(),
            issued,
            headers: rebuilt(&headers, &authorization),
            replay_key,
        })
    }

    /// Returns the region whose STS verifies the request.
    #[must_use]
    pub const fn region(&self) -> &Region {
        &self.region
    }

    /// Returns the time of signing by the caller's clock.
    #[must_use]
    pub const fn issued(&self) -> Timestamp {
        self.issued
    }

    /// Returns the time until which the replay cache must hold the request. Afterwards the request
    /// is too old.
    #[must_use]
    pub fn expires(&self) -> Timestamp {
        self.issued + MAX_REQUEST_AGE + CLOCK_SKEW
    }

    /// Returns the key for the replay cache: the digest of the signature, so that other encodings
    /// of the same evidence are recognised (T12).
    #[must_use]
    pub const fn replay_key(&self) -> [u8; 32] {
        self.replay_key
    }

    /// Returns the headers to send; the HTTP client adds only what HTTP needs. The values are the
    /// proof, so each use of them sends the proof.
    pub fn headers(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let headers = self.headers.iter();
        headers.map(|(name, value)| (*name, value.expose().as_str()))
    }
}

fn decode(text: &str) -> Option<Raw> {
    if text.len() > MAX_EVIDENCE_BYTES {
        return None;
    }
    let bytes = URL_SAFE_NO_PAD.decode(text.strip_prefix(PREFIX)?).ok()?;
    serde_json::from_slice(&bytes).ok()
}

/// Indexes the headers by lower-case name. `None` if one is unknown, repeated or malformed.
fn headers(pairs: Pairs) -> Option<BTreeMap<&'static str, String>> {
    let mut headers = BTreeMap::new();
    for (name, value) in pairs.0 {
        let known = |known: &&&str| name.eq_ignore_ascii_case(known);
        let name = HEADERS.iter().find(known)?;
        if !is_canonical(&value) || headers.insert(*name, value).is_some() {
            return None;
        }
    }
    Some(headers)
}

/// Accepts visible ASCII words with one space between them. AWS trims and folds spaces before
/// signing, and a line break would end the header.
fn is_canonical(value: &str) -> bool {
    let word = |word: &str| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_graphic());
    value.split(' ').all(word)
}

/// Lists the headers that must be signed, in order: all but `Authorization`.
fn signed_names(headers: &BTreeMap<&'static str, String>) -> String {
    let names = headers.keys().copied();
    let signed: Vec<&str> = names.filter(|name| *name != AUTHORIZATION).collect();
    signed.join(";")
}

fn scoped(
    authorization: &Authorization<'_>,
    region: &Region,
    date: &str,
) -> Result<Timestamp, RejectedRequest> {
    let issued = instant(date).ok_or(RejectedRequest::Times)?;
    let here = authorization.region == region.as_str() && authorization.service == "sts";
    if here && date.get(..8) == Some(authorization.date) {
        Ok(issued)
    } else {
        Err(RejectedRequest::Scope)
    }
}

fn rebuilt(
    headers: &BTreeMap<&'static str, String>,
    authorization: &Authorization<'_>,
) -> Vec<(&'static str, Secret<String>)> {
    let others = headers
        .iter()
        .filter(|(name, _)| **name != AUTHORIZATION)
        .map(|(name, value)| (*name, Secret::new(value.clone())));
    others
        .chain([(AUTHORIZATION, Secret::new(authorization.rebuilt()))])
        .collect()
}
