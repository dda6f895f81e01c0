//! A mark: a small file beside another one that says how much of that other file was acknowledged
//! as durable.
//!
//! ```text
//! "MARK" crc:u32 (number:u64)*4
//! ```
//! All numbers are little-endian; the checksum (CRC-32C) is over the numbers.
//!
//! A mark is written after the sync that it speaks of and is not synced itself. A process that dies
//! leaves an exact mark, a loss of power leaves an older one, and no crash leaves a mark that says
//! too much. So a file that ends before its mark has lost acknowledged bytes, and bytes behind the
//! mark may never have been acknowledged.

use std::io;
use std::path::{Path, PathBuf};

use crate::{Access, Disk, Files, OpenFile, directory_of};

/// The number of values that a mark holds; their meaning is the caller's.
const MARK_NUMBERS: usize = 4;
const MAGIC: &[u8; 4] = b"MARK";
/// Size of a mark. It fits into one sector, so that a write of it is never torn.
const MARK_BYTES: usize = 8 + MARK_NUMBERS * 8;

/// An open mark, whose file is `None` after a failed write.
#[derive(Debug)]
pub struct Mark {
    disk: Files,
    path: PathBuf,
    file: Option<Box<dyn OpenFile>>,
}

impl Mark {
    /// Reads the mark at `path`; `None` when the file is missing, torn or damaged.
    #[must_use]
    pub fn read(disk: &dyn Disk, path: &Path) -> Option<[u64; MARK_NUMBERS]> {
        let bytes = disk.read(path).ok()?;
        let (head, body) = bytes.get(..MARK_BYTES)?.split_at_checked(8)?;
        let (magic, checksum) = head.split_at_checked(4)?;
        let whole = magic == MAGIC && checksum == crc32c::crc32c(body).to_le_bytes();
        whole.then_some(())?;
        let mut numbers = [0; MARK_NUMBERS];
        for (number, bytes) in numbers.iter_mut().zip(body.chunks_exact(8)) {
            *number = u64::from_le_bytes(bytes.try_into().ok()?);
        }
        Some(numbers)
    }

    /// Creates or overwrites the mark, durable on return.
    ///
    /// # Errors
    /// When the file system refuses.
    pub fn begin(disk: &Files, path: PathBuf, numbers: [u64; MARK_NUMBERS]) -> io::Result<Self> {
        let file = disk.open(&path, Access::Create)?;
        file.write_at(&render(numbers), 0)?;
        file.sync()?;
        disk.sync_directory(directory_of(&path))?;
        Ok(Self {
            disk: std::sync::Arc::clone(disk),
            path,
            file: Some(file),
        })
    }

    /// Writes new numbers without a sync. A failed write removes the mark: an old mark would say
    /// too little, and a reader would take lost records for ones that were never acknowledged.
    pub fn set(&mut self, numbers: [u64; MARK_NUMBERS]) {
        let file = self.file.as_ref();
        let failed = file.is_some_and(|file| file.write_at(&render(numbers), 0).is_err());
        if failed {
            self.file = None;
            self.disk.remove(&self.path).ok();
        }
    }

    /// True after a failed write, when the mark no longer exists.
    #[must_use]
    pub const fn is_lost(&self) -> bool {
        self.file.is_none()
    }

    /// Syncs the mark, at an orderly end.
    pub fn sync(&self) {
        // Best effort: without the sync the mark is as old as after a loss of power, which every
        // reader allows for.
        if let Some(file) = &self.file {
            file.sync().ok();
        }
    }
}

fn render(numbers: [u64; MARK_NUMBERS]) -> Vec<u8> {
    let body: Vec<u8> = numbers.into_iter().flat_map(u64::to_le_bytes).collect();
    let mut bytes = MAGIC.to_vec();
    bytes.extend_from_slice(&crc32c::crc32c(&body).to_le_bytes());
    bytes.extend_from_slice(&body);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_reads_as_written_or_not_at_all() {
        let directory = tempfile::tempdir().unwrap();
        let (disk, path) = (crate::system(), directory.path().join("mark"));
        assert_eq!(Mark::read(disk.as_ref(), &path), None);
        let mut mark = Mark::begin(&disk, path.clone(), [1, 2, 3, 4]).unwrap();
        mark.set([4, 5, 6, 7]);
        assert_eq!(Mark::read(disk.as_ref(), &path), Some([4, 5, 6, 7]));
        let good = disk.read(&path).unwrap();
        for place in 0..good.len() {
            let mut bad = good.clone();
            bad[place] ^= 1;
            std::fs::write(&path, bad).unwrap();
            assert_eq!(Mark::read(disk.as_ref(), &path), None, "byte {place}");
        }
    }
}
