//! Verifies a journal from its first record: is every byte as it was written, and is this the
//! journal that was seen before (T76)?

use std::io;
use std::path::Path;

use lanyard_disk::{Mark, SystemDisk};

use crate::batch::Fault;
use crate::error::OpenError;
use crate::journal::MARK;
use crate::merkle::{Frontier, Hash};
use crate::scan::{scan, segments};

/// The result for a journal without faults.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    /// The number of records.
    pub size: u64,
    /// The Merkle root over all records.
    pub root: Hash,
    /// The Merkle root over the first `size_then` records; `None` when the journal has fewer.
    pub root_then: Option<Hash>,
}

/// Reads the whole journal in `directory`; another process may have it open.
///
/// # Errors
/// The first place that differs from what was written, also when the journal ends before its mark.
pub fn verify(directory: &Path, size_then: u64) -> Result<Verified, OpenError> {
    let disk = SystemDisk;
    if segments(&disk, directory)?.is_empty() {
        return Err(OpenError::Io(io::Error::new(
            io::ErrorKind::NotFound,
            "the directory holds no journal",
        )));
    }
    // The mark is read before the segments: a journal that grows meanwhile is never shorter than
    // the mark was.
    let mark = Mark::read(&disk, &directory.join(MARK));
    let mut then = Frontier::default();
    let mut each = |index: u64, record: &[u8]| {
        if index < size_then {
            then.push(record);
        }
    };
    let found = scan(&disk, directory, Frontier::default(), &mut each)?;
    if let Some(first) = found.faults.into_iter().next() {
        return Err(OpenError::Damaged(first));
    }
    let size = found.frontier.size();
    if let Some([acknowledged, ..]) = mark.filter(|[acknowledged, ..]| *acknowledged > size) {
        return Err(OpenError::Damaged(Fault {
            segment: directory.display().to_string(),
            offset: 0,
            index: size,
            what: format!(
                "the journal ends after {size} records, and {acknowledged} were acknowledged"
            ),
        }));
    }
    let root_then = (then.size() == size_then).then(|| then.root());
    Ok(Verified {
        size,
        root: found.frontier.root(),
        root_then,
    })
}
