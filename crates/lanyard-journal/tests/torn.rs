//! A journal whose end, or any byte of which, is not as it was written.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test stops where its footing gives way"
)]

use std::path::{Path, PathBuf};
use std::sync::Arc;

use lanyard_disk::simulated::SimulatedDisk;
use lanyard_disk::{Access, Disk as _, Files};
use lanyard_journal::merkle::Frontier;
use lanyard_journal::{Journal, Loss, Options, Recovery};

const PLACE: &str = "/data/journal";
/// Size of a batch of two records of 20 and 30 bytes.
const BATCH_BYTES: usize = 56 + 4 + 20 + 4 + 30;

fn open(disk: &Arc<SimulatedDisk>) -> (Journal, Recovery, Vec<Vec<u8>>) {
    let files: Files = Arc::<SimulatedDisk>::clone(disk);
    let options = Options {
        segment_bytes: 400,
        reserve_bytes: 16,
    };
    let mut records = Vec::new();
    let each = |_, record: &[u8]| records.push(record.to_vec());
    let opened = Journal::open(&files, Path::new(PLACE), options, Frontier::default(), each);
    let (journal, recovery) = opened.unwrap();
    (journal, recovery, records)
}

/// Appends so many batches of two records, in a process that then dies.
fn filled(batches: u8) -> Arc<SimulatedDisk> {
    let disk = SimulatedDisk::shared();
    let (mut journal, ..) = open(&disk);
    for n in 0..batches {
        journal.append(&[vec![n; 20], vec![n; 30]]).unwrap();
    }
    disk.after_a_crash()
}

fn segment(first: u64) -> PathBuf {
    Path::new(PLACE).join(format!("{first:020}.seg"))
}

/// Removes the mark, as a version before the mark left a journal.
fn without_mark(disk: &SimulatedDisk) {
    disk.remove(&Path::new(PLACE).join("durable")).unwrap();
}

/// The header of the segment that begins with this record; without a checksum, as earlier versions
/// wrote it.
fn header(first: u64, with_checksum: bool) -> Vec<u8> {
    let mut bytes = filled(0).read(&segment(0)).unwrap();
    bytes[16..24].copy_from_slice(&first.to_le_bytes());
    let checksum = crc32c::crc32c(&[&bytes[8..12], &bytes[16..24]].concat());
    let checksum = if with_checksum { checksum } else { 0 };
    bytes[12..16].copy_from_slice(&checksum.to_le_bytes());
    bytes
}

#[test]
fn s04_a_last_segment_of_any_length_below_its_header_is_a_torn_tail() {
    for batches in [0, 9] {
        let next = u64::from(batches) * 2;
        for length in 0..=24 {
            for (with_mark, with_checksum) in [(true, true), (false, true), (false, false)] {
                let disk = filled(batches);
                let begun = disk.open(&segment(next), Access::Replace).unwrap();
                begun
                    .write_at(&header(next, with_checksum)[..length], 0)
                    .unwrap();
                if !with_mark {
                    without_mark(&disk);
                }
                let (mut journal, recovery, records) = open(&disk);
                assert_eq!(
                    (recovery.loss, recovery.faults),
                    (None, Vec::new()),
                    "{length}"
                );
                assert_eq!((journal.failure(), records.len() as u64), (None, next));
                journal.append(&[b"next"]).unwrap();
                let (_, recovery, records) = open(&disk.after_a_crash());
                assert_eq!(recovery.faults, Vec::new(), "{length}");
                assert_eq!(records.len() as u64, next + 1);
            }
        }
    }
}

#[test]
fn s15_no_changed_byte_goes_unnoticed_with_or_without_the_mark() {
    let written = filled(3);
    let length = written.read(&segment(0)).unwrap().len();
    let last = length - BATCH_BYTES;
    for place in 0..length {
        for with_mark in [true, false] {
            let disk = written.after_a_crash();
            disk.tamper(&segment(0), |bytes| bytes[place] ^= 1);
            if !with_mark {
                without_mark(&disk);
            }
            let (journal, recovery, records) = open(&disk);
            if place < last {
                assert!(!recovery.faults.is_empty(), "byte {place}");
                assert!(journal.failure().is_some() && records.len() >= 2);
                // Only where the header of the segment is damaged is nothing missing.
                assert_eq!(recovery.incomplete, place >= 24, "byte {place}");
                continue;
            }
            let loss = recovery.loss.unwrap();
            assert_eq!((loss.found, loss.offset), (4, last as u64), "byte {place}");
            assert_eq!(loss.acknowledged, if with_mark { 6 } else { 5 });
            assert_eq!(journal.failure(), None);
        }
    }
}

#[test]
fn s15_zeroes_in_place_of_an_acknowledged_batch_are_a_loss() {
    let disk = filled(3);
    disk.tamper(&segment(0), |bytes| {
        let last = bytes.len() - BATCH_BYTES;
        bytes[last..].fill(0);
    });
    assert_eq!(open(&disk).1.loss.unwrap().acknowledged, 6);
}

#[test]
fn s15_a_journal_that_was_cut_anywhere_has_lost_something_until_that_is_answered() {
    let written = filled(3);
    let length = written.read(&segment(0)).unwrap().len();
    for cut in 0..length {
        let disk = written.after_a_crash();
        disk.tamper(&segment(0), |bytes| bytes.truncate(cut));
        let (mut journal, recovery, records) = open(&disk);
        let loss = recovery.loss.unwrap();
        assert_eq!(
            (loss.acknowledged, loss.found),
            (6, records.len() as u64),
            "{cut}"
        );
        // Whatever is appended since, and however often the journal is opened: the loss stays as it
        // was found.
        journal.append(&[[1], [2], [3], [4], [5], [6]]).unwrap();
        drop(journal);
        let (journal, recovery, _) = open(&disk);
        assert_eq!(recovery.loss.as_ref(), Some(&loss));
        Loss::answered(disk.as_ref(), Path::new(PLACE)).unwrap();
        drop(journal);
        assert_eq!(open(&disk).1.loss, None);
    }
}

#[test]
fn s15_what_is_cut_off_is_kept_beside_the_journal() {
    let disk = filled(3);
    disk.tamper(&segment(0), |bytes| bytes[300] ^= 1);
    let damaged = disk.read(&segment(0)).unwrap();
    let loss = open(&disk).1.loss.unwrap();
    let name = format!("cut-{:020}-{}", loss.segment, loss.offset);
    let kept = disk.read(&Path::new(PLACE).join(name)).unwrap();
    assert_eq!(kept, damaged[damaged.len() - BATCH_BYTES..]);
}
