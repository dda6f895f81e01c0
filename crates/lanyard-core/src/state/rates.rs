//! How many actions each identity reported within the current hour.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use lanyard_vocabulary::identity::Identity;
use lanyard_vocabulary::time::Timestamp;

/// Reports of actions of one identity's tasks within an hour.
///
/// # Limit
/// - for: an identity
/// - unit: reports an hour
/// - beyond: a report is refused until the hour is over, whichever task it is of
/// - test: `s05_reports_are_bounded_by_identity`
pub const MAX_REPORTS_PER_IDENTITY_PER_HOUR: u32 = 2000;
const HOUR: Duration = Duration::from_secs(3600);

/// An hour with the number of reports in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Window {
    since: Timestamp,
    count: u32,
}

/// The open hours of all identities. A closed one is removed when another opens.
#[derive(Debug, Clone, Default)]
pub(super) struct Rates {
    windows: HashMap<Identity, Window>,
    began: VecDeque<(Timestamp, Identity)>,
}

impl Rates {
    /// The time from which this identity may report again; `None` if it may now.
    pub(super) fn next(&self, identity: &Identity, now: Timestamp) -> Option<Timestamp> {
        let window = self.windows.get(identity)?;
        let over = window.since + HOUR;
        let full = window.count >= MAX_REPORTS_PER_IDENTITY_PER_HOUR;
        (full && now < over).then_some(over)
    }

    pub(super) fn count(&mut self, identity: &Identity, at: Timestamp) {
        while let Some((since, _)) = self.began.front()
            && *since + HOUR <= at
        {
            if let Some((since, of)) = self.began.pop_front()
                && self.windows.get(&of).is_some_and(|it| it.since == since)
            {
                self.windows.remove(&of);
            }
        }
        if let Some(window) = self.windows.get_mut(identity) {
            window.count = window.count.saturating_add(1);
            return;
        }
        self.restore(
            identity.clone(),
            Window {
                since: at,
                count: 1,
            },
        );
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&Identity, &Window)> {
        let began = self.began.iter();
        began.filter_map(|(_, of)| Some((of, self.windows.get(of)?)))
    }

    pub(super) fn restore(&mut self, of: Identity, window: Window) {
        self.began.push_back((window.since, of.clone()));
        self.windows.insert(of, window);
    }
}
