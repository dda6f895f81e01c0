//! Backups that are taken, restored and refused.

use std::fs;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use lanyard_journal::merkle::Frontier;
use lanyard_journal::{Journal, Options};
use lanyard_vocabulary::digest::hex;
use lanyard_vocabulary::time::Timestamp;

use super::manifest::FORMAT;
use super::*;

fn journal(data_dir: &Path) -> Journal {
    let options = Options {
        segment_bytes: 4096,
        reserve_bytes: 16,
    };
    let disk = lanyard_disk::system();
    let directory = data_dir.join(JOURNAL);
    let opened = Journal::open(&disk, &directory, options, Frontier::default(), |_, _| {});
    opened.unwrap().0
}

/// A data directory with a journal of ten records, and a file of every other kind.
fn data_dir(root: &Path) -> PathBuf {
    let data_dir = root.join("data");
    let mut journal = journal(&data_dir);
    for n in 0_u8..10 {
        journal.append(&[[n; 100]]).unwrap();
    }
    for name in ["keys/one.jwk", "plans/a/b", "webhooks/chat", "history/x"] {
        let path = data_dir.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, name).unwrap();
    }
    data_dir
}

fn take_at(
    data_dir: &Path,
    into: &Path,
    second: u64,
    keep: Option<usize>,
) -> Result<take::Taken, BackupError> {
    take::take(
        data_dir,
        into,
        Timestamp::from_secs(1_800_000_000 + second),
        keep,
    )
}

#[test]
fn a_restored_directory_has_every_file_but_those_that_a_start_makes_again() {
    let root = tempfile::tempdir().unwrap();
    let (data_dir, restored) = (data_dir(root.path()), root.path().join("restored"));
    let taken = take_at(&data_dir, &root.path().join("backups"), 0, None).unwrap();
    assert_eq!(taken.manifest.records, 10);
    restore::restore(&taken.path, &restored).unwrap();
    for name in ["keys/one.jwk", "plans/a/b", "webhooks/chat"] {
        assert_eq!(fs::read_to_string(restored.join(name)).unwrap(), name);
    }
    assert!(!restored.join("history").exists());
    let verified = lanyard_journal::verify(&restored.join(JOURNAL), None, 0).unwrap();
    assert_eq!(hex(&verified.root), taken.manifest.root);
    let found = Restored::find(&restored).unwrap();
    assert!(
        found.reason.ends_with("of 2027-01-15T08:00:00Z"),
        "{}",
        found.reason
    );
    found.answered().unwrap();
    assert!(Restored::find(&restored).is_none());
}

#[test]
fn a_backup_of_a_journal_that_grows_has_all_that_was_acknowledged_before() {
    let root = tempfile::tempdir().unwrap();
    let data_dir = data_dir(root.path());
    let (ends, written) = (AtomicBool::new(false), AtomicU64::new(10));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut journal = journal(&data_dir);
            while !ends.load(Ordering::Relaxed) {
                journal.append(&[[7; 500]]).unwrap();
                written.fetch_add(1, Ordering::SeqCst);
            }
        });
        // Whatever fails here must not leave the other thread writing.
        let _ends = OnDrop(&ends);
        for second in 0..4 {
            let before = written.load(Ordering::SeqCst);
            let taken = take_at(&data_dir, &root.path().join("backups"), second, None).unwrap();
            assert!(taken.manifest.records >= before);
            let restored = root.path().join(format!("restored-{second}"));
            restore::restore(&taken.path, &restored).unwrap();
        }
    });
}

/// Sets a flag when it goes.
struct OnDrop<'a>(&'a AtomicBool);

impl Drop for OnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn a_changed_or_missing_file_refuses_the_restore_and_writes_nothing() {
    let root = tempfile::tempdir().unwrap();
    let (data_dir, restored) = (data_dir(root.path()), root.path().join("restored"));
    let taken = take_at(&data_dir, &root.path().join("backups"), 0, None).unwrap();
    for name in taken.manifest.files.keys() {
        let path = taken.path.join(DATA).join(name);
        let good = fs::read(&path).unwrap();
        fs::write(&path, [good.as_slice(), b"x"].concat()).unwrap();
        let refused = restore::restore(&taken.path, &restored).unwrap_err();
        assert!(
            matches!(refused, BackupError::Damaged { .. }),
            "{name}: {refused}"
        );
        fs::remove_file(&path).unwrap();
        let refused = restore::restore(&taken.path, &restored).unwrap_err();
        assert!(refused.to_string().contains(name.as_str()), "{refused}");
        fs::write(&path, good).unwrap();
    }
    assert!(!restored.exists());
    restore::restore(&taken.path, &restored).unwrap();
}

#[test]
fn a_directory_with_files_or_with_half_a_restore_is_refused() {
    let root = tempfile::tempdir().unwrap();
    let data_dir = data_dir(root.path());
    let backups = root.path().join("backups");
    let taken = take_at(&data_dir, &backups, 0, None).unwrap();
    let refused = restore::restore(&taken.path, &data_dir).unwrap_err();
    assert!(matches!(refused, BackupError::Occupied(_)), "{refused}");
    fs::write(data_dir.join("restoring"), "").unwrap();
    let refused = unfinished_restore(&data_dir).unwrap_err();
    assert!(matches!(refused, BackupError::Unfinished(_)), "{refused}");
    let Err(refused) = take_at(&data_dir, &backups, 1, None) else {
        panic!("half a restore was backed up");
    };
    assert!(matches!(refused, BackupError::Unfinished(_)), "{refused}");
}

#[test]
fn a_backup_within_the_data_directory_or_of_no_data_directory_is_refused() {
    let root = tempfile::tempdir().unwrap();
    let data_dir = data_dir(root.path());
    let within = take_at(&data_dir, &data_dir.join("backups"), 0, None);
    assert!(matches!(within.err(), Some(BackupError::Within(_))));
    let none = take_at(root.path(), &root.path().join("backups"), 0, None);
    assert!(matches!(none.err(), Some(BackupError::NoJournal(_))));
}

#[test]
fn the_newest_backups_are_kept_and_what_a_killed_process_left_is_removed() {
    let root = tempfile::tempdir().unwrap();
    let (data_dir, backups) = (data_dir(root.path()), root.path().join("backups"));
    let first = take_at(&data_dir, &backups, 0, None).unwrap();
    let left = backups.join("lanyard-2020-01-01T00-00-00Z.partial");
    fs::create_dir_all(&left).unwrap();
    fs::write(backups.join("notes.txt"), "mine").unwrap();
    let second = take_at(&data_dir, &backups, 1, Some(2)).unwrap();
    assert!(second.removed.is_empty() && !left.exists());
    let third = take_at(&data_dir, &backups, 2, Some(2)).unwrap();
    assert_eq!(third.removed, [first.path]);
    assert!(second.path.exists() && third.path.exists());
    assert!(backups.join("notes.txt").exists());
}

#[test]
fn a_later_format_is_refused_with_the_version_that_wrote_it() {
    let root = tempfile::tempdir().unwrap();
    let taken = take_at(
        &data_dir(root.path()),
        &root.path().join("backups"),
        0,
        None,
    )
    .unwrap();
    let later = format!(r#"{{"format": {}, "lanyardd": "9.1.0"}}"#, FORMAT + 1);
    fs::write(taken.path.join(MANIFEST), later).unwrap();
    let refused = restore::restore(&taken.path, &root.path().join("restored")).unwrap_err();
    assert!(
        refused
            .to_string()
            .contains("written by lanyardd 9.1.0 in format 2"),
        "{refused}"
    );
}
