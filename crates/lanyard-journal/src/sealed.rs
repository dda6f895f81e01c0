//! Sealed segments: compressed once the writer has left them, then archived and removed when they
//! are no longer kept. Each step leaves a journal that opens, wherever it is cut off.

use std::io;
use std::path::PathBuf;

use lanyard_disk::{Access, Files, replace_with};

use crate::archive::{Archive, digest_of};
use crate::batch::{self, BATCH_HEADER, SEGMENT_HEADER};
use crate::compressed::compress;
use crate::cursor::Cursor;
use crate::error::OpenError;
use crate::removed::{Archived, Removed, RemovedSegment};
use crate::segment::{OpenSegment, compressed_path, segment_path, segments};

/// A segment that the writer has left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SealedSegment {
    /// Index of its first record.
    pub first: u64,
    /// Index after its last record, at which the next segment begins.
    pub until: u64,
    /// True once the segment is compressed.
    pub is_compressed: bool,
}

/// The sealed segments of the journal in a directory.
#[derive(Debug, Clone)]
pub struct Sealed {
    disk: Files,
    directory: PathBuf,
}

impl Sealed {
    /// The sealed segments in `directory`. One process at a time may change them: the one that
    /// holds the journal.
    #[must_use]
    pub fn new(disk: &Files, directory: PathBuf) -> Self {
        Self {
            disk: Files::clone(disk),
            directory,
        }
    }

    /// The sealed segments, oldest first. `current` is the segment that the writer appends to
    /// ([`crate::Journal::current_segment`]).
    ///
    /// # Errors
    /// When the directory cannot be listed.
    pub fn segments(&self, current: u64) -> io::Result<Vec<SealedSegment>> {
        let found = segments(self.disk.as_ref(), &self.directory)?;
        let pairs = found.iter().zip(found.iter().skip(1));
        let sealed = pairs.filter(|(_, next)| next.first <= current);
        Ok(sealed
            .map(|(segment, next)| SealedSegment {
                first: segment.first,
                until: next.first,
                is_compressed: segment.is_compressed,
            })
            .collect())
    }

    /// Compresses a segment: the compressed file is durable under its name before the plain one is
    /// removed. A crash in between leaves both, and the next call removes the plain one.
    ///
    /// # Errors
    /// [`io::ErrorKind::InvalidData`] when the segment is damaged: it stays as it is. Otherwise
    /// when the file system refuses; the segment can be read as before.
    pub fn compress(&self, segment: SealedSegment) -> io::Result<()> {
        let disk = self.disk.as_ref();
        let plain = segment_path(&self.directory, segment.first);
        let source = disk.open(&plain, Access::Read)?;
        let compressed = compressed_path(&self.directory, segment.first);
        replace_with(disk, &compressed, |file| {
            compress(source.as_ref(), file, segment.first..segment.until)
        })?;
        disk.remove(&plain)?;
        disk.sync_directory(&self.directory)
    }

    /// Passes every record of a segment to `each`.
    ///
    /// # Errors
    /// When a record is missing or damaged.
    pub fn read(
        &self,
        segment: SealedSegment,
        mut each: impl FnMut(&[u8]),
    ) -> Result<(), OpenError> {
        let mut cursor = Cursor::on(&self.disk, &self.directory, segment.first);
        cursor.read(segment.until, |entry| each(entry.record))
    }

    /// Removes the oldest segment, which has to be compressed: archives it, writes it to the list
    /// of removed segments, and only then removes the file. `newest` is the time of its newest
    /// record, in milliseconds since 1970.
    ///
    /// # Errors
    /// When the archive or the file system refuses, the segment is damaged, or segments before it
    /// are missing that are not on the list. The segment is still there then.
    pub fn remove(
        &self,
        segment: SealedSegment,
        newest: u64,
        archive: Option<&dyn Archive>,
    ) -> Result<(), OpenError> {
        let disk = self.disk.as_ref();
        let removed = Removed::read(disk, &self.directory)?;
        // On the list already: a crash came before the removal of the file, or somebody copied it
        // back from the archive.
        if segment.until > removed.records() {
            let mut frontier = removed.frontier_at(segment.first).ok_or_else(|| {
                invalid("the segments before it are missing, and were not removed by retention")
            })?;
            self.read(segment, |record| frontier.push(record))?;
            if self.root_before(segment.until)? != frontier.root() {
                return Err(invalid("the segment does not fit the one behind it").into());
            }
            let archived = archive
                .map(|archive| self.archive(segment, archive))
                .transpose()?;
            let entry = RemovedSegment {
                first: segment.first,
                newest,
                frontier,
                archived,
            };
            removed.add(disk, &self.directory, entry)?;
        }
        disk.remove(&compressed_path(&self.directory, segment.first))?;
        // Before the next segment may go: a loss of power leaves a run without a gap.
        Ok(disk.sync_directory(&self.directory)?)
    }

    fn archive(&self, segment: SealedSegment, archive: &dyn Archive) -> io::Result<Archived> {
        let path = compressed_path(&self.directory, segment.first);
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let file = self.disk.open(&path, Access::Read)?;
        let digest = digest_of(file.as_ref())?;
        archive.store(&name, file.as_ref(), &digest)?;
        Ok(Archived {
            place: archive.place(),
            digest,
        })
    }

    /// The root before record `index`, as the first batch of the segment that begins there has it.
    fn root_before(&self, index: u64) -> io::Result<crate::merkle::Hash> {
        let mut next = OpenSegment::open(self.disk.as_ref(), &self.directory, index)?;
        let at = SEGMENT_HEADER as u64;
        let mut bytes = vec![0; BATCH_HEADER];
        next.read_at(&mut bytes, at)?;
        let extent = batch::extent(&bytes).filter(|it| {
            let end = at.saturating_add(it.bytes as u64);
            next.length().is_ok_and(|length| end <= length)
        });
        let extent = extent.ok_or_else(|| invalid("the segment behind it is damaged"))?;
        bytes.resize(extent.bytes, 0);
        next.read_at(&mut bytes, at)?;
        let batch = batch::parse(&bytes, 0).filter(|batch| batch.first == index);
        let batch = batch.ok_or_else(|| invalid("the segment behind it is damaged"))?;
        Ok(batch.previous_root)
    }

    /// The size of the file of a segment, in bytes.
    ///
    /// # Errors
    /// When there is no such segment, or the file system refuses.
    pub fn file_bytes(&self, segment: SealedSegment) -> io::Result<u64> {
        let path = if segment.is_compressed {
            compressed_path(&self.directory, segment.first)
        } else {
            segment_path(&self.directory, segment.first)
        };
        self.disk.open(&path, Access::Read)?.length()
    }
}

fn invalid(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}
