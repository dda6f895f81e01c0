//! How many denials of one agent are journaled one by one: a flood of refused requests must not fill the disk.
//! What is beyond that is journaled as a number: whenever there are twice as many as were journaled so far, so that a breaker
//! sees a flood while it lasts, and at the end of the window.

use std::collections::HashMap;
use std::time::Duration;

use lanyard_core::charter::Name;
use lanyard_core::command::Command;
use lanyard_core::decide::{Denial, Rule};
use lanyard_core::scope::AgentName;
use lanyard_core::time::Timestamp;
use parking_lot::Mutex;

/// The window in which denials are counted.
const WINDOW: Duration = Duration::from_secs(60);
/// How many of one agent by one rule are journaled in a window; the rest are counted.
const MOST: u32 = 60;
/// How many agents and rules are counted at once. Beyond that, agents are counted together by rule.
const MOST_COUNTED: usize = 10_000;

/// What denials are counted by; all agents together when there is none.
type Of = (Option<AgentName>, Name, Rule);

#[derive(Debug)]
struct Count {
    since: Timestamp,
    seen: u32,
    /// How many of them are journaled, one by one or in numbers.
    told: u32,
}

/// What is journaled of one more denial.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Journaled {
    /// It, by itself.
    One,
    /// It, and those before it that were not.
    Many(Uncounted),
    /// Nothing yet.
    Later,
}

/// Counts denials.
#[derive(Debug, Default)]
pub struct DenialMeter(Mutex<HashMap<Of, Count>>);

/// Denials that were not journaled one by one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Uncounted {
    /// Whose; of many agents when there is none.
    pub agent: Option<AgentName>,
    /// By which charter.
    pub charter: Name,
    /// By which rule.
    pub rule: Rule,
    /// From when on.
    pub since: Timestamp,
    /// How many.
    pub count: u32,
}

impl From<Uncounted> for Command {
    fn from(some: Uncounted) -> Self {
        Self::DenyMore {
            agent: some.agent,
            charter: some.charter,
            rule: some.rule,
            since: some.since,
            count: some.count,
        }
    }
}

impl Count {
    /// Those that were not journaled; now they are.
    fn tell(&mut self, (agent, charter, rule): Of) -> Uncounted {
        let count = self.seen - self.told;
        self.told = self.seen;
        Uncounted {
            agent,
            charter,
            rule,
            since: self.since,
            count,
        }
    }
}

impl DenialMeter {
    /// How this denial is to be journaled.
    pub fn admits(&self, agent: &AgentName, denial: &Denial, now: Timestamp) -> Journaled {
        let mut counts = self.0.lock();
        let mut of = (Some(agent.clone()), denial.charter.clone(), denial.rule);
        if counts.len() >= MOST_COUNTED && !counts.contains_key(&of) {
            of.0 = None;
            // Names of charters that do not exist are made up as easily as those of agents.
            if counts.len() >= 2 * MOST_COUNTED && !counts.contains_key(&of) {
                return Journaled::Later;
            }
        }
        let count = counts.entry(of.clone()).or_insert(Count {
            since: now,
            seen: 0,
            told: 0,
        });
        count.seen = count.seen.saturating_add(1);
        if count.seen <= MOST {
            count.told = count.seen;
            return Journaled::One;
        }
        if count.seen - count.told < count.told {
            return Journaled::Later;
        }
        Journaled::Many(count.tell(of))
    }

    /// What the windows that are over have left to be journaled; all of them when `all`.
    pub fn over(&self, now: Timestamp, all: bool) -> Vec<Uncounted> {
        let ended = |count: &Count| all || now.since(count.since) >= WINDOW;
        let counts = self
            .0
            .lock()
            .extract_if(|_, count| ended(count))
            .collect::<Vec<_>>();
        let left = counts
            .into_iter()
            .filter(|(_, count)| count.seen > count.told);
        left.map(|(of, mut count)| count.tell(of)).collect()
    }
}

#[cfg(test)]
mod tests {
    use lanyard_core::decide::not_in_force;

    use super::*;

    fn denial(rule: Rule) -> Denial {
        Denial {
            rule,
            ..not_in_force(&"payments".parse().unwrap())
        }
    }

    fn agent(name: &str) -> AgentName {
        AgentName(name.into())
    }

    #[test]
    fn a_flood_is_counted_while_it_lasts_and_the_next_window_starts_afresh() {
        let (meter, start) = (DenialMeter::default(), Timestamp::EPOCH);
        let (mut alone, mut told, mut records) = (0, 0, 0);
        for _ in 0..1000 {
            match meter.admits(&agent("a"), &denial(Rule::Grants), start) {
                Journaled::One => alone += 1,
                Journaled::Many(some) => {
                    told += some.count;
                    records += 1;
                }
                Journaled::Later => {}
            }
        }
        // 60 by themselves, then 60, 120, 240 and 480 in a record each.
        assert_eq!((alone, told, records), (MOST, 900, 4));
        let other = meter.admits(&agent("a"), &denial(Rule::Limits), start);
        assert_eq!(other, Journaled::One);
        assert_eq!(meter.over(start, false), []);
        let left = Uncounted {
            agent: Some(agent("a")),
            charter: "payments".parse().unwrap(),
            rule: Rule::Grants,
            since: start,
            count: 40,
        };
        assert_eq!(meter.over(start + WINDOW, false), [left]);
        assert_eq!(meter.over(start + WINDOW, false), []);
        let next = meter.admits(&agent("a"), &denial(Rule::Grants), start + WINDOW);
        assert_eq!(next, Journaled::One);
    }

    #[test]
    fn ever_new_agents_do_not_fill_the_memory() {
        let (meter, start) = (DenialMeter::default(), Timestamp::EPOCH);
        let mut told = Vec::new();
        for n in 0..MOST_COUNTED + 100 {
            let admitted = meter.admits(&agent(&n.to_string()), &denial(Rule::Grants), start);
            if let Journaled::Many(some) = admitted {
                told.push(some);
            }
        }
        assert!(told.iter().all(|some| some.agent.is_none()), "{told:?}");
        let left = meter.over(start, true);
        assert_eq!(
            left.first().map(|left| (left.agent.clone(), left.count)),
            Some((None, 40))
        );
        assert_eq!(left.len(), 1);
    }
}
