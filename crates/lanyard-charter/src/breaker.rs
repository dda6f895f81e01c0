//! Circuit breakers: events that a charter counts, and the consequence of too many.

use std::fmt;

use lanyard_document::Position;
use lanyard_document::shape::Word;
use lanyard_vocabulary::time::Ttl;
use serde::{Deserialize, Serialize};

/// A circuit breaker of a charter.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Breaker {
    /// The event that it counts.
    pub on: Event,
    /// Restricts reported actions to those of this name: `ticket.move`, `ticket.*`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub action: Option<String>,
    /// The number of events at which it trips.
    pub count: u32,
    /// The window in which they have to happen.
    pub within: Ttl,
    /// The subject that events are counted for.
    pub per: Per,
    /// The consequence of a trip.
    pub then: Then,
    /// The time after which the consequence ends by itself; `None` if only a person ends it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lasts: Option<Ttl>,
}

/// The events that circuit breakers count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Event {
    /// The charter denied a request. Denials of strangers, and denials that only shadow mode or an
    /// unlisted version caused, are not counted.
    Denied,
    /// A provider was asked for a credential.
    Minted,
    /// A provider was asked for a credential outside the charter's hours.
    OutsideHours,
    /// An agent got its first credential on a target under the charter, as far as the ledger
    /// remembers.
    NewTarget,
    /// A provider did not issue a credential as requested.
    ProviderError,
    /// A person rejected a plan.
    Rejected,
    /// An action was reported, counted once.
    Action,
    /// A reported action failed or was rolled back.
    FailedAction,
    /// A reported action with a credential of the apply role failed or was rolled back.
    FailedApply,
    /// A reported action began that had failed before in the same task.
    Retried,
}

/// The subject that events are counted for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Per {
    /// The charter as a whole.
    Charter,
    /// Each agent by itself.
    Agent,
    /// Each task by itself.
    Task,
    /// Each target by itself.
    Target,
}

/// The consequence of a trip.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Then {
    /// A kill order over the task.
    StopTask,
    /// A kill order over the agent.
    StopAgent,
    /// A pause of the charter on the target.
    PauseTarget,
    /// A pause of the subject.
    Pause,
    /// A pause that lets credentials through with a person's approval.
    RequireApproval,
    /// A pause of the apply role, for error budgets.
    SuspendApply,
    /// A record, a log line and a metric, and nothing else.
    Alert,
}

/// The events by the names that charters use.
pub const EVENTS: &[Word<Event>] = &[
    Word::meaning("denied", Event::Denied, "requests that the charter denied"),
    Word::meaning(
        "minted",
        Event::Minted,
        "credentials that were asked of a provider",
    ),
    Word::meaning(
        "outside-hours",
        Event::OutsideHours,
        "those among them outside of `hours`",
    ),
    Word::meaning(
        "new-target",
        Event::NewTarget,
        "the first of an agent on a target",
    ),
    Word::meaning(
        "provider-error",
        Event::ProviderError,
        "credentials that the provider did not give as asked",
    ),
    Word::meaning(
        "rejected",
        Event::Rejected,
        "approvals that a person refused",
    ),
    Word::meaning("action", Event::Action, "reported actions"),
    Word::meaning(
        "failed-action",
        Event::FailedAction,
        "those that failed or were rolled back",
    ),
    Word::meaning(
        "failed-apply",
        Event::FailedApply,
        "those with the apply role",
    ),
    Word::meaning(
        "retried",
        Event::Retried,
        "those that had failed before in the same task",
    ),
];
/// The subjects by the names that charters use.
pub const PERS: &[Word<Per>] = &[
    Word::new("charter", Per::Charter),
    Word::new("agent", Per::Agent),
    Word::new("task", Per::Task),
    Word::new("target", Per::Target),
];
/// The consequences by the names that charters use.
pub const THENS: &[Word<Then>] = &[
    Word::meaning(
        "stop-task",
        Then::StopTask,
        "a kill order, which two people re-arm",
    ),
    Word::meaning("stop-agent", Then::StopAgent, "the same for the agent"),
    Word::meaning(
        "pause-target",
        Then::PauseTarget,
        "nothing is issued on the target",
    ),
    Word::meaning(
        "pause",
        Then::Pause,
        "nothing is issued to what was counted",
    ),
    Word::meaning(
        "require-approval",
        Then::RequireApproval,
        "a person approves what nobody had to",
    ),
    Word::meaning(
        "suspend-apply",
        Then::SuspendApply,
        "a pause of the apply role",
    ),
    Word::meaning("alert", Then::Alert, "a record and a warning in the log"),
];

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(word(EVENTS, *self))
    }
}

impl fmt::Display for Per {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(word(PERS, *self))
    }
}

impl fmt::Display for Then {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(word(THENS, *self))
    }
}

/// The name of an entry in one of these tables.
pub(super) fn word<T: PartialEq>(words: &[Word<T>], one: T) -> &'static str {
    let found = words.iter().find(|word| word.value == one);
    found.map_or("", |word| word.name)
}

impl Then {
    /// The subject if the charter states none.
    #[must_use]
    pub const fn usual_per(self) -> Per {
        match self {
            Self::StopTask => Per::Task,
            Self::PauseTarget => Per::Target,
            Self::SuspendApply => Per::Charter,
            Self::StopAgent | Self::Pause | Self::RequireApproval | Self::Alert => Per::Agent,
        }
    }

    /// True if the consequence can end by itself.
    #[must_use]
    pub const fn can_end(self) -> bool {
        matches!(
            self,
            Self::PauseTarget | Self::Pause | Self::RequireApproval | Self::SuspendApply
        )
    }

    /// True if the consequence can follow from events counted for this subject.
    #[must_use]
    pub const fn follows(self, per: Per) -> bool {
        match self {
            Self::StopTask => matches!(per, Per::Task),
            Self::StopAgent => matches!(per, Per::Task | Per::Agent),
            Self::PauseTarget => matches!(per, Per::Target),
            Self::Pause | Self::RequireApproval | Self::SuspendApply | Self::Alert => true,
        }
    }
}

impl Event {
    /// True if the event is about reported actions.
    #[must_use]
    pub const fn is_reported(self) -> bool {
        matches!(
            self,
            Self::Action | Self::FailedAction | Self::FailedApply | Self::Retried
        )
    }

    /// True if the event's records name this subject.
    #[must_use]
    pub const fn knows(self, per: Per) -> bool {
        // A denial may be of a task that was never opened, or of a grant that does not exist.
        !matches!(
            (self, per),
            (Self::Denied, Per::Task | Per::Target) | (Self::Rejected, Per::Target)
        )
    }
}

/// Written as `3 denied within 10m: stop-agent`.
impl fmt::Display for Breaker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let action = self.action.as_ref().map(|name| format!(" {name}"));
        write!(
            f,
            "{} {}{} within {} per {}: {}",
            self.count,
            self.on,
            action.unwrap_or_default(),
            self.within,
            self.per,
            self.then
        )
    }
}

/// A circuit breaker with its position in the charter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BreakerRule {
    /// The breaker's name, condition and consequence.
    #[serde(flatten)]
    pub breaker: Breaker,
    /// The rule's position in the charter.
    pub at: Position,
    /// The rule's field path, if the charter comes from a Kubernetes object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
}

impl BreakerRule {
    /// The position for people: `line 12`, or the field path.
    #[must_use]
    pub fn place(&self) -> String {
        let line = || format!("line {}", self.at.line);
        self.path.clone().unwrap_or_else(line)
    }
}
