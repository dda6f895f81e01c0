//! Whether anything may be minted at a target now.

use std::time::Duration;

use lanyard_core::charter::Name;

use crate::engine::Engine;
use crate::issue::IssueError;
use crate::skew::too_far;

/// How long a mint waits for the first look at its target.
const A_LOOK: Duration = Duration::from_secs(3);

impl Engine {
    /// Where a provider struggles with revocations, they have it to themselves (T46); and nothing is minted where
    /// nobody has looked since the start.
    pub(crate) async fn may_mint_at(&self, target: &Name) -> Result<(), IssueError> {
        let Some(lane) = self.lanes.get(target) else {
            return Ok(());
        };
        if !lane.looked_within(A_LOOK).await {
            tracing::debug!(%target, "the target has not been looked through");
        }
        let why = if lane.is_struggling() {
            Some("revocations there go first, and its provider does not take them".to_owned())
        } else {
            lane.unseen().or_else(|| lane.skew().and_then(too_far))
        };
        why.map_or(Ok(()), |why| {
            let target = target.clone();
            Err(IssueError::NotNow { target, why })
        })
    }
}
