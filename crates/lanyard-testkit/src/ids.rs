//! Ids that are the same in every run with the same seed.

use std::sync::atomic::{AtomicU64, Ordering};

use lanyard_vocabulary::id::{ApprovalId, DecisionId, KillId, LeaseId, PlanId, RearmId, TaskId};

/// A source of unique ids.
#[derive(Debug)]
pub struct Ids(AtomicU64);

impl Ids {
    /// Makes the source of a seed.
    #[must_use]
    pub const fn seeded(seed: u64) -> Self {
        Self(AtomicU64::new(seed))
    }

    /// Returns 128 pseudo-random bits.
    pub fn bits(&self) -> u128 {
        (u128::from(self.word()) << 64) | u128::from(self.word())
    }

    /// Returns 64 pseudo-random bits: SplitMix64, whose state is a counter.
    pub fn word(&self) -> u64 {
        const STEP: u64 = 0x9e37_79b9_7f4a_7c15;
        let state = self.0.fetch_add(STEP, Ordering::Relaxed).wrapping_add(STEP);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Returns a new lease id.
    pub fn lease(&self) -> LeaseId {
        LeaseId::from_bits(self.bits())
    }

    /// Returns a new task id.
    pub fn task(&self) -> TaskId {
        TaskId::from_bits(self.bits())
    }

    /// Returns a new plan id.
    pub fn plan(&self) -> PlanId {
        PlanId::from_bits(self.bits())
    }

    /// Returns a new approval id.
    pub fn approval(&self) -> ApprovalId {
        ApprovalId::from_bits(self.bits())
    }

    /// Returns a new kill order id.
    pub fn kill(&self) -> KillId {
        KillId::from_bits(self.bits())
    }

    /// Returns a new re-arm id.
    pub fn rearm(&self) -> RearmId {
        RearmId::from_bits(self.bits())
    }

    /// Returns a new decision id.
    pub fn decision(&self) -> DecisionId {
        DecisionId::from_bits(self.bits())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn one_seed_gives_one_sequence_without_repeats() {
        let (one, other) = (Ids::seeded(7), Ids::seeded(7));
        let drawn: BTreeSet<LeaseId> = (0..1000)
            .map(|_| {
                let id = one.lease();
                assert_eq!(id, other.lease());
                id
            })
            .collect();
        assert_eq!(drawn.len(), 1000);
        assert_ne!(Ids::seeded(8).lease(), Ids::seeded(7).lease());
    }
}
