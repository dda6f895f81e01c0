//! Breakers and pauses.

use std::sync::Arc;
use std::time::Duration;

use lanyard_core::checkpoint::JournalCheckpoint;
use lanyard_core::decide::{ReasonCode, Rule};
use lanyard_core::kill::Actor;
use lanyard_core::ledger::CommitError;
use lanyard_core::pause::{Demand, Reach};
use lanyard_core::state::Refusal;
use lanyard_engine::mint::{IssueError, IssueRequest};
use lanyard_engine::pause::PauseRequest;
use lanyard_testkit::fake::MintFault;
use lanyard_testkit::spool::MemorySpool;
use lanyard_testkit::world;
use lanyard_vocabulary::id::LeaseId;
use lanyard_vocabulary::scope::Scope;
use lanyard_vocabulary::seq::Seq;

use crate::common::{Bench, bench, mint_own};

async fn with(breaker: &str) -> Bench {
    bench(&format!("{}  breakers:\n    - {breaker}\n", world::CHARTER)).await
}

fn ask(bench: &Bench, grant: &str) -> IssueRequest {
    IssueRequest {
        task: bench.task,
        grant: world::name(grant),
        ttl: None,
        plan: None,
        request: None,
    }
}

async fn deny(bench: &Bench) {
    let denied = bench
        .engine
        .mints()
        .issue(&world::caller(), &ask(bench, "nothing"))
        .await;
    assert!(matches!(denied, Err(IssueError::Denied { .. })));
}

fn refused(outcome: Result<LeaseId, IssueError>) -> Refusal {
    match outcome.map_err(IssueError::cause) {
        Err(IssueError::Commit(CommitError::Refused(refusal))) => refusal,
        Err(other) => panic!("{other}"),
        Ok(lease) => panic!("{lease} was issued"),
    }
}

#[tokio::test]
async fn t41_three_denials_in_the_window_stop_the_agent_with_the_records_that_say_so() {
    let bench = with("{on: denied, count: 3, within: 10m, then: stop-agent}").await;
    deny(&bench).await;
    deny(&bench).await;
    bench.clock.advance(Duration::from_secs(601));
    deny(&bench).await;
    deny(&bench).await;
    let lease = mint_own(&bench).await.unwrap();
    deny(&bench).await;
    // The ledger holds it up before anybody has answered the trip, and across a crash.
    assert!(matches!(
        refused(mint_own(&bench).await),
        Refusal::Tripped(_)
    ));
    let bench = bench.restarted();
    assert!(matches!(
        refused(mint_own(&bench).await),
        Refusal::Tripped(_)
    ));

    bench.engine.kills().answer_trips().await;
    bench.engine.kills().answer_trips().await;
    let Refusal::Killed(engaged) = refused(mint_own(&bench).await) else {
        panic!("not killed");
    };
    assert!(matches!(engaged.order.scope, Scope::Agent(_)));
    assert!(
        matches!(engaged.order.by, Actor::Breaker { line: 78, .. }),
        "{engaged:?}"
    );
    assert_eq!(engaged.order.evidence.len(), 3);
    let of = &engaged.order.reason;
    assert!(
        of.contains("line 78: 3 denied within 10m per agent: stop-agent, by agent https://")
            && of.contains("terraformer (records "),
        "{of}"
    );
    let report = bench.engine.kills().report(engaged.order.id).await.unwrap();
    assert_eq!(report.unswept, 1, "{lease} dies with it");
    let orders = bench
        .engine
        .context()
        .query(|state| state.kills().iter().count())
        .await;
    assert_eq!(orders.unwrap(), 1, "one trip, one order");
}

/// Kills by people, by systems and by files are tried through the processes that take them.
#[tokio::test]
async fn a_kill_that_the_journal_does_not_take_is_spooled_whoever_gives_it() {
    let spool = Arc::new(MemorySpool::default());
    let bench = with("{on: denied, count: 3, within: 10m, then: stop-agent}").await;
    let bench = bench.with_spool(Arc::clone(&spool) as _);
    for _ in 0..3 {
        deny(&bench).await;
    }
    bench.ledger.die();
    // Tried again, the order of a breaker is the same one.
    bench.engine.kills().answer_trips().await;
    bench.engine.kills().answer_trips().await;
    let ahead = JournalCheckpoint {
        records: Seq(1_000_000),
        epoch: Seq(0),
    };
    assert!(
        bench
            .engine
            .reconciler()
            .stop_on_rollback(ahead, "a witness")
            .await
    );
    let is_journaled = bench
        .engine
        .reconciler()
        .heed_loss("the end of a segment is gone")
        .await;
    assert!(!is_journaled, "a loss is answered by the journal alone");
    let kept = spool.kept();
    let by: Vec<_> = kept.iter().map(|order| &order.by).collect();
    assert!(
        matches!(
            by[..],
            [Actor::Breaker { .. }, Actor::Broker, Actor::Broker]
        ),
        "{by:?}"
    );
    assert_eq!([&kept[1].scope, &kept[2].scope], [&Scope::All, &Scope::All]);
}

#[tokio::test]
async fn what_was_counted_survives_a_restart() {
    let bench = with("{on: minted, count: 3, within: 10m, then: pause}").await;
    mint_own(&bench).await.unwrap();
    mint_own(&bench).await.unwrap();
    let bench = bench.restarted();
    let last = mint_own(&bench).await.unwrap();
    assert!(
        bench.provider.live().contains(&last),
        "a pause revokes nothing"
    );
    bench.engine.kills().answer_trips().await;
    let Refusal::Paused(pause) = refused(mint_own(&bench).await) else {
        panic!("not paused");
    };
    bench
        .engine
        .pauses()
        .resume(pause.id, &world::agent(), "looked at it".into())
        .await
        .unwrap();
    mint_own(&bench).await.unwrap();
}

#[tokio::test]
async fn a_pause_of_a_breaker_ends_by_itself_where_the_charter_says_when() {
    let bench =
        with("{on: provider-error, count: 1, within: 5m, then: pause-target, lasts: 15m}").await;
    bench.provider.next_mint(MintFault::Refuse);
    assert!(matches!(
        mint_own(&bench).await,
        Err(IssueError::Provider(_))
    ));
    bench.engine.kills().answer_trips().await;
    assert!(matches!(
        refused(mint_own(&bench).await),
        Refusal::Paused(_)
    ));
    bench.clock.advance(Duration::from_secs(15 * 60));
    mint_own(&bench).await.unwrap();
}

#[tokio::test]
async fn after_a_trip_that_asks_for_people_nothing_is_given_without_them() {
    let bench = with("{on: new-target, count: 1, within: 1h, then: require-approval}").await;
    mint_own(&bench).await.unwrap();
    bench.engine.kills().answer_trips().await;
    // The answer names the pause with its breaker, and the command that helps.
    let Err(IssueError::Refused { denial, error, .. }) = mint_own(&bench).await else {
        panic!("issued");
    };
    assert!(matches!(*error, IssueError::PlanNeeded(_)));
    assert_eq!(denial.rule, Rule::AwaitsApproval);
    assert_eq!(denial.code(), ReasonCode::ApprovalRequired);
    let says = |text: &str| denial.message.contains(text);
    assert!(
        says("the approval of 1 person: pause H-") && says("1 new-target within 1h"),
        "{denial}"
    );
    assert!(
        denial.next.contains("lanyard plan submit --task T-"),
        "{denial}"
    );
}

#[tokio::test]
async fn an_alert_stops_nothing_and_is_recorded_once() {
    let bench = with("{on: minted, count: 2, within: 10m, then: alert}").await;
    for _ in 0..3 {
        mint_own(&bench).await.unwrap();
        bench.engine.kills().answer_trips().await;
    }
    let is = |record: &&Vec<u8>| lanyard_records::head(record).kind == "alert";
    assert_eq!(bench.ledger.records().iter().filter(is).count(), 1);
}

#[tokio::test]
async fn a_person_pauses_a_reach_and_nothing_beside_it() {
    let bench = bench(world::CHARTER).await;
    let pause = |reach: Reach| {
        let asked = PauseRequest {
            reach,
            demand: Demand::NoIssuance,
            reason: "looking".into(),
            until: None,
        };
        bench.engine.pauses().pause(asked, Actor::Local)
    };
    let other = pause(Reach {
        charter: Some(world::name("payments-terraform")),
        target: Some(world::name("apis")),
        ..Reach::default()
    });
    other.await.unwrap();
    mint_own(&bench).await.unwrap();
    pause(Reach::default()).await.unwrap();
    assert!(matches!(
        refused(mint_own(&bench).await),
        Refusal::Paused(_)
    ));
}

#[tokio::test]
async fn t41_whoever_goes_on_after_a_trip_makes_no_further_orders_and_no_further_pauses() {
    for (then, most) in [
        ("stop-agent", 1),
        ("pause", 1),
        ("require-approval", 1),
        ("alert", 10),
    ] {
        let bench = with(&format!(
            "{{on: denied, count: 2, within: 10m, then: {then}}}"
        ))
        .await;
        for _ in 0..20 {
            // Slowly enough for each denial to be journaled as it comes.
            bench.clock.advance(Duration::from_secs(10));
            deny(&bench).await;
            bench.engine.kills().answer_trips().await;
        }
        let is = |record: &&Vec<u8>| {
            ["kill", "pause", "alert"].contains(&&*lanyard_records::head(record).kind)
        };
        assert_eq!(
            bench.ledger.records().iter().filter(is).count(),
            most,
            "{then}"
        );
    }
}
