//! A judge that cannot parse plans: every plan has an unknown format and a high risk.

use std::sync::Arc;

use async_trait::async_trait;
use lanyard_charter::Charter;
use lanyard_charter::plan::PlanFormat;
use lanyard_core::judge::Judge;
use lanyard_core::plan::{Judgement, Plan, Reading, Unjudged};
use lanyard_core::provider::Rehearsed;
use lanyard_core::task::Task;

/// A judge that reads no plan and denies none.
#[derive(Debug, Clone, Copy)]
pub struct CannotRead;

#[async_trait]
impl Judge for CannotRead {
    async fn read(
        &self,
        _: &Task,
        format: Option<PlanFormat>,
        _: &Arc<[u8]>,
    ) -> Result<(PlanFormat, Reading), Unjudged> {
        Ok((format.unwrap_or(PlanFormat::Text), Reading::default()))
    }

    async fn compared(&self, _: &Task, _: Vec<Rehearsed>) -> Result<Arc<[u8]>, Unjudged> {
        Err(Unjudged::Store("there are no words here".to_owned()))
    }

    async fn store(&self, _: &Task, _: Vec<Arc<[u8]>>) -> Result<(), Unjudged> {
        Ok(())
    }

    async fn stored(&self, _: &Plan) -> Result<(), Unjudged> {
        Ok(())
    }

    async fn judge(
        &self,
        (charter, _): (&Charter, &Task),
        _: &Plan,
        _: Option<&Arc<[u8]>>,
    ) -> Result<Judgement, Unjudged> {
        Ok(Judgement::unread(charter.policies_digest()))
    }
}
