//! What a journal survives.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test stops where its footing gives way"
)]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use lanyard_disk::system;
use lanyard_journal::merkle::Frontier;
use lanyard_journal::{Cursor, Journal, OpenError, Options, Recovery, Then, verify};
use proptest::prelude::*;

fn options() -> Options {
    Options {
        segment_bytes: 400,
        reserve_bytes: 16,
    }
}

fn open(directory: &Path) -> Result<(Journal, Recovery, Vec<Vec<u8>>), OpenError> {
    let mut records = Vec::new();
    let (journal, recovery) = Journal::open(
        &system(),
        directory,
        options(),
        Frontier::default(),
        |_, record| records.push(record.to_vec()),
    )?;
    Ok((journal, recovery, records))
}

fn filled(directory: &Path, batches: u8) {
    let (mut journal, ..) = open(directory).unwrap();
    for n in 0..batches {
        journal.append(&[vec![n; 20], vec![n; 30]]).unwrap();
    }
}

fn segments(directory: &Path) -> Vec<PathBuf> {
    let mut paths: Vec<_> = fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "seg"))
        .collect();
    paths.sort();
    paths
}

#[test]
fn what_was_appended_is_read_again() {
    let directory = tempfile::tempdir().unwrap();
    filled(directory.path(), 9);
    let (journal, recovery, records) = open(directory.path()).unwrap();
    assert!(segments(directory.path()).len() > 1);
    assert_eq!(records.len(), 18);
    assert_eq!(
        recovery,
        Recovery {
            records: 18,
            ..Recovery::default()
        }
    );
    let verified = verify(directory.path(), None, 18).unwrap();
    assert_eq!((verified.size, verified.root), (18, journal.root()));
    assert_eq!(verified.then, Then::Root(journal.root()));
}

#[test]
fn t63_a_second_opener_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let _first = open(directory.path()).unwrap();
    assert!(matches!(open(directory.path()), Err(OpenError::Locked(_))));
}

#[test]
fn t64_a_newer_format_is_refused_with_its_version() {
    let directory = tempfile::tempdir().unwrap();
    filled(directory.path(), 1);
    let path = &segments(directory.path())[0];
    let mut bytes = fs::read(path).unwrap();
    bytes[8] = 9;
    // As the version would write it whose header that is; versions before this one have no checksum
    // there.
    bytes[12..16].copy_from_slice(&[0; 4]);
    fs::write(path, bytes).unwrap();
    assert!(matches!(
        open(directory.path()),
        Err(OpenError::Newer { found: 9, .. })
    ));
}

/// Makes a segment one of version 1, which had no checksum in its header at first.
fn as_version_1(path: &Path) -> Vec<u8> {
    let mut bytes = fs::read(path).unwrap();
    bytes[8] = 1;
    bytes[12..16].copy_from_slice(&[0; 4]);
    fs::write(path, &bytes).unwrap();
    bytes
}

#[test]
fn a_segment_of_an_earlier_version_is_read_and_not_written_to() {
    let directory = tempfile::tempdir().unwrap();
    filled(directory.path(), 2);
    let before = segments(directory.path());
    let whole = as_version_1(&before[0]);
    let mut torn = whole.clone();
    torn.extend_from_slice(b"BTCH and what a crash left of a batch");
    fs::write(&before[0], torn).unwrap();
    let (mut journal, recovery, records) = open(directory.path()).unwrap();
    assert_eq!((records.len(), recovery.cut, recovery.loss), (4, 37, None));
    journal.append(&[[7; 5]]).unwrap();
    drop(journal);
    assert_eq!(fs::read(&before[0]).unwrap(), whole);
    let after = segments(directory.path());
    assert_eq!((before.len(), after.len()), (1, 2));
    assert_eq!(fs::read(&after[1]).unwrap()[8], 3);
    let (_, recovery, records) = open(directory.path()).unwrap();
    assert_eq!((records.len(), recovery.faults), (5, vec![]));
    assert_eq!(verify(directory.path(), None, 0).unwrap().size, 5);
}

#[test]
fn a_segment_of_an_earlier_version_without_a_record_is_begun_again() {
    let directory = tempfile::tempdir().unwrap();
    drop(open(directory.path()).unwrap());
    let path = &segments(directory.path())[0];
    as_version_1(path);
    let (mut journal, ..) = open(directory.path()).unwrap();
    journal.append(&[[7; 5]]).unwrap();
    drop(journal);
    assert_eq!(fs::read(path).unwrap()[8], 3);
    let (_, recovery, records) = open(directory.path()).unwrap();
    assert_eq!((records.len(), recovery.faults), (1, vec![]));
}

#[test]
fn t58_a_torn_tail_is_cut_and_damage_in_the_middle_is_named() {
    let directory = tempfile::tempdir().unwrap();
    filled(directory.path(), 2);
    let path = &segments(directory.path())[0];
    let whole = fs::read(path).unwrap();
    let mut torn = whole.clone();
    torn.extend_from_slice(b"BTCH and what a crash left of a batch");
    fs::write(path, torn).unwrap();
    let (journal, recovery, records) = open(directory.path()).unwrap();
    assert_eq!((records.len(), recovery.cut, recovery.loss), (4, 37, None));
    drop(journal);

    let mut damaged = whole;
    damaged[100] ^= 1;
    fs::write(path, damaged).unwrap();
    let (journal, recovery, records) = open(directory.path()).unwrap();
    let fault = &recovery.faults[0];
    assert_eq!((fault.offset, fault.index), (24, 0));
    assert!(journal.failure().unwrap().contains("byte 24"));
    assert_eq!(records.len(), 2);
}

#[test]
fn s15_a_whole_segment_that_is_gone_from_the_end_is_a_loss() {
    let directory = tempfile::tempdir().unwrap();
    filled(directory.path(), 9);
    fs::remove_file(segments(directory.path()).pop().unwrap()).unwrap();
    let (_, recovery, records) = open(directory.path()).unwrap();
    let loss = recovery.loss.unwrap();
    assert_eq!((loss.acknowledged, loss.found), (18, records.len() as u64));
}

#[test]
fn s16_everything_behind_the_damage_is_read_with_its_own_index() {
    let directory = tempfile::tempdir().unwrap();
    filled(directory.path(), 12);
    let all = segments(directory.path());
    assert!(all.len() > 2);
    let read = |place: &Path| {
        let mut seen = Vec::new();
        let opened = Journal::open(
            &system(),
            place,
            options(),
            Frontier::default(),
            |index, record| {
                seen.push((index, record[0]));
            },
        );
        let (mut journal, recovery) = opened.unwrap();
        assert!(journal.append(&[b"no"]).is_err() && journal.append_critical(&[b"no"]).is_err());
        (journal.len(), recovery.faults, seen)
    };
    let copied = || {
        let copy = tempfile::tempdir().unwrap();
        for path in fs::read_dir(directory.path()).unwrap() {
            let path = path.unwrap().path();
            fs::copy(&path, copy.path().join(path.file_name().unwrap())).unwrap();
        }
        copy
    };
    // A batch, the header of a segment, a whole segment in the middle, the first one.
    for (segment, change) in [(0, 30), (1, 0), (1, 500_000), (0, 500_000)] {
        let copy = copied();
        let path = copy.path().join(all[segment].file_name().unwrap());
        let mut bytes = fs::read(&path).unwrap();
        match bytes.get_mut(change) {
            Some(byte) => *byte ^= 1,
            None => bytes.clear(),
        }
        if bytes.is_empty() {
            fs::remove_file(&path).unwrap();
        } else {
            fs::write(&path, &bytes).unwrap();
        }
        let before = fs::read_dir(copy.path()).unwrap().count();
        let (length, faults, seen) = read(copy.path());
        assert_eq!(length, 24, "segment {segment} at {change}");
        assert!(!faults.is_empty() && !seen.is_empty());
        assert!(
            seen.iter()
                .all(|(index, byte)| *index == u64::from(*byte) * 2
                    || *index == u64::from(*byte) * 2 + 1)
        );
        assert!(seen.contains(&(23, 11)));
        // The damaged journal is left as it was.
        assert_eq!(fs::read_dir(copy.path()).unwrap().count(), before);
        assert_eq!(read(copy.path()), (length, faults, seen));
    }
}

#[test]
fn t76_an_edit_with_a_right_checksum_does_not_fit_what_follows() {
    let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    filled(one.path(), 2);
    let (mut other, ..) = open(two.path()).unwrap();
    other.append(&[vec![8; 20], vec![8; 30]]).unwrap();
    let forged = fs::read(&segments(two.path())[0]).unwrap();
    let path = &segments(one.path())[0];
    let mut bytes = fs::read(path).unwrap();
    bytes[..forged.len()].copy_from_slice(&forged);
    fs::write(path, bytes).unwrap();
    let Err(OpenError::Damaged(fault)) = verify(one.path(), None, 0) else {
        panic!("the edit was not seen")
    };
    assert_eq!(
        (fault.index, fault.what.as_str()),
        (2, "this batch belongs to another history")
    );
}

#[test]
fn t76_a_truncated_journal_is_smaller_than_what_was_seen() {
    let directory = tempfile::tempdir().unwrap();
    filled(directory.path(), 9);
    let last = segments(directory.path()).pop().unwrap();
    fs::remove_file(last).unwrap();
    let error = verify(directory.path(), None, 18).unwrap_err().to_string();
    assert!(error.contains("18 were acknowledged"), "{error}");
    // A copy of the segments alone says nothing of it; who saw the size knows.
    fs::remove_file(directory.path().join("durable")).unwrap();
    assert_eq!(
        verify(directory.path(), None, 18).unwrap().then,
        Then::Shorter
    );
}

#[test]
fn t76_a_missing_segment_is_named() {
    let directory = tempfile::tempdir().unwrap();
    filled(directory.path(), 12);
    fs::remove_file(&segments(directory.path())[1]).unwrap();
    assert!(matches!(
        verify(directory.path(), None, 0),
        Err(OpenError::Damaged(_))
    ));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    // T58: whatever the length at which the file was cut, whole batches are read and nothing else.
    #[test]
    fn t58_any_cut_leaves_whole_batches(batches in 1_u8..5, cut in 0_usize..600) {
        let directory = tempfile::tempdir().unwrap();
        filled(directory.path(), batches);
        let last = segments(directory.path()).pop().unwrap();
        let bytes = fs::read(&last).unwrap();
        let keep = bytes.len().saturating_sub(cut);
        fs::write(&last, &bytes[..keep]).unwrap();
        let (mut journal, _, records) = open(directory.path()).unwrap();
        prop_assert_eq!(records.len() % 2, 0);
        for (place, record) in records.iter().enumerate() {
            prop_assert_eq!(usize::from(record[0]), place / 2);
        }
        journal.append(&[b"next"]).unwrap();
        drop(journal);
        prop_assert_eq!(open(directory.path()).unwrap().2.len(), records.len() + 1);
    }

    #[test]
    fn hostile_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("00000000000000000000.seg"), bytes).unwrap();
        prop_assert!(open(directory.path()).unwrap().2.is_empty());
    }
}

#[test]
fn a_cursor_reads_what_is_appended_across_segments() {
    let directory = tempfile::tempdir().unwrap();
    let (mut journal, ..) = open(directory.path()).unwrap();
    let mut cursor = Cursor::at(directory.path(), 3);
    let (mut seen, mut places) = (Vec::new(), BTreeSet::new());
    for n in 0..9_u8 {
        journal.append(&[vec![n; 20], vec![n; 30]]).unwrap();
        cursor
            .read(journal.len(), |entry| {
                seen.push((entry.index, entry.record.len()));
                places.insert(entry.batch);
            })
            .unwrap();
    }
    let expected: Vec<_> = (3..18_u64)
        .map(|index| (index, if index % 2 == 0 { 20 } else { 30 }))
        .collect();
    assert_eq!(seen, expected);
    assert!(cursor.read(99, |_| {}).is_err());

    for place in places {
        let mut again = Vec::new();
        Cursor::at_batch(&system(), directory.path(), place)
            .unwrap()
            .read(place.first + 1, |entry| again.push(entry.index))
            .unwrap();
        assert_eq!(again, [place.first, place.first + 1]);
    }
}

#[test]
fn a_start_behind_a_snapshot_reads_no_more_than_what_is_behind_it() {
    let directory = tempfile::tempdir().unwrap();
    filled(directory.path(), 9);
    let mut frontier = Frontier::default();
    Cursor::at(directory.path(), 0)
        .read(10, |entry| frontier.push(entry.record))
        .unwrap();
    let gone = segments(directory.path())[0].clone();
    let behind = |frontier: Frontier| {
        let mut seen = Vec::new();
        let opened = Journal::open(
            &system(),
            directory.path(),
            options(),
            frontier,
            |index, _| {
                seen.push(index);
            },
        );
        opened.map(|(journal, _)| (journal.root(), seen))
    };
    let (root, seen) = behind(frontier.clone()).unwrap();
    assert_eq!(seen, (10..18).collect::<Vec<_>>());
    assert_eq!(root, verify(directory.path(), None, 0).unwrap().root);
    // What it stands for is not needed any more.
    fs::remove_file(gone).unwrap();
    assert_eq!(behind(frontier).unwrap().0, root);
    let opened = Journal::open(
        &system(),
        directory.path(),
        options(),
        Frontier::default(),
        |_, _| {},
    );
    assert!(opened.unwrap().1.faults[0].what.contains("missing"));
    // A snapshot of another history does not fit.
    let mut other = Frontier::default();
    (0..10_u8).for_each(|n| other.push(&[n]));
    let opened = Journal::open(&system(), directory.path(), options(), other, |_, _| {});
    assert!(opened.unwrap().1.faults[0].what.contains("another history"));
}

#[test]
fn what_is_set_aside_grows_in_steps_and_stays() {
    let directory = tempfile::tempdir().unwrap();
    let reserve = || {
        fs::metadata(directory.path().join("reserve"))
            .unwrap()
            .len()
    };
    let (mut journal, ..) = open(directory.path()).unwrap();
    let all = reserve();
    assert_eq!(all, options().reserve_bytes);
    journal.set_aside(all).unwrap();
    assert_eq!(reserve(), all);
    journal.set_aside(all * 2 + 1).unwrap();
    assert_eq!(reserve(), all * 2 + all / 16);
    drop(journal);
    let (mut journal, ..) = open(directory.path()).unwrap();
    journal.set_aside(1).unwrap();
    assert_eq!(reserve(), all * 2 + all / 16);
}
