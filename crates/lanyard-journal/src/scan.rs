//! Reading the segments of a directory: every batch that is whole, what lies behind the last one, and every place
//! that is not as it was written.

use std::io;
use std::path::{Path, PathBuf};

use lanyard_disk::Disk;

use crate::batch::{self, Batch, Fault, SEGMENT_HEADER};
use crate::error::OpenError;
use crate::merkle::Frontier;

/// The most records that may be missing before a batch for the batch to be believed.
const BELIEVABLE_GAP_RECORDS: u64 = 1 << 24;

/// What the segments of a directory hold.
#[derive(Debug)]
pub(crate) struct Scan {
    /// The tree over all records. Behind the first fault it is of no use but for its size: a record that is missing stands
    /// in it as an empty one.
    pub(crate) frontier: Frontier,
    /// Every place that is not as it was written.
    pub(crate) faults: Vec<Fault>,
    /// Whether a record may be missing at one of them.
    pub(crate) incomplete: bool,
    /// The last segment.
    pub(crate) last: Option<Last>,
    /// The record that comes next by the segments alone: a snapshot may reach further.
    pub(crate) end: u64,
    /// The size of the tree that the reading began with.
    start: u64,
}

/// The segment that goes on growing.
#[derive(Debug)]
pub(crate) struct Last {
    pub(crate) path: PathBuf,
    /// Its first record, by its name.
    pub(crate) first: u64,
    /// Where its last whole batch ends; 0 where it has no whole header.
    pub(crate) end: u64,
    /// What lies behind that.
    pub(crate) tail: Vec<u8>,
}

/// Reads every segment that holds records behind `from`, and gives each record with its index to `each`.
///
/// # Errors
/// When the directory cannot be listed, or a newer version wrote one of the segments. A segment that is damaged is no
/// error: what is readable of it is read.
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
    /// What is known of a directory that cannot be read: the tree that the reading would have begun with.
    pub(crate) fn unreadable(directory: &Path, from: Frontier, error: &io::Error) -> Self {
        let fault = Fault {
            segment: directory.display().to_string(),
            offset: 0,
            index: from.size(),
            what: format!("the directory cannot be used: {error}"),
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
                self.fault(path, 0, format!("the segment cannot be read: {error}"));
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
        let is_begun = is_last && batch::is_begun_header(&bytes, named);
        if named > self.frontier.size() {
            self.fault(path, 0, "a segment before this one is missing".to_owned());
        } else if !is_begun && header.is_none_or(|(_, first)| first != named) {
            let what = "this is not the header of this segment".to_owned();
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

    /// Takes in every whole batch; says where the last one ends.
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
            // The snapshot stands for this one.
            self.end = self.end.max(until);
            return;
        }
        let is_next = batch.first == size;
        let fits = is_next && (batch.previous_root == self.frontier.root());
        // Behind a place where records are missing no root fits.
        if !(fits || self.incomplete && is_next) {
            self.fault(path, at, "this batch belongs to another history".to_owned());
        }
        if batch.first < size || batch.first - size > BELIEVABLE_GAP_RECORDS {
            return;
        }
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

/// The segments, oldest first.
pub(crate) fn segments(disk: &dyn Disk, directory: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = disk.list(directory)?;
    found.retain(|path| path.extension().is_some_and(|extension| extension == "seg"));
    Ok(found)
}

/// The first record of a segment, by its name.
pub(crate) fn first_of(path: &Path) -> Option<u64> {
    path.file_stem()?.to_str()?.parse().ok()
}

/// The path of the segment that begins with this record.
pub(crate) fn segment_path(directory: &Path, first: u64) -> PathBuf {
    directory.join(format!("{first:020}.seg"))
}
