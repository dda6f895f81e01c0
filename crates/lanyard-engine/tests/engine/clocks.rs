//! Wall clocks that jump, drift and come right again, under an engine on fakes: nothing is called
//! dead that lives, issuing is back when the clock is, and kills always work (S3, S50, T62).

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use lanyard_charter::{TargetKind, parse};
use lanyard_core::command::{Command, Record};
use lanyard_core::condition::{Condition, Kind, Reason};
use lanyard_core::kill::Actor;
use lanyard_core::lease::{Progress, Stage};
use lanyard_core::ledger::look;
use lanyard_engine::charters::Charters;
use lanyard_engine::clock::{Clock, SystemClock, SystemRandomness, TimeSource};
use lanyard_engine::condition::Accepted;
use lanyard_engine::mint::{IssueError, IssueRequest};
use lanyard_engine::revoke::Round;
use lanyard_engine::tasks::OpenTask;
use lanyard_engine::{Engine, Parts};
use lanyard_testkit::clock::ManualClock;
use lanyard_testkit::fake::{Check, FakeProvider, MintFault, RevokeFault};
use lanyard_testkit::judge::CannotRead;
use lanyard_testkit::ledger::MemoryLedger;
use lanyard_testkit::machine::Machine;
use lanyard_testkit::world;
use lanyard_vocabulary::id::{LeaseId, TaskId};
use lanyard_vocabulary::scope::{RoleFilter, Scope};
use lanyard_vocabulary::time::Timestamp;

use crate::common::person;

pub(crate) const SECOND: i64 = 1000;
pub(crate) const HOUR: i64 = 3600 * SECOND;
pub(crate) const TEN_YEARS: i64 = 10 * 365 * 24 * HOUR;

struct Source(Arc<Machine>);

impl TimeSource for Source {
    fn wall(&self) -> u64 {
        self.0.wall()
    }

    fn since_boot(&self) -> u64 {
        self.0.since_boot()
    }

    fn boot_id(&self) -> Option<String> {
        Some(self.0.boot_id())
    }
}

/// A broker on a machine, and a target whose clock is right.
pub(crate) struct Site {
    pub(crate) machine: Arc<Machine>,
    pub(crate) clock: Arc<SystemClock>,
    /// The clock of the target.
    pub(crate) truth: Arc<ManualClock>,
    pub(crate) provider: Arc<FakeProvider>,
    pub(crate) charters: Arc<Charters>,
    pub(crate) ledger: Arc<MemoryLedger>,
    pub(crate) engine: Arc<Engine>,
    /// Tasks that were killed.
    pub(crate) killed: Vec<TaskId>,
    /// A boot with a wrong wall clock was believed, as it has to be: nothing on the machine knows
    /// better.
    pub(crate) misled: bool,
    /// The drift of the wall clock, in millionths.
    pub(crate) drift: i64,
}

impl Site {
    pub(crate) async fn new() -> Self {
        let machine = Arc::new(Machine::default());
        let truth = Arc::new(ManualClock::at(machine.truth()));
        let provider = Arc::new(FakeProvider::new(Arc::clone(&truth)));
        provider.count_by_its_own_clock();
        let charters = Arc::new(Charters::default());
        let text = world::CHARTER
            .replace("live_leases: 5", "live_leases: 500")
            .replace("count: 30", "count: 10000");
        let charter = parse(&text, &world::world()).unwrap().charter;
        charters.replace(vec![charter.clone()]);
        let (clock, ledger, engine) = begun(&machine, &provider, &charters, Vec::new());
        let in_force = Command::CharterInForce {
            charter: charter.name.clone(),
            revision: charter.revision.clone(),
            breakers: Vec::new(),
        };
        engine.context().commit(in_force).await.unwrap();
        engine.clock().note().await;
        Self {
            machine,
            clock,
            truth,
            provider,
            charters,
            ledger,
            engine,
            killed: Vec::new(),
            misled: false,
            drift: 0,
        }
    }

    pub(crate) fn pass(&self, span: Duration) {
        self.machine.pass(span);
        let millis = i64::try_from(span.as_millis()).unwrap();
        let off = self.machine.off();
        let drifted = off + millis * self.drift / 1_000_000;
        // Whatever keeps the clock lets it drift no further.
        if drifted.abs() <= 3 * SECOND {
            self.machine.set_off(drifted);
        }
        self.truth.set(self.machine.truth());
    }

    pub(crate) async fn restart(&mut self) {
        let records = self.ledger.records();
        let (clock, ledger, engine) = begun(&self.machine, &self.provider, &self.charters, records);
        (self.clock, self.ledger, self.engine) = (clock, ledger, engine);
        self.engine.clock().note().await;
        self.measure().await;
        self.engine.recover().await;
    }

    pub(crate) async fn measure(&self) {
        let target = world::target(TargetKind::KUBERNETES);
        self.engine.clock().measure_skew(&target).await;
    }

    pub(crate) async fn open(&self) -> TaskId {
        let ask = OpenTask {
            version: None,
            under: None,
            charter: world::name("payments-terraform"),
            environment: world::name("staging"),
            reason: "a run".to_owned(),
            ticket: None,
            request: None,
        };
        let opened = self.engine.tasks().open(&world::caller(), ask).await;
        opened.unwrap().id
    }

    pub(crate) async fn issue(&self, task: TaskId) -> Result<LeaseId, IssueError> {
        let ask = IssueRequest {
            task,
            grant: world::name("read-deployments"),
            ttl: None,
            plan: None,
            request: None,
        };
        let issued = self.engine.mints().issue(&world::caller(), &ask).await?;
        let lease = issued.lease;
        let handed = issued.release.hand_over(|| ());
        handed.map_err(IssueError::Closed).map(|()| lease)
    }

    pub(crate) async fn kill(&mut self, task: TaskId) {
        let order = self.engine.kills().draft(
            Scope::Task(task),
            RoleFilter::Both,
            "drill".to_owned(),
            Actor::Local,
        );
        let fenced = self.engine.kills().engage(order.unwrap()).await;
        assert!(fenced.is_durable(), "a kill was not engaged");
        self.killed.push(task);
    }

    /// Does what the loops of the engine do in a while.
    pub(crate) async fn keep_house(&self) {
        let target = world::target(TargetKind::KUBERNETES);
        self.engine.clock().note().await;
        self.measure().await;
        self.engine.deliveries().settle().await;
        self.engine.kills().sweep_orders().await;
        while self.engine.expiry().expire_due().await {}
        while self.engine.revoker().revoke_round(&target).await == Round::Done {}
        self.engine.revoker().presume(&target).await;
        self.engine.expiry().forget_dead().await;
    }

    /// Checks that what lives is in the books, and not called dead there.
    pub(crate) fn nothing_live_is_called_dead(&self) {
        let live = self.provider.live();
        look(self.ledger.as_ref(), |state| {
            for id in live {
                let Some(lease) = state.leases().get(id) else {
                    panic!("{id} lives and was forgotten");
                };
                if let Stage::Stopping { progress, .. } = lease.stage {
                    assert!(
                        !matches!(progress, Progress::Expired(_)),
                        "{id} lives and is called expired"
                    );
                }
            }
        });
    }

    pub(crate) fn is_right(&self) -> bool {
        self.machine.off().abs() <= 3 * SECOND
    }

    /// The clock is right: so is the broker, at once, or after one operator's word where a whole
    /// boot was wrong.
    pub(crate) async fn service_is_back(&mut self) {
        assert!(self.is_right());
        let reasons = self.engine.conditions().reasons();
        if let Some(reason) = reasons.first() {
            assert!(self.misled, "the clock is right: {reason}");
            let by = person("ann").person();
            let said =
                self.engine
                    .acceptances()
                    .accept(reason.kind(), &by, "it is right".to_owned());
            assert_eq!(said.await.unwrap(), Accepted::Lifted);
            self.measure().await;
            self.misled = false;
        }
        assert_eq!(self.engine.conditions().condition(), Condition::Issuing);
        let apart = self
            .clock
            .now()
            .as_millis()
            .abs_diff(self.truth.now().as_millis());
        // Small steps are made up for slowly.
        assert!(self.misled || apart <= 6000, "{apart} ms off");
    }

    pub(crate) fn last(&self) -> Record {
        let records = self.ledger.records();
        lanyard_records::decode(records.last().unwrap()).unwrap()
    }
}

type Begun = (Arc<SystemClock>, Arc<MemoryLedger>, Arc<Engine>);

/// Does what a start does.
fn begun(
    machine: &Arc<Machine>,
    provider: &Arc<FakeProvider>,
    charters: &Arc<Charters>,
    records: Vec<Vec<u8>>,
) -> Begun {
    let source = Arc::new(Source(Arc::clone(machine)));
    let clock = Arc::new(SystemClock::over(source));
    let stamp = Arc::clone(&clock);
    let ledger = Arc::new(MemoryLedger::replay_by(
        Arc::new(move || stamp.now()),
        records,
    ));
    look(ledger.as_ref(), |state| {
        clock.resume(state.latest(), state.clock())
    });
    let engine = Engine::new(Parts {
        ledger: Arc::clone(&ledger) as _,
        providers: [(
            world::target(TargetKind::KUBERNETES),
            Arc::clone(provider) as _,
        )]
        .into(),
        charters: Arc::clone(charters),
        judge: Arc::new(CannotRead),
        clock: Arc::clone(&clock) as _,
        randomness: Arc::new(SystemRandomness::default()),
        agents: BTreeMap::new(),
        spool: Arc::new(lanyard_testkit::spool::NoSpool),
        rearm_soak: Duration::from_secs(60),
        records: lanyard_engine::records::RecordLimits::UNBOUNDED,
    });
    (clock, ledger, engine)
}

fn jumped(reasons: &[Reason]) -> bool {
    matches!(reasons, [Reason::ClockJumped { .. }])
}

#[tokio::test]
async fn s03_a_clock_that_jumps_stops_issuing_before_anything_carries_its_time() {
    let site = Site::new().await;
    let task = site.open().await;
    site.issue(task).await.unwrap();
    let before = site.clock.now();
    for off in [
        2 * HOUR,
        -2 * HOUR,
        13 * HOUR,
        11 * SECOND,
        -11 * SECOND,
        TEN_YEARS,
    ] {
        site.machine.set_off(off);
        site.pass(Duration::from_secs(4));
        let refused = site.issue(task).await;
        assert!(matches!(refused, Err(IssueError::NotIssuing(_))), "{off}");
        assert!(jumped(&site.engine.conditions().reasons()), "{off}");
        // Whatever is journaled meanwhile carries the time that passed.
        site.open().await;
        assert!(
            site.last().at.since(before) < Duration::from_secs(60),
            "{off}"
        );
        site.machine.set_off(0);
        site.pass(Duration::from_secs(4));
        assert_eq!(site.engine.conditions().condition(), Condition::Issuing);
        site.issue(task).await.unwrap();
    }
}

#[tokio::test]
async fn s03_a_mint_under_way_when_the_clock_jumps_is_not_handed_over() {
    let site = Site::new().await;
    let task = site.open().await;
    let ask = IssueRequest {
        task,
        grant: world::name("read-deployments"),
        ttl: None,
        plan: None,
        request: None,
    };
    let issued = site
        .engine
        .mints()
        .issue(&world::caller(), &ask)
        .await
        .unwrap();
    site.machine.set_off(2 * HOUR);
    assert!(issued.release.hand_over(|| ()).is_err());
    site.keep_house().await;
    assert!(site.provider.live().is_empty());
}

#[tokio::test]
async fn s03_a_restart_within_the_jump_sees_it_and_one_after_it_is_right() {
    let mut site = Site::new().await;
    let task = site.open().await;
    site.issue(task).await.unwrap();
    for off in [2 * HOUR, -2 * HOUR, TEN_YEARS] {
        site.machine.set_off(off);
        site.pass(Duration::from_secs(4));
        site.restart().await;
        assert!(jumped(&site.engine.conditions().reasons()), "{off}");
        site.keep_house().await;
        site.nothing_live_is_called_dead();
        site.machine.set_off(0);
        site.restart().await;
        assert_eq!(site.engine.conditions().condition(), Condition::Issuing);
    }
}

#[tokio::test]
async fn s03_a_journal_of_the_future_is_said_and_accepted_by_one_operator() {
    let mut site = Site::new().await;
    // The machine comes up two hours ahead; nothing on it knows better.
    site.machine.set_off(2 * HOUR);
    site.machine.reboot(Duration::from_secs(60));
    site.truth.set(site.machine.truth());
    site.restart().await;
    site.open().await;
    site.machine.set_off(0);
    site.machine.reboot(Duration::from_secs(60));
    site.truth.set(site.machine.truth());
    site.restart().await;
    let reasons = site.engine.conditions().reasons();
    assert!(
        matches!(reasons.as_slice(), [Reason::JournalAhead { .. }]),
        "{reasons:?}"
    );
    let task = site.open().await;
    assert!(site.issue(task).await.is_err());
    site.kill(task).await;
    let by = person("ann").person();
    let said =
        site.engine
            .acceptances()
            .accept(Kind::JournalAhead, &by, "NTP was wrong".to_owned());
    assert_eq!(said.await.unwrap(), Accepted::Lifted);
    site.measure().await;
    let accepted = site.ledger.records().into_iter().rev().find_map(|record| {
        let record = lanyard_records::decode(&record).unwrap();
        let Command::Accept(accepted) = record.command else {
            return None;
        };
        Some(*accepted)
    });
    assert_eq!(accepted.unwrap().by, by);
    let task = site.open().await;
    site.issue(task).await.unwrap();
    // What counts from now on counts at the next start too.
    site.restart().await;
    assert_eq!(site.engine.conditions().condition(), Condition::Issuing);
    let apart = site
        .last()
        .at
        .as_millis()
        .abs_diff(site.truth.now().as_millis());
    assert!(apart < 1000);
}

#[tokio::test]
async fn s03_a_clock_that_was_behind_at_the_boot_is_right_when_it_has_been_set() {
    let mut site = Site::new().await;
    site.machine
        .set_off(-i64::try_from(site.truth.now().as_millis()).unwrap());
    site.machine.reboot(Duration::from_secs(3600));
    site.truth.set(site.machine.truth());
    site.restart().await;
    let reasons = site.engine.conditions().reasons();
    assert!(
        matches!(reasons.as_slice(), [Reason::JournalAhead { .. }]),
        "{reasons:?}"
    );
    site.machine.set_off(0);
    site.service_is_back().await;
}

/// The lease's stop and its end came in one moment, and its token lived on.
#[tokio::test]
async fn s50_ten_years_forward_forget_no_lease_that_lives() {
    let mut site = Site::new().await;
    let task = site.open().await;
    for _ in 0..3 {
        site.issue(task).await.unwrap();
    }
    site.provider.revocations(RevokeFault::Lost);
    site.machine.set_off(TEN_YEARS);
    site.kill(task).await;
    site.keep_house().await;
    site.nothing_live_is_called_dead();
    // After a crash too, and after a boot that nothing contradicts.
    site.restart().await;
    site.keep_house().await;
    site.nothing_live_is_called_dead();
    site.machine.reboot(Duration::from_secs(20));
    site.truth.set(site.machine.truth());
    site.restart().await;
    site.keep_house().await;
    assert_eq!(site.provider.live().len(), 3);
    site.nothing_live_is_called_dead();
    // When their real end has passed they go, although nobody took their revocation.
    site.pass(Duration::from_secs(700));
    site.keep_house().await;
    assert_eq!(look(site.ledger.as_ref(), |state| state.leases().len()), 0);
}

/// `lanyardd kill --local` reads the system clock, which may be what is wrong.
#[tokio::test]
async fn s50_a_local_kill_by_a_wrong_clock_cuts_what_was_asked_for_before_it_and_no_more() {
    for off in [-2 * HOUR, 0, TEN_YEARS] {
        let mut site = Site::new().await;
        let task = site.open().await;
        let lease = site.issue(task).await.unwrap();
        site.pass(Duration::from_secs(60));
        let asked = look(site.ledger.as_ref(), |state| {
            state.leases().get(lease).unwrap().asked
        });
        let said = site.truth.now().as_millis().saturating_add_signed(off);
        let order = site.engine.kills().draft(
            Scope::All,
            RoleFilter::Both,
            "drill".to_owned(),
            Actor::Local,
        );
        let order = lanyard_core::kill::KillOrder {
            at: Timestamp::from_millis(said),
            ..order.unwrap()
        };
        site.engine.kills().engage(order).await;
        site.keep_house().await;
        let cut = site.provider.last_cut().unwrap();
        assert!(cut >= asked && cut <= site.clock.now(), "{off}: {cut}");
        site.killed.push(task);
    }
}

impl Site {
    fn progress(&self, lease: LeaseId) -> Option<Progress> {
        look(self.ledger.as_ref(), |state| {
            match state.leases().get(lease)?.stage {
                Stage::Stopping { progress, .. } => Some(progress),
                Stage::Intent | Stage::Issued { .. } => None,
            }
        })
    }

    fn assert_presumed_dead(&self, lease: LeaseId) {
        let progress = self.progress(lease);
        assert!(
            matches!(progress, Some(Progress::PresumedDead(_))),
            "{progress:?}"
        );
    }

    fn assert_acknowledged(&self, lease: LeaseId) {
        let progress = self.progress(lease);
        assert!(
            matches!(progress, Some(Progress::Acknowledged(_))),
            "{progress:?}"
        );
    }

    async fn killed_one(&mut self) -> LeaseId {
        let task = self.open().await;
        let lease = self.issue(task).await.unwrap();
        self.kill(task).await;
        self.keep_house().await;
        lease
    }

    /// The wall clock is an hour ahead, and a person says that it is right.
    async fn accept_an_hour(&self) {
        self.machine.set_off(HOUR);
        self.pass(Duration::from_secs(1));
        assert!(jumped(&self.engine.conditions().reasons()));
        let by = person("ann").person();
        let said =
            self.engine
                .acceptances()
                .accept(Kind::ClockJumped, &by, "it is right".to_owned());
        assert_eq!(said.await.unwrap(), Accepted::Lifted);
    }
}

/// A revocation holds everywhere after time that passes.
#[tokio::test]
async fn s50_a_bound_is_not_over_by_a_jump_that_a_person_accepts() {
    let mut site = Site::new().await;
    site.provider.check(Check::Bound);
    let lease = site.killed_one().await;
    assert!(matches!(
        site.progress(lease),
        Some(Progress::Acknowledged(_))
    ));
    site.accept_an_hour().await;
    site.keep_house().await;
    site.assert_acknowledged(lease);
    site.pass(Duration::from_secs(10));
    site.engine
        .revoker()
        .presume(&world::target(TargetKind::KUBERNETES))
        .await;
    site.assert_presumed_dead(lease);
}

/// Nor by a boot with a wall clock that is wrong: the next process counts anew.
#[tokio::test]
async fn s50_a_bound_is_not_over_by_a_boot_with_another_wall_clock() {
    let mut site = Site::new().await;
    site.provider.check(Check::Bound);
    let lease = site.killed_one().await;
    site.machine.set_off(HOUR / 20);
    site.machine.reboot(Duration::from_secs(1));
    site.truth.set(site.machine.truth());
    site.restart().await;
    site.keep_house().await;
    site.assert_acknowledged(lease);
    site.pass(Duration::from_secs(10));
    site.keep_house().await;
    site.assert_presumed_dead(lease);
}

/// A clock that is taken back an hour makes nobody wait for that hour.
#[tokio::test]
async fn s50_a_bound_passes_although_the_clock_was_taken_back() {
    let mut site = Site::new().await;
    site.provider.check(Check::Bound);
    let lease = site.killed_one().await;
    site.machine.set_off(-HOUR);
    site.pass(Duration::from_secs(1));
    let by = person("ann").person();
    let said = site
        .engine
        .acceptances()
        .accept(Kind::ClockJumped, &by, "it is right".to_owned());
    assert_eq!(said.await.unwrap(), Accepted::Lifted);
    site.pass(Duration::from_secs(10));
    site.keep_house().await;
    site.assert_presumed_dead(lease);
}

/// Late requests are told by a clock that nobody sets.
#[tokio::test]
async fn s17_what_may_come_late_is_waited_for_whatever_a_person_accepts() {
    let mut site = Site::new().await;
    site.provider.check(Check::Own);
    site.provider.carry_out_late(Duration::from_secs(60));
    site.provider.next_mint(MintFault::LostBefore);
    let task = site.open().await;
    assert!(site.issue(task).await.is_err());
    let lease = site.provider.minted().pop().unwrap();
    site.kill(task).await;
    site.keep_house().await;
    let target = world::target(TargetKind::KUBERNETES);
    site.accept_an_hour().await;
    site.keep_house().await;
    site.engine.revoker().prove_round(&target).await;
    site.assert_acknowledged(lease);
    site.pass(Duration::from_secs(60));
    while site.engine.revoker().prove_round(&target).await == Round::Done {}
    let progress = site.progress(lease);
    assert!(
        matches!(progress, Some(Progress::ProvedDead(_))),
        "{progress:?}"
    );
}

/// Steps that are small enough to be followed take the ledger's time ahead of what was journaled of
/// the clock. The next process must not take that for a wall clock that was behind and has caught
/// up.
#[test]
fn s50_a_restart_within_a_boot_believes_no_wall_clock_that_was_set() {
    let machine = Arc::new(Machine::default());
    let clock = SystemClock::over(Arc::new(Source(Arc::clone(&machine))));
    let journaled = clock.boot().unwrap();
    machine.set_off(4 * SECOND);
    machine.pass(Duration::from_secs(3600));
    clock.now();
    machine.set_off(8 * SECOND);
    let last = clock.now();
    assert!(clock.faults().is_empty(), "small steps, an hour apart");
    for off in [70 * SECOND, 2 * HOUR, TEN_YEARS, -2 * HOUR] {
        machine.set_off(off);
        let next = SystemClock::over(Arc::new(Source(Arc::clone(&machine))));
        next.resume(last, Some(&journaled));
        assert!(jumped(&next.faults()), "{off}: {:?}", next.faults());
        assert!(next.now().since(last) < Duration::from_secs(1), "{off}");
        machine.set_off(4 * SECOND);
        assert!(next.faults().is_empty(), "{off}");
        assert!(next.now() >= last, "{off}");
    }
}
