//! The journal itself: open, recover, append, make durable.

use std::fs::{self, File};
use std::io::{self, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use crate::batch::{self, Fault, SEGMENT_HEADER};
use crate::lock::DirectoryLock;
use crate::merkle::{Frontier, Hash};

/// How the journal is kept.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// A segment that has reached this size, in bytes, is followed by a new one.
    pub segment_bytes: u64,
    /// Blocks, in bytes, that are set aside for [`Journal::append_critical`], and by which that grows.
    pub reserve_bytes: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            segment_bytes: 64 << 20,
            reserve_bytes: 16 << 20,
        }
    }
}

/// What was found when the journal was opened.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Recovery {
    /// How many records there are.
    pub records: u64,
    /// How many bytes were cut off the end: a batch that was never acknowledged.
    pub cut: u64,
    /// Whether the cut bytes were anything but zeroes.
    pub cut_was_written: bool,
}

/// Why the journal cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process has it open (T63).
    #[error("another process uses the data directory {0}")]
    Locked(PathBuf),
    /// A newer version of the software wrote it (T64).
    #[error("{segment} has format version {found}, and this version reads up to {known}")]
    Newer {
        /// The file's name.
        segment: String,
        /// Its version.
        found: u32,
        /// The newest that can be read.
        known: u32,
    },
    /// It is damaged in the middle (T58).
    #[error("the journal is damaged: {0}")]
    Damaged(Fault),
    /// The file system does not do it.
    #[error("the journal cannot be read: {0}")]
    Io(#[from] io::Error),
}

/// Why records were not appended.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AppendError {
    /// An earlier write or fsync failed: nothing is appended any more (T59).
    #[error("the journal failed and takes nothing more: {0}")]
    Poisoned(String),
    /// There is no space but the reserve (T60).
    #[error("the disk is full but for the reserve")]
    Full,
}

/// An open journal.
#[derive(Debug)]
pub struct Journal {
    directory: PathBuf,
    options: Options,
    file: File,
    written: u64,
    reserved: u64,
    frontier: Frontier,
    poisoned: Option<String>,
    _lock: DirectoryLock,
}

impl Journal {
    /// Opens the journal in this directory, or begins one, and gives every record behind `from` to `each`: the
    /// tree over the records that a snapshot stands for, or an empty one.
    ///
    /// # Errors
    /// See [`OpenError`]; `each` has then seen the records before the fault.
    pub fn open(
        directory: &Path,
        options: Options,
        from: Frontier,
        mut each: impl FnMut(u64, &[u8]),
    ) -> Result<(Self, Recovery), OpenError> {
        fs::create_dir_all(directory)?;
        let lock = DirectoryLock::take(directory)?
            .ok_or_else(|| OpenError::Locked(directory.to_path_buf()))?;
        let mut frontier = from;
        let mut recovery = Recovery::default();
        let segments = segments(directory)?;
        let mut last = None;
        for (place, path) in segments.iter().enumerate() {
            let is_last = place + 1 == segments.len();
            let next = segments.get(place + 1).and_then(|path| first_of(path));
            if next.is_some_and(|next| next <= frontier.size()) {
                continue;
            }
            let end = read_segment(path, is_last, &mut frontier, &mut recovery, &mut each)?;
            last = Some((path.clone(), end));
        }
        recovery.records = frontier.size();
        let (file, written) = match last {
            Some((path, end)) => reopen(&path, end)?,
            None => (begin(directory, frontier.size())?, SEGMENT_HEADER as u64),
        };
        let reserved = match reserve(directory, options.reserve_bytes) {
            // Kills have to be taken on a full disk too: whoever issues asks for its own reserve first.
            Err(error) if error.kind() == io::ErrorKind::StorageFull => 0,
            reserved => reserved?,
        };
        let directory = directory.to_path_buf();
        let journal = Self {
            directory,
            options,
            file,
            written,
            reserved,
            frontier,
            poisoned: None,
            _lock: lock,
        };
        Ok((journal, recovery))
    }

    /// How many records there are, durable or not.
    #[must_use]
    pub const fn len(&self) -> u64 {
        self.frontier.size()
    }

    /// Whether there are none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.frontier.size() == 0
    }

    /// The root of the tree over all records.
    #[must_use]
    pub fn root(&self) -> Hash {
        self.frontier.root()
    }

    /// The right edge of the tree.
    #[must_use]
    pub const fn frontier(&self) -> &Frontier {
        &self.frontier
    }

    /// Appends one batch and makes it durable: when this returns, every record of it survives a crash.
    ///
    /// # Errors
    /// See [`AppendError`]. After anything but [`AppendError::Full`] the journal takes nothing more.
    pub fn append<R: AsRef<[u8]>>(&mut self, records: &[R]) -> Result<u64, AppendError> {
        self.write(records, false)
    }

    /// As [`Journal::append`], for what must be written when the disk is full: the reserve is given up for it.
    ///
    /// # Errors
    /// See [`AppendError`].
    pub fn append_critical<R: AsRef<[u8]>>(&mut self, records: &[R]) -> Result<u64, AppendError> {
        self.write(records, true)
    }

    /// Sees to it that at least so many bytes are set aside for [`Journal::append_critical`].
    ///
    /// # Errors
    /// When the disk does not hold them: what was set aside before still is.
    pub fn set_aside(&mut self, bytes: u64) -> io::Result<()> {
        if bytes > self.reserved {
            let step = self.options.reserve_bytes.max(1);
            self.reserved = reserve(&self.directory, bytes.div_ceil(step) * step)?;
        }
        Ok(())
    }

    fn write<R: AsRef<[u8]>>(&mut self, records: &[R], critical: bool) -> Result<u64, AppendError> {
        if let Some(why) = &self.poisoned {
            return Err(AppendError::Poisoned(why.clone()));
        }
        let first = self.frontier.size();
        if records.is_empty() {
            return Ok(first);
        }
        let Some(batch) = batch::render(records, first, &self.frontier.root()) else {
            return Err(AppendError::Poisoned(self.poison("a batch over 4 GiB")));
        };
        match self.put(&batch) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::StorageFull => {
                self.take_back()
                    .map_err(|error| AppendError::Poisoned(self.poison(&error.to_string())))?;
                if !critical {
                    return Err(AppendError::Full);
                }
                self.give_up_reserve();
                self.put(&batch)
                    .map_err(|error| AppendError::Poisoned(self.poison(&error.to_string())))?;
            }
            Err(error) => return Err(AppendError::Poisoned(self.poison(&error.to_string()))),
        }
        self.written += batch.len() as u64;
        records
            .iter()
            .for_each(|record| self.frontier.push(record.as_ref()));
        Ok(first)
    }

    fn put(&mut self, batch: &[u8]) -> io::Result<()> {
        if self.written >= self.options.segment_bytes {
            self.file = begin(&self.directory, self.frontier.size())?;
            self.written = SEGMENT_HEADER as u64;
        }
        self.file.write_all(batch)?;
        self.file.sync_data()
    }

    /// Cuts off what a full disk took of a batch.
    fn take_back(&mut self) -> io::Result<()> {
        self.file.set_len(self.written)?;
        self.file.seek(SeekFrom::Start(self.written))?;
        self.file.sync_data()
    }

    fn give_up_reserve(&self) {
        // Not to find it is not to have it: the append that follows says so.
        drop(fs::remove_file(self.directory.join(RESERVE)));
    }

    fn poison(&mut self, why: &str) -> String {
        self.poisoned = Some(why.to_owned());
        why.to_owned()
    }
}

const RESERVE: &str = "reserve";

/// Sets blocks aside by writing them: a sparse file would hold none. Says how many bytes there are now.
fn reserve(directory: &Path, bytes: u64) -> io::Result<u64> {
    let mut file = File::options()
        .create(true)
        .append(true)
        .open(directory.join(RESERVE))?;
    let before = file.metadata()?.len();
    let missing = bytes.saturating_sub(before);
    let grown = io::copy(&mut io::Read::take(io::repeat(0), missing), &mut file)
        .and_then(|_| file.sync_all());
    if let Err(error) = grown {
        // What cannot be had whole is left to the records.
        file.set_len(before)?;
        return Err(error);
    }
    Ok(bytes.max(before))
}

/// The segments, oldest first.
pub(crate) fn segments(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "seg") {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

/// The first record of a segment, by its name.
pub(crate) fn first_of(path: &Path) -> Option<u64> {
    path.file_stem()?.to_str()?.parse().ok()
}

fn begin(directory: &Path, first: u64) -> io::Result<File> {
    let path = directory.join(format!("{first:020}.seg"));
    let mut file = File::options()
        .create_new(true)
        .write(true)
        .read(true)
        .open(path)?;
    file.write_all(&batch::segment_header(first))?;
    file.sync_all()?;
    File::open(directory)?.sync_all()?;
    Ok(file)
}

fn reopen(path: &Path, end: u64) -> io::Result<(File, u64)> {
    let mut file = File::options().read(true).write(true).open(path)?;
    file.set_len(end)?;
    file.seek(SeekFrom::Start(end))?;
    file.sync_all()?;
    Ok((file, end))
}

/// Reads one segment; says where its good part ends.
pub(crate) fn read_segment(
    path: &Path,
    is_last: bool,
    frontier: &mut Frontier,
    recovery: &mut Recovery,
    each: &mut impl FnMut(u64, &[u8]),
) -> Result<u64, OpenError> {
    let bytes = fs::read(path)?;
    let segment = path
        .file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned();
    let fault = |offset: usize, index, what| {
        let offset = offset as u64;
        OpenError::Damaged(Fault {
            segment: segment.clone(),
            offset,
            index,
            what,
        })
    };
    let (version, first) = batch::read_segment_header(&bytes)
        .ok_or_else(|| fault(0, frontier.size(), "this is not a segment of a journal"))?;
    if version > batch::VERSION {
        return Err(OpenError::Newer {
            segment,
            found: version,
            known: batch::VERSION,
        });
    }
    let start = frontier.size();
    if first > start {
        return Err(fault(0, start, "a segment before this one is missing"));
    }
    let mut at = SEGMENT_HEADER;
    while at < bytes.len() {
        let Some(batch) = batch::parse(&bytes, at) else {
            if !is_last || batch::any_after(&bytes, at + 1) {
                return Err(fault(at, frontier.size(), "the checksum is wrong"));
            }
            let tail = bytes.get(at..).unwrap_or_default();
            recovery.cut = tail.len() as u64;
            recovery.cut_was_written = tail.iter().any(|byte| *byte != 0);
            break;
        };
        let end = batch.first + batch.records.len() as u64;
        if frontier.size() == start && end <= start {
            // The snapshot stands for this one.
            at = batch.end;
            continue;
        }
        if batch.first != frontier.size() || batch.previous_root != frontier.root() {
            return Err(fault(
                at,
                frontier.size(),
                "this batch belongs to another history",
            ));
        }
        for record in batch.records {
            let record = bytes.get(record).unwrap_or_default();
            each(frontier.size(), record);
            frontier.push(record);
        }
        at = batch.end;
    }
    Ok(at as u64)
}
