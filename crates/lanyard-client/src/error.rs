//! What can come of a call, as one line that a person can act on.

use tonic::{Code, Status};
use tonic_types::StatusExt as _;

use crate::context::ContextError;

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

impl From<Status> for ClientError {
    fn from(status: Status) -> Self {
        let reason = status
            .get_details_error_info()
            .map(|info| info.reason)
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
