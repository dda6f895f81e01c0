//! How many denials of one agent are journaled one by one: a flood of refused requests must not fill the disk.
//! What is beyond that is journaled as one number.

use std::collections::HashMap;
use std::time::Duration;

use lanyard_core::charter::Name;
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

impl DenialMeter {
    /// Whether this denial is to be journaled by itself.
    pub fn admits(&self, agent: &AgentName, denial: &Denial, now: Timestamp) -> bool {
        let mut counts = self.0.lock();
        let mut of = (Some(agent.clone()), denial.charter.clone(), denial.rule);
        if counts.len() >= MOST_COUNTED && !counts.contains_key(&of) {
            of.0 = None;
            // Names of charters that do not exist are made up as easily as those of agents.
            if counts.len() >= 2 * MOST_COUNTED && !counts.contains_key(&of) {
                return false;
            }
        }
        let count = counts.entry(of).or_insert(Count {
            since: now,
            seen: 0,
        });
        count.seen = count.seen.saturating_add(1);
        count.seen <= MOST
    }

    /// What the windows that are over have left to be journaled; all of them when `all`.
    pub fn over(&self, now: Timestamp, all: bool) -> Vec<Uncounted> {
        let ended = |count: &Count| all || now.since(count.since) >= WINDOW;
        let counts = self
            .0
            .lock()
            .extract_if(|_, count| ended(count))
            .collect::<Vec<_>>();
        let left = counts.into_iter().filter(|(_, count)| count.seen > MOST);
        left.map(|((agent, charter, rule), count)| Uncounted {
            agent,
            charter,
            rule,
            since: count.since,
            count: count.seen - MOST,
        })
        .collect()
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
    fn a_flood_is_counted_and_the_next_window_starts_afresh() {
        let (meter, start) = (DenialMeter::default(), Timestamp::EPOCH);
        let journaled = (0..1000)
            .filter(|_| meter.admits(&agent("a"), &denial(Rule::Grants), start))
            .count();
        assert_eq!(journaled, usize::try_from(MOST).unwrap());
        assert!(meter.admits(&agent("a"), &denial(Rule::Limits), start));
        assert_eq!(meter.over(start, false), []);
        let left = Uncounted {
            agent: Some(agent("a")),
            charter: "payments".parse().unwrap(),
            rule: Rule::Grants,
            since: start,
            count: 1000 - MOST,
        };
        assert_eq!(meter.over(start + WINDOW, false), [left]);
        assert_eq!(meter.over(start + WINDOW, false), []);
        assert!(meter.admits(&agent("a"), &denial(Rule::Grants), start + WINDOW));
    }

    #[test]
    fn ever_new_agents_do_not_fill_the_memory() {
        let (meter, start) = (DenialMeter::default(), Timestamp::EPOCH);
        for n in 0..MOST_COUNTED + 100 {
            meter.admits(&agent(&n.to_string()), &denial(Rule::Grants), start);
        }
        let left = meter.over(start, true);
        assert_eq!(
            left.first().map(|left| (left.agent.clone(), left.count)),
            Some((None, 40))
        );
        assert_eq!(left.len(), 1);
    }
}
