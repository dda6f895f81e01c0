//! Reads a directory's segments: every whole batch, the bytes behind the last one, and every
//! damaged place.

use std::io;
use std::path::Path;

use lanyard_disk::Disk;

use crate::batch::{self, Batch, Fault, SEGMENT_HEADER};
use crate::compressed::Hole;
use crate::error::OpenError;
use crate::merkle::Frontier;
use crate::segment::{Image, SegmentFile, segments};

/// The largest gap, in records, before a batch that still counts as part of this journal. The scan
/// adds an empty leaf for every missing record, so a damaged number must not decide how many.
const BELIEVABLE_GAP_RECORDS: u64 = 1 << 24;

/// The content of a directory's segments.
#[derive(Debug)]
pub(crate) struct Scan {
    /// The Merkle frontier of all records. Behind the first fault only its size is meaningful: each
    /// missing record stands in it as an empty leaf.
    pub(crate) frontier: Frontier,
    /// Every place that differs from what was written.
    pub(crate) faults: Vec<Fault>,
    /// True if a record may be missing at one of the faults.
    pub(crate) incomplete: bool,
    /// The segment that the next batch goes to, if there is one.
    pub(crate) last: Option<Last>,
    /// Index after the last record in the segments; a snapshot may reach further.
    pub(crate) end: u64,
    /// Size of the tree at which reading began.
    start: u64,
}

/// The last segment, which goes on growing.
#[derive(Debug)]
pub(crate) struct Last {
    pub(crate) file: SegmentFile,
    /// The version of the segment; 0 when the header is not whole.
    pub(crate) version: u32,
    /// Byte offset of the end of the last whole batch; 0 when the header is not whole.
    pub(crate) end: u64,
    /// The bytes behind `end`.
    pub(crate) tail: Vec<u8>,
}

/// Reads every segment that holds records behind `from` and passes each record with its index to
/// `each`.
///
/// # Errors
/// When the directory cannot be listed, or a later version wrote a segment. Damage is not an error:
/// the scan reads what it can and lists the faults.
pub(crate) fn scan(
    disk: &dyn Disk,
    directory: &Path,
    from: Frontier,
    each: &mut impl FnMut(u64, &[u8]),
) -> Result<Scan, OpenError> {
    scan_segments(disk, &segments(disk, directory)?, from, each)
}

/// Reads these segments, as [`scan`] does those of one directory.
///
/// # Errors
/// When a later version wrote a segment.
pub(crate) fn scan_segments(
    disk: &dyn Disk,
    segments: &[SegmentFile],
    from: Frontier,
    each: &mut impl FnMut(u64, &[u8]),
) -> Result<Scan, OpenError> {
    let mut scan = Scan {
        start: from.size(),
        end: 0,
        frontier: from,
        faults: Vec::new(),
        incomplete: false,
        last: None,
    };
    for (place, segment) in segments.iter().enumerate() {
        let next = segments.get(place + 1).map(|segment| segment.first);
        if next.is_some_and(|next| next <= scan.frontier.size()) {
            continue;
        }
        scan.segment(disk, segment.clone(), place + 1 == segments.len(), each)?;
    }
    Ok(scan)
}

impl Scan {
    /// The result for a directory that cannot be read: the tree at which reading would have begun,
    /// and one fault.
    pub(crate) fn unreadable(directory: &Path, from: Frontier, error: &io::Error) -> Self {
        let fault = Fault {
            segment: directory.display().to_string(),
            offset: 0,
            index: from.size(),
            what: format!("cannot use the directory: {error}"),
        };
        Self {
            start: from.size(),
            end: 0,
            frontier: from,
            faults: vec![fault],
            incomplete: true,
            last: None,
        }
    }

    fn segment(
        &mut self,
        disk: &dyn Disk,
        mut file: SegmentFile,
        is_last: bool,
        each: &mut impl FnMut(u64, &[u8]),
    ) -> Result<(), OpenError> {
        let Image { bytes, holes } = match file.read(disk) {
            Ok(image) => image,
            Err(error) => {
                self.fault(&file, 0, format!("cannot read the segment: {error}"));
                return Ok(());
            }
        };
        let header = batch::read_segment_header(&bytes);
        if let Some((version, _)) = header.filter(|(version, _)| *version > batch::VERSION) {
            return Err(OpenError::Newer {
                segment: file.name(),
                found: version,
                known: batch::VERSION,
            });
        }
        // Only the last segment can have an unfinished header; anywhere else records would have
        // been lost with it. A compressed one was whole.
        let is_growing = is_last && !file.is_compressed;
        let is_begun = is_growing && batch::is_begun_header(&bytes, file.first);
        // Where the index alone is damaged no record is missing, and the damage has to be known.
        for hole in holes.iter().filter(|hole| hole.plain.is_empty()) {
            self.faults
                .push(self.fault_at(&file, hole.offset, hole.what.to_owned()));
        }
        if file.first > self.frontier.size() {
            self.fault(&file, 0, "a segment before this one is missing".to_owned());
        } else if !is_begun
            // Told as damage of the frame that holds the header.
            && !holes.iter().any(|hole| hole.plain.contains(&0))
            && header.is_none_or(|(_, first)| first != file.first)
        {
            let what = "the segment's header is damaged, or another segment's".to_owned();
            self.faults.push(self.fault_at(&file, 0, what));
        }
        let end = if is_begun {
            0
        } else {
            let source = Source {
                file: &file,
                bytes: &bytes,
                holes: &holes,
                is_growing,
            };
            self.batches(&source, each)
        };
        if is_last {
            self.end = self.end.max(file.first);
            self.last = Some(Last {
                file,
                version: header.map_or(0, |(version, _)| version),
                end: end as u64,
                tail: bytes.get(end..).unwrap_or_default().to_vec(),
            });
        }
        Ok(())
    }

    /// Reads every whole batch of a segment; returns the byte offset of the end of the last one.
    fn batches(&mut self, source: &Source<'_>, each: &mut impl FnMut(u64, &[u8])) -> usize {
        let bytes = source.bytes;
        let mut at = SEGMENT_HEADER.min(bytes.len());
        while at < bytes.len() {
            let Some(batch) = batch::parse(bytes, at) else {
                let next = batch::next_good(bytes, at + 1);
                // Nothing whole follows in the last segment: a torn write, which recovery cuts off
                // and checks against the mark. Anywhere else a bad batch is damage.
                if next.is_none() && source.is_growing {
                    break;
                }
                let hole = source.holes.iter().find(|hole| hole.plain.contains(&at));
                let (offset, what) = hole.map_or((at as u64, "the checksum is wrong"), |hole| {
                    (hole.offset, hole.what)
                });
                self.fault(source.file, offset, what.to_owned());
                at = next.unwrap_or(bytes.len());
                continue;
            };
            let end = batch.end;
            self.batch((source, at), batch, each);
            at = end;
        }
        at
    }

    fn batch(
        &mut self,
        (source, at): (&Source<'_>, usize),
        batch: Batch,
        each: &mut impl FnMut(u64, &[u8]),
    ) {
        let size = self.frontier.size();
        let until = batch.first.saturating_add(batch.records.len() as u64);
        if size == self.start && until <= size {
            // The snapshot covers this batch already.
            self.end = self.end.max(until);
            return;
        }
        let is_next = batch.first == size;
        let fits = is_next && (batch.previous_root == self.frontier.root());
        // After missing records the tree is not the one that was written, so no root can fit any
        // more.
        if !(fits || self.incomplete && is_next) {
            let what = "this batch belongs to another history".to_owned();
            self.fault(source.file, at as u64, what);
        }
        if batch.first < size || batch.first - size > BELIEVABLE_GAP_RECORDS {
            return;
        }
        // Every missing record takes its number, so that the later ones keep theirs.
        for _ in size..batch.first {
            self.frontier.push(&[]);
        }
        for record in batch.records {
            let record = source.bytes.get(record).unwrap_or_default();
            each(self.frontier.size(), record);
            self.frontier.push(record);
        }
        self.end = self.frontier.size();
    }

    /// Adds a fault at which records may be missing.
    fn fault(&mut self, file: &SegmentFile, offset: u64, what: String) {
        self.incomplete = true;
        self.faults.push(self.fault_at(file, offset, what));
    }

    fn fault_at(&self, file: &SegmentFile, offset: u64, what: String) -> Fault {
        Fault {
            segment: file.name(),
            offset,
            index: self.frontier.size(),
            what,
        }
    }
}

/// A segment that is read.
struct Source<'a> {
    file: &'a SegmentFile,
    /// The plain bytes, decompressed where the file is not.
    bytes: &'a [u8],
    holes: &'a [Hole],
    /// The next batch may go behind these bytes: the last write may be torn.
    is_growing: bool,
}
