//! Security event tokens (RFC 8417) of OpenID CAEP 1.0: an issuer reports that a session has ended.

use lanyard_vocabulary::identity::Identity;
use lanyard_vocabulary::time::Timestamp;
use serde_json::{Map, Value};

use crate::jwks::Jwks;
use crate::jws::Jws;
use crate::numeric_date::NumericDate;
use crate::unique::{self, Unreadable, type_of};
use crate::{CLOCK_SKEW, RejectedToken};

/// The `typ` of a security event token (RFC 8417 section 2.3).
pub const EVENT_TYPE: &str = "secevent+jwt";
/// Event type of a revoked session, CAEP 1.0 section 3.1.
pub const SESSION_REVOKED: &str =
    "https://schemas.openid.net/secevent/caep/event-type/session-revoked";
/// Event type that tests the stream, SSF 1.0 section 8.1.4.
pub const VERIFICATION: &str = "https://schemas.openid.net/secevent/ssf/event-type/verification";
/// Longest id of an event.
///
/// # Limit
/// - for: a security event
/// - unit: bytes
/// - beyond: the event is refused
/// - test: `t44_the_id_of_a_security_event_has_a_bound`
const MAX_EVENT_ID_BYTES: usize = 256;

/// A configured sender of security events.
#[derive(Debug)]
pub struct Transmitter {
    /// Name of the transmitter in the configuration.
    pub name: String,
    /// Expected `iss`, byte for byte.
    pub issuer: String,
    /// Expected `aud` of its events.
    pub audience: String,
    /// Keys that verify its events.
    pub keys: Jwks,
}

/// A verified security event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SecurityEvent {
    /// The transmitter tests the stream.
    Verification,
    /// A session of `subject` has ended.
    SessionRevoked {
        /// Id of the event.
        id: String,
        /// The identity whose session ended.
        subject: Identity,
        /// Reason for administrators, as the transmitter gives it.
        reason: Option<String>,
    },
    /// A valid event that this broker has no use for.
    Unused(Unused),
}

/// The reason why a valid event has no effect.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unused {
    /// The event has other types. Only session-revoked has an effect.
    #[error("its events are of other types: {}", shown(.0))]
    Types(Vec<String>),
    /// A session was revoked, but the form of its subject cannot name an agent.
    #[error("its subject is of the form `{0}`: agents are named by `iss_sub`")]
    Subject(&'static str),
}

/// Renders the first names, each within a length bound.
fn shown(names: &[String]) -> String {
    let each = names.iter().take(3).map(|name| {
        let start: String = name.chars().take(100).collect();
        format!("`{}`", start.escape_debug())
    });
    each.collect::<Vec<_>>().join(", ")
}

/// An event that is refused, with the codes of RFC 8935 section 2.4.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RejectedEvent {
    /// The body is not a security event token.
    #[error("the request is not a security event token: {0}")]
    Token(#[from] RejectedToken),
    /// The event was issued in the future.
    #[error(
        "the security event token is from the future: its `iat` is later than the broker's clock"
    )]
    Future,
    /// No key of the issuer verifies the signature.
    #[error("the signature does not verify by a key of the issuer")]
    Key,
    /// No transmitter of that issuer is configured.
    #[error("the issuer is not configured")]
    Issuer,
    /// The event is for another receiver.
    #[error("the audience is not this broker")]
    Audience,
    /// A session was revoked, and the event names no readable subject.
    #[error("the event names no subject, or its subject is not a subject identifier (RFC 9493)")]
    Subject,
}

impl RejectedEvent {
    /// Returns `err` of the response.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Token(_) | Self::Future | Self::Subject => "invalid_request",
            Self::Key => "invalid_key",
            Self::Issuer => "invalid_issuer",
            Self::Audience => "invalid_audience",
        }
    }
}

struct Claims {
    iss: String,
    aud: Value,
    iat: Timestamp,
    jti: String,
    sub_id: Option<Value>,
    /// The events by their type URI.
    events: Map<String, Value>,
}

impl Claims {
    fn read(payload: &[u8]) -> Result<Self, RejectedToken> {
        let mut members = unique::object(payload).map_err(|error| match error {
            Unreadable::Form => RejectedToken::Claims,
            Unreadable::Twice => RejectedToken::Twice,
        })?;
        let events = needed(&mut members, "events")?;
        let Value::Object(events) = events else {
            return Err(wrong("events", type_of(&events), "an object of events"));
        };
        if events.is_empty() || !events.values().all(Value::is_object) {
            let is = "empty, or an object with a value that is not an object";
            return Err(wrong("events", is, "an object of events"));
        }
        let iat = needed(&mut members, "iat")?;
        let Value::Number(iat) = iat else {
            return Err(wrong("iat", type_of(&iat), "a number of seconds"));
        };
        let iat = NumericDate::of(&iat).0;
        let jti = text(&mut members, "jti")?;
        if jti.is_empty() || jti.len() > MAX_EVENT_ID_BYTES {
            return Err(RejectedToken::ClaimLength {
                name: "jti",
                limit: MAX_EVENT_ID_BYTES,
            });
        }
        Ok(Self {
            iss: text(&mut members, "iss")?,
            aud: needed(&mut members, "aud")?,
            iat,
            jti,
            sub_id: members.remove("sub_id").filter(|value| !value.is_null()),
            events,
        })
    }

    fn are_for(&self, audience: &str) -> bool {
        match &self.aud {
            Value::String(one) => one == audience,
            Value::Array(many) => many.iter().any(|one| one == audience),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => false,
        }
    }
}

fn needed(members: &mut Map<String, Value>, name: &'static str) -> Result<Value, RejectedToken> {
    let value = members.remove(name).filter(|value| !value.is_null());
    value.ok_or(RejectedToken::Missing(name))
}

fn text(members: &mut Map<String, Value>, name: &'static str) -> Result<String, RejectedToken> {
    let value = needed(members, name)?;
    let Value::String(text) = value else {
        return Err(wrong(name, type_of(&value), "a text"));
    };
    Ok(text)
}

const fn wrong(name: &'static str, is: &'static str, wanted: &'static str) -> RejectedToken {
    RejectedToken::ClaimType { name, is, wanted }
}

/// Verifies a security event token, and returns the event with its transmitter.
///
/// # Errors
/// See [`RejectedEvent`].
pub fn verify<'a>(
    transmitters: &'a [Transmitter],
    token: &str,
    now: Timestamp,
) -> Result<(&'a Transmitter, SecurityEvent), RejectedEvent> {
    let jws = Jws::parse_as_media_type(token, EVENT_TYPE)?;
    let claims = Claims::read(&jws.payload)?;
    let transmitter = transmitters.iter().find(|it| it.issuer == claims.iss);
    let transmitter = transmitter.ok_or(RejectedEvent::Issuer)?;
    let (keys, kid) = (&transmitter.keys, jws.kid.as_deref());
    if !keys.verifies(kid, jws.algorithm, jws.message, &jws.signature) {
        return Err(RejectedEvent::Key);
    }
    if !claims.are_for(&transmitter.audience) {
        return Err(RejectedEvent::Audience);
    }
    if claims.iat > now + CLOCK_SKEW {
        return Err(RejectedEvent::Future);
    }
    said(claims).map(|event| (transmitter, event))
}

fn said(claims: Claims) -> Result<SecurityEvent, RejectedEvent> {
    let Some(revoked) = claims.events.get(SESSION_REVOKED) else {
        if claims.events.contains_key(VERIFICATION) {
            return Ok(SecurityEvent::Verification);
        }
        let types = claims.events.into_iter().map(|(name, _)| name).collect();
        return Ok(SecurityEvent::Unused(Unused::Types(types)));
    };
    // Drafts of CAEP put the subject into the event instead.
    let subject = claims.sub_id.as_ref().or_else(|| revoked.get("subject"));
    Ok(match subject_of(subject.ok_or(RejectedEvent::Subject)?)? {
        Subject::Is(subject) => SecurityEvent::SessionRevoked {
            id: claims.jti,
            subject,
            reason: reason(revoked),
        },
        Subject::OfForm(form) => SecurityEvent::Unused(Unused::Subject(form)),
    })
}

/// The subject that an identifier names.
enum Subject {
    Is(Identity),
    /// A subject in a form without issuer and subject.
    OfForm(&'static str),
}

/// Forms of RFC 9493 and OpenID SSF that name no issuer and subject. Only these names appear in
/// messages, never one that the event chose.
const OTHER_FORMS: [&str; 9] = [
    "account",
    "did",
    "email",
    "ip-addresses",
    "jwt_id",
    "opaque",
    "phone_number",
    "saml_assertion_id",
    "uri",
];

/// Reads a subject identifier (RFC 9493): `iss_sub`, a list of aliases, or a complex subject with a
/// user. Drafts call the form `subject_type`.
fn subject_of(subject: &Value) -> Result<Subject, RejectedEvent> {
    let bad = RejectedEvent::Subject;
    let members = subject.as_object().ok_or(bad)?;
    let text = |name: &str| members.get(name).and_then(Value::as_str);
    let form = text("format").or_else(|| text("subject_type"));
    match form {
        Some("iss_sub" | "iss-sub") => Ok(Subject::Is(Identity {
            issuer: text("iss").ok_or(bad)?.to_owned(),
            subject: text("sub").ok_or(bad)?.to_owned(),
        })),
        Some("aliases") => {
            let named = members.get("identifiers").and_then(Value::as_array);
            let mut found = Subject::OfForm("aliases");
            for one in named.ok_or(bad)? {
                if let Subject::Is(identity) = simple(one)? {
                    found = Subject::Is(identity);
                    break;
                }
            }
            Ok(found)
        }
        Some("complex") | None if members.contains_key("user") => {
            members.get("user").map_or(Err(bad), simple)
        }
        Some("complex") => Ok(Subject::OfForm("complex, without a user")),
        Some(form) => {
            let known = OTHER_FORMS.into_iter().find(|it| *it == form);
            Ok(Subject::OfForm(known.unwrap_or("another one")))
        }
        None => Err(bad),
    }
}

/// Reads an identifier nested in another one. Deeper nesting is refused, so that recursion is
/// bounded.
fn simple(subject: &Value) -> Result<Subject, RejectedEvent> {
    let form = subject
        .get("format")
        .or_else(|| subject.get("subject_type"));
    match form.and_then(Value::as_str) {
        Some("aliases" | "complex") | None => Err(RejectedEvent::Subject),
        Some(_) => subject_of(subject),
    }
}

/// Returns the English reason, or else one in another language.
fn reason(event: &Value) -> Option<String> {
    let reasons = event.get("reason_admin")?;
    // Drafts have one text instead of one per language.
    if let Some(reason) = reasons.as_str() {
        return Some(reason.to_owned());
    }
    let reasons = reasons.as_object()?;
    let said = reasons.get("en").or_else(|| reasons.values().next())?;
    said.as_str().map(str::to_owned)
}
