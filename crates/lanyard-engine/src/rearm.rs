//! Re-arms: two people lift a kill order, a step at a time, plan before apply.

use std::sync::Arc;
use std::time::Duration;

use lanyard_charter::Charter;
use lanyard_core::command::Command;
use lanyard_core::kill::{Actor, EngagedOrder, KillOrder, RearmProposal, RearmStage};
use lanyard_core::ledger::CommitError;
use lanyard_core::state::{Refusal, State};
use lanyard_vocabulary::id::{KillId, RearmId, TaskId};
use lanyard_vocabulary::name::Name;
use lanyard_vocabulary::person::Person;
use lanyard_vocabulary::role::Role;
use lanyard_vocabulary::scope::Scope;

use crate::context::Context;
use crate::kill::Kills;
use crate::opens::{Holds, opens};
use crate::reach::Scopes;

/// A re-arm as a person proposes it.
#[derive(Debug, Clone)]
pub struct RearmStep {
    /// The order to lift.
    pub kill: KillId,
    /// The step of the re-arm.
    pub stage: RearmStage,
    /// The reason, for people.
    pub reason: String,
    /// True if it is meant even while revocations of the order are not confirmed.
    pub despite_unconfirmed: bool,
}

/// Lifts kill orders by proposals of one person that another one confirms.
pub struct Rearms {
    pub(crate) context: Arc<Context>,
    pub(crate) scopes: Arc<Scopes>,
    pub(crate) kills: Arc<Kills>,
    /// The time for which the plan role has to have been issued again before a re-arm of the apply
    /// role.
    pub(crate) soak: Duration,
}

impl Rearms {
    /// Proposes to lift an order by a step.
    ///
    /// # Errors
    /// As of the ledger.
    pub async fn propose(
        &self,
        step: RearmStep,
        by: &Person,
    ) -> Result<RearmProposal, CommitError> {
        let id = RearmId::from_bits(
            self.context
                .draw()
                .map_err(|error| CommitError::Unavailable(error.to_string()))?,
        );
        let proposal = RearmProposal {
            id,
            kill: step.kill,
            stage: step.stage,
            by: by.clone(),
            reason: step.reason,
            at: self.context.now(),
            despite_unconfirmed: step.despite_unconfirmed,
            epoch: self.context.query(|state| state.kills().epoch()).await?,
            soak: u32::try_from(self.soak.as_secs()).unwrap_or(u32::MAX),
        };
        self.context
            .commit(Command::ProposeRearm(proposal.clone()))
            .await?;
        Ok(proposal)
    }

    /// Confirms one, as another person. Refused while a lease of the order is not confirmed dead,
    /// unless the proposal knows of that and the second person says in `despite` why it is right
    /// all the same.
    ///
    /// # Errors
    /// As of the ledger.
    pub async fn confirm(
        &self,
        rearm: RearmId,
        by: &Person,
        despite: Option<String>,
    ) -> Result<EngagedOrder, CommitError> {
        let proposal = self
            .context
            .query(|state| state.rearm(rearm).cloned())
            .await?;
        let unknown = || CommitError::Refused(Refusal::Unknown(format!("re-arm {rearm}")));
        let proposal = proposal.ok_or_else(unknown)?;
        let kill = proposal.kill;
        let report = self.kills.report(kill).await;
        let open = report.is_some_and(|report| !report.is_confirmed());
        if open && !(proposal.despite_unconfirmed && despite.is_some()) {
            return Err(CommitError::Refused(Refusal::Rearm(
                "a lease of this order is neither proved nor presumed dead yet: wait, or let both people say \
                 that they re-arm despite that, and why",
            )));
        }
        self.looked_through(kill).await?;
        self.context
            .commit(Command::ConfirmRearm {
                rearm,
                kill,
                by: by.clone(),
                despite: despite.filter(|_| open),
            })
            .await?;
        self.context
            .query(|state| state.kills().get(kill).cloned())
            .await?
            .ok_or_else(unknown)
    }

    /// Lifts an order that reaches nothing, on the word of one person.
    ///
    /// # Errors
    /// The order reaches something, or is lifted; else as of the ledger.
    pub async fn withdraw_kill(
        &self,
        kill: KillId,
        by: &Person,
        reason: String,
    ) -> Result<EngagedOrder, CommitError> {
        let unknown = || CommitError::Refused(Refusal::Unknown(format!("kill order {kill}")));
        let engaged = self
            .context
            .query(|state| state.kills().get(kill).cloned())
            .await?;
        let order = engaged.ok_or_else(unknown)?.order;
        let scopes = Arc::clone(&self.scopes);
        // Every lease is looked at, on another thread.
        let looked = tokio::task::spawn_blocking(move || {
            scopes.blast_radius(&order.scope, order.roles, Some(order.id))
        });
        let reaches_nothing = looked.await.is_ok_and(|radius| radius.is_nothing());
        if !reaches_nothing {
            return Err(CommitError::Refused(Refusal::Rearm(
                "this kill order reaches something that is known: lifting it takes two people: `lanyard rearm K-… --reason …`",
            )));
        }
        let by = by.clone();
        self.context
            .commit(Command::WithdrawKill { kill, by, reason })
            .await?;
        let lifted = self
            .context
            .query(|state| state.kills().get(kill).cloned())
            .await?;
        lifted.ok_or_else(unknown)
    }

    /// Refuses to lift what the broker stopped by itself after a restore until every target was
    /// looked through.
    async fn looked_through(&self, kill: KillId) -> Result<(), CommitError> {
        let of_broker = |state: &State| {
            let engaged = state.kills().get(kill);
            engaged.is_some_and(|engaged| engaged.order.by == Actor::Broker)
        };
        let unseen = self
            .context
            .targets
            .lanes
            .values()
            .any(|lane| lane.unseen().is_some());
        if unseen && self.context.query(of_broker).await? {
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
    /// The proposal, with who made it.
    pub proposal: RearmProposal,
    /// The order that it lifts.
    pub engaged: EngagedOrder,
    /// The reason why nobody can confirm the proposal now, where that is so.
    pub void: Option<String>,
    /// The grants that are issued again, one line for each charter.
    pub opens: Vec<String>,
    /// The other orders that go on stopping some of it.
    pub still_stopped_by: Vec<KillId>,
    /// Leases of the order that are not known to be dead.
    pub open_leases: u64,
}

/// So many orders are named that go on stopping some of it.
const ORDERS_NAMED: usize = 10;
/// So many orders are looked at for those that are named: an order that reaches nothing is not.
const ORDERS_LOOKED_AT: usize = 100;

const fn role_of(stage: RearmStage) -> Role {
    match stage {
        RearmStage::Plan => Role::Plan,
        RearmStage::Apply => Role::Apply,
    }
}

impl Rearms {
    /// The proposals that are remembered, the newest first; those of one order, or one of them,
    /// where an id is given.
    ///
    /// # Errors
    /// When the ledger cannot say.
    pub async fn list(
        &self,
        of: Option<(KillId, RearmId)>,
    ) -> Result<Vec<ProposedRearm>, CommitError> {
        let now = self.context.now();
        let is_asked = |proposal: &RearmProposal| {
            of.is_none_or(|(kill, rearm)| proposal.kill == kill || proposal.id == rearm)
        };
        let found = self.context.query(|state| {
            let proposals = state.rearms().into_iter().rev();
            let proposals = proposals.filter(|proposal| is_asked(proposal));
            let each = proposals.filter_map(|proposal| {
                let engaged = state.kills().get(proposal.kill)?;
                let role = role_of(proposal.stage);
                let still = state.overlapping(&engaged.order);
                let still =
                    still.filter(|other| other.stops(role) && other.order.roles.reaches(role));
                let still = still.take(ORDERS_LOOKED_AT);
                let still: Vec<_> = still.map(|other| other.order.clone()).collect();
                let holds = Holds::of(state, (&engaged.order, role), now);
                let proposed = ProposedRearm {
                    void: state
                        .is_good(proposal, now)
                        .err()
                        .map(|why| why.to_string()),
                    still_stopped_by: Vec::new(),
                    proposal: proposal.clone(),
                    engaged: engaged.clone(),
                    opens: Vec::new(),
                    open_leases: 0,
                };
                Some((proposed, still, holds))
            });
            each.collect::<Vec<_>>()
        });
        let mut rearms = Vec::new();
        for (mut proposed, still, holds) in found.await? {
            let role = role_of(proposed.proposal.stage);
            proposed.opens = opens(&self.scopes, &proposed.engaged.order, role, &holds);
            // An order that reaches nothing stops nothing of what is let go.
            let still = still
                .iter()
                .filter(|other| !self.scopes.reaches_nothing(other));
            let still = still.take(ORDERS_NAMED).map(|other| other.id);
            proposed.still_stopped_by = still.collect();
            if let Some(report) = self.kills.report(proposed.proposal.kill).await {
                let open = report.total.requested + report.total.acknowledged;
                proposed.open_leases = open + report.unswept as u64;
            }
            rearms.push(proposed);
        }
        Ok(rearms)
    }
}

impl Scopes {
    /// The charter of a task that is not forgotten.
    pub(crate) fn charter_of(&self, task: TaskId) -> Option<Name> {
        let charter = |state: &State| Some(state.task(task)?.task.charter.clone());
        self.context.peek(charter)
    }

    /// The charters in force under which an order can stop something.
    pub(crate) fn charters_within(&self, order: &KillOrder) -> Vec<Arc<Charter>> {
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
        let mut charters = self.context.charters.all();
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

    /// The charters in force that an order is about in particular: none where the order is over a
    /// place that many share.
    #[must_use]
    pub fn charters_of(&self, order: &KillOrder) -> Vec<Arc<Charter>> {
        match &order.scope {
            Scope::Charter(_) | Scope::Agent(_) | Scope::Task(_) => self.charters_within(order),
            Scope::All | Scope::Environment(_) | Scope::Target(_) | Scope::Lease(_) => Vec::new(),
        }
    }
}
