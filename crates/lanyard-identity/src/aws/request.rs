//! A signed `GetCallerIdentity` request, taken apart and put together again.

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

/// What evidence of this kind begins with.
pub const PREFIX: &str = "lanyard-aws.";
/// The longest evidence, in bytes.
///
/// # Limit
/// - for: a signed request to STS
/// - unit: bytes
/// - beyond: the evidence is refused before it is read
/// - test: `t05_evidence_has_one_form_and_a_bounded_size`
pub const MAX_EVIDENCE_BYTES: usize = 8 * 1024;
/// The body of every request that is sent.
pub const BODY: &str = "Action=GetCallerIdentity&Version=2011-06-15";

/// How far clocks may differ (T13).
const SKEW: Duration = Duration::from_secs(30);
/// How old a request may be (T12).
///
/// # Limit
/// - for: a signed request to STS
/// - unit: of time
/// - beyond: the evidence is refused, 30 s of skew apart
/// - test: `t13_a_request_is_good_for_five_minutes_and_thirty_seconds_of_skew`
const MAX_REQUEST_AGE: Duration = Duration::from_secs(300);

const AUTHORIZATION: &str = "authorization";
const CONTENT_TYPE: &str = "content-type";
const DATE: &str = "x-amz-date";
const HOST: &str = "host";
/// Two requests of one second differ by this alone.
const NONCE: &str = "x-lanyard-nonce";
const SECURITY_TOKEN: &str = "x-amz-security-token";
const SERVER_ID: &str = "x-lanyard-server-id";

/// The headers that a request may have, each once; the security token and the nonce may be absent. Not among them: what asks
/// for another form of the answer (`accept`), and what changes the length or the way of a request.
const HEADERS: [&str; 7] = [
    AUTHORIZATION,
    CONTENT_TYPE,
    HOST,
    NONCE,
    DATE,
    SECURITY_TOKEN,
    SERVER_ID,
];
/// What SDKs say of a form.
const FORMS: [&str; 2] = [
    "application/x-www-form-urlencoded",
    "application/x-www-form-urlencoded; charset=utf-8",
];

/// Why a request is not sent. Callers are told nothing of this but that it was not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RejectedRequest {
    /// Not evidence of this kind, or too long.
    #[error("the evidence is not a signed request of at most {MAX_EVIDENCE_BYTES} bytes")]
    Form,
    /// Not to the STS of a configured region, in the one form of its URL.
    #[error("the request is not to the STS of a configured region")]
    Url,
    /// Another action, another version, another order.
    #[error("the request asks for something else than the caller's identity")]
    Body,
    /// A header that is not expected, not there, there twice, or of an odd value.
    #[error("the request's headers are not the expected ones")]
    Headers,
    /// It was signed for somebody else.
    #[error("the request was not signed for this server")]
    Server,
    /// No `Authorization` of Signature Version 4 over exactly the headers that are there.
    #[error("the request's signature does not cover its headers")]
    Authorization,
    /// The credential's scope is of another day, region or service.
    #[error("the request's credential is not scoped to that STS")]
    Scope,
    /// Too old, or of the future.
    #[error("the request's time is not acceptable")]
    Times,
}

/// A request that may be sent: its form is right, and whether AWS knows the signature is not known.
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

/// The members of an object in their order, those of one name included.
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
    /// Whether a bearer token says of itself that it is evidence of this kind; nothing in it is believed yet.
    #[must_use]
    pub fn is_one(token: &str) -> bool {
        token.starts_with(PREFIX)
    }

    /// Takes evidence apart: `lanyard-aws.` and the base64url of a JSON object `{url, headers, body}`.
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
        if issued > now + SKEW || now > issued + MAX_REQUEST_AGE + SKEW {
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

    /// The region whose STS is asked.
    #[must_use]
    pub const fn region(&self) -> &Region {
        &self.region
    }

    /// When it was signed, by the caller's clock.
    #[must_use]
    pub const fn issued(&self) -> Timestamp {
        self.issued
    }

    /// Until when it has to be remembered: afterwards it is too old.
    #[must_use]
    pub fn expires(&self) -> Timestamp {
        self.issued + MAX_REQUEST_AGE + SKEW
    }

    /// What it is remembered by: the digest of the signature, whatever the evidence around it looks like (T12).
    #[must_use]
    pub const fn replay_key(&self) -> [u8; 32] {
        self.replay_key
    }

    /// The headers to send, and no others than what HTTP itself needs. Each use of this sends the proof.
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

/// By their names in lower case; none where one is unknown, there twice, or has an odd value.
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

/// Visible ASCII in words that one space parts: what is signed is what is sent, and no value ends a header line.
fn is_canonical(value: &str) -> bool {
    let word = |word: &str| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_graphic());
    value.split(' ').all(word)
}

/// What has to be signed: every header but the signature's own, in order.
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
