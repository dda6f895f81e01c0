//! The rules of re-arming: two people, the plan role first, and no newer kill order that those
//! people would have to look at first.

use lanyard_vocabulary::id::{KillId, RearmId};
use lanyard_vocabulary::person::{Person, Sameness};
use lanyard_vocabulary::scope::Scope;
use lanyard_vocabulary::time::Timestamp;

use super::{Refusal, State};
use crate::kill::{
    Actor, EngagedOrder, KillOrder, Lifted, REARM_PROPOSAL_LIFE, RearmProposal, RearmStage,
};

impl State {
    pub(super) fn admit_step(
        &self,
        proposal: &RearmProposal,
        now: Timestamp,
    ) -> Result<(), Refusal> {
        let kill = proposal.kill;
        let engaged = self
            .kills
            .get(kill)
            .ok_or_else(|| Refusal::Unknown(format!("kill order {kill}")))?;
        match (engaged.lifted, proposal.stage) {
            (Lifted::Nothing, RearmStage::Plan) => Ok(()),
            (Lifted::Plan, RearmStage::Apply) => match proposal.soaks_until(engaged) {
                Some(until) if now < until => Err(Refusal::Soaking { until }),
                Some(_) | None => Ok(()),
            },
            (Lifted::Nothing, RearmStage::Apply) => Err(Refusal::Rearm(
                "the plan role has to be re-armed before the apply role",
            )),
            (Lifted::Plan, RearmStage::Plan) => {
                Err(Refusal::Rearm("the plan role is re-armed already"))
            }
            (Lifted::Everything, _) => Err(Refusal::Rearm("this kill order is lifted already")),
        }
    }

    /// Checks that one person may withdraw the order. The engine has checked that the order covers
    /// nothing known.
    pub(super) fn admit_order_withdrawal(&self, kill: KillId) -> Result<(), Refusal> {
        let engaged = self.kills.get(kill);
        let engaged = engaged.ok_or_else(|| Refusal::Unknown(format!("kill order {kill}")))?;
        if engaged.lifted == Lifted::Everything {
            return Err(Refusal::Rearm("this kill order is lifted already"));
        }
        if !engaged.order.reaches_nothing {
            return Err(Refusal::Rearm(
                "this kill order named something that was known when it was given: lifting it takes two people: `lanyard rearm K-… --reason …`",
            ));
        }
        if self.tallies(kill).any(|(_, tally)| tally.all() > 0) {
            return Err(Refusal::Rearm(
                "this kill order has stopped leases: lifting it takes two people: `lanyard rearm K-… --reason …`",
            ));
        }
        Ok(())
    }

    pub(super) fn admit_rearm(
        &self,
        rearm: RearmId,
        kill: KillId,
        by: &Person,
        now: Timestamp,
    ) -> Result<(), Refusal> {
        let proposal = self
            .rearms
            .get(&rearm)
            .ok_or_else(|| Refusal::Unknown(format!("re-arm {rearm}")))?;
        if proposal.kill != kill {
            return Err(Refusal::Rearm(
                "this re-arm was proposed for another kill order",
            ));
        }
        match proposal.by.sameness(by) {
            Sameness::Distinct => {}
            Sameness::Same => return Err(Refusal::Rearm("a re-arm needs a second person")),
            Sameness::Unknown => {
                return Err(Refusal::Rearm(
                    "a re-arm needs a second person, and nothing says that you and whoever proposed it are two: the \
                     configuration has to give both issuers a `directory`, and the tokens of both have to carry the \
                     `person_claim` of it",
                ));
            }
        }
        self.is_good(proposal, now)
    }

    /// Checks whether any other person could confirm this proposal now.
    ///
    /// # Errors
    /// Why nobody can.
    pub fn is_good(&self, proposal: &RearmProposal, now: Timestamp) -> Result<(), Refusal> {
        if let Some(engaged) = self.voiding(proposal) {
            return Err(Refusal::RearmVoid(engaged.order.id));
        }
        if now > proposal.at + REARM_PROPOSAL_LIFE {
            return Err(Refusal::Rearm(
                "this re-arm was proposed too long ago: propose it again",
            ));
        }
        self.admit_step(proposal, now)
    }

    /// Every remembered proposal, newest last.
    #[must_use]
    pub fn rearms(&self) -> Vec<&RearmProposal> {
        let mut all: Vec<_> = self.rearms.values().collect();
        all.sort_by_key(|proposal| (proposal.at, proposal.id));
        all
    }

    /// The other kill orders that stop part of what this one stops, newest first.
    pub fn overlapping<'a>(
        &'a self,
        order: &'a KillOrder,
    ) -> impl Iterator<Item = &'a EngagedOrder> {
        let engaged = self.kills.before(None);
        engaged.filter(move |other| {
            let is_other = other.is_engaged() && other.order.id != order.id;
            is_other && self.may_overlap(&other.order, order)
        })
    }

    /// The newest kill order after the proposal that its people have to look at first.
    fn voiding(&self, proposal: &RearmProposal) -> Option<&EngagedOrder> {
        let rearmed = &self.kills.get(proposal.kill)?.order;
        let mut newer = self.kills.after(proposal.epoch).rev();
        newer.find(|engaged| self.voids(engaged, rearmed))
    }

    /// True if the order concerns what a re-arm of the other would release. An order that an agent
    /// can cause by itself, and whose scope is of a narrower kind, voids nothing: otherwise an
    /// agent could hold up every re-arm.
    fn voids(&self, engaged: &EngagedOrder, rearmed: &KillOrder) -> bool {
        let order = &engaged.order;
        let of_agent = matches!(order.by, Actor::Breaker { .. } | Actor::Agent(_));
        if order.is_drill() || (of_agent && reaches_less(&order.scope, &rearmed.scope)) {
            return false;
        }
        self.may_overlap(order, rearmed)
    }

    /// True if one lease could be in both scopes.
    fn may_overlap(&self, one: &KillOrder, other: &KillOrder) -> bool {
        let lease = |id, order: &KillOrder| {
            let lease = self.leases.get(id);
            lease.is_some_and(|lease| order.reaches(&lease.facets()))
        };
        let task = |id, order: &KillOrder| {
            let entry = self.tasks.get(id);
            entry.is_some_and(|entry| order.covers_task(&entry.task))
        };
        match (&one.scope, &other.scope) {
            (Scope::All, _) | (_, Scope::All) => true,
            (Scope::Lease(first), Scope::Lease(second)) => first == second,
            (Scope::Lease(id), _) => lease(*id, other),
            (_, Scope::Lease(id)) => lease(*id, one),
            // A task can reach any target.
            (Scope::Task(_), Scope::Target(_)) | (Scope::Target(_), Scope::Task(_)) => true,
            (Scope::Task(first), Scope::Task(second)) => {
                first == second || task(*first, other) || task(*second, one)
            }
            (Scope::Task(id), _) => task(*id, other),
            (_, Scope::Task(id)) => task(*id, one),
            (Scope::Environment(first), Scope::Environment(second))
            | (Scope::Target(first), Scope::Target(second))
            | (Scope::Charter(first), Scope::Charter(second)) => first == second,
            (Scope::Agent(first), Scope::Agent(second)) => {
                one.shares_an_agent(first, (other, second))
            }
            (
                Scope::Environment(_) | Scope::Target(_) | Scope::Charter(_) | Scope::Agent(_),
                Scope::Environment(_) | Scope::Target(_) | Scope::Charter(_) | Scope::Agent(_),
            ) => true,
        }
    }
}

/// True if the first scope is of a narrower kind than the second.
fn reaches_less(one: &Scope, other: &Scope) -> bool {
    breadth(one) < breadth(other)
}

const fn breadth(scope: &Scope) -> u8 {
    match scope {
        Scope::All => 4,
        Scope::Environment(_) | Scope::Target(_) | Scope::Charter(_) => 3,
        Scope::Agent(_) => 2,
        Scope::Task(_) => 1,
        Scope::Lease(_) => 0,
    }
}
