//! Trips of circuit breakers, and their consequences.

use std::fmt;

use lanyard_charter::{BreakerRule, Then};
use lanyard_vocabulary::agent::AgentName;
use lanyard_vocabulary::digest::Digest;
use lanyard_vocabulary::id::TaskId;
use lanyard_vocabulary::name::Name;
use lanyard_vocabulary::role::Role;
use lanyard_vocabulary::scope::Scope;
use lanyard_vocabulary::seq::Seq;
use lanyard_vocabulary::time::Timestamp;
use serde::{Deserialize, Serialize};

use crate::pause::{Demand, Reach};

/// The subject that a circuit breaker counts events for.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Counted {
    /// The charter as a whole.
    Charter,
    /// An agent under the charter.
    Agent(AgentName),
    /// A task under the charter, with its agent.
    Task(TaskId, AgentName),
    /// A target of the charter.
    Target(Name),
}

/// Written as `charter`, `agent router`, `task T-… of agent router`, or `target shop`.
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

/// A circuit breaker that tripped and whose consequence is not recorded yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trip {
    /// The charter that declares the circuit breaker.
    pub charter: Name,
    /// The circuit breaker's rule.
    pub rule: BreakerRule,
    /// The subject whose events were counted.
    pub of: Counted,
    /// The time at which the circuit breaker tripped.
    pub at: Timestamp,
    /// The newest counted records, oldest first, at most [`EVIDENCE`].
    pub evidence: Vec<Seq>,
}

/// The most records that a trip names as evidence.
pub const EVIDENCE: usize = 100;

impl Trip {
    /// The number from which the consequence's id is made: the same for the same trip, at every
    /// attempt and after a restart.
    #[must_use]
    pub fn bits(&self) -> u128 {
        let (charter, line, record) = (&self.charter, self.rule.at.line, self.record().0);
        Digest::of(format!("trip\n{charter}\n{line}\n{record}").as_bytes()).leading_bits()
    }

    /// The record at which the circuit breaker tripped.
    #[must_use]
    pub fn record(&self) -> Seq {
        self.evidence.last().copied().unwrap_or_default()
    }

    /// Returns what is held back until the consequence is recorded, and what a pause covers after
    /// that.
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

    /// Returns the scope of a kill order for the trip; `None` if the consequence is a pause or an
    /// alert.
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

    /// Returns the demand of a pause for the trip; `None` if the consequence is a kill order or an
    /// alert.
    #[must_use]
    pub const fn demand(&self) -> Option<Demand> {
        match self.rule.breaker.then {
            Then::PauseTarget | Then::Pause | Then::SuspendApply => Some(Demand::NoIssuance),
            Then::RequireApproval => Some(Demand::Approval),
            Then::StopTask | Then::StopAgent | Then::Alert => None,
        }
    }

    /// The reason for the consequence, for people.
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
