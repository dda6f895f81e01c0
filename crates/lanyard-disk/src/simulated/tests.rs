//! Checks what a cut may lose and what it must keep.

use super::*;
use crate::replace;

fn file(disk: &SimulatedDisk, name: &str) -> Option<Vec<u8>> {
    disk.read(&Path::new("/d").join(name)).ok()
}

#[test]
fn a_cut_keeps_what_was_synced_and_any_part_of_the_rest() {
    let disk = SimulatedDisk::shared();
    disk.create_directories(Path::new("/d")).unwrap();
    let open = disk.open(Path::new("/d/f"), Access::Create).unwrap();
    open.write_at(&[1; 2 * SECTOR_BYTES], 0).unwrap();
    open.sync().unwrap();
    assert_eq!(file(&disk.cut(99, 0), "f"), None, "its name was not synced");
    disk.sync_directory(Path::new("/d")).unwrap();
    open.write_at(&[2; 2 * SECTOR_BYTES], SECTOR_BYTES as u64)
        .unwrap();
    assert_eq!(file(&disk.cut(99, 0), "f"), Some(vec![1; 2 * SECTOR_BYTES]));
    let all = file(&disk.cut(99, 1), "f").unwrap();
    assert_eq!(
        (all[0], all[SECTOR_BYTES], all.len()),
        (1, 2, 3 * SECTOR_BYTES)
    );
    let torn = (2..64).map(|seed| file(&disk.cut(99, seed), "f").unwrap());
    let kept: BTreeSet<_> = torn.map(|it| (it[SECTOR_BYTES], it.len())).collect();
    let (two, three) = (2 * SECTOR_BYTES, 3 * SECTOR_BYTES);
    let expected = [(1, two), (1, three), (2, two), (2, three)];
    assert_eq!(kept, BTreeSet::from(expected), "every sector on its own");
}

#[test]
fn a_rename_is_undone_until_the_directory_is_synced() {
    let disk = SimulatedDisk::shared();
    disk.create_directories(Path::new("/d")).unwrap();
    replace(disk.as_ref(), Path::new("/d/f"), b"old").unwrap();
    disk.record();
    replace(disk.as_ref(), Path::new("/d/f"), b"new").unwrap();
    for moment in 0..disk.moments() {
        for seed in 0..32 {
            let found = file(&disk.cut(moment, seed), "f").unwrap();
            assert!(found == b"old" || found == b"new", "{moment} {seed}");
            assert!(found == b"new" || moment + 1 < disk.moments());
        }
    }
}

#[test]
fn a_full_disk_accepts_what_fits_and_reports_the_rest() {
    let disk = SimulatedDisk::shared();
    disk.create_directories(Path::new("/d")).unwrap();
    disk.set_capacity(Some(2 * SECTOR_BYTES as u64));
    let open = disk.open(Path::new("/d/f"), Access::Create).unwrap();
    let error = open.write_at(&[1; 3 * SECTOR_BYTES], 0).unwrap_err();
    assert!(crate::is_full(&error) && open.length().unwrap() == 2 * SECTOR_BYTES as u64);
    open.set_length(1).unwrap();
    assert!(open.allocate(1, SECTOR_BYTES as u64, Length::Kept).unwrap());
    assert!(
        disk.open(Path::new("/d/g"), Access::Create)
            .unwrap()
            .write_at(&[1], 0)
            .is_err()
    );
    open.write_at(&[1; SECTOR_BYTES], 1).unwrap();
}
