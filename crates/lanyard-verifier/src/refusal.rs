//! The reasons to refuse a request, and the answers (RFC 6750 section 3, RFC 9449 section 7).

use std::time::Duration;

use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{Response, StatusCode};
use lanyard_identity::RejectedToken;

/// `Retry-After` of a 503, in seconds.
const RETRY_AFTER_SECS: HeaderValue = HeaderValue::from_static("1");
/// Signature algorithms of proofs of possession, as the DPoP challenge lists them.
const PROOF_ALGORITHMS: &str = r#"algs="EdDSA ES256""#;

/// The reason why a request is refused. The caller reads the message; the source is for the log
/// alone.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// The request has no `Authorization` header with a known scheme.
    #[error("this needs an access token of Lanyard")]
    Absent,
    /// The request has several `Authorization` or `DPoP` headers.
    #[error("the request shows more than one token, or more than one proof")]
    Ambiguous,
    /// The broker did not sign the token (T1 to T5).
    #[error("the token is not signed by the broker")]
    Forged(#[source] RejectedToken),
    /// The broker's key signed the token for another issuer (T9).
    #[error("the token is from another issuer")]
    Issuer,
    /// The token is for another tool (T8).
    #[error("the token is for another audience")]
    Audience,
    /// The token was issued in the future (T13).
    #[error("the token is not valid yet: compare the clocks of the broker and of this machine")]
    NotYet,
    /// The token is past its `exp`.
    #[error("the token has expired")]
    Expired,
    /// The token names no status list, so its revocation could not be noticed.
    #[error("the token names no status list")]
    NoStatus,
    /// The token's status list is not below the broker's issuer (T10).
    #[error("the token's status list does not belong to the broker")]
    ForeignList,
    /// The token's lease was killed, released or has ended.
    #[error("the token was revoked")]
    Revoked,
    /// The tool demands tokens that are bound to a key, and this one is not.
    #[error("the token is not bound to a key, and this tool requires that")]
    Unbound,
    /// A bound token came without its proof, or an unbound one with a proof.
    #[error(
        "a token that is bound to a key needs the DPoP scheme and a proof; other tokens need the Bearer scheme"
    )]
    Scheme,
    /// The proof of possession is missing, covers another request, or was signed by another key.
    #[error(
        "the proof of possession does not cover this request, or is not signed by the token's key"
    )]
    Proof(#[source] RejectedToken),
    /// The proof was used before (T12).
    #[error("the proof of possession was used before")]
    Replayed,
    /// The connection shows another client certificate, or none.
    #[error("the token is bound to a client certificate that this connection does not show")]
    Certificate,
    /// The token lacks a scope that the route needs.
    #[error("the token lacks a scope that this route needs")]
    Scope {
        /// All scopes that the route needs, separated by one space.
        needed: String,
    },
    /// The broker's keys were never fetched, or are too old (T11).
    #[error("cannot verify tokens now: the broker's keys cannot be fetched")]
    NoKeys,
    /// The status list is too old, or was never fetched.
    #[error("cannot tell whether the token was revoked: the broker's status list is older than {} s", .oldest.as_secs())]
    Stale {
        /// The greatest accepted age.
        oldest: Duration,
    },
    /// The replay cache is full.
    #[error("too many proofs of possession were used in the last minute")]
    Busy,
}

/// The HTTP status and the error code of a refusal.
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

    /// HTTP status of the answer.
    #[must_use]
    pub const fn status(&self) -> StatusCode {
        self.kind().status
    }

    /// Builds the answer: `{"error", "error_description"}` as body, and the challenges.
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
            headers.insert(RETRY_AFTER, RETRY_AFTER_SECS);
            return response;
        }
        for challenge in self.challenges(error) {
            headers.append(WWW_AUTHENTICATE, challenge);
        }
        response
    }

    /// A challenge for each scheme, since the caller may retry with either.
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
        said.push(PROOF_ALGORITHMS.to_owned());
        let dpop = format!("DPoP {}", said.join(", "));
        // No challenge helps if the scope cannot stand in a header: no token has such a scope.
        let challenges = [bearer, dpop].into_iter();
        challenges.filter_map(|text| HeaderValue::from_str(text.trim_end()).ok())
    }
}
