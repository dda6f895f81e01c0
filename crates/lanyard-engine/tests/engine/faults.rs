//! Kills while a provider hangs, fails, or does half of what it is asked: the fence does not wait,
//! the report is right, and nothing is given up.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use lanyard_charter::TargetKind;
use lanyard_core::command::Command;
use lanyard_core::kill::Actor;
use lanyard_core::lease::Stage;
use lanyard_core::ledger::{CommitError, Ledger, StateGuard};
use lanyard_engine::mint::{IssueError, IssueRequest};
use lanyard_engine::report::KillReport;
use lanyard_testkit::clock::ManualClock;
use lanyard_testkit::fake::{MintFault, RevokeFault};
use lanyard_testkit::ledger::MemoryLedger;
use lanyard_testkit::world;
use lanyard_vocabulary::id::{KillId, LeaseId};
use lanyard_vocabulary::scope::{RoleFilter, Scope};
use lanyard_vocabulary::seq::Seq;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::common::{Bench, bench};

/// The number of credentials that are out.
const OUT: usize = 40;

fn ask(bench: &Bench) -> IssueRequest {
    IssueRequest {
        task: bench.task,
        grant: world::grant(TargetKind::KUBERNETES),
        ttl: None,
        plan: None,
        request: None,
    }
}

/// An engine that runs, with credentials out, on a clock that goes with the runtime's.
async fn running() -> (Bench, watch::Sender<bool>, Vec<JoinHandle<()>>) {
    let charter = world::CHARTER
        .replace("live_leases: 5", "live_leases: 100")
        .replace("ttl: 10m", "ttl: 1h")
        .replace("task: 2h", "task: 8h")
        .replace("count: 30", "count: 1000");
    let bench = bench(&charter).await;
    let (stop, stopping) = watch::channel(false);
    let clock = Arc::clone(&bench.clock);
    let ticks = tokio::spawn(async move {
        loop {
            tokio::time::sleep(Duration::from_millis(100)).await;
            clock.advance(Duration::from_millis(100));
        }
    });
    let runs = tokio::spawn(Arc::clone(&bench.engine).run(stopping));
    for _ in 0..OUT {
        let issued = bench
            .engine
            .mints()
            .issue(&world::caller(), &ask(&bench))
            .await
            .unwrap();
        issued.release.hand_over(|| ()).unwrap();
    }
    (bench, stop, vec![ticks, runs])
}

async fn killed(bench: &Bench) -> KillId {
    let charter = Scope::Charter(world::name("payments-terraform"));
    let order = bench
        .engine
        .kills()
        .draft(charter, RoleFilter::Both, "drill".to_owned(), Actor::Local)
        .unwrap();
    let before = tokio::time::Instant::now();
    let fenced = bench.engine.kills().engage(order).await;
    // On the paused clock any wait would show.
    assert_eq!(
        before.elapsed(),
        Duration::ZERO,
        "the fence waited for a provider"
    );
    assert!(fenced.is_durable());
    fenced.order.id
}

async fn report(bench: &Bench, order: KillId) -> KillReport {
    bench.engine.kills().report(order).await.unwrap()
}

async fn refused(bench: &Bench) -> IssueError {
    bench
        .engine
        .mints()
        .issue(&world::caller(), &ask(bench))
        .await
        .err()
        .unwrap()
}

async fn after(seconds: u64) {
    tokio::time::sleep(Duration::from_secs(seconds)).await;
}

/// With the provider well again everything dies, no later than the longest pause.
async fn recovers(bench: &Bench, order: KillId) {
    bench.provider.revocations(RevokeFault::None);
    after(62).await;
    let report = report(bench, order).await;
    assert!(report.is_confirmed(), "{:?}", report.total);
    assert_eq!(report.total.proved, OUT as u64);
    assert!(bench.provider.live().is_empty());
}

// T66
#[tokio::test(start_paused = true)]
async fn t66_a_provider_that_hangs_delays_no_fence_and_is_asked_until_it_answers() {
    let (bench, _stop, _tasks) = running().await;
    bench.provider.revocations(RevokeFault::Hang);
    let order = killed(&bench).await;
    after(600).await;
    let report = report(&bench, order).await;
    assert_eq!(
        (report.total.requested, report.total.dead()),
        (OUT as u64, 0)
    );
    assert_eq!(report.lines.len(), OUT);
    for line in &report.lines {
        let why = line.why.as_deref().unwrap();
        assert!(why.starts_with("no answer since "), "{why}");
    }
    assert_eq!(
        bench.provider.live().len(),
        OUT,
        "nothing is called dead that lives"
    );
    recovers(&bench, order).await;
}

// T46, T66
#[tokio::test(start_paused = true)]
async fn t46_ten_minutes_of_errors_are_outlasted_and_nothing_is_minted_there_meanwhile() {
    let (bench, _stop, _tasks) = running().await;
    bench.provider.revocations(RevokeFault::Lost);
    // A lease that ends by itself shows the provider's state; another agent's task is not fenced.
    let listed: Vec<LeaseId> = bench.provider.live().into_iter().collect();
    bench
        .engine
        .expiry()
        .release(&world::agent(), *listed.first().unwrap())
        .await
        .unwrap();
    after(5).await;
    let line = refused(&bench).await.to_string();
    assert!(line.contains("revocations there go first"), "{line}");
    let order = killed(&bench).await;
    after(600).await;
    let found = report(&bench, order).await;
    assert_eq!(found.total.requested, OUT as u64);
    let why = found
        .lines
        .first()
        .and_then(|line| line.why.clone())
        .unwrap();
    assert!(why.contains("did not answer revoke"), "{why}");
    let asked = bench.provider.revocations_asked();
    assert!(
        (20..200).contains(&asked),
        "asked {asked} times in ten minutes"
    );
    recovers(&bench, order).await;
}

// T67
#[tokio::test(start_paused = true)]
async fn t67_half_of_the_revocations_fail_and_hold_up_no_other() {
    let (bench, _stop, _tasks) = running().await;
    bench.provider.revocations(RevokeFault::HalfRefused);
    let odd = |lease: &LeaseId| lease.bits() % 2 == 1;
    let stuck: BTreeSet<LeaseId> = bench.provider.live().into_iter().filter(odd).collect();
    assert!(!stuck.is_empty() && stuck.len() < OUT);
    let order = killed(&bench).await;
    after(1).await;
    let found = report(&bench, order).await;
    assert_eq!(found.total.proved, (OUT - stuck.len()) as u64, "at once");
    assert_eq!(bench.provider.live(), stuck);
    let lines = found
        .lines
        .iter()
        .filter(|line| !line.progress.is_confirmed());
    let named: BTreeSet<LeaseId> = lines
        .map(|line| {
            let why = line.why.as_deref().unwrap_or_default();
            let refused = why.starts_with("refused since ") && why.ends_with(": no");
            assert!(refused, "{why}");
            line.lease
        })
        .collect();
    assert_eq!(named, stuck, "a line for each");
    assert!(!found.is_taken() && !found.is_confirmed());
    recovers(&bench, order).await;
}

// T66
#[tokio::test(start_paused = true)]
async fn t66_what_was_waiting_for_a_provider_is_revoked_by_the_next_process() {
    let (bench, stop, tasks) = running().await;
    bench.provider.revocations(RevokeFault::Lost);
    let order = killed(&bench).await;
    after(30).await;
    tasks.iter().for_each(JoinHandle::abort);
    drop(stop);
    bench.ledger.die();
    let bench = bench.restarted();
    let (_stop, stopping) = watch::channel(false);
    bench.engine.recover().await;
    tokio::spawn(Arc::clone(&bench.engine).run(stopping));
    bench.provider.revocations(RevokeFault::None);
    after(1).await;
    let report = report(&bench, order).await;
    assert_eq!((report.total.proved, report.unswept), (OUT as u64, 0));
    assert!(bench.provider.live().is_empty());
}

// T46
#[tokio::test(start_paused = true)]
async fn t46_a_target_whose_leases_ran_out_unrevoked_is_minted_at_again() {
    let (bench, _stop, _tasks) = running().await;
    for fault in [RevokeFault::Lost, RevokeFault::HalfRefused] {
        bench.provider.revocations(fault);
        let live = bench.provider.live();
        for lease in live {
            bench
                .engine
                .expiry()
                .release(&world::agent(), lease)
                .await
                .unwrap();
        }
        // Past the end of every lease, and the provider's leeway.
        after(3700).await;
        assert!(bench.provider.live().is_empty());
        let asked = bench.provider.revocations_asked();
        after(60).await;
        assert_eq!(
            bench.provider.revocations_asked(),
            asked + 1,
            "one look a minute, and nothing else"
        );
        let issued = bench
            .engine
            .mints()
            .issue(&world::caller(), &ask(&bench))
            .await
            .unwrap();
        issued.release.hand_over(|| ()).unwrap();
    }
}

// T62
#[tokio::test]
async fn a_credential_lives_from_when_it_is_asked_for_and_not_from_before_a_wait() {
    let bench = bench(world::CHARTER).await;
    let clock = Arc::clone(&bench.clock);
    bench.provider.prepare_by(Box::pin(async move {
        clock.advance(Duration::from_secs(40));
    }));
    let issued = bench
        .engine
        .mints()
        .issue(&world::caller(), &ask(&bench))
        .await;
    let issued = issued.unwrap();
    assert_eq!(issued.expires, bench.clock.now() + world::TTL);
}

// T41
#[tokio::test(start_paused = true)]
async fn a_target_that_never_gets_ready_is_given_up() {
    let bench = bench(world::CHARTER).await;
    bench
        .provider
        .prepare_by(Box::pin(std::future::pending::<()>()));
    let issued = bench
        .engine
        .mints()
        .issue(&world::caller(), &ask(&bench))
        .await;
    assert!(
        matches!(issued.err(), Some(IssueError::Provider(error)) if error.is_retryable()),
        "it was issued"
    );
    assert!(bench.provider.minted().is_empty());
}

/// A ledger that takes so long for an intent.
struct Slow {
    ledger: Arc<MemoryLedger>,
    clock: Arc<ManualClock>,
    takes: Duration,
}

#[async_trait]
impl Ledger for Slow {
    async fn commit(&self, command: Command) -> Result<Seq, CommitError> {
        let is_intent = matches!(command, Command::BeginMint(_));
        let committed = self.ledger.commit(command).await;
        if is_intent {
            self.clock.advance(self.takes);
        }
        committed
    }

    fn read(&self) -> StateGuard<'_> {
        self.ledger.read()
    }

    async fn settle(&self) -> Result<(), CommitError> {
        self.ledger.settle().await
    }
}

/// The mint may take 5 s at this provider, and the intent is given up 10 s after it was asked for.
#[tokio::test(start_paused = true)]
async fn s39_a_mint_whose_intent_waited_for_the_ledger_ends_before_its_deadline_or_is_not_begun() {
    for (waited, may_take) in [(0, 5), (2, 3), (4, 1), (5, 0), (9, 0), (60, 0)] {
        let bench = bench(world::CHARTER).await;
        let engine = bench.engine_over(Arc::new(Slow {
            ledger: Arc::clone(&bench.ledger),
            clock: Arc::clone(&bench.clock),
            takes: Duration::from_secs(waited),
        }));
        bench.provider.next_mint(MintFault::Hang);
        let begun = tokio::time::Instant::now();
        let ask = IssueRequest {
            task: bench.task,
            grant: world::name("read-deployments"),
            ttl: None,
            plan: None,
            request: None,
        };
        let refused = engine
            .mints()
            .issue(&world::caller(), &ask)
            .await
            .err()
            .unwrap();
        let took = begun.elapsed();
        assert_eq!(took.as_secs(), may_take, "waited {waited} s: {refused}");
        let is_asked = may_take > 0;
        assert_eq!(bench.provider.minted().len(), usize::from(is_asked));
        assert_eq!(matches!(refused, IssueError::NotNow { .. }), !is_asked);
        // What may exist is revoked.
        let stages = bench.engine.context().peek(|state| {
            let leases = state.leases().iter();
            leases.map(|lease| lease.stage).collect::<Vec<_>>()
        });
        assert!(
            matches!(&stages[..], [Stage::Stopping { .. }]),
            "waited {waited} s"
        );
    }
}
