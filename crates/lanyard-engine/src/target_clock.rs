//! What time it is at the targets: asked again and again, and held against the broker's clock.

use std::time::Duration;

use lanyard_vocabulary::name::Name;
use lanyard_vocabulary::time::{Skew, Timestamp};

use crate::skew::{MAX_SKEW, is_far};
use crate::targets::Targets;

/// The interval at which a target is asked.
pub(crate) const SKEW_INTERVAL: Duration = Duration::from_secs(60);
/// The time for which a target has to say what time it is.
const CLOCK_CALL_WAIT: Duration = Duration::from_secs(5);
/// A target says whole seconds: it means the middle of one.
const HALF_A_SECOND: Duration = Duration::from_millis(500);

impl Targets {
    /// Asks a target what time it is. One that does not say so keeps the skew that it had.
    pub(crate) async fn measure_skew(&self, target: &Name) {
        let Some((provider, lane)) = self.get(target) else {
            return;
        };
        let asked = self.clock.now();
        let said = tokio::time::timeout(CLOCK_CALL_WAIT, provider.read_clock()).await;
        let answered = self.clock.now();
        let theirs = match said {
            Ok(Ok(Some(theirs))) => theirs + HALF_A_SECOND,
            Ok(Ok(None)) => return,
            Ok(Err(error)) => {
                tracing::debug!(%target, %error, "the target does not say what time it is");
                return;
            }
            Err(_) => {
                tracing::debug!(%target, "the target does not say in time what time it is");
                return;
            }
        };
        let took = answered.since(asked) / 2;
        let skew = Skew::between(asked + took, theirs);
        // What the way and the rounding explain is no skew.
        let is_seen = skew.size() > took + HALF_A_SECOND;
        let skew = if is_seen { skew } else { Skew::NONE };
        let (was_far, is_far) = (lane.skew().is_some_and(is_far), is_far(skew));
        lane.set_skew(skew);
        if is_far && !was_far {
            tracing::error!(%target, "nothing is minted there: its clock is {skew} the broker's, and {} s is the limit", MAX_SKEW.as_secs());
        } else if was_far && !is_far {
            tracing::warn!(%target, "the target's clock is near the broker's again: {skew} it");
        }
    }

    /// Returns how far the clock of a target is ahead, as it was measured last; `None` before it
    /// was.
    pub(crate) fn skew(&self, target: &Name) -> Option<Skew> {
        self.lanes.get(target)?.skew()
    }

    /// No later than this, nor than it is by the target's clock.
    pub(crate) fn by_both(&self, target: &Name, own: Timestamp) -> Timestamp {
        let theirs = self
            .skew(target)
            .map(|skew| skew.to_theirs(self.clock.now()));
        theirs.map_or(own, |theirs| theirs.min(own))
    }
}
