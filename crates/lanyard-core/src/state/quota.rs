//! The credentials of one agent under one charter, counted at the intent (T41).

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use lanyard_charter::{Budget, Rate, Rates};
use lanyard_vocabulary::agent::AgentName;
use lanyard_vocabulary::name::Name;
use lanyard_vocabulary::time::Timestamp;
use serde::{Deserialize, Serialize};

use crate::task::Task;

/// The most mints of one agent under one charter that are remembered. No rate counts more.
const MINTS_REMEMBERED: usize = 10_000;
/// The time for which mints are remembered.
///
/// # No limit
/// The parser of charters refuses a longer window (`MAX_SPAN`); this is for how long mints are
/// remembered.
const MAX_RATE_WINDOW: Duration = Duration::from_secs(24 * 3600);

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Use {
    live: u32,
    mints: VecDeque<Timestamp>,
}

/// The part of a task's budget that is used up.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spent {
    mints: u32,
    seconds: u64,
    /// True once nothing more is within the budget.
    over: bool,
}

impl Spent {
    /// True if one more credential of this many seconds is within the budget.
    pub(super) fn admits(self, budget: Budget, seconds: u64) -> bool {
        let most = u64::from(budget.time.as_secs());
        self.mints < budget.mints && self.seconds.saturating_add(seconds) <= most
    }

    pub(super) fn take(&mut self, budget: Budget, seconds: u64) {
        self.mints = self.mints.saturating_add(1);
        self.seconds = self.seconds.saturating_add(seconds);
        self.over = !self.admits(budget, 1);
    }

    /// True if nothing more is within the budget.
    #[must_use]
    pub const fn is_over(self) -> bool {
        self.over
    }
}

/// The use of quotas, by charter and agent.
#[derive(Debug, Clone, Default)]
pub(super) struct Quotas(HashMap<(Name, AgentName), Use>);

impl Quotas {
    pub(super) fn iter(&self) -> impl Iterator<Item = (&(Name, AgentName), &Use)> {
        self.0.iter()
    }

    pub(super) fn restore(&mut self, of: (Name, AgentName), used: Use) {
        self.0.insert(of, used);
    }

    fn of(&self, task: &Task) -> Option<&Use> {
        self.0.get(&(task.charter.clone(), task.agent.clone()))
    }

    pub(super) fn live(&self, task: &Task) -> u32 {
        self.of(task).map_or(0, |used| used.live)
    }

    /// The time from which the next mint is within every rate, with the rate that delays it; `None`
    /// if it is now.
    pub(super) fn next_mint(
        &self,
        task: &Task,
        rates: &Rates,
        now: Timestamp,
    ) -> Option<(Timestamp, Rate)> {
        let used = self.of(task)?;
        let waits = rates.iter().filter_map(|rate| {
            let from = now.before(rate.per.as_duration());
            let count = usize::try_from(rate.count).unwrap_or(usize::MAX);
            // They are in order: the one that has to fall out of the window for another to be
            // within the rate.
            let freeing = used.mints.get(used.mints.len().checked_sub(count)?)?;
            (*freeing > from).then(|| (*freeing + rate.per, rate))
        });
        waits.max_by_key(|(until, _)| *until)
    }

    /// Counts a mint. Mints are remembered whatever this charter's rates, because a pinned revision
    /// or a task above may have a longer window (S23).
    pub(super) fn minted(&mut self, task: &Task, at: Timestamp) {
        let used = self
            .0
            .entry((task.charter.clone(), task.agent.clone()))
            .or_default();
        used.live += 1;
        used.mints.push_back(at);
        let from = at.before(MAX_RATE_WINDOW);
        while used.mints.len() > MINTS_REMEMBERED
            || used.mints.front().is_some_and(|oldest| *oldest <= from)
        {
            used.mints.pop_front();
        }
    }

    pub(super) fn stopped(&mut self, task: &Task) {
        if let Some(used) = self.0.get_mut(&(task.charter.clone(), task.agent.clone())) {
            used.live = used.live.saturating_sub(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use lanyard_vocabulary::id::TaskId;
    use lanyard_vocabulary::identity::{Evidence, Identity};
    use lanyard_vocabulary::revision::Revision;
    use lanyard_vocabulary::time::Ttl;

    use super::*;

    fn task() -> Task {
        Task {
            id: TaskId::from_bits(1),
            charter: "c".parse().unwrap(),
            revision: Revision::of(b""),
            environment: "e".parse().unwrap(),
            agent: AgentName("a".to_owned()),
            identity: Identity {
                issuer: "i".to_owned(),
                subject: "s".to_owned(),
            },
            evidence: Evidence::default(),
            sponsor: None,
            reason: String::new(),
            ticket: None,
            version: None,
            lineage: Vec::new(),
            opened: Timestamp::EPOCH,
            expires: Timestamp::NEVER,
        }
    }

    fn rate(count: u32, secs: u32) -> Rates {
        Rate {
            count,
            per: Ttl::at_least_a_second(secs),
        }
        .into()
    }

    #[test]
    fn s23_a_burst_and_an_average_both_hold() {
        let (burst, average) = (rate(2, 10), rate(5, 3600));
        let both = burst.and(&average);
        assert_eq!(both, burst.and(&average).and(&burst));
        let (task, mut quotas) = (task(), Quotas::default());
        let start = Timestamp::from_secs(1_800_000_000);
        let after = |secs| start + Duration::from_secs(secs);
        for secs in [0, 1] {
            assert_eq!(quotas.next_mint(&task, &both, after(secs)), None);
            quotas.minted(&task, after(secs));
        }
        let until =
            |quotas: &Quotas, rates: &Rates, now| Some(quotas.next_mint(&task, rates, now)?.0);
        assert_eq!(until(&quotas, &both, after(2)), Some(after(10)));
        for secs in [20, 40, 60] {
            assert_eq!(quotas.next_mint(&task, &both, after(secs)), None);
            quotas.minted(&task, after(secs));
        }
        assert_eq!(until(&quotas, &both, after(600)), Some(after(3600)));
    }

    #[test]
    fn s23_a_short_window_does_not_forget_what_a_long_one_counts() {
        let (task, mut quotas) = (task(), Quotas::default());
        let start = Timestamp::from_secs(1_800_000_000);
        quotas.minted(&task, start);
        quotas.minted(&task, start + Duration::from_secs(3000));
        let now = start + Duration::from_secs(3500);
        let until = quotas.next_mint(&task, &rate(2, 3600), now);
        let until = until.map(|(until, _)| until);
        assert_eq!(until, Some(start + Duration::from_secs(3600)));
    }

    #[test]
    fn s23_a_rate_that_another_holds_anyway_is_left_out() {
        let written = |rates: &Rates| serde_json::to_string(rates).unwrap();
        let one = rate(2, 3600).and(&rate(5, 3600)).and(&rate(2, 10));
        assert_eq!(one, rate(2, 3600));
        assert_eq!(written(&one), r#"{"count":2,"per":3600}"#);
        let two = rate(2, 10).and(&rate(5, 3600));
        let read: Rates = serde_json::from_str(&written(&two)).unwrap();
        assert_eq!(read, two);
        let counts: BTreeSet<u32> = two.iter().map(|rate| rate.count).collect();
        assert_eq!(counts, [2, 5].into());
    }
}
