//! Tasks that are opened under others.

use std::time::Duration;

use lanyard_core::decide::Rule;
use lanyard_core::kill::Actor;
use lanyard_core::ledger::CommitError;
use lanyard_core::state::Refusal;
use lanyard_core::task::Task;
use lanyard_engine::mint::IssueError;
use lanyard_engine::tasks::{OpenTask, TaskError};
use lanyard_testkit::world;
use lanyard_vocabulary::caller::Caller;
use lanyard_vocabulary::id::{LeaseId, TaskId};
use lanyard_vocabulary::identity::Identity;
use lanyard_vocabulary::scope::{RoleFilter, Scope};

use crate::common::{Bench, bench_of, mint};

fn helper() -> Identity {
    Identity {
        subject: "agent:helper".to_owned(),
        ..world::agent()
    }
}

/// The usual charter, which delegates to itself for a helper.
async fn stage() -> Bench {
    let helper = world::CHARTER
        .replace("name: payments-terraform", "name: helper")
        .replace("agent:terraformer", "agent:helper")
        .replace("task: 2h", "task: 4h")
        + "  delegates: [helper]\n";
    let usual = format!("{}  delegates: [helper]\n", world::CHARTER);
    bench_of(&[&usual, &helper]).await
}

fn under(task: TaskId, request: Option<&str>) -> OpenTask {
    OpenTask {
        charter: world::name("helper"),
        environment: world::name("staging"),
        reason: "a part of it".to_owned(),
        ticket: None,
        version: None,
        under: Some((task, helper())),
        request: request.map(str::to_owned),
    }
}

async fn open(bench: &Bench) -> Task {
    let asked = under(bench.task, Some("r-1"));
    bench
        .engine
        .tasks()
        .open(&world::caller(), asked)
        .await
        .unwrap()
}

async fn live(bench: &Bench, lease: LeaseId) -> bool {
    let found = bench.engine.context().query(|state| {
        state
            .leases()
            .get(lease)
            .is_some_and(lanyard_core::lease::Lease::is_live)
    });
    found.await.unwrap()
}

#[tokio::test]
async fn a_task_below_is_the_other_agents_and_ends_with_the_one_above() {
    let bench = stage().await;
    let below = open(&bench).await;
    assert_eq!(
        open(&bench).await.id,
        below.id,
        "a repeated request opens one"
    );
    let bench = bench.restarted();
    assert_eq!(open(&bench).await.id, below.id, "after a restart too");
    assert_eq!(
        below.expires.since(below.opened),
        Duration::from_secs(2 * 3600)
    );
    assert!(matches!(
        mint(&bench, &world::agent(), below.id).await,
        Err(IssueError::NotFound(_))
    ));
    let lease = mint(&bench, &helper(), below.id).await.unwrap();
    assert!(live(&bench, lease).await);
    bench.engine.tasks().close(bench.task).await.unwrap();
    assert!(!live(&bench, lease).await);
    let ended = mint(&bench, &helper(), below.id).await;
    let ended = ended.map_err(IssueError::cause);
    assert!(matches!(
        ended,
        Err(IssueError::Commit(CommitError::Refused(
            Refusal::TaskEnded(_)
        )))
    ));
    let late = bench
        .engine
        .tasks()
        .open(&world::caller(), under(bench.task, None))
        .await;
    assert!(matches!(
        late.map_err(TaskError::cause),
        Err(TaskError::Commit(CommitError::Refused(Refusal::TaskEnded(
            _
        ))))
    ));
}

#[tokio::test]
async fn a_kill_of_the_task_the_charter_or_the_agent_above_reaches_what_is_below() {
    for reach in ["task", "charter", "agent"] {
        let bench = stage().await;
        let below = open(&bench).await;
        let lease = mint(&bench, &helper(), below.id).await.unwrap();
        let scope = match reach {
            "task" => Scope::Task(bench.task),
            "charter" => Scope::Charter(world::name("payments-terraform")),
            _ => Scope::Agent(bench.engine.context().agent(&world::agent())),
        };
        let order =
            bench
                .engine
                .kills()
                .draft(scope, RoleFilter::Both, "drill".into(), Actor::Local);
        bench.engine.kills().engage(order.unwrap()).await;
        bench.engine.kills().sweep_orders().await;
        assert!(!live(&bench, lease).await, "{reach}");
        let stopped = mint(&bench, &helper(), below.id).await;
        assert!(
            matches!(
                stopped.map_err(IssueError::cause),
                Err(IssueError::Commit(CommitError::Refused(Refusal::Killed(_))))
            ),
            "{reach}"
        );
    }
}

#[tokio::test]
async fn tasks_are_opened_under_each_other_three_deep_by_their_own_agents_and_in_one_place() {
    let bench = stage().await;
    let second = open(&bench).await;
    let denied = |outcome: Result<Task, TaskError>| match outcome {
        Err(TaskError::Denied { denial, .. }) => denial.rule,
        other => panic!("{other:?}"),
    };
    let stolen = bench
        .engine
        .tasks()
        .open(&world::caller(), under(second.id, None))
        .await;
    assert!(
        matches!(stolen, Err(TaskError::NotFound)),
        "another agent's task"
    );
    let third = bench
        .engine
        .tasks()
        .open(&Caller::unproved(&helper()), under(second.id, None))
        .await
        .unwrap();
    assert_eq!(third.lineage.len(), 2);
    let fourth = bench
        .engine
        .tasks()
        .open(&Caller::unproved(&helper()), under(third.id, None))
        .await;
    assert_eq!(denied(fourth), Rule::Delegates);
    let elsewhere = OpenTask {
        environment: world::name("production"),
        ..under(bench.task, None)
    };
    let elsewhere = bench.engine.tasks().open(&world::caller(), elsewhere).await;
    assert_eq!(denied(elsewhere), Rule::Delegates);
    let lease = mint(&bench, &helper(), third.id).await.unwrap();
    bench.engine.tasks().close(second.id).await.unwrap();
    assert!(!live(&bench, lease).await);
}
