//! The leases that a kill order's report covers besides those that the order itself stops: a kill
//! order covers every older lease in its scope, whatever began to stop the lease.

use lanyard_vocabulary::id::{KillId, LeaseId};
use lanyard_vocabulary::name::Name;
use lanyard_vocabulary::scope::{RoleFilter, Scope};

use super::State;
use crate::kill::{EngagedOrder, Tally};
use crate::lease::{Awaits, Lease};

impl State {
    /// The other kill orders that stop leases which this order covers too and which are not known
    /// to be dead. The sweep leaves those leases to the other order, so the report has to name that
    /// order. The flag is true if this order covers every lease of the other one.
    #[must_use]
    pub fn others_stopping(&self, engaged: &EngagedOrder) -> Vec<(KillId, bool)> {
        let others = self.leases.unfinished();
        let others = others.filter(|id| *id != engaged.order.id);
        others.map(|id| (id, self.is_within(id, engaged))).collect()
    }

    /// The first leases after this id that the other order stops and that are not known to be dead,
    /// each with whether this order covers it too.
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

    /// The counts of leases that the order stops and that are not known to be dead, by target.
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

    /// True if `engaged` covers every lease that the order `id` stops. A cut also kills leases
    /// outside of every scope; then each lease is compared.
    fn is_within(&self, id: KillId, engaged: &EngagedOrder) -> bool {
        let Some(other) = self.kills.get(id) else {
            return false;
        };
        let (inner, outer) = (&other.order, &engaged.order);
        // Of the same name, one order can mean more identities than another.
        let means_more = inner.as_typed && !outer.as_typed;
        let is_same = outer.scope == inner.scope
            && !means_more
            && inner.identities.is_subset(&outer.identities);
        let scope = outer.scope == Scope::All || is_same;
        let roles = outer.roles == RoleFilter::Both || outer.roles == inner.roles;
        let collateral = self.tallies(id).any(|(_, tally)| tally.collateral > 0);
        other.seq < engaged.seq && scope && roles && !collateral
    }
}
