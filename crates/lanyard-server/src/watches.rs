//! How many streams of the broker's own messages are open: each costs a look at the state for every
//! change, as long as its reader stays (T45).

use std::time::Duration;

use lanyard_vocabulary::identity::Identity;

use crate::refusal;
use crate::refused::Refused;
use crate::shares::{Share, Shares};

/// Watches that are open at a time; a local agent has one for each task that it holds something of.
///
/// # Limit
/// - for: an identity of an agent
/// - unit: watches
/// - beyond: a further watch is refused with `RESOURCE_EXHAUSTED`
/// - test: `s07_watches_are_bounded_by_identity_and_in_all_and_agents_take_none_of_the_peoples`
const MAX_WATCHES_PER_AGENT: u64 = 256;
/// Watches that are open at a time.
///
/// # Limit
/// - for: all agents together
/// - unit: watches
/// - beyond: a further watch of an agent is refused with `RESOURCE_EXHAUSTED`
/// - test: `s07_watches_are_bounded_by_identity_and_in_all_and_agents_take_none_of_the_peoples`
const MAX_WATCHES_OF_AGENTS: u64 = 16_384;
/// Watches, tails of records and reports that are open at a time.
///
/// # Limit
/// - for: a person
/// - unit: watches
/// - beyond: a further one is refused with `RESOURCE_EXHAUSTED`
/// - test: `s07_watches_are_bounded_by_identity_and_in_all_and_agents_take_none_of_the_peoples`
const MAX_WATCHES_PER_PERSON: u64 = 64;
/// Watches, tails of records and reports that are open at a time; agents take none of these.
///
/// # Limit
/// - for: all people together
/// - unit: watches
/// - beyond: a further one is refused with `RESOURCE_EXHAUSTED`
/// - test: `s07_watches_are_bounded_by_identity_and_in_all_and_agents_take_none_of_the_peoples`
const MAX_WATCHES_OF_PEOPLE: u64 = 1_024;

/// The watches that are open.
pub(crate) struct Watches {
    agents: Shares<Identity>,
    people: Shares<Identity>,
}

/// An open watch, until it is dropped.
pub(crate) type Watch = Share<Identity>;

impl Default for Watches {
    fn default() -> Self {
        Self {
            agents: Shares::new(MAX_WATCHES_OF_AGENTS, MAX_WATCHES_PER_AGENT),
            people: Shares::new(MAX_WATCHES_OF_PEOPLE, MAX_WATCHES_PER_PERSON),
        }
    }
}

impl Watches {
    /// Opens a watch of an agent.
    ///
    /// # Errors
    /// `RESOURCE_EXHAUSTED` when the agent, or all agents, have as many as they may.
    pub(crate) fn of_agent(&self, agent: &Identity) -> Result<Watch, Refused> {
        taken(&self.agents, agent)
    }

    /// Opens a watch of a person.
    ///
    /// # Errors
    /// `RESOURCE_EXHAUSTED` when the person, or all people, have as many as they may.
    pub(crate) fn of_person(&self, person: &Identity) -> Result<Watch, Refused> {
        taken(&self.people, person)
    }
}

/// The interval between two readings of a watch whose owner has few.
const LOOK_INTERVAL: Duration = Duration::from_millis(50);
/// The number of watches of one owner that read at that interval. Each reading covers a whole task,
/// and every event in the broker causes one: an owner with more watches reads less often by each,
/// and takes no more of a core.
const WATCHES_AT_FULL_RATE: u64 = 8;

/// The interval between two readings of this watch.
pub(crate) fn look_interval(watch: &Watch) -> Duration {
    let times = watch.of_owner().div_ceil(WATCHES_AT_FULL_RATE).max(1);
    LOOK_INTERVAL * u32::try_from(times).unwrap_or(u32::MAX)
}

fn taken(shares: &Shares<Identity>, who: &Identity) -> Result<Watch, Refused> {
    let taken = shares.take(who.clone(), 1);
    taken.map_err(|full| refusal::full("open watches", full))
}

#[cfg(test)]
mod tests {
    use crate::refused::Class;

    use super::*;

    fn who(subject: &str) -> Identity {
        Identity {
            issuer: "https://issuer.example".to_owned(),
            subject: subject.to_owned(),
        }
    }

    #[test]
    fn s07_whoever_has_many_watches_looks_less_often_by_each() {
        let watches = Watches::default();
        let mut open: Vec<Watch> = (0..WATCHES_AT_FULL_RATE)
            .map(|_| watches.of_agent(&who("a")).unwrap())
            .collect();
        assert_eq!(look_interval(&open[0]), LOOK_INTERVAL);
        open.extend((0..WATCHES_AT_FULL_RATE).map(|_| watches.of_agent(&who("a")).unwrap()));
        assert_eq!(look_interval(&open[0]), LOOK_INTERVAL * 2);
        let other = watches.of_agent(&who("b")).unwrap();
        assert_eq!(look_interval(&other), LOOK_INTERVAL);
    }

    #[test]
    fn s07_watches_are_bounded_by_identity_and_in_all_and_agents_take_none_of_the_peoples() {
        let watches = Watches::default();
        let mut open: Vec<Watch> = (0..MAX_WATCHES_PER_AGENT)
            .map(|_| watches.of_agent(&who("a")).unwrap())
            .collect();
        let refused = watches.of_agent(&who("a")).unwrap_err();
        assert_eq!(refused.class, Class::TooMuch);
        let others = MAX_WATCHES_OF_AGENTS - MAX_WATCHES_PER_AGENT;
        open.extend((0..others).map(|at| watches.of_agent(&who(&at.to_string())).unwrap()));
        assert!(watches.of_agent(&who("b")).is_err());
        let oncall: Vec<Watch> = (0..MAX_WATCHES_PER_PERSON)
            .map(|_| watches.of_person(&who("oncall")).unwrap())
            .collect();
        assert!(watches.of_person(&who("oncall")).is_err());
        let others = MAX_WATCHES_OF_PEOPLE - MAX_WATCHES_PER_PERSON;
        let others: Vec<Watch> = (0..others)
            .map(|at| watches.of_person(&who(&at.to_string())).unwrap())
            .collect();
        assert!(watches.of_person(&who("bob")).is_err());
        drop((oncall, others));
        open.pop();
        assert!(watches.of_agent(&who("b")).is_ok());
    }
}
