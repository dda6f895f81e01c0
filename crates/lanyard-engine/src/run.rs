//! The loops: housekeeping, and one revocation worker a target. Each ends when told to.

use std::sync::Arc;
use std::time::Duration;

use lanyard_core::charter::Name;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::engine::Engine;
use crate::revoke::Round;

/// How often the clock is looked at when nothing else happens.
const TICK: Duration = Duration::from_millis(500);
/// The first wait after a failed round; doubled up to [`LONGEST`].
const FIRST: Duration = Duration::from_millis(200);
/// The longest wait after a failed round.
const LONGEST: Duration = Duration::from_secs(30);

impl Engine {
    /// Runs until `stop` says so. Revocations under way are finished.
    pub async fn run(self: Arc<Self>, stop: watch::Receiver<bool>) {
        let mut loops = JoinSet::new();
        loops.spawn(Arc::clone(&self).housekeep(stop.clone()));
        for target in self.providers().keys() {
            loops.spawn(Arc::clone(&self).revoke_until(target.clone(), stop.clone()));
        }
        while let Some(ended) = loops.join_next().await {
            if let Err(error) = ended {
                tracing::error!(%error, "a loop of the engine ended by itself");
            }
        }
    }

    async fn housekeep(self: Arc<Self>, mut stop: watch::Receiver<bool>) {
        while !*stop.borrow() {
            self.settle_deliveries().await;
            self.answer_trips().await;
            self.sweep_orders().await;
            while self.expire_due().await {}
            self.close_tasks().await;
            self.forget_dead().await;
            self.settle_denials(false).await;
            tokio::select! {
                () = self.housekeeping.notified() => {}
                () = tokio::time::sleep(TICK) => {}
                _ = stop.changed() => {}
            }
        }
        self.settle_deliveries().await;
        self.settle_denials(true).await;
    }

    async fn revoke_until(self: Arc<Self>, target: Name, mut stop: watch::Receiver<bool>) {
        let Some(wake) = self.revocation.get(&target) else {
            return;
        };
        let mut wait = FIRST;
        let mut look = self.now();
        while !*stop.borrow() {
            if look <= self.now() {
                self.revoke_strays(&target).await;
                look = self.now() + crate::strays::EVERY;
            }
            let pause = match self.revoke_round(&target).await {
                Round::Done => {
                    wait = FIRST;
                    continue;
                }
                Round::Idle => {
                    wait = FIRST;
                    self.presume(&target).await;
                    LONGEST.min(TICK * 2)
                }
                Round::Failed => {
                    wait = (wait * 2).min(LONGEST);
                    self.jittered(wait)
                }
            };
            tokio::select! {
                () = wake.notified() => {}
                () = tokio::time::sleep(pause) => {}
                _ = stop.changed() => {}
            }
        }
    }

    /// Between half of the wait and all of it.
    fn jittered(&self, wait: Duration) -> Duration {
        let half = wait / 2;
        let part = self
            .draw()
            .map_or(0, |bits| u32::try_from(bits % 1000).unwrap_or(0));
        half + half * part / 1000
    }
}
