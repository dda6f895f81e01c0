//! What is in effect in memory and not on the disk, and what stops when a loop of the engine dies.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use lanyard_core::command::Command;
use lanyard_core::condition::{Kind, Reason};
use lanyard_core::kill::{Actor, RearmStage};
use lanyard_core::ledger::{CommitError, Ledger, StateGuard};
use lanyard_engine::gate::Closed;
use lanyard_engine::rearm::RearmStep;
use lanyard_testkit::ledger::MemoryLedger;
use lanyard_testkit::world;
use lanyard_vocabulary::scope::{RoleFilter, Scope};
use lanyard_vocabulary::seq::Seq;
use tokio::sync::watch;

use crate::common::{bench, person};

/// A ledger whose kill orders are in effect before they are durable.
struct Volatile {
    ledger: Arc<MemoryLedger>,
    volatile: AtomicBool,
}

#[async_trait]
impl Ledger for Volatile {
    async fn commit(&self, command: Command) -> Result<Seq, CommitError> {
        let seq = self.ledger.commit(command).await?;
        if self.volatile.load(Ordering::SeqCst) {
            let why = "the disk is full".to_owned();
            return Err(CommitError::Volatile { seq, why });
        }
        Ok(seq)
    }

    fn read(&self) -> StateGuard<'_> {
        self.ledger.read()
    }

    async fn settle(&self) -> Result<(), CommitError> {
        self.ledger.settle().await
    }
}

#[tokio::test]
async fn t59_a_volatile_order_holds_by_the_state_and_no_longer_than_the_state_says() {
    let bench = bench(world::CHARTER).await;
    let ledger = Arc::new(Volatile {
        ledger: Arc::clone(&bench.ledger),
        volatile: AtomicBool::new(false),
    });
    let engine = bench.engine_over(Arc::clone(&ledger) as _);
    let ask = || lanyard_engine::mint::IssueRequest {
        task: bench.task,
        grant: world::name("read-deployments"),
        ttl: None,
        plan: None,
        request: None,
    };
    let before = engine
        .mints()
        .issue(&world::caller(), &ask())
        .await
        .unwrap();
    ledger.volatile.store(true, Ordering::SeqCst);
    let draft = engine.kills().draft(
        Scope::Target(bench.target.clone()),
        RoleFilter::Both,
        "drill".to_owned(),
        Actor::Local,
    );
    let fenced = engine.kills().engage(draft.unwrap()).await;
    assert!(!fenced.is_durable());
    let order = fenced.order.id;
    assert_eq!(before.release.hand_over(|| ()), Err(Closed::Killed(order)));
    ledger.volatile.store(false, Ordering::SeqCst);
    // The lease that is out belongs to the order: what the provider holds of it is revoked first.
    engine.kills().sweep_orders().await;
    bench.clock.advance(Duration::from_secs(1));
    engine.revoker().revoke_round(&bench.target).await;
    let (one, two) = (person("one").person(), person("two").person());
    let step = RearmStep {
        kill: order,
        stage: RearmStage::Plan,
        reason: "it is over".to_owned(),
        despite_unconfirmed: true,
    };
    let proposal = engine.rearms().propose(step, &one).await.unwrap();
    let despite = Some("a drill".to_owned());
    let confirmed = engine.rearms().confirm(proposal.id, &two, despite).await;
    confirmed.unwrap();
    let after = engine
        .mints()
        .issue(&world::caller(), &ask())
        .await
        .unwrap();
    assert_eq!(after.release.hand_over(|| ()), Ok(()));
}

/// A ledger at which the sweep of an order panics.
struct Panics(Arc<MemoryLedger>);

#[async_trait]
impl Ledger for Panics {
    async fn commit(&self, command: Command) -> Result<Seq, CommitError> {
        assert!(!matches!(command, Command::Stop { .. }), "a defect");
        self.0.commit(command).await
    }

    fn read(&self) -> StateGuard<'_> {
        self.0.read()
    }

    async fn settle(&self) -> Result<(), CommitError> {
        self.0.settle().await
    }
}

#[tokio::test(start_paused = true)]
async fn s11_a_loop_that_dies_stops_issuing_and_one_that_is_told_to_end_does_not() {
    let bench = bench(world::CHARTER).await;
    let ask = lanyard_engine::mint::IssueRequest {
        task: bench.task,
        grant: world::name("read-deployments"),
        ttl: None,
        plan: None,
        request: None,
    };
    let issued = bench
        .engine
        .mints()
        .issue(&world::caller(), &ask)
        .await
        .unwrap();
    issued.release.hand_over(|| ()).unwrap();
    let (stop, stopping) = watch::channel(false);
    let runs = tokio::spawn(Arc::clone(&bench.engine).run(stopping));
    tokio::time::sleep(Duration::from_secs(5)).await;
    stop.send_replace(true);
    runs.await.unwrap();
    assert_eq!(bench.engine.conditions().reasons(), []);

    let engine = bench.engine_over(Arc::new(Panics(Arc::clone(&bench.ledger))));
    let (_stop, stopping) = watch::channel(false);
    tokio::spawn(Arc::clone(&engine).run(stopping));
    let draft = engine.kills().draft(
        Scope::Target(bench.target.clone()),
        RoleFilter::Both,
        "drill".to_owned(),
        Actor::Local,
    );
    assert!(engine.kills().engage(draft.unwrap()).await.is_durable());
    while engine.conditions().reasons().is_empty() {
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    let reasons = engine.conditions().reasons();
    assert!(
        matches!(reasons.as_slice(), [Reason::ThreadEnded { thread, why }]
            if thread == "housekeeping" && why.contains("a defect")),
        "{reasons:?}"
    );
    assert!(
        engine
            .conditions()
            .check()
            .is_err_and(|why| why.kinds.contains(&Kind::ThreadEnded))
    );
}
