//! Plans and the approvals that they wait for.

use std::collections::BTreeSet;

use lanyard_core::charter::{ActionPattern, Name};
use lanyard_core::command::{Asked, Command};
use lanyard_core::digest::Digest;
use lanyard_core::id::{ApprovalId, PlanId, TaskId};
use lanyard_core::identity::{Identity, Operator};
use lanyard_core::ledger::CommitError;
use lanyard_core::plan::{Plan, PlanFormat};

use crate::engine::Engine;
use crate::mint::IssueError;

/// What an agent proposes.
#[derive(Debug, Clone)]
pub struct Proposal {
    /// Under which task.
    pub task: TaskId,
    /// For which apply grant.
    pub grant: Name,
    /// In what form the bytes are.
    pub format: PlanFormat,
    /// The agent's own words.
    pub summary: String,
    /// The destructive actions that it asks for.
    pub destructive: BTreeSet<ActionPattern>,
}

impl Engine {
    /// Takes a plan in. Its bytes must be stored under their digest before this is called.
    ///
    /// # Errors
    /// A grant that would not be given with this plan is denied now, before people are asked.
    pub async fn submit_plan(
        &self,
        identity: &Identity,
        proposal: Proposal,
        content: &[u8],
    ) -> Result<Plan, IssueError> {
        let entry = self.task_of(identity, proposal.task).await?;
        let (task, now) = (entry.task.as_ref(), self.now());
        let mut plan = Plan {
            id: PlanId::from_bits(self.draw()?),
            task: task.id,
            grant: proposal.grant,
            format: proposal.format,
            digest: Digest::of(content),
            size: u64::try_from(content.len()).unwrap_or(u64::MAX),
            summary: proposal.summary,
            destructive: proposal.destructive,
            submitted: now,
            approval: None,
        };
        let verdict = self
            .decide(task, (&plan.grant, None), Some(&plan), now)
            .map(|permit| permit.requirement().cloned());
        let requirement = match verdict {
            Ok(requirement) => requirement,
            Err(denial) => {
                let asked = Asked {
                    proposed: Some(plan.destructive.clone()),
                    ..Asked::default()
                };
                let (decision, denial) = self
                    .deny(
                        identity,
                        (Some(task.id), Some((&plan.grant, asked))),
                        denial,
                    )
                    .await?;
                return Err(IssueError::Denied { decision, denial });
            }
        };
        if requirement.is_some() {
            plan.approval = Some(ApprovalId::from_bits(self.draw()?));
        }
        let submit = Command::SubmitPlan {
            plan: Box::new(plan.clone()),
            requirement,
        };
        self.commit(submit).await.map_err(IssueError::Commit)?;
        Ok(plan)
    }

    /// One person's yes, to the digest that they were shown.
    ///
    /// # Errors
    /// As of the ledger: see [`lanyard_core::approval::ConsentError`].
    pub async fn approve(
        &self,
        approval: ApprovalId,
        digest: Digest,
        operator: Operator,
        comment: String,
    ) -> Result<(), CommitError> {
        self.commit(Command::Approve {
            approval,
            digest,
            operator,
            comment,
        })
        .await
        .map(drop)
    }

    /// One person's no: final.
    ///
    /// # Errors
    /// As of the ledger.
    pub async fn reject(
        &self,
        approval: ApprovalId,
        operator: Operator,
        reason: String,
    ) -> Result<(), CommitError> {
        self.commit(Command::Reject {
            approval,
            operator,
            reason,
        })
        .await
        .map(drop)
    }
}
