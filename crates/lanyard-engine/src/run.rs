//! The engine's loops: housekeeping, and a revocation worker for each target. Each ends when told
//! to.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use lanyard_core::charter::Name;
use lanyard_core::condition::Reason;
use lanyard_core::lease::Awaits;
use lanyard_core::state::State;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::engine::Engine;
use crate::lane::LONGEST_WAIT;
use crate::revoke::{Round, UPHOLD};

/// How often housekeeping runs when nothing else happens.
const TICK: Duration = Duration::from_millis(500);
/// How long revocations that no kill order demands are collected for a provider that keeps one
/// document. One more release costs nothing then, where each document is read, written and read
/// back.
const GATHER: Duration = Duration::from_secs(2);

impl Engine {
    /// Runs the loops until `stop` is true. Revocations under way are finished.
    pub async fn run(self: Arc<Self>, stop: watch::Receiver<bool>) {
        let mut loops = JoinSet::new();
        let mut names = HashMap::new();
        let begun = loops.spawn(Arc::clone(&self).housekeep(stop.clone()));
        names.insert(begun.id(), "housekeeping".to_owned());
        for target in self.providers().keys() {
            let begun = loops.spawn(Arc::clone(&self).revoke_until(target.clone(), stop.clone()));
            names.insert(begun.id(), format!("revocation at {target}"));
            let begun = loops.spawn(Arc::clone(&self).follow_skew(target.clone(), stop.clone()));
            names.insert(begun.id(), format!("clock of {target}"));
        }
        while let Some(ended) = loops.join_next_with_id().await {
            let (id, why) = match ended {
                Ok((_, ())) if *stop.borrow() => continue,
                Ok((id, ())) => (id, "nobody told it to end".to_owned()),
                Err(error) => (error.id(), error.to_string()),
            };
            // Nobody revokes or sweeps in its place: what is issued now might not be stopped.
            let thread = names.remove(&id).unwrap_or_default();
            self.conditions.raise(Reason::ThreadEnded { thread, why });
        }
    }

    async fn housekeep(self: Arc<Self>, mut stop: watch::Receiver<bool>) {
        while !*stop.borrow() {
            self.conditions.tell();
            self.note_clock().await;
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
        let Some(lane) = self.lanes.get(&target) else {
            return;
        };
        let provider = self.providers().get(&target);
        let gathers = provider.is_some_and(|provider| provider.capabilities().whole);
        let (mut look, mut uphold) = (self.now(), self.now());
        let (mut upheld, mut told) = (None, None);
        let mut timed = self.timed_from.load(Ordering::SeqCst);
        while !*stop.borrow() {
            let mut round = self.revoke_round(&target).await;
            if round == Round::Done && self.kills_wait(&target) {
                continue;
            }
            if !matches!(round, Round::Failed(_)) {
                match self.unless_killed(&target, self.prove_round(&target)).await {
                    None => continue,
                    Some(Round::Idle) => {}
                    Some(other @ (Round::Done | Round::Failed(_))) => round = other,
                }
            }
            if round == Round::Done {
                continue;
            }
            let now_timed = self.timed_from.load(Ordering::SeqCst);
            if now_timed != timed {
                // The clock was accepted anew: what was due by the old one may be hours away.
                (timed, look, uphold) = (now_timed, self.now(), self.now());
            }
            // What is due goes before what is only looked at.
            if look <= self.now() {
                let looking = async {
                    if lane.unseen().is_some() {
                        // The first mint waits for this look.
                        self.measure_skew(&target).await;
                    }
                    self.look_through(&target).await
                };
                // The witness can have an order given, which is not to be broken off.
                let looked = match self.hold_against_witness(&target).await {
                    Some(()) => match self.unless_killed(&target, looking).await {
                        Some(looked) => looked,
                        None => continue,
                    },
                    None => None,
                };
                let again = match looked {
                    Some(_) => crate::strays::EVERY,
                    None => crate::strays::AGAIN,
                };
                look = self.now() + again;
            }
            // A cut by a new order does not wait for its turn.
            let epoch = self.peek(|state| state.kills().epoch());
            if uphold <= self.now() || epoch != upheld {
                self.uphold(&target).await;
                (uphold, upheld) = (self.now() + UPHOLD, epoch);
                if lane.unseen().is_none() {
                    let telling = self.tell_witness(&target, &mut told);
                    if self.unless_killed(&target, telling).await.is_none() {
                        continue;
                    }
                }
            }
            self.presume(&target).await;
            let pause = match round {
                Round::Failed(wait) => wait,
                Round::Idle | Round::Done => {
                    let next = lane.next().map(|next| next.since(self.now()));
                    next.map_or(TICK * 2, |next| next.min(TICK * 2))
                }
            };
            let may_wait = matches!(round, Round::Failed(_));
            tokio::select! {
                () = lane.wake.notified(), if !may_wait => {
                    tokio::select! {
                        () = lane.urgent.notified(), if gathers => {}
                        () = tokio::time::sleep(GATHER), if gathers => {}
                        _ = stop.changed(), if gathers => {}
                        else => {}
                    }
                }
                () = lane.urgent.notified() => {}
                () = tokio::time::sleep(pause.min(LONGEST_WAIT)) => {}
                _ = stop.changed() => {}
            }
        }
    }

    /// Runs work that can be abandoned and repeated, until a kill order comes: a probe or a
    /// reconciliation that hangs would hold up the kill.
    async fn unless_killed<R>(&self, target: &Name, work: impl Future<Output = R>) -> Option<R> {
        let killed = async {
            let lane = self.lanes.get(target);
            loop {
                match lane {
                    Some(lane) => lane.urgent.notified().await,
                    None => std::future::pending().await,
                }
                if self.kills_wait(target) {
                    break;
                }
            }
        };
        tokio::select! {
            biased;
            done = work => Some(done),
            () = killed => {
                tracing::debug!(%target, "a kill comes first: what was under way begins anew");
                None
            }
        }
    }

    fn kills_wait(&self, target: &Name) -> bool {
        let waits = |state: &State| {
            let mut killed = state.leases().awaiting(target, Awaits::Kill);
            killed.next().is_some()
        };
        self.peek(waits) == Some(true)
    }

    /// A random wait between half of `wait` and all of it.
    pub(crate) fn jittered(&self, wait: Duration) -> Duration {
        let half = wait / 2;
        let part = self
            .draw()
            .map_or(0, |bits| u32::try_from(bits % 1000).unwrap_or(0));
        half + half * part / 1000
    }
}
