//! How many records an identity may cause in a minute: the journal is kept for ever, so nobody fills it alone.
//!
//! What is counted is what an agent asks for and gets: a task, a credential, a plan, a report, a session. What follows from
//! that by itself (confirmations, revocations, endings) is bounded by it. Kills, closings and releases are never refused.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use lanyard_core::identity::Identity;
use lanyard_core::time::Timestamp;
use parking_lot::Mutex;

const WINDOW: Duration = Duration::from_secs(60);

/// Records that one identity may cause in a minute, where the configuration says nothing else.
///
/// # Limit
/// - for: an identity
/// - unit: records a minute
/// - beyond: the request is refused with `QUOTA` until the minute is over; `quotas.records_per_minute` moves the bound
/// - test: `s05_records_are_bounded_by_identity`
pub const MAX_RECORDS_PER_IDENTITY_PER_MINUTE: u32 = 60;

/// Records that all identities together may cause in a minute, where the configuration says nothing else.
///
/// # Limit
/// - for: all identities together
/// - unit: records a minute
/// - beyond: every request is refused with `QUOTA` until the minute is over; `quotas.records_per_minute_in_all` moves the bound
/// - test: `s05_records_are_bounded_in_all`
pub const MAX_RECORDS_PER_MINUTE: u32 = 60_000;

/// Identities whose records are counted one by one.
///
/// # Limit
/// - for: all identities together
/// - unit: identities a minute
/// - beyond: the identities that come later share one identity's number of records until the minute is over
/// - test: `s05_identities_beyond_those_that_are_counted_share_one_bound`
pub const MAX_METERED_IDENTITIES: usize = 100_000;

/// How many records are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecordLimits {
    /// Of one identity in a minute.
    pub of_identity: u32,
    /// Of all identities together in a minute.
    pub in_all: u32,
}

impl RecordLimits {
    /// As many as there are: for engines that nobody else can reach.
    pub const UNBOUNDED: Self = Self {
        of_identity: u32::MAX,
        in_all: u32::MAX,
    };
}

impl Default for RecordLimits {
    fn default() -> Self {
        Self {
            of_identity: MAX_RECORDS_PER_IDENTITY_PER_MINUTE,
            in_all: MAX_RECORDS_PER_MINUTE,
        }
    }
}

/// Too many records; when the next is taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TooManyRecords {
    /// Of this identity.
    #[error(
        "{who} has caused {most} records within a minute, which is all that one identity may: the next is taken at {until}"
    )]
    OfIdentity {
        /// Who.
        who: String,
        /// The limit.
        most: u32,
        /// When.
        until: Timestamp,
    },
    /// Of everybody.
    #[error(
        "all identities together have caused {most} records within a minute, which is all that is taken: the next is taken at {until}"
    )]
    InAll {
        /// The limit.
        most: u32,
        /// When.
        until: Timestamp,
    },
}

#[derive(Debug, Clone, Copy)]
struct Window {
    since: Timestamp,
    count: u32,
}

impl Window {
    fn at(&mut self, now: Timestamp) -> &mut Self {
        if now.since(self.since) >= WINDOW {
            *self = Self {
                since: now,
                count: 0,
            };
        }
        self
    }
}

/// Counts records.
#[derive(Debug)]
pub struct RecordMeter {
    limits: RecordLimits,
    counts: Mutex<Counts>,
}

#[derive(Debug)]
struct Counts {
    of: HashMap<Identity, Window>,
    /// In the order in which their windows began.
    began: VecDeque<(Timestamp, Identity)>,
    /// Of those that there is no window for.
    others: Window,
    all: Window,
}

impl RecordMeter {
    /// With these limits.
    #[must_use]
    pub fn new(limits: RecordLimits) -> Self {
        let window = Window {
            since: Timestamp::EPOCH,
            count: 0,
        };
        let counts = Counts {
            of: HashMap::new(),
            began: VecDeque::new(),
            others: window,
            all: window,
        };
        Self {
            limits,
            counts: Mutex::new(counts),
        }
    }

    /// Counts a record that this identity causes.
    ///
    /// # Errors
    /// It is one too many, and not counted.
    pub fn admit(&self, identity: &Identity, now: Timestamp) -> Result<(), TooManyRecords> {
        let mut counts = self.counts.lock();
        counts.forget(now);
        let all = *counts.all.at(now);
        if all.count >= self.limits.in_all {
            return Err(TooManyRecords::InAll {
                most: self.limits.in_all,
                until: all.since + WINDOW,
            });
        }
        let own = counts.window(identity, now);
        if own.count >= self.limits.of_identity {
            return Err(TooManyRecords::OfIdentity {
                who: identity.to_string(),
                most: self.limits.of_identity,
                until: own.since + WINDOW,
            });
        }
        own.count = own.count.saturating_add(1);
        counts.all.count = counts.all.count.saturating_add(1);
        Ok(())
    }
}

impl Counts {
    fn forget(&mut self, now: Timestamp) {
        while let Some((since, _)) = self.began.front()
            && now.since(*since) >= WINDOW
        {
            if let Some((_, identity)) = self.began.pop_front() {
                self.of.remove(&identity);
            }
        }
    }

    fn window(&mut self, identity: &Identity, now: Timestamp) -> &mut Window {
        if !self.of.contains_key(identity) {
            if self.of.len() >= MAX_METERED_IDENTITIES {
                return self.others.at(now);
            }
            self.began.push_back((now, identity.clone()));
        }
        self.of.entry(identity.clone()).or_insert(Window {
            since: now,
            count: 0,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Timestamp = Timestamp::from_secs(1_800_000_000);

    fn identity(number: usize) -> Identity {
        Identity {
            issuer: "https://agents.example".to_owned(),
            subject: format!("agent:{number}"),
        }
    }

    fn take(meter: &RecordMeter, number: usize, count: u32) -> u32 {
        let taken = (0..count).filter(|_| meter.admit(&identity(number), START).is_ok());
        u32::try_from(taken.count()).unwrap()
    }

    #[test]
    fn s05_records_are_bounded_by_identity() {
        let meter = RecordMeter::new(RecordLimits::default());
        let most = MAX_RECORDS_PER_IDENTITY_PER_MINUTE;
        assert_eq!(take(&meter, 1, most + 1), most);
        assert_eq!(take(&meter, 2, most), most);
        let refused = meter.admit(&identity(1), START).unwrap_err();
        assert!(
            matches!(refused, TooManyRecords::OfIdentity { until, .. } if until == START + WINDOW)
        );
        assert_eq!(meter.admit(&identity(1), START + WINDOW), Ok(()));
    }

    #[test]
    fn s05_records_are_bounded_in_all() {
        let meter = RecordMeter::new(RecordLimits::default());
        let each = MAX_RECORDS_PER_IDENTITY_PER_MINUTE;
        let many = usize::try_from(MAX_RECORDS_PER_MINUTE / each).unwrap();
        let taken: u32 = (0..=many).map(|number| take(&meter, number, each)).sum();
        assert_eq!(taken, MAX_RECORDS_PER_MINUTE);
        let refused = meter.admit(&identity(many + 1), START).unwrap_err();
        assert!(matches!(refused, TooManyRecords::InAll { .. }));
        assert_eq!(meter.admit(&identity(0), START + WINDOW), Ok(()));
    }

    #[test]
    fn s05_identities_beyond_those_that_are_counted_share_one_bound() {
        let meter = RecordMeter::new(RecordLimits {
            in_all: u32::MAX,
            ..RecordLimits::default()
        });
        for number in 0..MAX_METERED_IDENTITIES {
            assert_eq!(take(&meter, number, 1), 1);
        }
        let beyond = MAX_METERED_IDENTITIES..MAX_METERED_IDENTITIES + 100;
        let taken: u32 = beyond.map(|number| take(&meter, number, 1)).sum();
        assert_eq!(taken, MAX_RECORDS_PER_IDENTITY_PER_MINUTE);
        // Whoever was counted before is not held up by those.
        assert_eq!(take(&meter, 0, 1), 1);
    }
}
