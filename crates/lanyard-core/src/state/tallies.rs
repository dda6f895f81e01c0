//! The results of kill orders, counted as they happen, so that a report on a million leases costs
//! no more than one on ten.

use lanyard_vocabulary::id::{KillId, LeaseId};
use lanyard_vocabulary::name::Name;
use lanyard_vocabulary::time::Timestamp;

use super::State;
use crate::kill::Tally;
use crate::lease::{Lease, Progress, Stage, StopCause};

impl State {
    /// The counts of a kill order, by target.
    pub fn tallies(&self, order: KillId) -> impl Iterator<Item = (&Name, &Tally)> {
        self.tallies.get(&order).into_iter().flatten()
    }

    /// Counts a lease under the kill order that has just become the cause of its end.
    pub(super) fn tally(&mut self, id: LeaseId) {
        let Some((lease, cause, progress)) = self.leases.get(id).and_then(stopping) else {
            return;
        };
        let Some(engaged) = cause.kill().and_then(|order| self.kills.get(order)) else {
            return;
        };
        let by_target = self.tallies.entry(engaged.order.id).or_default();
        let tally = by_target.entry(lease.entry.target.clone()).or_default();
        *tally.count(progress) += 1;
        tally.collateral += u64::from(matches!(cause, StopCause::Collateral(_)));
        // What was revoked before the order, for another cause, took no time after it.
        if let Some(taken) = lease.taken {
            tally.taken_in.take(taken.since(engaged.order.at));
        }
        if let Some(dead) = progress.dead_at() {
            tally.dead_in.take(dead.since(engaged.order.at));
        }
    }

    pub(super) fn advance(&mut self, id: LeaseId, further: Progress, at: Timestamp) {
        let Some((lease, cause, before)) = self.leases.get(id).and_then(stopping) else {
            return;
        };
        if !further.is_beyond(before) {
            return;
        }
        let newly_taken = lease.taken.is_none() && further.is_taken();
        let target = lease.entry.target.clone();
        self.leases.update(id, |lease| {
            if let Stage::Stopping { progress, .. } = &mut lease.stage {
                *progress = further;
            }
            if newly_taken {
                lease.taken = Some(at);
            }
        });
        let engaged = cause.kill().and_then(|order| self.kills.get(order));
        let Some((order, given)) = engaged.map(|it| (it.order.id, it.order.at)) else {
            return;
        };
        let by_target = self.tallies.get_mut(&order);
        let Some(tally) = by_target.and_then(|by_target| by_target.get_mut(&target)) else {
            return;
        };
        let counted = tally.count(before);
        *counted = counted.saturating_sub(1);
        *tally.count(further) += 1;
        if newly_taken {
            tally.taken_in.take(at.since(given));
        }
        if further.is_confirmed() && !before.is_confirmed() {
            tally.dead_in.take(at.since(given));
        }
    }

    /// Counts a lease that leaves the ledger.
    pub(super) fn tally_forgotten(&mut self, id: LeaseId) {
        let Some(lease) = self.leases.get(id) else {
            return;
        };
        let by_target = lease.killed_by().and_then(|it| self.tallies.get_mut(&it));
        if let Some(tally) = by_target.and_then(|it| it.get_mut(&lease.entry.target)) {
            tally.forgotten += 1;
        }
    }
}

fn stopping(lease: &Lease) -> Option<(&Lease, StopCause, Progress)> {
    match lease.stage {
        Stage::Stopping { cause, progress } => Some((lease, cause, progress)),
        Stage::Intent | Stage::Issued { .. } => None,
    }
}
