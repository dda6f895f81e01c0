//! Reads and judges plans on other threads than those that serve. Agents write the plans and
//! charter authors the policies, so policies run in a process of their own, which may exceed its
//! time, memory or stack.

mod process;
mod queue;

use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;
use lanyard_charter::plan::PlanFormat;
use lanyard_charter::{Charter, MoreKinds};
use lanyard_core::judge::Judge;
use lanyard_core::plan::{Judgement, Plan, Reading, Unjudged};
use lanyard_core::provider::Rehearsed;
use lanyard_core::task::Task;
use lanyard_plan::{Document, compared};
use lanyard_vocabulary::digest::Digest;
use lanyard_vocabulary::id::PlanId;
use lanyard_vocabulary::identity::Identity;
use parking_lot::Mutex;

use crate::apart::Apart;
use crate::plans::{PlanStore, PutError};
pub(crate) use process::{Judges, answer};
use queue::JudgeQueue;

/// The most judgements that are kept in memory.
const KEPT_JUDGEMENTS: usize = 256;

/// A judge of stored plans.
pub(crate) struct Assessor {
    plans: PlanStore,
    judges: Judges,
    apart: Arc<Apart>,
    /// The kinds of target whose objects plans are read for, beside those that are built in.
    more_kinds: MoreKinds,
    /// Earlier judgements by plan and policies, neither of which changes.
    judged: Mutex<HashMap<(PlanId, Digest), Judgement>>,
    turns: Arc<JudgeQueue>,
}

impl Assessor {
    pub(crate) fn new(
        plans: PlanStore,
        judges: Judges,
        apart: Arc<Apart>,
        more_kinds: MoreKinds,
    ) -> Self {
        Self {
            plans,
            judges,
            apart,
            more_kinds,
            judged: Mutex::default(),
            turns: Arc::default(),
        }
    }

    /// Runs work in the identity's turn, on a thread of lower priority.
    async fn in_turn<T: Send + 'static>(
        &self,
        who: &Identity,
        work: impl FnOnce() -> Result<T, Unjudged> + Send + 'static,
    ) -> Result<T, Unjudged> {
        let turn = self.turns.take(who).await?;
        // The turn ends with the work, which goes on when whoever submitted the plan is gone.
        let work = move || {
            let _turn = turn;
            work()
        };
        let done = self.apart.run(work).await;
        done.map_err(|_| Unjudged::Policies("looking at the plan failed".to_owned()))?
    }

    /// Reads the stored bytes of a plan.
    async fn bytes(&self, plan: &Plan) -> Result<Arc<[u8]>, Unjudged> {
        let read = self.plans.read(plan.digest).await;
        let bytes = read.map_err(|error| Unjudged::Store(error.to_string()))?;
        Ok(Arc::from(bytes))
    }
}

#[async_trait]
impl Judge for Assessor {
    async fn read(
        &self,
        task: &Task,
        format: Option<PlanFormat>,
        content: &Arc<[u8]>,
    ) -> Result<(PlanFormat, Reading), Unjudged> {
        let (content, more_kinds) = (Arc::clone(content), self.more_kinds);
        self.in_turn(&task.identity, move || {
            let document = Document::read(format, &content)?;
            Ok((document.format(), document.reading(more_kinds)))
        })
        .await
    }

    async fn compared(
        &self,
        task: &Task,
        rehearsed: Vec<Rehearsed>,
    ) -> Result<Arc<[u8]>, Unjudged> {
        self.in_turn(&task.identity, move || {
            let shown = compared(&rehearsed).map_err(Unjudged::Store)?;
            Ok(Arc::from(shown.as_bytes()))
        })
        .await
    }

    async fn store(&self, task: &Task, bytes: Vec<Arc<[u8]>>) -> Result<(), Unjudged> {
        let (plans, owner) = (self.plans.clone(), task.identity.clone());
        let stored = tokio::task::spawn_blocking(move || {
            let mut each = bytes.iter();
            each.try_for_each(|bytes| plans.put(&owner, bytes).map(drop))
        });
        let stored = stored
            .await
            .map_err(|error| Unjudged::Store(error.to_string()))?;
        stored.map_err(|error| match error {
            full @ (PutError::Share | PutError::Full) => Unjudged::TooMuch(full.to_string()),
            PutError::Io(error) => Unjudged::Store(error.to_string()),
        })
    }

    async fn stored(&self, plan: &Plan) -> Result<(), Unjudged> {
        self.bytes(plan).await.map(drop)
    }

    async fn judge(
        &self,
        (charter, task): (&Charter, &Task),
        plan: &Plan,
        content: Option<&Arc<[u8]>>,
    ) -> Result<Judgement, Unjudged> {
        let key = (plan.id, charter.policies_digest());
        if let Some(judgement) = self.judged.lock().get(&key) {
            return Ok(judgement.clone());
        }
        let _turn = self.turns.take(&task.identity).await?;
        let content = match content {
            Some(content) => Arc::clone(content),
            None => self.bytes(plan).await?,
        };
        let judgement = self.judges.judge((charter, task), plan, &content).await?;
        let mut all = self.judged.lock();
        if all.len() >= KEPT_JUDGEMENTS {
            all.clear();
        }
        all.insert(key, judgement.clone());
        Ok(judgement)
    }
}
