//! Why a request does not get through, and what is answered to it (RFC 6750 section 3, RFC 9449 section 7).

use std::time::Duration;

use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{Response, StatusCode};
use lanyard_identity::RejectedToken;

/// After how many seconds a caller may ask again.
const AGAIN: HeaderValue = HeaderValue::from_static("1");
/// The algorithms of proofs of possession.
const ALGORITHMS: &str = r#"algs="EdDSA ES256""#;

/// Why a request does not get through. The text is what the caller reads; the source is for the log.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// No `Authorization` header with a scheme that is known here.
    #[error("an access token of Lanyard is needed")]
    Absent,
    /// Several `Authorization` or `DPoP` headers.
    #[error("the request shows more than one token, or more than one proof")]
    Ambiguous,
    /// Not a token that the broker signed (T1 to T5).
    #[error("the token is not one of the broker's")]
    Forged(#[source] RejectedToken),
    /// A key of the broker's signed it for another issuer (T9).
    #[error("the token is of another issuer")]
    Issuer,
    /// It is for another tool (T8).
    #[error("the token is for another audience")]
    Audience,
    /// Issued in the future (T13).
    #[error("the token is not good yet: do the clocks agree?")]
    NotYet,
    /// Past its `exp`.
    #[error("the token has expired")]
    Expired,
    /// Nobody could learn of its end.
    #[error("the token names no status list")]
    NoStatus,
    /// Its status list would be somebody else's (T10).
    #[error("the token's status list is not one of the broker's")]
    ForeignList,
    /// Killed, released or ended.
    #[error("the token was revoked")]
    Revoked,
    /// This tool demands a binding, and the token has none.
    #[error("the token is bound to no key, and this tool demands that")]
    Unbound,
    /// A bound token without its proof, or one that is not bound with a proof.
    #[error(
        "a token that is bound to a key goes with the DPoP scheme and a proof, and no other does"
    )]
    Scheme,
    /// The proof of possession is missing, is for another request, or of another key.
    #[error("the proof of possession is not of this request and of the token's key")]
    Proof(#[source] RejectedToken),
    /// The proof was used (T12).
    #[error("the proof of possession was shown before")]
    Replayed,
    /// Another client certificate, or none.
    #[error("the token is bound to a client certificate that this connection does not show")]
    Certificate,
    /// It does not do for this route.
    #[error("the token does not give the scope that this needs")]
    Scope {
        /// All that is needed, with one space between.
        needed: String,
    },
    /// The keys could never be fetched, or not for too long (T11).
    #[error("tokens cannot be checked now: the broker's keys cannot be fetched")]
    NoKeys,
    /// The status list is too old, or there is none.
    #[error("whether the token was revoked cannot be known now: there is no status list of the last {} s from the broker", .oldest.as_secs())]
    Stale {
        /// How old it may be.
        oldest: Duration,
    },
    /// As many proofs are remembered as there is room for.
    #[error("too many proofs of possession were shown lately")]
    Busy,
}

/// What of the specifications a refusal is.
struct Kind {
    status: StatusCode,
    error: Option<&'static str>,
}

impl Refusal {
    const fn kind(&self) -> Kind {
        let (status, error) = match self {
            Self::Absent => (StatusCode::UNAUTHORIZED, None),
            Self::Ambiguous => (StatusCode::BAD_REQUEST, Some("invalid_request")),
            Self::Forged(_)
            | Self::Issuer
            | Self::Audience
            | Self::NotYet
            | Self::Expired
            | Self::NoStatus
            | Self::ForeignList
            | Self::Revoked
            | Self::Unbound
            | Self::Scheme
            | Self::Certificate => (StatusCode::UNAUTHORIZED, Some("invalid_token")),
            Self::Proof(_) | Self::Replayed => {
                (StatusCode::UNAUTHORIZED, Some("invalid_dpop_proof"))
            }
            Self::Scope { .. } => (StatusCode::FORBIDDEN, Some("insufficient_scope")),
            Self::NoKeys | Self::Stale { .. } | Self::Busy => (
                StatusCode::SERVICE_UNAVAILABLE,
                Some("temporarily_unavailable"),
            ),
        };
        Kind { status, error }
    }

    /// The HTTP status.
    #[must_use]
    pub const fn status(&self) -> StatusCode {
        self.kind().status
    }

    /// The answer: `{"error", "error_description"}`, and the challenges that go with it.
    #[must_use]
    pub fn response<B: From<String>>(&self) -> Response<B> {
        let Kind { status, error } = self.kind();
        let body = serde_json::json!({
            "error": error.unwrap_or("invalid_token"),
            "error_description": self.to_string(),
        });
        let mut response = Response::new(B::from(format!("{body}\n")));
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if status == StatusCode::SERVICE_UNAVAILABLE {
            headers.insert(RETRY_AFTER, AGAIN);
            return response;
        }
        for challenge in self.challenges(error) {
            headers.append(WWW_AUTHENTICATE, challenge);
        }
        response
    }

    /// One for each scheme, as either may be tried again.
    fn challenges(&self, error: Option<&str>) -> impl Iterator<Item = HeaderValue> {
        let mut said = Vec::new();
        if let Some(error) = error {
            said.push(format!(r#"error="{error}""#));
            said.push(format!(r#"error_description="{self}""#));
        }
        if let Self::Scope { needed } = self {
            said.push(format!(r#"scope="{needed}""#));
        }
        let bearer = ["Bearer".to_owned(), said.join(", ")].join(" ");
        said.push(ALGORITHMS.to_owned());
        let dpop = format!("DPoP {}", said.join(", "));
        // What cannot stand in a header is a scope that no token has: then there is no challenge that would help.
        let challenges = [bearer, dpop].into_iter();
        challenges.filter_map(|text| HeaderValue::from_str(text.trim_end()).ok())
    }
}
