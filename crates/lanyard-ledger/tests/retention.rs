//! A ledger whose journal is bounded.
#![expect(
    clippy::unwrap_used,
    reason = "a test stops where its footing gives way"
)]

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use lanyard_core::command::Command;
use lanyard_core::condition::{Condition, Reason};
use lanyard_core::ledger::{Ledger, look};
use lanyard_journal::{DirectoryArchive, Options, Removed, Then, verify};
use lanyard_ledger::history::Query;
use lanyard_ledger::retention::Retention;
use lanyard_ledger::{Embedded, Settings};
use lanyard_testkit::clock::ManualClock;

const KEEP: Duration = Duration::from_secs(400 * 24 * 3600);

/// A ledger's directory, its archive, and how far its deliveries are.
struct Stage {
    folder: tempfile::TempDir,
    clock: Arc<ManualClock>,
    delivered: Arc<AtomicU64>,
}

impl Stage {
    fn new() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
            clock: Arc::new(ManualClock::default()),
            delivered: Arc::new(AtomicU64::new(u64::MAX)),
        }
    }

    fn journal(&self) -> std::path::PathBuf {
        self.folder.path().join("journal")
    }

    fn archive(&self) -> std::path::PathBuf {
        self.folder.path().join("archive")
    }

    fn open(&self) -> Embedded {
        let disk = lanyard_disk::system();
        let delivered = Arc::clone(&self.delivered);
        let settings = Settings {
            journal: Options {
                reserve_bytes: 4096,
                segment_bytes: 4096,
            },
            snapshot_every: 10,
            retention: Retention {
                keep: Some(KEEP),
                archive: Some(Arc::new(DirectoryArchive::new(&disk, &self.archive()))),
                first_needed: Arc::new(move || Ok(delivered.load(Ordering::SeqCst))),
                interval: Duration::from_millis(1),
            },
            ..Settings::with_history(self.folder.path().join("history"))
        };
        let clock = Arc::clone(&self.clock);
        let now = Arc::new(move || clock.now());
        let opened = Embedded::open(&self.journal(), &settings, now);
        let (ledger, recovery) = opened.unwrap();
        assert_eq!((recovery.faults, recovery.loss), (Vec::new(), None));
        ledger
    }
}

/// Commits so many pairs of records.
async fn filled(ledger: &Embedded, pairs: u64) {
    for turn in 0..2 * pairs {
        let version = format!("{turn} of a version with a long name");
        ledger.commit(Command::Started { version }).await.unwrap();
    }
}

/// Waits until the ledger's threads have brought something about.
async fn until(what: impl Fn() -> bool) {
    while !what() {
        tokio::task::yield_now().await;
    }
}

fn names(directory: &Path) -> Vec<String> {
    let found = std::fs::read_dir(directory).unwrap();
    let mut names: Vec<String> = found
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

fn image(ledger: &Embedded) -> Vec<String> {
    look(ledger, |state| {
        let items = state
            .image()
            .map(|item| serde_json::to_string(&item).unwrap());
        let mut items: Vec<String> = items.collect();
        items.sort();
        items
    })
}

fn sealed_plain(stage: &Stage) -> usize {
    let plain = names(&stage.journal());
    let plain = plain.iter().filter(|name| name.ends_with(".seg"));
    plain.count() - 1
}

#[tokio::test]
async fn a_segment_that_is_old_delivered_and_archived_goes_and_nothing_else() {
    let stage = Stage::new();
    let ledger = stage.open();
    filled(&ledger, 60).await;
    until(|| sealed_plain(&stage) == 0 && ledger.kept().sealed_bytes() > 0).await;
    assert_eq!((ledger.kept().first(), ledger.kept().held()), (0, None));
    let (size_then, root_then) = ledger.tree();

    // Old, with an archive that is not there.
    stage.delivered.store(0, Ordering::SeqCst);
    stage.clock.advance(KEEP + Duration::from_secs(60));
    filled(&ledger, 20).await;
    until(|| {
        ledger
            .kept()
            .held()
            .is_some_and(|why| why.contains("not delivered"))
    })
    .await;
    stage.delivered.store(u64::MAX, Ordering::SeqCst);
    until(|| {
        ledger
            .kept()
            .held()
            .is_some_and(|why| why.contains("archive"))
    })
    .await;
    assert_eq!(ledger.kept().first(), 0);
    let reasons = ledger.faults();
    assert!(
        matches!(&reasons[..], [Reason::RetentionHeld { .. }]),
        "{reasons:?}"
    );
    assert_eq!(Condition::of(&reasons), Condition::Issuing);
    filled(&ledger, 1).await;
    std::fs::create_dir(stage.archive()).unwrap();
    until(|| ledger.kept().first() > 0 && ledger.kept().held().is_none()).await;
    assert_eq!(ledger.faults(), []);

    // Everything that is old and before both snapshots goes; what is young stays.
    until(|| ledger.kept().first() > size_then / 2).await;
    let first = ledger.kept().first();
    assert!(first <= size_then, "{first} of {size_then}");
    let disk = lanyard_disk::system();
    let removed = Removed::read(disk.as_ref(), &stage.journal()).unwrap();
    assert_eq!(names(&stage.archive()).len(), removed.segments().len());

    // The history finds what is kept, and nothing of what went.
    let everything = Query {
        limit: 1000,
        ..Query::default()
    };
    let size = ledger.tree().0;
    ledger.history().want();
    until(|| ledger.history().applied() == size).await;
    let (found, _) = ledger.history().query(&everything);
    let found: Vec<u64> = found.into_iter().map(|(index, _)| index).collect();
    assert_eq!(found, (ledger.kept().first()..size).collect::<Vec<_>>());
    let started = Query {
        kind: Some("started".to_owned()),
        ..everything.clone()
    };
    let (found, _) = ledger.history().query(&started);
    assert!(found.iter().all(|(index, _)| *index >= first));
    assert!(!found.is_empty());
    let (tree, before) = (ledger.tree(), image(&ledger));
    ledger.close();
    drop(ledger);

    // The journal is whole with and without the archive, and goes on from what was seen before.
    let with = verify(&stage.journal(), Some(&stage.archive()), size_then).unwrap();
    assert_eq!((with.size, with.root, with.removed), (tree.0, tree.1, 0));
    assert_eq!(with.then, Then::Root(root_then));
    let alone = verify(&stage.journal(), None, size_then).unwrap();
    assert_eq!((alone.size, alone.root), tree);
    assert_eq!(alone.then, Then::Root(root_then));

    // A start needs none of it, and a history that is made again begins with what is kept.
    std::fs::remove_dir_all(stage.folder.path().join("history")).unwrap();
    let again = stage.open();
    assert_eq!((again.tree(), image(&again)), (tree, before));
    again.history().want();
    filled(&again, 1).await;
    let size = again.tree().0;
    until(|| {
        again.history().want();
        again.history().applied() == size
    })
    .await;
    let (found, _) = again.history().query(&everything);
    assert_eq!(found.first().unwrap().0, again.kept().first());
}

#[tokio::test]
async fn without_a_time_everything_is_kept_and_compressed() {
    let stage = Stage::new();
    let settings = Settings {
        journal: Options {
            reserve_bytes: 4096,
            segment_bytes: 4096,
        },
        snapshot_every: 10,
        ..Settings::with_history(stage.folder.path().join("history"))
    };
    let clock = Arc::clone(&stage.clock);
    let now = Arc::new(move || clock.now());
    let (ledger, _) = Embedded::open(&stage.journal(), &settings, now).unwrap();
    filled(&ledger, 60).await;
    stage.clock.advance(KEEP * 10);
    filled(&ledger, 30).await;
    until(|| sealed_plain(&stage) == 0).await;
    let tree = ledger.tree();
    drop(ledger);
    let verified = verify(&stage.journal(), None, 0).unwrap();
    assert_eq!(
        (verified.size, verified.root, verified.removed),
        (tree.0, tree.1, 0)
    );
}
