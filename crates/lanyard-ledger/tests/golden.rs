//! Data directories of every form that Lanyard has written: they open for ever, to the same state.
//!
//! `LANYARD_UPDATE=1` writes the directory of the newest form again, which is right only until a
//! release has written it. The others are never made again.
#![expect(
    clippy::unwrap_used,
    reason = "a test stops where its footing gives way"
)]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use lanyard_core::command::{Command, Record};
use lanyard_core::ledger::{Ledger, look};
use lanyard_journal::merkle::Frontier;
use lanyard_journal::{Journal, Options, verify};
use lanyard_ledger::{Embedded, Settings, StartError};
use lanyard_testkit::clock::ManualClock;
use lanyard_testkit::story;

/// The form that this version writes.
const NEWEST: &str = "v1";
/// Every form so far.
const FORMS: [&str; 2] = ["json", NEWEST];

fn golden(form: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/golden")
        .join(form)
}

fn open(directory: &Path, clock: &Arc<ManualClock>, snapshot_every: u64) -> Embedded {
    let settings = Settings {
        journal: Options {
            reserve_bytes: 4096,
            segment_bytes: 8192,
        },
        snapshot_every,
        ..Settings::with_history(directory.join("history"))
    };
    let clock = Arc::clone(clock);
    let now = Arc::new(move || clock.now());
    Embedded::open(directory, &settings, now).unwrap().0
}

/// The state, item by item, in an order.
fn image(ledger: &Embedded) -> String {
    let mut image = look(ledger, |state| {
        let items = state.image();
        items
            .map(|item| serde_json::to_string(&item).unwrap() + "\n")
            .collect::<Vec<_>>()
    });
    image.sort();
    image.concat()
}

/// Plays the story on a ledger in `directory`, by way of two processes: the first one leaves a
/// snapshot of the first half.
async fn play(directory: &Path) {
    let clock = Arc::new(ManualClock::at(story::START));
    let records = story::story();
    let half = records.len() / 2;
    let mut ledger = open(directory, &clock, half as u64);
    for (place, record) in records.into_iter().enumerate() {
        if place == half {
            drop(ledger);
            ledger = open(directory, &clock, 1_000_000);
        }
        clock.set(record.at);
        let kind = format!("record {place}: {:?}", record.command);
        let committed = ledger.commit(record.command).await;
        assert!(committed.is_ok(), "{kind}: {committed:?}");
    }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        fs::copy(&path, to.join(path.file_name().unwrap())).unwrap();
    }
}

#[tokio::test]
async fn a_data_directory_of_every_form_opens_to_the_same_state() {
    if std::env::var_os("LANYARD_UPDATE").is_some() {
        let folder = tempfile::tempdir().unwrap();
        play(folder.path()).await;
        let clock = Arc::new(ManualClock::at(story::START));
        let ledger = open(folder.path(), &clock, 1_000_000);
        let image = image(&ledger);
        drop(ledger);
        let golden = golden(NEWEST);
        fs::create_dir_all(&golden).unwrap();
        for entry in fs::read_dir(folder.path()).unwrap() {
            let path = entry.unwrap().path();
            let is_kept = path
                .extension()
                .is_some_and(|kind| kind == "seg" || kind == "snapshot");
            if is_kept || path.ends_with("durable") {
                fs::copy(&path, golden.join(path.file_name().unwrap())).unwrap();
            }
        }
        fs::write(golden.join("state.jsonl"), image).unwrap();
    }
    for form in FORMS {
        let golden = golden(form);
        let expected = fs::read_to_string(golden.join("state.jsonl")).unwrap();
        let folder = tempfile::tempdir().unwrap();
        copy(&golden, folder.path());
        let clock = Arc::new(ManualClock::at(story::START));
        let ledger = open(folder.path(), &clock, 1_000_000);
        assert_eq!(ledger.faults(), [], "{form}");
        assert_eq!(image(&ledger), expected, "{form}, from its snapshot");
        drop(ledger);

        for entry in fs::read_dir(folder.path()).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|kind| kind == "snapshot") {
                fs::remove_file(path).unwrap();
            }
        }
        let ledger = open(folder.path(), &clock, 1_000_000);
        assert_eq!(image(&ledger), expected, "{form}, from its records");
        assert_eq!(ledger.tree().0, story::story().len() as u64, "{form}");
    }
}

/// The plain bytes of a directory's segments, by the number in their names. Any zstd decoder reads
/// the compressed ones.
fn segments(directory: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut segments = BTreeMap::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        match name.split_once('.') {
            Some((first, "seg")) => segments.insert(first.to_owned(), fs::read(&path).unwrap()),
            Some((first, "seg.zst")) => {
                let plain = zstd::decode_all(fs::File::open(&path).unwrap()).unwrap();
                segments.insert(first.to_owned(), plain)
            }
            _ => None,
        };
    }
    segments
}

#[tokio::test]
async fn an_upgrade_leaves_the_old_segments_and_writes_its_own() {
    let folder = tempfile::tempdir().unwrap();
    copy(&golden("json"), folder.path());
    let (old, clock) = (segments(folder.path()), Arc::new(ManualClock::default()));
    let started = || Command::Started {
        version: "0.2.0".to_owned(),
    };
    let ledger = open(folder.path(), &clock, 1_000_000);
    ledger.commit(started()).await.unwrap();
    let (size, root) = ledger.tree();
    drop(ledger);
    let new = segments(folder.path());
    assert_eq!(new.len(), old.len() + 1);
    assert!(old.iter().all(|(first, bytes)| new[first] == *bytes));
    let (_, written) = new.last_key_value().unwrap();
    // The version behind the magic: an earlier lanyardd refuses the file by it.
    assert_eq!(written[..12], *b"LANYARDJ\x03\0\0\0");
    let verified = verify(folder.path(), None, size).unwrap();
    assert_eq!((verified.size, verified.root), (size, root));
    let again = open(folder.path(), &clock, 1_000_000);
    again.commit(started()).await.unwrap();
    assert_eq!(again.faults(), []);
}

#[tokio::test]
async fn t64_a_record_of_a_later_version_refuses_the_start_and_names_that_version() {
    let folder = tempfile::tempdir().unwrap();
    let started = |version: &str| {
        let (at, version) = (story::START, version.to_owned());
        lanyard_records::encode(&Record {
            at,
            command: Command::Started { version },
        })
    };
    // A time, and field 57 with a message of one byte.
    let unknown = vec![lanyard_records::FORM_V1, 8, 1, 0xca, 3, 1, 0];
    let (mut journal, _) = Journal::open(
        &lanyard_disk::system(),
        folder.path(),
        Options::default(),
        Frontier::default(),
        |_, _| {},
    )
    .unwrap();
    let records = [
        started("9.8.0"),
        started("9.9.0"),
        unknown,
        started("9.10.0"),
    ];
    journal.append(&records).unwrap();
    let root = journal.root();
    drop(journal);
    for _ in 0..2 {
        let settings = Settings::with_history(folder.path().join("history"));
        let now = Arc::new(|| story::START);
        let refused = Embedded::open(folder.path(), &settings, now).err().unwrap();
        let StartError::LaterVersion { index: 2, .. } = refused else {
            panic!("{refused}");
        };
        let said = refused.to_string();
        assert!(said.contains("record 2 of the journal"), "{said}");
        assert!(said.contains("number 57"), "{said}");
        assert!(
            said.contains("Start lanyardd 9.9.0 or a later one"),
            "{said}"
        );
        assert!(said.contains(env!("CARGO_PKG_VERSION")), "{said}");
        assert_eq!(verify(folder.path(), None, 4).unwrap().root, root);
    }
}
