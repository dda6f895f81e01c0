//! Lost records. A start that cuts off acknowledged records removes the only proof of them, so it
//! writes the loss to a file first; every start reports the loss until somebody answers for it.

use std::io;
use std::path::{Path, PathBuf};

use lanyard_disk::{Disk, Files, Mark, directory_of};

use crate::batch::Fault;

/// Acknowledged records that the journal no longer has.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "the journal ends after {found} records at byte {offset} of segment {segment}, and {acknowledged} were acknowledged"
)]
pub struct Loss {
    /// The least number of records that were acknowledged.
    pub acknowledged: u64,
    /// The number of records found by the start that noticed the loss.
    pub found: u64,
    /// Index of the first record of the segment that was cut, which is also the segment's name.
    pub segment: u64,
    /// Byte offset of the cut in that segment.
    pub offset: u64,
}

/// Name of the file that remembers a loss.
const FILE: &str = "loss";

fn path(directory: &Path) -> PathBuf {
    directory.join(FILE)
}

impl Loss {
    /// The loss that an earlier start noticed and nobody has answered yet.
    pub(crate) fn unanswered(disk: &dyn Disk, directory: &Path, found: u64) -> Option<Self> {
        let path = path(directory);
        let is_there = disk.list(directory).is_ok_and(|all| all.contains(&path));
        is_there.then(|| {
            // An unreadable file counts as a loss too: a torn write of the file must not hide the
            // loss.
            let numbers = Mark::read(disk, &path).unwrap_or([found + 1, found, 0, 0]);
            let [acknowledged, found, segment, offset] = numbers;
            Self {
                acknowledged,
                found,
                segment,
                offset,
            }
        })
    }

    /// Writes the loss to its file, durable on return.
    pub(crate) fn remember(&self, disk: &Files, directory: &Path) -> io::Result<()> {
        let numbers = [self.acknowledged, self.found, self.segment, self.offset];
        Mark::begin(disk, path(directory), numbers).map(drop)
    }

    /// Removes the loss file in `directory`. The caller has made durable what has to follow from
    /// the loss.
    ///
    /// # Errors
    /// When the file cannot be removed: the next start finds the loss again.
    pub fn answered(disk: &dyn Disk, directory: &Path) -> io::Result<()> {
        let path = path(directory);
        disk.remove(&path)?;
        disk.sync_directory(directory_of(&path))
    }
}

/// The findings of [`crate::Journal::open`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Recovery {
    /// The number of records, those included that cannot be read.
    pub records: u64,
    /// The number of bytes cut off the end.
    pub cut: u64,
    /// Acknowledged records that are gone; reported at every start until answered.
    pub loss: Option<Loss>,
    /// Every damaged place. The journal then accepts nothing more, so that the evidence stays as it
    /// is.
    pub faults: Vec<Fault>,
    /// True if records may be missing at a fault. Damage to a segment's header alone loses no
    /// record.
    pub incomplete: bool,
}
