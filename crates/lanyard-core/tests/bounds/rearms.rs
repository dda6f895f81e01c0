//! Which newer order voids a re-arm.

use std::time::Duration;

use lanyard_core::command::Command;
use lanyard_core::kill::{Actor, REARM_PROPOSAL_LIFE, RearmProposal, RearmStage};
use lanyard_core::state::Refusal;
use lanyard_core::task::Task;
use lanyard_testkit::world;
use lanyard_vocabulary::agent::AgentName;
use lanyard_vocabulary::id::{KillId, RearmId};
use lanyard_vocabulary::scope::Scope;
use lanyard_vocabulary::seq::Seq;

use super::{Books, START, identity, of};

/// Proposes to re-arm the plan role of an order.
fn proposed(books: &mut Books, kill: KillId) -> RearmId {
    let rearm = RearmId::from_bits(books.ids.bits());
    let proposal = RearmProposal {
        id: rearm,
        kill,
        stage: RearmStage::Plan,
        by: identity(1).into(),
        reason: "over".to_owned(),
        at: START,
        despite_unconfirmed: false,
        epoch: books.state.kills().epoch(),
        soak: 0,
    };
    books.admit(Command::ProposeRearm(proposal), START).unwrap();
    rearm
}

/// Proposes to re-arm an order, engages another, and says whether the proposal still stands.
fn stands(over: Scope, meanwhile: impl FnOnce(&mut Books, &Task) -> (Scope, Actor)) -> bool {
    let mut books = Books::new();
    let task = books.open(None, START);
    let kill = books.kill(over, Actor::Local, START);
    let rearm = proposed(&mut books, kill);
    let (scope, by) = meanwhile(&mut books, &task);
    let newer = books.kill(scope, by, START);
    let confirm = Command::ConfirmRearm {
        rearm,
        kill,
        by: identity(2).into(),
        despite: None,
    };
    match books.admit(confirm, START) {
        Ok(_) => true,
        Err(Refusal::RearmVoid(by)) if by == newer => false,
        Err(other) => panic!("{other}"),
    }
}

fn breaker() -> Actor {
    Actor::Breaker {
        charter: world::name("payments-terraform"),
        line: 7,
        path: None,
        record: Seq(1),
    }
}

#[test]
fn s08_only_an_order_over_some_of_the_same_voids_a_rearm() {
    let (staging, production) = (world::name("staging"), world::name("production"));
    let environment = |name: &lanyard_vocabulary::name::Name| Scope::Environment(name.clone());
    let other_task = |books: &mut Books, _: &Task| {
        let other = of(books.task(START), 9);
        let Command::OpenTask { task, .. } = &other else {
            panic!("no task");
        };
        let id = task.id;
        // Applied, not admitted: it was opened before the order over its environment.
        books.apply(other, START);
        (Scope::Task(id), Actor::Local)
    };
    assert!(stands(environment(&production), |_, task| (
        Scope::Task(task.id),
        Actor::Local
    )));
    assert!(stands(environment(&production), |_, _| (
        environment(&staging),
        Actor::Local
    )));
    assert!(stands(
        Scope::Agent(AgentName("other".to_owned())),
        other_task
    ));
    assert!(!stands(environment(&staging), |_, task| (
        Scope::Task(task.id),
        Actor::Local
    )));
    assert!(!stands(environment(&staging), other_task));
    assert!(!stands(environment(&staging), |_, _| (
        environment(&staging),
        Actor::Local
    )));
    assert!(!stands(environment(&staging), |_, _| (
        Scope::All,
        Actor::Local
    )));
    assert!(!stands(Scope::All, other_task));
    // An agent has a charter and an environment that nothing here knows of: they may have something
    // in common.
    let agent = Scope::Agent(AgentName("terraformer".to_owned()));
    assert!(!stands(environment(&staging), move |_, _| (
        agent,
        Actor::Local
    )));
}

#[test]
fn s08_an_agents_own_breaker_does_not_hold_up_every_rearm() {
    let of_task = |_: &mut Books, task: &Task| (Scope::Task(task.id), breaker());
    let of_agent = |_: &mut Books, task: &Task| (Scope::Agent(task.agent.clone()), breaker());
    assert!(stands(Scope::All, of_task));
    assert!(stands(Scope::All, of_agent));
    assert!(stands(
        Scope::Charter(world::name("payments-terraform")),
        of_task
    ));
    // What is as wide as what would be let go has to be looked at, whoever gave it.
    let own = Scope::Agent(AgentName("terraformer".to_owned()));
    assert!(!stands(own, of_agent));
    let charter = || Scope::Charter(world::name("payments-terraform"));
    assert!(!stands(charter(), move |_, _| (charter(), breaker())));
}

#[test]
fn a_proposal_to_re_arm_is_good_for_an_hour() {
    let confirmed = |after: Duration| {
        let mut books = Books::new();
        let kill = books.kill(Scope::All, Actor::Local, START);
        let rearm = proposed(&mut books, kill);
        let confirm = Command::ConfirmRearm {
            rearm,
            kill,
            by: identity(2).into(),
            despite: None,
        };
        books.admit(confirm, START + after).is_ok()
    };
    let second = Duration::from_secs(1);
    assert!(confirmed(REARM_PROPOSAL_LIFE) && !confirmed(REARM_PROPOSAL_LIFE + second));
}
