//! How many records an identity may cause in a minute: the journal is kept for ever, so nobody
//! fills it alone.
//!
//! What is counted is what an agent asks for and gets: a task, a credential, a plan, a report, a
//! session. What follows from that by itself (confirmations, revocations, endings) is counted with
//! it. Kills, closings and releases are never refused.
//!
//! Records are counted, and their bytes: one record may be a hundred times another. A record that
//! finds room is taken whatever its size, and what it takes beyond the minute's bytes is taken from
//! the minutes that follow.

use std::collections::{HashMap, VecDeque};
use std::io::{self, Write};
use std::time::Duration;

use lanyard_core::command::Command;
use lanyard_core::decide::{Denial, LimitReached, ReasonCode, Rule, not_in_force};
use lanyard_vocabulary::identity::Identity;
use lanyard_vocabulary::name::Name;
use lanyard_vocabulary::revision::Revision;
use lanyard_vocabulary::time::Timestamp;
use parking_lot::Mutex;

const COUNT_WINDOW: Duration = Duration::from_secs(60);

/// Records that one identity may cause in a minute, where the configuration says nothing else.
///
/// # Limit
/// - for: an identity
/// - unit: records a minute
/// - beyond: the request is refused with `QUOTA` until the minute is over;
///   `quotas.records_per_minute` moves the bound
/// - test: `s05_records_are_bounded_by_identity`
pub const MAX_RECORDS_PER_IDENTITY_PER_MINUTE: u32 = 20;

/// Records that all identities together may cause in a minute, where the configuration says nothing
/// else.
///
/// # Limit
/// - for: all identities together
/// - unit: records a minute
/// - beyond: every request is refused with `QUOTA` until the minute is over;
///   `quotas.records_per_minute_in_all` moves the bound
/// - test: `s05_records_are_bounded_in_all`
pub const MAX_RECORDS_PER_MINUTE: u32 = 60_000;

/// Identities whose records are counted one by one.
///
/// # Limit
/// - for: all identities together
/// - unit: identities a minute
/// - beyond: the identities that come later share one identity's number of records until the minute
///   is over
/// - test: `s05_identities_beyond_those_that_are_counted_share_one_bound`
pub const MAX_METERED_IDENTITIES: usize = 100_000;

/// Bytes of the journal and its index that one identity may add in a minute, for each record that
/// it may cause: so many that with 20 records a minute an identity is given some 15 credentials,
/// and that these with all that follows from them, beside denials, stay under 100 kB.
///
/// # Limit
/// - for: an identity
/// - unit: bytes a minute for each record a minute
/// - beyond: the request is refused with `QUOTA`; a record that found room is taken whole, and what
///   it took beyond counts in the minutes that follow
/// - test: `s05_bytes_of_records_are_bounded_by_identity`
pub const MAX_JOURNAL_BYTES_PER_RECORD: u64 = 2_700;

/// The bytes that a record takes besides its own, in the frame of its batch and in the index.
const OVERHEAD_BYTES: u64 = 600;
/// The bytes of the records that follow from a credential by itself: that it was given, delivered,
/// has ended and is forgotten.
const AFTER_MINT_BYTES: u64 = 2_100;
/// The bytes of the record that follows from a task by itself: that it ends.
const AFTER_TASK_BYTES: u64 = 850;

/// The most records that are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecordLimits {
    /// The most records of one identity in a minute.
    pub of_identity: u32,
    /// The most records of all identities together in a minute.
    pub in_all: u32,
}

impl RecordLimits {
    /// No bound: for engines that nobody else can reach.
    pub const UNBOUNDED: Self = Self {
        of_identity: u32::MAX,
        in_all: u32::MAX,
    };

    /// The bytes that so many records may take.
    fn bytes(records: u32) -> u64 {
        u64::from(records) * MAX_JOURNAL_BYTES_PER_RECORD
    }
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
    /// The identity has caused as many records as it may.
    #[error(
        "{who} has caused {most} records within a minute, or as many bytes as those may have, which is all that one identity \
         may"
    )]
    OfIdentity {
        /// The name of the identity.
        who: String,
        /// The most records of one identity.
        most: u32,
        /// The time at which the next one is taken.
        until: Timestamp,
    },
    /// The identities together have caused as many records as they may.
    #[error(
        "all identities together have caused {most} records within a minute, which is all that is taken"
    )]
    InAll {
        /// The most records of one identity.
        most: u32,
        /// The time at which the next one is taken.
        until: Timestamp,
    },
}

impl TooManyRecords {
    /// Returns the time at which the next record is taken.
    #[must_use]
    pub const fn until(&self) -> Timestamp {
        match self {
            Self::OfIdentity { until, .. } | Self::InAll { until, .. } => *until,
        }
    }

    /// The limit that is reached, by its name in the configuration.
    #[must_use]
    pub const fn limit(&self) -> (&'static str, u32) {
        match self {
            Self::OfIdentity { most, .. } => ("quotas.records_per_minute", *most),
            Self::InAll { most, .. } => ("quotas.records_per_minute_in_all", *most),
        }
    }

    /// The decision that this refusal is, under the charter that was asked under.
    #[must_use]
    pub fn decision(&self, charter: &Name, revision: Option<&Revision>) -> Denial {
        let (name, most) = self.limit();
        Denial {
            revision: revision.cloned(),
            rule: Rule::Quota,
            message: self.to_string(),
            next: format!("wait until {}", self.until()),
            reason_code: Some(ReasonCode::RecordRate),
            limit: Some(Box::new(LimitReached {
                name: name.into(),
                value: most.to_string(),
            })),
            retry_after: Some(self.until()),
            ..not_in_force(charter)
        }
    }
}

#[derive(Debug, Clone, Copy)]
struct Window {
    since: Timestamp,
    count: u32,
    /// The bytes that records took. Those beyond a window are carried over.
    bytes: u64,
}

impl Window {
    const fn begun(since: Timestamp) -> Self {
        Self {
            since,
            count: 0,
            bytes: 0,
        }
    }

    /// The window of this moment, where one takes so many bytes.
    fn at(&mut self, now: Timestamp, bytes_per_window: u64) -> &mut Self {
        let over = now.since(self.since).as_secs() / COUNT_WINDOW.as_secs();
        if over > 0 {
            *self = Self {
                since: now,
                count: 0,
                bytes: self
                    .bytes
                    .saturating_sub(bytes_per_window.saturating_mul(over)),
            };
        }
        self
    }

    const fn has_room(&self, count: u32, bytes: u64) -> bool {
        self.count < count && self.bytes < bytes
    }

    const fn take(&mut self, bytes: u64) {
        self.count = self.count.saturating_add(1);
        self.bytes = self.bytes.saturating_add(bytes);
    }
}

/// Estimates how many bytes a command adds to the journal and its index, with what follows from it
/// by itself.
#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "of all that happens, something follows from these"
)]
pub(crate) fn weight(command: &Command) -> u64 {
    /// Counts what is written.
    struct Length(u64);
    impl Write for Length {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0 = self.0.saturating_add(bytes.len() as u64);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let mut length = Length(OVERHEAD_BYTES);
    if serde_json::to_writer(&mut length, command).is_err() {
        // The ledger refuses what cannot be written.
        return u64::MAX;
    }
    let after = match command {
        Command::BeginMint(_) => AFTER_MINT_BYTES,
        Command::OpenTask { .. } => AFTER_TASK_BYTES,
        _ => 0,
    };
    length.0.saturating_add(after)
}

/// The counts of records by identity.
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
    /// The count of the identities that there is no window for.
    others: Window,
    all: Window,
}

impl RecordMeter {
    /// Counts against these limits.
    #[must_use]
    pub fn new(limits: RecordLimits) -> Self {
        let window = Window::begun(Timestamp::EPOCH);
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

    /// Counts a record of so many bytes that this identity causes.
    ///
    /// # Errors
    /// It is one too many, and not counted.
    pub fn admit(
        &self,
        identity: &Identity,
        bytes: u64,
        now: Timestamp,
    ) -> Result<(), TooManyRecords> {
        let RecordLimits {
            of_identity,
            in_all,
        } = self.limits;
        let (own_bytes, all_bytes) = (
            RecordLimits::bytes(of_identity),
            RecordLimits::bytes(in_all),
        );
        let mut counts = self.counts.lock();
        counts.forget(now, own_bytes);
        let all = *counts.all.at(now, all_bytes);
        if !all.has_room(in_all, all_bytes) {
            return Err(TooManyRecords::InAll {
                most: self.limits.in_all,
                until: all.since + COUNT_WINDOW,
            });
        }
        let own = counts.window(identity, now, own_bytes);
        if !own.has_room(of_identity, own_bytes) {
            return Err(TooManyRecords::OfIdentity {
                who: identity.to_string(),
                most: self.limits.of_identity,
                until: own.since + COUNT_WINDOW,
            });
        }
        own.take(bytes);
        counts.all.take(bytes);
        Ok(())
    }
}

impl Counts {
    fn forget(&mut self, now: Timestamp, bytes_per_window: u64) {
        while let Some((since, _)) = self.began.front()
            && now.since(*since) >= COUNT_WINDOW
        {
            let Some((_, identity)) = self.began.pop_front() else {
                break;
            };
            let Some(window) = self.of.get_mut(&identity) else {
                continue;
            };
            if window.at(now, bytes_per_window).bytes > 0 {
                self.began.push_back((now, identity));
            } else {
                self.of.remove(&identity);
            }
        }
    }

    fn window(
        &mut self,
        identity: &Identity,
        now: Timestamp,
        bytes_per_window: u64,
    ) -> &mut Window {
        if !self.of.contains_key(identity) {
            if self.of.len() >= MAX_METERED_IDENTITIES {
                return self.others.at(now, bytes_per_window);
            }
            self.began.push_back((now, identity.clone()));
        }
        self.of
            .entry(identity.clone())
            .or_insert(Window::begun(now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Timestamp = Timestamp::from_secs(1_800_000_000);
    /// Bytes of a record of which there may be as many as there may be records.
    const SMALL: u64 = MAX_JOURNAL_BYTES_PER_RECORD / 2;

    fn identity(number: usize) -> Identity {
        Identity {
            issuer: "https://agents.example".to_owned(),
            subject: format!("agent:{number}"),
        }
    }

    fn take(meter: &RecordMeter, number: usize, count: u32) -> u32 {
        let taken = (0..count).filter(|_| meter.admit(&identity(number), SMALL, START).is_ok());
        u32::try_from(taken.count()).unwrap()
    }

    #[test]
    fn s05_records_are_bounded_by_identity() {
        let meter = RecordMeter::new(RecordLimits::default());
        let most = MAX_RECORDS_PER_IDENTITY_PER_MINUTE;
        assert_eq!(take(&meter, 1, most + 1), most);
        assert_eq!(take(&meter, 2, most), most);
        let refused = meter.admit(&identity(1), SMALL, START).unwrap_err();
        assert!(
            matches!(refused, TooManyRecords::OfIdentity { until, .. } if until == START + COUNT_WINDOW)
        );
        assert_eq!(
            meter.admit(&identity(1), SMALL, START + COUNT_WINDOW),
            Ok(())
        );
    }

    #[test]
    fn s05_records_are_bounded_in_all() {
        let meter = RecordMeter::new(RecordLimits::default());
        let each = MAX_RECORDS_PER_IDENTITY_PER_MINUTE;
        let many = usize::try_from(MAX_RECORDS_PER_MINUTE / each).unwrap();
        let taken: u32 = (0..=many).map(|number| take(&meter, number, each)).sum();
        assert_eq!(taken, MAX_RECORDS_PER_MINUTE);
        let refused = meter.admit(&identity(many + 1), SMALL, START).unwrap_err();
        assert!(matches!(refused, TooManyRecords::InAll { .. }));
        assert_eq!(
            meter.admit(&identity(0), SMALL, START + COUNT_WINDOW),
            Ok(())
        );
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

    #[test]
    fn s05_bytes_of_records_are_bounded_by_identity() {
        let meter = RecordMeter::new(RecordLimits::default());
        let a_minute = RecordLimits::bytes(MAX_RECORDS_PER_IDENTITY_PER_MINUTE);
        let admits = |who, bytes, at| meter.admit(&identity(who), bytes, at);
        assert_eq!(admits(1, a_minute - 1, START), Ok(()));
        // There is room for one more, however large; what is beyond counts in the next minutes.
        assert_eq!(admits(1, 2 * a_minute + 1, START), Ok(()));
        for minute in 0..3 {
            let refused = admits(1, 1, START + COUNT_WINDOW * minute);
            assert!(
                matches!(refused, Err(TooManyRecords::OfIdentity { .. })),
                "{minute}: {refused:?}"
            );
        }
        assert_eq!(admits(2, 1, START), Ok(()));
        assert_eq!(admits(1, 1, START + COUNT_WINDOW * 3), Ok(()));
    }

    #[test]
    fn s05_what_an_identity_owes_is_not_forgotten_with_its_window() {
        let meter = RecordMeter::new(RecordLimits::default());
        let a_minute = RecordLimits::bytes(MAX_RECORDS_PER_IDENTITY_PER_MINUTE);
        assert_eq!(meter.admit(&identity(1), 3 * a_minute, START), Ok(()));
        for minute in 1..3 {
            let now = START + COUNT_WINDOW * minute;
            // Windows that are over are looked through whenever somebody else is counted.
            assert_eq!(meter.admit(&identity(2), SMALL, now), Ok(()));
            assert!(meter.admit(&identity(1), SMALL, now).is_err());
        }
        let now = START + COUNT_WINDOW * 3;
        assert_eq!(meter.admit(&identity(1), SMALL, now), Ok(()));
        meter
            .admit(&identity(2), SMALL, now + COUNT_WINDOW)
            .unwrap();
        let mut counts = meter.counts.lock();
        counts.forget(now + COUNT_WINDOW * 2, a_minute);
        assert_eq!((counts.of.len(), counts.began.len()), (0, 0));
    }
}
