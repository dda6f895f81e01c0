//! A refusal as the broker means it, apart from the words that gRPC, HTTP and OAuth have for it.

use std::collections::HashMap;
use std::time::Duration;

use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt as _};

/// The domain of a refusal's details on the wire.
const DOMAIN: &str = "lanyard.dev";

/// The class of a refusal, by what its caller can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Class {
    /// Show an accepted identity.
    Unauthenticated,
    /// Do nothing: the caller may not do this.
    Denied,
    /// Ask for something else, because the request itself is wrong.
    Invalid,
    /// Name another thing, because the caller sees none of this name.
    Unknown,
    /// Do nothing: the thing is there already.
    Exists,
    /// Do or await something else first.
    NotNow,
    /// Ask again, because what the request rests on has changed meanwhile.
    Moved,
    /// Ask less, or later.
    TooMuch,
    /// Ask again later, because the broker or what it rests on does not answer.
    Unavailable,
    /// Ask the operator, because the broker is at fault.
    Broken,
}

/// A refusal, with what programs read of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refused {
    pub(crate) class: Class,
    /// A line for people.
    pub(crate) message: String,
    /// The code that a program branches on; empty where the class says all.
    pub(crate) reason: Box<str>,
    /// The facts that belong to the reason: ids, limits, times.
    pub(crate) facts: HashMap<String, String>,
    /// The fault of the request, if a field of it has one.
    pub(crate) fault: Option<Box<Fault>>,
    /// The time for which it is until the same request can be taken.
    pub(crate) wait: Option<Duration>,
}

/// A field of a request that is at fault.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(crate) field: String,
    pub(crate) why: String,
}

impl Refused {
    /// A refusal whose class says all.
    pub(crate) fn plain(class: Class, message: impl Into<String>) -> Self {
        Self {
            class,
            message: message.into(),
            reason: Box::default(),
            facts: HashMap::new(),
            fault: None,
            wait: None,
        }
    }

    /// The same for programs that branch on `reason`.
    pub(crate) fn because(self, reason: impl Into<Box<str>>) -> Self {
        Self {
            reason: reason.into(),
            ..self
        }
    }

    /// The same with facts.
    pub(crate) fn with(self, facts: HashMap<String, String>) -> Self {
        Self { facts, ..self }
    }
}

impl From<Refused> for Status {
    fn from(refused: Refused) -> Self {
        let code = match refused.class {
            Class::Unauthenticated => Code::Unauthenticated,
            Class::Denied => Code::PermissionDenied,
            Class::Invalid => Code::InvalidArgument,
            Class::Unknown => Code::NotFound,
            Class::Exists => Code::AlreadyExists,
            Class::NotNow => Code::FailedPrecondition,
            Class::Moved => Code::Aborted,
            Class::TooMuch => Code::ResourceExhausted,
            Class::Unavailable => Code::Unavailable,
            Class::Broken => Code::Internal,
        };
        let mut details = ErrorDetails::new();
        if !refused.reason.is_empty() {
            details.set_error_info(String::from(refused.reason), DOMAIN, refused.facts);
        }
        if let Some(fault) = refused.fault {
            details.add_bad_request_violation(fault.field, fault.why);
        }
        if refused.wait.is_some() {
            details.set_retry_info(refused.wait);
        }
        if details.error_info().is_none() && details.bad_request().is_none() {
            return Self::new(code, refused.message);
        }
        Self::with_error_details(code, refused.message, details)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_programs_read_is_in_the_details_of_the_status() {
        let facts = HashMap::from([("limit".to_owned(), "calls".to_owned())]);
        let refused = Refused {
            wait: Some(Duration::from_secs(7)),
            ..Refused::plain(Class::TooMuch, "too many calls")
                .because("QUOTA")
                .with(facts)
        };
        let status = Status::from(refused);
        assert_eq!(
            (status.code(), status.message()),
            (Code::ResourceExhausted, "too many calls")
        );
        let details = status.get_error_details();
        let info = details.error_info().unwrap();
        assert_eq!(
            (info.reason.as_str(), info.domain.as_str()),
            ("QUOTA", "lanyard.dev")
        );
        assert_eq!(
            info.metadata.get("limit").map(String::as_str),
            Some("calls")
        );
        let wait = details.retry_info().and_then(|info| info.retry_delay);
        assert_eq!(wait, Some(Duration::from_secs(7)));
    }

    #[test]
    fn a_refusal_whose_class_says_all_has_no_details() {
        let status = Status::from(Refused::plain(Class::Unavailable, "the disk is full"));
        assert_eq!(status.code(), Code::Unavailable);
        assert!(status.details().is_empty());
    }
}
