//! How much of a file was durable when somebody was told so, kept beside the file.
//!
//! ```text
//! "MARK" crc:u32 (number:u64)*4
//! ```
//! All numbers are little-endian; the checksum (CRC-32C) is over the numbers.
//!
//! A mark is written after the sync that it speaks of and is not synced itself: a process that dies leaves it
//! exact, a loss of power leaves an older one, and no crash leaves one that says too much. So a file that ends
//! before its mark has lost what was acknowledged, and what lies behind the mark may never have been.

use std::io;
use std::path::{Path, PathBuf};

use crate::{Access, Disk, Files, OpenFile, directory_of};

/// How many numbers a mark holds.
const NUMBERS: usize = 4;
const MAGIC: &[u8; 4] = b"MARK";
/// Within one sector, so that a mark is never torn.
const BYTES: usize = 8 + NUMBERS * 8;

/// An open mark.
#[derive(Debug)]
pub struct Mark {
    disk: Files,
    path: PathBuf,
    file: Option<Box<dyn OpenFile>>,
}

impl Mark {
    /// What the mark at this path says; `None` where there is none that is whole.
    #[must_use]
    pub fn read(disk: &dyn Disk, path: &Path) -> Option<[u64; NUMBERS]> {
        let bytes = disk.read(path).ok()?;
        let (head, body) = bytes.get(..BYTES)?.split_at_checked(8)?;
        let (magic, checksum) = head.split_at_checked(4)?;
        let whole = magic == MAGIC && checksum == crc32c::crc32c(body).to_le_bytes();
        whole.then_some(())?;
        let mut numbers = [0; NUMBERS];
        for (number, bytes) in numbers.iter_mut().zip(body.chunks_exact(8)) {
            *number = u64::from_le_bytes(bytes.try_into().ok()?);
        }
        Some(numbers)
    }

    /// Makes the mark say this, durably.
    ///
    /// # Errors
    /// As of the file system.
    pub fn begin(disk: &Files, path: PathBuf, numbers: [u64; NUMBERS]) -> io::Result<Self> {
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

    /// Makes the mark say this, for as long as the system runs. Where that fails there is no mark any more: one that
    /// says too little would have damage taken for what was never acknowledged.
    pub fn set(&mut self, numbers: [u64; NUMBERS]) {
        let file = self.file.as_ref();
        let failed = file.is_some_and(|file| file.write_at(&render(numbers), 0).is_err());
        if failed {
            self.file = None;
            self.disk.remove(&self.path).ok();
        }
    }

    /// Whether a write of it failed, so that there is no mark any more.
    #[must_use]
    pub const fn is_lost(&self) -> bool {
        self.file.is_none()
    }

    /// Makes what the mark says durable.
    pub fn sync(&self) {
        // A mark that stays behind is as good as after a loss of power.
        if let Some(file) = &self.file {
            file.sync().ok();
        }
    }
}

fn render(numbers: [u64; NUMBERS]) -> Vec<u8> {
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
    fn a_mark_says_what_it_was_set_to_or_nothing() {
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
