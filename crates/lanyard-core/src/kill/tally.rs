//! What an order came to at one target: counts, and how long things took. It outlives the leases, so that a report
//! of last week's order is as whole as one of a minute ago.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::lease::Progress;

/// The leases of one order at one target, by how far they got.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    /// No provider has taken their revocation yet.
    pub requested: u64,
    /// The provider took it; its declared bound has not passed.
    pub acknowledged: u64,
    /// The provider took it, and its declared bound has passed.
    pub presumed: u64,
    /// A check showed that the credential is refused.
    pub proved: u64,
    /// Their time ran out.
    pub expired: u64,
    /// Of all of these, those that died for a neighbour.
    pub collateral: u64,
    /// Of the dead, those that have left the books: nothing of them could be live.
    pub forgotten: u64,
    /// From the order until the provider took the revocation.
    pub taken_in: Spread,
    /// From the order until they were dead as far as can be known.
    pub dead_in: Spread,
}

impl Tally {
    /// All of them.
    #[must_use]
    pub const fn all(&self) -> u64 {
        self.requested + self.acknowledged + self.dead()
    }

    /// Those that are dead as far as can be known.
    #[must_use]
    pub const fn dead(&self) -> u64 {
        self.presumed + self.proved + self.expired
    }

    /// Takes another target's in.
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

    /// The count of those that are so far.
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

/// How spans of time are spread, to a sixteenth of each: enough for a percentile, and of a bounded size.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Spread(BTreeMap<u16, u64>);

/// Bits of a span that are kept.
const KEPT: u32 = 4;

impl Spread {
    /// Takes one in.
    pub fn take(&mut self, span: Duration) {
        let millis = u64::try_from(span.as_millis()).unwrap_or(u64::MAX);
        *self.0.entry(bucket(millis)).or_default() += 1;
    }

    /// How many were taken in.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.0.values().sum()
    }

    /// Whether none was.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The span that this many percent did not exceed; a sixteenth more at most.
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

/// The exponent and the first bits after the highest; small spans as they are.
fn bucket(millis: u64) -> u16 {
    let exponent = 63 - (millis | 1).leading_zeros();
    if exponent < KEPT {
        return u16::try_from(millis).unwrap_or_default();
    }
    let bits = (millis >> (exponent - KEPT)) & ((1 << KEPT) - 1);
    let place = (u64::from(exponent - KEPT + 1) << KEPT) | bits;
    u16::try_from(place).unwrap_or(u16::MAX)
}

/// The longest span of a bucket, in milliseconds.
fn most(bucket: u16) -> u64 {
    let (place, bits) = (
        u32::from(bucket) >> KEPT,
        u64::from(bucket) & ((1 << KEPT) - 1),
    );
    match place.checked_sub(1) {
        None => bits,
        Some(shift) => ((((1 << KEPT) | bits) + 1) << shift.min(58)) - 1,
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
