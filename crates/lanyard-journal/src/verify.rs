//! Verifies a journal from its first record: is every byte as it was written, and is this the
//! journal that was seen before (T76)?
//!
//! Where retention removed the first segments, the tree goes on from the frontier that it kept of
//! them, or from the segments themselves where an archive is beside the journal.

use std::io;
use std::path::Path;

use lanyard_disk::{Disk, Mark, SystemDisk};

use crate::batch::Fault;
use crate::error::OpenError;
use crate::journal::MARK;
use crate::merkle::Hash;
use crate::removed::{FILE, Removed};
use crate::scan::{Scan, scan_segments};
use crate::segment::{SegmentFile, segments};

/// The result for a journal without faults.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    /// The number of records.
    pub size: u64,
    /// The number of records before the first one that was read: retention removed them.
    pub removed: u64,
    /// The Merkle root over all records.
    pub root: Hash,
    /// The root that the journal had then.
    pub then: Then,
}

/// The Merkle root over the first records of a journal, as many as somebody saw.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Then {
    /// The root over exactly these records.
    Root(Hash),
    /// The journal has fewer records.
    Shorter,
    /// Retention removed some of these records, so that only the archive tells.
    Removed,
}

/// Reads the whole journal in `directory`, with the segments in `archive` that retention removed;
/// another process may have the journal open.
///
/// # Errors
/// The first place that differs from what was written, also when the journal ends before its mark.
pub fn verify(
    directory: &Path,
    archive: Option<&Path>,
    size_then: u64,
) -> Result<Verified, OpenError> {
    let disk = SystemDisk;
    loop {
        let removed = read_list(&disk, directory)?;
        let verified = verify_with((&disk, directory), archive, &removed, size_then);
        // The daemon may have removed a segment meanwhile, which is then on its list.
        if verified.is_ok() || read_list(&disk, directory)? == removed {
            return verified;
        }
    }
}

fn read_list(disk: &dyn Disk, directory: &Path) -> Result<Removed, OpenError> {
    match Removed::read(disk, directory) {
        Err(error) if error.kind() == io::ErrorKind::InvalidData => {
            Err(OpenError::Damaged(Fault {
                segment: FILE.to_owned(),
                offset: 0,
                index: 0,
                what: error.to_string(),
            }))
        }
        other => Ok(other?),
    }
}

fn verify_with(
    (disk, directory): (&dyn Disk, &Path),
    archive: Option<&Path>,
    removed: &Removed,
    size_then: u64,
) -> Result<Verified, OpenError> {
    // The mark is read before the segments: a journal that grows meanwhile is never shorter than
    // the mark was.
    let mark = Mark::read(disk, &directory.join(MARK));
    let mut found = segments(disk, directory)?;
    // With a mark, the segments were there once.
    if mark.is_none() && found.is_empty() {
        return Err(OpenError::Io(io::Error::new(
            io::ErrorKind::NotFound,
            "the directory holds no journal",
        )));
    }
    if let Some(archive) = archive {
        found = with_archived(segments(disk, archive)?, found);
    }
    let first = found.first().map_or(0, |segment| segment.first);
    // Where the list does not end at the first segment, the scan finds that one is missing.
    let from = removed.frontier_at(first).unwrap_or_default();
    let removed_records = from.size();
    let mut then = (removed_records <= size_then).then(|| from.clone());
    let mut each = |index: u64, record: &[u8]| {
        if let Some(then) = then.as_mut().filter(|_| index < size_then) {
            then.push(record);
        }
    };
    let found = scan_segments(disk, &found, from, &mut each)?;
    let size = found.frontier.size();
    whole(
        found,
        directory,
        mark.map(|[acknowledged, ..]| acknowledged),
    )
    .map(|root| {
        let then = then.or_else(|| removed.frontier_at(size_then));
        Verified {
            size,
            removed: removed_records,
            root,
            then: match then {
                Some(then) if then.size() == size_then => Then::Root(then.root()),
                Some(_) => Then::Shorter,
                None => Then::Removed,
            },
        }
    })
}

/// The segments of the archive, then those of the journal.
fn with_archived(archived: Vec<SegmentFile>, kept: Vec<SegmentFile>) -> Vec<SegmentFile> {
    let first = kept.first().map_or(u64::MAX, |segment| segment.first);
    let before = archived.into_iter().filter(|segment| segment.first < first);
    before.chain(kept).collect()
}

/// The root of a scan without a fault.
fn whole(found: Scan, directory: &Path, mark: Option<u64>) -> Result<Hash, OpenError> {
    let size = found.frontier.size();
    if let Some(first) = found.faults.into_iter().next() {
        return Err(OpenError::Damaged(first));
    }
    if let Some(acknowledged) = mark.filter(|acknowledged| *acknowledged > size) {
        return Err(OpenError::Damaged(Fault {
            segment: directory.display().to_string(),
            offset: 0,
            index: size,
            what: format!(
                "the journal ends after {size} records, and {acknowledged} were acknowledged"
            ),
        }));
    }
    Ok(found.frontier.root())
}
