//! What comes between an approval and its use: whichever of the two is first in the journal,
//! nothing is issued after it.
//!
//! Every seed is another interleaving: each commit waits for a number of turns that the seed
//! decides. A failure names its seed; `LANYARD_SEEDS` plays more.

use std::sync::Arc;

use async_trait::async_trait;
use lanyard_charter::parse;
use lanyard_charter::plan::PlanFormat;
use lanyard_core::command::{Command, Record};
use lanyard_core::kill::{Actor, KillOrder};
use lanyard_core::ledger::{CommitError, Ledger, StateGuard};
use lanyard_engine::Engine;
use lanyard_engine::mint::IssueError;
use lanyard_engine::plans::Proposal;
use lanyard_testkit::ids::Ids;
use lanyard_testkit::ledger::MemoryLedger;
use lanyard_testkit::world;
use lanyard_vocabulary::caller::Caller;
use lanyard_vocabulary::id::KillId;
use lanyard_vocabulary::identity::Identity;
use lanyard_vocabulary::operator::Operator;
use lanyard_vocabulary::scope::{RoleFilter, Scope};
use lanyard_vocabulary::seq::Seq;

use crate::common::{Bench, apply_by, approve, bench, person, submit};

/// The number of seeds of each kind that the test command plays.
const SEEDS: u64 = 1000;

/// A ledger before which commands wait for their turn.
struct Turns {
    ledger: Arc<MemoryLedger>,
    dice: Ids,
}

impl Turns {
    async fn wait(&self) {
        for _ in 0..self.dice.word() % 6 {
            tokio::task::yield_now().await;
        }
    }
}

#[async_trait]
impl Ledger for Turns {
    async fn commit(&self, command: Command) -> Result<Seq, CommitError> {
        self.wait().await;
        let outcome = self.ledger.commit(command).await;
        self.wait().await;
        outcome
    }

    fn read(&self) -> StateGuard<'_> {
        self.ledger.read()
    }

    async fn settle(&self) -> Result<(), CommitError> {
        self.wait().await;
        self.ledger.settle().await
    }
}

/// The event that comes in between.
#[derive(Debug, Clone, Copy)]
enum Between {
    Withdrawn,
    Narrowed,
    Removed,
    Killed,
}

const CHARTER: &str = "role: apply, environment: production";

async fn happens(
    between: Between,
    bench: &Bench,
    engine: &Arc<Engine>,
    approval: lanyard_vocabulary::id::ApprovalId,
) {
    match between {
        Between::Withdrawn => {
            let by = person("two").identity;
            engine
                .approvals()
                .withdraw(approval, by, "a second look".into())
                .await
                .unwrap();
        }
        Between::Removed => {
            let left = Operator {
                roles: [].into(),
                ..person("two")
            };
            engine.approvals().recognize(&left).await.unwrap();
        }
        Between::Narrowed => {
            let text = world::CHARTER
                .replace(CHARTER, "role: apply")
                .replace("people: 2", "people: 3");
            let charter = parse(&text, &world::world()).unwrap().charter;
            let in_force = Command::CharterInForce {
                charter: charter.name.clone(),
                revision: charter.revision.clone(),
                breakers: Vec::new(),
            };
            engine.context().commit(in_force).await.unwrap();
            bench.charters.replace(vec![charter]);
        }
        Between::Killed => {
            let order = KillOrder {
                id: KillId::from_bits(7),
                scope: Scope::All,
                roles: RoleFilter::Both,
                reason: "stop".into(),
                by: Actor::Operator(person("three").identity),
                at: engine.clock().now(),
                evidence: Vec::new(),
                key: None,
                identities: std::collections::BTreeSet::new(),
                as_typed: false,
                reaches_nothing: false,
            };
            assert!(engine.kills().engage(order).await.is_durable());
        }
    }
}

/// Tells if the apply was given.
async fn play(seed: u64, between: Between) -> bool {
    let charter = world::CHARTER.replace(CHARTER, "role: apply");
    let bench = Arc::new(bench(&charter).await);
    let plan = submit(&bench).await.unwrap();
    approve(&bench, &plan, "one").await.unwrap();
    approve(&bench, &plan, "two").await.unwrap();
    let engine = bench.engine_over(Arc::new(Turns {
        ledger: Arc::clone(&bench.ledger),
        dice: Ids::seeded(seed),
    }));
    let approval = plan.approval.unwrap();
    let (one, two) = (Arc::clone(&bench), Arc::clone(&engine));
    let head_start = Ids::seeded(!seed).word() % 24;
    let comes = tokio::spawn(async move {
        for _ in 0..head_start {
            tokio::task::yield_now().await;
        }
        happens(between, &one, &two, approval).await;
    });
    let (one, two) = (Arc::clone(&bench), Arc::clone(&engine));
    let asks = tokio::spawn(async move { apply_by(&two, &one, plan.id).await });
    comes.await.unwrap();
    let seen = bench.ledger.records().len();
    let given = asks.await.unwrap();
    let records: Vec<Record> = bench
        .ledger
        .records()
        .iter()
        .map(|record| lanyard_records::decode(record).unwrap())
        .collect();
    let is = |record: &Record| {
        matches!(
            (&record.command, between),
            (Command::Withdraw { .. }, Between::Withdrawn)
                | (Command::Recognize(_), Between::Removed)
                | (Command::Kill(_), Between::Killed)
                | (Command::CharterInForce { .. }, Between::Narrowed)
        )
    };
    let came = records.iter().rposition(is).unwrap();
    let after = records.get(came..).unwrap_or_default();
    let began = after
        .iter()
        .any(|it| matches!(it.command, Command::BeginMint(_)));
    assert!(!began, "seed {seed}, {between:?}: asked for after it");
    if matches!(between, Between::Killed) {
        let confirmed = |record: &Record| matches!(record.command, Command::ConfirmMint { .. });
        assert!(
            !after.iter().any(confirmed),
            "seed {seed}: confirmed after the kill"
        );
        let before = records.get(..seen).unwrap_or_default();
        let late = given.is_ok() && !before.iter().any(confirmed);
        assert!(
            !late,
            "seed {seed}: handed over after the kill was answered"
        );
    }
    given.is_ok()
}

fn seeds() -> u64 {
    let named = std::env::var("LANYARD_SEEDS").ok();
    named.and_then(|text| text.parse().ok()).unwrap_or(SEEDS)
}

async fn both_orders(between: Between) {
    let mut given = 0;
    for seed in 0..seeds() {
        given += u64::from(play(seed, between).await);
    }
    // Otherwise nothing was raced.
    assert!(
        given > 0 && given < seeds(),
        "{between:?}: {given} of {} given",
        seeds()
    );
}

// T22
#[tokio::test]
async fn a_yes_taken_back_counts_from_its_record_on() {
    both_orders(Between::Withdrawn).await;
}

// T17
#[tokio::test]
async fn a_charter_that_asks_more_counts_from_its_record_on() {
    both_orders(Between::Narrowed).await;
}

// T22
#[tokio::test]
async fn a_person_who_may_no_more_counts_from_the_record_on() {
    both_orders(Between::Removed).await;
}

// T65
#[tokio::test]
async fn a_kill_counts_from_its_record_on() {
    both_orders(Between::Killed).await;
}

// An agent that submits plan after plan takes one turn of those who look at them.
#[tokio::test]
async fn plans_of_one_agent_are_looked_at_one_at_a_time() {
    let mut busy = 0;
    for seed in 0..10 {
        busy += u32::from(second_is_busy(seed).await);
    }
    assert!(busy > 0, "no two were submitted at once");
}

async fn second_is_busy(seed: u64) -> bool {
    let bench = bench(&world::CHARTER.replace(CHARTER, "role: apply")).await;
    let engine = bench.engine_over(Arc::new(Turns {
        ledger: Arc::clone(&bench.ledger),
        dice: Ids::seeded(seed),
    }));
    let agent = world::caller();
    let proposal = || Proposal {
        task: bench.task,
        grant: world::name("restart"),
        format: Some(PlanFormat::Text),
        summary: "restart".to_owned(),
        destructive: [].into(),
    };
    let submit = async |content: &[u8]| {
        let submission = engine.plans().begin_submission(&agent, proposal()).await?;
        submission.submit(Arc::from(content)).await
    };
    let (one, two) = tokio::join!(submit(b"one"), submit(b"two"));
    let after = submit(b"three").await;
    assert!(one.is_ok() || two.is_ok(), "seed {seed}");
    assert!(after.is_ok(), "seed {seed}: {after:?}");
    [one, two]
        .into_iter()
        .any(|it| matches!(it, Err(IssueError::Busy)))
}

// The bytes of a plan are received under the turn of its agent: who has no task and no turn sends
// none.
#[tokio::test]
async fn s07_the_task_and_the_turn_come_before_the_bytes_of_a_plan() {
    let bench = bench(&world::CHARTER.replace(CHARTER, "role: apply")).await;
    let proposal = || Proposal {
        task: bench.task,
        grant: world::name("restart"),
        format: Some(PlanFormat::Text),
        summary: "restart".to_owned(),
        destructive: [].into(),
    };
    let stranger = Caller::unproved(&Identity {
        subject: "another".to_owned(),
        ..world::agent()
    });
    let refused = bench
        .engine
        .plans()
        .begin_submission(&stranger, proposal())
        .await;
    assert!(matches!(refused.err(), Some(IssueError::NotFound("task"))));
    let agent = world::caller();
    let first = bench
        .engine
        .plans()
        .begin_submission(&agent, proposal())
        .await;
    let second = bench
        .engine
        .plans()
        .begin_submission(&agent, proposal())
        .await;
    assert!(matches!(second.err(), Some(IssueError::Busy)));
    drop(first);
    assert!(
        bench
            .engine
            .plans()
            .begin_submission(&agent, proposal())
            .await
            .is_ok()
    );
}
