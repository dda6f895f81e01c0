//! What a journal has lost, remembered until it is answered: a start that cuts off acknowledged records removes the proof of
//! them, and must not be the only one that knows.

use std::io;
use std::path::{Path, PathBuf};

use lanyard_disk::{Disk, Files, Mark, directory_of};

use crate::batch::Fault;

/// Acknowledged records that the journal does not have any more.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "the journal ends after {found} records at byte {offset} of segment {segment}, and {acknowledged} were acknowledged"
)]
pub struct Loss {
    /// How many records were acknowledged, at least.
    pub acknowledged: u64,
    /// How many were found when the loss was seen.
    pub found: u64,
    /// The first record of the segment that was cut, which is its name.
    pub segment: u64,
    /// Where it was cut.
    pub offset: u64,
}

/// The name of the file that remembers a loss.
const FILE: &str = "loss";

fn path(directory: &Path) -> PathBuf {
    directory.join(FILE)
}

impl Loss {
    /// The loss that no one has answered yet.
    pub(crate) fn unanswered(disk: &dyn Disk, directory: &Path, found: u64) -> Option<Self> {
        let path = path(directory);
        let is_there = disk.list(directory).is_ok_and(|all| all.contains(&path));
        is_there.then(|| {
            // One that cannot be read is a loss all the same.
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

    /// Remembers the loss, durably.
    pub(crate) fn remember(&self, disk: &Files, directory: &Path) -> io::Result<()> {
        let numbers = [self.acknowledged, self.found, self.segment, self.offset];
        Mark::begin(disk, path(directory), numbers).map(drop)
    }

    /// Forgets the loss in this directory: what has to follow from it is durable.
    ///
    /// # Errors
    /// As of the file system: the loss is then found again at the next start.
    pub fn answered(disk: &dyn Disk, directory: &Path) -> io::Result<()> {
        let path = path(directory);
        disk.remove(&path)?;
        disk.sync_directory(directory_of(&path))
    }
}

/// What was found when a journal was opened.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Recovery {
    /// How many records there are, those that cannot be read included.
    pub records: u64,
    /// How many bytes were cut off the end.
    pub cut: u64,
    /// Acknowledged records that are not there any more; found at every start until it is answered.
    pub loss: Option<Loss>,
    /// Every place that is not as it was written. The journal then takes nothing more, so that nothing is changed.
    pub faults: Vec<Fault>,
    /// Whether a record may be missing at one of them: the header of a segment is none.
    pub incomplete: bool,
}
