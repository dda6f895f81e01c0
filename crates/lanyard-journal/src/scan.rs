//! Reads a directory's segments: every whole batch, the bytes behind the last one, and every
//! damaged place.

use std::io;
use std::path::{Path, PathBuf};

use lanyard_disk::Disk;

use crate::batch::{self, Batch, Fault, SEGMENT_HEADER};
use crate::error::OpenError;
use crate::merkle::Frontier;

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
    pub(crate) path: PathBuf,
    /// Index of the segment's first record, taken from its name.
    pub(crate) first: u64,
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
    let mut scan = Scan {
        start: from.size(),
        end: 0,
        frontier: from,
        faults: Vec::new(),
        incomplete: false,
        last: None,
    };
    let segments = segments(disk, directory)?;
    for (place, path) in segments.iter().enumerate() {
        let next = segments.get(place + 1).and_then(|path| first_of(path));
        if next.is_some_and(|next| next <= scan.frontier.size()) {
            continue;
        }
        scan.segment(disk, path, place + 1 == segments.len(), each)?;
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
        path: &Path,
        is_last: bool,
        each: &mut impl FnMut(u64, &[u8]),
    ) -> Result<(), OpenError> {
        let bytes = match disk.read(path) {
            Ok(bytes) => bytes,
            Err(error) => {
                self.fault(path, 0, format!("cannot read the segment: {error}"));
                return Ok(());
            }
        };
        let named = first_of(path).unwrap_or_default();
        let header = batch::read_segment_header(&bytes);
        if let Some((version, _)) = header.filter(|(version, _)| *version > batch::VERSION) {
            return Err(OpenError::Newer {
                segment: name_of(path),
                found: version,
                known: batch::VERSION,
            });
        }
        // Only the last segment can have an unfinished header; anywhere else records would have
        // been lost with it.
        let is_begun = is_last && batch::is_begun_header(&bytes, named);
        if named > self.frontier.size() {
            self.fault(path, 0, "a segment before this one is missing".to_owned());
        } else if !is_begun && header.is_none_or(|(_, first)| first != named) {
            let what = "the segment's header is damaged, or another segment's".to_owned();
            self.faults.push(self.fault_at(path, 0, what));
        }
        let end = if is_begun {
            0
        } else {
            self.batches((path, is_last), &bytes, each)
        };
        if is_last {
            self.end = self.end.max(named);
            self.last = Some(Last {
                path: path.to_path_buf(),
                first: named,
                end: end as u64,
                tail: bytes.get(end..).unwrap_or_default().to_vec(),
            });
        }
        Ok(())
    }

    /// Reads every whole batch of a segment; returns the byte offset of the end of the last one.
    fn batches(
        &mut self,
        (path, is_last): (&Path, bool),
        bytes: &[u8],
        each: &mut impl FnMut(u64, &[u8]),
    ) -> usize {
        let mut at = SEGMENT_HEADER.min(bytes.len());
        while at < bytes.len() {
            let Some(batch) = batch::parse(bytes, at) else {
                let next = batch::next_good(bytes, at + 1);
                // Nothing whole follows in the last segment: a torn write, which recovery cuts off
                // and checks against the mark. Anywhere else a bad batch is damage.
                if next.is_none() && is_last {
                    break;
                }
                self.fault(path, at, "the checksum is wrong".to_owned());
                at = next.unwrap_or(bytes.len());
                continue;
            };
            let end = batch.end;
            self.batch((path, at), batch, bytes, each);
            at = end;
        }
        at
    }

    fn batch(
        &mut self,
        (path, at): (&Path, usize),
        batch: Batch,
        bytes: &[u8],
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
            self.fault(path, at, "this batch belongs to another history".to_owned());
        }
        if batch.first < size || batch.first - size > BELIEVABLE_GAP_RECORDS {
            return;
        }
        // Every missing record takes its number, so that the later ones keep theirs.
        for _ in size..batch.first {
            self.frontier.push(&[]);
        }
        for record in batch.records {
            let record = bytes.get(record).unwrap_or_default();
            each(self.frontier.size(), record);
            self.frontier.push(record);
        }
        self.end = self.frontier.size();
    }

    /// Adds a fault at which records may be missing.
    fn fault(&mut self, path: &Path, offset: usize, what: String) {
        self.incomplete = true;
        self.faults.push(self.fault_at(path, offset, what));
    }

    fn fault_at(&self, path: &Path, offset: usize, what: String) -> Fault {
        Fault {
            segment: name_of(path),
            offset: offset as u64,
            index: self.frontier.size(),
            what,
        }
    }
}

fn name_of(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default();
    name.to_string_lossy().into_owned()
}

/// Paths of the segments, oldest first.
pub(crate) fn segments(disk: &dyn Disk, directory: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = disk.list(directory)?;
    found.retain(|path| path.extension().is_some_and(|extension| extension == "seg"));
    Ok(found)
}

/// Index of a segment's first record, from the file's name.
pub(crate) fn first_of(path: &Path) -> Option<u64> {
    path.file_stem()?.to_str()?.parse().ok()
}

/// Path of the segment whose first record is `first`.
pub(crate) fn segment_path(directory: &Path, first: u64) -> PathBuf {
    directory.join(format!("{first:020}.seg"))
}
