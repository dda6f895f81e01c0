//! Changes of a charter's limits.

use super::{Bound, Changes, Effect, Fewer};
use crate::charter::{Charter, Limits, RequestLimits};

impl Changes {
    pub(super) fn limits(&mut self, old: &Charter, new: &Charter) {
        let (old, new) = (&old.limits, &new.limits);
        self.more("limits: task", (old.task, new.task), None);
        self.more(
            "limits: live leases",
            (old.live_leases, new.live_leases),
            None,
        );
        let most = |of: &Limits| of.budget.map_or(u32::MAX, |budget| budget.mints);
        let what = "limits: credentials of one task";
        self.more(what, (most(old), most(new)), None);
        let most = |of: &Limits| of.budget.map_or(u32::MAX, |budget| budget.time.as_secs());
        let what = "limits: seconds of credentials of one task";
        self.more(what, (most(old), most(new)), None);
        let (one, two) = (old.requests, new.requests);
        let what = "limits: open requests for approval";
        self.more(what, (one.open, two.open), None);
        let what = "limits: seconds of quiet after a denied approval";
        let seconds = |of: RequestLimits| Fewer(of.cooldown.as_secs());
        self.more(what, (seconds(one), seconds(two)), None);
        for (rate, now) in old.mints.iter().zip(new.mints.iter()) {
            let what = format!(
                "limits: mints: {} per {}, now {} per {}",
                rate.count, rate.per, now.count, now.per
            );
            if now.count > rate.count || now.per < rate.per {
                self.add(Effect::Widening, what.clone(), None);
            }
            if now.count < rate.count || now.per > rate.per {
                self.add(Effect::Narrowing, what, None);
            }
        }
        let bound = |bound: Option<lanyard_vocabulary::time::Ttl>| Bound(bound);
        let bounds = (bound(old.revocable_within), bound(new.revocable_within));
        self.more("limits: revocable within", bounds, None);
    }
}
