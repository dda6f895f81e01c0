//! The results of a kill order at one target: counts, and how long things took. Counts outlive the
//! leases, so that a report on last week's order is complete.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::lease::Progress;

/// The leases of one order at one target, counted by their progress.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    /// Leases whose revocation the provider has not acknowledged.
    pub requested: u64,
    /// Leases whose revocation was acknowledged, and the provider's settle time has not passed.
    pub acknowledged: u64,
    /// Leases whose revocation was acknowledged, and the provider's settle time has passed.
    pub presumed: u64,
    /// Leases whose credential a check showed to be refused.
    pub proved: u64,
    /// Leases that ended by themselves.
    pub expired: u64,
    /// Leases that died along with another, among all of these.
    pub collateral: u64,
    /// Dead leases that have left the ledger.
    pub forgotten: u64,
    /// Time from the order to the provider's acknowledgement.
    pub taken_in: Spread,
    /// Time from the order until the lease was dead.
    pub dead_in: Spread,
}

impl Tally {
    /// The number of all leases.
    #[must_use]
    pub const fn all(&self) -> u64 {
        self.requested + self.acknowledged + self.dead()
    }

    /// The number of dead leases.
    #[must_use]
    pub const fn dead(&self) -> u64 {
        self.presumed + self.proved + self.expired
    }

    /// Adds the counts of another target.
    pub fn add(&mut self, other: &Self) {
        self.requested += other.requested;
        self.acknowledged += other.acknowledged;
        self.presumed += other.presumed;
        self.proved += other.proved;
        self.expired += other.expired;
        self.collateral += other.collateral;
        self.forgotten += other.forgotten;
        self.taken_in.add(&other.taken_in);
        self.dead_in.add(&other.dead_in);
    }

    /// The counter of leases with this progress.
    pub const fn count(&mut self, progress: Progress) -> &mut u64 {
        match progress {
            Progress::Fenced | Progress::Requested => &mut self.requested,
            Progress::Acknowledged(_) => &mut self.acknowledged,
            Progress::PresumedDead(_) => &mut self.presumed,
            Progress::ProvedDead(_) => &mut self.proved,
            Progress::Expired(_) => &mut self.expired,
        }
    }
}

/// A histogram of durations with a relative error of one sixteenth: exact enough for percentiles,
/// and of bounded size.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Spread(BTreeMap<u16, u64>);

/// The number of leading bits of a duration that its bucket keeps.
const KEPT_BITS: u32 = 4;

impl Spread {
    /// Adds one duration to the tally.
    pub fn take(&mut self, span: Duration) {
        let millis = u64::try_from(span.as_millis()).unwrap_or(u64::MAX);
        *self.0.entry(bucket(millis)).or_default() += 1;
    }

    /// The number of durations.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.0.values().sum()
    }

    /// True if there are no durations.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The duration that this percentage of the durations does not exceed, at most one sixteenth
    /// too high.
    #[must_use]
    pub fn percentile(&self, percent: u64) -> Option<Duration> {
        let rank = (self.len() * percent.min(100)).div_ceil(100).max(1);
        let mut seen = 0;
        let found = self.0.iter().find(|(_, count)| {
            seen += **count;
            seen >= rank
        });
        found.map(|(bucket, _)| Duration::from_millis(most(*bucket)))
    }

    fn add(&mut self, other: &Self) {
        for (bucket, count) in &other.0 {
            *self.0.entry(*bucket).or_default() += count;
        }
    }
}

/// The bucket of a duration: its exponent and leading bits; small durations have a bucket each.
fn bucket(millis: u64) -> u16 {
    let exponent = 63 - (millis | 1).leading_zeros();
    if exponent < KEPT_BITS {
        return u16::try_from(millis).unwrap_or_default();
    }
    let bits = (millis >> (exponent - KEPT_BITS)) & ((1 << KEPT_BITS) - 1);
    let place = (u64::from(exponent - KEPT_BITS + 1) << KEPT_BITS) | bits;
    u16::try_from(place).unwrap_or(u16::MAX)
}

/// The longest duration of a bucket, in milliseconds.
fn most(bucket: u16) -> u64 {
    let (place, bits) = (
        u32::from(bucket) >> KEPT_BITS,
        u64::from(bucket) & ((1 << KEPT_BITS) - 1),
    );
    match place.checked_sub(1) {
        None => bits,
        Some(shift) => ((((1 << KEPT_BITS) | bits) + 1) << shift.min(58)) - 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentile_is_never_less_than_what_was_taken_and_a_sixteenth_more_at_most() {
        for millis in (0..100_000).chain([u64::from(u32::MAX), 1 << 50]) {
            let mut spread = Spread::default();
            spread.take(Duration::from_millis(millis));
            let found = spread.percentile(50).unwrap().as_millis() as u64;
            assert!(
                found >= millis && found <= millis + millis / 16,
                "{millis}: {found}"
            );
        }
    }

    #[test]
    fn percentiles_are_of_all_that_was_taken() {
        let mut spread = Spread::default();
        assert_eq!(spread.percentile(50), None);
        for millis in [1, 2, 3, 4, 5, 6, 7, 8, 9, 15] {
            spread.take(Duration::from_millis(millis));
        }
        let at = |percent| spread.percentile(percent).unwrap().as_millis();
        assert_eq!((at(0), at(50), at(90), at(99)), (1, 5, 9, 15));
    }
}
