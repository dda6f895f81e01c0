//! Trips: breakers that have counted enough, and what comes of it.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::charter::{BreakerRule, Name, Role, Then};
use crate::digest::Digest;
use crate::id::TaskId;
use crate::lease::Seq;
use crate::pause::{Demand, Reach};
use crate::scope::{AgentName, Scope};
use crate::time::Timestamp;

/// What a breaker counts by itself.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Counted {
    /// The charter.
    Charter,
    /// One agent of it.
    Agent(AgentName),
    /// One task of it, and whose.
    Task(TaskId, AgentName),
    /// One target of it.
    Target(Name),
}

/// `charter`, `agent router`, `task T-… of agent router`, `target shop`.
impl fmt::Display for Counted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Charter => f.write_str("charter"),
            Self::Agent(agent) => write!(f, "agent {agent}"),
            Self::Task(task, agent) => write!(f, "task {task} of agent {agent}"),
            Self::Target(target) => write!(f, "target {target}"),
        }
    }
}

/// A breaker that has tripped, and whose consequence is not recorded yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trip {
    /// Of which charter.
    pub charter: Name,
    /// Which.
    pub rule: BreakerRule,
    /// What was counted.
    pub of: Counted,
    /// When.
    pub at: Timestamp,
    /// What tripped it: the newest records that were counted, a hundred at most, oldest first.
    pub evidence: Vec<Seq>,
}

/// How many records a trip names.
pub const EVIDENCE: usize = 100;

impl Trip {
    /// The id of its consequence. The same for the same trip, however often the consequence is tried, and after a restart.
    #[must_use]
    pub fn bits(&self) -> u128 {
        let (charter, line, record) = (&self.charter, self.rule.at.line, self.record().0);
        Digest::of(format!("trip\n{charter}\n{line}\n{record}").as_bytes()).leading_bits()
    }

    /// The record that tripped it.
    #[must_use]
    pub fn record(&self) -> Seq {
        self.evidence.last().copied().unwrap_or_default()
    }

    /// What is held until the consequence is recorded, and by a pause after that; nothing by an alert.
    #[must_use]
    pub fn reach(&self) -> Reach {
        let mut reach = Reach {
            charter: Some(self.charter.clone()),
            role: (self.rule.breaker.then == Then::SuspendApply).then_some(Role::Apply),
            ..Reach::default()
        };
        match &self.of {
            Counted::Charter => {}
            Counted::Agent(agent) => reach.agent = Some(agent.clone()),
            Counted::Task(task, _) => reach.task = Some(*task),
            Counted::Target(target) => reach.target = Some(target.clone()),
        }
        reach
    }

    /// What a kill order for it covers; none where it asks for a pause or for nothing.
    #[must_use]
    pub fn scope(&self) -> Option<Scope> {
        match (self.rule.breaker.then, &self.of) {
            (Then::StopTask, Counted::Task(task, _)) => Some(Scope::Task(*task)),
            (Then::StopAgent, Counted::Agent(agent) | Counted::Task(_, agent)) => {
                Some(Scope::Agent(agent.clone()))
            }
            (Then::StopTask | Then::StopAgent, _) => Some(Scope::Charter(self.charter.clone())),
            (
                Then::PauseTarget
                | Then::Pause
                | Then::RequireApproval
                | Then::SuspendApply
                | Then::Alert,
                _,
            ) => None,
        }
    }

    /// What a pause for it asks for; none where it asks for a kill order or for nothing.
    #[must_use]
    pub const fn demand(&self) -> Option<Demand> {
        match self.rule.breaker.then {
            Then::PauseTarget | Then::Pause | Then::SuspendApply => Some(Demand::Stillness),
            Then::RequireApproval => Some(Demand::Approval),
            Then::StopTask | Then::StopAgent | Then::Alert => None,
        }
    }

    /// Why, for people.
    #[must_use]
    pub fn reason(&self) -> String {
        let records: Vec<String> = self.evidence.iter().map(|seq| seq.0.to_string()).collect();
        let shown = records
            .iter()
            .rev()
            .take(5)
            .rev()
            .cloned()
            .collect::<Vec<_>>();
        // What is counted of the whole charter needs no further word.
        let of = match &self.of {
            Counted::Charter => String::new(),
            counted @ (Counted::Agent(_) | Counted::Task(..) | Counted::Target(_)) => {
                format!(", by {counted}")
            }
        };
        format!(
            "breaker of charter {}, {}: {}{of} (records {}{})",
            self.charter,
            self.rule.place(),
            self.rule.breaker,
            if shown.len() < records.len() {
                "… "
            } else {
                ""
            },
            shown.join(", ")
        )
    }
}
