//! An engine on fakes, with one charter in force.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use lanyard_charter::plan::PlanFormat;
use lanyard_charter::{TargetKind, parse};
use lanyard_core::command::Command;
use lanyard_core::judge::Judge;
use lanyard_core::ledger::{CommitError, Ledger};
use lanyard_core::plan::Plan;
use lanyard_core::spool::KillSpool;
use lanyard_engine::charters::Charters;
use lanyard_engine::clock::{Clock, SystemRandomness};
use lanyard_engine::mint::{IssueError, IssueRequest};
use lanyard_engine::plans::Proposal;
use lanyard_engine::tasks::OpenTask;
use lanyard_engine::{Engine, Parts};
use lanyard_testkit::clock::ManualClock;
use lanyard_testkit::fake::FakeProvider;
use lanyard_testkit::judge::CannotRead;
use lanyard_testkit::ledger::MemoryLedger;
use lanyard_testkit::world;
use lanyard_vocabulary::agent::AgentName;
use lanyard_vocabulary::caller::Caller;
use lanyard_vocabulary::id::{ApprovalId, LeaseId, PlanId, TaskId};
use lanyard_vocabulary::identity::Identity;
use lanyard_vocabulary::name::Name;
use lanyard_vocabulary::operator::{Operator, OperatorRole};
use lanyard_vocabulary::time::Timestamp;

struct Time(Arc<ManualClock>);

impl Clock for Time {
    fn now(&self) -> Timestamp {
        self.0.now()
    }
}

/// The engine, its only target's provider, and an open task.
pub(crate) struct Bench {
    pub(crate) engine: Arc<Engine>,
    pub(crate) provider: Arc<FakeProvider>,
    pub(crate) target: Name,
    pub(crate) task: TaskId,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) ledger: Arc<MemoryLedger>,
    pub(crate) charters: Arc<Charters>,
}

impl Bench {
    /// Another engine of the same process, over this ledger.
    pub(crate) fn engine_over(&self, ledger: Arc<dyn Ledger>) -> Arc<Engine> {
        engine_on(ledger, &self.clock, &self.charters, &self.provider)
    }

    /// The same, with plans judged by another.
    pub(crate) fn judged_by(self, judge: Arc<dyn Judge>) -> Self {
        let ledger = Arc::clone(&self.ledger) as Arc<dyn Ledger>;
        let parts = parts(ledger, &self.clock, &self.charters, &self.provider);
        let engine = Engine::new(Parts { judge, ..parts });
        Self { engine, ..self }
    }

    /// The same, with a spool for kill orders.
    pub(crate) fn with_spool(self, spool: Arc<dyn KillSpool>) -> Self {
        let ledger = Arc::clone(&self.ledger) as Arc<dyn Ledger>;
        let parts = parts(ledger, &self.clock, &self.charters, &self.provider);
        let engine = Engine::new(Parts { spool, ..parts });
        Self { engine, ..self }
    }

    /// The engine of the next process, whose configuration has these names of agents.
    pub(crate) fn restarted_with(self, agents: BTreeMap<Identity, AgentName>) -> Self {
        let bench = self.restarted();
        let parts = parts(
            Arc::clone(&bench.ledger) as _,
            &bench.clock,
            &bench.charters,
            &bench.provider,
        );
        let engine = Engine::new(Parts { agents, ..parts });
        Self { engine, ..bench }
    }

    /// The engine of the next process, which has this charter in force and found no revision of an
    /// earlier day.
    pub(crate) fn restarted_under(self, charter: &str) -> Self {
        let charters = Arc::new(Charters::default());
        charters.replace(vec![parse(charter, &world::world()).unwrap().charter]);
        Self { charters, ..self }.restarted()
    }

    /// The engine of the next process, on what is durable.
    pub(crate) fn restarted(self) -> Self {
        let records = self.ledger.records();
        let ledger = Arc::new(MemoryLedger::replay(Arc::clone(&self.clock), records));
        let parts = (&self.clock, &ledger, &self.charters, &self.provider);
        Self {
            engine: engine(parts),
            ledger,
            ..self
        }
    }
}

type Made<'a> = (
    &'a Arc<ManualClock>,
    &'a Arc<MemoryLedger>,
    &'a Arc<Charters>,
    &'a Arc<FakeProvider>,
);

fn engine((clock, ledger, charters, provider): Made<'_>) -> Arc<Engine> {
    engine_on(Arc::clone(ledger) as _, clock, charters, provider)
}

fn engine_on(
    ledger: Arc<dyn Ledger>,
    clock: &Arc<ManualClock>,
    charters: &Arc<Charters>,
    provider: &Arc<FakeProvider>,
) -> Arc<Engine> {
    Engine::new(parts(ledger, clock, charters, provider))
}

fn parts(
    ledger: Arc<dyn Ledger>,
    clock: &Arc<ManualClock>,
    charters: &Arc<Charters>,
    provider: &Arc<FakeProvider>,
) -> Parts {
    let target = world::target(TargetKind::KUBERNETES);
    Parts {
        ledger,
        providers: [(target, Arc::clone(provider) as _)].into(),
        charters: Arc::clone(charters),
        judge: Arc::new(CannotRead),
        clock: Arc::new(Time(Arc::clone(clock))),
        randomness: Arc::new(SystemRandomness::default()),
        agents: BTreeMap::new(),
        spool: Arc::new(lanyard_testkit::spool::NoSpool),
        rearm_soak: Duration::from_secs(60),
        records: lanyard_engine::records::RecordLimits::UNBOUNDED,
    }
}

/// Under this charter, on the Kubernetes target.
pub(crate) async fn bench(charter: &str) -> Bench {
    bench_of(&[charter]).await
}

/// Under the first of these charters, with all of them in force.
pub(crate) async fn bench_of(texts: &[&str]) -> Bench {
    let clock = Arc::new(ManualClock::at(ManualClock::START));
    let provider = Arc::new(FakeProvider::new(Arc::clone(&clock)));
    bench_with(texts, (clock, provider)).await
}

/// The same, with a target that lives by a clock of its own.
pub(crate) async fn bench_at(texts: &[&str], provider: Arc<FakeProvider>) -> Bench {
    let clock = Arc::new(ManualClock::at(ManualClock::START));
    bench_with(texts, (clock, provider)).await
}

async fn bench_with(
    texts: &[&str],
    (clock, provider): (Arc<ManualClock>, Arc<FakeProvider>),
) -> Bench {
    let charters = Arc::new(Charters::default());
    let parsed = texts
        .iter()
        .map(|text| parse(text, &world::world()).unwrap().charter);
    let parsed: Vec<_> = parsed.collect();
    charters.replace(parsed.clone());
    let ledger = Arc::new(MemoryLedger::replay(Arc::clone(&clock), Vec::new()));
    let engine = engine((&clock, &ledger, &charters, &provider));
    for charter in &parsed {
        let in_force = Command::CharterInForce {
            charter: charter.name.clone(),
            revision: charter.revision.clone(),
            breakers: charter.breakers.clone(),
        };
        engine.context().commit(in_force).await.unwrap();
    }
    let charter = parsed.first().unwrap().name.clone();
    let ask = OpenTask {
        version: None,
        under: None,
        charter,
        environment: world::name("staging"),
        reason: "a run".to_owned(),
        ticket: None,
        request: None,
    };
    let task = engine.tasks().open(&world::caller(), ask).await.unwrap().id;
    Bench {
        engine,
        provider,
        target: world::target(TargetKind::KUBERNETES),
        task,
        clock,
        ledger,
        charters,
    }
}

/// Somebody of the platform team.
pub(crate) fn person(name: &str) -> Operator {
    Operator {
        identity: Identity {
            issuer: "https://people.acme.example".to_owned(),
            subject: name.to_owned(),
        },
        groups: ["platform".to_owned()].into(),
        roles: [OperatorRole::Approver, OperatorRole::OnCall].into(),
        directory: None,
        name: None,
        vouched: None,
    }
}

/// A plan for the apply grant.
pub(crate) async fn submit(bench: &Bench) -> Result<Plan, IssueError> {
    let proposal = Proposal {
        task: bench.task,
        grant: world::name("restart"),
        format: Some(PlanFormat::Text),
        summary: "restart".to_owned(),
        destructive: BTreeSet::new(),
    };
    submitted(bench, &world::caller(), proposal).await
}

/// Submits this plan for this caller.
pub(crate) async fn submitted(
    bench: &Bench,
    caller: &Caller,
    proposal: Proposal,
) -> Result<Plan, IssueError> {
    let submission = bench
        .engine
        .plans()
        .begin_submission(caller, proposal)
        .await?;
    submission.submit(Arc::from(*b"restart")).await
}

/// A yes to it.
pub(crate) async fn approve(bench: &Bench, plan: &Plan, by: &str) -> Result<(), CommitError> {
    let approval: ApprovalId = plan.approval.unwrap();
    bench
        .engine
        .approvals()
        .approve(approval, plan.digest, person(by), "seen".into())
        .await
}

/// Issues under the plan, and returns the lifetime.
pub(crate) async fn apply(bench: &Bench, plan: PlanId) -> Result<(LeaseId, Duration), IssueError> {
    apply_by(&bench.engine, bench, plan).await
}

/// The same by this engine.
pub(crate) async fn apply_by(
    engine: &Arc<Engine>,
    bench: &Bench,
    plan: PlanId,
) -> Result<(LeaseId, Duration), IssueError> {
    let ask = IssueRequest {
        task: bench.task,
        grant: world::name("restart"),
        ttl: None,
        plan: Some(plan),
        request: None,
    };
    let issued = engine.mints().issue(&world::caller(), &ask).await?;
    let (lease, life) = (issued.lease, issued.expires.since(bench.clock.now()));
    issued
        .release
        .hand_over(|| ())
        .map_err(IssueError::Closed)?;
    Ok((lease, life))
}

/// A credential of this task, handed over.
pub(crate) async fn mint(
    bench: &Bench,
    who: &Identity,
    task: TaskId,
) -> Result<LeaseId, IssueError> {
    let ask = IssueRequest {
        task,
        grant: world::grant(TargetKind::KUBERNETES),
        ttl: None,
        plan: None,
        request: None,
    };
    let issued = bench
        .engine
        .mints()
        .issue(&Caller::unproved(who), &ask)
        .await?;
    let lease = issued.lease;
    issued.release.hand_over(|| ()).unwrap();
    Ok(lease)
}

/// A credential of the bench's own task, handed over.
pub(crate) async fn mint_own(bench: &Bench) -> Result<LeaseId, IssueError> {
    mint(bench, &world::agent(), bench.task).await
}
