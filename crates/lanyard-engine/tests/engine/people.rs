//! People: who counts, for how long, and how often they may be asked.

use std::time::Duration;

use lanyard_core::approval::{ConsentError, Unusable};
use lanyard_core::identity::Operator;
use lanyard_core::ledger::CommitError;
use lanyard_core::plan::Plan;
use lanyard_core::state::Refusal;
use lanyard_engine::mint::IssueError;
use lanyard_testkit::world;

use crate::common::{Bench, apply, approve, bench, person, submit};

async fn two_people() -> Bench {
    let charter = world::CHARTER.replace("role: apply, environment: production", "role: apply");
    bench(&format!("{charter}\n")).await
}

async fn why_not(bench: &Bench, plan: &Plan) -> Unusable {
    match apply(bench, plan.id).await {
        Err(IssueError::ApprovalNeeded { why, .. }) => why,
        Err(IssueError::Commit(CommitError::Refused(Refusal::NotApproved { why, .. }))) => why,
        other => panic!("{other:?}"),
    }
}

// T22
#[tokio::test]
async fn whoever_loses_the_right_counts_no_more_also_after_a_crash() {
    let bench = two_people().await;
    let plan = submit(&bench).await.unwrap();
    approve(&bench, &plan, "one").await.unwrap();
    approve(&bench, &plan, "two").await.unwrap();
    let left = Operator {
        groups: ["sales".to_owned()].into(),
        roles: [].into(),
        ..person("two")
    };
    bench.engine.recognize(&left).await.unwrap();
    let missing = Unusable::Pending {
        given: 1,
        needed: 2,
    };
    assert_eq!(why_not(&bench, &plan).await, missing);
    let bench = bench.restarted();
    assert_eq!(why_not(&bench, &plan).await, missing);
    // Another person takes the place.
    approve(&bench, &plan, "three").await.unwrap();
    apply(&bench, plan.id).await.unwrap();
}

#[tokio::test]
async fn a_yes_can_be_taken_back_until_it_is_used() {
    let bench = two_people().await;
    let plan = submit(&bench).await.unwrap();
    let approval = plan.approval.unwrap();
    let stranger = bench
        .engine
        .withdraw(approval, person("one").identity, "x".into());
    assert!(matches!(
        stranger.await,
        Err(CommitError::Refused(Refusal::Unknown(_)))
    ));
    approve(&bench, &plan, "one").await.unwrap();
    approve(&bench, &plan, "two").await.unwrap();
    let withdrawn = bench
        .engine
        .withdraw(approval, person("two").identity, "a second look".into());
    withdrawn.await.unwrap();
    let missing = Unusable::Pending {
        given: 1,
        needed: 2,
    };
    assert_eq!(why_not(&bench, &plan).await, missing);
    approve(&bench, &plan, "three").await.unwrap();
    apply(&bench, plan.id).await.unwrap();
}

#[tokio::test]
async fn t20_an_approval_is_of_its_own_task_for_its_own_time_and_one_lease_at_once() {
    let bench = two_people().await;
    let plan = submit(&bench).await.unwrap();
    approve(&bench, &plan, "one").await.unwrap();
    approve(&bench, &plan, "two").await.unwrap();

    // The same agent in another task of the same charter.
    let ask = lanyard_engine::tasks::OpenTask {
        version: None,
        under: None,
        charter: bench.charters.all().first().unwrap().name.clone(),
        environment: world::name("staging"),
        reason: "another run".to_owned(),
        ticket: None,
        sponsor: None,
        request: None,
    };
    let other = bench.engine.open_task(&world::agent(), ask).await.unwrap();
    let elsewhere = crate::common::Bench {
        task: other.id,
        ..bench
    };
    assert!(apply(&elsewhere, plan.id).await.is_err());

    let bench = crate::common::Bench {
        task: plan.task,
        ..elsewhere
    };
    apply(&bench, plan.id).await.unwrap();
    assert!(matches!(why_not(&bench, &plan).await, Unusable::Busy(_)));

    let late = submit(&bench).await.unwrap();
    approve(&bench, &late, "one").await.unwrap();
    approve(&bench, &late, "two").await.unwrap();
    bench.clock.advance(Duration::from_secs(3600));
    assert!(matches!(why_not(&bench, &late).await, Unusable::Expired(_)));
}

// T23
#[tokio::test]
async fn an_agent_that_asks_too_often_waits() {
    let charter = world::CHARTER.replace("role: apply, environment: production", "role: apply");
    let limited = charter.replace(
        "    live_leases: 5\n",
        "    live_leases: 5\n    approval_requests: {open: 2, cooldown: 5m}\n",
    );
    assert_ne!(charter, limited);
    let bench = bench(&limited).await;
    let first = submit(&bench).await.unwrap();
    submit(&bench).await.unwrap();
    let third = submit(&bench).await;
    let Err(IssueError::Commit(CommitError::Refused(Refusal::TooManyRequests { most: 2, .. }))) =
        third
    else {
        panic!("{third:?}");
    };
    let no = bench
        .engine
        .reject(first.approval.unwrap(), person("one"), "not today".into());
    no.await.unwrap();
    assert_eq!(
        why_not(&bench, &first).await,
        Unusable::Denied("not today".into())
    );
    let cooling = submit(&bench).await;
    assert!(
        matches!(
            cooling,
            Err(IssueError::Commit(CommitError::Refused(
                Refusal::CoolingDown { .. }
            )))
        ),
        "{cooling:?}"
    );
    bench.clock.advance(Duration::from_secs(301));
    submit(&bench).await.unwrap();
}

// T19
#[tokio::test]
async fn neither_the_same_person_twice_nor_somebody_of_another_group() {
    let bench = two_people().await;
    let plan = submit(&bench).await.unwrap();
    approve(&bench, &plan, "one").await.unwrap();
    let again = approve(&bench, &plan, "one").await;
    assert_eq!(
        again,
        Err(CommitError::Refused(Refusal::Consent(ConsentError::Twice)))
    );
}
