//! The ledger on a disk that fills up, takes nothing, or gives back something else.
#![expect(
    clippy::unwrap_used,
    reason = "a test stops where its footing gives way"
)]

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use lanyard_core::command::{Command, Record};
use lanyard_core::condition::{Kind, Reason};
use lanyard_core::kill::{Actor, KillOrder};
use lanyard_core::ledger::{CommitError, Ledger as _, look};
use lanyard_core::task::Task;
use lanyard_disk::simulated::SimulatedDisk;
use lanyard_disk::{Disk as _, Files};
use lanyard_journal::merkle::Frontier;
use lanyard_journal::{Journal, Options};
use lanyard_ledger::{Embedded, Settings};
use lanyard_testkit::ids::Ids;
use lanyard_testkit::world;
use lanyard_vocabulary::id::{KillId, TaskId};
use lanyard_vocabulary::scope::{RoleFilter, Scope};
use lanyard_vocabulary::time::Timestamp;

const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);
const PLACE: &str = "/data/journal";
const OPTIONS: Options = Options {
    reserve_bytes: 16 << 10,
    segment_bytes: 8 << 10,
};

/// A ledger on a simulated disk; its history is on the file system.
struct Stage {
    disk: Arc<SimulatedDisk>,
    history: tempfile::TempDir,
}

impl Stage {
    fn new() -> Self {
        Self {
            disk: SimulatedDisk::shared(),
            history: tempfile::tempdir().unwrap(),
        }
    }

    fn open(&self) -> Embedded {
        self.open_with(1_000_000)
    }

    fn open_with(&self, snapshot_every: u64) -> Embedded {
        self.open_as(&Settings {
            disk: self.files(),
            journal: OPTIONS,
            snapshot_every,
            ..Settings::with_history(self.history.path().join("history"))
        })
    }

    /// A ledger that calls a disk hanging soon.
    fn open_impatient(&self) -> Embedded {
        self.open_as(&Settings {
            disk: self.files(),
            journal: OPTIONS,
            disk_timeout: Duration::from_millis(100),
            ..Settings::with_history(self.history.path().join("history"))
        })
    }

    fn open_as(&self, settings: &Settings) -> Embedded {
        Embedded::open(Path::new(PLACE), settings, Arc::new(|| NOW))
            .unwrap()
            .0
    }

    fn files(&self) -> Files {
        Arc::<SimulatedDisk>::clone(&self.disk)
    }

    fn reserved(&self) -> usize {
        let reserve = self.disk.read(&Path::new(PLACE).join("reserve"));
        reserve.map_or(0, |bytes| bytes.len())
    }

    fn segments(&self) -> Vec<PathBuf> {
        let mut all = self.disk.list(Path::new(PLACE)).unwrap();
        all.retain(|path| path.to_string_lossy().contains(".seg"));
        all
    }
}

fn kill(bits: u128) -> Command {
    Command::Kill(KillOrder {
        id: KillId::from_bits(bits),
        scope: Scope::Task(TaskId::from_bits(bits)),
        roles: RoleFilter::Both,
        reason: "a drill ".repeat(40),
        by: Actor::Local,
        at: NOW,
        evidence: Vec::new(),
        key: None,
        identities: std::collections::BTreeSet::new(),
        as_typed: false,
        reaches_nothing: false,
    })
}

fn in_force(task: &Task) -> Command {
    Command::CharterInForce {
        charter: task.charter.clone(),
        revision: task.revision.clone(),
        breakers: Vec::new(),
    }
}

fn knows(ledger: &Embedded, bits: u128) -> bool {
    look(ledger, |state| {
        state.kills().get(KillId::from_bits(bits)).is_some()
    })
}

fn kinds(ledger: &Embedded) -> Vec<Kind> {
    ledger.faults().iter().map(Reason::kind).collect()
}

fn open_task(ids: &Ids) -> Command {
    Command::OpenTask {
        task: world::task(ids, NOW),
        request: None,
    }
}

#[tokio::test]
async fn s09_the_reserve_is_for_kills_alone_and_a_full_disk_is_looked_at_again() {
    let (stage, ids) = (Stage::new(), Ids::seeded(1));
    let ledger = stage.open();
    let first = world::task(&ids, NOW);
    ledger.commit(in_force(&first)).await.unwrap();
    stage.disk.set_capacity(Some(stage.disk.used()));
    let refused = loop {
        if let Err(error) = ledger.commit(open_task(&ids)).await {
            break error;
        }
    };
    assert_eq!(
        refused,
        CommitError::Unavailable("the disk is full".to_owned())
    );
    assert_eq!(kinds(&ledger), [Kind::DiskFull]);
    assert_eq!(
        stage.reserved(),
        16 << 10,
        "an ordinary record takes nothing of it"
    );

    let (mut kills, mut volatile) = (0, Vec::new());
    while volatile.len() < 3 {
        kills += 1;
        match ledger.commit(kill(kills)).await {
            Ok(_) => assert!(volatile.is_empty(), "an order overtook another one"),
            Err(CommitError::Volatile { .. }) => volatile.push(kills),
            Err(error) => panic!("{error}"),
        }
        assert!(knows(&ledger, kills), "in effect, durable or not");
    }
    assert!(kills > 20, "the reserve went in {kills} kills");
    assert!(ledger.settle().await.is_err());
    assert!(matches!(
        ledger.commit(open_task(&ids)).await,
        Err(CommitError::Unavailable(_))
    ));

    // Space again: nothing has to be restarted, and nothing is lost.
    stage.disk.set_capacity(None);
    ledger.commit(open_task(&ids)).await.unwrap();
    ledger.settle().await.unwrap();
    assert_eq!(ledger.faults(), []);
    assert_eq!(stage.reserved(), 16 << 10);
    let after = Stage {
        disk: stage.disk.after_a_crash(),
        history: tempfile::tempdir().unwrap(),
    };
    let again = after.open();
    assert!((1..=kills).all(|bits| knows(&again, bits)));
}

#[tokio::test]
async fn s09_a_full_disk_is_looked_at_again_without_anybody_asking() {
    let (stage, ids) = (Stage::new(), Ids::seeded(2));
    let ledger = stage.open();
    let first = world::task(&ids, NOW);
    ledger.commit(in_force(&first)).await.unwrap();
    stage.disk.set_capacity(Some(stage.disk.used()));
    while ledger.commit(open_task(&ids)).await.is_ok() {}
    stage.disk.set_capacity(None);
    while !ledger.faults().is_empty() {
        tokio::task::yield_now().await;
    }
    ledger.commit(open_task(&ids)).await.unwrap();
}

#[tokio::test]
async fn s09_where_nothing_can_be_written_a_start_stops_things_and_nothing_else() {
    let (stage, ids) = (Stage::new(), Ids::seeded(3));
    let ledger = stage.open();
    let task = world::task(&ids, NOW);
    ledger.commit(in_force(&task)).await.unwrap();
    ledger.commit(kill(1)).await.unwrap();
    drop(ledger);
    let kinds_of_disks = [
        ErrorKind::ReadOnlyFilesystem,
        ErrorKind::PermissionDenied,
        ErrorKind::QuotaExceeded,
        ErrorKind::Other,
    ];
    for kind in kinds_of_disks {
        let stage = Stage {
            disk: stage.disk.after_a_crash(),
            history: tempfile::tempdir().unwrap(),
        };
        stage.disk.refuse(Some(kind));
        let ledger = stage.open();
        assert!(knows(&ledger, 1), "{kind}");
        assert!(
            matches!(kinds(&ledger)[..], [Kind::JournalFailed | Kind::DiskFull]),
            "{kind}"
        );
        assert!(matches!(
            ledger.commit(open_task(&ids)).await,
            Err(CommitError::Unavailable(_))
        ));
        let killed = ledger.commit(kill(2)).await;
        assert!(
            matches!(killed, Err(CommitError::Volatile { .. })),
            "{kind}: {killed:?}"
        );
        assert!(knows(&ledger, 2));
        let closed = Command::CloseTask { task: task.id };
        assert!(!matches!(
            ledger.commit(closed).await,
            Err(CommitError::Unavailable(_))
        ));
    }
}

#[tokio::test]
async fn s16_damage_anywhere_opens_to_revoke_only_and_kills_go_on() {
    let (stage, ids) = (Stage::new(), Ids::seeded(4));
    let ledger = stage.open();
    let task = world::task(&ids, NOW);
    ledger.commit(in_force(&task)).await.unwrap();
    for bits in 1..30 {
        ledger.commit(open_task(&ids)).await.unwrap();
        ledger.commit(kill(bits)).await.unwrap();
    }
    drop(ledger);
    let segments = stage.segments();
    assert!(segments.len() > 2);
    for (number, segment) in segments.iter().enumerate() {
        let length = stage.disk.read(segment).unwrap().len();
        for place in (0..length).step_by(331) {
            let damaged = Stage {
                disk: stage.disk.after_a_crash(),
                history: tempfile::tempdir().unwrap(),
            };
            damaged.disk.tamper(segment, |bytes| bytes[place] ^= 0x10);
            let settings = Settings {
                disk: damaged.files(),
                journal: OPTIONS,
                snapshot_every: 1,
                ..Settings::with_history(damaged.history.path().join("history"))
            };
            let opened = Embedded::open(Path::new(PLACE), &settings, Arc::new(|| NOW));
            let (ledger, recovery) = opened.unwrap();
            let at = format!("segment {number}, byte {place}");
            if recovery.loss.is_some() {
                // The last batch: cut, remembered, and written on.
                assert_eq!(number + 1, segments.len(), "{at}");
                continue;
            }
            let [Reason::JournalDamaged { file, .. }] = &ledger.faults()[..] else {
                panic!("{at}: {:?}", ledger.faults())
            };
            assert_eq!(
                file.as_str(),
                segment.file_name().unwrap().to_str().unwrap(),
                "{at}"
            );
            let known = (1..30).filter(|bits| knows(&ledger, *bits)).count();
            // A frame holds more batches than one of these segments has.
            let is_compressed = segment.extension().is_some_and(|it| it == "zst");
            let least = if is_compressed { 15 } else { 28 };
            assert!(known >= least, "{at}: {known} orders of 29");
            assert!(matches!(
                ledger.commit(open_task(&ids)).await,
                Err(CommitError::Unavailable(_))
            ));
            assert!(matches!(
                ledger.commit(kill(99)).await,
                Err(CommitError::Volatile { .. })
            ));
            assert!(knows(&ledger, 99), "{at}");
            // What is damaged is left as it is: no snapshot stands for it.
            drop(ledger);
            let all = damaged.disk.list(Path::new(PLACE)).unwrap();
            assert!(
                all.iter()
                    .all(|path| !path.to_string_lossy().ends_with("snapshot")),
                "{at}"
            );
        }
    }
}

#[tokio::test]
async fn s16_a_record_that_this_version_does_not_know_opens_to_revoke_only() {
    let stage = Stage::new();
    let files = stage.files();
    let (mut journal, _) = Journal::open(
        &files,
        Path::new(PLACE),
        OPTIONS,
        Frontier::default(),
        |_, _| {},
    )
    .unwrap();
    let record = |command| serde_json::to_vec(&Record { at: NOW, command }).unwrap();
    let unknown = br#"{"at":1,"command":{"type":"of-tomorrow"}}"#.to_vec();
    let records = [record(kill(1)), unknown, record(kill(2))];
    for record in records {
        journal.append(&[record]).unwrap();
    }
    drop(journal);
    let ledger = stage.open();
    assert!(knows(&ledger, 1) && knows(&ledger, 2));
    let faults = ledger.faults();
    assert!(faults[0].to_string().contains("record 1"), "{}", faults[0]);
    assert!(matches!(
        ledger.commit(kill(3)).await,
        Err(CommitError::Volatile { .. })
    ));
    assert_eq!(look(&ledger, |state| state.next_seq().0), 4);
}

#[tokio::test]
async fn s15_a_damaged_last_batch_is_a_loss_that_every_start_finds_until_it_is_answered() {
    let stage = Stage::new();
    let ledger = stage.open();
    ledger.commit(kill(1)).await.unwrap();
    ledger.commit(kill(2)).await.unwrap();
    drop(ledger);
    let last = stage.segments().pop().unwrap();
    stage.disk.tamper(&last, |bytes| {
        let place = bytes.len() - 3;
        bytes[place] ^= 1;
    });
    for _ in 0..3 {
        let settings = Settings {
            disk: stage.files(),
            journal: OPTIONS,
            snapshot_every: 1_000_000,
            ..Settings::with_history(stage.history.path().join("history"))
        };
        let opened = Embedded::open(Path::new(PLACE), &settings, Arc::new(|| NOW));
        let (ledger, recovery) = opened.unwrap();
        let loss = recovery.loss.unwrap();
        assert_eq!((loss.acknowledged, loss.found), (2, 1));
        assert!(knows(&ledger, 1) && !knows(&ledger, 2));
        ledger.commit(kill(7)).await.ok();
    }
    let ledger = stage.open();
    ledger.loss_answered().unwrap();
    drop(ledger);
    let settings = Settings {
        disk: stage.files(),
        journal: OPTIONS,
        snapshot_every: 1_000_000,
        ..Settings::with_history(stage.history.path().join("history"))
    };
    let opened = Embedded::open(Path::new(PLACE), &settings, Arc::new(|| NOW));
    assert_eq!(opened.unwrap().1.loss, None);
}

#[tokio::test]
async fn s48_snapshots_are_written_without_a_history_and_what_is_wrong_is_told() {
    let (stage, ids) = (Stage::new(), Ids::seeded(5));
    // A history that can never be opened: a file is where its folder should be.
    std::fs::write(stage.history.path().join("history"), "no folder").unwrap();
    let ledger = stage.open_with(5);
    let task = world::task(&ids, NOW);
    ledger.commit(in_force(&task)).await.unwrap();
    for bits in 1..20 {
        ledger.commit(kill(bits)).await.unwrap();
    }
    while ledger.problems().is_empty() {
        tokio::task::yield_now().await;
    }
    let problems = ledger.problems();
    assert!(
        problems[0].starts_with("the history is not kept"),
        "{problems:?}"
    );
    assert_eq!(ledger.faults(), [], "issuing goes on");
    ledger.close();
    let all = stage.disk.list(Path::new(PLACE)).unwrap();
    assert!(
        all.iter()
            .any(|path| path.to_string_lossy().ends_with("snapshot"))
    );
}

/// Counts the records of each order in the journal.
fn times_journaled(disk: &Arc<SimulatedDisk>, kills: &[u128]) -> Vec<usize> {
    let files: Files = Arc::<SimulatedDisk>::clone(&disk.after_a_crash());
    let mut found = Vec::new();
    let place = Path::new(PLACE);
    Journal::open(&files, place, OPTIONS, Frontier::default(), |_, bytes| {
        let record = lanyard_records::decode(bytes).unwrap();
        if let Command::Kill(order) = record.command {
            found.push(order.id);
        }
    })
    .unwrap();
    let times = |bits: &u128| {
        let id = KillId::from_bits(*bits);
        found.iter().filter(|found| **found == id).count()
    };
    kills.iter().map(times).collect()
}

/// Waits until everything is durable and nothing keeps the broker from issuing.
async fn sound(ledger: &Embedded) {
    while ledger.settle().await.is_err() || !ledger.faults().is_empty() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn t59_a_disk_that_hangs_holds_up_no_kill_and_every_order_is_durable_once_when_it_answers() {
    let (stage, ids) = (Stage::new(), Ids::seeded(3));
    let ledger = stage.open_impatient();
    let first = world::task(&ids, NOW);
    // A machine under load may be slower than this ledger is patient: whatever is told of it, it is
    // in the books then.
    ledger.commit(in_force(&first)).await.ok();
    sound(&ledger).await;

    stage.disk.hold_syncs(true);
    for bits in 1..=3 {
        let answer = ledger.commit(kill(bits)).await;
        let is_in_effect = |error: CommitError| error.in_effect().is_some();
        assert!(answer.is_err_and(is_in_effect), "an order that is not kept");
        assert!(knows(&ledger, bits));
        assert_eq!(kinds(&ledger), [Kind::DiskStalled]);
    }
    let unanswered = CommitError::Unavailable("the disk does not answer".to_owned());
    assert_eq!(ledger.settle().await, Err(unanswered.clone()));
    assert_eq!(ledger.commit(open_task(&ids)).await, Err(unanswered));
    assert_eq!(stage.disk.held_syncs(), 1, "one write waits for the disk");
    assert_eq!(times_journaled(&stage.disk.cut(0, 0), &[1, 2, 3]), [0; 3]);

    stage.disk.hold_syncs(false);
    sound(&ledger).await;
    assert_eq!(times_journaled(&stage.disk.cut(0, 0), &[1, 2, 3]), [1; 3]);
    ledger.commit(open_task(&ids)).await.ok();
    sound(&ledger).await;
}

/// The disk hangs at the write of an ordinary record: a kill that comes behind it is in effect all
/// the same.
#[tokio::test]
async fn t59_a_kill_behind_a_write_that_hangs_is_in_effect_and_what_stops_leases_goes_on() {
    let (stage, ids) = (Stage::new(), Ids::seeded(4));
    let ledger = Arc::new(stage.open_impatient());
    let first = world::task(&ids, NOW);
    ledger.commit(in_force(&first)).await.ok();
    sound(&ledger).await;
    stage.disk.hold_syncs(true);
    let opened = open_task(&ids);
    let Command::OpenTask { task, .. } = opened.clone() else {
        unreachable!()
    };
    let ordinary = tokio::spawn({
        let ledger = Arc::clone(&ledger);
        async move { ledger.commit(opened).await }
    });
    while stage.disk.held_syncs() == 0 {
        tokio::task::yield_now().await;
    }
    assert!(
        ledger
            .commit(kill(1))
            .await
            .unwrap_err()
            .in_effect()
            .is_some()
    );
    assert!(knows(&ledger, 1));
    assert!(ordinary.await.unwrap().unwrap_err().in_effect().is_some());
    let close = Command::CloseTask { task: task.id };
    assert!(
        ledger
            .commit(close)
            .await
            .unwrap_err()
            .in_effect()
            .is_some()
    );
    stage.disk.hold_syncs(false);
    sound(&ledger).await;
    assert_eq!(times_journaled(&stage.disk, &[1]), [1]);
    let again = Stage {
        disk: stage.disk.after_a_crash(),
        history: tempfile::tempdir().unwrap(),
    };
    let again = again.open();
    let is_open = look(&again, |state| {
        state.task(task.id).is_some_and(|it| it.closed.is_none())
    });
    assert!(!is_open);
}

#[tokio::test]
async fn the_end_of_a_ledger_does_not_wait_for_a_disk_that_hangs() {
    let stage = Stage::new();
    let ledger = stage.open_impatient();
    sound(&ledger).await;
    stage.disk.hold_syncs(true);
    ledger.commit(kill(1)).await.ok();
    // Snapshots and history are behind the journal, and wait for no disk either.
    tokio::task::spawn_blocking(move || ledger.close())
        .await
        .unwrap();
    assert_eq!(stage.disk.held_syncs(), 1);
    stage.disk.hold_syncs(false);
}

#[tokio::test]
async fn s09_a_reserve_that_a_copy_left_without_blocks_gets_them_again() {
    let stage = Stage::new();
    let reserve = Path::new(PLACE).join("reserve");
    drop(stage.open());
    let whole = stage.disk.used();
    stage.disk.punch(&reserve);
    assert!(stage.disk.used() < whole);
    let ledger = stage.open();
    assert_eq!(kinds(&ledger), []);
    assert!(stage.disk.used() >= whole, "a start allocates them again");
    drop(ledger);
    // Without space for them there is no reserve, whatever the length of the file says.
    stage.disk.punch(&reserve);
    stage.disk.set_capacity(Some(stage.disk.used()));
    let ledger = stage.open();
    assert_eq!(stage.reserved(), 0);
    let ids = Ids::seeded(7);
    assert!(ledger.commit(open_task(&ids)).await.is_err());
    assert_eq!(kinds(&ledger), [Kind::DiskFull]);
}

/// A folder stands where the reserve should be.
#[tokio::test]
async fn a_reserve_that_cannot_be_written_is_not_called_a_full_disk() {
    let (place, ids) = (tempfile::tempdir().unwrap(), Ids::seeded(6));
    let journal = place.path().join("journal");
    std::fs::create_dir_all(journal.join("reserve")).unwrap();
    let settings = Settings::with_history(place.path().join("history"));
    let opened = Embedded::open(&journal, &settings, Arc::new(|| NOW));
    let (ledger, _) = opened.unwrap();
    assert!(ledger.commit(open_task(&ids)).await.is_err());
    let found = ledger.faults();
    assert!(
        matches!(&found[..], [Reason::ReserveFailed { .. }]),
        "{found:?}"
    );
    ledger.commit(kill(1)).await.unwrap();
    std::fs::remove_dir(journal.join("reserve")).unwrap();
    sound(&ledger).await;
    let first = world::task(&ids, NOW);
    ledger.commit(in_force(&first)).await.unwrap();
}

/// The ledger's clock panics on the writer's thread.
#[tokio::test]
async fn a_writer_that_dies_answers_everybody_and_stops_issuing() {
    let stage = Stage::new();
    let settings = Settings {
        disk: stage.files(),
        journal: OPTIONS,
        ..Settings::with_history(stage.history.path().join("history"))
    };
    let place = Path::new(PLACE);
    let opened = Embedded::open(place, &settings, Arc::new(|| panic!("a defect")));
    let (ledger, _) = opened.unwrap();
    let gone = |answer: Result<_, CommitError>| {
        assert!(matches!(answer, Err(CommitError::Unavailable(_))));
    };
    gone(ledger.commit(kill(1)).await.map(drop));
    gone(ledger.commit(kill(2)).await.map(drop));
    while !kinds(&ledger).contains(&Kind::ThreadEnded) {
        tokio::task::yield_now().await;
    }
    assert_eq!(ledger.grown(0).await, None, "whoever waits is told so");
    ledger.close();
}
