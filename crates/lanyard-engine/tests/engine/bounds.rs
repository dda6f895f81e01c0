//! What strangers, floods and stuck targets cannot take away from others.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use lanyard_charter::TargetKind;
use lanyard_core::command::{Command, Intent, LeaseLimits, RequestOptions};
use lanyard_core::kill::Actor;
use lanyard_core::lease::{GrantRef, Handle, Stage};
use lanyard_core::ledger::{CommitError, Ledger, StateGuard};
use lanyard_core::state::Refusal;
use lanyard_engine::Engine;
use lanyard_engine::expiry::MAX_LEASES_PER_RECORD;
use lanyard_engine::mint::{IssueError, IssueRequest};
use lanyard_engine::pass::MAX_LEASES_PER_LOOK;
use lanyard_engine::tasks::{OpenTask, TaskError};
use lanyard_testkit::fake::RevokeFault;
use lanyard_testkit::ids::Ids;
use lanyard_testkit::ledger::MemoryLedger;
use lanyard_testkit::world;
use lanyard_vocabulary::caller::Caller;
use lanyard_vocabulary::identity::Identity;
use lanyard_vocabulary::scope::{RoleFilter, Scope};
use lanyard_vocabulary::seq::Seq;
use lanyard_vocabulary::time::{Timestamp, Ttl};

use super::common::{Bench, bench, mint_own};

fn stranger(number: usize) -> Identity {
    Identity {
        issuer: "https://agents.acme.example".to_owned(),
        subject: format!("repo:somebody/{number}"),
    }
}

fn ask(charter: &str) -> OpenTask {
    OpenTask {
        version: None,
        under: None,
        charter: world::name(charter),
        environment: world::name("staging"),
        reason: "a run".to_owned(),
        ticket: None,
        request: None,
    }
}

fn records(bench: &Bench) -> Vec<Command> {
    let records = bench.ledger.records();
    let records = records
        .iter()
        .map(|record| lanyard_records::decode(record).unwrap().command);
    records.collect()
}

/// An intent of the bench's task that nobody confirms.
async fn intent(bench: &Bench, ids: &Ids, expires: Timestamp) {
    let task = bench.task;
    let entry = bench
        .engine
        .context()
        .query(|state| state.task(task).cloned());
    let task = entry.await.unwrap().unwrap().task;
    let intent = Intent {
        lease: ids.lease(),
        decision: ids.decision(),
        task: task.id,
        environment: None,
        entry: GrantRef {
            grant: world::grant(TargetKind::KUBERNETES),
            role: lanyard_vocabulary::role::Role::Plan,
            target: bench.target.clone(),
        },
        in_force: task.revision.clone(),
        above: Vec::new(),
        handle: Handle::default(),
        expires,
        worst_expiry: expires,
        deadline: expires,
        approval: None,
        asked: RequestOptions::default(),
        outside_hours: false,
        limits: LeaseLimits {
            live: u32::MAX,
            mints: lanyard_charter::Rate {
                count: 10_000,
                per: Ttl::at_least_a_second(1),
            }
            .into(),
            budget: None,
        },
        request: None,
        evidence: None,
        approved_by: Vec::new(),
        document_digest: String::new(),
    };
    bench
        .engine
        .context()
        .commit(Command::BeginMint(Box::new(intent)))
        .await
        .unwrap();
}

#[tokio::test]
async fn s05_whom_no_charter_names_causes_no_record() {
    let bench = bench(world::CHARTER).await;
    let before = records(&bench).len();
    for number in 0..200 {
        // One identity that asks for ever other charters, and ever other identities that ask for
        // one that there is.
        let (who, charter) = if number % 2 == 0 {
            (stranger(0), format!("made-up-{number}"))
        } else {
            (stranger(number), "payments-terraform".to_owned())
        };
        let denied = bench
            .engine
            .tasks()
            .open(&Caller::unproved(&who), ask(&charter))
            .await;
        assert!(matches!(denied, Err(TaskError::Denied { .. })));
        assert!(!bench.engine.context().knows(&who));
    }
    assert_eq!(records(&bench).len(), before);
    // All of it is one number a minute.
    bench.clock.advance(Duration::from_secs(60));
    bench.engine.requests().settle_denials(false).await;
    let told: Vec<_> = records(&bench).split_off(before);
    let [
        Command::DenialsSuppressed {
            agent: None,
            charter: None,
            count: 200,
            ..
        },
    ] = told.as_slice()
    else {
        panic!("{told:?}");
    };
}

#[tokio::test]
async fn s05_an_agent_with_an_open_task_is_known_after_its_charter_is_gone() {
    let bench = bench(world::CHARTER).await;
    assert!(bench.engine.context().knows(&world::agent()));
    bench.charters.replace(Vec::new());
    assert!(bench.engine.context().knows(&world::agent()));
    bench.engine.tasks().close(bench.task).await.unwrap();
    assert!(!bench.engine.context().knows(&world::agent()));
}

#[tokio::test]
async fn s05_what_is_ended_twice_is_journaled_once() {
    let bench = bench(world::CHARTER).await;
    let issued = bench
        .engine
        .mints()
        .issue(
            &world::caller(),
            &IssueRequest {
                task: bench.task,
                grant: world::grant(TargetKind::KUBERNETES),
                ttl: None,
                plan: None,
                request: None,
            },
        )
        .await
        .unwrap();
    let lease = issued.lease;
    issued.release.hand_over(|| ()).unwrap();
    bench
        .engine
        .expiry()
        .release(&world::agent(), lease)
        .await
        .unwrap();
    let released = records(&bench).len();
    for _ in 0..50 {
        bench
            .engine
            .expiry()
            .release(&world::agent(), lease)
            .await
            .unwrap();
    }
    assert_eq!(records(&bench).len(), released);
    bench.engine.tasks().close(bench.task).await.unwrap();
    let closed = records(&bench).len();
    for _ in 0..50 {
        bench.engine.tasks().close(bench.task).await.unwrap();
    }
    assert_eq!(records(&bench).len(), closed);
}

#[tokio::test]
async fn s05_what_a_provider_says_again_is_journaled_once() {
    let bench = bench(world::CHARTER).await;
    let lease = mint_own(&bench).await.unwrap();
    bench.provider.revocations(RevokeFault::Lost);
    bench
        .engine
        .expiry()
        .release(&world::agent(), lease)
        .await
        .unwrap();
    let rounds = async || {
        for _ in 0..20 {
            bench.engine.revoker().revoke_round(&bench.target).await;
            bench.engine.revoker().prove_round(&bench.target).await;
            bench.engine.revoker().presume(&bench.target).await;
            bench.clock.advance(Duration::from_secs(1));
        }
    };
    bench.engine.revoker().revoke_round(&bench.target).await;
    let requested = records(&bench).len();
    rounds().await;
    assert_eq!(records(&bench).len(), requested, "lost again and again");
    bench.provider.revocations(RevokeFault::None);
    rounds().await;
    let taken = records(&bench).len();
    rounds().await;
    assert_eq!(records(&bench).len(), taken, "done with");
}

#[tokio::test]
async fn s06_a_flood_of_others_does_not_keep_a_breaker_from_tripping() {
    let breakers = "  breakers:\n    - {on: denied, count: 3, within: 10m, then: stop-agent}\n";
    let bench = bench(&format!("{}{breakers}", world::CHARTER)).await;
    // More than any table of denials holds.
    for number in 0..25_000 {
        let who = stranger(number);
        let denied = bench
            .engine
            .tasks()
            .open(&Caller::unproved(&who), ask("payments-terraform"))
            .await;
        assert!(matches!(denied, Err(TaskError::Denied { .. })));
    }
    let nothing = IssueRequest {
        task: bench.task,
        grant: world::name("nothing"),
        ttl: None,
        plan: None,
        request: None,
    };
    for _ in 0..3 {
        let denied = bench
            .engine
            .mints()
            .issue(&world::caller(), &nothing.clone())
            .await;
        assert!(matches!(denied, Err(IssueError::Denied { .. })));
    }
    let tripped = bench.engine.context().query(|state| state.tripped().len());
    assert_eq!(tripped.await.unwrap(), 1);
}

#[tokio::test]
async fn s12_leases_that_are_stuck_hold_up_no_expiry() {
    let (bench, ids) = (bench(world::CHARTER).await, Ids::seeded(12));
    bench.provider.revocations(RevokeFault::Lost);
    let now = bench.clock.now();
    // More than one record ends, all given up, and none of their revocations is ever taken.
    for _ in 0..=MAX_LEASES_PER_RECORD {
        intent(&bench, &ids, now + Duration::from_secs(1)).await;
    }
    bench.clock.advance(Duration::from_secs(2));
    while bench.engine.expiry().expire_due().await {}
    let stuck = bench
        .engine
        .context()
        .query(|state| state.leases().stopping(&bench.target).count());
    assert_eq!(stuck.await.unwrap(), MAX_LEASES_PER_RECORD + 1);
    let late = bench.clock.now() + Duration::from_secs(1);
    intent(&bench, &ids, late).await;
    bench.clock.advance(Duration::from_secs(2));
    while bench.engine.expiry().expire_due().await {}
    let live = bench.engine.context().query(|state| state.leases().live());
    assert_eq!(
        live.await.unwrap(),
        0,
        "the lease behind those that are stuck ends too"
    );
}

/// A ledger that counts how many leases each look at the state may have passed over, and how many
/// looks there were.
struct Looks {
    ledger: Arc<MemoryLedger>,
    looks: AtomicUsize,
}

#[async_trait]
impl Ledger for Looks {
    async fn commit(&self, command: Command) -> Result<Seq, CommitError> {
        self.ledger.commit(command).await
    }

    fn read(&self) -> StateGuard<'_> {
        self.looks.fetch_add(1, Ordering::SeqCst);
        self.ledger.read()
    }

    async fn settle(&self) -> Result<(), CommitError> {
        self.ledger.settle().await
    }
}

const PAGES: usize = 3;

/// A bench with so many leases that a pass over them takes three looks.
async fn three_pages(seed: u64) -> (Bench, Arc<Looks>, Arc<Engine>) {
    let (bench, ids) = (bench(world::CHARTER).await, Ids::seeded(seed));
    let ends = bench.clock.now() + Duration::from_secs(600);
    for _ in 0..=(PAGES - 1) * MAX_LEASES_PER_LOOK {
        intent(&bench, &ids, ends).await;
    }
    let looks = Arc::new(Looks {
        ledger: Arc::clone(&bench.ledger),
        looks: AtomicUsize::new(0),
    });
    let engine = bench.engine_over(Arc::clone(&looks) as Arc<dyn Ledger>);
    (bench, looks, engine)
}

// The lock that a kill needs is given back between two looks.
#[tokio::test]
async fn s28_a_pass_over_all_leases_gives_the_lock_back_after_each_page() {
    let (_bench, looks, engine) = three_pages(28).await;
    let before = looks.looks.load(Ordering::SeqCst);
    let (mut seen, mut of_look) = (BTreeSet::new(), BTreeMap::<usize, usize>::new());
    engine.context().pass(|_, lease| {
        assert!(seen.insert(lease.id), "a lease is shown once");
        *of_look
            .entry(looks.looks.load(Ordering::SeqCst))
            .or_default() += 1;
    });
    assert_eq!(seen.len(), (PAGES - 1) * MAX_LEASES_PER_LOOK + 1);
    assert_eq!(looks.looks.load(Ordering::SeqCst) - before, PAGES);
    assert!(of_look.values().all(|count| *count <= MAX_LEASES_PER_LOOK));
}

#[tokio::test]
async fn s28_whatever_looks_at_all_leases_looks_at_them_page_by_page() {
    let (bench, looks, engine) = three_pages(29).await;
    let taken = |before: usize| looks.looks.load(Ordering::SeqCst) - before;
    let now = || looks.looks.load(Ordering::SeqCst);
    let by = Actor::Operator(world::agent());
    let order = engine
        .kills()
        .draft(Scope::All, RoleFilter::Both, "drill".into(), by);
    let order = order.unwrap();

    let before = now();
    let radius = engine
        .scopes()
        .blast_radius(&Scope::All, RoleFilter::Both, None);
    let all = (PAGES - 1) * MAX_LEASES_PER_LOOK + 1;
    assert_eq!(radius.leases.values().sum::<usize>(), all);
    assert!(taken(before) >= PAGES, "the preview of a kill");

    let before = now();
    let reached = engine.context().identities_in_reach(&order).await.unwrap();
    assert_eq!(reached, [world::agent()].into());
    assert!(taken(before) >= PAGES, "whom an order reaches");

    let before = now();
    engine.reconciler().revoke_strays(&bench.target).await;
    assert!(taken(before) >= PAGES, "the look through a target");

    let kill = engine.kills().engage(order).await.order.id;
    let before = now();
    let report = engine.kills().report(kill).await.unwrap();
    assert_eq!(report.unswept, all);
    assert!(
        taken(before) >= PAGES,
        "the report of an order before its sweep"
    );

    let before = now();
    engine.kills().sweep_orders().await;
    assert!(taken(before) >= PAGES, "the first sweep of a process");
    let stopped = engine.kills().report(kill).await.unwrap();
    assert_eq!((stopped.unswept, stopped.total.all()), (0, all as u64));

    let before = now();
    let leases = engine.kills().leases(kill).await;
    assert_eq!(leases.len(), all);
    assert!(taken(before) >= PAGES, "the leases of an order");

    // Another order reaches them, and the first one stops them.
    let by = Actor::Operator(world::agent());
    let target = Scope::Target(bench.target.clone());
    let other = engine
        .kills()
        .draft(target, RoleFilter::Both, "drill".into(), by);
    let other = engine.kills().engage(other.unwrap()).await.order.id;
    engine.kills().sweep_orders().await;
    let before = now();
    let report = engine.kills().report(other).await.unwrap();
    assert_eq!((report.lines.len(), report.total.all()), (1000, all as u64));
    assert!(
        taken(before) >= PAGES,
        "the report of what another order stops"
    );
    let before = now();
    let leases = engine.kills().leases(other).await;
    assert_eq!(leases.len(), all);
    assert!(
        taken(before) >= PAGES,
        "the leases that another order stops"
    );

    let before = now();
    engine.recover().await;
    assert!(taken(before) >= PAGES, "what a crash left behind");
}

#[tokio::test]
async fn a_report_lists_so_many_leases_and_counts_the_rest() {
    let (bench, ids) = (bench(world::CHARTER).await, Ids::seeded(30));
    let ends = bench.clock.now() + Duration::from_secs(600);
    for _ in 0..=1000 {
        intent(&bench, &ids, ends).await;
    }
    let by = Actor::Operator(world::agent());
    let order = bench
        .engine
        .kills()
        .draft(Scope::All, RoleFilter::Both, "drill".into(), by);
    let kill = bench.engine.kills().engage(order.unwrap()).await.order.id;
    bench.engine.kills().sweep_orders().await;
    let report = bench.engine.kills().report(kill).await.unwrap();
    assert_eq!((report.lines.len(), report.total.all()), (1000, 1001));
}

#[tokio::test]
async fn s12_a_ledger_that_takes_nothing_does_not_keep_the_housekeeping() {
    let (bench, ids) = (bench(world::CHARTER).await, Ids::seeded(13));
    let ends = bench.clock.now() + Duration::from_secs(1);
    for _ in 0..=MAX_LEASES_PER_RECORD {
        intent(&bench, &ids, ends).await;
    }
    bench.clock.advance(Duration::from_secs(2));
    bench.ledger.die();
    // Nothing could be ended: that is no reason to try again at once, for ever.
    assert!(!bench.engine.expiry().expire_due().await);
}

#[tokio::test]
async fn s43_a_breaker_that_cannot_be_journaled_is_one_order_however_often_it_is_tried() {
    let breakers = "  breakers:\n    - {on: minted, count: 1, within: 10m, then: stop-agent}\n";
    let bench = bench(&format!("{}{breakers}", world::CHARTER)).await;
    let (ids, now) = (Ids::seeded(43), bench.clock.now());
    intent(&bench, &ids, now + Duration::from_secs(600)).await;
    bench.ledger.die();
    let trip = bench
        .engine
        .context()
        .query(|state| state.tripped().first().cloned());
    let trip = trip.await.unwrap().unwrap();
    for _ in 0..20 {
        bench.engine.kills().answer_trips().await;
    }
    // Once the journal takes records again, what was tried is in it once, under the id that it had
    // from the beginning.
    let bench = bench.restarted();
    assert_eq!(trip.bits(), {
        let again = bench
            .engine
            .context()
            .query(|state| state.tripped().first().cloned());
        again.await.unwrap().unwrap().bits()
    });
    bench.engine.kills().answer_trips().await;
    bench.engine.kills().answer_trips().await;
    let orders = bench.engine.context().query(|state| {
        let orders = state.kills().iter();
        orders.map(|it| it.order.id.bits()).collect::<Vec<_>>()
    });
    assert_eq!(orders.await.unwrap(), [trip.bits()]);
}

#[tokio::test]
async fn s08_a_start_sweeps_each_lease_once_for_all_orders() {
    let (bench, ids) = (bench(world::CHARTER).await, Ids::seeded(8));
    let later = bench.clock.now() + Duration::from_secs(600);
    intent(&bench, &ids, later).await;
    let order = |scope| {
        let by = Actor::Local;
        bench
            .engine
            .kills()
            .draft(scope, RoleFilter::Both, "drill".to_owned(), by)
            .unwrap()
    };
    let (first, second) = (order(Scope::Task(bench.task)), order(Scope::All));
    bench
        .engine
        .context()
        .commit(Command::Kill(first.clone()))
        .await
        .unwrap();
    bench
        .engine
        .context()
        .commit(Command::Kill(second))
        .await
        .unwrap();
    // The process ended between the orders and their sweep.
    let bench = bench.restarted();
    bench.engine.kills().sweep_orders().await;
    let causes = bench.engine.context().query(|state| {
        let leases = state.leases().iter();
        let causes = leases.map(|lease| match lease.stage {
            Stage::Stopping { cause, .. } => cause.kill(),
            Stage::Intent | Stage::Issued { .. } => None,
        });
        causes.collect::<Vec<_>>()
    });
    assert_eq!(causes.await.unwrap(), [Some(first.id)]);
    let swept = records(&bench).len();
    bench.engine.kills().sweep_orders().await;
    assert_eq!(records(&bench).len(), swept);
    let report = bench.engine.kills().report(first.id).await.unwrap();
    assert_eq!(report.unswept, 0);
}

#[tokio::test]
async fn s51_a_request_that_is_repeated_after_its_task_is_gone_opens_nothing() {
    let bench = bench(world::CHARTER).await;
    let again = || OpenTask {
        request: Some("r-1".to_owned()),
        ..ask("payments-terraform")
    };
    let task = bench
        .engine
        .tasks()
        .open(&world::caller(), again())
        .await
        .unwrap();
    bench.engine.tasks().close(task.id).await.unwrap();
    bench.clock.advance(Duration::from_secs(600));
    bench
        .engine
        .tasks()
        .open(&world::caller(), ask("payments-terraform"))
        .await
        .unwrap();
    let known = bench
        .engine
        .context()
        .query(|state| state.task(task.id).is_some());
    assert!(!known.await.unwrap());
    let repeated = bench.engine.tasks().open(&world::caller(), again()).await;
    let repeated = repeated.map_err(TaskError::cause);
    let Err(TaskError::Commit(lanyard_core::ledger::CommitError::Refused(refusal))) = repeated
    else {
        panic!("{repeated:?}");
    };
    assert_eq!(refusal, Refusal::TaskEnded(task.id));
}
