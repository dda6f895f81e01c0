//! Turns for judging plans: a bounded number at once, one of each identity, and none for an
//! identity that has used up its time.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use lanyard_core::plan::Unjudged;
use lanyard_vocabulary::identity::Identity;
use parking_lot::Mutex;
use tokio::time::Instant;

use crate::lanes::{self, Lanes};

/// Plans that are read or judged at a time; one can take all of a core for seconds.
///
/// # Limit
/// - for: all agents together
/// - unit: plans
/// - beyond: a plan waits for its turn; of one identity one plan is looked at, the others wait for
///   that one
/// - test: `s19_one_identity_takes_one_turn_and_not_those_of_others`
const MAX_PLANS_AT_ONCE: usize = 2;
/// Time that the plans of one identity are read and judged for within a minute.
///
/// # Limit
/// - for: an identity of an agent
/// - unit: time
/// - beyond: a further plan is refused with `RESOURCE_EXHAUSTED` until the minute is over
/// - test: `s19_an_identity_that_had_its_time_waits_for_the_next_minute_and_nobody_else_does`
const MAX_JUDGE_TIME_PER_IDENTITY: Duration = Duration::from_secs(30);
/// The window in which an identity's time is counted.
const BUDGET_WINDOW: Duration = Duration::from_secs(60);
/// The number of windows that are kept before ended ones are dropped.
const KEPT_WINDOWS: usize = 4096;

/// The turns of those who wait.
pub(super) struct JudgeQueue {
    lanes: Lanes<Identity>,
    spent: Mutex<HashMap<Identity, Spent>>,
}

/// The start of a window, and the time spent in it.
#[derive(Clone, Copy)]
struct Spent {
    since: Instant,
    time: Duration,
}

/// A turn, until it is dropped. Its duration is charged to the identity.
pub(super) struct Turn {
    turns: Arc<JudgeQueue>,
    who: Identity,
    began: Instant,
    _turn: lanes::Turn,
}

impl Default for JudgeQueue {
    fn default() -> Self {
        Self {
            lanes: Lanes::new(MAX_PLANS_AT_ONCE, 1),
            spent: Mutex::default(),
        }
    }
}

impl JudgeQueue {
    /// Waits for a turn.
    ///
    /// # Errors
    /// [`Unjudged::TooMuch`] when the identity has used up its time.
    pub(super) async fn take(self: &Arc<Self>, who: &Identity) -> Result<Turn, Unjudged> {
        let turn = self.lanes.take(who).await;
        self.may(who)?;
        Ok(Turn {
            turns: Arc::clone(self),
            who: who.clone(),
            began: Instant::now(),
            _turn: turn,
        })
    }

    fn may(&self, who: &Identity) -> Result<(), Unjudged> {
        let spent = self.spent.lock().get(who).copied();
        let Some(spent) = spent.filter(|spent| spent.time >= MAX_JUDGE_TIME_PER_IDENTITY) else {
            return Ok(());
        };
        let left = BUDGET_WINDOW.saturating_sub(spent.since.elapsed());
        if left.is_zero() {
            return Ok(());
        }
        Err(Unjudged::TooMuch(format!(
            "the plans of this identity were judged for {} s within a minute: try again in {} s",
            spent.time.as_secs(),
            left.as_secs().max(1)
        )))
    }

    fn charge(&self, who: &Identity, time: Duration) {
        let mut all = self.spent.lock();
        if all.len() >= KEPT_WINDOWS {
            all.retain(|_, spent| spent.since.elapsed() < BUDGET_WINDOW);
        }
        let now = Instant::now();
        let spent = all.entry(who.clone()).or_insert(Spent {
            since: now,
            time: Duration::ZERO,
        });
        if spent.since.elapsed() >= BUDGET_WINDOW {
            *spent = Spent {
                since: now,
                time: Duration::ZERO,
            };
        }
        spent.time = spent.time.saturating_add(time);
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.turns.charge(&self.who, self.began.elapsed());
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    fn who(subject: &str) -> Identity {
        Identity {
            issuer: "https://issuer.example".to_owned(),
            subject: subject.to_owned(),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn s19_one_identity_takes_one_turn_and_not_those_of_others() {
        let turns = Arc::<JudgeQueue>::default();
        let first = turns.take(&who("a")).await.unwrap();
        let a = who("a");
        let mut second = Box::pin(turns.take(&a));
        assert!((&mut second).now_or_never().is_none());
        let mut others = Vec::new();
        for other in 1..MAX_PLANS_AT_ONCE {
            others.push(turns.take(&who(&other.to_string())).await.unwrap());
        }
        let b = who("b");
        let mut waits = Box::pin(turns.take(&b));
        assert!((&mut waits).now_or_never().is_none());
        drop(first);
        assert!(
            waits.await.is_ok(),
            "whoever waited among the others is first"
        );
        assert!(second.await.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn s19_an_identity_that_had_its_time_waits_for_the_next_minute_and_nobody_else_does() {
        let turns = Arc::<JudgeQueue>::default();
        for _ in 0..2 {
            let turn = turns.take(&who("a")).await.unwrap();
            tokio::time::advance(MAX_JUDGE_TIME_PER_IDENTITY / 2).await;
            drop(turn);
        }
        let refused = turns.take(&who("a")).await.err();
        assert!(matches!(refused, Some(Unjudged::TooMuch(_))), "{refused:?}");
        assert!(turns.take(&who("b")).await.is_ok());
        tokio::time::advance(BUDGET_WINDOW).await;
        assert!(turns.take(&who("a")).await.is_ok());
    }
}
