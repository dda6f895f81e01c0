//! The port through which plans are read, stored and judged.

use std::sync::Arc;

use async_trait::async_trait;
use lanyard_charter::Charter;
use lanyard_charter::plan::PlanFormat;

use crate::plan::{Judgement, Plan, Reading, Unjudged};
use crate::provider::Rehearsed;
use crate::task::Task;

/// Reads plans and evaluates policies. A policy that cannot answer is a denial in the judgement,
/// not an error.
#[async_trait]
pub trait Judge: Send + Sync {
    /// Reads the bytes of a plan for this task, in the given form or else in the form that they are
    /// recognized by.
    ///
    /// # Errors
    /// When they are not in that form, or in none.
    async fn read(
        &self,
        task: &Task,
        format: Option<PlanFormat>,
        content: &Arc<[u8]>,
    ) -> Result<(PlanFormat, Reading), Unjudged>;

    /// Describes the result of a rehearsal for people.
    ///
    /// # Errors
    /// When it cannot be described.
    async fn compared(&self, task: &Task, rehearsed: Vec<Rehearsed>)
    -> Result<Arc<[u8]>, Unjudged>;

    /// Stores the bytes of a task's plan and its attachments, each under its digest. On return they
    /// survive a crash.
    ///
    /// # Errors
    /// When they cannot be stored, or the task's identity has used up its share.
    async fn store(&self, task: &Task, bytes: Vec<Arc<[u8]>>) -> Result<(), Unjudged>;

    /// Checks that the stored bytes of a plan are complete and match its digest. Nobody can see
    /// what a plan does whose bytes are gone.
    ///
    /// # Errors
    /// When they are gone or do not match.
    async fn stored(&self, plan: &Plan) -> Result<(), Unjudged>;

    /// Evaluates the policies of a charter on a plan, given its bytes or reading the stored ones.
    ///
    /// # Errors
    /// When the stored bytes are gone or do not match.
    async fn judge(
        &self,
        by: (&Charter, &Task),
        plan: &Plan,
        content: Option<&Arc<[u8]>>,
    ) -> Result<Judgement, Unjudged>;
}
