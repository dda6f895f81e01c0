//! One kill after the other through a proxy, on any target.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use lanyard_charter::kinds::Credential;
use lanyard_charter::{TargetKind, parse};
use lanyard_core::command::Command;
use lanyard_core::kill::Actor;
use lanyard_core::lease::Progress;
use lanyard_core::provider::Provider;
use lanyard_engine::charters::Charters;
use lanyard_engine::clock::{Clock as _, SystemRandomness};
use lanyard_engine::mint::IssueRequest;
use lanyard_engine::records::RecordLimits;
use lanyard_engine::report::KillReport;
use lanyard_engine::revoke::Round;
use lanyard_engine::tasks::OpenTask;
use lanyard_engine::{Engine, Parts};
use lanyard_testkit::conformance::between::{Between, Fault, Rule};
use lanyard_testkit::judge::CannotRead;
use lanyard_testkit::ledger::MemoryLedger;
use lanyard_testkit::world;
use lanyard_vocabulary::id::{KillId, LeaseId, TaskId};
use lanyard_vocabulary::name::Name;
use lanyard_vocabulary::scope::{RoleFilter, Scope};

use crate::time::{Ahead, flow};

/// The number of leases that a kill is about.
const LEASES: usize = 2;
/// An in so many faults befalls one call.
const PARTS: usize = 3;
/// The number of times that everything is done and every token tried while one thing goes wrong.
const ROUNDS: u32 = 4;
/// The most rounds once the way is clear.
const CLEAR_ROUNDS: u32 = 12;
/// The longest that a worker waits between two tries.
const REVOCATION_WAIT: Duration = Duration::from_secs(31);
/// The time for which leases are used for, of the hour that they have.
const USED: Duration = Duration::from_secs(45 * 60);

/// A real server behind a proxy.
#[async_trait]
pub(crate) trait Site: Sync {
    fn kind(&self) -> TargetKind;
    /// The charter, with the names of this server.
    fn charter(&self) -> String;
    /// A broker's provider, whose every call goes through the proxy.
    async fn provider(&self) -> Arc<dyn Provider>;
    fn between(&self) -> &Between;
    /// The calls that revocations make.
    fn calls(&self) -> Vec<Rule>;
    /// Returns what goes wrong, but for a hang.
    fn faults(&self) -> Vec<Fault>;
    /// Tells if a credential works, tried at the server itself.
    async fn works(&self, lease: LeaseId, credential: &Credential) -> bool;
}

/// Everything that can go wrong with everything; and a hang, and a part of the rest, with each call
/// that revocations make, so that each of it goes wrong with some.
pub(crate) async fn play(site: &dyn Site) {
    flow(site.between().clone());
    let mut faults = vec![Fault::Hang];
    faults.extend(site.faults());
    play_some(site, (Rule::EVERYTHING, true), &faults).await;
    for (number, call) in site.calls().into_iter().enumerate() {
        let some = faults.iter().enumerate();
        let some = some.filter(|(place, _)| *place == 0 || (place + number) % PARTS == 0);
        let some: Vec<Fault> = some.map(|(_, fault)| *fault).collect();
        play_some(site, (call, number % 2 == 0), &some).await;
    }
}

async fn play_some(site: &dyn Site, (rule, whole): (Rule, bool), faults: &[Fault]) {
    let mut before: Option<Stage<'_>> = None;
    for fault in faults {
        let told = format!("{fault:?} to {rule:?}");
        let mut stage = match before.take() {
            Some(stage) if stage.is_good().await => stage,
            used => {
                if let Some(used) = used {
                    used.clear(&told).await;
                }
                Stage::set(site).await
            }
        };
        site.between().fail(*fault, rule);
        stage.kill(whole).await;
        for _ in 0..ROUNDS {
            stage.round().await;
            stage.held(&told).await;
            let gets_through = matches!(fault, Fault::LostAnswer | Fault::HalfAnswer);
            if rule == Rule::EVERYTHING && !gets_through {
                stage.is_not_taken(&told).await;
            }
        }
        before = Some(stage);
    }
    if let Some(used) = before {
        used.clear("nothing").await;
    }
}

/// A broker with some leases, and a kill of them.
struct Stage<'a> {
    site: &'a dyn Site,
    engine: Arc<Engine>,
    target: Name,
    task: TaskId,
    clock: Arc<Ahead>,
    leases: Vec<(LeaseId, Credential)>,
    order: Option<KillId>,
    settles: Duration,
    proves: bool,
}

impl<'a> Stage<'a> {
    async fn set(site: &'a dyn Site) -> Self {
        site.between().clear();
        let clock = Ahead::start();
        let provider = site.provider().await;
        let limits = provider.capabilities();
        let target = world::target(site.kind());
        let charter = parse(&site.charter(), &world::world()).unwrap().charter;
        let charters = Arc::new(Charters::default());
        charters.replace(vec![charter.clone()]);
        let stamps = Arc::clone(&clock);
        let ledger = MemoryLedger::replay_by(Arc::new(move || stamps.now()), Vec::new());
        let engine = Engine::new(Parts {
            ledger: Arc::new(ledger),
            providers: [(target.clone(), provider)].into(),
            charters,
            judge: Arc::new(CannotRead),
            clock: Arc::clone(&clock) as _,
            randomness: Arc::new(SystemRandomness::default()),
            agents: BTreeMap::new(),
            spool: Arc::new(lanyard_testkit::spool::NoSpool),
            rearm_soak: Duration::from_secs(60),
            records: RecordLimits::UNBOUNDED,
        });
        let in_force = Command::CharterInForce {
            charter: charter.name.clone(),
            revision: charter.revision.clone(),
            breakers: charter.breakers.clone(),
        };
        engine.context().commit(in_force).await.unwrap();
        let ask = OpenTask {
            version: None,
            under: None,
            charter: charter.name,
            environment: world::name("staging"),
            reason: "a run".to_owned(),
            ticket: None,
            request: None,
        };
        let task = engine.tasks().open(&world::caller(), ask).await.unwrap().id;
        let mut stage = Self {
            site,
            engine,
            target,
            task,
            clock,
            leases: Vec::new(),
            order: None,
            settles: limits.settle_time,
            proves: limits.can_prove,
        };
        for _ in 0..LEASES {
            let lease = stage.mint().await;
            stage.leases.push(lease);
        }
        for (lease, credential) in &stage.leases {
            assert!(site.works(*lease, credential).await, "a fresh token works");
        }
        stage
    }

    async fn mint(&self) -> (LeaseId, Credential) {
        let ask = IssueRequest {
            task: self.task,
            grant: world::grant(self.site.kind()),
            ttl: None,
            plan: None,
            request: None,
        };
        let issued = self
            .engine
            .mints()
            .issue(&world::caller(), &ask)
            .await
            .unwrap();
        issued.release.hand_over(|| ()).unwrap();
        (issued.lease, issued.credential)
    }

    /// Tells if its tokens can show something more.
    async fn is_good(&self) -> bool {
        self.clock.passed() < USED && self.all_work().await
    }

    async fn all_work(&self) -> bool {
        for (lease, credential) in &self.leases {
            if !self.site.works(*lease, credential).await {
                return false;
            }
        }
        true
    }

    /// Kills the whole target, which is then cut, or the task.
    async fn kill(&mut self, whole: bool) {
        if self.order.is_some() {
            return;
        }
        let scope = if whole {
            Scope::Target(self.target.clone())
        } else {
            Scope::Task(self.task)
        };
        let by = (RoleFilter::Both, "a drill".to_owned(), Actor::Broker);
        let order = self.engine.kills().draft(scope, by.0, by.1, by.2).unwrap();
        self.order = Some(order.id);
        self.engine.kills().engage(order).await;
    }

    /// Does what the worker of a target does between two of its pauses.
    async fn round(&self) {
        let (engine, target) = (&self.engine, &self.target);
        engine.kills().sweep_orders().await;
        while engine.expiry().expire_due().await {}
        let mut round = Round::Done;
        while round == Round::Done {
            round = engine.revoker().revoke_round(target).await;
        }
        if round == Round::Idle {
            while engine.revoker().prove_round(target).await == Round::Done {}
        }
        engine.revoker().uphold(target).await;
        engine.revoker().presume(target).await;
        engine.expiry().forget_dead().await;
        self.clock.advance(self.settles / 2 + REVOCATION_WAIT);
    }

    async fn report(&self) -> KillReport {
        let order = self.order.unwrap();
        self.engine.kills().report(order).await.unwrap()
    }

    /// Holds what the report says against what each token does then.
    async fn held(&self, told: &str) {
        let report = self.report().await;
        for (lease, credential) in &self.leases {
            let line = report.lines.iter().find(|line| line.lease == *lease);
            let progress = line.map(|line| line.progress);
            let dead = progress.is_none_or(Progress::is_confirmed);
            if dead || report.is_confirmed() {
                let works = self.site.works(*lease, credential).await;
                assert!(!works, "{told}: {progress:?} while it works");
            }
            if !self.proves {
                let proved = matches!(progress, Some(Progress::ProvedDead(_)));
                assert!(!proved, "{told}: nothing shows that a session is dead");
            }
        }
    }

    /// While nothing at all gets through, every token works, and nothing was taken.
    async fn is_not_taken(&self, told: &str) {
        assert!(self.all_work().await, "{told}");
        let report = self.report().await;
        let taken = report.lines.iter().any(|line| line.taken.is_some());
        assert!(!taken, "{told}: {:?}", report.lines);
    }

    async fn all_refused(&self) -> bool {
        for (lease, credential) in &self.leases {
            if self.site.works(*lease, credential).await {
                return false;
            }
        }
        true
    }

    /// The way is clear: all of them die.
    async fn clear(self, told: &str) {
        self.site.between().clear();
        for _ in 0..CLEAR_ROUNDS {
            self.round().await;
            self.held(told).await;
            if self.report().await.is_confirmed() {
                break;
            }
        }
        let report = self.report().await;
        assert!(report.is_confirmed(), "before {told}: {report:?}");
        assert!(self.all_refused().await, "before {told}");
        for line in &report.lines {
            let shown = match line.progress {
                Progress::ProvedDead(_) => self.proves,
                Progress::PresumedDead(_) => !self.proves,
                Progress::Fenced
                | Progress::Requested
                | Progress::Acknowledged(_)
                | Progress::Expired(_) => false,
            };
            assert!(shown, "before {told}: {line:?}");
        }
    }
}
