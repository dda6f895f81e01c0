//! Blocks that are set aside for what must be written on a full disk, and given up in steps.

use std::io;
use std::path::{Path, PathBuf};

use lanyard_disk::{Access, Files, Length, is_full};

/// The name of the file that holds the blocks.
const FILE: &str = "reserve";

/// The reserve of a directory.
#[derive(Debug)]
pub(crate) struct Reserve {
    disk: Files,
    path: PathBuf,
    /// How much is taken and given up at once, in bytes.
    step: u64,
    held: u64,
    /// The most that was held since the start: as much as that is to be held again.
    usual: u64,
}

impl Reserve {
    /// Takes over what is held already, and asks for the rest of `bytes`. A disk that does not have them is no error: a
    /// start must succeed on it, and whoever issues asks for what it needs.
    pub(crate) fn open(disk: &Files, directory: &Path, bytes: u64) -> Self {
        let path = directory.join(FILE);
        let held = held_at(disk, &path).unwrap_or_default();
        let mut reserve = Self {
            disk: Files::clone(disk),
            path,
            step: (bytes / 16).max(1),
            held,
            usual: held,
        };
        // What is missing is asked for again by whoever needs it.
        reserve.grow(bytes).ok();
        reserve
    }

    /// How many bytes are held.
    pub(crate) const fn held(&self) -> u64 {
        self.held
    }

    /// How many bytes were held at the most.
    pub(crate) const fn usual(&self) -> u64 {
        self.usual
    }

    /// Sees to it that at least so many bytes are held.
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
            // What cannot be had whole is left to the records.
            file.set_length(self.held)?;
            return Err(error);
        }
        self.held = to;
        self.usual = self.usual.max(to);
        Ok(())
    }

    /// Gives up one step, or as much as is needed; says whether there was anything to give.
    pub(crate) fn give_up(&mut self, needed: u64) -> bool {
        let less = needed.div_ceil(self.step).max(1).saturating_mul(self.step);
        let left = self.held.saturating_sub(less);
        if left == self.held {
            return false;
        }
        self.held = left;
        let given = if left == 0 {
            // The name goes as well: where it is files that have run out, it is one.
            self.disk.remove(&self.path)
        } else {
            // Synced: some file systems give blocks to others only once the change is durable.
            let file = self.disk.open(&self.path, Access::Write);
            file.and_then(|file| file.set_length(left).and_then(|()| file.sync()))
        };
        given.is_ok() || left > 0
    }
}

/// How many bytes there are blocks for. A copy of the directory may have the length without the blocks: they are allocated
/// again, which takes nothing where they are there.
fn held_at(disk: &Files, path: &Path) -> io::Result<u64> {
    let file = disk.open(path, Access::Write)?;
    let length = file.length()?;
    let allocated = file.allocate(0, length, Length::Kept);
    if allocated.as_ref().is_err_and(is_full) {
        file.set_length(0)?;
        return Ok(0);
    }
    // On a disk that can be read alone, what is there is there.
    Ok(length)
}

/// Where blocks cannot be allocated, zeroes take them.
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
