//! What does not hold up a kill, and what is gathered: the loops of the engine, in a time that
//! passes at once.

use std::sync::Arc;
use std::time::Duration;

use lanyard_core::kill::Actor;
use lanyard_testkit::fake::{Check, FakeProvider, RevokeFault};
use lanyard_testkit::world;
use lanyard_vocabulary::id::LeaseId;
use lanyard_vocabulary::scope::{RoleFilter, Scope};
use tokio::sync::watch;

use crate::common::{Bench, bench, mint_own};

/// Far less than a check or a look through a target may take.
const CONDITION_WAIT: Duration = Duration::from_secs(5);
/// The interval at which a condition is looked at.
const LOOK: Duration = Duration::from_millis(10);

async fn mint(bench: &Bench) -> LeaseId {
    mint_own(bench).await.unwrap()
}

async fn release(bench: &Bench, lease: LeaseId) {
    let agent = world::agent();
    bench.engine.expiry().release(&agent, lease).await.unwrap();
}

/// Runs until it is told to end.
fn run(bench: &Bench) -> watch::Sender<bool> {
    let (stop, stopped) = watch::channel(false);
    drop(tokio::spawn(Arc::clone(&bench.engine).run(stopped)));
    stop
}

async fn kill(bench: &Bench, lease: LeaseId) {
    let scope = Scope::Lease(lease);
    let order =
        bench
            .engine
            .kills()
            .draft(scope, RoleFilter::Both, "drill".to_owned(), Actor::Local);
    bench.engine.kills().engage(order.unwrap()).await;
}

async fn until(condition: impl Fn() -> bool) {
    while !condition() {
        tokio::time::sleep(LOOK).await;
    }
}

#[tokio::test(start_paused = true)]
async fn s47_a_kill_does_not_wait_for_a_look_through_the_target_that_hangs() {
    for hang in [
        FakeProvider::hang_when_looked_through,
        FakeProvider::hang_when_told_to_remember,
    ] {
        let bench = bench(world::CHARTER).await;
        let lease = mint(&bench).await;
        hang(&bench.provider);
        let stop = run(&bench);
        until(|| bench.provider.hanging() == 1).await;
        kill(&bench, lease).await;
        let dead = until(|| bench.provider.live().is_empty());
        assert!(tokio::time::timeout(CONDITION_WAIT, dead).await.is_ok());
        stop.send(true).unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn s47_a_kill_does_not_wait_for_a_check_that_hangs() {
    let bench = bench(world::CHARTER).await;
    let (first, second) = (mint(&bench).await, mint(&bench).await);
    bench.provider.check(Check::Hangs);
    let _stop = run(&bench);
    kill(&bench, first).await;
    until(|| bench.provider.hanging() == 1).await;
    assert_eq!(bench.provider.live(), [second].into());
    kill(&bench, second).await;
    let dead = until(|| bench.provider.live().is_empty());
    assert!(tokio::time::timeout(CONDITION_WAIT, dead).await.is_ok());
}

/// Nor for others whose calls hang until all of the time of a round is over.
#[tokio::test]
async fn s47_leases_whose_calls_hang_do_not_keep_others_from_being_killed() {
    let charter = world::CHARTER.replace("live_leases: 5", "live_leases: 50");
    let bench = bench(&charter.replace("count: 30", "count: 50")).await;
    for _ in 0..40 {
        mint(&bench).await;
    }
    bench.provider.revocations(RevokeFault::Crowded);
    let scope = Scope::Task(bench.task);
    let by = (RoleFilter::Both, "drill".to_owned(), Actor::Local);
    let order = bench.engine.kills().draft(scope, by.0, by.1, by.2);
    bench.engine.kills().engage(order.unwrap()).await;
    bench.engine.kills().sweep_orders().await;
    let hanging: std::collections::BTreeSet<LeaseId> =
        bench.provider.live().into_iter().take(16).collect();
    // Less in all than the leases live.
    for _ in 0..50 {
        bench.engine.revoker().revoke_round(&bench.target).await;
        bench.clock.advance(Duration::from_secs(10));
    }
    assert_eq!(bench.provider.live(), hanging);
}

/// A document is written for all of them.
#[tokio::test(start_paused = true)]
async fn s26_releases_that_come_together_are_one_write_and_a_kill_waits_for_none() {
    const RELEASES: usize = 4;
    let bench = bench(world::CHARTER).await;
    let mut leases = Vec::new();
    for _ in 0..=RELEASES {
        leases.push(mint(&bench).await);
    }
    let killed = leases.pop().unwrap();
    let _stop = run(&bench);
    // What a start looks after is over.
    tokio::time::sleep(CONDITION_WAIT).await;
    let before = bench.provider.revocations_asked();
    for lease in leases {
        release(&bench, lease).await;
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    until(|| bench.provider.live().len() == 1).await;
    let writes = bench.provider.revocations_asked() - before;
    assert!(writes <= RELEASES / 2, "{writes} writes");
    // While something is gathered.
    let again = mint(&bench).await;
    release(&bench, again).await;
    tokio::time::sleep(LOOK).await;
    kill(&bench, killed).await;
    let dead = until(|| bench.provider.live().is_empty());
    let at_once = tokio::time::timeout(Duration::from_secs(1), dead).await;
    assert!(at_once.is_ok());
}
