//! What an order's report is about besides the leases that the order itself stops: an order reaches every lease of its
//! scope that is older than it, whoever began to stop that lease.

use crate::charter::Name;
use crate::id::{KillId, LeaseId};
use crate::kill::{EngagedOrder, Tally};
use crate::lease::{Awaits, Lease};
use crate::scope::{RoleFilter, Scope};

use super::State;

impl State {
    /// The other orders that stop leases which are not known to be dead, and which this order may make dead as well: the sweep
    /// leaves those to that other order, and whoever asks after this one has to hear of them. Each with whether that is so of
    /// every lease of it.
    #[must_use]
    pub fn others_stopping(&self, engaged: &EngagedOrder) -> Vec<(KillId, bool)> {
        let others = self.leases.unfinished();
        let others = others.filter(|id| *id != engaged.order.id);
        others.map(|id| (id, self.is_within(id, engaged))).collect()
    }

    /// The first leases behind this one that another order stops, that are not known to be dead, and whether this order makes
    /// each dead as well.
    #[must_use]
    pub fn stopped_by_other(
        &self,
        (other, engaged): (KillId, &EngagedOrder),
        page: (Option<LeaseId>, usize),
    ) -> Vec<(&Lease, bool)> {
        let steps = [Awaits::Kill, Awaits::Bound];
        let leases = self.leases.killed_after(other, &steps, page).into_iter();
        let is_reached =
            |lease: &Lease| lease.intent < engaged.seq && engaged.order.reaches(&lease.facets());
        leases.map(|lease| (lease, is_reached(lease))).collect()
    }

    /// What an order stops that is not known to be dead, by target.
    pub fn open_tallies(&self, order: KillId) -> impl Iterator<Item = (&Name, Tally)> {
        self.tallies(order).map(|(target, tally)| {
            let open = Tally {
                requested: tally.requested,
                acknowledged: tally.acknowledged,
                ..Tally::default()
            };
            (target, open)
        })
    }

    /// Whether every lease that the order `id` stops is one that `engaged` makes dead too. A cut takes neighbours along
    /// that no scope names: then each has to be looked at.
    fn is_within(&self, id: KillId, engaged: &EngagedOrder) -> bool {
        let Some(other) = self.kills.get(id) else {
            return false;
        };
        let (inner, outer) = (&other.order, &engaged.order);
        let scope = outer.scope == Scope::All || outer.scope == inner.scope;
        let roles = outer.roles == RoleFilter::Both || outer.roles == inner.roles;
        let collateral = self.tallies(id).any(|(_, tally)| tally.collateral > 0);
        other.seq < engaged.seq && scope && roles && !collateral
    }
}
