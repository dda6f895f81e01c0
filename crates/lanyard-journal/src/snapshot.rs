//! Snapshots: the state after some number of records, so that a start need not replay them.
//!
//! ```text
//! "LANYARDS" version:u32 crc:u32 size:u64 roots:u32 [32]*roots length:u64 payload
//! ```
//! All numbers are little-endian. The checksum (CRC-32C) covers everything behind it. The roots are
//! the Merkle frontier of the records that the snapshot covers, so that the journal continues
//! exactly there.

use std::io;
use std::path::{Path, PathBuf};

use lanyard_disk::{Disk, replace};

use crate::merkle::{Frontier, Hash};

const MAGIC: &[u8; 8] = b"LANYARDS";
const VERSION: u32 = 1;
/// Number of snapshots that stay on disk. Two, so that a start can use the older one if the newest
/// is damaged.
const SNAPSHOTS_KEPT: usize = 2;

/// The state after some number of records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// The Merkle frontier of the records that the snapshot covers.
    pub frontier: Frontier,
    /// The state, rendered by the ledger; the journal does not interpret the bytes.
    pub payload: Vec<u8>,
}

impl Snapshot {
    /// Writes the snapshot beside the segments, durable on return, and removes all but the newest
    /// two.
    ///
    /// # Errors
    /// When the file system refuses; the snapshots before are still there.
    pub fn write(&self, disk: &dyn Disk, directory: &Path) -> io::Result<()> {
        let name = format!("{:020}.snapshot", self.frontier.size());
        replace(disk, &directory.join(name), &self.rendered())?;
        let all = snapshots(disk, directory)?;
        for old in all.iter().rev().skip(SNAPSHOTS_KEPT) {
            disk.remove(old)?;
        }
        Ok(())
    }

    /// The directory's whole snapshots, newest first. Unreadable and damaged ones are skipped.
    ///
    /// # Errors
    /// When the directory cannot be listed.
    pub fn all<'a>(
        disk: &'a dyn Disk,
        directory: &Path,
    ) -> io::Result<impl Iterator<Item = Self> + use<'a>> {
        let found = snapshots(disk, directory)?.into_iter().rev();
        Ok(found.filter_map(|path| Self::parsed(&disk.read(&path).ok()?)))
    }

    /// The newest whole snapshot in the directory.
    ///
    /// # Errors
    /// When the directory cannot be listed.
    pub fn newest(disk: &dyn Disk, directory: &Path) -> io::Result<Option<Self>> {
        Ok(Self::all(disk, directory)?.next())
    }

    /// The number of records that every one of the snapshots on disk covers; `None` while there are
    /// fewer than two whole ones. Records before it are replayed by no start, even where the newest
    /// snapshot is damaged later.
    ///
    /// # Errors
    /// When the directory cannot be listed.
    pub fn covered_by_all(disk: &dyn Disk, directory: &Path) -> io::Result<Option<u64>> {
        let sizes: Vec<u64> = Self::all(disk, directory)?
            .map(|snapshot| snapshot.frontier.size())
            .collect();
        let covered = sizes.iter().min().copied();
        Ok(covered.filter(|_| sizes.len() >= SNAPSHOTS_KEPT))
    }

    fn rendered(&self) -> Vec<u8> {
        let mut body = Vec::with_capacity(self.payload.len() + 4096);
        let roots = self.frontier.roots();
        body.extend_from_slice(&self.frontier.size().to_le_bytes());
        body.extend_from_slice(&u32::try_from(roots.len()).unwrap_or(u32::MAX).to_le_bytes());
        roots.iter().for_each(|root| body.extend_from_slice(root));
        body.extend_from_slice(&(self.payload.len() as u64).to_le_bytes());
        body.extend_from_slice(&self.payload);
        let mut bytes = MAGIC.to_vec();
        bytes.extend_from_slice(&VERSION.to_le_bytes());
        bytes.extend_from_slice(&crc32c::crc32c(&body).to_le_bytes());
        bytes.extend_from_slice(&body);
        bytes
    }

    fn parsed(bytes: &[u8]) -> Option<Self> {
        let (magic, rest) = bytes.split_at_checked(8)?;
        let (version, rest) = number::<4>(rest)?;
        let (checksum, body) = number::<4>(rest)?;
        let whole = magic == MAGIC
            && u32::from_le_bytes(version) == VERSION
            && u32::from_le_bytes(checksum) == crc32c::crc32c(body);
        whole.then_some(())?;
        let (size, rest) = number::<8>(body)?;
        let (count, mut rest) = number::<4>(rest)?;
        let mut roots: Vec<Hash> = Vec::new();
        for _ in 0..u32::from_le_bytes(count) {
            let (root, after) = number::<32>(rest)?;
            roots.push(root);
            rest = after;
        }
        let (length, payload) = number::<8>(rest)?;
        (payload.len() as u64 == u64::from_le_bytes(length)).then_some(())?;
        Some(Self {
            frontier: Frontier::from_parts(u64::from_le_bytes(size), roots)?,
            payload: payload.to_vec(),
        })
    }
}

fn number<const N: usize>(bytes: &[u8]) -> Option<([u8; N], &[u8])> {
    let (first, rest) = bytes.split_at_checked(N)?;
    Some((first.try_into().ok()?, rest))
}

fn snapshots(disk: &dyn Disk, directory: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = disk.list(directory)?;
    found.retain(|path| {
        path.extension()
            .is_some_and(|extension| extension == "snapshot")
    });
    Ok(found)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use lanyard_disk::SystemDisk;

    use super::*;

    fn snapshot(records: u64) -> Snapshot {
        let mut frontier = Frontier::default();
        (0..records).for_each(|index| frontier.push(&index.to_le_bytes()));
        Snapshot {
            frontier,
            payload: format!("{records} records").into_bytes(),
        }
    }

    #[test]
    fn the_newest_whole_one_is_found_and_two_are_kept() {
        let directory = tempfile::tempdir().unwrap();
        assert_eq!(
            Snapshot::newest(&SystemDisk, directory.path()).unwrap(),
            None
        );
        for records in [3, 5, 9] {
            snapshot(records)
                .write(&SystemDisk, directory.path())
                .unwrap();
        }
        assert_eq!(
            snapshots(&SystemDisk, directory.path()).unwrap().len(),
            SNAPSHOTS_KEPT
        );
        let newest = Snapshot::newest(&SystemDisk, directory.path()).unwrap();
        assert_eq!(newest, Some(snapshot(9)));
    }

    #[test]
    fn one_with_any_byte_changed_is_passed_over() {
        let directory = tempfile::tempdir().unwrap();
        snapshot(3).write(&SystemDisk, directory.path()).unwrap();
        snapshot(9).write(&SystemDisk, directory.path()).unwrap();
        let path = snapshots(&SystemDisk, directory.path())
            .unwrap()
            .pop()
            .unwrap();
        let good = fs::read(&path).unwrap();
        for place in 0..good.len() {
            let mut bad = good.clone();
            *bad.get_mut(place).unwrap() ^= 1;
            fs::write(&path, bad).unwrap();
            let found = Snapshot::newest(&SystemDisk, directory.path()).unwrap();
            assert_eq!(found, Some(snapshot(3)), "byte {place}");
        }
        fs::write(&path, good.get(..40).unwrap()).unwrap();
        assert_eq!(
            Snapshot::newest(&SystemDisk, directory.path()).unwrap(),
            Some(snapshot(3))
        );
    }
}
