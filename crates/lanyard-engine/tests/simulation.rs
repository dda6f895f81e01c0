//! The engine under faults, kills and crashes at every point of a mint, from seeds.
//!
//! After every step: each credential that is live at the provider is known to the durable state,
//! each secret that was handed over has a durable record, and none was handed over after a kill
//! that had been answered. `LANYARD_SEEDS=1000` plays more; a failure names its seed.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::wildcard_enum_match_arm,
    reason = "a test stops where its footing gives way"
)]

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use lanyard_charter::{Charter, TargetKind, parse};
use lanyard_core::checkpoint::JournalCheckpoint;
use lanyard_core::command::Command;
use lanyard_core::kill::Actor;
use lanyard_core::lease::{Awaits, Progress, Stage};
use lanyard_core::ledger::{Ledger, look};
use lanyard_core::provider::Provider as _;
use lanyard_core::state::State;
use lanyard_engine::charters::Charters;
use lanyard_engine::clock::{Clock, NoRandomness, Randomness};
use lanyard_engine::mint::{IssueRequest, Issued};
use lanyard_engine::revoke::Round;
use lanyard_engine::tasks::OpenTask;
use lanyard_engine::{Engine, Parts};
use lanyard_testkit::clock::ManualClock;
use lanyard_testkit::fake::{FakeProvider, MintFault, RevokeFault};
use lanyard_testkit::ids::Ids;
use lanyard_testkit::judge::CannotRead;
use lanyard_testkit::ledger::MemoryLedger;
use lanyard_testkit::world;
use lanyard_vocabulary::id::{LeaseId, TaskId};
use lanyard_vocabulary::scope::{RoleFilter, Scope};
use lanyard_vocabulary::seq::Seq;
use lanyard_vocabulary::time::Timestamp;

/// The number of seeds that the test command plays.
const SEEDS: u64 = 1000;
/// The number of steps of a seed.
const STEPS: usize = 60;

struct Time(Arc<ManualClock>);

impl Clock for Time {
    fn now(&self) -> Timestamp {
        self.0.now()
    }
}

struct Dice(Arc<Ids>);

impl Randomness for Dice {
    fn draw(&self) -> Result<u128, NoRandomness> {
        Ok(self.0.bits())
    }
}

/// A run of one seed.
struct Simulation {
    seed: u64,
    dice: Arc<Ids>,
    clock: Arc<ManualClock>,
    provider: Arc<FakeProvider>,
    ledger: Arc<MemoryLedger>,
    engine: Arc<Engine>,
    task: TaskId,
}

/// The number of mints within the breaker's window that pause.
const MINTS: usize = 8;
/// The breaker's window, in seconds.
const WINDOW_SECONDS: u64 = 600;
const BREAKERS: &str = "  breakers:
    - {on: minted, count: 8, within: 10m, then: pause}
    - {on: provider-error, count: 4, within: 20m, then: stop-agent}
";

fn engine(
    clock: &Arc<ManualClock>,
    dice: &Arc<Ids>,
    provider: &Arc<FakeProvider>,
    ledger: &Arc<MemoryLedger>,
) -> Arc<Engine> {
    static CHARTER: LazyLock<Charter> = LazyLock::new(|| {
        let text = world::CHARTER
            .replace("live_leases: 5", "live_leases: 50")
            .replace("count: 30", "count: 10000");
        let text = format!("{text}{BREAKERS}");
        parse(&text, &world::world()).unwrap().charter
    });
    let charters = Arc::new(Charters::default());
    charters.replace(vec![CHARTER.clone()]);
    Engine::new(Parts {
        ledger: Arc::clone(ledger) as Arc<dyn Ledger>,
        providers: [(world::target(TargetKind::TOKEN), Arc::clone(provider) as _)].into(),
        charters,
        judge: Arc::new(CannotRead),
        clock: Arc::new(Time(Arc::clone(clock))),
        randomness: Arc::new(Dice(Arc::clone(dice))),
        agents: BTreeMap::new(),
        spool: Arc::new(lanyard_testkit::spool::NoSpool),
        rearm_soak: Duration::from_secs(60),
        records: lanyard_engine::records::RecordLimits::UNBOUNDED,
    })
}

impl Simulation {
    async fn start(seed: u64) -> Self {
        let (dice, clock) = (
            Arc::new(Ids::seeded(seed)),
            Arc::new(ManualClock::at(ManualClock::START)),
        );
        let provider = Arc::new(FakeProvider::new(Arc::clone(&clock)));
        let ledger = Arc::new(MemoryLedger::replay(Arc::clone(&clock), Vec::new()));
        let engine = engine(&clock, &dice, &provider, &ledger);
        let charter = engine.charters().all().pop().unwrap();
        let (name, revision) = (charter.name.clone(), charter.revision.clone());
        engine
            .context()
            .commit(Command::CharterInForce {
                charter: name,
                revision,
                breakers: charter.breakers.clone(),
            })
            .await
            .unwrap();
        let mut simulation = Self {
            seed,
            dice,
            clock,
            provider,
            ledger,
            engine,
            task: TaskId::from_bits(0),
        };
        simulation.open().await;
        simulation
    }

    async fn open(&mut self) {
        let ask = OpenTask {
            version: None,
            under: None,
            charter: world::name("payments-terraform"),
            environment: world::name("staging"),
            reason: "a run".to_owned(),
            ticket: None,
            request: None,
        };
        // While everything is stopped there is no new task, and the old one goes on being refused.
        if let Ok(task) = self.engine.tasks().open(&world::caller(), ask).await {
            self.task = task.id;
        }
    }

    fn roll(&self, sides: u64) -> u64 {
        self.dice.word() % sides
    }

    async fn issue(&self) -> Option<Issued> {
        let ask = IssueRequest {
            task: self.task,
            grant: world::grant(TargetKind::TOKEN),
            ttl: None,
            plan: None,
            request: None,
        };
        self.engine.mints().issue(&world::caller(), &ask).await.ok()
    }

    async fn kill(engine: &Arc<Engine>, (scope, roles): (Scope, RoleFilter)) {
        let order = engine
            .kills()
            .draft(scope, roles, "drill".into(), Actor::Local)
            .unwrap();
        engine.kills().engage(order).await;
    }

    /// Something to stop: mostly everything, sometimes what reaches some of it, or nothing of it.
    fn scope(&self) -> (Scope, RoleFilter) {
        let some = look(self.ledger.as_ref(), |state| {
            state.leases().iter().map(|lease| lease.id).next()
        });
        let scope = match self.roll(10) {
            0 => Scope::Environment(world::name("staging")),
            1 => Scope::Environment(world::name("production")),
            2 => Scope::Target(world::target(TargetKind::TOKEN)),
            3 => Scope::Charter(world::name("payments-terraform")),
            4 => Scope::Agent(self.engine.context().agent(&world::agent())),
            5 => Scope::Task(self.task),
            6 => some.map_or(Scope::All, Scope::Lease),
            _ => Scope::All,
        };
        let roles = if self.roll(8) == 0 {
            RoleFilter::ApplyOnly
        } else {
            RoleFilter::Both
        };
        (scope, roles)
    }

    /// Lifts everything again, as two people would.
    async fn rearm(&self) {
        use lanyard_core::kill::RearmStage;
        use lanyard_engine::rearm::RearmStep;
        let orders: Vec<_> = look(self.ledger.as_ref(), |state| {
            state
                .kills()
                .iter()
                .map(|engaged| engaged.order.id)
                .collect()
        });
        let (mut one, mut two) = (world::agent(), world::agent());
        one.subject = "one".to_owned();
        two.subject = "two".to_owned();
        for order in orders {
            for stage in [RearmStage::Plan, RearmStage::Apply] {
                let despite = self.roll(2) == 0;
                let step = RearmStep {
                    kill: order,
                    stage,
                    reason: "over".to_owned(),
                    despite_unconfirmed: despite,
                };
                let (one, two) = (one.clone().into(), two.clone().into());
                if let Ok(proposal) = self.engine.rearms().propose(step, &one).await {
                    let despite = despite.then(|| "we know".to_owned());
                    drop(
                        self.engine
                            .rearms()
                            .confirm(proposal.id, &two, despite)
                            .await,
                    );
                }
            }
        }
    }

    /// A mint with a fault, a kill or a crash in the middle of it, and its hand-over, or none.
    async fn mint(&mut self) {
        let faults = [
            MintFault::None,
            MintFault::Refuse,
            MintFault::LostBefore,
            MintFault::LostAfter,
            MintFault::Hang,
            MintFault::Longer,
        ];
        let fault = if self.roll(2) == 0 {
            MintFault::None
        } else {
            faults[usize::try_from(self.roll(6)).unwrap()]
        };
        self.provider.next_mint(fault);
        let before = self.kills();
        let crash = self.roll(8) == 0;
        if crash {
            let ledger = Arc::clone(&self.ledger);
            self.provider
                .interrupt(Box::pin(async move { ledger.die() }));
        } else if self.roll(6) == 0 {
            let (engine, scope) = (Arc::clone(&self.engine), self.scope());
            self.provider
                .interrupt(Box::pin(async move { Self::kill(&engine, scope).await }));
        }
        let issued = self.issue().await;
        if self.provider.minted().is_empty() || issued.is_none() {
            self.provider.interrupt(Box::pin(async {}));
        }
        if let Some(issued) = issued {
            self.hand_over(issued, before).await;
        }
        if crash {
            self.restart().await;
        }
    }

    async fn hand_over(&self, issued: Issued, before: usize) {
        match self.roll(6) {
            0 => return drop(issued),
            1 => Self::kill(&self.engine, self.scope()).await,
            _ => {}
        }
        let lease = issued.lease;
        let killed = self.is_reached(lease, before);
        let handed = issued.release.hand_over(|| ()).is_ok();
        assert!(
            !(handed && killed),
            "{lease} was handed over after a kill was answered"
        );
        if handed {
            let recorded = self.ledger.records().iter().rev().any(|record| {
                let record = lanyard_records::decode(record).unwrap();
                matches!(record.command, Command::ConfirmMint { lease: confirmed, .. } if confirmed == lease)
            });
            assert!(recorded, "{lease} was handed over without a record");
        }
    }

    /// Tells if an order that was engaged after so many others is about this lease.
    fn is_reached(&self, lease: LeaseId, before: usize) -> bool {
        let reached = look(self.ledger.as_ref(), |state| {
            let lease = state.leases().get(lease)?;
            let mut since = state.kills().iter().skip(before);
            Some(since.any(|engaged| engaged.order.reaches(&lease.facets())))
        });
        // What the ledger has forgotten was over.
        reached.unwrap_or(true)
    }

    fn kills(&self) -> usize {
        look(self.ledger.as_ref(), |state| state.kills().iter().count())
    }

    async fn restart(&mut self) {
        self.ledger.die();
        let records = self.ledger.records();
        self.ledger = Arc::new(MemoryLedger::replay(Arc::clone(&self.clock), records));
        self.engine = engine(&self.clock, &self.dice, &self.provider, &self.ledger);
        self.engine.recover().await;
    }

    /// The data directory comes back from a copy that has forgotten its end (T61).
    async fn restore(&mut self) {
        self.ledger.die();
        let mut records = self.ledger.records();
        let lost = usize::try_from(self.roll(6)).unwrap();
        records.truncate(records.len().saturating_sub(lost));
        let after = JournalCheckpoint {
            records: Seq(records.len() as u64),
            epoch: Seq(0),
        };
        let remembered = self.provider.load_checkpoint().await.unwrap();
        self.ledger = Arc::new(MemoryLedger::replay(Arc::clone(&self.clock), records));
        self.engine = engine(&self.clock, &self.dice, &self.provider, &self.ledger);
        self.engine.reconciler().look_before_issuing();
        self.engine.recover().await;
        assert!(
            self.issue().await.is_none(),
            "seed {}: issued before anybody looked",
            self.seed
        );
        self.provider.revocations(RevokeFault::None);
        let target = world::target(TargetKind::TOKEN);
        assert!(
            self.engine
                .reconciler()
                .revoke_strays(&target)
                .await
                .is_some()
        );
        if remembered.is_some_and(|remembered| remembered.records > after.records) {
            let issued = self.issue().await;
            assert!(
                issued.is_none(),
                "seed {}: issued from an old copy",
                self.seed
            );
        }
        self.note().await;
    }

    /// The target remembers how far the journal is.
    async fn note(&self) {
        if let Some(witness) = self.engine.reconciler().checkpoint().await {
            self.provider.store_checkpoint(&witness).await.unwrap();
        }
    }

    async fn resume(&self) {
        let pauses = look(self.ledger.as_ref(), |state| {
            state.pauses().map(|pause| pause.id).collect::<Vec<_>>()
        });
        for pause in pauses {
            let person = world::agent();
            drop(
                self.engine
                    .pauses()
                    .resume(pause, &person, "over".into())
                    .await,
            );
        }
    }

    async fn keep_house(&self) {
        self.note().await;
        self.engine.kills().answer_trips().await;
        self.engine.deliveries().settle().await;
        self.engine.kills().sweep_orders().await;
        while self.engine.expiry().expire_due().await {}
        self.engine.expiry().forget_dead().await;
    }

    async fn revoke(&self) {
        let target = world::target(TargetKind::TOKEN);
        while self.engine.revoker().revoke_round(&target).await == Round::Done {}
    }

    async fn step(&mut self) {
        match self.roll(14) {
            0..=5 => self.mint().await,
            6 => Self::kill(&self.engine, self.scope()).await,
            7 => self.rearm().await,
            8 => drop(self.clock.advance(Duration::from_secs(self.roll(700)))),
            9 => self.restart().await,
            10 => {
                let faults = [
                    RevokeFault::None,
                    RevokeFault::Lost,
                    RevokeFault::HalfRefused,
                ];
                self.provider
                    .revocations(faults[usize::try_from(self.roll(3)).unwrap()]);
                self.revoke().await;
            }
            11 => self.resume().await,
            12 => self.restore().await,
            _ => self.keep_house().await,
        }
        let over = look(self.ledger.as_ref(), |state| {
            state
                .task(self.task)
                .is_none_or(|entry| !entry.is_open(self.clock.now()))
        });
        if over {
            self.open().await;
        }
    }

    /// Checks the first invariant.
    fn every_live_credential_is_known(&self, seed: u64, step: usize) {
        for lease in self.provider.live() {
            let known = look(self.ledger.as_ref(), |state| {
                state.leases().get(lease).is_some()
            });
            assert!(
                known,
                "seed {seed}, step {step}: {lease} is live and nobody can revoke it"
            );
        }
    }

    /// Checks that a report counts what a look at every lease finds.
    fn every_stopped_lease_is_counted_once(&self, seed: u64, step: usize) {
        look(self.ledger.as_ref(), |state| {
            let (leases, target) = (state.leases(), world::target(TargetKind::TOKEN));
            for what in [
                Awaits::Kill,
                Awaits::Provider,
                Awaits::Bound,
                Awaits::End,
                Awaits::Nothing,
            ] {
                let all = || leases.iter().filter(|lease| lease.awaits() == Some(what));
                assert_eq!(
                    leases.awaiting(&target, what).count(),
                    all().count(),
                    "seed {seed}, step {step}: {what:?}"
                );
                for engaged in state.kills().iter() {
                    let id = engaged.order.id;
                    let killed = all().filter(|lease| match lease.stage {
                        Stage::Stopping { cause, .. } => cause.kill() == Some(id),
                        Stage::Intent | Stage::Issued { .. } => false,
                    });
                    let tally = state.tallies(id).map(|(_, tally)| match what {
                        Awaits::Kill => tally.requested,
                        Awaits::Bound => tally.acknowledged,
                        // What has left the books stays in the count.
                        Awaits::End => tally.dead() - tally.forgotten,
                        Awaits::Provider | Awaits::Nothing => 0,
                    });
                    assert_eq!(
                        tally.sum::<u64>(),
                        killed.count() as u64,
                        "seed {seed}, step {step}: {what:?} of {id}"
                    );
                }
            }
        });
    }

    /// An order that is older than a confirmation and younger than its intent would have refused
    /// it.
    fn no_lease_is_confirmed_after_a_kill(&self, seed: u64) {
        let (mut state, mut orders) = (State::default(), Vec::new());
        for (place, record) in self.ledger.records().iter().enumerate() {
            let record = lanyard_records::decode(record).unwrap();
            match &record.command {
                Command::Kill(order) => orders.push((Seq(place as u64), order.clone())),
                Command::ConfirmMint { lease, .. } => {
                    let lease = state.leases().get(*lease).unwrap();
                    let since = orders.iter().filter(|(at, _)| *at > lease.intent);
                    let over = since.map(|(_, order)| order);
                    let killer = over
                        .into_iter()
                        .find(|order| order.reaches(&lease.facets()));
                    assert_eq!(
                        killer, None,
                        "seed {seed}: {} was confirmed after a kill",
                        lease.id
                    );
                }
                _ => {}
            }
            state.apply(&record);
        }
    }

    /// Works out what the breaker of mints has to do from the journal alone: crashes forget
    /// nothing.
    fn no_lease_is_asked_for_between_a_trip_and_its_end(&self, seed: u64) -> usize {
        let (mut window, mut held, mut trips) = (Vec::new(), false, 0);
        for record in self.ledger.records() {
            let record = lanyard_records::decode(&record).unwrap();
            match record.command {
                Command::BeginMint(intent) => {
                    assert!(!held, "seed {seed}: {} in a pause", intent.lease);
                    let from = record.at.before(Duration::from_secs(WINDOW_SECONDS));
                    window.push(record.at);
                    window.retain(|at| *at > from);
                    if window.len() == MINTS {
                        window.clear();
                        held = true;
                        trips += 1;
                    }
                }
                Command::Resume { .. } => held = false,
                _ => {}
            }
        }
        trips
    }

    /// With the provider well again, everything that has to be dead is.
    async fn settle(&self, seed: u64) {
        self.provider.revocations(RevokeFault::None);
        // Past the wait of every lease that was refused.
        self.clock.advance(Duration::from_secs(31));
        self.keep_house().await;
        self.revoke().await;
        let live = self.provider.live();
        look(self.ledger.as_ref(), |state| {
            for lease in state.leases().iter() {
                if let Stage::Stopping { progress, .. } = lease.stage {
                    assert!(
                        matches!(progress, Progress::ProvedDead(_)),
                        "seed {seed}: {progress:?}"
                    );
                    assert!(
                        !live.contains(&lease.id),
                        "seed {seed}: {} outlived its revocation",
                        lease.id
                    );
                }
                let killer = state.kills().killer(&lease.facets(), lease.intent);
                assert!(
                    killer.is_none() || !lease.is_live(),
                    "seed {seed}: {} outlived a kill",
                    lease.id
                );
            }
        });
    }
}

/// A history, from its seed; how often a breaker tripped in it.
async fn play(seed: u64) -> usize {
    let mut simulation = Simulation::start(seed).await;
    for step in 0..STEPS {
        simulation.step().await;
        simulation.every_live_credential_is_known(seed, step);
        if step % 8 == 7 {
            simulation.every_stopped_lease_is_counted_once(seed, step);
        }
    }
    simulation.no_lease_is_confirmed_after_a_kill(seed);
    let trips = simulation.no_lease_is_asked_for_between_a_trip_and_its_end(seed);
    simulation.settle(seed).await;
    trips
}

// T54, T55, T56, T61, T65, T66, T67, T79
#[test]
fn no_credential_is_lost_and_none_is_released_after_a_kill() {
    let seeds = std::env::var("LANYARD_SEEDS")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(SEEDS);
    let workers = std::thread::available_parallelism().unwrap().get() as u64;
    let trips: usize = std::thread::scope(|scope| {
        let played = (0..workers).map(|worker| {
            scope.spawn(move || {
                let mut runtime = tokio::runtime::Builder::new_current_thread();
                let runtime = runtime.enable_time().start_paused(true).build().unwrap();
                let own = (0..seeds).filter(|seed| seed % workers == worker);
                own.map(|seed| runtime.block_on(play(seed))).sum::<usize>()
            })
        });
        let played: Vec<_> = played.collect();
        played.into_iter().map(|it| it.join().unwrap()).sum()
    });
    assert!(trips > 0, "no breaker tripped");
}
