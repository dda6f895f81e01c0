//! Breakers: what a charter counts, and what happens by itself when there is too much of it.

use std::fmt;

use lanyard_document::Position;
use lanyard_vocabulary::time::Ttl;
use serde::{Deserialize, Serialize};

/// One breaker of a charter.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Breaker {
    /// What is counted.
    pub on: Event,
    /// Of reported actions, those of this name: `ticket.move`, `ticket.*`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub action: Option<String>,
    /// How many trip it.
    pub count: u32,
    /// Within which span.
    pub within: Ttl,
    /// Counted for each of these by itself.
    pub per: Per,
    /// What happens then.
    pub then: Then,
    /// When what happened ends by itself, where it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lasts: Option<Ttl>,
}

/// What is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Event {
    /// A request that the charter denied. What it denies to strangers, and what only shadow or a version that is not
    /// listed denies, does not count.
    Denied,
    /// A credential that was asked of a provider.
    Minted,
    /// One that was asked for outside the charter's hours.
    OutsideHours,
    /// The first on a target that the agent had nothing on under this charter, as far as is remembered.
    NewTarget,
    /// A credential that its provider did not give as asked.
    ProviderError,
    /// An approval that a person refused.
    Rejected,
    /// An action that was reported, once for each.
    Action,
    /// One that failed or was rolled back.
    FailedAction,
    /// One that failed or was rolled back, with a credential of the apply role.
    FailedApply,
    /// One that had failed before in the same task.
    Retried,
}

/// What is counted by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Per {
    /// The whole charter.
    Charter,
    /// Each agent.
    Agent,
    /// Each task.
    Task,
    /// Each target.
    Target,
}

/// What happens when a breaker trips.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Then {
    /// A kill order over the task.
    StopTask,
    /// A kill order over the agent.
    StopAgent,
    /// A pause of the charter on the target.
    PauseTarget,
    /// A pause of what was counted.
    Pause,
    /// What was counted needs a person's approval.
    RequireApproval,
    /// A pause of the apply role: the error budget is spent.
    SuspendApply,
    /// It is recorded, logged and counted, and nothing else.
    Alert,
}

/// How an event is written.
pub const EVENTS: &[(&str, Event)] = &[
    ("denied", Event::Denied),
    ("minted", Event::Minted),
    ("outside-hours", Event::OutsideHours),
    ("new-target", Event::NewTarget),
    ("provider-error", Event::ProviderError),
    ("rejected", Event::Rejected),
    ("action", Event::Action),
    ("failed-action", Event::FailedAction),
    ("failed-apply", Event::FailedApply),
    ("retried", Event::Retried),
];
/// How a unit of counting is written.
pub const PERS: &[(&str, Per)] = &[
    ("charter", Per::Charter),
    ("agent", Per::Agent),
    ("task", Per::Task),
    ("target", Per::Target),
];
/// How a consequence is written.
pub const THENS: &[(&str, Then)] = &[
    ("stop-task", Then::StopTask),
    ("stop-agent", Then::StopAgent),
    ("pause-target", Then::PauseTarget),
    ("pause", Then::Pause),
    ("require-approval", Then::RequireApproval),
    ("suspend-apply", Then::SuspendApply),
    ("alert", Then::Alert),
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

/// How one of a table is written.
pub(super) fn word<T: PartialEq + Copy>(words: &[(&'static str, T)], one: T) -> &'static str {
    let found = words.iter().find(|(_, known)| *known == one);
    found.map_or("", |(word, _)| word)
}

impl Then {
    /// What is counted by itself where the charter does not say.
    #[must_use]
    pub const fn usual_per(self) -> Per {
        match self {
            Self::StopTask => Per::Task,
            Self::PauseTarget => Per::Target,
            Self::SuspendApply => Per::Charter,
            Self::StopAgent | Self::Pause | Self::RequireApproval | Self::Alert => Per::Agent,
        }
    }

    /// Whether it can end by itself.
    #[must_use]
    pub const fn can_end(self) -> bool {
        matches!(
            self,
            Self::PauseTarget | Self::Pause | Self::RequireApproval | Self::SuspendApply
        )
    }

    /// Whether this can follow from what is counted so.
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
    /// Whether it is about reported actions.
    #[must_use]
    pub const fn is_reported(self) -> bool {
        matches!(
            self,
            Self::Action | Self::FailedAction | Self::FailedApply | Self::Retried
        )
    }

    /// Whether its records say this.
    #[must_use]
    pub const fn knows(self, per: Per) -> bool {
        // A denial may be of a task that was never opened, or of a grant that does not exist.
        !matches!(
            (self, per),
            (Self::Denied, Per::Task | Per::Target) | (Self::Rejected, Per::Target)
        )
    }
}

/// `3 denied within 10m: stop-agent`.
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

/// A breaker and where in its charter it stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BreakerRule {
    /// What it is.
    #[serde(flatten)]
    pub breaker: Breaker,
    /// Where it stands.
    pub at: Position,
    /// The field that it stands in, where the charter comes from a Kubernetes object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
}

impl BreakerRule {
    /// `line 12`, or the field.
    #[must_use]
    pub fn place(&self) -> String {
        let line = || format!("line {}", self.at.line);
        self.path.clone().unwrap_or_else(line)
    }
}
