//! Refusals as decisions: what holds up a request that the charter allows is in the journal, with
//! an id and a code.

use std::time::Duration;

use lanyard_core::command::Command;
use lanyard_core::decide::{Denial, ReasonCode, Rule};
use lanyard_core::kill::Actor;
use lanyard_core::pause::{Demand, Reach};
use lanyard_engine::activity::{ALLOWED, Answer, Request};
use lanyard_engine::mint::{IssueError, IssueRequest};
use lanyard_engine::pause::PauseRequest;
use lanyard_engine::tasks::{OpenTask, TaskError};
use lanyard_testkit::world;
use lanyard_vocabulary::agent::AgentName;
use lanyard_vocabulary::caller::Caller;
use lanyard_vocabulary::id::DecisionId;
use lanyard_vocabulary::identity::Identity;
use lanyard_vocabulary::scope::{RoleFilter, Scope};
use lanyard_vocabulary::time::Timestamp;

use crate::common::{Bench, apply, approve, bench, mint, mint_own, person, submit};

/// The charter with another line in place of one of its own.
fn charter(line: &str, other: &str) -> String {
    let changed = world::CHARTER.replace(line, other);
    assert_ne!(changed, world::CHARTER, "{line}");
    changed
}

fn denials(bench: &Bench) -> Vec<(DecisionId, Option<String>, Denial)> {
    let records = bench.ledger.records();
    let records = records.iter().filter_map(|record| {
        let Command::Deny {
            decision,
            environment,
            denial,
            ..
        } = lanyard_records::decode(record).unwrap().command
        else {
            return None;
        };
        Some((decision, environment.map(|name| name.to_string()), denial))
    });
    records.collect()
}

/// The decision of a refusal, which has to be the newest of the journal.
fn recorded<T>(bench: &Bench, outcome: Result<T, IssueError>) -> Denial {
    let Err(IssueError::Refused {
        decision, denial, ..
    }) = outcome
    else {
        panic!("not refused as a decision");
    };
    let last = denials(bench).pop().unwrap();
    assert_eq!((last.0, &last.2), (decision, &*denial));
    assert_eq!(last.1.as_deref(), Some("staging"));
    *denial
}

fn limit(denial: &Denial) -> (&str, &str) {
    let limit = denial.limit.as_ref().unwrap();
    (&limit.name, &limit.value)
}

#[tokio::test]
async fn u03_a_refusal_by_quota_is_a_decision_with_its_limit_and_the_time_that_frees_it() {
    let bench = bench(&charter("live_leases: 5", "live_leases: 2")).await;
    mint_own(&bench).await.unwrap();
    bench.clock.advance(Duration::from_secs(60));
    mint_own(&bench).await.unwrap();
    let now = bench.clock.now();
    let denial = recorded(&bench, mint_own(&bench).await);
    assert_eq!(
        (denial.rule, denial.code()),
        (Rule::Quota, ReasonCode::LiveLeases)
    );
    assert_eq!(limit(&denial), ("limits.live_leases", "2"));
    // The first of the two ends nine minutes from now.
    assert_eq!(denial.retry_after, Some(now + Duration::from_secs(540)));
    assert!(denial.next.contains("lanyard lease release"), "{denial}");
    bench.clock.advance(Duration::from_secs(540));
    bench.engine.expiry().expire_due().await;
    mint_own(&bench).await.unwrap();
}

#[tokio::test]
async fn u23_the_leases_of_every_identity_of_an_agent_say_when_the_first_of_them_ends() {
    let second = Identity {
        subject: "agent:second".to_owned(),
        ..world::agent()
    };
    let both = "      subject: agent:terraformer\n    - issuer: https://agents.acme.example\n      subject: agent:second\n";
    let text = charter("live_leases: 5", "live_leases: 2");
    let text = text.replace("      subject: agent:terraformer\n", both);
    let name = || AgentName("terraformer".to_owned());
    let named = [(world::agent(), name()), (second.clone(), name())].into();
    let bench = bench(&text).await.restarted_with(named);
    let mut tasks = Vec::new();
    for who in [world::agent(), second.clone()] {
        let open = OpenTask {
            charter: world::name("payments-terraform"),
            environment: world::name("staging"),
            reason: "a run".to_owned(),
            ticket: None,
            version: None,
            under: None,
            request: None,
        };
        tasks.push(
            bench
                .engine
                .tasks()
                .open(&Caller::unproved(&who), open)
                .await
                .unwrap()
                .id,
        );
    }
    let [one, two] = tasks.as_slice() else {
        panic!("two tasks");
    };
    let first = mint(&bench, &world::agent(), *one).await.unwrap();
    bench.clock.advance(Duration::from_secs(60));
    mint(&bench, &second, *two).await.unwrap();
    let now = bench.clock.now();
    let denial = recorded(&bench, mint(&bench, &second, *two).await);
    assert_eq!(denial.code(), ReasonCode::LiveLeases);
    let frees = Some(now + Duration::from_secs(540));
    assert_eq!(
        denial.retry_after, frees,
        "the other identity's lease ends first"
    );
    // What is given back holds nobody up; what is left ends later.
    let owner = world::agent();
    bench.engine.expiry().release(&owner, first).await.unwrap();
    mint(&bench, &second, *two).await.unwrap();
    let denial = recorded(&bench, mint(&bench, &second, *two).await);
    assert_eq!(denial.retry_after, Some(now + Duration::from_secs(600)));
}

#[tokio::test]
async fn u23_to_look_whether_a_credential_would_be_issued_takes_no_lease_and_sees_limits_and_orders()
 {
    let bench = bench(&charter("live_leases: 5", "live_leases: 1")).await;
    let ask = IssueRequest {
        task: bench.task,
        grant: world::name("read-deployments"),
        ttl: None,
        plan: None,
        request: None,
    };
    for _ in 0..3 {
        bench
            .engine
            .mints()
            .validate(&world::caller(), &ask)
            .await
            .unwrap();
    }
    mint_own(&bench).await.unwrap();
    let denial = recorded(
        &bench,
        bench.engine.mints().validate(&world::caller(), &ask).await,
    );
    assert_eq!(denial.code(), ReasonCode::LiveLeases);
    let order =
        bench
            .engine
            .kills()
            .draft(Scope::All, RoleFilter::Both, "stop".into(), Actor::Local);
    bench.engine.kills().engage(order.unwrap()).await;
    let denial = recorded(
        &bench,
        bench.engine.mints().validate(&world::caller(), &ask).await,
    );
    assert_eq!(denial.code(), ReasonCode::Killed);
}

#[tokio::test]
async fn u23_a_rate_names_its_number_and_when_it_frees() {
    let bench = bench(&charter(
        "mints: {count: 30, per: 1h}",
        "mints: {count: 1, per: 1h}",
    ))
    .await;
    let first = bench.clock.now();
    mint_own(&bench).await.unwrap();
    bench.clock.advance(Duration::from_secs(5));
    let denial = recorded(&bench, mint_own(&bench).await);
    assert_eq!(denial.code(), ReasonCode::MintRate);
    assert_eq!(limit(&denial), ("limits.mints", "1 per 1h"));
    assert_eq!(denial.retry_after, Some(first + Duration::from_secs(3600)));
    assert!(denial.next.starts_with("wait until 20"), "{denial}");
}

#[tokio::test]
async fn u03_a_pause_and_a_kill_are_decisions_of_tasks_and_of_credentials() {
    let bench = bench(world::CHARTER).await;
    let until = bench.clock.now() + Duration::from_secs(900);
    let pause = PauseRequest {
        reach: Reach::default(),
        demand: Demand::NoIssuance,
        reason: "looking".into(),
        until: Some(until),
    };
    bench
        .engine
        .pauses()
        .pause(pause, Actor::Local)
        .await
        .unwrap();
    let denial = recorded(&bench, mint_own(&bench).await);
    assert_eq!(
        (denial.rule, denial.code()),
        (Rule::Pause, ReasonCode::Paused)
    );
    assert_eq!(denial.retry_after, Some(until));
    let open = OpenTask {
        charter: world::name("payments-terraform"),
        environment: world::name("staging"),
        reason: "another".to_owned(),
        ticket: None,
        version: None,
        under: None,
        request: None,
    };
    let refused = bench.engine.tasks().open(&world::caller(), open).await;
    let Err(TaskError::Refused { denial, .. }) = refused else {
        panic!("{refused:?}");
    };
    assert_eq!(denial.code(), ReasonCode::Paused);
    bench.clock.advance(Duration::from_secs(900));
    let order = bench.engine.kills().draft(
        Scope::Task(bench.task),
        RoleFilter::Both,
        "stop".into(),
        Actor::Local,
    );
    bench.engine.kills().engage(order.unwrap()).await;
    let denial = recorded(&bench, mint_own(&bench).await);
    assert_eq!(
        (denial.rule, denial.code()),
        (Rule::Kill, ReasonCode::Killed)
    );
    assert_eq!(denial.retry_after, None, "people lift an order");
    assert_eq!(denials(&bench).len(), 3);
    // Every one is counted for whoever watches.
    let answers = bench.engine.activity().numbers().answers;
    let count = |request: Request, code: ReasonCode| {
        let is = |of: &Answer| of.request == request && of.code == code.as_str();
        let mut of = answers.iter().filter(|(of, _)| is(of));
        of.next().map(|(of, count)| (of.outcome, *count))
    };
    let one = Some(("refused", 1));
    assert_eq!(count(Request::Task, ReasonCode::Paused), one);
    assert_eq!(count(Request::Credential, ReasonCode::Paused), one);
    assert_eq!(count(Request::Credential, ReasonCode::Killed), one);
    let opened = answers.keys().find(|of| of.code == ALLOWED);
    assert!(opened.is_some_and(|of| of.request == Request::Task && of.outcome == "allowed"));
}

#[tokio::test]
async fn u03_a_missing_approval_is_a_decision_that_says_what_is_missing() {
    let bench = bench(&charter(
        "role: apply, environment: production",
        "role: apply",
    ))
    .await;
    let plan = submit(&bench).await.unwrap();
    let denial = recorded(&bench, apply(&bench, plan.id).await);
    assert_eq!(
        (denial.rule, denial.code()),
        (Rule::AwaitsApproval, ReasonCode::ApprovalPending)
    );
    assert!(denial.message.contains("0 of 2 approvals"), "{denial}");
    approve(&bench, &plan, "one").await.unwrap();
    let id = plan.approval.unwrap();
    let no = bench
        .engine
        .approvals()
        .reject(id, person("two"), "not today".into());
    no.await.unwrap();
    let denial = recorded(&bench, apply(&bench, plan.id).await);
    assert_eq!(denial.code(), ReasonCode::ApprovalDenied);
    let denial = recorded(&bench, submit(&bench).await);
    assert_eq!(denial.code(), ReasonCode::CoolingDown);
    assert_eq!(limit(&denial), ("limits.approval_requests.cooldown", "1m"));
    assert!(denial.retry_after.is_some());
}

#[tokio::test]
async fn u03_whoever_is_held_up_trips_no_breaker_of_denials() {
    let breakers = "  breakers:\n    - {on: denied, count: 3, within: 10m, then: stop-agent}\n";
    let text = charter("live_leases: 5", "live_leases: 1");
    let bench = bench(&format!("{text}{breakers}")).await;
    mint_own(&bench).await.unwrap();
    for _ in 0..10 {
        assert_eq!(
            recorded(&bench, mint_own(&bench).await).code(),
            ReasonCode::LiveLeases
        );
    }
    let tripped = bench.engine.context().query(|state| state.tripped().len());
    assert_eq!(tripped.await.unwrap(), 0);
}

#[tokio::test]
async fn u03_a_flood_of_refusals_fills_no_journal() {
    let bench = bench(&charter("live_leases: 5", "live_leases: 1")).await;
    mint_own(&bench).await.unwrap();
    let before = bench.ledger.records().len();
    for _ in 0..5000 {
        // Each has an id all the same.
        let refused = mint_own(&bench).await;
        assert!(matches!(refused, Err(IssueError::Refused { .. })));
    }
    let after = bench.ledger.records().len();
    assert!(after - before < 80, "{} records", after - before);
    let answers = bench.engine.activity().numbers().answers;
    let mut of = answers.iter().filter(|(of, _)| of.code == "LIVE_LEASES");
    assert_eq!(of.next().map(|(_, count)| *count), Some(5000));
    bench.clock.advance(Duration::from_secs(60));
    bench.engine.requests().settle_denials(false).await;
    let records = bench.ledger.records();
    let mut told = 0;
    for record in records.iter().skip(before) {
        let command = lanyard_records::decode(record).unwrap().command;
        if let Command::DenialsSuppressed { count, rule, .. } = command {
            assert_eq!(rule, Rule::Quota);
            told += count;
        } else if matches!(command, Command::Deny { .. }) {
            told += 1;
        }
    }
    assert_eq!(told, 5000, "none is lost");
}

#[tokio::test]
async fn u05_a_read_outside_the_hours_names_the_hours_and_the_command() {
    let hours = "  hours: {zone: Etc/UTC, days: [mon, tue, wed, thu, fri, sat, sun], from: \"FROM\", to: \"TO\", outside: \
                 require-approval}\n";
    // The bench begins at eight in the morning.
    let hours = hours.replace("FROM", "09:00").replace("TO", "10:00");
    let bench = bench(&format!("{}{hours}", world::CHARTER)).await;
    let denial = recorded(&bench, mint_own(&bench).await);
    assert_eq!(
        (denial.rule, denial.code()),
        (Rule::AwaitsApproval, ReasonCode::ApprovalRequired)
    );
    let says = |text: &str| denial.message.contains(text);
    assert!(
        says("grant `read-deployments` in staging") && says("09:00 to 10:00 Etc/UTC"),
        "{denial}"
    );
    assert!(denial.at.is_some_and(|at| at.line > 70), "{denial}");
    let opens = Timestamp::from_secs(1_800_000_000 + 3600);
    assert_eq!(denial.retry_after, Some(opens));
    assert!(
        denial.next.contains("--grant read-deployments")
            && denial.next.contains("or wait until 2027"),
        "{denial}"
    );
    bench.clock.advance(Duration::from_secs(3600));
    mint_own(&bench).await.unwrap();
}

#[tokio::test]
async fn u22_hours_that_deny_say_when_they_begin() {
    let hours = "  hours: {zone: Etc/UTC, days: [mon, tue, wed, thu, fri, sat, sun], from: \"09:00\", to: \"10:00\", outside: deny}\n";
    let bench = bench(&format!("{}{hours}", world::CHARTER)).await;
    let Err(IssueError::Denied { denial, .. }) = mint_own(&bench).await else {
        panic!("issued");
    };
    assert_eq!(denial.code(), ReasonCode::OutOfHours);
    assert!(denial.code().is_for_now());
    assert_eq!(
        denial.retry_after,
        Some(Timestamp::from_secs(1_800_000_000 + 3600))
    );
}

#[tokio::test]
async fn u20_whoever_asked_takes_a_request_back_and_nothing_comes_of_it() {
    let bench = bench(&charter(
        "role: apply, environment: production",
        "role: apply",
    ))
    .await;
    let plan = submit(&bench).await.unwrap();
    let id = plan.approval.unwrap();
    for name in ["one", "two"] {
        approve(&bench, &plan, name).await.unwrap();
    }
    let who = world::agent();
    let taken = bench
        .engine
        .approvals()
        .take_back(id, who.clone(), "another plan".into());
    taken.await.unwrap().unwrap();
    let denial = recorded(&bench, apply(&bench, plan.id).await);
    assert_eq!(denial.code(), ReasonCode::ApprovalUnusable);
    assert!(denial.message.contains("taken back"), "{denial}");
    // For good: nobody is asked, and nobody can say yes any more, after a restart too.
    let bench = bench.restarted();
    let waits = bench.engine.context().query(|state| {
        let approval = state.approval(id).unwrap();
        state.is_waiting(approval, Timestamp::from_secs(1_800_000_000))
    });
    assert!(!waits.await.unwrap());
    assert!(approve(&bench, &plan, "three").await.is_err());
    let again = bench.engine.approvals().take_back(id, who, "again".into());
    assert!(again.await.unwrap().is_err());
    // It was read: to take requests back and make them again asks people no less than to leave
    // them.
    for _ in 0..9 {
        submit(&bench).await.unwrap();
    }
    assert_eq!(
        recorded(&bench, submit(&bench).await).code(),
        ReasonCode::OpenRequests
    );
}

#[tokio::test]
async fn u11_after_a_widening_an_open_task_is_told_that_it_keeps_an_older_revision() {
    let narrow = charter("    - name: read-deployments\n", "    - name: read-other\n");
    let bench = bench(&narrow).await;
    let wide = lanyard_charter::parse(world::CHARTER, &world::world())
        .unwrap()
        .charter;
    let in_force = Command::CharterInForce {
        charter: wide.name.clone(),
        revision: wide.revision.clone(),
        breakers: Vec::new(),
    };
    let (pinned, now) = {
        let before = bench.charters.in_force(&wide.name).unwrap();
        (
            before.revision.short().to_owned(),
            wide.revision.short().to_owned(),
        )
    };
    bench.charters.replace(vec![wide]);
    bench.engine.context().commit(in_force).await.unwrap();
    let Err(IssueError::Denied { denial, .. }) = mint_own(&bench).await else {
        panic!("issued");
    };
    assert_eq!(denial.rule, Rule::Grants);
    let says = |text: &str| denial.message.contains(text);
    assert!(
        says("there is no grant read-deployments") && says(&pinned) && says(&now),
        "{denial}"
    );
    assert!(denial.next.contains("open another one"), "{denial}");
}

#[test]
fn u03_records_of_before_have_no_code_and_get_one_by_their_rule() {
    let old = r#"{"charter":"payments","revision":null,"rule":"hours","at":null,"message":"m","next":"n"}"#;
    let denial: Denial = serde_json::from_str(old).unwrap();
    assert_eq!(denial.code(), ReasonCode::OutOfHours);
    assert_eq!((denial.limit.as_ref(), denial.retry_after), (None, None));
    // What was written without the fields is written without them again.
    let again = serde_json::to_string(&denial).unwrap();
    assert_eq!(again, old);
}
