//! Lifting a kill order: two people, a step at a time, plan before apply.

use lanyard_core::command::Command;
use lanyard_core::id::{KillId, RearmId};
use lanyard_core::kill::{Actor, EngagedOrder, RearmProposal, RearmStage};
use lanyard_core::ledger::CommitError;
use lanyard_core::person::Person;
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
