//! Reading everything again: is the journal as it was written, and is it the one that was seen before (T76)?

use std::io;
use std::path::Path;

use lanyard_disk::{Mark, SystemDisk};

use crate::batch::Fault;
use crate::error::OpenError;
use crate::journal::MARK;
use crate::merkle::{Frontier, Hash};
use crate::scan::{scan, segments};

/// A journal that holds together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    /// How many records there are.
    pub size: u64,
    /// The root of the tree over them.
    pub root: Hash,
    /// The root of the tree over the first records, as many as were asked about; none when there are fewer.
    pub root_then: Option<Hash>,
}

/// Reads the journal in this directory, which another process may have open.
///
/// # Errors
/// Where it is not as it was written.
pub fn verify(directory: &Path, size_then: u64) -> Result<Verified, OpenError> {
    let disk = SystemDisk;
    if segments(&disk, directory)?.is_empty() {
        return Err(OpenError::Io(io::Error::new(
            io::ErrorKind::NotFound,
            "there is no journal here",
        )));
    }
    // Before the segments: a journal that grows meanwhile is no shorter than its mark was.
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
            what: format!("the journal ends, and {acknowledged} were acknowledged"),
        }));
    }
    let root_then = (then.size() == size_then).then(|| then.root());
    Ok(Verified {
        size,
        root: found.frontier.root(),
        root_then,
    })
}
