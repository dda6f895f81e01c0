//! A journal on a disk that is full, that refuses, and that comes back.
use std::io::ErrorKind;
use std::path::Path;
use std::sync::Arc;

use lanyard_disk::simulated::SimulatedDisk;
use lanyard_disk::{Disk as _, Files};
use lanyard_journal::merkle::Frontier;
use lanyard_journal::{AppendError, Journal, OpenError, Options, Recovery};

const PLACE: &str = "/data/journal";
const RESERVE: u64 = 16 * 1024;

fn open(disk: &Arc<SimulatedDisk>) -> Result<(Journal, Recovery, Vec<Vec<u8>>), OpenError> {
    let files: Files = Arc::<SimulatedDisk>::clone(disk);
    let options = Options {
        segment_bytes: 4096,
        reserve_bytes: RESERVE,
    };
    let mut records = Vec::new();
    let each = |_, record: &[u8]| records.push(record.to_vec());
    let (journal, recovery) =
        Journal::open(&files, Path::new(PLACE), options, Frontier::default(), each)?;
    Ok((journal, recovery, records))
}

/// Fills the rest of the disk with a file of somebody else.
fn fill(disk: &SimulatedDisk) {
    disk.set_capacity(Some(disk.used()));
}

#[test]
fn s09_the_reserve_is_given_up_in_steps_for_what_is_critical_alone() {
    let disk = SimulatedDisk::shared();
    let (mut journal, ..) = open(&disk).unwrap();
    fill(&disk);
    let record = [7; 600];
    while journal.make_room(800).is_ok() {
        journal.append(&[record]).unwrap();
    }
    assert_eq!(journal.append(&[[7; 4096]]), Err(AppendError::Full));
    assert_eq!(
        journal.reserved(),
        RESERVE,
        "an ordinary record takes none of it"
    );
    let mut kills = 0;
    let mut last = journal.reserved();
    while journal.append_critical(&[record]).is_ok() {
        assert!(
            last - journal.reserved() <= 1024,
            "no more than a step at once"
        );
        (last, kills) = (journal.reserved(), kills + 1);
    }
    assert!(kills >= 20, "only {kills}");
    assert_eq!((journal.reserved(), journal.failure()), (0, None));
    // Nothing was lost of what was there, and it goes on when there is space.
    let length = journal.len();
    assert_eq!(journal.append_critical(&[record]), Err(AppendError::Full));
    disk.set_capacity(None);
    journal.append(&[record]).unwrap();
    journal.set_aside(1).unwrap();
    assert_eq!(journal.reserved(), RESERVE, "as much as there was");
    drop(journal);
    let (_, recovery, records) = open(&disk.after_a_crash()).unwrap();
    assert_eq!((records.len() as u64, recovery.loss), (length + 1, None));
}

#[test]
fn s49_a_full_disk_when_a_segment_begins_leaves_nothing_in_the_way() {
    let disk = SimulatedDisk::shared();
    let (mut journal, ..) = open(&disk).unwrap();
    while journal.append(&[[1; 500]]).is_ok_and(|first| first < 7) {}
    fill(&disk);
    disk.remove(&Path::new(PLACE).join("reserve")).unwrap();
    fill(&disk);
    // The segment is as large as it should be: another one does not fit on the disk, and neither
    // does a batch.
    for _ in 0..3 {
        assert_eq!(journal.append(&[[2; 5000]]), Err(AppendError::Full));
        let again = open(&disk.after_a_crash()).unwrap();
        assert_eq!((again.0.failure(), again.2.len()), (None, 8));
    }
    disk.set_capacity(None);
    journal.append(&[[3; 500]]).unwrap();
    drop(journal);
    assert_eq!(open(&disk.after_a_crash()).unwrap().2.len(), 9);
}

#[test]
fn s09_a_quota_that_is_used_up_is_a_full_disk() {
    let disk = SimulatedDisk::shared();
    let (mut journal, ..) = open(&disk).unwrap();
    for kind in [ErrorKind::QuotaExceeded, ErrorKind::StorageFull] {
        disk.refuse(Some(kind));
        // Where even the attempt cannot be taken back, it is an error of the disk.
        assert!(
            journal
                .make_room(1 << 20)
                .is_err_and(|error| error == AppendError::Full)
        );
        disk.refuse(None);
        journal.append(&[b"goes on"]).unwrap();
    }
}

#[test]
fn s09_a_start_on_a_disk_that_takes_nothing_reads_everything_and_says_so() {
    let disk = SimulatedDisk::shared();
    let (mut journal, ..) = open(&disk).unwrap();
    for n in 0..20_u8 {
        journal.append(&[[n; 400]]).unwrap();
    }
    drop(journal);
    let kinds = [
        ErrorKind::ReadOnlyFilesystem,
        ErrorKind::PermissionDenied,
        ErrorKind::StorageFull,
        ErrorKind::Other,
    ];
    for kind in kinds {
        let disk = disk.after_a_crash();
        disk.refuse(Some(kind));
        let (mut journal, _, records) = open(&disk).unwrap();
        assert_eq!(records.len(), 20, "{kind}");
        let why = journal.failure().unwrap().to_owned();
        assert_eq!(
            journal.append_critical(&[b"no"]),
            Err(AppendError::Poisoned(why))
        );
        drop(journal);
        // The next start, with the disk as it should be, has everything.
        disk.refuse(None);
        let (mut journal, recovery, records) = open(&disk).unwrap();
        assert_eq!((records.len(), recovery.loss), (20, None));
        journal.append(&[b"yes"]).unwrap();
    }
}

#[test]
fn s15_a_loss_is_known_to_a_start_whose_disk_does_not_take_it() {
    let kinds = [
        None,
        Some(ErrorKind::StorageFull),
        Some(ErrorKind::ReadOnlyFilesystem),
    ];
    for kind in kinds {
        let disk = SimulatedDisk::shared();
        let (mut journal, ..) = open(&disk).unwrap();
        for n in 0..3_u8 {
            journal.append(&[[n; 400]]).unwrap();
        }
        drop(journal);
        let segment = Path::new(PLACE).join(format!("{:020}.seg", 0));
        disk.tamper(&segment, |bytes| {
            if let Some(last) = bytes.last_mut() {
                *last ^= 1;
            }
        });
        match kind {
            None => fill(&disk),
            Some(kind) => disk.refuse(Some(kind)),
        }
        let (journal, recovery, records) = open(&disk).unwrap();
        assert!(journal.failure().is_some(), "{kind:?}");
        let loss = recovery.loss.unwrap();
        assert_eq!((records.len(), loss.acknowledged), (2, 3), "{kind:?}");
        drop(journal);
        // Nothing was cut: the next start finds the same.
        disk.refuse(None);
        disk.set_capacity(None);
        assert_eq!(open(&disk).unwrap().1.loss, Some(loss), "{kind:?}");
    }
}

#[test]
fn s09_a_first_start_on_a_full_disk_waits_for_space() {
    let disk = SimulatedDisk::shared();
    disk.create_directories(Path::new(PLACE)).unwrap();
    disk.set_capacity(Some(0));
    let (mut journal, ..) = open(&disk).unwrap();
    assert_eq!(journal.append_critical(&[b"kill"]), Err(AppendError::Full));
    disk.set_capacity(None);
    journal.append(&[b"kill"]).unwrap();
    drop(journal);
    assert_eq!(open(&disk).unwrap().2, [b"kill"]);
}

#[test]
fn t59_a_sync_that_fails_is_the_end() {
    let disk = SimulatedDisk::shared();
    let (mut journal, ..) = open(&disk).unwrap();
    journal.append(&[b"one"]).unwrap();
    disk.refuse_syncs(Some(ErrorKind::Other));
    assert!(matches!(
        journal.append(&[b"two"]),
        Err(AppendError::Poisoned(_))
    ));
    disk.refuse_syncs(None);
    assert!(matches!(
        journal.append_critical(&[b"three"]),
        Err(AppendError::Poisoned(_))
    ));
}

#[test]
fn s16_a_segment_that_the_disk_does_not_give_is_damage_and_not_the_end() {
    let disk = SimulatedDisk::shared();
    let (mut journal, ..) = open(&disk).unwrap();
    for n in 0..30_u8 {
        journal.append(&[[n; 400]]).unwrap();
    }
    drop(journal);
    let segments = disk.list(Path::new(PLACE)).unwrap();
    let segments = segments.iter().filter(|path| path.extension().is_some());
    for segment in segments.filter(|path| path.to_string_lossy().ends_with(".seg")) {
        let disk = disk.after_a_crash();
        disk.make_unreadable(segment);
        let (journal, recovery, records) = open(&disk).unwrap();
        assert!(!recovery.faults.is_empty() && journal.failure().is_some());
        assert!(!records.is_empty());
    }
}

#[test]
fn s38_the_reserve_grows_by_a_step_where_zeroes_have_to_be_written_for_it() {
    for allocates in [true, false] {
        let disk = SimulatedDisk::shared();
        if !allocates {
            disk.refuse_allocations();
        }
        let (mut journal, ..) = open(&disk).unwrap();
        let before = disk.used();
        journal.set_aside(RESERVE + 1).unwrap();
        assert_eq!(journal.reserved(), RESERVE + RESERVE / 16);
        assert_eq!(disk.used() - before, RESERVE / 16);
        // Where blocks cannot be allocated for records, the reserve stands in for them.
        fill(&disk);
        journal.make_room(1 << 10).ok();
        assert_eq!(journal.append(&[[1; 2048]]), Err(AppendError::Full));
        journal.append_critical(&[[1; 2048]]).unwrap();
    }
}
