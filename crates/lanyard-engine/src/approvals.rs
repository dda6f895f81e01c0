//! Approvals: given, taken back and refused by people, and taken back by the agent that asked.

use std::sync::Arc;

use lanyard_core::approval::Seen;
use lanyard_core::command::Command;
use lanyard_core::ledger::CommitError;
use lanyard_vocabulary::id::ApprovalId;
use lanyard_vocabulary::identity::Identity;
use lanyard_vocabulary::operator::Operator;

use crate::context::Context;
use crate::records::TooManyRecords;
use crate::requests::Requests;

/// Records the decisions of people about plans.
pub struct Approvals {
    pub(crate) context: Arc<Context>,
    pub(crate) requests: Arc<Requests>,
}

impl Approvals {
    /// Records a person's yes, to what that person was shown.
    ///
    /// # Errors
    /// As of the ledger: see [`lanyard_core::approval::ConsentError`].
    pub async fn approve(
        &self,
        approval: ApprovalId,
        seen: impl Into<Seen>,
        operator: Operator,
        comment: String,
    ) -> Result<(), CommitError> {
        let Seen { digest, sensitive } = seen.into();
        self.context
            .commit(Command::Approve {
                approval,
                digest,
                operator,
                comment,
                acknowledged: sensitive,
            })
            .await
            .map(drop)
    }

    /// Takes a yes back. What was issued under it goes on; the next session has to do without it.
    ///
    /// # Errors
    /// As of the ledger.
    pub async fn withdraw(
        &self,
        approval: ApprovalId,
        by: Identity,
        reason: String,
    ) -> Result<(), CommitError> {
        let withdraw = Command::Withdraw {
            approval,
            by,
            reason,
        };
        self.context.commit(withdraw).await.map(drop)
    }

    /// Takes a request back, on behalf of the agent that made it.
    ///
    /// # Errors
    /// The identity causes too many records; within, as of the ledger.
    pub async fn take_back(
        &self,
        approval: ApprovalId,
        by: Identity,
        reason: String,
    ) -> Result<Result<(), CommitError>, TooManyRecords> {
        let withdraw = Command::Withdraw {
            approval,
            by: by.clone(),
            reason,
        };
        self.requests.meter(&by, &withdraw)?;
        Ok(self.context.commit(withdraw).await.map(drop))
    }

    /// Takes note of what a person may do now, where that person has said yes to something under
    /// other rights (T22).
    ///
    /// # Errors
    /// As of the ledger.
    pub async fn recognize(&self, operator: &Operator) -> Result<(), CommitError> {
        if !self.context.peek(|state| state.knows_otherwise(operator)) {
            return Ok(());
        }
        let recognize = Command::Recognize(Box::new(operator.clone()));
        self.context.commit(recognize).await.map(drop)
    }

    /// Records a person's no, which is final.
    ///
    /// # Errors
    /// As of the ledger.
    pub async fn reject(
        &self,
        approval: ApprovalId,
        operator: Operator,
        reason: String,
    ) -> Result<(), CommitError> {
        self.context
            .commit(Command::Reject {
                approval,
                operator,
                reason,
            })
            .await
            .map(drop)
    }
}
