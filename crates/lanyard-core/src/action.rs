//! Reports of what agents, tools and webhooks did with a credential.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use lanyard_vocabulary::id::{ActionId, LeaseId, TaskId};
use lanyard_vocabulary::identity::Identity;
use lanyard_vocabulary::time::Timestamp;

/// The state of an action that a report tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// The action is about to begin. A tool that waits for the answer does nothing that the journal
    /// does not know.
    Started,
    /// The agent reported success.
    Succeeded,
    /// The action failed, wholly or in part.
    Failed,
    /// The action succeeded and was rolled back.
    RolledBack,
}

impl Outcome {
    /// True if the action failed or was rolled back.
    #[must_use]
    pub const fn is_failure(self) -> bool {
        matches!(self, Self::Failed | Self::RolledBack)
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Started => "started",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::RolledBack => "rolled back",
        })
    }
}

/// The source of a report.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reporter {
    /// The agent of the task.
    Agent(Identity),
    /// A tool that proved possession of the credential.
    Holder,
    /// A configured webhook, by the signature of its message.
    Webhook(String),
}

impl fmt::Display for Reporter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Agent(_) => f.write_str("the agent"),
            Self::Holder => f.write_str("the tool"),
            Self::Webhook(name) => write!(f, "webhook {name}"),
        }
    }
}

/// A report about one action.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// The action's id: the same in the report that begins an action and in the one that ends it.
    pub action: ActionId,
    /// The task in which the action happens.
    pub task: TaskId,
    /// The lease whose credential was used, if the reporter named it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lease: Option<LeaseId>,
    /// The tool that acts, such as `terraform`.
    pub tool: String,
    /// The kind of action, such as `ticket.move`.
    pub name: String,
    /// The object of the action, such as `TICKET-7`.
    pub on: String,
    /// The state of the action.
    pub outcome: Outcome,
    /// Details in the reporter's words.
    pub detail: String,
    /// The source of the report.
    pub by: Reporter,
    /// The reporter's id of the message, by which a message that is sent twice counts once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delivery: Option<String>,
}

/// The tool, kind and object of an action.
type What = (String, String, String);

/// Reports of actions of one task within an hour.
///
/// # Limit
/// - for: a task
/// - unit: reports an hour
/// - beyond: a report is refused until the oldest of them is an hour old
/// - test: `s05_reports_are_bounded_by_task`
pub const MAX_REPORTS_PER_TASK_PER_HOUR: usize = 1000;
const HOUR: Duration = Duration::from_secs(3600);

/// The reports about one task that later reports are compared with.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reports {
    /// The times of the reports of the last hour, oldest first.
    times: VecDeque<Timestamp>,
    /// The actions that began and have not ended.
    open: BTreeMap<ActionId, What>,
    /// The actions that failed.
    failed: BTreeSet<What>,
}

impl Report {
    fn what(&self) -> What {
        (self.tool.clone(), self.name.clone(), self.on.clone())
    }
}

impl Reports {
    /// The time from which the task may report again; `None` if it may report now.
    #[must_use]
    pub fn next(&self, now: Timestamp) -> Option<Timestamp> {
        let from = now.before(HOUR);
        let recent = self.times.iter().filter(|at| **at > from).count();
        let oldest = self.times.iter().find(|at| **at > from)?;
        (recent >= MAX_REPORTS_PER_TASK_PER_HOUR).then(|| *oldest + HOUR)
    }

    /// True if the action began and has not ended.
    #[must_use]
    pub fn is_open(&self, action: ActionId) -> bool {
        self.open.contains_key(&action)
    }

    /// True if the report begins an action, rather than ending one.
    #[must_use]
    pub fn begins(&self, report: &Report) -> bool {
        !self.is_open(report.action)
    }

    /// True if the report begins an action that failed before.
    #[must_use]
    pub fn retries(&self, report: &Report) -> bool {
        self.begins(report) && self.failed.contains(&report.what())
    }

    pub(crate) fn take(&mut self, report: &Report, at: Timestamp) {
        let from = at.before(HOUR);
        self.times.push_back(at);
        while self.times.len() > MAX_REPORTS_PER_TASK_PER_HOUR
            || self.times.front().is_some_and(|old| *old <= from)
        {
            self.times.pop_front();
        }
        // What is beyond the rate of an hour is not told apart any more.
        if report.outcome == Outcome::Started && self.open.len() < MAX_REPORTS_PER_TASK_PER_HOUR {
            self.open.insert(report.action, report.what());
        } else {
            self.open.remove(&report.action);
        }
        if report.outcome.is_failure() && self.failed.len() < MAX_REPORTS_PER_TASK_PER_HOUR {
            self.failed.insert(report.what());
        }
    }
}
