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
    /// Draws a new action id.
    ///
    /// # Errors
    /// When the operating system gives no random bits.
    pub fn action_id(&self) -> Result<ActionId, NoRandomness> {
        Ok(ActionId::from_bits(self.draw()?))
    }

    /// Records a report, which is durable on return.
    ///
    /// # Errors
    /// As of the ledger.
    pub async fn report(&self, report: Report) -> Result<(), CommitError> {
        self.commit(Command::Report(Box::new(report)))
            .await
            .map(drop)
    }

    /// Records a report and counts it against the identity's rate of records.
    ///
    /// # Errors
    /// When the identity has used up its rate, or as of the ledger.
    pub async fn report_of(
        &self,
        identity: &Identity,
        report: Report,
    ) -> Result<Result<(), CommitError>, TooManyRecords> {
        let command = Command::Report(Box::new(report));
        self.meter(identity, &command)?;
        Ok(self.commit(command).await.map(drop))
    }

    /// The task of a live lease, for a tool that was shown the lease's credential.
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
