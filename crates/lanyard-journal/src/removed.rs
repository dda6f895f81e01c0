//! The list of segments that retention removed. A segment is on the list before its file goes: what
//! is missing and not on the list is damage.
//!
//! ```text
//! "LANYARDR" version:u32 crc:u32 segments:u32 segment*
//! segment:   first:u64 until:u64 newest:u64 digest:[32] place:u32 utf-8* roots:u32 [32]*roots
//! ```
//! All numbers are little-endian. The checksum (CRC-32C) covers everything behind it. The roots are
//! the Merkle frontier of all records before `until`, so that the tree goes on from there without
//! the records.

use std::io;
use std::path::Path;

use lanyard_disk::{Disk, replace};

use crate::merkle::{Frontier, Hash};
use crate::segment::segments;

/// Name of the list's file.
pub(crate) const FILE: &str = "removed";
const MAGIC: &[u8; 8] = b"LANYARDR";
const VERSION: u32 = 1;

/// A segment that retention removed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RemovedSegment {
    /// Index of its first record.
    pub first: u64,
    /// The time of its newest record, in milliseconds since 1970.
    pub newest: u64,
    /// The Merkle frontier of all records up to the segment's end.
    pub frontier: Frontier,
    /// The copy; `None` when no archive was configured.
    pub archived: Option<Archived>,
}

/// The copy of a removed segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Archived {
    /// The archive, as [`crate::Archive::place`] names it.
    pub place: String,
    /// The SHA-256 of the compressed file.
    pub digest: Hash,
}

/// The segments that retention removed, oldest first and without a gap.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Removed(Vec<RemovedSegment>);

impl Removed {
    /// Reads the list in `directory`; empty where nothing was removed.
    ///
    /// # Errors
    /// [`io::ErrorKind::InvalidData`] when the list is damaged, or a later version wrote it.
    pub fn read(disk: &dyn Disk, directory: &Path) -> io::Result<Self> {
        let path = directory.join(FILE);
        // Listed first: not every failure to read a file means that there is none.
        if !disk.list(directory)?.contains(&path) {
            return Ok(Self::default());
        }
        let bytes = disk.read(&path)?;
        parsed(&bytes).ok_or_else(|| {
            io::Error::new(
                io::ErrorKind::InvalidData,
                format!("the list of removed segments, `{FILE}`, is damaged"),
            )
        })
    }

    /// The segments, oldest first.
    #[must_use]
    pub fn segments(&self) -> &[RemovedSegment] {
        &self.0
    }

    /// The number of records before the first one that is kept.
    #[must_use]
    pub fn records(&self) -> u64 {
        self.frontier().size()
    }

    /// The Merkle frontier of all removed records.
    #[must_use]
    pub fn frontier(&self) -> Frontier {
        let last = self.0.last();
        last.map_or_else(Frontier::default, |last| last.frontier.clone())
    }

    /// The Merkle frontier of the first `size` records, where a segment ended there or `size` is 0.
    #[must_use]
    pub fn frontier_at(&self, size: u64) -> Option<Frontier> {
        if size == 0 {
            return Some(Frontier::default());
        }
        let mut ends = self.0.iter().map(|segment| &segment.frontier);
        ends.find(|frontier| frontier.size() == size).cloned()
    }

    /// Adds a segment and writes the list, durable on return.
    pub(crate) fn add(
        mut self,
        disk: &dyn Disk,
        directory: &Path,
        segment: RemovedSegment,
    ) -> io::Result<()> {
        self.0.push(segment);
        replace(disk, &directory.join(FILE), &rendered(&self.0)).map(drop)
    }
}

/// The Merkle frontier of the records before the oldest segment in `directory`: an empty one, or
/// that of the records which retention removed.
///
/// # Errors
/// [`io::ErrorKind::NotFound`] when segments are missing that retention did not remove. Otherwise
/// see [`Removed::read`].
pub fn base(disk: &dyn Disk, directory: &Path) -> io::Result<Frontier> {
    let removed = Removed::read(disk, directory)?;
    let found = segments(disk, directory)?;
    let first = found.first().map_or(removed.records(), |it| it.first);
    removed.frontier_at(first).ok_or_else(|| {
        io::Error::new(
            io::ErrorKind::NotFound,
            format!(
                "the segments before record {first} are missing, and were not removed by retention"
            ),
        )
    })
}

fn rendered(segments: &[RemovedSegment]) -> Vec<u8> {
    let length = |length: usize| u32::try_from(length).unwrap_or(u32::MAX).to_le_bytes();
    let mut body = length(segments.len()).to_vec();
    for segment in segments {
        let (place, digest) = match &segment.archived {
            Some(archived) => (archived.place.as_str(), archived.digest),
            None => ("", [0; 32]),
        };
        for number in [segment.first, segment.frontier.size(), segment.newest] {
            body.extend_from_slice(&number.to_le_bytes());
        }
        body.extend_from_slice(&digest);
        body.extend_from_slice(&length(place.len()));
        body.extend_from_slice(place.as_bytes());
        let roots = segment.frontier.roots();
        body.extend_from_slice(&length(roots.len()));
        roots.iter().for_each(|root| body.extend_from_slice(root));
    }
    let mut bytes = MAGIC.to_vec();
    bytes.extend_from_slice(&VERSION.to_le_bytes());
    bytes.extend_from_slice(&crc32c::crc32c(&body).to_le_bytes());
    bytes.extend_from_slice(&body);
    bytes
}

fn parsed(bytes: &[u8]) -> Option<Removed> {
    let mut rest = bytes;
    let whole = take::<8>(&mut rest)? == *MAGIC
        && number(&mut rest)? == VERSION
        && number(&mut rest)? == crc32c::crc32c(rest);
    whole.then_some(())?;
    let (mut segments, mut before) = (Vec::new(), 0);
    for _ in 0..number(&mut rest)? {
        let [first, until, newest] = [long(&mut rest)?, long(&mut rest)?, long(&mut rest)?];
        let digest = take::<32>(&mut rest)?;
        let length = usize::try_from(number(&mut rest)?).ok()?;
        let (place, behind) = rest.split_at_checked(length)?;
        rest = behind;
        let mut roots = Vec::new();
        for _ in 0..number(&mut rest)? {
            roots.push(take::<32>(&mut rest)?);
        }
        let place = std::str::from_utf8(place).ok()?.to_owned();
        (first == before && until > first).then_some(())?;
        before = until;
        segments.push(RemovedSegment {
            first,
            newest,
            frontier: Frontier::from_parts(until, roots)?,
            archived: (!place.is_empty()).then_some(Archived { place, digest }),
        });
    }
    rest.is_empty().then_some(Removed(segments))
}

fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (first, behind) = rest.split_first_chunk::<N>()?;
    *rest = behind;
    Some(*first)
}

fn number(rest: &mut &[u8]) -> Option<u32> {
    take(rest).map(u32::from_le_bytes)
}

fn long(rest: &mut &[u8]) -> Option<u64> {
    take(rest).map(u64::from_le_bytes)
}
