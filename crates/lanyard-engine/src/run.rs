//! The engine's loops: housekeeping, and a revocation worker for each target. Each ends when told
//! to.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use lanyard_core::condition::Reason;
use lanyard_core::lease::Awaits;
use lanyard_core::state::State;
use lanyard_vocabulary::name::Name;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::context::Context;
use crate::deliveries::Deliveries;
use crate::engine::Engine;
use crate::expiry::Expiry;
use crate::kill::Kills;
use crate::requests::Requests;
use crate::revocation_queue::RETRY_INTERVAL_CAP;
use crate::revoke::{Revoker, Round, UPHOLD};
use crate::strays::Reconciler;
use crate::target_clock::SKEW_INTERVAL;

/// The interval of housekeeping when nothing else happens.
const TICK: Duration = Duration::from_millis(500);
/// The time for which revocations that no kill order demands are collected for a provider that
/// keeps one document. One more release costs nothing then, where each document is read, written
/// and read back.
const GATHER: Duration = Duration::from_secs(2);

impl Engine {
    /// Runs the loops until `stop` is true. Revocations under way are finished.
    pub async fn run(self: Arc<Self>, stop: watch::Receiver<bool>) {
        let mut loops = JoinSet::new();
        let mut names = HashMap::new();
        let housekeeping = Housekeeping {
            context: Arc::clone(&self.context),
            deliveries: Arc::clone(&self.deliveries),
            expiry: Arc::clone(&self.expiry),
            kills: Arc::clone(&self.kills),
            requests: Arc::clone(&self.requests),
        };
        let begun = loops.spawn(housekeeping.run(stop.clone()));
        names.insert(begun.id(), "housekeeping".to_owned());
        for target in self.providers().keys() {
            let worker = RevocationWorker {
                context: Arc::clone(&self.context),
                revoker: Arc::clone(&self.revoker),
                reconciler: Arc::clone(&self.reconciler),
                target: target.clone(),
            };
            let begun = loops.spawn(worker.run(stop.clone()));
            names.insert(begun.id(), format!("revocation at {target}"));
            let begun = loops.spawn(follow_skew(
                Arc::clone(&self.context),
                target.clone(),
                stop.clone(),
            ));
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
            self.context
                .conditions
                .raise(Reason::ThreadEnded { thread, why });
        }
    }
}

/// Ends what is due and journals what waits, in one loop.
struct Housekeeping {
    context: Arc<Context>,
    deliveries: Arc<Deliveries>,
    expiry: Arc<Expiry>,
    kills: Arc<Kills>,
    requests: Arc<Requests>,
}

impl Housekeeping {
    async fn run(self, mut stop: watch::Receiver<bool>) {
        while !*stop.borrow() {
            self.context.conditions.tell();
            self.context.note_clock().await;
            self.deliveries.settle().await;
            self.kills.answer_trips().await;
            self.kills.sweep_orders().await;
            while self.expiry.expire_due().await {}
            self.expiry.close_tasks().await;
            self.expiry.forget_dead().await;
            self.requests.settle_denials(false).await;
            tokio::select! {
                () = self.context.housekeeping.notified() => {}
                () = tokio::time::sleep(TICK) => {}
                _ = stop.changed() => {}
            }
        }
        self.deliveries.settle().await;
        self.requests.settle_denials(true).await;
    }
}

/// Revokes, proves and reconciles at one target, in one loop.
struct RevocationWorker {
    context: Arc<Context>,
    revoker: Arc<Revoker>,
    reconciler: Arc<Reconciler>,
    target: Name,
}

impl RevocationWorker {
    async fn run(self, mut stop: watch::Receiver<bool>) {
        let target = &self.target;
        let Some(lane) = self.context.targets.lanes.get(target) else {
            return;
        };
        let provider = self.context.targets.providers.get(target);
        let gathers =
            provider.is_some_and(|provider| provider.capabilities().rewrites_whole_document);
        let (mut look, mut uphold) = (self.context.now(), self.context.now());
        let (mut upheld, mut told) = (None, None);
        let mut timed = self.context.timed_from.load(Ordering::SeqCst);
        while !*stop.borrow() {
            let mut round = self.revoker.revoke_round(target).await;
            if round == Round::Done && self.kills_wait(target) {
                continue;
            }
            if !matches!(round, Round::Failed(_)) {
                match self
                    .unless_killed(target, self.revoker.prove_round(target))
                    .await
                {
                    None => continue,
                    Some(Round::Idle) => {}
                    Some(other @ (Round::Done | Round::Failed(_))) => round = other,
                }
            }
            if round == Round::Done {
                continue;
            }
            let now_timed = self.context.timed_from.load(Ordering::SeqCst);
            if now_timed != timed {
                // The clock was accepted anew: what was due by the old one may be hours away.
                (timed, look, uphold) = (now_timed, self.context.now(), self.context.now());
            }
            // What is due goes before what is only looked at.
            if look <= self.context.now() {
                let looking = async {
                    if lane.unseen().is_some() {
                        // The first mint waits for this look.
                        self.context.targets.measure_skew(target).await;
                    }
                    self.reconciler.look_through(target).await
                };
                // The witness can have an order given, which is not to be broken off.
                let looked = match self.reconciler.hold_against_witness(target).await {
                    Some(()) => match self.unless_killed(target, looking).await {
                        Some(looked) => looked,
                        None => continue,
                    },
                    None => None,
                };
                let again = match looked {
                    Some(_) => crate::strays::EVERY,
                    None => crate::strays::AGAIN,
                };
                look = self.context.now() + again;
            }
            // A cut by a new order does not wait for its turn.
            let epoch = self.context.peek(|state| state.kills().epoch());
            if uphold <= self.context.now() || upheld != Some(epoch) {
                self.revoker.uphold(target).await;
                (uphold, upheld) = (self.context.now() + UPHOLD, Some(epoch));
                if lane.unseen().is_none() {
                    let telling = self.reconciler.tell_witness(target, &mut told);
                    if self.unless_killed(target, telling).await.is_none() {
                        continue;
                    }
                }
            }
            self.revoker.presume(target).await;
            let pause = match round {
                Round::Failed(wait) => wait,
                Round::Idle | Round::Done => {
                    let next = lane.next().map(|next| next.since(self.context.now()));
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
                () = tokio::time::sleep(pause.min(RETRY_INTERVAL_CAP)) => {}
                _ = stop.changed() => {}
            }
        }
    }

    /// Runs work that can be abandoned and repeated, until a kill order comes: a probe or a
    /// reconciliation that hangs would hold up the kill.
    async fn unless_killed<R>(&self, target: &Name, work: impl Future<Output = R>) -> Option<R> {
        let killed = async {
            let lane = self.context.targets.lanes.get(target);
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
        self.context.peek(waits)
    }
}

/// Asks a target what time it is again and again, apart from what revokes: a kill does not wait
/// for a clock.
async fn follow_skew(context: Arc<Context>, target: Name, mut stop: watch::Receiver<bool>) {
    let targets = &context.targets;
    let Some(lane) = targets.lanes.get(&target) else {
        return;
    };
    while !*stop.borrow() {
        tokio::select! {
            () = tokio::time::sleep(SKEW_INTERVAL) => targets.measure_skew(&target).await,
            () = lane.retime.notified() => targets.measure_skew(&target).await,
            _ = stop.changed() => {}
        }
    }
}
