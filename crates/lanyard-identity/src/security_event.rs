//! Security event tokens (RFC 8417) of OpenID CAEP 1.0: an issuer says that a session of somebody is over.

use lanyard_core::identity::Identity;
use lanyard_core::time::Timestamp;
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::jwks::Jwks;
use crate::jws::Jws;

/// `typ` of a security event token (RFC 8417 section 2.3).
pub const EVENT_TYPE: &str = "secevent+jwt";
/// CAEP 1.0 section 3.1.
pub const SESSION_REVOKED: &str =
    "https://schemas.openid.net/secevent/caep/event-type/session-revoked";
/// SSF 1.0 section 8.1.4: whether the stream works.
pub const VERIFICATION: &str = "https://schemas.openid.net/secevent/ssf/event-type/verification";
/// The longest id of an event, in bytes.
///
/// # Limit
/// - for: a security event
/// - unit: bytes
/// - beyond: the event is refused
/// - test: `t44_the_id_of_a_security_event_has_a_bound`
const MAX_EVENT_ID_BYTES: usize = 256;
/// How far clocks may differ, in seconds.
const SKEW: u64 = 30;

/// Who may say so.
#[derive(Debug)]
pub struct Transmitter {
    /// Its name in the configuration.
    pub name: String,
    /// `iss`, byte for byte.
    pub issuer: String,
    /// `aud` of its events.
    pub audience: String,
    /// Its keys.
    pub keys: Jwks,
}

/// What was said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SecurityEvent {
    /// The stream is being tried.
    Verification,
    /// A session of this subject is over.
    SessionRevoked {
        /// The event's own id.
        id: String,
        /// Whose.
        subject: Identity,
        /// What the transmitter gives as the reason for those who look after the system.
        reason: Option<String>,
    },
}

/// Why an event is not taken; the codes of RFC 8935 section 2.4.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RejectedEvent {
    /// Not a security event token, or one that says nothing that is understood.
    #[error("the request is not a security event token of a known form")]
    Request,
    /// Not signed by a key of the issuer.
    #[error("the signature does not verify by a key of the issuer")]
    Key,
    /// No such transmitter.
    #[error("the issuer is not configured")]
    Issuer,
    /// Not for this broker.
    #[error("the audience is not this broker")]
    Audience,
    /// A subject of a form that names no identity here.
    #[error("the subject is not one of the form iss_sub, nor has a user of that form")]
    Subject,
}

impl RejectedEvent {
    /// `err` of the answer.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Request | Self::Subject => "invalid_request",
            Self::Key => "invalid_key",
            Self::Issuer => "invalid_issuer",
            Self::Audience => "invalid_audience",
        }
    }
}

#[derive(Deserialize)]
struct Claims {
    iss: String,
    aud: Audiences,
    iat: u64,
    jti: String,
    sub_id: Option<Value>,
    events: Map<String, Value>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Audiences {
    One(String),
    Many(Vec<String>),
}

impl Audiences {
    fn is_for(&self, audience: &str) -> bool {
        match self {
            Self::One(one) => one == audience,
            Self::Many(many) => many.iter().any(|one| one == audience),
        }
    }
}

/// The event, and who said it.
///
/// # Errors
/// See [`RejectedEvent`].
pub fn verify<'a>(
    transmitters: &'a [Transmitter],
    token: &str,
    now: Timestamp,
) -> Result<(&'a Transmitter, SecurityEvent), RejectedEvent> {
    let jws = Jws::parse_as(token, EVENT_TYPE).map_err(|_| RejectedEvent::Request)?;
    let claims: Claims =
        serde_json::from_slice(&jws.payload).map_err(|_| RejectedEvent::Request)?;
    let transmitter = transmitters.iter().find(|it| it.issuer == claims.iss);
    let transmitter = transmitter.ok_or(RejectedEvent::Issuer)?;
    let keys = &transmitter.keys;
    if !keys.verifies(&jws.kid, jws.algorithm, jws.message, &jws.signature) {
        return Err(RejectedEvent::Key);
    }
    if !claims.aud.is_for(&transmitter.audience) {
        return Err(RejectedEvent::Audience);
    }
    let well = !claims.jti.is_empty() && claims.jti.len() <= MAX_EVENT_ID_BYTES;
    if !well || claims.iat > now.as_secs().saturating_add(SKEW) {
        return Err(RejectedEvent::Request);
    }
    said(claims).map(|event| (transmitter, event))
}

fn said(claims: Claims) -> Result<SecurityEvent, RejectedEvent> {
    let Some(revoked) = claims.events.get(SESSION_REVOKED) else {
        let verification = claims.events.contains_key(VERIFICATION);
        return verification
            .then_some(SecurityEvent::Verification)
            .ok_or(RejectedEvent::Request);
    };
    let subject = claims.sub_id.as_ref().and_then(identity);
    Ok(SecurityEvent::SessionRevoked {
        id: claims.jti,
        subject: subject.ok_or(RejectedEvent::Subject)?,
        reason: reason(revoked),
    })
}

/// RFC 9493: `iss_sub`, or a complex subject with a user of that form.
fn identity(subject: &Value) -> Option<Identity> {
    let text = |name: &str| subject.get(name)?.as_str().map(str::to_owned);
    match text("format")?.as_str() {
        "iss_sub" => Some(Identity {
            issuer: text("iss")?,
            subject: text("sub")?,
        }),
        "complex" => subject
            .get("user")
            .filter(|user| user.get("format").and_then(Value::as_str) == Some("iss_sub"))
            .and_then(identity),
        _ => None,
    }
}

/// In English, else in any language.
fn reason(event: &Value) -> Option<String> {
    let reasons = event.get("reason_admin")?.as_object()?;
    let said = reasons.get("en").or_else(|| reasons.values().next())?;
    said.as_str().map(str::to_owned)
}
