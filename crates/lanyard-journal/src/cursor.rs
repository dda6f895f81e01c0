//! A cursor reads records again while the journal grows, up to the last one known to be durable.

use std::io;
use std::path::{Path, PathBuf};

use lanyard_disk::{Disk, Files};

use crate::batch::{self, BATCH_HEADER, Batch, Fault, SEGMENT_HEADER};
use crate::error::OpenError;
use crate::removed::Removed;
use crate::segment::{OpenSegment, segments};

/// Position of a batch in the segments.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// Index of the batch's first record.
    pub first: u64,
    /// Index of the segment's first record, which is also the segment's name.
    pub segment: u64,
    /// Byte offset in the segment.
    pub offset: u64,
}

/// A record of the journal, with its position.
#[derive(Debug, Clone, Copy)]
pub struct Entry<'a> {
    /// The record's index in the journal, from 0.
    pub index: u64,
    /// Position of the batch that holds the record.
    pub batch: Place,
    /// The bytes that were appended.
    pub record: &'a [u8],
}

/// A read position in a directory's journal. A cursor takes no lock, so that it can read beside the
/// daemon that writes.
#[derive(Debug)]
pub struct Cursor {
    disk: Files,
    directory: PathBuf,
    segment: Option<Segment>,
    index: u64,
}

#[derive(Debug)]
struct Segment {
    file: OpenSegment,
    first: u64,
    /// Byte offset of the next batch.
    offset: u64,
}

impl Cursor {
    /// A cursor before record `index` on the system's disk.
    #[must_use]
    pub fn at(directory: &Path, index: u64) -> Self {
        Self::on(&lanyard_disk::system(), directory, index)
    }

    /// A cursor before record `index`. The journal is not opened before the first read.
    #[must_use]
    pub fn on(disk: &Files, directory: &Path, index: u64) -> Self {
        Self {
            disk: Files::clone(disk),
            directory: directory.to_path_buf(),
            segment: None,
            index,
        }
    }

    /// A cursor before a batch whose position is known from an earlier read.
    ///
    /// # Errors
    /// When its segment cannot be opened.
    pub fn at_batch(disk: &Files, directory: &Path, place: Place) -> io::Result<Self> {
        let mut segment = Segment::open(disk.as_ref(), directory, place.segment)?;
        segment.offset = place.offset;
        Ok(Self {
            disk: Files::clone(disk),
            directory: directory.to_path_buf(),
            segment: Some(segment),
            index: place.first,
        })
    }

    /// Index of the next record.
    #[must_use]
    pub const fn index(&self) -> u64 {
        self.index
    }

    /// Checks that the segment of the next record exists; older segments may have been archived.
    #[must_use]
    pub fn is_there(&mut self) -> bool {
        self.enter().is_ok()
    }

    /// Passes every record up to `until` to `each`, and those behind it in the same batch.
    /// Everything up to `until` has to be durable.
    ///
    /// # Errors
    /// When a record is missing or damaged. Every record passed before was whole.
    pub fn read(&mut self, until: u64, mut each: impl FnMut(Entry<'_>)) -> Result<(), OpenError> {
        while self.index < until {
            let index = self.index;
            let segment = self.enter()?;
            let Some((batch, bytes, place)) = segment.next(index)? else {
                self.missing()?;
                continue;
            };
            for (index, record) in (batch.first..).zip(batch.records) {
                if index >= self.index {
                    let record = bytes.get(record).unwrap_or_default();
                    each(Entry {
                        index,
                        batch: place,
                        record,
                    });
                    self.index = index + 1;
                }
            }
        }
        Ok(())
    }

    /// Opens the segment of the next record unless it is open.
    fn enter(&mut self) -> Result<&mut Segment, OpenError> {
        let entered = match self.segment.take() {
            Some(segment) => segment,
            None => {
                let found = segments(self.disk.as_ref(), &self.directory)?;
                let mut firsts = found.iter().rev().map(|segment| segment.first);
                let first = match firsts.find(|first| *first <= self.index) {
                    Some(first) => first,
                    None => return Err(self.before_the_first()),
                };
                Segment::open(self.disk.as_ref(), &self.directory, first)?
            }
        };
        Ok(self.segment.insert(entered))
    }

    /// Leaves a segment that has ended for the next one; an error when there is no next one.
    fn missing(&mut self) -> Result<(), OpenError> {
        let ended = self.segment.take();
        let (first, offset) = ended.map_or((0, 0), |segment| (segment.first, segment.offset));
        let next = OpenSegment::open(self.disk.as_ref(), &self.directory, self.index);
        let is_there = next.is_ok();
        // A segment that begins with the missing record has no whole batch for it: opening the same
        // segment again would never end.
        if first == self.index || !is_there {
            return Err(self.fault(offset));
        }
        Ok(())
    }

    /// The error for a record before the oldest segment.
    fn before_the_first(&self) -> OpenError {
        match Removed::read(self.disk.as_ref(), &self.directory) {
            Ok(removed) if self.index < removed.records() => OpenError::Removed {
                index: self.index,
                kept: removed.records(),
            },
            Ok(_) | Err(_) => self.fault(0),
        }
    }

    fn fault(&self, offset: u64) -> OpenError {
        OpenError::Damaged(Fault {
            segment: self.directory.display().to_string(),
            offset,
            index: self.index,
            what: "the next record is missing".to_owned(),
        })
    }
}

impl Segment {
    fn open(disk: &dyn Disk, directory: &Path, first: u64) -> io::Result<Self> {
        Ok(Self {
            file: OpenSegment::open(disk, directory, first)?,
            first,
            offset: SEGMENT_HEADER as u64,
        })
    }

    /// The next batch that holds record `index` or a later one; `None` where no whole batch
    /// follows.
    fn next(&mut self, index: u64) -> io::Result<Option<(Batch, Vec<u8>, Place)>> {
        loop {
            let mut bytes = vec![0; BATCH_HEADER];
            if !self.fill(&mut bytes, self.offset)? {
                return Ok(None);
            }
            let Some(extent) = batch::extent(&bytes) else {
                return Ok(None);
            };
            let end = self.offset + extent.bytes as u64;
            if extent.until <= index {
                self.offset = end;
                continue;
            }
            // Checked against the file before the allocation: a damaged length of up to 4 GiB must
            // not take the memory.
            if end > self.file.length()? {
                return Ok(None);
            }
            bytes.resize(extent.bytes, 0);
            let body = bytes.get_mut(BATCH_HEADER..).unwrap_or_default();
            if !self.fill(body, self.offset + BATCH_HEADER as u64)? {
                return Ok(None);
            }
            let Some(batch) = batch::parse(&bytes, 0) else {
                return Ok(None);
            };
            let place = Place {
                first: batch.first,
                segment: self.first,
                offset: self.offset,
            };
            self.offset = end;
            return Ok(Some((batch, bytes, place)));
        }
    }

    /// Fills `bytes`; false where the segment ends before, or is damaged.
    fn fill(&mut self, bytes: &mut [u8], offset: u64) -> io::Result<bool> {
        use io::ErrorKind::{InvalidData, UnexpectedEof};
        match self.file.read_at(bytes, offset) {
            Ok(()) => Ok(true),
            Err(error) if matches!(error.kind(), UnexpectedEof | InvalidData) => Ok(false),
            Err(error) => Err(error),
        }
    }
}
