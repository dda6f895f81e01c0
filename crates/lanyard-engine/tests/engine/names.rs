//! Agents with several identities: orders reach all of them, by the name and by each (rule 26).

use std::collections::BTreeMap;

use lanyard_core::kill::{Actor, Lifted};
use lanyard_core::lease::Lease;
use lanyard_engine::tasks::{OpenTask, TaskError};
use lanyard_testkit::world;
use lanyard_vocabulary::agent::AgentName;
use lanyard_vocabulary::caller::Caller;
use lanyard_vocabulary::id::{LeaseId, TaskId};
use lanyard_vocabulary::identity::Identity;
use lanyard_vocabulary::scope::{RoleFilter, Scope};

use crate::common::{Bench, bench, mint};

fn second() -> Identity {
    Identity {
        subject: "agent:second".to_owned(),
        ..world::agent()
    }
}

/// A charter that names the agent by both of its identities, and somebody else.
async fn stage() -> Bench {
    let more = "      subject: agent:terraformer
    - issuer: https://agents.acme.example
      subject: agent:second
    - issuer: https://agents.acme.example
      subject: agent:other
";
    bench(&world::CHARTER.replace("      subject: agent:terraformer\n", more)).await
}

fn named() -> BTreeMap<Identity, AgentName> {
    let name = || AgentName("terraformer".to_owned());
    [(world::agent(), name()), (second(), name())].into()
}

async fn open(bench: &Bench, who: &Identity) -> Result<TaskId, TaskError> {
    let ask = OpenTask {
        version: None,
        under: None,
        charter: world::name("payments-terraform"),
        environment: world::name("staging"),
        reason: "a run".to_owned(),
        ticket: None,
        request: None,
    };
    Ok(bench
        .engine
        .tasks()
        .open(&Caller::unproved(who), ask)
        .await?
        .id)
}

async fn kill(bench: &Bench, agent: &str) {
    let order = bench.engine.kills().draft(
        Scope::Agent(AgentName(agent.to_owned())),
        RoleFilter::Both,
        "drill".into(),
        Actor::Local,
    );
    bench.engine.kills().engage(order.unwrap()).await;
    bench.engine.kills().sweep_orders().await;
}

async fn live(bench: &Bench, lease: LeaseId) -> bool {
    let found = bench
        .engine
        .context()
        .query(|state| state.leases().get(lease).is_some_and(Lease::is_live));
    found.await.unwrap()
}

#[tokio::test]
async fn s32_an_order_over_a_name_reaches_every_identity_under_it() {
    let bench = stage().await.restarted_with(named());
    let other = Identity {
        subject: "agent:other".to_owned(),
        ..world::agent()
    };
    let mut leases = Vec::new();
    for who in [world::agent(), second(), other] {
        let task = open(&bench, &who).await.unwrap();
        leases.push(mint(&bench, &who, task).await.unwrap());
    }
    let name = AgentName("terraformer".to_owned());
    let radius = bench
        .engine
        .scopes()
        .blast_radius(&Scope::Agent(name), RoleFilter::Both, None);
    assert_eq!(radius.leases.values().sum::<usize>(), 2);
    kill(&bench, "terraformer").await;
    let mut alive = Vec::new();
    for lease in leases {
        alive.push(live(&bench, lease).await);
    }
    assert_eq!(alive, [false, false, true]);
    assert!(open(&bench, &second()).await.is_err());
}

#[tokio::test]
async fn s32_an_order_over_an_identity_reaches_that_one_under_its_name() {
    let bench = stage().await.restarted_with(named());
    let (one, two) = (world::agent(), second());
    let (first, other) = (
        open(&bench, &one).await.unwrap(),
        open(&bench, &two).await.unwrap(),
    );
    let lease = mint(&bench, &one, first).await.unwrap();
    kill(&bench, &one.to_string()).await;
    assert!(!live(&bench, lease).await);
    assert!(mint(&bench, &one, first).await.is_err());
    assert!(open(&bench, &one).await.is_err());
    mint(&bench, &two, other).await.unwrap();
    // After a restart too, with and without the name.
    let bench = bench.restarted();
    assert!(open(&bench, &one).await.is_err());
    open(&bench, &two).await.unwrap();
}

#[tokio::test]
async fn s32_an_order_over_a_name_reaches_what_was_opened_before_the_name_was_configured() {
    let bench = stage().await;
    let task = bench.task;
    let lease = mint(&bench, &world::agent(), task).await.unwrap();
    let bench = bench.restarted_with(named());
    kill(&bench, "terraformer").await;
    assert!(!live(&bench, lease).await);
    assert!(mint(&bench, &world::agent(), task).await.is_err());
    let orders = bench.engine.context().query(|state| {
        let orders = state.kills().iter();
        orders
            .map(|engaged| (engaged.lifted, engaged.order.identities.len()))
            .collect::<Vec<_>>()
    });
    assert_eq!(orders.await.unwrap(), [(Lifted::Nothing, 2)]);
}

/// The agents that end alike: the one of the charter, one at another issuer, and whoever a pattern
/// lets in.
const ALIKE: &str = "      subject: agent:terraformer
    - issuer: https://other.acme.example
      subject: agent:Terraformer
    - issuer: https://ci.acme.example
      subject: repo:acme:*
";

fn of(issuer: &str, subject: &str) -> Identity {
    Identity {
        issuer: format!("https://{issuer}.acme.example"),
        subject: subject.to_owned(),
    }
}

async fn alike() -> Bench {
    bench(&world::CHARTER.replace("      subject: agent:terraformer\n", ALIKE)).await
}

/// A lease of each of these agents.
async fn leases(bench: &Bench, agents: &[Identity]) -> Vec<LeaseId> {
    let mut leases = Vec::new();
    for agent in agents {
        let task = open(bench, agent).await.unwrap();
        leases.push(mint(bench, agent, task).await.unwrap());
    }
    leases
}

fn over(name: &str) -> Scope {
    Scope::Agent(AgentName(name.to_owned()))
}

#[tokio::test]
async fn u01_an_end_that_several_agents_share_stops_all_of_them_and_names_them() {
    let agents = [
        world::agent(),
        of("other", "agent:Terraformer"),
        of("ci", "repo:acme:terraformer"),
    ];
    for name in ["terraformer", " TERRAFORMER "] {
        let bench = alike().await;
        let leases = leases(&bench, &agents).await;
        let bystander = of("ci", "repo:acme:not-terraformer");
        let task = open(&bench, &bystander).await.unwrap();
        let spared = mint(&bench, &bystander, task).await.unwrap();
        let radius = bench
            .engine
            .scopes()
            .blast_radius(&over(name), RoleFilter::Both, None);
        assert!(!radius.is_nothing(), "{radius:?}");
        assert_eq!(radius.identities, agents.clone().into(), "{name}");
        assert_eq!(radius.leases.values().sum::<usize>(), 3, "{name}");
        kill(&bench, name).await;
        for lease in leases {
            assert!(!live(&bench, lease).await, "{name}");
        }
        assert!(live(&bench, spared).await, "{name}");
        let bench = bench.restarted();
        for agent in &agents {
            assert!(open(&bench, agent).await.is_err(), "{name}: {agent}");
        }
        open(&bench, &bystander).await.unwrap();
    }
}

#[tokio::test]
async fn u01_an_agent_that_a_pattern_lets_in_after_the_order_is_stopped_by_its_end() {
    let bench = alike().await;
    let radius = bench
        .engine
        .scopes()
        .blast_radius(&over("evil"), RoleFilter::Both, None);
    let said = radius.unknown_name.unwrap();
    assert!(said.contains("when it comes"), "{said}");
    let early = of("ci", "repo:acme:evil");
    kill(&bench, "evil").await;
    assert!(open(&bench, &early).await.is_err());
    // The order is in effect, also for the part of an agent that runs below another one's task, and
    // after a restart.
    let bench = bench.restarted();
    assert!(open(&bench, &early).await.is_err());
    open(&bench, &of("ci", "repo:acme:good")).await.unwrap();
}

#[tokio::test]
async fn u01_a_look_alike_of_a_configured_name_neither_escapes_an_order_nor_takes_it_away() {
    // The configured agent has other subjects; somebody else's ends with the name.
    let configured = || -> BTreeMap<Identity, AgentName> {
        let name = AgentName("router".to_owned());
        [(world::agent(), name)].into()
    };
    let evil = of("ci", "repo:acme:router");
    let bench = alike().await.restarted_with(configured());
    let leases = leases(&bench, &[world::agent(), evil.clone()]).await;
    let names = bench.engine.scopes().short_names(&[evil.clone()].into());
    assert_eq!(
        names.get(&evil).map(String::as_str),
        Some("repo:acme:router")
    );
    kill(&bench, "Router").await;
    for lease in leases {
        assert!(!live(&bench, lease).await);
    }
    for agent in [world::agent(), evil] {
        assert!(open(&bench, &agent).await.is_err(), "{agent}");
    }
}

#[tokio::test]
async fn u01_an_agent_whose_tasks_have_ended_is_known_for_as_long_as_they_are_in_the_books() {
    let agent = of("ci", "repo:acme:short-lived");
    let bench = alike().await;
    let task = open(&bench, &agent).await.unwrap();
    mint(&bench, &agent, task).await.unwrap();
    let close = lanyard_core::command::Command::CloseTask { task };
    bench.engine.context().commit(close).await.unwrap();
    bench.charters.replace(Vec::new());
    let bench = bench.restarted();
    for name in ["short-lived", "acme:Short-Lived", &agent.to_string()] {
        let radius = bench
            .engine
            .scopes()
            .blast_radius(&over(name), RoleFilter::Both, None);
        assert!(!radius.is_nothing(), "{name}: {radius:?}");
        assert_eq!(radius.identities, [agent.clone()].into(), "{name}");
    }
}

#[tokio::test]
async fn u01_a_breaker_stops_the_agent_that_it_names_and_no_look_alike() {
    let configured = || -> BTreeMap<Identity, AgentName> {
        let name = AgentName("terraformer".to_owned());
        [(second(), name)].into()
    };
    let more = "      subject: agent:terraformer
    - issuer: https://agents.acme.example
      subject: agent:second
";
    let text = world::CHARTER.replace("      subject: agent:terraformer\n", more);
    let bench = bench(&text).await.restarted_with(configured());
    let by = Actor::Breaker {
        charter: world::name("payments-terraform"),
        line: 1,
        path: None,
        record: lanyard_vocabulary::seq::Seq(1),
    };
    let order =
        bench
            .engine
            .kills()
            .draft(over("terraformer"), RoleFilter::Both, "loops".into(), by);
    bench.engine.kills().engage(order.unwrap()).await;
    assert!(open(&bench, &second()).await.is_err());
    open(&bench, &world::agent()).await.unwrap();
}

#[tokio::test]
async fn u04_an_agent_of_a_pattern_keeps_its_whole_subject_as_the_name_for_a_kill() {
    let bench = alike().await;
    let (lone, twin) = (
        of("ci", "repo:acme:lone"),
        of("ci", "repo:acme:terraformer"),
    );
    for agent in [&lone, &twin] {
        open(&bench, agent).await.unwrap();
    }
    let names = bench
        .engine
        .scopes()
        .short_names(&[lone.clone(), twin.clone(), world::agent()].into());
    let name = |agent: &Identity| names.get(agent).map(String::as_str);
    assert_eq!(name(&lone), Some("repo:acme:lone"));
    assert_eq!(name(&twin), Some("repo:acme:terraformer"));
    // Two issuers have the subject, but for its capitals.
    let own = world::agent().to_string();
    assert_eq!(name(&world::agent()), Some(own.as_str()));
    for (agent, name) in &names {
        let radius = bench
            .engine
            .scopes()
            .blast_radius(&over(name), RoleFilter::Both, None);
        assert_eq!(radius.identities, [agent.clone()].into(), "{name}");
    }
}

#[tokio::test]
async fn u01_a_pause_takes_names_as_a_kill_does_and_says_which_nothing_has() {
    use lanyard_core::pause::{Demand, Reach};
    use lanyard_engine::pause::PauseRequest;

    let bench = alike().await;
    let agents = [world::agent(), of("ci", "repo:acme:terraformer")];
    let reach = Reach {
        agent: Some(AgentName("terraformer".to_owned())),
        ..Reach::default()
    };
    let radius = bench.engine.scopes().pause_radius(&reach);
    assert!(!radius.is_nothing(), "{radius:?}");
    let asked = PauseRequest {
        reach,
        demand: Demand::NoIssuance,
        reason: "looking".to_owned(),
        until: None,
    };
    let mut tasks = Vec::new();
    for agent in &agents {
        tasks.push(open(&bench, agent).await.unwrap());
    }
    bench
        .engine
        .pauses()
        .pause(asked, Actor::Local)
        .await
        .unwrap();
    for (agent, task) in agents.iter().zip(tasks) {
        assert!(mint(&bench, agent, task).await.is_err(), "{agent}");
    }
    let bystander = of("ci", "repo:acme:good");
    let task = open(&bench, &bystander).await.unwrap();
    mint(&bench, &bystander, task).await.unwrap();
    for (reach, near) in [
        (
            Reach {
                charter: Some(world::name("payments-teraform")),
                ..Reach::default()
            },
            "payments-terraform".to_owned(),
        ),
        (
            Reach {
                charter: Some(world::name("payments-terraform")),
                environment: Some(world::name("prod")),
                ..Reach::default()
            },
            "production".to_owned(),
        ),
        (
            Reach {
                agent: Some(AgentName("teraformer".to_owned())),
                ..Reach::default()
            },
            world::agent().to_string(),
        ),
    ] {
        let radius = bench.engine.scopes().pause_radius(&reach);
        assert!(radius.is_nothing(), "{reach}");
        assert!(radius.near.contains(&near), "{reach}: {radius:?}");
    }
}

#[tokio::test]
async fn u09_a_rearm_shows_what_identities_get_that_were_configured_under_the_name_later() {
    use lanyard_core::kill::RearmStage;
    use lanyard_engine::rearm::RearmStep;

    let bench = stage().await;
    kill(&bench, "night-shift").await;
    let later: BTreeMap<Identity, AgentName> =
        [(second(), AgentName("night-shift".to_owned()))].into();
    let bench = bench.restarted_with(later);
    assert!(open(&bench, &second()).await.is_err());
    let orders = bench.engine.context().query(|state| {
        let orders = state.kills().iter();
        orders.map(|engaged| engaged.order.id).next()
    });
    let order = orders.await.unwrap().unwrap();
    let step = RearmStep {
        kill: order,
        stage: RearmStage::Plan,
        reason: "it is fixed".to_owned(),
        despite_unconfirmed: false,
    };
    let anna = Identity {
        issuer: "https://people.acme.example".to_owned(),
        subject: "anna".to_owned(),
    };
    bench
        .engine
        .rearms()
        .propose(step, &anna.into())
        .await
        .unwrap();
    let found = bench.engine.rearms().list(None).await.unwrap();
    let [rearm] = found.as_slice() else {
        unreachable!("{found:?}");
    };
    assert!(
        rearm.opens[0].starts_with("charter payments-terraform: "),
        "{rearm:?}"
    );
}
