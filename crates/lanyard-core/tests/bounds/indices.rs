//! What the indices of the state find, and when what they hold is forgotten.

use std::collections::BTreeSet;
use std::time::Duration;

use lanyard_charter::requirement::Requirement;
use lanyard_charter::{Breaker, BreakerRule, Event, Per, RequestLimits, TargetKind, Then};
use lanyard_core::command::Command;
use lanyard_core::kill::{Actor, LIFTED_ORDER_REMEMBERED, RearmProposal, RearmStage};
use lanyard_core::lease::{Awaits, Lease, Progress, StopCause};
use lanyard_core::state::{Refusal, State};
use lanyard_core::task::Task;
use lanyard_document::Position;
use lanyard_testkit::world;
use lanyard_vocabulary::agent::AgentName;
use lanyard_vocabulary::id::{KillId, LeaseId, RearmId};
use lanyard_vocabulary::role::Role;
use lanyard_vocabulary::scope::Scope;
use lanyard_vocabulary::time::{Timestamp, Ttl};

use super::{Books, MOMENT, START, identity, of, plan};

fn operator() -> Actor {
    Actor::Operator(identity(1))
}

fn lift(books: &mut Books, kill: KillId, stage: RearmStage, at: Timestamp) {
    let id = RearmId::from_bits(books.ids.bits());
    let proposal = RearmProposal {
        id,
        kill,
        stage,
        by: identity(1).into(),
        reason: "over".to_owned(),
        at,
        despite_unconfirmed: false,
        epoch: books.state.kills().epoch(),
        soak: 0,
    };
    books.apply(Command::ProposeRearm(proposal), at);
    let confirm = Command::ConfirmRearm {
        rearm: id,
        kill,
        by: identity(2).into(),
        despite: None,
    };
    books.apply(confirm, at);
}

fn lift_wholly(books: &mut Books, kill: KillId, at: Timestamp) {
    lift(books, kill, RearmStage::Plan, at);
    lift(books, kill, RearmStage::Apply, at);
}

/// A plan of this task that people are asked about, where they are asked no more than this.
fn asked(books: &Books, task: &Task, at: Timestamp, most: RequestLimits) -> Command {
    let mut submit = plan(books, task);
    if let Command::SubmitPlan {
        plan,
        requirement,
        requests,
    } = &mut submit
    {
        plan.approval = Some(books.ids.approval());
        plan.submitted = at;
        *requirement = Some(Requirement::of_one());
        *requests = most;
    }
    submit
}

fn ask(books: &mut Books, task: &Task, at: Timestamp) {
    let submit = asked(books, task, at, RequestLimits::default());
    books.apply(submit, at);
}

#[test]
fn s28_a_lifted_order_goes_once_nothing_older_is_in_the_books() {
    let mut books = Books::new();
    let task = books.open(None, START);
    let lease = books.lease(&task, START);
    let all = books.kill(Scope::All, operator(), START);
    let half = books.kill(
        Scope::Agent(AgentName("other".to_owned())),
        operator(),
        START,
    );
    let standing = books.kill(
        Scope::Environment(world::name("production")),
        operator(),
        START,
    );
    let ticket = Actor::Ticket {
        id: "t".to_owned(),
        key: "k".to_owned(),
    };
    let by_ticket = books.kill(Scope::All, ticket, START);
    lift_wholly(&mut books, all, START);
    lift_wholly(&mut books, by_ticket, START);
    lift(&mut books, half, RearmStage::Plan, START);
    assert_eq!(books.state.kills().count_engaged(), 2);
    let over = START + LIFTED_ORDER_REMEMBERED;
    // The lease is dead for good by the order, as long as the lease is in the books.
    books.pass(over);
    let known = |books: &Books, id| books.state.kills().get(id).is_some();
    assert!(known(&books, all));
    books.ends(lease, over);
    assert!(!known(&books, all));
    for kept in [half, standing, by_ticket] {
        assert!(known(&books, kept));
    }
    books.state = books.again();
    assert_eq!(books.state.kills().count_engaged(), 2);
    // The time counts from when all of it was lifted, also over a restart, and a request of people
    // that is older holds it too.
    let task = books.open(None, over);
    ask(&mut books, &task, over);
    let later = books.kill(Scope::All, operator(), over);
    lift_wholly(&mut books, later, over);
    books.state = books.again();
    let over = over + LIFTED_ORDER_REMEMBERED;
    books.pass(over.before(MOMENT));
    assert!(known(&books, later));
    books.pass(over);
    books.pass(over);
    assert_eq!(books.state.approvals(None).count(), 0);
    assert!(!known(&books, later));
    assert!(known(&books, standing));
}

#[test]
fn s28_the_indices_find_what_a_look_at_all_finds() {
    let mut books = Books::new();
    let (mut tasks, mut leases, mut kills) = (Vec::new(), Vec::new(), Vec::<KillId>::new());
    for step in 0..400_u64 {
        let at = START + Duration::from_secs(step);
        let bits = books.ids.bits();
        let pick = |length: usize| (bits >> 32) as usize % length.max(1);
        match bits % 8 {
            0 | 1 => {
                let number = pick(3);
                let open = of(books.task(at), number);
                if let Command::OpenTask { task, .. } = &open {
                    tasks.push(task.clone());
                }
                books.apply(open, at);
            }
            2 | 3 if !tasks.is_empty() => {
                let task = tasks[pick(tasks.len())].clone();
                // What stops it is lifted first.
                let engaged = books.state.kills().iter().filter(|it| it.is_engaged());
                let engaged: Vec<KillId> = engaged.map(|it| it.order.id).collect();
                for kill in engaged {
                    lift_wholly(&mut books, kill, at);
                }
                leases.push(books.lease(&task, at));
            }
            4 => {
                let scope = match pick(4) {
                    0 => Scope::All,
                    1 => Scope::Target(world::target(TargetKind::TOKEN)),
                    2 => Scope::Environment(world::name("production")),
                    _ => tasks
                        .first()
                        .map_or(Scope::All, |task: &Task| Scope::Task(task.id)),
                };
                kills.push(books.kill(scope, operator(), at));
            }
            5 if !leases.is_empty() && !kills.is_empty() => {
                let some = vec![leases[pick(leases.len())]];
                let kill = kills[(bits >> 64) as usize % kills.len()];
                let cause = StopCause::Killed(kill);
                books.apply(
                    Command::Stop {
                        leases: some.clone(),
                        cause,
                    },
                    at,
                );
                let progress = match pick(3) {
                    0 => Progress::Requested,
                    1 => Progress::Acknowledged(at),
                    _ => Progress::ProvedDead(at),
                };
                books.apply(
                    Command::Advance {
                        progress: vec![(some[0], progress)],
                    },
                    at,
                );
                if bits.is_multiple_of(5) {
                    books.apply(Command::Forget { leases: some }, at);
                }
            }
            6 if !kills.is_empty() => lift_wholly(&mut books, kills[pick(kills.len())], at),
            7 if !tasks.is_empty() => ask(&mut books, &tasks[pick(tasks.len())].clone(), at),
            _ => {}
        }
        if step.is_multiple_of(16) {
            compare(&books.state, &kills, at, &books);
            books.state = books.again();
            compare(&books.state, &kills, at, &books);
        }
    }
    assert!(leases.len() > 20 && kills.len() > 20);
}

fn compare(state: &State, kills: &[KillId], at: Timestamp, books: &Books) {
    let all: Vec<&Lease> = state.leases().iter().collect();
    let steps = [
        Awaits::Kill,
        Awaits::Provider,
        Awaits::Bound,
        Awaits::End,
        Awaits::Nothing,
    ];
    let target = world::target(TargetKind::TOKEN);
    for kill in kills {
        for steps in [&steps[..], &steps[..1], &steps[2..4]] {
            let waits = |lease: &&&Lease| {
                lease.killed_by() == Some(*kill)
                    && lease.awaits().is_some_and(|what| steps.contains(&what))
            };
            let expected: BTreeSet<LeaseId> = all.iter().filter(waits).map(|it| it.id).collect();
            let (mut found, mut after) = (Vec::new(), None);
            loop {
                let page = state.leases().killed_after(*kill, steps, (after, 2));
                let Some(last) = page.last() else { break };
                after = Some(last.id);
                found.extend(page.iter().map(|lease| lease.id));
            }
            assert_eq!(found, expected.into_iter().collect::<Vec<_>>());
        }
        let killed = all.iter().filter(|lease| lease.killed_by() == Some(*kill));
        let asked = killed.map(|lease| lease.asked).max();
        assert_eq!(state.leases().last_asked(&target, *kill), asked);
    }
    let oldest = all.iter().map(|lease| lease.intent).min();
    assert_eq!(state.leases().oldest(), oldest);
    let engaged = state.kills().iter().filter(|it| it.is_engaged()).count();
    assert_eq!(state.kills().count_engaged(), engaged);
    let places: Vec<_> = state.kills().iter().map(|it| it.seq).rev().collect();
    let before: Vec<_> = state.kills().before(None).map(|it| it.seq).collect();
    assert_eq!(before, places);
    for entry in state.tasks() {
        let task = &entry.task;
        for approval in state.approvals(None) {
            let kills = state.kills().after(approval.seq);
            let mut kills = kills.filter(|it| it.order.roles.reaches(Role::Apply));
            let expected = kills.any(|it| it.order.covers_task(task));
            let found = state.kills().kills_task(task, Role::Apply, approval.seq);
            assert_eq!(found, expected);
        }
        let waits = state.approvals(None).filter(|approval| {
            let other = &state.task(approval.task).unwrap().task;
            let same = other.agent == task.agent && other.charter == task.charter;
            let cools = approval.requested + Duration::from_secs(1);
            same && at < other.expires.max(cools)
        });
        let none = RequestLimits {
            open: 0,
            cooldown: Ttl::at_least_a_second(1),
        };
        let submit = asked(books, task, at, none);
        match state.admit(&submit, at) {
            Err(Refusal::TooManyRequests { waiting, .. }) => {
                assert_eq!(waiting as usize, waits.count());
            }
            Err(Refusal::TooManyPlans { .. } | Refusal::TaskEnded(_)) => {}
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn s28_the_targets_of_an_agent_that_is_gone_are_forgotten() {
    let mut books = Books::new();
    let first = books.task(START);
    let breaker = Breaker {
        on: Event::NewTarget,
        action: None,
        count: 1,
        within: Ttl::at_least_a_second(60),
        per: Per::Agent,
        then: Then::Alert,
        lasts: None,
    };
    let at = Position { line: 1, column: 1 };
    let in_force = Command::CharterInForce {
        charter: first.charter,
        revision: first.revision,
        breakers: vec![BreakerRule {
            breaker,
            at,
            path: None,
        }],
    };
    books.apply(in_force, START);
    // Whether the target is new to the agent at this time.
    let is_new = |books: &mut Books, at: Timestamp| {
        let task = books.open(None, at);
        let lease = books.lease(&task, at);
        books.ends(lease, at);
        let tripped = books.state.tripped().to_vec();
        let is_new = !tripped.is_empty();
        for trip in tripped {
            books.apply(Command::Alert(Box::new(trip)), at);
        }
        books.state = books.again();
        is_new
    };
    let days = |days: u64| START + Duration::from_secs(days * 86400);
    assert!(is_new(&mut books, days(0)));
    assert!(!is_new(&mut books, days(1)));
    assert!(!is_new(&mut books, days(90)));
    assert!(is_new(&mut books, days(180)));
}
