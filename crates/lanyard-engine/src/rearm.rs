//! Lifting a kill order: two people, a step at a time, plan before apply.

use std::sync::Arc;

use lanyard_core::charter::{Charter, Name, Role};
use lanyard_core::command::Command;
use lanyard_core::id::{KillId, RearmId, TaskId};
use lanyard_core::kill::{Actor, EngagedOrder, KillOrder, RearmProposal, RearmStage};
use lanyard_core::ledger::CommitError;
use lanyard_core::person::Person;
use lanyard_core::scope::Scope;
use lanyard_core::state::{Refusal, State};

use crate::engine::Engine;

/// What is proposed.
#[derive(Debug, Clone)]
pub struct RearmStep {
    /// Which order.
    pub kill: KillId,
    /// Which step.
    pub stage: RearmStage,
    /// Why.
    pub reason: String,
    /// Whether it is meant even while revocations of the order are not confirmed.
    pub despite_unconfirmed: bool,
}

impl Engine {
    /// Proposes to lift an order by a step.
    ///
    /// # Errors
    /// As of the ledger.
    pub async fn propose_rearm(
        &self,
        step: RearmStep,
        by: &Person,
    ) -> Result<RearmProposal, CommitError> {
        let id = RearmId::from_bits(
            self.draw()
                .map_err(|error| CommitError::Unavailable(error.to_string()))?,
        );
        let proposal = RearmProposal {
            id,
            kill: step.kill,
            stage: step.stage,
            by: by.clone(),
            reason: step.reason,
            at: self.now(),
            despite_unconfirmed: step.despite_unconfirmed,
            epoch: self.query(|state| state.kills().epoch()).await?,
            soak: u32::try_from(self.parts.rearm_soak.as_secs()).unwrap_or(u32::MAX),
        };
        self.commit(Command::ProposeRearm(proposal.clone())).await?;
        Ok(proposal)
    }

    /// Confirms one, as another person. Refused while a lease of the order is not confirmed dead, unless the proposal
    /// knows of that and the second person says in `despite` why it is right all the same.
    ///
    /// # Errors
    /// As of the ledger.
    pub async fn confirm_rearm(
        &self,
        rearm: RearmId,
        by: &Person,
        despite: Option<String>,
    ) -> Result<EngagedOrder, CommitError> {
        let proposal = self.query(|state| state.rearm(rearm).cloned()).await?;
        let unknown = || CommitError::Refused(Refusal::Unknown(format!("re-arm {rearm}")));
        let proposal = proposal.ok_or_else(unknown)?;
        let kill = proposal.kill;
        let report = self.kill_report(kill).await?;
        let open = report.is_some_and(|report| !report.is_confirmed());
        if open && !(proposal.despite_unconfirmed && despite.is_some()) {
            return Err(CommitError::Refused(Refusal::Rearm(
                "a lease of this order is neither proved nor presumed dead yet: wait, or let both people say \
                 that they re-arm despite that, and why",
            )));
        }
        self.looked_through(kill).await?;
        self.commit(Command::ConfirmRearm {
            rearm,
            kill,
            by: by.clone(),
            despite: despite.filter(|_| open),
        })
        .await?;
        self.query(|state| state.kills().get(kill).cloned())
            .await?
            .ok_or_else(unknown)
    }

    /// What the broker stopped by itself, after a restore, is not lifted before every target was looked through.
    async fn looked_through(&self, kill: KillId) -> Result<(), CommitError> {
        let of_broker = |state: &State| {
            let engaged = state.kills().get(kill);
            engaged.is_some_and(|engaged| engaged.order.by == Actor::Broker)
        };
        let unseen = self.lanes.values().any(|lane| lane.unseen().is_some());
        if unseen && self.query(of_broker).await? {
            return Err(CommitError::Refused(Refusal::Rearm(
                "the broker stopped everything because its journal has lost something, and a target has not been \
                 looked through for what was lost",
            )));
        }
        Ok(())
    }
}

/// A proposal as the second person sees it.
#[derive(Debug, Clone)]
pub struct ProposedRearm {
    /// What was proposed, by whom.
    pub proposal: RearmProposal,
    /// The order.
    pub engaged: EngagedOrder,
    /// Why nobody can confirm the proposal now, where that is so.
    pub void: Option<String>,
    /// What is issued again, one line for each charter.
    pub opens: Vec<String>,
    /// The other orders that go on stopping some of it.
    pub still_stopped_by: Vec<KillId>,
    /// Leases of the order that are not known to be dead.
    pub open_leases: u64,
}

/// So many charters are named that a re-arm lets go.
const CHARTERS_NAMED: usize = 20;
/// So many orders are named that go on stopping some of it.
const ORDERS_NAMED: usize = 10;

impl Engine {
    /// The proposals that are remembered, the newest first; those of one order, or one of them, where an id is given.
    ///
    /// # Errors
    /// When the ledger cannot say.
    pub async fn rearms(
        &self,
        of: Option<(KillId, RearmId)>,
    ) -> Result<Vec<ProposedRearm>, CommitError> {
        let now = self.now();
        let is_asked = |proposal: &RearmProposal| {
            of.is_none_or(|(kill, rearm)| proposal.kill == kill || proposal.id == rearm)
        };
        let found = self.query(|state| {
            let proposals = state.rearms().into_iter().rev();
            let proposals = proposals.filter(|proposal| is_asked(proposal));
            let each = proposals.filter_map(|proposal| {
                let engaged = state.kills().get(proposal.kill)?;
                let still = state.overlapping(&engaged.order).take(ORDERS_NAMED);
                Some(ProposedRearm {
                    void: state
                        .is_good(proposal, now)
                        .err()
                        .map(|why| why.to_string()),
                    still_stopped_by: still.map(|other| other.order.id).collect(),
                    proposal: proposal.clone(),
                    engaged: engaged.clone(),
                    opens: Vec::new(),
                    open_leases: 0,
                })
            });
            each.collect::<Vec<_>>()
        });
        let mut found = found.await?;
        for proposed in &mut found {
            proposed.opens = self.opens(&proposed.engaged.order, proposed.proposal.stage);
            if let Some(report) = self.kill_report(proposed.proposal.kill).await? {
                let open = report.total.requested + report.total.acknowledged;
                proposed.open_leases = open + report.unswept as u64;
            }
        }
        Ok(found)
    }

    /// What a step of a re-arm lets be issued again, by the charters in force.
    fn opens(&self, order: &KillOrder, stage: RearmStage) -> Vec<String> {
        let role = match stage {
            RearmStage::Plan => Role::Plan,
            RearmStage::Apply => Role::Apply,
        };
        if !order.roles.reaches(role) {
            return vec![format!("nothing: the order does not stop the {role} role")];
        }
        match &order.scope {
            Scope::Lease(id) => return vec![format!("nothing: lease {id} stays dead")],
            Scope::Task(id) if self.charter_of(*id).is_none() => {
                return vec![format!("nothing: task {id} is gone")];
            }
            Scope::All
            | Scope::Environment(_)
            | Scope::Target(_)
            | Scope::Charter(_)
            | Scope::Agent(_)
            | Scope::Task(_) => {}
        }
        let mut opens = Vec::new();
        for charter in self.charters_within(order) {
            let grants = charter.grants.values().filter(|grant| {
                let is_there = match &order.scope {
                    Scope::Target(name) => grant.target == *name,
                    Scope::Environment(name) => {
                        grant.environments.is_empty() || grant.environments.contains(name)
                    }
                    Scope::All
                    | Scope::Charter(_)
                    | Scope::Agent(_)
                    | Scope::Task(_)
                    | Scope::Lease(_) => true,
                };
                grant.role == role && is_there
            });
            let grants: Vec<&str> = grants.map(|grant| grant.name.as_str()).collect();
            if !grants.is_empty() {
                opens.push(format!("charter {}: {}", charter.name, grants.join(", ")));
            }
        }
        let more = opens.len().saturating_sub(CHARTERS_NAMED);
        opens.truncate(CHARTERS_NAMED);
        if more > 0 {
            opens.push(format!("and {more} more charters"));
        }
        if opens.is_empty() {
            opens.push(format!(
                "nothing now: no charter in force has a grant of the {role} role there"
            ));
        }
        opens
    }

    /// The charter of a task that is not forgotten.
    fn charter_of(&self, task: TaskId) -> Option<Name> {
        let charter = |state: &State| Some(state.task(task)?.task.charter.clone());
        self.peek(charter).flatten()
    }

    /// The charters in force under which an order can stop something.
    fn charters_within(&self, order: &KillOrder) -> Vec<Arc<Charter>> {
        let mut named = self.identities_named(order);
        let mut of_task = None;
        match &order.scope {
            Scope::Agent(name) => named.extend(name.identity()),
            Scope::Task(id) => of_task = self.charter_of(*id),
            Scope::All
            | Scope::Environment(_)
            | Scope::Target(_)
            | Scope::Charter(_)
            | Scope::Lease(_) => {}
        }
        let mut charters = self.charters().all();
        charters.retain(|charter| match &order.scope {
            Scope::All | Scope::Target(_) => true,
            Scope::Environment(name) => charter.environments.contains_key(name),
            Scope::Charter(name) => charter.name == *name,
            Scope::Agent(_) => {
                let mut rules = charter.agents.iter();
                rules.any(|rule| named.iter().any(|identity| rule.names(identity)))
            }
            Scope::Task(_) => of_task.as_ref() == Some(&charter.name),
            Scope::Lease(_) => false,
        });
        charters
    }

    /// The charters in force that an order is about in particular: none where the order is over a place that many share.
    #[must_use]
    pub fn charters_of(&self, order: &KillOrder) -> Vec<Arc<Charter>> {
        match &order.scope {
            Scope::Charter(_) | Scope::Agent(_) | Scope::Task(_) => self.charters_within(order),
            Scope::All | Scope::Environment(_) | Scope::Target(_) | Scope::Lease(_) => Vec::new(),
        }
    }
}
