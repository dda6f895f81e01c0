//! Actions: what was done with a credential, as whoever saw it reports.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::id::{ActionId, LeaseId, TaskId};
use crate::identity::Identity;
use crate::time::Timestamp;

/// How an action ended, or that it has begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// It is about to be done: a tool that waits for the answer acts on nothing that is not in the journal.
    Started,
    /// It was done.
    Succeeded,
    /// It was not, or not wholly.
    Failed,
    /// It was done, and taken back.
    RolledBack,
}

impl Outcome {
    /// Whether the change did not come to stay.
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

/// Who says so.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reporter {
    /// The agent itself.
    Agent(Identity),
    /// A tool that was shown the credential.
    Holder,
    /// A configured reporter, by the signature of its message.
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

/// One report.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// The action; the same in the report that ends one that was started.
    pub action: ActionId,
    /// Of which task.
    pub task: TaskId,
    /// With which credential, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lease: Option<LeaseId>,
    /// What did it: `tickets`, `terraform`.
    pub tool: String,
    /// What was done: `ticket.move`.
    pub name: String,
    /// To what: `TICKET-7`.
    pub on: String,
    /// How it ended.
    pub outcome: Outcome,
    /// More, in the reporter's words.
    pub detail: String,
    /// Who says so.
    pub by: Reporter,
    /// What a reporter calls the message, so that one that is sent again is the same report.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delivery: Option<String>,
}

/// The same thing done to the same.
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

/// What was reported of one task.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reports {
    /// When, within the last hour.
    times: VecDeque<Timestamp>,
    /// What was started and has not ended.
    open: BTreeMap<ActionId, What>,
    /// What has failed.
    failed: BTreeSet<What>,
}

impl Report {
    fn what(&self) -> What {
        (self.tool.clone(), self.name.clone(), self.on.clone())
    }
}

impl Reports {
    /// When the next report can be taken; now, when there is none.
    #[must_use]
    pub fn next(&self, now: Timestamp) -> Option<Timestamp> {
        let from = now.before(HOUR);
        let recent = self.times.iter().filter(|at| **at > from).count();
        let oldest = self.times.iter().find(|at| **at > from)?;
        (recent >= MAX_REPORTS_PER_TASK_PER_HOUR).then(|| *oldest + HOUR)
    }

    /// Whether this action was started and has not ended.
    #[must_use]
    pub fn is_open(&self, action: ActionId) -> bool {
        self.open.contains_key(&action)
    }

    /// Whether the report begins an action, rather than ending one that was started.
    #[must_use]
    pub fn begins(&self, report: &Report) -> bool {
        !self.is_open(report.action)
    }

    /// Whether it begins what has failed before.
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
