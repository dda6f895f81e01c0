//! What an order's report is about besides the leases that the order itself stops: an order reaches every lease of its
//! scope that is older than it, whoever began to stop that lease.

use std::collections::BTreeMap;

use crate::charter::Name;
use crate::id::KillId;
use crate::kill::{EngagedOrder, Tally};
use crate::lease::{Awaits, Lease, Stage};
use crate::scope::{RoleFilter, Scope};

use super::State;

impl State {
    /// The leases that an order makes dead, that another order stops, and that are not known to be dead: the sweep
    /// leaves them to that other order, and whoever asks after this one has to hear of them.
    pub fn stopped_by_others<'a>(
        &'a self,
        engaged: &'a EngagedOrder,
    ) -> impl Iterator<Item = &'a Lease> {
        let others = self.leases.unfinished();
        let others = others.filter(move |id| *id != engaged.order.id);
        others
            .flat_map(move |id| {
                let steps = [Awaits::Kill, Awaits::Bound].into_iter();
                steps.flat_map(move |what| self.leases.killed(id, what))
            })
            .filter(move |lease| {
                lease.intent < engaged.seq && engaged.order.reaches(&lease.facets())
            })
    }

    /// The same, counted by target. An order of the same reach is taken as a whole: a kill that is pressed twice over a
    /// million leases costs a report no more than over ten.
    #[must_use]
    pub fn count_stopped_by_others(&self, engaged: &EngagedOrder) -> BTreeMap<Name, Tally> {
        let mut counted: BTreeMap<Name, Tally> = BTreeMap::new();
        for id in self.leases.unfinished() {
            if id == engaged.order.id {
                continue;
            }
            if self.is_within(id, engaged) {
                for (target, tally) in self.tallies(id) {
                    let open = Tally {
                        requested: tally.requested,
                        acknowledged: tally.acknowledged,
                        ..Tally::default()
                    };
                    counted.entry(target.clone()).or_default().add(&open);
                }
                continue;
            }
            let steps = [Awaits::Kill, Awaits::Bound].into_iter();
            let leases = steps.flat_map(|what| self.leases.killed(id, what));
            for lease in leases {
                let covered = lease.intent < engaged.seq && engaged.order.reaches(&lease.facets());
                if let (true, Stage::Stopping { progress, .. }) = (covered, lease.stage) {
                    let tally = counted.entry(lease.entry.target.clone()).or_default();
                    *tally.count(progress) += 1;
                }
            }
        }
        counted.retain(|_, tally| tally.all() > 0);
        counted
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
