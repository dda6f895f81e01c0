//! What ends by itself: a task whose budget is spent, and the tasks of a charter that has ended.

use std::time::Duration;

use lanyard_core::ledger::CommitError;
use lanyard_core::state::Refusal;
use lanyard_engine::mint::{IssueError, IssueRequest};
use lanyard_testkit::fake::RevokeFault;
use lanyard_testkit::world;

use crate::common::{Bench, bench};

async fn with(limits: &str) -> Bench {
    let charter = world::CHARTER.replace("    live_leases: 5\n", limits);
    assert_ne!(charter, world::CHARTER);
    bench(&charter).await
}

async fn read(bench: &Bench) -> Result<lanyard_vocabulary::id::LeaseId, IssueError> {
    let ask = IssueRequest {
        task: bench.task,
        grant: world::name("read-deployments"),
        ttl: None,
        plan: None,
        request: None,
    };
    let issued = bench.engine.mints().issue(&world::caller(), &ask).await?;
    let lease = issued.lease;
    issued
        .release
        .hand_over(|| ())
        .map_err(IssueError::Closed)?;
    Ok(lease)
}

fn is_spent<T: std::fmt::Debug>(outcome: &Result<T, IssueError>) -> bool {
    let Err(IssueError::Refused { error, .. }) = outcome else {
        return false;
    };
    matches!(
        **error,
        IssueError::Commit(CommitError::Refused(Refusal::BudgetSpent { .. }))
    )
}

async fn is_open(bench: &Bench) -> bool {
    let now = bench.engine.clock().now();
    let task = bench.task;
    let asked = bench
        .engine
        .context()
        .query(move |state| state.task(task).map(|it| it.is_open(now)));
    asked.await.unwrap() == Some(true)
}

#[tokio::test]
async fn a_task_closes_itself_when_its_budget_is_spent_and_nothing_is_live() {
    let bench = with("    live_leases: 5\n    budget: {mints: 2, time: 24h}\n").await;
    let one = read(&bench).await.unwrap();
    let two = read(&bench).await.unwrap();
    let third = read(&bench).await;
    assert!(is_spent(&third), "{third:?}");
    bench.engine.expiry().close_tasks().await;
    assert!(is_open(&bench).await, "its leases are in use");
    // A crash gives nothing back.
    let bench = bench.restarted();
    assert!(is_spent(&read(&bench).await));
    for lease in [one, two] {
        let agent = world::agent();
        bench.engine.expiry().release(&agent, lease).await.unwrap();
    }
    bench.engine.expiry().close_tasks().await;
    assert!(!is_open(&bench).await);
}

#[tokio::test]
async fn the_time_of_credentials_adds_up() {
    let bench = with("    live_leases: 5\n    budget: {mints: 100, time: 25m}\n").await;
    read(&bench).await.unwrap();
    read(&bench).await.unwrap();
    // Ten minutes each: the third would be five too long.
    let third = read(&bench).await;
    assert!(is_spent(&third), "{third:?}");
}

#[tokio::test]
async fn the_tasks_of_a_charter_that_has_ended_are_closed_with_their_leases() {
    let charter = format!("{}  expires: 2027-01-15T08:30:00Z\n", world::CHARTER);
    let bench = bench(&charter).await;
    read(&bench).await.unwrap();
    bench.engine.expiry().close_tasks().await;
    assert!(is_open(&bench).await);
    while bench.engine.clock().now().to_string().as_str() < "2027-01-15T08:30:00Z" {
        bench.clock.advance(Duration::from_secs(60));
    }
    bench.engine.expiry().close_tasks().await;
    assert!(!is_open(&bench).await);
    let live = bench
        .engine
        .context()
        .query(|state| state.leases().live())
        .await;
    assert_eq!(live, Ok(0));
}

// T66
#[tokio::test]
async fn what_does_not_end_by_itself_is_in_the_books_until_it_is_dead() {
    let bench = bench(world::CHARTER).await;
    bench.provider.give_without_end();
    let lease = read(&bench).await.unwrap();
    let is_kept = || {
        let found = bench
            .engine
            .context()
            .query(move |state| state.leases().get(lease).is_some());
        async { found.await.unwrap() }
    };
    bench.provider.revocations(RevokeFault::Lost);
    for _ in 0..3 {
        bench.clock.advance(Duration::from_secs(24 * 60 * 60));
        while bench.engine.expiry().expire_due().await {}
        bench.engine.revoker().revoke_round(&bench.target).await;
        bench.engine.expiry().forget_dead().await;
        assert!(is_kept().await);
    }
    bench.provider.revocations(RevokeFault::None);
    bench.clock.advance(Duration::from_secs(24 * 60 * 60));
    bench.engine.revoker().revoke_round(&bench.target).await;
    while bench.engine.expiry().expire_due().await {}
    bench.engine.expiry().forget_dead().await;
    assert!(!is_kept().await);
}

#[tokio::test]
async fn s26_what_a_provider_ends_by_itself_is_not_revoked_and_is_forgotten() {
    let bench = bench(world::CHARTER).await;
    bench.provider.end_by_itself(Duration::from_secs(300));
    let lease = read(&bench).await.unwrap();
    let agent = world::agent();
    // A release long before the end is one.
    let other = read(&bench).await.unwrap();
    bench.engine.expiry().release(&agent, other).await.unwrap();
    bench.engine.revoker().revoke_round(&bench.target).await;
    assert_eq!(bench.provider.revocations_asked(), 1);
    let known = async |lease| {
        let there = bench
            .engine
            .context()
            .query(|state| state.leases().get(lease).is_some());
        there.await.unwrap()
    };
    bench.clock.advance(Duration::from_secs(600));
    bench.engine.expiry().expire_due().await;
    bench.engine.revoker().revoke_round(&bench.target).await;
    bench.engine.revoker().uphold(&bench.target).await;
    assert_eq!(
        bench.provider.revocations_asked(),
        2,
        "the look, and nothing else"
    );
    assert!(known(lease).await, "within the leeway of the provider");
    bench.clock.advance(Duration::from_secs(31));
    bench.engine.expiry().expire_due().await;
    assert!(!known(lease).await);
}

#[tokio::test]
async fn s26_a_kill_is_told_to_the_provider_also_of_what_ends_by_itself() {
    let bench = bench(world::CHARTER).await;
    bench.provider.end_by_itself(Duration::from_secs(3600));
    let lease = read(&bench).await.unwrap();
    let agent = world::agent();
    bench.engine.expiry().release(&agent, lease).await.unwrap();
    bench.engine.revoker().revoke_round(&bench.target).await;
    assert_eq!(bench.provider.revocations_asked(), 0);
    let scope = lanyard_vocabulary::scope::Scope::Lease(lease);
    let draft = bench.engine.kills().draft(
        scope,
        lanyard_vocabulary::scope::RoleFilter::Both,
        "now".to_owned(),
        lanyard_core::kill::Actor::Local,
    );
    let fenced = bench.engine.kills().engage(draft.unwrap()).await;
    bench.engine.kills().sweep_orders().await;
    bench.engine.revoker().revoke_round(&bench.target).await;
    assert_eq!(bench.provider.revocations_asked(), 1);
    let report = bench.engine.kills().report(fenced.order.id).await;
    assert!(report.unwrap().is_confirmed());
}

#[tokio::test]
async fn a_task_whose_revision_is_lost_is_told_so_and_not_that_its_charter_is_not_in_force() {
    let changed = format!("{}# of today\n", world::CHARTER);
    let bench = bench(world::CHARTER).await.restarted_under(&changed);
    let denied = read(&bench).await.unwrap_err().to_string();
    assert!(
        denied.contains("that the task was opened under is lost"),
        "{denied}"
    );
    assert!(
        denied.contains("close the task and open another one"),
        "{denied}"
    );
    assert!(!denied.contains("in force for you"), "{denied}");
}
