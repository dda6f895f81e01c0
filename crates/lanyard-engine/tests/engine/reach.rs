//! An order whose scope names nothing that is known: engaged, told, and withdrawn by one person.

use lanyard_core::command::Command;
use lanyard_core::kill::{Actor, EngagedOrder, Lifted};
use lanyard_core::lease::Lease;
use lanyard_core::ledger::CommitError;
use lanyard_engine::drill::{Canary, Drilled};
use lanyard_engine::reach::BlastRadius;
use lanyard_testkit::world;
use lanyard_vocabulary::agent::AgentName;
use lanyard_vocabulary::id::{KillId, LeaseId, TaskId};
use lanyard_vocabulary::identity::Identity;
use lanyard_vocabulary::person::Person;
use lanyard_vocabulary::scope::{RoleFilter, Scope};

use crate::common::{Bench, bench, mint_own};

fn agent(name: &str) -> Scope {
    Scope::Agent(AgentName(name.to_owned()))
}

fn radius(bench: &Bench, scope: &Scope) -> BlastRadius {
    bench
        .engine
        .scopes()
        .blast_radius(scope, RoleFilter::Both, None)
}

async fn kill(bench: &Bench, scope: Scope) -> KillId {
    let by = Actor::Operator(person_identity());
    let draft = bench
        .engine
        .kills()
        .draft(scope, RoleFilter::Both, "it loops".to_owned(), by);
    let fenced = bench.engine.kills().engage(draft.unwrap()).await;
    bench.engine.kills().sweep_orders().await;
    fenced.order.id
}

fn person_identity() -> Identity {
    Identity {
        issuer: "https://people.acme.example".to_owned(),
        subject: "oncall".to_owned(),
    }
}

fn person() -> Person {
    person_identity().into()
}

async fn withdraw(bench: &Bench, order: KillId) -> Result<EngagedOrder, CommitError> {
    let reason = "mistyped".to_owned();
    bench
        .engine
        .rearms()
        .withdraw_kill(order, &person(), reason)
        .await
}

async fn is_live(bench: &Bench, lease: LeaseId) -> bool {
    let live =
        |state: &lanyard_core::state::State| state.leases().get(lease).is_some_and(Lease::is_live);
    bench.engine.context().query(live).await.unwrap()
}

async fn lifted(bench: &Bench, order: KillId) -> Lifted {
    let found = bench
        .engine
        .context()
        .query(|state| state.kills().get(order).map(|engaged| engaged.lifted));
    found.await.unwrap().unwrap()
}

#[tokio::test]
async fn u01_near_names_are_told_for_a_name_that_nothing_has() {
    let bench = bench(world::CHARTER).await;
    let name = |text: &str| world::name(text);
    for (scope, near) in [
        (Scope::Environment(name("prod")), "production"),
        (Scope::Environment(name("productoin")), "production"),
        (Scope::Charter(name("payments")), "payments-terraform"),
        (
            Scope::Charter(name("payment-terraform")),
            "payments-terraform",
        ),
        (Scope::Target(name("payments-clutser")), "payments-cluster"),
    ] {
        let radius = radius(&bench, &scope);
        assert!(radius.is_nothing(), "{scope}");
        assert_eq!(radius.near, [near], "{scope}");
        let said = radius.unknown_name.unwrap();
        assert!(
            said.ends_with(&format!("; did you mean `{near}`?")),
            "{said}"
        );
    }
    let full = world::agent().to_string();
    for mistyped in [
        "terraformr",
        "agent:teraformer",
        "https://agents.acme.example#agent:terraform",
    ] {
        let radius = radius(&bench, &agent(mistyped));
        assert!(radius.is_nothing(), "{mistyped}");
        assert!(radius.near.contains(&full), "{mistyped}: {:?}", radius.near);
    }
    let far = radius(&bench, &Scope::Charter(name("zzz")));
    assert!(far.near.is_empty());
    let said = far.unknown_name.unwrap();
    assert!(said.ends_with("there are payments-terraform"), "{said}");
}

#[tokio::test]
async fn u01_an_agent_is_stopped_by_the_end_of_its_subject() {
    let full = world::agent().to_string();
    for name in [
        "agent:terraformer",
        "terraformer",
        "Terraformer",
        "AGENT:TERRAFORMER",
        &full,
    ] {
        let bench = bench(world::CHARTER).await;
        let lease = mint_own(&bench).await.unwrap();
        let scope = agent(name);
        let found = radius(&bench, &scope);
        assert!(!found.is_nothing(), "{name}");
        assert_eq!(found.leases.values().sum::<usize>(), 1, "{name}");
        kill(&bench, scope).await;
        assert!(!is_live(&bench, lease).await, "{name}");
        assert!(mint_own(&bench).await.is_err(), "{name}");
    }
    // Neither a part of a word, nor what stands before the end.
    for name in [
        "former",
        "agent",
        "terraform",
        "https://agents.acme.example",
        "",
        ":",
    ] {
        let bench = bench(world::CHARTER).await;
        let lease = mint_own(&bench).await.unwrap();
        assert!(radius(&bench, &agent(name)).is_nothing(), "{name}");
        kill(&bench, agent(name)).await;
        assert!(is_live(&bench, lease).await, "{name}");
    }
}

#[tokio::test]
async fn u01_a_task_or_a_lease_that_is_none_is_told_with_the_id_that_was_read_wrong() {
    let bench = bench(world::CHARTER).await;
    let lease = mint_own(&bench).await.unwrap();
    for (scope, near) in [
        (
            Scope::Task(TaskId::from_bits(bench.task.bits() ^ 1)),
            bench.task.to_string(),
        ),
        (
            Scope::Lease(LeaseId::from_bits(lease.bits() ^ (3 << 50))),
            lease.to_string(),
        ),
    ] {
        let found = radius(&bench, &scope);
        assert!(found.is_nothing(), "{scope}");
        assert_eq!(found.near, [near], "{scope}");
    }
    let far = radius(&bench, &Scope::Task(TaskId::from_bits(!bench.task.bits())));
    assert!(far.is_nothing() && far.near.is_empty());
}

#[tokio::test]
async fn u01_what_is_known_and_has_no_live_lease_is_fenced_and_not_nothing() {
    let bench = bench(world::CHARTER).await;
    for scope in [
        Scope::All,
        Scope::Charter(world::name("payments-terraform")),
        Scope::Environment(world::name("production")),
        Scope::Target(bench.target.clone()),
        agent("terraformer"),
        Scope::Task(bench.task),
    ] {
        let found = radius(&bench, &scope);
        assert!(!found.is_nothing(), "{scope}");
        let note = found.note.unwrap();
        assert!(note.contains("live now"), "{scope}: {note}");
    }
    // An ended task and a dead lease are known, and over.
    let lease = mint_own(&bench).await.unwrap();
    bench
        .engine
        .context()
        .commit(Command::CloseTask { task: bench.task })
        .await
        .unwrap();
    let ended = radius(&bench, &Scope::Task(bench.task));
    assert!(!ended.is_nothing());
    assert!(ended.note.unwrap().contains(" ended at "));
    let stopped = radius(&bench, &Scope::Lease(lease));
    assert!(!stopped.is_nothing());
    assert!(
        stopped
            .note
            .unwrap()
            .starts_with(&format!("lease {lease} was "))
    );
}

#[tokio::test]
async fn u01_one_person_withdraws_an_order_that_reaches_nothing_and_no_other() {
    let bench = bench(world::CHARTER).await;
    let mistyped = kill(&bench, Scope::Charter(world::name("payments-teraform"))).await;
    assert_eq!(lifted(&bench, mistyped).await, Lifted::Nothing);
    let withdrawn = withdraw(&bench, mistyped).await.unwrap();
    assert_eq!(withdrawn.lifted, Lifted::Everything);
    let again = withdraw(&bench, mistyped);
    assert!(
        again
            .await
            .unwrap_err()
            .to_string()
            .contains("lifted already")
    );
    // Over what is known, with and without a live lease, it takes two people.
    let fences = kill(&bench, Scope::Environment(world::name("production"))).await;
    mint_own(&bench).await.unwrap();
    let kills = kill(&bench, agent("terraformer")).await;
    for order in [fences, kills] {
        let refused = withdraw(&bench, order);
        let why = refused.await.unwrap_err().to_string();
        assert!(why.contains("two people"), "{why}");
        assert_eq!(lifted(&bench, order).await, Lifted::Nothing);
    }
    // After a restart too.
    let bench = bench.restarted();
    assert_eq!(lifted(&bench, mistyped).await, Lifted::Everything);
    assert_eq!(lifted(&bench, kills).await, Lifted::Nothing);
}

#[tokio::test]
async fn u01_an_order_that_reached_nothing_and_reaches_something_now_takes_two_people() {
    let bench = bench(world::CHARTER).await;
    let early = kill(&bench, Scope::Charter(world::name("orders"))).await;
    let charter = world::CHARTER.replace("payments-terraform", "orders");
    let parsed = lanyard_charter::parse(&charter, &world::world()).unwrap();
    bench.charters.replace(vec![parsed.charter]);
    let refused = withdraw(&bench, early);
    assert!(refused.await.is_err());
    assert_eq!(lifted(&bench, early).await, Lifted::Nothing);
}

#[tokio::test]
async fn u01_an_order_over_a_charter_that_has_left_force_takes_two_people() {
    let bench = bench(world::CHARTER).await;
    let charter = kill(&bench, Scope::Charter(world::name("payments-terraform"))).await;
    let named = kill(&bench, agent(&world::agent().to_string())).await;
    bench.charters.replace(Vec::new());
    let bench = bench.restarted();
    for order in [charter, named] {
        let refused = withdraw(&bench, order);
        let why = refused.await.unwrap_err().to_string();
        assert!(why.contains("two people"), "{why}");
    }
}

#[tokio::test]
async fn u04_the_short_name_of_an_agent_is_one_that_a_kill_takes() {
    let more = "      subject: agent:terraformer
    - issuer: https://other.acme.example
      subject: agent:terraformer
    - issuer: https://cluster.example
      subject: system:serviceaccount:a-namespace-with-a-long-name:router
";
    let text = world::CHARTER.replace("      subject: agent:terraformer\n", more);
    let bench = bench(&text).await;
    let router = Identity {
        issuer: "https://cluster.example".to_owned(),
        subject: "system:serviceaccount:a-namespace-with-a-long-name:router".to_owned(),
    };
    let identities = [world::agent(), router.clone()].into();
    let names = bench.engine.scopes().short_names(&identities);
    // Two agents end alike: nothing short is the agent's alone.
    let own = world::agent().to_string();
    assert_eq!(names.get(&world::agent()), Some(&own));
    assert_eq!(names.get(&router).map(String::as_str), Some("router"));
    for name in names.values() {
        assert!(!radius(&bench, &agent(name)).is_nothing(), "{name}");
    }
}

#[tokio::test]
async fn u08_a_drill_that_a_kill_holds_up_has_not_failed() {
    let bench = bench(world::CHARTER).await;
    let canary = Canary {
        charter: world::name("payments-terraform"),
        agent: world::agent(),
        environment: world::name("staging"),
    };
    let order = kill(&bench, Scope::All).await;
    let drilled = bench
        .engine
        .drills()
        .hold(&canary, &bench.target)
        .await
        .unwrap();
    assert_eq!(drilled, Drilled::HeldUp(order.to_string()));
    let known = bench.engine.context().query(|state| state.drills().len());
    assert_eq!(known.await.unwrap(), 0, "nothing is recorded");
    // Without an order, what goes wrong is a failure.
    let bench = crate::common::bench(world::CHARTER).await;
    let drilled = bench
        .engine
        .drills()
        .hold(&canary, &bench.target)
        .await
        .unwrap();
    let Drilled::Held(held) = drilled else {
        unreachable!("{drilled:?}");
    };
    assert!(
        !held.outcome.is_passed(),
        "no grant has the name of the target: {held:?}"
    );
}

#[tokio::test]
async fn u09_the_second_person_is_told_what_a_rearm_lets_go() {
    use lanyard_core::kill::RearmStage;
    use lanyard_engine::rearm::RearmStep;

    let bench = bench(world::CHARTER).await;
    let order = kill(&bench, Scope::Environment(world::name("production"))).await;
    let other = kill(&bench, agent("terraformer")).await;
    let step = |stage| RearmStep {
        kill: order,
        stage,
        reason: "it is fixed".to_owned(),
        despite_unconfirmed: false,
    };
    let anna = person();
    let proposed = bench.engine.rearms().propose(step(RearmStage::Plan), &anna);
    let proposed = proposed.await.unwrap();
    for of in [
        None,
        Some((order, proposed.id)),
        Some((KillId::from_bits(0), proposed.id)),
    ] {
        let found = bench.engine.rearms().list(of).await.unwrap();
        let [rearm] = found.as_slice() else {
            unreachable!("{found:?}");
        };
        assert_eq!(rearm.proposal.reason, "it is fixed");
        assert_eq!(rearm.void, None);
        assert_eq!(rearm.still_stopped_by, [other]);
        let [opens] = rearm.opens.as_slice() else {
            unreachable!("{rearm:?}");
        };
        assert!(opens.starts_with("charter payments-terraform: "), "{opens}");
        assert!(
            opens.contains("read-ledger") && !opens.contains("restart"),
            "{opens}"
        );
    }
    let none = bench
        .engine
        .rearms()
        .list(Some((other, lanyard_vocabulary::id::RearmId::from_bits(0))))
        .await;
    assert!(none.unwrap().is_empty());
    // An order that came since voids the proposal, and that is told.
    let newer = kill(&bench, Scope::All).await;
    let found = bench.engine.rearms().list(None).await.unwrap();
    let void = found[0].void.clone().unwrap();
    assert!(void.contains(&newer.to_string()), "{void}");
}
