//! Why a call was refused: what a program branches on, the line that people and models read, and what to do next.

use std::time::Duration;

use lanyard_vocabulary::id::{ApprovalId, DecisionId, KillId, PlanId, TaskId};
use schemars::JsonSchema;
use serde::Serialize;
use tonic::{Code, Status};
use tonic_types::StatusExt as _;
use url::Url;

use crate::shown;

/// The longest address that is passed on.
///
/// # Limit
/// - for: an approval
/// - unit: bytes
/// - beyond: the address is left out, and the words say what to do
/// - test: `people_are_sent_to_pages_and_nowhere_else`
const MAX_URL_BYTES: usize = 2000;

/// What a program branches on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Reason {
    /// The charter, or a person, says no.
    Denied,
    /// People have to approve first.
    ApprovalPending,
    /// A kill order is in effect.
    Killed,
    /// Nothing is issued for a while.
    Paused,
    /// The user's login has ended.
    NotLoggedIn,
    /// Too much, or too often.
    Quota,
    /// There is no such thing, or it is another agent's.
    NotFound,
    /// The task has ended.
    TaskEnded,
    /// The arguments are not what the tool takes.
    InvalidInput,
    /// The broker, or the local agent, cannot answer now.
    Unavailable,
    /// Anything else that the broker refused.
    Refused,
}

impl Reason {
    /// What a model is told to do.
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
            Self::NotFound => "Check the id: it may be another agent's, or never have been.",
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

/// A refusal, with what the broker says about it.
#[derive(Debug)]
pub(crate) struct Refused {
    pub(crate) reason: Reason,
    /// Complete: shown as it is.
    pub(crate) line: String,
    pub(crate) about: Box<About>,
}

/// What a refusal is about.
#[derive(Debug, Default)]
pub(crate) struct About {
    pub(crate) decision: Option<DecisionId>,
    pub(crate) kill: Option<KillId>,
    pub(crate) plan: Option<PlanId>,
    pub(crate) approval: Option<ApprovalId>,
    /// Where a person can decide.
    pub(crate) url: Option<Url>,
    pub(crate) retry_after: Option<Duration>,
}

impl Refused {
    /// One of this server's own.
    pub(crate) fn here(reason: Reason, line: impl Into<String>) -> Self {
        Self {
            reason,
            line: line.into(),
            about: Box::default(),
        }
    }

    /// The arguments are not what the tool takes.
    pub(crate) fn input(why: impl std::fmt::Display) -> Self {
        Self::here(
            Reason::InvalidInput,
            format!(
                "the arguments cannot be used: {}",
                shown::line(&why.to_string())
            ),
        )
    }

    /// The answer is not one that can be understood; nothing of it is repeated (T50).
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
            message => shown::line(message),
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
    // What is answered has no cause on this side: this is a connection that broke.
    if std::error::Error::source(status).is_some() {
        return Reason::Unavailable;
    }
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

/// An address that a person can be sent to: a page, over TLS or on this machine, and no longer than people look at.
fn address(text: &str) -> Option<Url> {
    let url = Url::parse(text).ok()?;
    let safe = match url.scheme() {
        "https" => url.has_host(),
        "http" => matches!(url.host_str(), Some("127.0.0.1" | "[::1]" | "localhost")),
        _ => false,
    };
    let plain = url.username().is_empty() && url.password().is_none();
    let hides = shown::line(url.as_str()) != url.as_str();
    (safe && plain && !hides && url.as_str().len() <= MAX_URL_BYTES).then_some(url)
}

/// What a tool answers when it could not do what was asked.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Failure {
    reason: Reason,
    /// What happened: complete, to be shown to the user as it is.
    pub(crate) message: String,
    /// What to do about it.
    next: &'static str,
    /// The task that was asked under; it is still there unless its end is the reason.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    task_id: Option<TaskId>,
    /// The decision, for the tool `explain`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    decision_id: Option<DecisionId>,
    /// The kill order.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    kill_id: Option<KillId>,
    /// When asking again can help, in seconds from now.
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_after_seconds: Option<u64>,
}

impl Failure {
    /// Under this task.
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
    fn people_are_sent_to_pages_and_nowhere_else() {
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
            "not an address",
        ] {
            assert!(address(bad).is_none(), "{bad}");
        }
        assert!(address(&format!("https://acme.example/{}", "a".repeat(3000))).is_none());
    }
}
