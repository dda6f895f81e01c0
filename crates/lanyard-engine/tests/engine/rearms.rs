//! What the second person of a re-arm is shown: what is let go, and what stays stopped.

use std::time::Duration;

use lanyard_core::kill::{Actor, RearmStage};
use lanyard_core::pause::{Demand, Reach};
use lanyard_engine::pause::PauseRequest;
use lanyard_engine::rearm::{ProposedRearm, RearmStep};
use lanyard_testkit::world;
use lanyard_vocabulary::agent::AgentName;
use lanyard_vocabulary::id::KillId;
use lanyard_vocabulary::identity::Identity;
use lanyard_vocabulary::person::Person;
use lanyard_vocabulary::role::Role;
use lanyard_vocabulary::scope::{RoleFilter, Scope};

use crate::common::{Bench, bench};

fn identity(subject: &str) -> Identity {
    Identity {
        issuer: "https://people.acme.example".to_owned(),
        subject: subject.to_owned(),
    }
}

fn person(subject: &str) -> Person {
    identity(subject).into()
}

async fn kill(bench: &Bench, scope: Scope, roles: RoleFilter) -> KillId {
    let by = Actor::Operator(identity("oncall"));
    let draft = bench
        .engine
        .kills()
        .draft(scope, roles, "it loops".to_owned(), by);
    bench.engine.kills().engage(draft.unwrap()).await.order.id
}

fn step(kill: KillId, stage: RearmStage) -> RearmStep {
    RearmStep {
        kill,
        stage,
        reason: "it is fixed".to_owned(),
        despite_unconfirmed: false,
    }
}

async fn lift_plan(bench: &Bench, order: KillId) {
    let (anna, ben) = (person("anna"), person("ben"));
    let proposed = bench
        .engine
        .rearms()
        .propose(step(order, RearmStage::Plan), &anna);
    let id = proposed.await.unwrap().id;
    let confirmed = bench.engine.rearms().confirm(id, &ben, None);
    confirmed.await.unwrap();
}

/// The newest proposal over this order.
async fn shown(bench: &Bench, order: KillId) -> ProposedRearm {
    let anna = person("anna");
    let proposed = bench
        .engine
        .rearms()
        .propose(step(order, RearmStage::Plan), &anna);
    let id = proposed.await.unwrap().id;
    let found = bench.engine.rearms().list(Some((KillId::from_bits(0), id)));
    found.await.unwrap().pop().unwrap()
}

async fn pause(bench: &Bench, reach: Reach, demand: Demand) {
    let asked = PauseRequest {
        reach,
        demand,
        reason: "looking".to_owned(),
        until: None,
    };
    bench
        .engine
        .pauses()
        .pause(asked, Actor::Local)
        .await
        .unwrap();
}

#[tokio::test]
async fn u09_a_rearm_names_no_order_that_stops_nothing_of_what_is_let_go() {
    let bench = bench(world::CHARTER).await;
    let own = world::name("payments-terraform");
    // Lifted for the plan role already, over the apply role alone, and over a name that nothing
    // has.
    let lifted = kill(
        &bench,
        Scope::Environment(world::name("staging")),
        RoleFilter::Both,
    );
    let lifted = lifted.await;
    lift_plan(&bench, lifted).await;
    kill(&bench, Scope::All, RoleFilter::ApplyOnly).await;
    let nobody = Scope::Agent(AgentName("nobody-like-this".to_owned()));
    kill(&bench, nobody, RoleFilter::Both).await;
    let nowhere = Scope::Environment(world::name("nowhere"));
    kill(&bench, nowhere, RoleFilter::Both).await;
    let stops = kill(
        &bench,
        Scope::Agent(AgentName("terraformer".to_owned())),
        RoleFilter::Both,
    );
    let stops = stops.await;
    let order = kill(&bench, Scope::Charter(own), RoleFilter::Both).await;
    let rearm = shown(&bench, order).await;
    assert_eq!(rearm.still_stopped_by, [stops]);
    assert_eq!(rearm.opens.len(), 1, "{rearm:?}");
    assert!(
        rearm.opens[0].starts_with("charter payments-terraform: read-"),
        "{rearm:?}"
    );
}

#[tokio::test]
async fn u09_a_rearm_lists_as_issued_again_nothing_that_another_order_or_a_pause_holds_back() {
    let charter = || Scope::Charter(world::name("payments-terraform"));
    // Of one target by an order, of another by a pause: told, with what holds them back.
    let bench = bench(world::CHARTER).await;
    let target = kill(
        &bench,
        Scope::Target(world::name("payments-aws")),
        RoleFilter::Both,
    );
    let target = target.await;
    let paused = Reach {
        target: Some(world::name("payments-vault")),
        role: Some(Role::Plan),
        ..Reach::default()
    };
    pause(&bench, paused, Demand::NoIssuance).await;
    // Pauses that hold back nothing of it: of the other role, of one agent, for an approval.
    for (reach, demand) in [
        (
            Reach {
                role: Some(Role::Apply),
                ..Reach::default()
            },
            Demand::NoIssuance,
        ),
        (
            Reach {
                agent: Some(AgentName("somebody".to_owned())),
                ..Reach::default()
            },
            Demand::NoIssuance,
        ),
        (Reach::default(), Demand::Approval),
        (
            Reach {
                environment: Some(world::name("staging")),
                ..Reach::default()
            },
            Demand::NoIssuance,
        ),
    ] {
        pause(&bench, reach, demand).await;
    }
    let order = kill(&bench, charter(), RoleFilter::Both).await;
    let rearm = shown(&bench, order).await;
    let [line] = rearm.opens.as_slice() else {
        unreachable!("{rearm:?}");
    };
    let (free, held) = line.split_once(" (").unwrap();
    assert!(free.contains("read-ledger") && free.contains("read-deployments"));
    assert!(!free.contains("read-state") && !free.contains("read-config"));
    assert!(held.contains(&format!("{target} still stops read-state")));
    assert!(held.contains("pause H-") && held.contains(" still stops read-config"));
    // All of it: nothing is let go, and that is said.
    pause(&bench, Reach::default(), Demand::NoIssuance).await;
    let rearm = shown(&bench, order).await;
    assert!(
        rearm.opens[0].starts_with("charter payments-terraform: nothing, "),
        "{rearm:?}"
    );
}

#[tokio::test]
async fn u09_a_rearm_of_an_agent_or_a_task_says_what_is_over_all_of_it_however_it_is_called() {
    let agent = |name: &str| Scope::Agent(AgentName(name.to_owned()));
    let full = world::agent().to_string();
    for (lifted, other, holds) in [
        ("agent:terraformer", "Terraformer", true),
        ("terraformer", "TERRAFORMER ", true),
        (full.as_str(), "terraformer", true),
        // The other name means fewer agents, or others.
        ("terraformer", "agent:terraformer", false),
        ("terraformer", "x:terraformer", false),
    ] {
        let bench = bench(world::CHARTER).await;
        kill(&bench, agent(other), RoleFilter::Both).await;
        let order = kill(&bench, agent(lifted), RoleFilter::Both).await;
        let rearm = shown(&bench, order).await;
        let is_held = rearm.opens[0].starts_with("charter payments-terraform: nothing, ");
        assert_eq!(is_held, holds, "{lifted} {other}: {rearm:?}");
    }
    // A task is its agent's, and in its environment.
    let bench = bench(world::CHARTER).await;
    let order = kill(&bench, Scope::Task(bench.task), RoleFilter::Both).await;
    let free = shown(&bench, order).await;
    assert!(!free.opens[0].contains("nothing"), "{free:?}");
    let elsewhere = Reach {
        agent: Some(AgentName("somebody".to_owned())),
        ..Reach::default()
    };
    pause(&bench, elsewhere, Demand::NoIssuance).await;
    let free = shown(&bench, order).await;
    assert!(!free.opens[0].contains("nothing"), "{free:?}");
    let own = Reach {
        agent: Some(AgentName("terraformer".to_owned())),
        ..Reach::default()
    };
    pause(&bench, own, Demand::NoIssuance).await;
    let held = shown(&bench, order).await;
    assert!(held.opens[0].contains(": nothing, pause H-"), "{held:?}");
}

#[tokio::test]
async fn u09_a_rearm_lists_no_charter_that_has_ended() {
    for (end, lists) in [("2027-01-16", false), ("2027-02-01", true)] {
        let ends = format!("  expires: {end}\n  limits:\n");
        let bench = bench(&world::CHARTER.replace("  limits:\n", &ends)).await;
        bench.clock.advance(Duration::from_secs(2 * 24 * 3600));
        let scope = Scope::Charter(world::name("payments-terraform"));
        let order = kill(&bench, scope, RoleFilter::Both).await;
        let rearm = shown(&bench, order).await;
        let is_listed = rearm.opens[0].starts_with("charter payments-terraform: read-");
        assert_eq!(is_listed, lists, "{end}: {rearm:?}");
        let is_nothing = rearm.opens[0].starts_with("nothing now: ");
        assert_eq!(is_nothing, !lists, "{end}: {rearm:?}");
    }
}

#[tokio::test]
async fn a_rearm_does_not_list_as_issued_again_what_the_charter_itself_holds_back() {
    const DAY: &str = "2027-01-15";
    for (rules, expected) in [
        ("  mode: shadow\n", ": nothing, in shadow: read-"),
        (
            "  freezes: [{from: 2027-01-15, to: 2027-01-20, roles: [plan], reason: stocktaking}]\n",
            ": nothing, frozen until 2027-01-21T00:00:00Z: read-",
        ),
        // A freeze of the other role, or of another environment, withholds nothing here.
        (
            "  freezes: [{from: 2027-01-15, to: 2027-01-20, roles: [apply], reason: stocktaking}]\n",
            ": read-",
        ),
        (
            "  freezes: [{from: 2027-01-15, to: 2027-01-20, roles: [plan], environments: [staging], reason: stocktaking}]\n",
            ": read-",
        ),
        (
            "  hours: {roles: [plan], zone: UTC, days: [mon], from: \"08:00\", to: \"18:00\", outside: deny}\n",
            ": nothing, out of hours until 2027-01-18T08:00:00Z: read-",
        ),
        // People can approve it outside of these hours.
        (
            "  hours: {roles: [plan], zone: UTC, days: [mon], from: \"08:00\", to: \"18:00\", outside: require-approval}\n",
            ": read-",
        ),
    ] {
        let text = match rules {
            "  mode: shadow\n" => world::CHARTER.replace("  mode: enforce\n", rules),
            _ => world::CHARTER.replace("  limits:\n", &format!("{rules}  limits:\n")),
        };
        let bench = bench(&text).await;
        assert!(bench.clock.now().to_string().starts_with(DAY));
        let scope = Scope::Charter(world::name("payments-terraform"));
        let order = kill(&bench, scope, RoleFilter::Both).await;
        let rearm = shown(&bench, order).await;
        let told = rearm.opens[0].strip_prefix("charter payments-terraform");
        assert!(
            told.is_some_and(|told| told.starts_with(expected)),
            "{rules}: {rearm:?}"
        );
    }
}
