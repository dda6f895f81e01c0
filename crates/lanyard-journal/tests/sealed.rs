//! Sealed segments that are compressed, archived and removed, on disks that lose power at every
//! step and with bytes that change.
#![expect(
    clippy::unwrap_used,
    reason = "a test stops where its footing gives way"
)]

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use lanyard_disk::simulated::SimulatedDisk;
use lanyard_disk::{Access, Disk as _, Files, OpenFile};
use lanyard_journal::merkle::{Frontier, Hash};
use lanyard_journal::{
    Archive, Cursor, DirectoryArchive, Journal, OpenError, Options, Recovery, Removed, Sealed,
    SealedSegment, Snapshot, Then, base, verify,
};
use proptest::prelude::*;

const PLACE: &str = "/data/journal";
const ARCHIVE: &str = "/archive";
/// Number of ways to lose unsynced bytes that are tried at each moment.
const SEEDS: u64 = 24;

const OPTIONS: Options = Options {
    segment_bytes: 400,
    reserve_bytes: 16,
};

fn files(disk: &Arc<SimulatedDisk>) -> Files {
    Arc::<SimulatedDisk>::clone(disk)
}

fn sealed(disk: &Arc<SimulatedDisk>) -> Sealed {
    Sealed::new(&files(disk), PathBuf::from(PLACE))
}

fn record(index: u64) -> Vec<u8> {
    format!("record {index} of a task that asks for the same again").into_bytes()
}

/// A start from the newest snapshot, and what it reads behind it.
fn start(disk: &Arc<SimulatedDisk>) -> (Journal, Recovery, Vec<(u64, Vec<u8>)>) {
    let newest = Snapshot::newest(disk.as_ref(), Path::new(PLACE));
    let from = newest.ok().flatten().map(|it| it.frontier);
    let mut seen = Vec::new();
    let each = |index, record: &[u8]| seen.push((index, record.to_vec()));
    let opened = Journal::open(
        &files(disk),
        Path::new(PLACE),
        OPTIONS,
        from.unwrap_or_default(),
        each,
    );
    let (journal, recovery) = opened.unwrap();
    (journal, recovery, seen)
}

/// A journal of so many records, one in each batch, in a process that has died; with its tree.
fn filled(records: u64) -> (Arc<SimulatedDisk>, Frontier, u64) {
    let disk = SimulatedDisk::shared();
    let (mut journal, ..) = start(&disk);
    for index in 0..records {
        journal.append(&[record(index)]).unwrap();
    }
    let current = journal.current_segment().unwrap();
    (disk.after_a_crash(), journal.frontier().clone(), current)
}

/// Writes two snapshots that cover the records before `until`.
fn snapshots(disk: &Arc<SimulatedDisk>, until: u64) {
    let mut frontier = Frontier::default();
    for index in 0..until {
        frontier.push(&record(index));
        if index + 2 >= until {
            let (frontier, payload) = (frontier.clone(), Vec::new());
            let snapshot = Snapshot { frontier, payload };
            snapshot.write(disk.as_ref(), Path::new(PLACE)).unwrap();
        }
    }
}

fn compress_all(disk: &Arc<SimulatedDisk>, current: u64) -> Vec<SealedSegment> {
    let sealed = sealed(disk);
    for segment in sealed.segments(current).unwrap() {
        if !segment.is_compressed {
            sealed.compress(segment).unwrap();
        }
    }
    sealed.segments(current).unwrap()
}

fn archive(disk: &Arc<SimulatedDisk>) -> DirectoryArchive {
    DirectoryArchive::new(&files(disk), Path::new(ARCHIVE))
}

/// Every record from `from` on, by a cursor.
fn read(disk: &Arc<SimulatedDisk>, from: u64, until: u64) -> Vec<(u64, Vec<u8>)> {
    let mut seen = Vec::new();
    let mut cursor = Cursor::on(&files(disk), Path::new(PLACE), from);
    cursor
        .read(until, |entry| {
            seen.push((entry.index, entry.record.to_vec()))
        })
        .unwrap();
    seen
}

fn expected(from: u64, until: u64) -> Vec<(u64, Vec<u8>)> {
    (from..until).map(|index| (index, record(index))).collect()
}

#[test]
fn a_compressed_segment_is_read_as_the_plain_one_was() {
    let (disk, tree, current) = filled(30);
    let plain = sealed(&disk).segments(current).unwrap();
    let mut places = Vec::new();
    Cursor::on(&files(&disk), Path::new(PLACE), 0)
        .read(30, |entry| places.push((entry.index, entry.batch)))
        .unwrap();
    let compressed = compress_all(&disk, current);
    assert!(plain.len() > 2);
    let name = |segment: &SealedSegment| (segment.first, segment.until);
    assert!(plain.iter().map(name).eq(compressed.iter().map(name)));
    assert!(compressed.iter().all(|segment| segment.is_compressed));
    assert_eq!(read(&disk, 0, 30), expected(0, 30));
    for (index, place) in places {
        let mut seen = Vec::new();
        let mut cursor = Cursor::at_batch(&files(&disk), Path::new(PLACE), place).unwrap();
        cursor
            .read(index + 1, |entry| seen.push(entry.record.to_vec()))
            .unwrap();
        assert_eq!(seen, [record(index)]);
    }
    let (journal, recovery, seen) = start(&disk);
    assert_eq!((recovery.faults, recovery.loss), (Vec::new(), None));
    assert_eq!((journal.frontier(), seen), (&tree, expected(0, 30)));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    /// Records of any sizes, also such that a frame holds one batch or a batch many frames' bytes.
    #[test]
    fn compression_changes_no_record(sizes in proptest::collection::vec(0..40_000_usize, 1..60)) {
        let disk = SimulatedDisk::shared();
        let options = Options { segment_bytes: 300_000, reserve_bytes: 16 };
        let open = |each: &mut dyn FnMut(u64, &[u8])| {
            let place = Path::new(PLACE);
            let opened = Journal::open(&files(&disk), place, options, Frontier::default(), each);
            opened.unwrap().0
        };
        let mut journal = open(&mut |_, _| {});
        for (index, size) in sizes.iter().enumerate() {
            journal.append(&[vec![index as u8; *size], record(index as u64)]).unwrap();
        }
        let (tree, current) = (journal.frontier().clone(), journal.current_segment().unwrap());
        drop(journal);
        compress_all(&disk, current);
        let mut count = 0;
        let journal = open(&mut |index, _| {
            assert_eq!(index, count);
            count += 1;
        });
        prop_assert_eq!(journal.frontier(), &tree);
        prop_assert_eq!(journal.failure(), None);
        prop_assert_eq!(read(&disk, 0, tree.size()).len() as u64, tree.size());
    }
}

#[test]
fn no_changed_byte_of_a_compressed_segment_goes_unnoticed() {
    let (disk, _, current) = filled(20);
    let segments = compress_all(&disk, current);
    let damaged = segments.get(1).unwrap();
    let name = format!("{:020}.seg.zst", damaged.first);
    let path = Path::new(PLACE).join(&name);
    let length = disk.read(&path).unwrap().len();
    for place in 0..length {
        for change in [Some(1), Some(0x80), None] {
            let copy = disk.after_a_crash();
            copy.tamper(&path, |bytes| match change {
                Some(bit) => *bytes.get_mut(place).unwrap() ^= bit,
                None => bytes.truncate(place),
            });
            let (mut journal, recovery, seen) = start(&copy);
            let fault = recovery.faults.first().unwrap();
            assert_eq!(fault.segment, name, "byte {place}");
            assert!(journal.append(&[b"no"]).is_err());
            // Whatever is read has the number that it was written with, and the last one is there.
            assert!(seen.iter().all(|(index, bytes)| *bytes == record(*index)));
            assert!(seen.contains(&(19, record(19))), "byte {place}");
            assert_eq!(journal.len(), 20, "byte {place}");
        }
    }
}

#[test]
fn a_damaged_segment_is_left_as_it_is() {
    let (disk, _, current) = filled(20);
    let segment = *sealed(&disk).segments(current).unwrap().first().unwrap();
    let path = Path::new(PLACE).join(format!("{:020}.seg", segment.first));
    for place in 0..disk.read(&path).unwrap().len() {
        let copy = disk.after_a_crash();
        copy.tamper(&path, |bytes| *bytes.get_mut(place).unwrap() ^= 1);
        let before = copy.list(Path::new(PLACE)).unwrap();
        let error = sealed(&copy).compress(segment).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData, "byte {place}");
        assert_eq!(copy.list(Path::new(PLACE)).unwrap(), before);
    }
}

#[test]
fn a_compressed_segment_whose_successor_is_gone_is_a_loss_and_never_written_to() {
    let (disk, _, current) = filled(20);
    let last = *compress_all(&disk, current).last().unwrap();
    let path = Path::new(PLACE).join(format!("{:020}.seg.zst", last.first));
    let before = disk.read(&path).unwrap();
    disk.remove(&Path::new(PLACE).join(format!("{current:020}.seg")))
        .unwrap();
    let (mut journal, recovery, _) = start(&disk);
    let loss = recovery.loss.unwrap();
    assert_eq!((loss.acknowledged, loss.found), (20, last.until));
    journal.append(&[b"next"]).unwrap();
    drop(journal);
    assert_eq!(disk.read(&path).unwrap(), before);
    assert_eq!(start(&disk.after_a_crash()).0.len(), last.until + 1);
}

/// Compresses everything, then archives and removes what lies before record `until`.
fn keep_from(disk: &Arc<SimulatedDisk>, current: u64, until: u64, with_archive: bool) {
    let (sealed, archive) = (sealed(disk), archive(disk));
    for segment in compress_all(disk, current) {
        if segment.until <= until {
            let archive = with_archive.then_some(&archive as &dyn Archive);
            sealed.remove(segment, segment.first, archive).unwrap();
        }
    }
}

#[test]
fn power_loss_at_every_step_loses_no_record_and_the_next_run_goes_on() {
    for with_archive in [true, false] {
        let (disk, tree, current) = filled(24);
        disk.create_directories(Path::new(ARCHIVE)).unwrap();
        snapshots(&disk, 20);
        disk.record();
        keep_from(&disk, current, 18, with_archive);
        let mut cuts = 0;
        for moment in 0..disk.moments() {
            for seed in 0..SEEDS {
                let cut = disk.cut(moment, seed);
                let at = format!("after operation {moment}, seed {seed}");
                // Nothing is missing that is not on the list, and with an archive everything on the
                // list is there.
                let base = base(cut.as_ref(), Path::new(PLACE)).expect(&at);
                assert_eq!(
                    read(&cut, base.size(), 24),
                    expected(base.size(), 24),
                    "{at}"
                );
                let removed = Removed::read(cut.as_ref(), Path::new(PLACE)).unwrap();
                for segment in removed.segments().iter().filter(|_| with_archive) {
                    let name = format!("{:020}.seg.zst", segment.first);
                    let copy = cut.read(&Path::new(ARCHIVE).join(name)).expect(&at);
                    let digest = ring::digest::digest(&ring::digest::SHA256, &copy);
                    let archived = segment.archived.as_ref().unwrap();
                    assert_eq!(digest.as_ref(), archived.digest, "{at}");
                }
                let (journal, recovery, _) = start(&cut);
                assert_eq!((recovery.faults, recovery.loss), (Vec::new(), None), "{at}");
                assert_eq!(journal.frontier(), &tree, "{at}");
                drop(journal);
                keep_from(&cut, current, 18, with_archive);
                let again = cut.after_a_crash();
                let kept = self::base(again.as_ref(), Path::new(PLACE)).unwrap().size();
                assert!((13..=18).contains(&kept), "{at}: {kept}");
                assert_eq!(read(&again, kept, 24), expected(kept, 24), "{at}");
                assert_eq!(start(&again).0.frontier(), &tree, "{at}");
                cuts += 1;
            }
        }
        assert!(cuts > 1000, "only {cuts}");
    }
}

#[test]
fn a_full_disk_keeps_the_plain_segment_and_takes_records() {
    let (disk, _, current) = filled(24);
    let segment = *sealed(&disk).segments(current).unwrap().first().unwrap();
    disk.set_capacity(Some(disk.used()));
    let error = sealed(&disk).compress(segment).unwrap_err();
    assert!(lanyard_disk::is_full(&error), "{error}");
    assert_eq!(read(&disk, 0, 24), expected(0, 24));
    disk.set_capacity(None);
    sealed(&disk).compress(segment).unwrap();
    assert_eq!(read(&disk, 0, 24), expected(0, 24));
}

/// An archive that refuses while `refuses` is set.
#[derive(Debug)]
struct Moody {
    refuses: std::sync::atomic::AtomicBool,
    of: DirectoryArchive,
}

impl Archive for Moody {
    fn place(&self) -> String {
        self.of.place()
    }

    fn store(&self, name: &str, segment: &dyn OpenFile, digest: &Hash) -> io::Result<()> {
        if self.refuses.load(std::sync::atomic::Ordering::SeqCst) {
            return Err(io::Error::other("the archive does not answer"));
        }
        self.of.store(name, segment, digest)
    }
}

#[test]
fn nothing_is_removed_before_its_copy_is_durable_and_right() {
    let (disk, _, current) = filled(24);
    disk.create_directories(Path::new(ARCHIVE)).unwrap();
    let segments = compress_all(&disk, current);
    let moody = Moody {
        refuses: true.into(),
        of: archive(&disk),
    };
    let oldest = *segments.first().unwrap();
    for _ in 0..3 {
        sealed(&disk).remove(oldest, 0, Some(&moody)).unwrap_err();
        assert_eq!(sealed(&disk).segments(current).unwrap(), segments);
    }
    // A copy of another broker is not written over.
    let copy = Path::new(ARCHIVE).join(format!("{:020}.seg.zst", 0));
    let other = disk.open(&copy, Access::Create).unwrap();
    other.write_at(b"of another broker", 0).unwrap();
    moody
        .refuses
        .store(false, std::sync::atomic::Ordering::SeqCst);
    let error = sealed(&disk).remove(oldest, 0, Some(&moody)).unwrap_err();
    assert!(
        error.to_string().contains("an archive of its own"),
        "{error}"
    );
    assert_eq!(disk.read(&copy).unwrap(), b"of another broker");
    disk.remove(&copy).unwrap();
    sealed(&disk).remove(oldest, 7, Some(&moody)).unwrap();
    let removed = Removed::read(disk.as_ref(), Path::new(PLACE)).unwrap();
    let [only] = removed.segments() else {
        panic!("{removed:?}")
    };
    assert_eq!((only.first, only.newest), (0, 7));
    assert_eq!(only.archived.as_ref().unwrap().place, ARCHIVE);
}

#[test]
fn only_the_oldest_segment_is_removed_and_only_if_it_fits_the_next() {
    let (disk, _, current) = filled(24);
    let segments = compress_all(&disk, current);
    let [oldest, second, ..] = segments.as_slice() else {
        panic!("{segments:?}")
    };
    sealed(&disk).remove(*second, 0, None).unwrap_err();
    // A segment of another history, whole in itself.
    let other = SimulatedDisk::shared();
    let (mut journal, ..) = start(&other);
    for index in 0..24 {
        journal.append(&[record(1000 + index)]).unwrap();
    }
    drop(journal);
    compress_all(&other, current);
    let path = Path::new(PLACE).join(format!("{:020}.seg.zst", 0));
    let (own, foreign) = (disk.read(&path).unwrap(), other.read(&path).unwrap());
    disk.tamper(&path, |bytes| *bytes = foreign);
    let error = sealed(&disk).remove(*oldest, 0, None).unwrap_err();
    assert!(error.to_string().contains("does not fit"), "{error}");
    disk.tamper(&path, |bytes| *bytes = own);
    sealed(&disk).remove(*oldest, 0, None).unwrap();
    sealed(&disk).remove(*second, 0, None).unwrap();
    let error = Cursor::on(&files(&disk), Path::new(PLACE), 3).read(24, |_| {});
    assert!(
        matches!(error, Err(OpenError::Removed { index: 3, kept }) if kept == second.until),
        "{error:?}"
    );
}

#[test]
fn a_changed_byte_of_the_list_of_removed_segments_is_damage() {
    let (disk, _, current) = filled(24);
    snapshots(&disk, 20);
    keep_from(&disk, current, 18, false);
    let list = Path::new(PLACE).join("removed");
    for place in 0..disk.read(&list).unwrap().len() {
        let copy = disk.after_a_crash();
        copy.tamper(&list, |bytes| *bytes.get_mut(place).unwrap() ^= 1);
        let error = Removed::read(copy.as_ref(), Path::new(PLACE)).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData, "byte {place}");
        let segment = *sealed(&copy).segments(current).unwrap().first().unwrap();
        sealed(&copy).remove(segment, 0, None).unwrap_err();
    }
}

/// The files of a simulated directory, in a real one.
fn copied(disk: &Arc<SimulatedDisk>, from: &str) -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    for path in disk.list(Path::new(from)).unwrap() {
        let to = directory.path().join(path.file_name().unwrap());
        std::fs::write(to, disk.read(&path).unwrap()).unwrap();
    }
    directory
}

#[test]
fn t76_a_journal_is_verified_across_the_gap_with_and_without_the_archive() {
    let (disk, tree, current) = filled(24);
    disk.create_directories(Path::new(ARCHIVE)).unwrap();
    let mut roots = Vec::new();
    let mut frontier = Frontier::default();
    for index in 0..=24 {
        roots.push(frontier.root());
        frontier.push(&record(index));
    }
    snapshots(&disk, 20);
    keep_from(&disk, current, 18, true);
    let removed = Removed::read(disk.as_ref(), Path::new(PLACE)).unwrap();
    let (data, archived) = (copied(&disk, PLACE), copied(&disk, ARCHIVE));
    let ends: Vec<u64> = removed
        .segments()
        .iter()
        .map(|it| it.frontier.size())
        .collect();
    for (size, root) in (0_u64..).zip(&roots) {
        let alone = verify(data.path(), None, size).unwrap();
        let with = verify(data.path(), Some(archived.path()), size).unwrap();
        assert_eq!((alone.size, alone.root), (24, tree.root()));
        assert_eq!((with.size, with.root), (24, tree.root()));
        assert_eq!((alone.removed, with.removed), (removed.records(), 0));
        assert_eq!(with.then, Then::Root(*root), "{size}");
        let known = size == 0 || size >= removed.records() || ends.contains(&size);
        let then = if known {
            Then::Root(*root)
        } else {
            Then::Removed
        };
        assert_eq!(alone.then, then, "{size}");
    }
    assert_eq!(verify(data.path(), None, 25).unwrap().then, Then::Shorter);
    // A segment that is missing from the archive, or changed in it.
    let second = archived
        .path()
        .join(format!("{:020}.seg.zst", ends.first().unwrap()));
    let whole = std::fs::read(&second).unwrap();
    let mut changed = whole.clone();
    *changed.get_mut(whole.len() / 2).unwrap() ^= 1;
    std::fs::write(&second, changed).unwrap();
    let error = verify(data.path(), Some(archived.path()), 0).unwrap_err();
    assert!(
        error.to_string().contains("compressed segment is damaged"),
        "{error}"
    );
    std::fs::remove_file(&second).unwrap();
    let error = verify(data.path(), Some(archived.path()), 0).unwrap_err();
    assert!(error.to_string().contains("is missing"), "{error}");
    // A segment that retention did not remove.
    let kept = data
        .path()
        .join(format!("{:020}.seg.zst", removed.records()));
    let bytes = std::fs::read(&kept).unwrap();
    std::fs::remove_file(&kept).unwrap();
    let error = verify(data.path(), None, 0).unwrap_err();
    assert!(matches!(error, OpenError::Damaged(_)), "{error}");
    std::fs::write(&kept, bytes).unwrap();
    // Without the list, what is missing is damage.
    std::fs::remove_file(data.path().join("removed")).unwrap();
    let error = verify(data.path(), None, 0).unwrap_err();
    assert!(error.to_string().contains("is missing"), "{error}");
}
