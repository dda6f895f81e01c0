//! What can come of a call, as one line that a person can act on.

use tonic::{Code, Status};
use tonic_types::StatusExt as _;

use crate::context::ContextError;
use crate::http::HttpError;

/// Why a call did not do what was asked. The text is complete: tools print it as it is.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The charter says no.
    #[error("{0}")]
    Denied(String),
    /// People have to approve first.
    #[error("{0}")]
    ApprovalPending(String),
    /// A kill order is in effect.
    #[error("{0}")]
    Killed(String),
    /// No accepted identity.
    #[error("not logged in: {0}")]
    NotLoggedIn(String),
    /// The identity is accepted, and the login was too long ago or of too weak a kind.
    #[error("this needs a fresh login: run lanyard login --fresh{}", class(.0))]
    FreshLogin(String),
    /// The broker cannot be reached, or cannot answer now.
    #[error("the broker is not available: {0}")]
    Unavailable(String),
    /// There is no such thing, or it is somebody else's.
    #[error("{0}")]
    NotFound(String),
    /// Anything else that the broker refused.
    #[error("{0}")]
    Refused(String),
    /// There is no usable context.
    #[error(transparent)]
    Context(#[from] ContextError),
}

/// What kind of login is asked for, as a flag.
fn class(acr_values: &str) -> String {
    if acr_values.is_empty() {
        String::new()
    } else {
        format!(" --acr {acr_values:?}")
    }
}

impl From<Status> for ClientError {
    fn from(status: Status) -> Self {
        let info = status.get_details_error_info();
        let (reason, metadata) = info
            .map(|info| (info.reason, info.metadata))
            .unwrap_or_default();
        let message = status.message().to_owned();
        // What the broker answers has no cause on this side: this is a connection that broke.
        if std::error::Error::source(&status).is_some() {
            return Self::Unavailable(message);
        }
        match (reason.as_str(), status.code()) {
            ("CHARTER_DENIED" | "ROLE_DENIED" | "APPROVAL_DENIED", _) => Self::Denied(message),
            ("APPROVAL_REQUIRED", _) => Self::ApprovalPending(message),
            ("KILL_ENGAGED", _) => Self::Killed(message),
            ("REAUTHENTICATE", _) => {
                let wanted = metadata.get("acr_values");
                Self::FreshLogin(wanted.cloned().unwrap_or_default())
            }
            (_, Code::Unauthenticated) => Self::NotLoggedIn(message),
            (_, Code::Unavailable | Code::DeadlineExceeded | Code::Cancelled) => {
                Self::Unavailable(message)
            }
            (_, Code::NotFound) => Self::NotFound(message),
            _ => Self::Refused(message),
        }
    }
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
    use tonic_types::ErrorDetails;

    use super::*;

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
}
