//! Agents with several identities: orders reach all of them, by the name and by each (rule 26).

use std::collections::BTreeMap;

use lanyard_core::id::{LeaseId, TaskId};
use lanyard_core::identity::Identity;
use lanyard_core::kill::{Actor, Lifted};
use lanyard_core::lease::Lease;
use lanyard_core::scope::{AgentName, RoleFilter, Scope};
use lanyard_engine::tasks::{OpenTask, TaskError};
use lanyard_testkit::world;

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
    Ok(bench.engine.open_task(who, ask).await?.id)
}

async fn kill(bench: &Bench, agent: &str) {
    let order = bench.engine.draft_kill(
        Scope::Agent(AgentName(agent.to_owned())),
        RoleFilter::Both,
        "drill".into(),
        Actor::Local,
    );
    bench.engine.engage(order.unwrap()).await;
    bench.engine.sweep_orders().await;
}

async fn live(bench: &Bench, lease: LeaseId) -> bool {
    let found = bench
        .engine
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
    let orders = bench.engine.query(|state| {
        let orders = state.kills().iter();
        orders
            .map(|engaged| (engaged.lifted, engaged.order.identities.len()))
            .collect::<Vec<_>>()
    });
    assert_eq!(orders.await.unwrap(), [(Lifted::Nothing, 2)]);
}
