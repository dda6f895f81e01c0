//! Reports of what was done with credentials.

use std::sync::Arc;

use lanyard_core::action::{Report, Reporter};
use lanyard_core::command::Command;
use lanyard_core::ledger::CommitError;
use lanyard_vocabulary::id::{ActionId, LeaseId};
use lanyard_vocabulary::identity::Identity;

use crate::clock::NoRandomness;
use crate::context::Context;
use crate::records::TooManyRecords;
use crate::requests::Requests;

/// Records what tools report of their use of credentials.
pub struct Actions {
    pub(crate) context: Arc<Context>,
    pub(crate) requests: Arc<Requests>,
}

impl Actions {
    /// Draws a new action id.
    ///
    /// # Errors
    /// When the operating system gives no random bits.
    pub fn new_id(&self) -> Result<ActionId, NoRandomness> {
        Ok(ActionId::from_bits(self.context.draw()?))
    }

    /// Records a report, which is durable on return.
    ///
    /// # Errors
    /// As of the ledger.
    pub async fn record(&self, report: Report) -> Result<(), CommitError> {
        self.context
            .commit(Command::Report(Box::new(report)))
            .await
            .map(drop)
    }

    /// Records a report and counts it against the identity's rate of records.
    ///
    /// # Errors
    /// When the identity has used up its rate, or as of the ledger.
    pub async fn record_by(
        &self,
        identity: &Identity,
        report: Report,
    ) -> Result<Result<(), CommitError>, TooManyRecords> {
        let command = Command::Report(Box::new(report));
        self.requests.meter(identity, &command)?;
        Ok(self.context.commit(command).await.map(drop))
    }

    /// The task of a live lease, for a tool that was shown the lease's credential.
    ///
    /// # Errors
    /// As of the ledger.
    pub async fn live_task_of(
        &self,
        lease: LeaseId,
    ) -> Result<Option<(lanyard_vocabulary::id::TaskId, Reporter)>, CommitError> {
        self.context
            .query(|state| {
                let lease = state.leases().get(lease).filter(|lease| lease.is_live())?;
                Some((lease.task.id, Reporter::Holder))
            })
            .await
    }
}
