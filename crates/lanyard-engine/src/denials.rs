//! How many denials are journaled one by one: a flood of refused requests must not fill the disk.
//!
//! Refusals are counted by identity first: an agent has so many records a minute, whatever it asks
//! for. What is beyond that is journaled as a number, whenever there are twice as many as were
//! journaled so far, so that a breaker sees a flood while it lasts, and at the end of the window.
//! Whom no charter names gets no record at all: all of those are one number a minute.
//!
//! Refusals have tables and allowances of their own. An agent can be refused as often as it likes
//! without doing anything that the charter forbids, so in one table with denials it would fill the
//! allowance with refusals, and its denials would be numbers.
//!
//! Each charter has a table of its own, so that nobody but its own agents can fill it: what a
//! `denied` breaker of a charter counts cannot be pushed out by agents of other charters, nor by
//! those whom no charter names.

use std::collections::HashMap;
use std::time::Duration;

use lanyard_core::command::Command;
use lanyard_core::decide::{Denial, Rule};
use lanyard_vocabulary::agent::AgentName;
use lanyard_vocabulary::name::Name;
use lanyard_vocabulary::time::Timestamp;
use parking_lot::Mutex;

/// The window in which denials are counted.
const COUNT_WINDOW: Duration = Duration::from_secs(60);

/// Denials of one agent that are journaled one by one, and as many refusals besides.
///
/// # Limit
/// - for: an agent, over all charters and rules; denials and refusals each
/// - unit: records a minute
/// - beyond: denials are counted, and journaled as a number at each doubling and when the minute is
///   over
/// - test: `s05_denials_are_journaled_by_agent_first`
pub const MAX_DENIALS_PER_AGENT_PER_MINUTE: u32 = 60;

/// Bytes of denials of one agent that are journaled one by one, and as many of refusals besides:
/// the agent chooses much of what is in one.
///
/// # Limit
/// - for: an agent, over all charters and rules; denials and refusals each
/// - unit: bytes a minute
/// - beyond: denials are counted, as those beyond the number of records are
/// - test: `s05_bytes_of_denials_are_bounded_by_agent`
pub const MAX_DENIAL_BYTES_PER_AGENT_PER_MINUTE: u64 = 15_000;

/// Denials under one charter that are journaled one by one, and as many refusals besides.
///
/// # Limit
/// - for: a charter; denials and refusals each
/// - unit: records a minute
/// - beyond: denials of each agent and rule are counted, and journaled as a number at each doubling
///   from the first on
/// - test: `s06_beyond_the_records_of_a_charter_an_agent_is_still_counted_by_itself`
pub const MAX_DENIALS_PER_CHARTER_PER_MINUTE: u32 = 1200;

/// Agents and rules that are counted by themselves under one charter.
///
/// # Limit
/// - for: a charter; denials and refusals each
/// - unit: agents and rules a minute
/// - beyond: agents that come later are counted together by rule; breakers `per: charter` see them
/// - test: `s06_a_full_table_of_one_charter_loses_nothing_of_another`
pub const MAX_COUNTED_DENIALS_PER_CHARTER: usize = 10_000;

/// Agents whose records of denials are counted.
///
/// # Limit
/// - for: all agents together; denials and refusals each
/// - unit: agents a minute
/// - beyond: denials of agents that come later are journaled as numbers
/// - test: `s06_agents_beyond_those_with_records_of_their_own_are_counted`
pub const MAX_AGENTS_WITH_DENIALS: usize = 20_000;

/// The key that denials are counted by under a charter; all agents together when there is none.
type Of = (Option<AgentName>, Rule);

#[derive(Debug, Clone, Copy)]
struct Count {
    since: Timestamp,
    seen: u32,
    /// The number of denials that are journaled, one by one or in numbers.
    told: u32,
}

/// The record that one more denial causes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Journaled {
    /// The denial by itself.
    One,
    /// The denial, and those before it that were not journaled.
    Many(Uncounted),
    /// No record for now.
    Later,
}

/// The agent that was denied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Whose<'a> {
    /// An agent that a charter names, with the charter that says no, if there is one of that name.
    Agent(&'a AgentName, Option<&'a Name>),
    /// A caller whom no charter names.
    Stranger,
}

/// Counts denials, and refusals apart from them.
#[derive(Debug, Default)]
pub struct DenialMeter {
    denials: Mutex<Counts>,
    refusals: Mutex<Counts>,
}

#[derive(Debug, Default)]
struct Counts {
    /// By charter; all names of charters that there are not are one.
    charters: HashMap<Option<Name>, OfCharter>,
    /// The records of each agent.
    agents: HashMap<AgentName, OfAgent>,
    strangers: Option<Count>,
}

#[derive(Debug)]
struct OfAgent {
    since: Timestamp,
    records: u32,
    bytes: u64,
}

#[derive(Debug)]
struct OfCharter {
    since: Timestamp,
    /// The number of denials that were journaled one by one.
    alone: u32,
    counts: HashMap<Of, Count>,
}

/// Denials that were not journaled one by one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Uncounted {
    /// The agent; `None` of many agents together.
    pub agent: Option<AgentName>,
    /// By which charter; by none where there is none of the names that were asked for.
    pub charter: Option<Name>,
    /// The rule that denied.
    pub rule: Rule,
    /// The time of the first.
    pub since: Timestamp,
    /// The number of denials.
    pub count: u32,
}

impl From<Uncounted> for Command {
    fn from(some: Uncounted) -> Self {
        Self::DenialsSuppressed {
            agent: some.agent,
            charter: some.charter,
            rule: some.rule,
            since: some.since,
            count: some.count,
        }
    }
}

impl Count {
    const fn none(since: Timestamp) -> Self {
        Self {
            since,
            seen: 0,
            told: 0,
        }
    }

    /// Takes the denials that were not journaled; the caller journals them.
    fn tell(&mut self, charter: Option<Name>, (agent, rule): Of) -> Uncounted {
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

    fn is_over(&self, now: Timestamp) -> bool {
        now.since(self.since) >= COUNT_WINDOW
    }
}

impl Counts {
    /// Tells if this agent may have another record of its own.
    fn may_have_record(&mut self, agent: &AgentName, bytes: u64, now: Timestamp) -> bool {
        if !self.agents.contains_key(agent) && self.agents.len() >= MAX_AGENTS_WITH_DENIALS {
            self.agents
                .retain(|_, it| now.since(it.since) < COUNT_WINDOW);
            if self.agents.len() >= MAX_AGENTS_WITH_DENIALS {
                return false;
            }
        }
        let begun = OfAgent {
            since: now,
            records: 0,
            bytes: 0,
        };
        let own = self.agents.entry(agent.clone()).or_insert(begun);
        if now.since(own.since) >= COUNT_WINDOW {
            (own.since, own.records, own.bytes) = (now, 0, 0);
        }
        let has_room = own.records < MAX_DENIALS_PER_AGENT_PER_MINUTE
            && own.bytes.saturating_add(bytes) <= MAX_DENIAL_BYTES_PER_AGENT_PER_MINUTE;
        if has_room {
            own.records = own.records.saturating_add(1);
            own.bytes = own.bytes.saturating_add(bytes);
        }
        has_room
    }

    fn over(&mut self, now: Timestamp, all: bool) -> Vec<Uncounted> {
        let mut left = Vec::new();
        for (charter, of_charter) in &mut self.charters {
            let ended = of_charter
                .counts
                .extract_if(|_, count| all || count.is_over(now));
            let untold = ended.filter(|(_, count)| count.seen > count.told);
            left.extend(untold.map(|(of, mut count)| count.tell(charter.clone(), of)));
        }
        let is_empty = |it: &OfCharter| it.counts.is_empty() && now.since(it.since) >= COUNT_WINDOW;
        self.charters.retain(|_, it| !is_empty(it));
        self.agents
            .retain(|_, it| now.since(it.since) < COUNT_WINDOW);
        if let Some(mut strangers) = self.strangers.take_if(|it| all || it.is_over(now)) {
            left.push(strangers.tell(None, (None, Rule::NotInForce)));
        }
        left
    }
}

impl DenialMeter {
    /// Decides how this denial is to be journaled, whose own record has so many bytes.
    pub fn admits(
        &self,
        whose: Whose<'_>,
        (denial, bytes): (&Denial, u64),
        now: Timestamp,
    ) -> Journaled {
        let Whose::Agent(agent, charter) = whose else {
            let mut counts = self.denials.lock();
            let strangers = counts.strangers.get_or_insert(Count::none(now));
            strangers.seen = strangers.seen.saturating_add(1);
            return Journaled::Later;
        };
        let of_its_kind = if denial.rule.is_refusal() {
            &self.refusals
        } else {
            &self.denials
        };
        let mut counts = of_its_kind.lock();
        let of_charter = counts.charters.entry(charter.cloned());
        let of_charter = of_charter.or_insert_with(|| OfCharter {
            since: now,
            alone: 0,
            counts: HashMap::new(),
        });
        if now.since(of_charter.since) >= COUNT_WINDOW {
            (of_charter.since, of_charter.alone) = (now, 0);
        }
        let mut of = (Some(agent.clone()), denial.rule);
        let full = of_charter.counts.len() >= MAX_COUNTED_DENIALS_PER_CHARTER;
        let shared = full && !of_charter.counts.contains_key(&of);
        if shared {
            of.0 = None;
        }
        let room = !shared && of_charter.alone < MAX_DENIALS_PER_CHARTER_PER_MINUTE;
        let alone = room && counts.may_have_record(agent, bytes, now);
        let Some(of_charter) = counts.charters.get_mut(&charter.cloned()) else {
            return Journaled::Later;
        };
        let count = of_charter.counts.entry(of.clone());
        let count = count.or_insert(Count::none(now));
        count.seen = count.seen.saturating_add(1);
        if alone {
            of_charter.alone += 1;
            count.told += 1;
            return Journaled::One;
        }
        if count.seen - count.told < count.told {
            return Journaled::Later;
        }
        Journaled::Many(count.tell(charter.cloned(), of))
    }

    /// Takes what the windows that are over have left to be journaled; all windows if `all`.
    pub fn over(&self, now: Timestamp, all: bool) -> Vec<Uncounted> {
        let mut left = self.denials.lock().over(now, all);
        left.extend(self.refusals.lock().over(now, all));
        left
    }
}

#[cfg(test)]
mod tests {
    use lanyard_core::decide::not_in_force;

    use super::*;

    const START: Timestamp = Timestamp::EPOCH;
    /// Bytes of a denial of which there may be as many as there may be records.
    const SMALL: u64 =
        MAX_DENIAL_BYTES_PER_AGENT_PER_MINUTE / MAX_DENIALS_PER_AGENT_PER_MINUTE as u64;
    const RULES: [Rule; 2] = [Rule::Grants, Rule::Limits];

    fn name(text: &str) -> Name {
        text.parse().unwrap()
    }

    fn denial(rule: Rule) -> Denial {
        Denial {
            rule,
            ..not_in_force(&name("payments"))
        }
    }

    fn agent(name: &str) -> AgentName {
        AgentName(name.into())
    }

    /// The numbers of denials that were journaled one by one and in numbers, and of the records of
    /// the latter.
    #[derive(Debug, Default, PartialEq, Eq)]
    struct Told {
        alone: u32,
        counted: u32,
        records: u32,
    }

    impl Told {
        fn take(&mut self, journaled: Journaled) {
            match journaled {
                Journaled::One => self.alone += 1,
                Journaled::Many(some) => {
                    self.counted += some.count;
                    self.records += 1;
                }
                Journaled::Later => {}
            }
        }
    }

    #[test]
    fn a_flood_is_counted_while_it_lasts_and_the_next_window_starts_afresh() {
        let (meter, payments, a) = (DenialMeter::default(), name("payments"), agent("a"));
        let whose = Whose::Agent(&a, Some(&payments));
        let mut told = Told::default();
        for _ in 0..1000 {
            told.take(meter.admits(whose, (&denial(Rule::Grants), SMALL), START));
        }
        // 60 by themselves, then 60, 120, 240 and 480 in a record each.
        let expected = Told {
            alone: MAX_DENIALS_PER_AGENT_PER_MINUTE,
            counted: 900,
            records: 4,
        };
        assert_eq!(told, expected);
        assert_eq!(meter.over(START, false), []);
        let left = Uncounted {
            agent: Some(a.clone()),
            charter: Some(payments.clone()),
            rule: Rule::Grants,
            since: START,
            count: 40,
        };
        assert_eq!(meter.over(START + COUNT_WINDOW, false), [left]);
        assert_eq!(meter.over(START + COUNT_WINDOW, false), []);
        let next = meter.admits(whose, (&denial(Rule::Grants), SMALL), START + COUNT_WINDOW);
        assert_eq!(next, Journaled::One);
    }

    #[test]
    fn s05_denials_are_journaled_by_agent_first() {
        let (meter, a) = (DenialMeter::default(), agent("a"));
        let mut told = Told::default();
        for number in 0..10 * MAX_DENIALS_PER_AGENT_PER_MINUTE {
            let charter = name(&format!("c{}", number % 10));
            for rule in RULES {
                let whose = Whose::Agent(&a, Some(&charter));
                told.take(meter.admits(whose, (&denial(rule), SMALL), START));
            }
        }
        assert_eq!(told.alone, MAX_DENIALS_PER_AGENT_PER_MINUTE);
        let b = agent("b");
        let other = Whose::Agent(&b, None);
        let other = meter.admits(other, (&denial(Rule::NotInForce), SMALL), START);
        assert_eq!(other, Journaled::One);
    }

    #[test]
    fn s05_refusals_take_nothing_of_the_records_that_denials_have() {
        let (meter, payments) = (DenialMeter::default(), name("payments"));
        let (flooding, other) = (agent("flooding"), agent("other"));
        let admits = |who: &AgentName, rule| {
            let whose = Whose::Agent(who, Some(&payments));
            meter.admits(whose, (&denial(rule), SMALL), START)
        };
        // Of one agent, by number and by bytes.
        for rule in [Rule::Quota, Rule::Kill, Rule::Pause, Rule::AwaitsApproval] {
            for _ in 0..MAX_DENIALS_PER_AGENT_PER_MINUTE {
                admits(&flooding, rule);
            }
        }
        for _ in 0..MAX_DENIALS_PER_AGENT_PER_MINUTE {
            assert_eq!(admits(&flooding, Rule::Grants), Journaled::One);
        }
        assert_ne!(admits(&flooding, Rule::Limits), Journaled::One);
        // Of a charter, whose agents together are refused more often than is journaled one by one.
        for number in 0..2 * MAX_DENIALS_PER_CHARTER_PER_MINUTE {
            admits(&agent(&number.to_string()), Rule::Quota);
        }
        assert_eq!(admits(&other, Rule::Grants), Journaled::One);
        assert_ne!(admits(&other, Rule::Quota), Journaled::One);
        // Neither kind loses any.
        let left: u32 = meter.over(START, true).iter().map(|some| some.count).sum();
        assert!(left > 0);
        assert_eq!(meter.over(START, true), []);
    }

    #[test]
    fn s05_names_of_charters_that_are_made_up_are_one() {
        let (meter, a) = (DenialMeter::default(), agent("a"));
        let mut told = Told::default();
        for number in 0..5000 {
            let made_up = not_in_force(&name(&format!("c{number}")));
            told.take(meter.admits(Whose::Agent(&a, None), (&made_up, SMALL), START));
        }
        assert_eq!(told.alone, MAX_DENIALS_PER_AGENT_PER_MINUTE);
        assert!(told.records < 10, "{told:?}");
        let left = meter.over(START + COUNT_WINDOW, false);
        assert_eq!(left.len(), 1, "{left:?}");
        assert_eq!(left[0].charter, None);
    }

    #[test]
    fn s05_whom_no_charter_names_gets_no_record_and_is_counted() {
        let meter = DenialMeter::default();
        for _ in 0..100_000 {
            let journaled =
                meter.admits(Whose::Stranger, (&denial(Rule::NotInForce), SMALL), START);
            assert_eq!(journaled, Journaled::Later);
        }
        let left = Uncounted {
            agent: None,
            charter: None,
            rule: Rule::NotInForce,
            since: START,
            count: 100_000,
        };
        assert_eq!(meter.over(START + COUNT_WINDOW, false), [left]);
        assert_eq!(meter.over(START + COUNT_WINDOW, true), []);
    }

    #[test]
    fn s06_a_full_table_of_one_charter_loses_nothing_of_another() {
        let (meter, flooded, quiet) = (DenialMeter::default(), name("flooded"), name("quiet"));
        let (mut counted, mut together) = (0, 0);
        for number in 0..MAX_COUNTED_DENIALS_PER_CHARTER + 100 {
            let agent = agent(&number.to_string());
            let whose = Whose::Agent(&agent, Some(&flooded));
            match meter.admits(whose, (&denial(Rule::Grants), SMALL), START) {
                Journaled::One => counted += 1,
                Journaled::Many(some) if some.agent.is_none() => together += some.count,
                Journaled::Many(some) => counted += some.count,
                Journaled::Later => {}
            }
        }
        for left in meter.over(START, true) {
            assert_eq!(left.agent, None, "{left:?}");
            together += left.count;
        }
        // Nothing is lost: what is not counted by agent is counted together.
        assert_eq!(
            usize::try_from(counted).unwrap(),
            MAX_COUNTED_DENIALS_PER_CHARTER
        );
        assert_eq!(together, 100);
        let a = agent("a");
        for _ in 0..5 {
            let whose = Whose::Agent(&a, Some(&quiet));
            let journaled = meter.admits(whose, (&denial(Rule::Grants), SMALL), START);
            assert_eq!(journaled, Journaled::One);
        }
    }

    #[test]
    fn s06_beyond_the_records_of_a_charter_an_agent_is_still_counted_by_itself() {
        let (meter, payments) = (DenialMeter::default(), name("payments"));
        let admits = |agent: &AgentName| {
            let whose = Whose::Agent(agent, Some(&payments));
            meter.admits(whose, (&denial(Rule::Grants), SMALL), START)
        };
        for number in 0..MAX_DENIALS_PER_CHARTER_PER_MINUTE {
            assert_eq!(admits(&agent(&number.to_string())), Journaled::One);
        }
        let mut told = Told::default();
        for _ in 0..8 {
            told.take(admits(&agent("late")));
        }
        // At one, two, four and eight: a breaker sees them while they come.
        let expected = Told {
            alone: 0,
            counted: 8,
            records: 4,
        };
        assert_eq!(told, expected);
    }

    #[test]
    fn s06_agents_beyond_those_with_records_of_their_own_are_counted() {
        let meter = DenialMeter::default();
        let charters: Vec<Name> = (0..40).map(|number| name(&format!("c{number}"))).collect();
        let mut told = Told::default();
        for number in 0..MAX_AGENTS_WITH_DENIALS {
            let agent = agent(&number.to_string());
            let whose = Whose::Agent(&agent, charters.get(number % 40));
            told.take(meter.admits(whose, (&denial(Rule::Grants), SMALL), START));
        }
        assert_eq!(
            usize::try_from(told.alone).unwrap(),
            MAX_AGENTS_WITH_DENIALS
        );
        let late = agent("late");
        let whose = Whose::Agent(&late, charters.first());
        let journaled = meter.admits(whose, (&denial(Rule::Grants), SMALL), START);
        assert!(
            matches!(&journaled, Journaled::Many(some) if some.agent.as_ref() == Some(&late)),
            "{journaled:?}"
        );
    }

    #[test]
    fn s05_bytes_of_denials_are_bounded_by_agent() {
        let meter = DenialMeter::default();
        let (a, charter) = (agent("a"), name("one"));
        let whose = Whose::Agent(&a, Some(&charter));
        let large = MAX_DENIAL_BYTES_PER_AGENT_PER_MINUTE / 4;
        let mut told = Told::default();
        for _ in 0..100 {
            told.take(meter.admits(whose, (&denial(Rule::Grants), large), START));
        }
        assert_eq!(told.alone, 4, "{told:?}");
        // None is lost: the others are numbers.
        for left in meter.over(START, true) {
            told.take(Journaled::Many(left));
        }
        assert_eq!(told.alone + told.counted, 100, "{told:?}");
        let b = agent("b");
        let other = Whose::Agent(&b, Some(&charter));
        let other = meter.admits(other, (&denial(Rule::Grants), large), START);
        assert_eq!(other, Journaled::One);
    }
}
