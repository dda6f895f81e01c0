//! Plans are read and judged here, off the threads that serve.

use std::collections::HashMap;
use std::sync::Arc;

use lanyard_core::charter::Charter;
use lanyard_core::digest::Digest;
use lanyard_core::id::PlanId;
use lanyard_core::plan::{Judge, Judgement, Plan, PlanFormat, Reading, Unjudged};
use lanyard_core::provider::Rehearsed;
use lanyard_core::task::Task;
use lanyard_plan::{Context, Document, PolicySet, compared};
use parking_lot::Mutex;
use tokio::sync::Semaphore;
use tonic::async_trait;

use crate::plans::PlanStore;

/// How many plans are looked at at once: one can take all of a core for seconds.
const AT_ONCE: usize = 2;
/// How many compiled sets, and how many judgements, are kept.
const KEPT: usize = 256;

/// Judges stored plans.
pub(crate) struct Assessor {
    plans: PlanStore,
    compiled: Mutex<HashMap<Digest, Arc<PolicySet>>>,
    /// What the policies of a charter have said of a plan before: neither changes.
    judged: Mutex<HashMap<(PlanId, Digest), Judgement>>,
    turns: Semaphore,
}

impl Assessor {
    pub(crate) fn new(plans: PlanStore) -> Self {
        Self {
            plans,
            compiled: Mutex::default(),
            judged: Mutex::default(),
            turns: Semaphore::new(AT_ONCE),
        }
    }

    fn policies(&self, charter: &Charter) -> Result<Arc<PolicySet>, Unjudged> {
        let digest = charter.policies_digest();
        if let Some(known) = self.compiled.lock().get(&digest) {
            return Ok(Arc::clone(known));
        }
        let compiled = PolicySet::of(charter.policies()).map_err(|faults| {
            let first = faults.first().map(ToString::to_string);
            Unjudged::Policies(first.unwrap_or_default())
        })?;
        let mut all = self.compiled.lock();
        if all.len() >= KEPT {
            all.clear();
        }
        Ok(Arc::clone(all.entry(digest).or_insert(Arc::new(compiled))))
    }

    async fn apart<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, Unjudged> + Send + 'static,
    ) -> Result<T, Unjudged> {
        let _turn = self.turns.acquire().await;
        let done = tokio::task::spawn_blocking(work).await;
        done.map_err(|_| Unjudged::Policies("looking at the plan failed".to_owned()))?
    }
}

#[async_trait]
impl Judge for Assessor {
    async fn read(&self, format: PlanFormat, content: &[u8]) -> Result<Reading, Unjudged> {
        let content = content.to_vec();
        self.apart(move || Ok(Document::read(format, &content)?.reading()))
            .await
    }

    async fn keep(&self, rehearsed: Vec<Rehearsed>) -> Result<Digest, Unjudged> {
        let plans = self.plans.clone();
        self.apart(move || {
            let shown = compared(&rehearsed).map_err(Unjudged::Store)?;
            let stored = plans.put(shown.as_bytes());
            stored.map_err(|error| Unjudged::Store(error.to_string()))
        })
        .await
    }

    async fn judge(
        &self,
        charter: &Charter,
        task: &Task,
        plan: &Plan,
    ) -> Result<Judgement, Unjudged> {
        let key = (plan.id, charter.policies_digest());
        if let Some(judgement) = self.judged.lock().get(&key) {
            return Ok(judgement.clone());
        }
        let policies = self.policies(charter)?;
        let (plans, task, plan) = (self.plans.clone(), task.clone(), plan.clone());
        let judged = self.apart(move || {
            let content = plans.get(plan.digest);
            let content = content.map_err(|error| Unjudged::Store(error.to_string()))?;
            let document = Document::read(plan.format, &content)?;
            let (task, plan) = (&task, &plan);
            Ok(policies.judge(&document, Context { task, plan }))
        });
        let judgement = judged.await?;
        let mut all = self.judged.lock();
        if all.len() >= KEPT {
            all.clear();
        }
        all.insert(key, judgement.clone());
        Ok(judgement)
    }
}
