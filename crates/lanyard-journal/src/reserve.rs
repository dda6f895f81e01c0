//! The reserve: blocks set aside for records that have to be written on a full disk, given up in
//! steps.

use std::io;
use std::path::{Path, PathBuf};

use lanyard_disk::{Access, Files, Length, is_full};

/// Name of the file that holds the blocks.
const FILE: &str = "reserve";

/// The reserve file of one directory.
#[derive(Debug)]
pub(crate) struct Reserve {
    disk: Files,
    path: PathBuf,
    /// Granularity in bytes: the reserve grows and shrinks in multiples of it.
    step: u64,
    held: u64,
    /// The largest size since the start, in bytes; the reserve grows back to it.
    high_water: u64,
}

impl Reserve {
    /// Opens the reserve that exists and tries to grow it to `bytes`. A disk without the space is
    /// no error: a start must succeed on a full disk.
    pub(crate) fn open(disk: &Files, directory: &Path, bytes: u64) -> Self {
        let path = directory.join(FILE);
        let held = held_at(disk, &path).unwrap_or_default();
        let mut reserve = Self {
            disk: Files::clone(disk),
            path,
            step: (bytes / 16).max(1),
            held,
            high_water: held,
        };
        // Best effort: before anything is issued, the ledger asks for the space again and refuses
        // without it.
        reserve.grow(bytes).ok();
        reserve
    }

    /// The reserve's size in bytes.
    pub(crate) const fn held(&self) -> u64 {
        self.held
    }

    /// The largest size since the start, in bytes.
    pub(crate) const fn high_water(&self) -> u64 {
        self.high_water
    }

    /// Grows the reserve to at least `bytes`; on an error the size stays.
    pub(crate) fn grow(&mut self, bytes: u64) -> io::Result<()> {
        if bytes <= self.held {
            return Ok(());
        }
        let to = bytes.div_ceil(self.step).saturating_mul(self.step);
        let file = self.disk.open(&self.path, Access::Create)?;
        let grown = file
            .allocate(self.held, to - self.held, Length::Grown)
            .and_then(|allocated| match allocated {
                true => Ok(()),
                false => write_zeroes(file.as_ref(), self.held, to),
            })
            .and_then(|()| file.sync());
        if let Err(error) = grown {
            // Blocks that do not make a whole allocation go back, so that the records can use them.
            file.set_length(self.held)?;
            return Err(error);
        }
        self.held = to;
        self.high_water = self.high_water.max(to);
        Ok(())
    }

    /// Gives up `needed` bytes, at least one step; returns whether anything was given up.
    pub(crate) fn give_up(&mut self, needed: u64) -> bool {
        let less = needed.div_ceil(self.step).max(1).saturating_mul(self.step);
        let left = self.held.saturating_sub(less);
        if left == self.held {
            return false;
        }
        self.held = left;
        let given = if left == 0 {
            // The last step removes the file too, for a file system that has run out of inodes.
            self.disk.remove(&self.path)
        } else {
            // Synced, because some file systems free the blocks only once the change is durable.
            let file = self.disk.open(&self.path, Access::Write);
            file.and_then(|file| file.set_length(left).and_then(|()| file.sync()))
        };
        given.is_ok() || left > 0
    }
}

/// The size of an existing reserve. A copy of the directory may have the length without the blocks,
/// so they are allocated again; that costs nothing where they exist.
fn held_at(disk: &Files, path: &Path) -> io::Result<u64> {
    let file = disk.open(path, Access::Write)?;
    let length = file.length()?;
    let allocated = file.allocate(0, length, Length::Kept);
    if allocated.as_ref().is_err_and(is_full) {
        file.set_length(0)?;
        return Ok(0);
    }
    // On a read-only disk the allocation fails for another reason than space, and the blocks stay
    // as they are.
    Ok(length)
}

/// Writes zeroes where the file system cannot allocate blocks.
fn write_zeroes(file: &dyn lanyard_disk::OpenFile, from: u64, to: u64) -> io::Result<()> {
    const CHUNK: usize = 64 << 10;
    let zeroes = vec![0; CHUNK];
    let mut at = from;
    while at < to {
        let left = usize::try_from(to - at).unwrap_or(CHUNK).min(CHUNK);
        file.write_at(zeroes.get(..left).unwrap_or_default(), at)?;
        at += left as u64;
    }
    Ok(())
}
