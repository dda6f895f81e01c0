//! Reports of what was done with credentials.

use lanyard_core::action::{Report, Reporter};
use lanyard_core::command::Command;
use lanyard_core::id::{ActionId, LeaseId};
use lanyard_core::identity::Identity;
use lanyard_core::ledger::CommitError;

use crate::clock::NoRandomness;
use crate::engine::Engine;
use crate::records::TooManyRecords;

impl Engine {
    /// A new id for an action.
    ///
    /// # Errors
    /// When there is no randomness.
    pub fn action_id(&self) -> Result<ActionId, NoRandomness> {
        Ok(ActionId::from_bits(self.draw()?))
    }

    /// Takes a report in: it is durable when this returns.
    ///
    /// # Errors
    /// As of the ledger.
    pub async fn report(&self, report: Report) -> Result<(), CommitError> {
        self.commit(Command::Report(Box::new(report)))
            .await
            .map(drop)
    }

    /// Takes a report in, and counts it as a record that this identity causes.
    ///
    /// # Errors
    /// The record is one too many; or as of the ledger.
    pub async fn report_of(
        &self,
        identity: &Identity,
        report: Report,
    ) -> Result<Result<(), CommitError>, TooManyRecords> {
        let command = Command::Report(Box::new(report));
        self.meter(identity, &command)?;
        Ok(self.commit(command).await.map(drop))
    }

    /// The task of a lease that is live, for a tool that was shown its credential.
    ///
    /// # Errors
    /// As of the ledger.
    pub async fn live_task_of(
        &self,
        lease: LeaseId,
    ) -> Result<Option<(lanyard_core::id::TaskId, Reporter)>, CommitError> {
        self.query(|state| {
            let lease = state.leases().get(lease).filter(|lease| lease.is_live())?;
            Some((lease.task.id, Reporter::Holder))
        })
        .await
    }
}
