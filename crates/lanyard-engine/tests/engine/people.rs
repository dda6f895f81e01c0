//! People: who counts, for how long, and how often they may be asked.

use std::time::Duration;

use lanyard_charter::plan::PlanFormat;
use lanyard_core::action::{Outcome, Report, Reporter};
use lanyard_core::approval::{ConsentError, Unusable};
use lanyard_core::command::Command;
use lanyard_core::kill::Actor;
use lanyard_core::ledger::CommitError;
use lanyard_core::plan::Plan;
use lanyard_core::state::{Refusal, Unusual};
use lanyard_engine::mint::IssueError;
use lanyard_engine::plans::Proposal;
use lanyard_engine::tasks::OpenTask;
use lanyard_testkit::clock::ManualClock;
use lanyard_testkit::world;
use lanyard_vocabulary::id::ActionId;
use lanyard_vocabulary::operator::Operator;
use lanyard_vocabulary::scope::{RoleFilter, Scope};

use crate::common::{Bench, apply, approve, bench, person, submit, submitted};

async fn two_people() -> Bench {
    let charter = world::CHARTER.replace("role: apply, environment: production", "role: apply");
    bench(&format!("{charter}\n")).await
}

async fn why_not(bench: &Bench, plan: &Plan) -> Unusable {
    match apply(bench, plan.id).await.map_err(IssueError::cause) {
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
    bench.engine.approvals().recognize(&left).await.unwrap();
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
    // Whose yes counted is in the record of the decision, and not whoever said yes.
    let records = bench.ledger.records();
    let mut begun = records.iter().filter_map(|record| {
        let command = lanyard_records::decode(record).unwrap().command;
        let Command::BeginMint(intent) = command else {
            return None;
        };
        Some(intent.approved_by)
    });
    let counted = [person("one").identity, person("three").identity];
    assert_eq!(begun.next(), Some(counted.to_vec()));
}

#[tokio::test]
async fn a_yes_can_be_taken_back_until_it_is_used() {
    let bench = two_people().await;
    let plan = submit(&bench).await.unwrap();
    let approval = plan.approval.unwrap();
    let stranger = bench
        .engine
        .approvals()
        .withdraw(approval, person("one").identity, "x".into());
    assert!(matches!(
        stranger.await,
        Err(CommitError::Refused(Refusal::Unknown(_)))
    ));
    approve(&bench, &plan, "one").await.unwrap();
    approve(&bench, &plan, "two").await.unwrap();
    let withdrawn =
        bench
            .engine
            .approvals()
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
        request: None,
    };
    let other = bench
        .engine
        .tasks()
        .open(&world::caller(), ask)
        .await
        .unwrap();
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
    let third = submit(&bench).await.map_err(IssueError::cause);
    let Err(IssueError::Commit(CommitError::Refused(Refusal::TooManyRequests { most: 2, .. }))) =
        third
    else {
        panic!("{third:?}");
    };
    let no =
        bench
            .engine
            .approvals()
            .reject(first.approval.unwrap(), person("one"), "not today".into());
    no.await.unwrap();
    assert_eq!(
        why_not(&bench, &first).await,
        Unusable::Denied("not today".into())
    );
    let cooling = submit(&bench).await.map_err(IssueError::cause);
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

/// The unusual approvals that the engine counted.
fn unusual(bench: &Bench) -> Vec<(Unusual, u64)> {
    bench
        .engine
        .activity()
        .numbers()
        .unusual
        .into_iter()
        .collect()
}

#[tokio::test]
async fn an_approval_within_seconds_or_outside_the_hours_is_counted_as_unusual() {
    let charter = world::CHARTER.replace("role: apply, environment: production", "role: apply");
    // The clock of the tests begins on Friday, the 15th of January 2027, at 08:00.
    let hours = r#"  hours: {zone: UTC, days: [fri], from: "07:00", to: "08:30", outside: require-approval}"#;
    let bench = bench(&format!("{charter}{hours}\n")).await;
    let wait = |seconds| bench.clock.advance(Duration::from_secs(seconds));

    let read = submit(&bench).await.unwrap();
    wait(10);
    approve(&bench, &read, "one").await.unwrap();
    approve(&bench, &read, "two").await.unwrap();
    assert_eq!(unusual(&bench), []);

    let unread = submit(&bench).await.unwrap();
    wait(9);
    approve(&bench, &unread, "one").await.unwrap();
    assert_eq!(unusual(&bench), [(Unusual::InSeconds, 1)]);
    // An approval that is refused is not given.
    approve(&bench, &unread, "one").await.unwrap_err();
    assert_eq!(unusual(&bench), [(Unusual::InSeconds, 1)]);

    wait(1800);
    approve(&bench, &unread, "two").await.unwrap();
    let both = [(Unusual::InSeconds, 1), (Unusual::OutsideHours, 1)];
    assert_eq!(unusual(&bench), both);
}

#[tokio::test]
async fn the_fifth_yes_of_one_person_to_one_agent_within_an_hour_is_counted_as_unusual() {
    let bench = two_people().await;
    let wait = |seconds| bench.clock.advance(Duration::from_secs(seconds));
    for number in 1..=5 {
        let plan = submit(&bench).await.unwrap();
        wait(60);
        // Another person's approvals are counted apart.
        if number > 1 {
            approve(&bench, &plan, "two").await.unwrap();
        }
        assert_eq!(unusual(&bench), []);
        approve(&bench, &plan, "one").await.unwrap();
    }
    assert_eq!(unusual(&bench), [(Unusual::InARow, 1)]);
    wait(3600);
    let later = submit(&bench).await.unwrap();
    wait(60);
    approve(&bench, &later, "one").await.unwrap();
    assert_eq!(unusual(&bench), [(Unusual::InARow, 1)]);
}

/// At most two requests of an agent wait.
async fn two_requests() -> Bench {
    let charter = world::CHARTER.replace("role: apply, environment: production", "role: apply");
    let limited = charter.replace(
        "    live_leases: 5\n",
        "    live_leases: 5\n    approval_requests: {open: 2, cooldown: 5m}\n",
    );
    bench(&limited).await
}

async fn submit_and_close(bench: &Bench) -> Result<Plan, IssueError> {
    let ask = OpenTask {
        version: None,
        under: None,
        charter: world::name("payments-terraform"),
        environment: world::name("staging"),
        reason: "again".to_owned(),
        ticket: None,
        request: None,
    };
    let task = bench
        .engine
        .tasks()
        .open(&world::caller(), ask)
        .await
        .unwrap();
    let proposal = Proposal {
        task: task.id,
        grant: world::name("restart"),
        format: Some(PlanFormat::Text),
        summary: "restart".to_owned(),
        destructive: [].into(),
    };
    let plan = submitted(bench, &world::caller(), proposal).await;
    bench.engine.tasks().close(task.id).await.unwrap();
    plan
}

// T23
#[tokio::test]
async fn s14_to_open_submit_and_close_again_and_again_asks_no_more_people_than_to_leave_it_open() {
    let bench = two_requests().await;
    for _ in 0..2 {
        submit_and_close(&bench).await.unwrap();
    }
    let third = submit_and_close(&bench).await.map_err(IssueError::cause);
    assert!(
        matches!(
            third,
            Err(IssueError::Commit(CommitError::Refused(
                Refusal::TooManyRequests { waiting: 2, .. }
            )))
        ),
        "{third:?}"
    );
    let bench = bench.restarted();
    assert!(
        submit_and_close(&bench).await.is_err(),
        "after a restart too"
    );
    // The places are free when the tasks would have ended by themselves.
    bench.clock.advance(Duration::from_secs(2 * 3600 + 1));
    submit_and_close(&bench).await.unwrap();
}

async fn waiting(bench: &Bench) -> usize {
    let now = bench.clock.now();
    let waiting = bench.engine.context().query(|state| {
        let approvals = state.approvals(None);
        approvals.filter(|it| state.is_waiting(it, now)).count()
    });
    waiting.await.unwrap()
}

#[tokio::test]
async fn s14_a_request_of_a_task_that_is_over_is_void() {
    let bench = two_people().await;
    let plan = submit(&bench).await.unwrap();
    approve(&bench, &plan, "one").await.unwrap();
    assert_eq!(waiting(&bench).await, 1);
    bench.engine.tasks().close(bench.task).await.unwrap();
    assert_eq!(waiting(&bench).await, 0);
    let over = Err(CommitError::Refused(Refusal::Consent(
        ConsentError::TaskEnded(bench.task),
    )));
    assert_eq!(approve(&bench, &plan, "two").await, over);
    let no = bench
        .engine
        .approvals()
        .reject(plan.approval.unwrap(), person("two"), "no".into());
    assert_eq!(no.await, over);
}

#[tokio::test]
async fn s14_a_request_of_a_task_whose_time_is_up_or_that_was_killed_is_void() {
    let bench = two_people().await;
    let plan = submit(&bench).await.unwrap();
    let order = bench.engine.kills().draft(
        Scope::Environment(world::name("staging")),
        RoleFilter::ApplyOnly,
        "drill".into(),
        Actor::Local,
    );
    bench.engine.kills().engage(order.unwrap()).await;
    let killed = Err(CommitError::Refused(Refusal::Consent(ConsentError::Killed)));
    assert_eq!(approve(&bench, &plan, "one").await, killed);
    assert_eq!(waiting(&bench).await, 0);

    let bench = two_people().await;
    let plan = submit(&bench).await.unwrap();
    bench.clock.advance(Duration::from_secs(2 * 3600 + 1));
    assert_eq!(
        approve(&bench, &plan, "one").await,
        Err(CommitError::Refused(Refusal::Consent(
            ConsentError::TaskEnded(bench.task)
        )))
    );
}

/// Somebody as a login at this minute shows it.
fn at(name: &str, groups: &[&str], minute: u64) -> Operator {
    Operator {
        groups: groups.iter().map(|&group| group.to_owned()).collect(),
        vouched: Some(ManualClock::START + Duration::from_secs(60 * minute)),
        ..person(name)
    }
}

// T22
#[tokio::test]
async fn s37_an_older_session_does_not_bring_back_groups_that_a_newer_login_lost() {
    let bench = two_people().await;
    let plan = submit(&bench).await.unwrap();
    let approval = plan.approval.unwrap();
    let older = at("one", &["platform"], 1);
    bench.engine.approvals().recognize(&older).await.unwrap();
    bench
        .engine
        .approvals()
        .approve(approval, plan.digest, older.clone(), "seen".into())
        .await
        .unwrap();
    approve(&bench, &plan, "two").await.unwrap();
    let newer = Operator {
        roles: [].into(),
        ..at("one", &["sales"], 2)
    };
    bench.engine.approvals().recognize(&newer).await.unwrap();
    let missing = Unusable::Pending {
        given: 1,
        needed: 2,
    };
    assert_eq!(why_not(&bench, &plan).await, missing);
    // The session of before is still good; its groups are not.
    bench.engine.approvals().recognize(&older).await.unwrap();
    assert_eq!(why_not(&bench, &plan).await, missing);
    let bench = bench.restarted();
    bench.engine.approvals().recognize(&older).await.unwrap();
    assert_eq!(why_not(&bench, &plan).await, missing);
    let seen = bench.engine.context().query(|state| state.as_known(&older));
    let seen = seen.await.unwrap();
    assert!(seen.groups.is_empty() && seen.roles.is_empty(), "{seen:?}");
    let second = submit(&bench).await.unwrap();
    let again = bench.engine.approvals().approve(
        second.approval.unwrap(),
        second.digest,
        older,
        "seen".into(),
    );
    assert_eq!(
        again.await,
        Err(CommitError::Refused(Refusal::Consent(
            ConsentError::NotApprover
        )))
    );
    // A login that is newer again counts.
    let newest = at("one", &["platform"], 3);
    bench.engine.approvals().recognize(&newest).await.unwrap();
    let again = bench.engine.approvals().approve(
        second.approval.unwrap(),
        second.digest,
        newest,
        "seen".into(),
    );
    again.await.unwrap();
}

#[tokio::test]
async fn s37_the_same_groups_again_are_no_record_every_time_and_a_stranger_is_none() {
    let bench = two_people().await;
    let size = |bench: &Bench| bench.ledger.records().len();
    let before = size(&bench);
    bench
        .engine
        .approvals()
        .recognize(&at("one", &["platform"], 1))
        .await
        .unwrap();
    assert_eq!(size(&bench), before + 1);
    for minute in 2..6 {
        let same = at("one", &["platform"], minute);
        bench.engine.approvals().recognize(&same).await.unwrap();
    }
    assert_eq!(size(&bench), before + 1);
    bench
        .engine
        .approvals()
        .recognize(&at("one", &["platform"], 7))
        .await
        .unwrap();
    assert_eq!(size(&bench), before + 2);
    for name in 0..100 {
        let stranger = Operator {
            roles: [].into(),
            ..at(&name.to_string(), &["everybody"], 8)
        };
        bench.engine.approvals().recognize(&stranger).await.unwrap();
    }
    assert_eq!(size(&bench), before + 2);
}

#[tokio::test]
async fn s30_a_message_of_a_reporter_is_taken_once_also_by_the_next_process() {
    let bench = two_people().await;
    let report = |action: u128, by: Reporter| Report {
        action: ActionId::from_bits(action),
        task: bench.task,
        lease: None,
        tool: "runbooks".to_owned(),
        name: "restart".to_owned(),
        on: String::new(),
        outcome: Outcome::Failed,
        detail: String::new(),
        by,
        delivery: Some("msg-1".to_owned()),
    };
    let hook = |name: &str| Reporter::Webhook(name.to_owned());
    let one = bench.engine.actions().record(report(1, hook("runbooks")));
    let two = bench.engine.actions().record(report(2, hook("runbooks")));
    let (one, two) = tokio::join!(one, two);
    assert_eq!(u32::from(one.is_ok()) + u32::from(two.is_ok()), 1);
    let first = ActionId::from_bits(if one.is_ok() { 1 } else { 2 });
    bench
        .engine
        .actions()
        .record(report(3, hook("others")))
        .await
        .unwrap();
    let again = report(4, hook("runbooks"));
    let bench = bench.restarted();
    let again = bench.engine.actions().record(again).await;
    assert!(
        matches!(again, Err(CommitError::Refused(Refusal::Exists(_)))),
        "{again:?}"
    );
    let known = bench
        .engine
        .context()
        .query(|state| state.reported_by("runbooks", "msg-1"));
    assert_eq!(known.await.unwrap(), Some(first));
}
