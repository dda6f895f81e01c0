//! What one agent has out under one charter, counted at the intent (T41).

use std::collections::{HashMap, VecDeque};

use serde::{Deserialize, Serialize};

use crate::charter::{Budget, Name, Rate};
use crate::scope::AgentName;
use crate::task::Task;
use crate::time::Timestamp;

/// How many mints of one agent under one charter are remembered: no rate can be larger.
const REMEMBERED: usize = 10_000;

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Use {
    live: u32,
    mints: VecDeque<Timestamp>,
}

/// What one task has had, under a budget.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spent {
    mints: u32,
    seconds: u64,
    /// Whether nothing more can be had.
    over: bool,
}

impl Spent {
    /// Whether this much more is within the budget.
    pub(super) fn admits(self, budget: Budget, seconds: u64) -> bool {
        let most = u64::from(budget.time.as_secs());
        self.mints < budget.mints && self.seconds.saturating_add(seconds) <= most
    }

    pub(super) fn take(&mut self, budget: Budget, seconds: u64) {
        self.mints = self.mints.saturating_add(1);
        self.seconds = self.seconds.saturating_add(seconds);
        self.over = !self.admits(budget, 1);
    }

    /// Whether nothing more can be had.
    #[must_use]
    pub const fn is_over(self) -> bool {
        self.over
    }
}

/// Use by charter and agent.
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

    /// When the next mint is within the rate; `None` is now.
    pub(super) fn next_mint(&self, task: &Task, rate: Rate, now: Timestamp) -> Option<Timestamp> {
        let used = self.of(task)?;
        let from = now.before(rate.per.as_duration());
        let count = usize::try_from(rate.count).unwrap_or(usize::MAX);
        // They are in order: the one that has to fall out of the window for another to be within the rate.
        let freeing = used.mints.get(used.mints.len().checked_sub(count)?)?;
        (*freeing > from).then(|| *freeing + rate.per)
    }

    pub(super) fn minted(&mut self, task: &Task, at: Timestamp, rate: Rate) {
        let used = self
            .0
            .entry((task.charter.clone(), task.agent.clone()))
            .or_default();
        used.live += 1;
        used.mints.push_back(at);
        let from = at.before(rate.per.as_duration());
        while used.mints.len() > REMEMBERED
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
