//! The outcome of a failed call, as one line that a person can act on.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt as _};

use crate::context_error::ContextError;
use crate::http::HttpError;

/// A refusal by the broker: a complete line for people, and fields for programs.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{line}")]
pub struct BrokerRefusal {
    /// Complete sentence for people. Tools print it unchanged.
    pub line: String,
    /// Refusal class, such as `CHARTER_DENIED`. Empty if the broker named none.
    pub reason: String,
    /// Named facts: `decision_id`, `reason_code`, `limit`, `limit_value`, `retry_after`,
    /// `approval_id`, `kill_id`, `url`.
    pub facts: BTreeMap<String, String>,
    code: Code,
}

impl BrokerRefusal {
    /// Returns how long to wait before the same request can be allowed. `None` if the broker cannot
    /// tell.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        let seconds = self.facts.get("retry_after_seconds")?;
        Some(Duration::from_secs(seconds.parse().ok()?))
    }

    /// Returns when the same request can be allowed, as RFC 3339. `None` if the broker cannot tell.
    #[must_use]
    pub fn retry_at(&self) -> Option<&str> {
        self.facts.get("retry_after").map(String::as_str)
    }
}

/// A call failed. `Display` gives the complete text, which tools print unchanged.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The charter denies the request.
    #[error("{0}")]
    Denied(BrokerRefusal),
    /// An approval by people is still missing.
    #[error("{0}")]
    ApprovalPending(BrokerRefusal),
    /// A kill order is in effect.
    #[error("{0}")]
    Killed(BrokerRefusal),
    /// The request is paused, over a limit, cooling down or out of hours. A later attempt can
    /// succeed.
    #[error("{0}")]
    RefusedForNow(BrokerRefusal),
    /// The broker accepted no identity of the caller.
    #[error("not logged in: {0}")]
    NotLoggedIn(String),
    /// The login is too old or too weak for this call. Holds the `acr_values` that the broker
    /// wants, which may be empty.
    #[error("this needs a fresh login: run lanyard login --fresh{}", class(.0))]
    FreshLogin(String),
    /// The broker cannot be reached or cannot answer now.
    #[error("the broker is not available: {0}")]
    Unavailable(String),
    /// The object does not exist or belongs to somebody else.
    #[error("{0}")]
    NotFound(String),
    /// The broker refused for another reason.
    #[error("{0}")]
    Refused(BrokerRefusal),
    /// The context cannot be used.
    #[error(transparent)]
    Context(#[from] ContextError),
}

const DOMAIN: &str = "lanyard.dev";

/// Renders the wanted `acr_values` as a flag of `lanyard login`.
fn class(acr_values: &str) -> String {
    if acr_values.is_empty() {
        String::new()
    } else {
        format!(" --acr {acr_values:?}")
    }
}

impl ClientError {
    pub(crate) fn denied(line: String, reason: &str) -> Self {
        Self::Denied(BrokerRefusal {
            line,
            reason: reason.to_owned(),
            facts: BTreeMap::new(),
            code: Code::PermissionDenied,
        })
    }

    pub(crate) fn refused(line: impl Into<String>) -> Self {
        Self::Refused(BrokerRefusal {
            line: line.into(),
            reason: String::new(),
            facts: BTreeMap::new(),
            code: Code::FailedPrecondition,
        })
    }

    /// Returns the broker's refusal, for the variants that carry one.
    #[must_use]
    pub const fn said(&self) -> Option<&BrokerRefusal> {
        match self {
            Self::Denied(said)
            | Self::ApprovalPending(said)
            | Self::Killed(said)
            | Self::RefusedForNow(said)
            | Self::Refused(said) => Some(said),
            Self::NotLoggedIn(_)
            | Self::FreshLogin(_)
            | Self::Unavailable(_)
            | Self::NotFound(_)
            | Self::Context(_) => None,
        }
    }

    /// Returns a gRPC status with the complete text as message, for a proxy that passes the error
    /// on.
    #[must_use]
    pub fn status(&self) -> Status {
        let plain = |code, reason: &str| (code, reason.to_owned(), HashMap::new());
        let explained = |code, reason: &str, why: &str| {
            let facts = HashMap::from([(WHY.to_owned(), why.to_owned())]);
            (code, reason.to_owned(), facts)
        };
        let (code, reason, facts) = match self {
            Self::Denied(said)
            | Self::ApprovalPending(said)
            | Self::Killed(said)
            | Self::RefusedForNow(said)
            | Self::Refused(said) => {
                let facts = said.facts.clone().into_iter().collect();
                (said.code, said.reason.clone(), facts)
            }
            Self::NotLoggedIn(why) => explained(Code::Unauthenticated, "UNAUTHENTICATED", why),
            Self::FreshLogin(acr) => {
                let facts = HashMap::from([(ACR.to_owned(), acr.clone())]);
                let reason = "REAUTHENTICATE".to_owned();
                (Code::PermissionDenied, reason, facts)
            }
            Self::Unavailable(why) => explained(Code::Unavailable, "UNAVAILABLE", why),
            Self::NotFound(_) => plain(Code::NotFound, "NOT_FOUND"),
            Self::Context(_) => plain(Code::FailedPrecondition, "NO_CONTEXT"),
        };
        let details = ErrorDetails::with_error_info(reason, DOMAIN, facts);
        Status::with_error_details(code, self.to_string(), details)
    }
}

const ACR: &str = "acr_values";
/// The fact with the cause alone: the message of a status is the complete text, with what precedes
/// the cause in it.
const WHY: &str = "why";

impl From<Status> for ClientError {
    fn from(status: Status) -> Self {
        let info = status.get_details_error_info();
        let (reason, metadata) = info
            .map(|info| (info.reason, info.metadata))
            .unwrap_or_default();
        let message = status.message().to_owned();
        // The message of a status that the local agent passes on is complete, and names the cause
        // apart. The broker's message is the cause.
        let why = || metadata.get(WHY).unwrap_or(&message).clone();
        // Only a transport error has a source: the connection broke, and the broker answered
        // nothing.
        if std::error::Error::source(&status).is_some() {
            return Self::Unavailable(why());
        }
        let said = || BrokerRefusal {
            line: message.clone(),
            reason: reason.clone(),
            facts: metadata.clone().into_iter().collect(),
            code: status.code(),
        };
        match (reason.as_str(), status.code()) {
            ("CHARTER_DENIED" | "ROLE_DENIED" | "APPROVAL_DENIED" | "LIMIT_SPENT", _) => {
                Self::Denied(said())
            }
            (
                "PAUSED" | "BREAKER_TRIPPED" | "QUOTA" | "COOLING_DOWN" | "OUT_OF_HOURS" | "FROZEN"
                | "CHARTER_MOVED",
                _,
            ) => Self::RefusedForNow(said()),
            ("APPROVAL_REQUIRED", _) => Self::ApprovalPending(said()),
            ("KILL_ENGAGED", _) => Self::Killed(said()),
            ("REAUTHENTICATE", _) => {
                let wanted = metadata.get(ACR);
                Self::FreshLogin(wanted.cloned().unwrap_or_default())
            }
            (_, Code::Unauthenticated) => Self::NotLoggedIn(why()),
            (_, Code::Unavailable | Code::DeadlineExceeded | Code::Cancelled) => {
                Self::Unavailable(why())
            }
            (_, Code::NotFound) => Self::NotFound(message),
            (_, Code::OutOfRange) => Self::Refused(BrokerRefusal {
                line: oversized(&message).unwrap_or_else(|| message.clone()),
                ..said()
            }),
            _ => Self::Refused(said()),
        }
    }
}

/// Returns the sentence for a message beyond the limit of whoever reads it. The transport refuses
/// such a message by itself, in words of its own.
fn oversized(message: &str) -> Option<String> {
    let (_, sizes) = message.split_once("message length too large: ")?;
    Some(format!(
        "the message is too large: {sizes}; shorten the longest text of the request"
    ))
}

impl From<tonic::transport::Error> for ClientError {
    fn from(error: tonic::transport::Error) -> Self {
        let mut source: &dyn std::error::Error = &error;
        while let Some(deeper) = source.source() {
            source = deeper;
        }
        Self::Unavailable(source.to_string())
    }
}

impl From<HttpError> for ClientError {
    fn from(error: HttpError) -> Self {
        Self::Unavailable(error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_beyond_the_limit_is_told_with_the_remedy() {
        let said =
            "Error, decoded message length too large: found 90031 bytes, the limit is: 65536 bytes";
        let error = ClientError::from(Status::new(Code::OutOfRange, said));
        let line = error.to_string();
        assert_eq!(
            line,
            "the message is too large: found 90031 bytes, the limit is: 65536 bytes; shorten the longest text of the request"
        );
        assert!(matches!(error, ClientError::Refused(_)));
        let other = ClientError::from(Status::new(Code::OutOfRange, "record 7 is not kept"));
        assert_eq!(other.to_string(), "record 7 is not kept");
    }

    // RFC 9470
    #[test]
    fn a_call_that_needs_a_fresh_login_says_what_to_do() {
        let line = |metadata: &[(&str, &str)]| {
            let metadata: Vec<_> = metadata
                .iter()
                .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
                .collect();
            let details = ErrorDetails::with_error_info(
                "REAUTHENTICATE",
                "lanyard",
                metadata
                    .into_iter()
                    .collect::<std::collections::HashMap<_, _>>(),
            );
            let status = Status::with_error_details(Code::PermissionDenied, "too old", details);
            ClientError::from(status).to_string()
        };
        let plain = "this needs a fresh login: run lanyard login --fresh";
        assert_eq!(line(&[("max_age_seconds", "300")]), plain);
        assert_eq!(
            line(&[("acr_values", "phr phrh")]),
            format!("{plain} --acr \"phr phrh\"")
        );
    }

    #[test]
    fn an_error_that_is_passed_on_says_the_same() {
        let facts = HashMap::from([("kill_id".to_owned(), "K-7F3".to_owned())]);
        let details = ErrorDetails::with_error_info("KILL_ENGAGED", DOMAIN, facts);
        let status = Status::with_error_details(Code::FailedPrecondition, "stopped", details);
        let wait = HashMap::from([("retry_after_seconds".to_owned(), "90".to_owned())]);
        let details = ErrorDetails::with_error_info("QUOTA", DOMAIN, wait);
        let later = Status::with_error_details(Code::ResourceExhausted, "five leases", details);
        let errors = [
            ClientError::from(status),
            ClientError::from(later),
            ClientError::Unavailable("connection refused".into()),
            ClientError::NotLoggedIn("run lanyard login".into()),
            ClientError::FreshLogin("phr".into()),
            ClientError::NotFound("there is no such task".into()),
            ClientError::refused("no"),
        ];
        for error in errors {
            let again = ClientError::from(ClientError::from(error.status()).status());
            assert_eq!(again.to_string(), error.to_string());
            assert_eq!(
                std::mem::discriminant(&again),
                std::mem::discriminant(&error)
            );
            if let (ClientError::Killed(before), ClientError::Killed(after)) = (&error, &again) {
                assert_eq!(before, after);
            }
            if let ClientError::RefusedForNow(said) = &again {
                assert_eq!(said.retry_after(), Some(Duration::from_secs(90)));
            }
        }
    }

    #[test]
    fn an_error_that_the_local_agent_passes_on_keeps_its_text() {
        let errors = [
            ClientError::NotLoggedIn("the token has expired".to_owned()),
            ClientError::Unavailable("no route to host".to_owned()),
        ];
        for error in errors {
            let status = error.status();
            assert_eq!(status.message(), error.to_string());
            let passed_on = ClientError::from(status);
            assert_eq!(passed_on.to_string(), error.to_string());
            let again = ClientError::from(passed_on.status());
            assert_eq!(again.to_string(), error.to_string());
        }
        let bare = ClientError::from(Status::unavailable("it starts"));
        assert_eq!(bare.to_string(), "the broker is not available: it starts");
    }
}
