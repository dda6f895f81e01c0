//! A judge that cannot read: what it is given has no form, and its risk is high.

use async_trait::async_trait;
use lanyard_core::charter::Charter;
use lanyard_core::digest::Digest;
use lanyard_core::plan::{Judge, Judgement, Plan, PlanFormat, Reading, Unjudged};
use lanyard_core::provider::Rehearsed;
use lanyard_core::task::Task;

/// Reads nothing and holds nothing against it.
#[derive(Debug, Clone, Copy)]
pub struct CannotRead;

#[async_trait]
impl Judge for CannotRead {
    async fn read(&self, _: PlanFormat, _: &[u8]) -> Result<Reading, Unjudged> {
        Ok(Reading::default())
    }

    async fn keep(&self, _: Vec<Rehearsed>) -> Result<Digest, Unjudged> {
        Err(Unjudged::Store("there is no store here".to_owned()))
    }

    async fn judge(&self, charter: &Charter, _: &Task, _: &Plan) -> Result<Judgement, Unjudged> {
        Ok(Judgement::unread(charter.policies_digest()))
    }
}
