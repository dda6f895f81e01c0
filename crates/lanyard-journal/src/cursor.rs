//! Reading records again while the journal grows, up to what is known to be durable.

use std::io;
use std::path::{Path, PathBuf};

use lanyard_disk::{Access, Disk, Files, OpenFile};

use crate::batch::{self, BATCH_HEADER, Batch, Fault, SEGMENT_HEADER};
use crate::error::OpenError;
use crate::scan::{first_of, segment_path, segments};

/// Where a batch stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// Its first record.
    pub first: u64,
    /// The first record of its segment, which is the segment's name.
    pub segment: u64,
    /// Bytes from the segment's begin.
    pub offset: u64,
}

/// One record, as it was read.
#[derive(Debug, Clone, Copy)]
pub struct Entry<'a> {
    /// Its place in the order of records.
    pub index: u64,
    /// The batch that it is in.
    pub batch: Place,
    /// What was appended.
    pub record: &'a [u8],
}

/// A place in the journal of a directory. It takes no lock.
#[derive(Debug)]
pub struct Cursor {
    disk: Files,
    directory: PathBuf,
    segment: Option<Segment>,
    index: u64,
}

#[derive(Debug)]
struct Segment {
    file: Box<dyn OpenFile>,
    first: u64,
    /// Where the next batch begins.
    offset: u64,
}

impl Cursor {
    /// Before this record of a journal on this machine's file system.
    #[must_use]
    pub fn at(directory: &Path, index: u64) -> Self {
        Self::on(&lanyard_disk::system(), directory, index)
    }

    /// Before this record.
    #[must_use]
    pub fn on(disk: &Files, directory: &Path, index: u64) -> Self {
        Self {
            disk: Files::clone(disk),
            directory: directory.to_path_buf(),
            segment: None,
            index,
        }
    }

    /// Before a batch that was read earlier.
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

    /// The record that comes next.
    #[must_use]
    pub const fn index(&self) -> u64 {
        self.index
    }

    /// Whether the segment of the next record is there: old ones may have been archived.
    #[must_use]
    pub fn is_there(&mut self) -> bool {
        self.enter().is_ok()
    }

    /// Gives every record from here up to `until`, which has to be durable, and to the end of that one's batch.
    ///
    /// # Errors
    /// When the journal does not hold them. What was given before was whole.
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

    /// The segment that the next record is in.
    fn enter(&mut self) -> Result<&mut Segment, OpenError> {
        let entered = match self.segment.take() {
            Some(segment) => segment,
            None => {
                let paths = segments(self.disk.as_ref(), &self.directory)?;
                let mut firsts = paths.iter().rev().filter_map(|path| first_of(path));
                let first = firsts
                    .find(|first| *first <= self.index)
                    .ok_or_else(|| self.fault(0))?;
                Segment::open(self.disk.as_ref(), &self.directory, first)?
            }
        };
        Ok(self.segment.insert(entered))
    }

    /// At the end of a segment: there is another one, or the record is missing.
    fn missing(&mut self) -> Result<(), OpenError> {
        let ended = self.segment.take();
        let (first, offset) = ended.map_or((0, 0), |segment| (segment.first, segment.offset));
        let next = segment_path(&self.directory, self.index);
        let is_there = self.disk.open(&next, Access::Read).is_ok();
        if first == self.index || !is_there {
            return Err(self.fault(offset));
        }
        Ok(())
    }

    fn fault(&self, offset: u64) -> OpenError {
        OpenError::Damaged(Fault {
            segment: self.directory.display().to_string(),
            offset,
            index: self.index,
            what: "the next record is not there".to_owned(),
        })
    }
}

impl Segment {
    fn open(disk: &dyn Disk, directory: &Path, first: u64) -> io::Result<Self> {
        Ok(Self {
            file: disk.open(&segment_path(directory, first), Access::Read)?,
            first,
            offset: SEGMENT_HEADER as u64,
        })
    }

    /// The next batch that holds this record or a later one; `None` where no whole batch follows.
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
            // A length that is not true must not take all memory.
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

    fn fill(&self, bytes: &mut [u8], offset: u64) -> io::Result<bool> {
        match self.file.read_at(bytes, offset) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
            Err(error) => Err(error),
        }
    }
}
