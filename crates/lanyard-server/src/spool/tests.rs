//! The spool on disks that fill up, lose power, and hold what cannot be read.

use std::collections::BTreeMap;

use lanyard_core::kill::Actor;
use lanyard_core::ledger::Ledger as _;
use lanyard_disk::Disk as _;
use lanyard_disk::simulated::SimulatedDisk;
use lanyard_engine::Parts;
use lanyard_engine::charters::Charters;
use lanyard_engine::clock::{Clock, SystemRandomness};
use lanyard_ledger::{Embedded, Now, Settings};
use lanyard_testkit::clock::ManualClock;
use lanyard_testkit::judge::CannotRead;
use lanyard_testkit::ledger::MemoryLedger;
use lanyard_vocabulary::scope::{RoleFilter, Scope};
use lanyard_vocabulary::time::Timestamp;

use super::*;

pub(super) const PLACE: &str = "/data";

pub(super) fn order(bits: u128) -> KillOrder {
    KillOrder {
        id: KillId::from_bits(bits),
        scope: Scope::All,
        roles: RoleFilter::Both,
        reason: "drill".to_owned(),
        by: Actor::Local,
        at: Timestamp::EPOCH,
        evidence: Vec::new(),
        key: None,
        identities: std::collections::BTreeSet::new(),
        as_typed: false,
        reaches_nothing: false,
    }
}

fn open(disk: &Arc<SimulatedDisk>) -> Spool {
    let files: Files = Arc::<SimulatedDisk>::clone(disk);
    Spool::open(&files, Path::new(PLACE))
}

fn kept(spool: &Spool) -> BTreeSet<KillId> {
    let (orders, faults) = spool.waiting();
    assert_eq!(faults, [], "half an order is none");
    orders.iter().map(|(_, order)| order.id).collect()
}

#[derive(Debug)]
struct Standing(ManualClock);

impl Clock for Standing {
    fn now(&self) -> Timestamp {
        self.0.now()
    }
}

pub(crate) fn engine() -> (Arc<Engine>, Arc<MemoryLedger>) {
    let ledger = Arc::new(MemoryLedger::replay(Arc::default(), Vec::new()));
    (engine_over(Arc::clone(&ledger) as _), ledger)
}

/// An engine that has no targets, and no spool.
pub(crate) fn engine_over(ledger: Arc<dyn lanyard_core::ledger::Ledger>) -> Arc<Engine> {
    engine_with(ledger, Arc::new(lanyard_testkit::spool::NoSpool))
}

/// An engine that has no targets.
pub(super) fn engine_with(
    ledger: Arc<dyn lanyard_core::ledger::Ledger>,
    spool: Arc<dyn KillSpool>,
) -> Arc<Engine> {
    Engine::new(Parts {
        ledger,
        providers: BTreeMap::new(),
        charters: Arc::new(Charters::default()),
        judge: Arc::new(CannotRead),
        clock: Arc::new(Standing(ManualClock::default())),
        randomness: Arc::new(SystemRandomness::default()),
        agents: BTreeMap::new(),
        spool,
        rearm_soak: Duration::ZERO,
        records: lanyard_engine::records::RecordLimits::UNBOUNDED,
    })
}

pub(super) fn in_effect(engine: &Engine) -> BTreeSet<KillId> {
    engine
        .context()
        .peek(|state| state.kills().iter().map(|it| it.order.id).collect())
}

#[test]
fn an_order_is_kept_whole_and_found_again() {
    let directory = tempfile::tempdir().unwrap();
    let spool = Spool::open(&lanyard_disk::system(), directory.path());
    assert!(!spool.waits(order(1).id));
    spool.keep(&order(1)).unwrap();
    let again = Spool::open(&lanyard_disk::system(), directory.path());
    assert!(again.waits(order(1).id));
    let (orders, _) = again.waiting();
    assert_eq!(orders[0].1, order(1));
}

#[test]
fn s09_a_full_disk_keeps_one_order_after_the_other() {
    let disk = SimulatedDisk::shared();
    let spool = open(&disk);
    disk.set_capacity(Some(disk.used()));
    for bits in 0..MAX_ORDERS_ON_FULL_DISK as u128 {
        spool.keep(&order(bits)).unwrap();
        // Every one by a process of its own, as `kill --local` is.
        assert_eq!(kept(&open(&disk)).len() as u128, bits + 1);
    }
    assert!(is_full(&spool.keep(&order(99)).unwrap_err()));
    assert_eq!(
        kept(&open(&disk.after_a_crash())).len(),
        MAX_ORDERS_ON_FULL_DISK
    );
    disk.set_capacity(None);
    spool.keep(&order(99)).unwrap();
}

#[test]
fn s09_an_order_that_is_longer_than_its_blocks_waits_for_space() {
    let disk = SimulatedDisk::shared();
    let spool = open(&disk);
    let of_length = |bytes: usize| {
        let short = serde_json::to_vec(&order(1)).unwrap().len();
        let reason = "drill".len() + bytes - short;
        let order = KillOrder {
            reason: "r".repeat(reason),
            ..order(1)
        };
        assert_eq!(serde_json::to_vec(&order).unwrap().len(), bytes);
        order
    };
    disk.set_capacity(Some(disk.used()));
    let longest = of_length(MAX_ORDER_BYTES_ON_FULL_DISK);
    spool.keep(&longest).unwrap();
    assert_eq!(spool.waiting().0[0].1, longest);
    let longer = of_length(MAX_ORDER_BYTES_ON_FULL_DISK + 1);
    assert!(is_full(&spool.keep(&longer).unwrap_err()));
    disk.set_capacity(None);
    spool.keep(&longer).unwrap();
}

#[tokio::test]
async fn s09_an_order_that_is_taken_over_leaves_its_blocks_to_the_next() {
    let (disk, (engine, _)) = (SimulatedDisk::shared(), engine());
    let spool = open(&disk);
    disk.set_capacity(Some(disk.used()));
    for bits in 0..3 * MAX_ORDERS_ON_FULL_DISK as u128 {
        spool.keep(&order(bits)).unwrap();
        spool.take_over(&engine, Tell::Reach).await;
        assert!(!spool.waits(order(bits).id));
    }
    assert_eq!(in_effect(&engine).len(), 3 * MAX_ORDERS_ON_FULL_DISK);
}

#[test]
fn s09_a_spool_on_a_disk_without_space_opens_and_slots_come_later() {
    let disk = SimulatedDisk::shared();
    disk.create_directories(Path::new(PLACE)).unwrap();
    disk.set_capacity(Some(0));
    let spool = open(&disk);
    assert!(spool.keep(&order(1)).is_err());
    disk.set_capacity(None);
    spool.refill().unwrap();
    disk.set_capacity(Some(disk.used()));
    spool.keep(&order(1)).unwrap();
    assert_eq!(kept(&spool).len(), 1);
}

#[tokio::test]
async fn s10_an_unreadable_order_holds_up_no_other_is_named_and_is_looked_at_again() {
    let (disk, (engine, _)) = (SimulatedDisk::shared(), engine());
    let spool = open(&disk);
    (1..=3).for_each(|bits| spool.keep(&order(bits)).unwrap());
    let bad = spool.file(order(2).id);
    let whole = disk.read(&bad).unwrap();
    disk.tamper(&bad, |bytes| bytes.truncate(10));
    spool.take_over(&engine, Tell::Reach).await;
    assert_eq!(
        in_effect(&engine),
        BTreeSet::from([order(1).id, order(3).id])
    );
    let reasons = engine.conditions().reasons();
    assert!(
        matches!(&reasons[..], [Reason::SpoolUnreadable { file, .. }] if *file == bad.display().to_string())
    );
    disk.tamper(&bad, |bytes| *bytes = whole);
    spool.take_over(&engine, Tell::Reach).await;
    assert_eq!(in_effect(&engine).len(), 3);
    assert_eq!(engine.conditions().reasons(), []);
    assert_eq!(kept(&spool).len(), 0);
}

#[tokio::test]
async fn the_reason_of_an_order_that_nobody_bounded_is_cut_and_says_so() {
    let (disk, (engine, _)) = (SimulatedDisk::shared(), engine());
    let spool = open(&disk);
    let reasons = [
        "x".repeat(100_000),
        "\u{6771}".repeat(1001),
        "y".repeat(1000),
    ];
    for (bits, reason) in (1..).zip(&reasons) {
        let reason = reason.clone();
        let order = KillOrder {
            reason,
            ..order(bits)
        };
        spool.keep(&order).unwrap();
    }
    spool.take_over(&engine, Tell::Reach).await;
    let kept = |bits| {
        let of = |state: &lanyard_core::state::State| {
            Some(state.kills().get(order(bits).id)?.order.reason.clone())
        };
        engine.context().peek(of).unwrap()
    };
    for (bits, length) in [(1, 100_000), (2, 1001)] {
        let kept = kept(bits);
        assert_eq!(kept.chars().count(), MAX_TEXT_CHARACTERS);
        let said = format!("… (cut: the reason had {length} characters)");
        assert!(kept.ends_with(&said), "{kept}");
        assert_eq!(bounded(kept.clone()), kept);
    }
    assert_eq!(kept(3), reasons[2]);
}

#[test]
fn power_loss_after_every_operation_keeps_every_order_that_was_kept() {
    let disk = SimulatedDisk::shared();
    disk.record();
    let spool = open(&disk);
    let mut known = Vec::new();
    for bits in 0..12 {
        // Half of them where there is space, half of them in slots.
        disk.set_capacity((bits % 2 == 1).then(|| disk.used()));
        spool.keep(&order(bits)).unwrap();
        known.push((disk.moments(), order(bits).id));
    }
    let mut cuts = 0;
    for moment in 0..disk.moments() {
        for seed in 0..8 {
            let cut = disk.cut(moment, seed);
            let found = kept(&open(&cut));
            let lost = known
                .iter()
                .find(|(at, id)| *at <= moment + 1 && !found.contains(id));
            assert_eq!(lost, None, "after operation {moment}, seed {seed}");
            cuts += 1;
        }
    }
    assert!(cuts > 1000, "only {cuts}");
}

/// The answer is that the order is in effect in this process alone: neither the journal nor the
/// spool has it.
#[tokio::test]
async fn t59_a_disk_that_hangs_keeps_no_order_and_whoever_gave_it_is_told_so_in_time() {
    let (disk, nowhere) = (
        SimulatedDisk::shared(),
        tempfile::NamedTempFile::new().unwrap(),
    );
    let spool = open(&disk);
    let settings = Settings {
        disk: Arc::<SimulatedDisk>::clone(&disk),
        disk_timeout: Duration::from_millis(100),
        ..Settings::with_history(nowhere.path().to_path_buf())
    };
    let place = Path::new(PLACE).join("journal");
    let now: Now = Arc::new(|| Timestamp::EPOCH);
    let (ledger, _) = Embedded::open(&place, &settings, now).unwrap();
    let ledger = Arc::new(ledger);
    let engine = engine_with(Arc::clone(&ledger) as _, Arc::new(spool.clone()));
    disk.hold_syncs(true);
    let fenced = engine.kills().engage(order(1)).await;
    assert_eq!((fenced.seq, fenced.spooled), (None, false));
    assert!(!fenced.is_durable());
    assert_eq!(in_effect(&engine), BTreeSet::from([order(1).id]));
    let refused = engine.conditions().check().unwrap_err();
    assert!(refused.kinds.contains(&Kind::DiskStalled), "{refused}");
    // Given again, the order is the same one.
    let again = engine.kills().engage(order(1)).await;
    assert_eq!((again.seq, again.spooled), (None, false));
    assert_eq!(
        kept(&open(&disk.after_a_crash())),
        BTreeSet::new(),
        "nothing is kept"
    );
    disk.hold_syncs(false);
    while ledger.settle().await.is_err() || engine.conditions().check().is_err() {
        tokio::task::yield_now().await;
    }
    // What the disk took late is an order that the journal has.
    while !kept(&spool).is_empty() {
        spool.take_over(&engine, Tell::Reach).await;
    }
    let fenced = engine.kills().engage(order(1)).await;
    assert!(fenced.seq.is_some());
    assert_eq!(in_effect(&engine), BTreeSet::from([order(1).id]));
    ledger.close();
    assert_eq!(ledger.tree().0, 1, "the order is in the journal once");
}

#[test]
fn s09_slots_that_a_copy_left_without_blocks_get_them_again_and_one_that_fails_is_passed_over() {
    let disk = SimulatedDisk::shared();
    let spool = open(&disk);
    let punched = |slots: usize| (0..slots).for_each(|slot| disk.punch(&spool.slot(slot)));
    let whole = disk.used();
    punched(MAX_ORDERS_ON_FULL_DISK);
    assert!(disk.used() < whole);
    open(&disk);
    assert_eq!(disk.used(), whole, "a start allocates them again");
    // Holes since the start: the order is kept in the first slot that has its blocks.
    punched(7);
    disk.set_capacity(Some(disk.used()));
    spool.keep(&order(1)).unwrap();
    assert_eq!(
        kept(&open(&disk.after_a_crash())),
        BTreeSet::from([order(1).id])
    );
}

#[tokio::test]
async fn s46_an_order_of_a_known_id_over_something_else_is_no_order_that_was_taken_over() {
    let (disk, (engine, _)) = (SimulatedDisk::shared(), engine());
    let spool = open(&disk);
    let narrow = KillOrder {
        scope: Scope::Target("tickets".parse().unwrap()),
        ..order(1)
    };
    spool.keep(&narrow).unwrap();
    spool.take_over(&engine, Tell::Reach).await;
    assert!(!spool.waits(narrow.id));
    for other in [
        order(1),
        KillOrder {
            roles: RoleFilter::ApplyOnly,
            ..narrow.clone()
        },
    ] {
        spool.keep(&other).unwrap();
        spool.take_over(&engine, Tell::Reach).await;
        assert!(spool.waits(other.id));
        let kinds: Vec<_> = engine
            .conditions()
            .reasons()
            .iter()
            .map(Reason::kind)
            .collect();
        assert_eq!(kinds, [Kind::SpoolUnreadable]);
    }
    // The same order again changes nothing.
    spool.keep(&narrow).unwrap();
    spool.take_over(&engine, Tell::Reach).await;
    assert!(!spool.waits(narrow.id));
    assert_eq!(engine.conditions().reasons(), []);
}

#[tokio::test]
async fn s46_a_daemon_whose_journal_takes_nothing_says_that_the_order_is_in_effect() {
    let (disk, (engine, ledger)) = (SimulatedDisk::shared(), engine());
    let spool = open(&disk);
    spool.keep(&order(1)).unwrap();
    assert!(!spool.is_taken(order(1).id));
    ledger.die();
    for _ in 0..2 {
        spool.take_over(&engine, Tell::Reach).await;
        assert!(spool.waits(order(1).id), "the next start needs it");
        assert!(spool.is_taken(order(1).id));
    }
    let (next, _) = self::engine();
    spool.take_over(&next, Tell::Reach).await;
    assert!(!spool.waits(order(1).id) && !spool.is_taken(order(1).id));
}

#[tokio::test]
async fn s10_thousands_of_orders_are_taken_over_together() {
    const ORDERS: u128 = 3000;
    let (disk, nowhere) = (
        SimulatedDisk::shared(),
        tempfile::NamedTempFile::new().unwrap(),
    );
    let spool = open(&disk);
    for bits in 0..ORDERS {
        let bytes = serde_json::to_vec(&order(bits)).unwrap();
        let file = disk.open(&spool.file(order(bits).id), Access::Create);
        file.unwrap().write_at(&bytes, 0).unwrap();
    }
    let settings = Settings {
        disk: Arc::<SimulatedDisk>::clone(&disk),
        ..Settings::with_history(nowhere.path().to_path_buf())
    };
    let now: Now = Arc::new(|| Timestamp::EPOCH);
    let place = Path::new(PLACE).join("journal");
    let (ledger, _) = Embedded::open(&place, &settings, now).unwrap();
    let ledger = Arc::new(ledger);
    let engine = engine_over(Arc::clone(&ledger) as _);
    let before = disk.syncs();
    spool.take_over(&engine, Tell::Reach).await;
    let syncs = disk.syncs() - before;
    assert_eq!(in_effect(&engine).len() as u128, ORDERS);
    assert_eq!(kept(&spool), BTreeSet::new());
    assert!(
        syncs < ORDERS as usize / 10,
        "the disk was waited for {syncs} times"
    );
    assert_eq!(engine.conditions().reasons(), []);
    ledger.close();
}

/// Under two file names, found at one look.
#[tokio::test]
async fn s46_of_two_orders_of_an_id_that_come_together_neither_is_lost() {
    let (disk, (engine, _)) = (SimulatedDisk::shared(), engine());
    let spool = open(&disk);
    let narrow = KillOrder {
        scope: Scope::Target("tickets".parse().unwrap()),
        ..order(1)
    };
    spool.keep(&narrow).unwrap();
    let other = Path::new(PLACE).join("kill-spool/other.json");
    let file = disk.open(&other, Access::Create).unwrap();
    file.write_at(&serde_json::to_vec(&order(1)).unwrap(), 0)
        .unwrap();
    for _ in 0..2 {
        spool.take_over(&engine, Tell::Reach).await;
        assert_eq!(in_effect(&engine), BTreeSet::from([order(1).id]));
        let (waits, _) = spool.waiting();
        assert_eq!(
            waits.len(),
            1,
            "one of them is in effect, and the other waits"
        );
        let reasons = engine.conditions().reasons();
        let kinds: Vec<_> = reasons.iter().map(Reason::kind).collect();
        assert_eq!(kinds, [Kind::SpoolUnreadable]);
    }
}

/// An order over a charter that nothing has, kept on this machine.
fn mistyped(bits: u128) -> KillOrder {
    KillOrder {
        scope: Scope::Charter("shp".parse().unwrap()),
        ..order(bits)
    }
}

#[tokio::test]
async fn u01_whoever_kept_an_order_is_told_once_that_it_reaches_nothing() {
    let spool = open(&SimulatedDisk::shared());
    let (engine, _) = engine();
    for (bits, tell) in [(1, Tell::Nothing), (2, Tell::Reach)] {
        let order = mistyped(bits);
        spool.keep(&order).unwrap();
        spool.take_over(&engine, tell).await;
        assert!(!spool.waits(order.id));
        let said = spool.reaches_nothing(order.id);
        assert_eq!(said.is_some(), tell == Tell::Reach, "{said:?}");
        assert_eq!(spool.reaches_nothing(order.id), None);
    }
    assert_eq!(in_effect(&engine).len(), 2);
}

#[tokio::test]
async fn u01_what_nobody_read_about_an_order_leaves_the_spool() {
    let spool = open(&SimulatedDisk::shared());
    let (engine, _) = engine();
    let order = mistyped(1);
    spool.keep(&order).unwrap();
    spool.take_over(&engine, Tell::Reach).await;
    let unread = spool.sweep_unread(&BTreeSet::new());
    assert_eq!(
        unread.len(),
        1,
        "whoever kept the order has not read it yet"
    );
    assert_eq!(spool.sweep_unread(&unread), BTreeSet::new());
    assert_eq!(spool.reaches_nothing(order.id), None);
}
