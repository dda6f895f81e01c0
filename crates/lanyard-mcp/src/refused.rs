//! Refusals: a reason for programs, a line for people and models, and the next step.

use std::time::Duration;

use lanyard_vocabulary::id::{ApprovalId, DecisionId, KillId, PlanId, TaskId};
use schemars::JsonSchema;
use serde::Serialize;
use tonic::{Code, Status};
use tonic_types::StatusExt as _;
use url::Url;

use crate::redact;

/// Longest URL that is shown.
///
/// # Limit
/// - for: an approval
/// - unit: bytes
/// - beyond: the URL is left out; the message says what to do instead
/// - test: `only_https_and_loopback_urls_are_shown`
const MAX_URL_BYTES: usize = 2000;

/// The reason for a refusal, for programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Reason {
    /// The charter or a person denied the request.
    Denied,
    /// People must approve first.
    ApprovalPending,
    /// A kill order is in effect.
    Killed,
    /// Issuance is paused for now.
    Paused,
    /// The user's login has ended.
    NotLoggedIn,
    /// A quota is exhausted.
    Quota,
    /// The object does not exist or belongs to another agent.
    NotFound,
    /// The task has ended.
    TaskEnded,
    /// The arguments do not fit the tool.
    InvalidInput,
    /// The broker or the local agent cannot answer now.
    Unavailable,
    /// The broker refused for another reason.
    Refused,
}

impl Reason {
    /// Returns the instruction for the model.
    const fn next(self) -> &'static str {
        match self {
            Self::Denied => {
                "This is final. Do not ask for the same again: ask for what the charter allows (list_charters), or tell the user."
            }
            Self::ApprovalPending => "Tell the user, and ask again when the approval was given.",
            Self::Killed => {
                "A person has stopped this. Stop the work, do not ask again, and tell the user."
            }
            Self::Paused => {
                "Nothing is issued for now. Tell the user; ask again only when told to."
            }
            Self::NotLoggedIn => "Tell the user to run: lanyard login",
            Self::Quota => "Wait before you ask again, and release what you no longer need.",
            Self::NotFound => "Check the id: it may belong to another agent, or may not exist.",
            Self::TaskEnded => {
                "Open another task: call again with charter, environment and reason instead of task_id."
            }
            Self::InvalidInput => "Correct the arguments and call again.",
            Self::Unavailable => {
                "Try again in a minute; if that does not help, tell the user to run: lanyard doctor"
            }
            Self::Refused => "Tell the user.",
        }
    }
}

/// A refusal, with the facts that the broker adds.
#[derive(Debug)]
pub(crate) struct Refused {
    pub(crate) reason: Reason,
    /// A complete sentence, shown unchanged.
    pub(crate) line: String,
    pub(crate) about: Box<About>,
}

/// Objects that a refusal concerns.
#[derive(Debug, Default)]
pub(crate) struct About {
    pub(crate) decision: Option<DecisionId>,
    pub(crate) kill: Option<KillId>,
    pub(crate) plan: Option<PlanId>,
    pub(crate) approval: Option<ApprovalId>,
    /// The page where a person can decide.
    pub(crate) url: Option<Url>,
    pub(crate) retry_after: Option<Duration>,
}

impl Refused {
    /// Makes a refusal of this server's own.
    pub(crate) fn here(reason: Reason, line: impl Into<String>) -> Self {
        Self {
            reason,
            line: line.into(),
            about: Box::default(),
        }
    }

    /// Refuses arguments that do not fit the tool.
    pub(crate) fn input(why: impl std::fmt::Display) -> Self {
        Self::here(
            Reason::InvalidInput,
            format!(
                "the arguments cannot be used: {}",
                redact::line(&why.to_string())
            ),
        )
    }

    /// Refuses an answer without `what`. No part of the answer is repeated, since it could hold a
    /// secret (T50).
    pub(crate) fn unreadable(what: &str) -> Self {
        Self::here(
            Reason::Unavailable,
            format!("the local agent's answer cannot be used: it has no {what}"),
        )
    }
}

impl From<Status> for Refused {
    fn from(status: Status) -> Self {
        let info = status.get_details_error_info();
        let (named, facts) = info
            .map(|info| (info.reason, info.metadata))
            .unwrap_or_default();
        let fact = |name: &str| facts.get(name).map(String::as_str);
        let line = match status.message() {
            "" => format!("refused: {}", status.code().description()),
            message => redact::line(message),
        };
        Self {
            reason: reason(&status, &named),
            line,
            about: Box::new(About {
                decision: fact("decision_id").and_then(|id| id.parse().ok()),
                kill: fact("kill_id").and_then(|id| id.parse().ok()),
                plan: fact("plan_id").and_then(|id| id.parse().ok()),
                approval: fact("approval_id").and_then(|id| id.parse().ok()),
                url: fact("url").and_then(address),
                retry_after: status
                    .get_details_retry_info()
                    .and_then(|info| info.retry_delay),
            }),
        }
    }
}

fn reason(status: &Status, named: &str) -> Reason {
    // Only a transport error has a source: the connection broke, and the broker answered nothing.
    if std::error::Error::source(status).is_some() {
        return Reason::Unavailable;
    }
    // The broker's reason is more precise than the gRPC code.
    match (named, status.code()) {
        ("CHARTER_DENIED" | "ROLE_DENIED" | "APPROVAL_DENIED" | "LIMIT_SPENT", _) => Reason::Denied,
        ("APPROVAL_REQUIRED", _) => Reason::ApprovalPending,
        ("KILL_ENGAGED", _) => Reason::Killed,
        ("PAUSED" | "OUT_OF_HOURS" | "FROZEN", _) => Reason::Paused,
        ("TASK_ENDED", _) => Reason::TaskEnded,
        ("REAUTHENTICATE", _) | (_, Code::Unauthenticated) => Reason::NotLoggedIn,
        (_, Code::ResourceExhausted) => Reason::Quota,
        (_, Code::NotFound) => Reason::NotFound,
        (_, Code::InvalidArgument) => Reason::InvalidInput,
        (_, Code::Unavailable | Code::DeadlineExceeded | Code::Cancelled) => Reason::Unavailable,
        _ => Reason::Refused,
    }
}

/// Accepts a URL that people can safely open: https or loopback, without credentials, and short
/// enough to read.
fn address(text: &str) -> Option<Url> {
    let url = Url::parse(text).ok()?;
    let safe = match url.scheme() {
        "https" => url.has_host(),
        "http" => matches!(url.host_str(), Some("127.0.0.1" | "[::1]" | "localhost")),
        _ => false,
    };
    let plain = url.username().is_empty() && url.password().is_none();
    let hides = redact::line(url.as_str()) != url.as_str();
    (safe && plain && !hides && url.as_str().len() <= MAX_URL_BYTES).then_some(url)
}

/// The answer of a tool that could not do what was asked.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Failure {
    reason: Reason,
    /// A complete sentence about what happened, for the user.
    pub(crate) message: String,
    /// Next step for the model.
    next: &'static str,
    /// Task of the request. It stays open unless its end is the reason.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    task_id: Option<TaskId>,
    /// The decision, for the tool `explain`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    decision_id: Option<DecisionId>,
    /// The kill order in effect.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    kill_id: Option<KillId>,
    /// Seconds after which another request can succeed.
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_after_seconds: Option<u64>,
}

impl Failure {
    /// Adds the task to a refusal.
    pub(crate) fn under(task: TaskId) -> impl FnOnce(Refused) -> Self {
        move |refused| Self {
            task_id: Some(task),
            ..Self::from(refused)
        }
    }
}

impl From<Refused> for Failure {
    fn from(refused: Refused) -> Self {
        Self {
            reason: refused.reason,
            message: refused.line,
            next: refused.reason.next(),
            task_id: None,
            decision_id: refused.about.decision,
            kill_id: refused.about.kill,
            retry_after_seconds: refused.about.retry_after.map(|wait| wait.as_secs().max(1)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_https_and_loopback_urls_are_shown() {
        for good in [
            "https://lanyard.acme.example/approvals/A-0123456789ABCDEFGHJKMNPQRS",
            "http://127.0.0.1:8080/a",
        ] {
            assert!(address(good).is_some(), "{good}");
        }
        for bad in [
            "http://lanyard.acme.example/a",
            "javascript:alert(1)",
            "file:///etc/passwd",
            "https://user:pass@acme.example/",
            "https://acme.example/?t=eyJhbGciOiJFZERTQSJ9.eyJzdWIiOiJhZ2VudDpyb3V0ZXIifQ",
            "not a URL",
        ] {
            assert!(address(bad).is_none(), "{bad}");
        }
        assert!(address(&format!("https://acme.example/{}", "a".repeat(3000))).is_none());
    }
}
