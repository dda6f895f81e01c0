//! Reading everything again: is the journal as it was written, and is it the one that was seen before (T76)?

use std::io;
use std::path::Path;

use crate::journal::{OpenError, Recovery, read_segment, segments};
use crate::merkle::{Frontier, Hash};

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
    let paths = segments(directory)?;
    if paths.is_empty() {
        return Err(OpenError::Io(io::Error::new(
            io::ErrorKind::NotFound,
            "there is no journal here",
        )));
    }
    let mut frontier = Frontier::default();
    let mut then = Frontier::default();
    let mut each = |index: u64, record: &[u8]| {
        if index < size_then {
            then.push(record);
        }
    };
    for (place, path) in paths.iter().enumerate() {
        let is_last = place + 1 == paths.len();
        read_segment(
            path,
            is_last,
            &mut frontier,
            &mut Recovery::default(),
            &mut each,
        )?;
    }
    let root_then = (then.size() == size_then).then(|| then.root());
    Ok(Verified {
        size: frontier.size(),
        root: frontier.root(),
        root_then,
    })
}
