//! The journal: open, recover, append, make durable.

use std::io;
use std::path::{Path, PathBuf};

use lanyard_disk::{Access, Disk, Files, Length, Lock, Mark, OpenFile, is_full, replace};

use crate::batch::{self, SEGMENT_HEADER};
use crate::error::{AppendError, OpenError};
use crate::loss::{Loss, Recovery};
use crate::merkle::{Frontier, Hash};
use crate::reserve::Reserve;
use crate::scan::{Last, Scan, scan};
use crate::segment::segment_path;

/// Sizes of segments and reserve.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// Size in bytes at which a segment is followed by a new one.
    pub segment_bytes: u64,
    /// Size in bytes of the reserve for [`Journal::append_critical`]. The reserve shrinks and grows
    /// in steps of a sixteenth.
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

/// Space in bytes that one allocation takes ahead of the last batch. Small, so that a full disk
/// still has space for logins.
const ALLOCATE_AHEAD_BYTES: u64 = 64 << 10;
/// Name of the file that says how many records are durable.
pub(crate) const MARK: &str = "durable";

/// An open journal, under the directory's lock.
#[derive(Debug)]
pub struct Journal {
    disk: Files,
    directory: PathBuf,
    options: Options,
    /// `None` when the disk was too full to begin a segment, and in a journal that accepts nothing.
    current: Option<Current>,
    reserve: Reserve,
    mark: Option<Mark>,
    frontier: Frontier,
    poisoned: Option<String>,
    _lock: Option<Lock>,
}

/// The last segment, which batches are appended to.
#[derive(Debug)]
struct Current {
    file: Box<dyn OpenFile>,
    first: u64,
    /// Byte offset of the next batch.
    written: u64,
    /// Byte offset up to which blocks are allocated; `u64::MAX` where the file system cannot
    /// allocate ahead.
    allocated: u64,
}

impl Journal {
    /// Opens or begins the journal in `directory` and passes every record behind `from` to `each`.
    /// `from` is the Merkle frontier of the records that a snapshot covers, or an empty one.
    ///
    /// A damaged or unwritable journal opens as well, with every record that can be read. The
    /// journal then accepts nothing more, and [`Journal::failure`] says why.
    ///
    /// # Errors
    /// See [`OpenError`]; never [`OpenError::Damaged`].
    pub fn open(
        disk: &Files,
        directory: &Path,
        options: Options,
        from: Frontier,
        mut each: impl FnMut(u64, &[u8]),
    ) -> Result<(Self, Recovery), OpenError> {
        let created = disk.create_directories(directory);
        let lock = match disk.lock(directory) {
            Ok(Some(lock)) => Ok(lock),
            Ok(None) => return Err(OpenError::Locked(directory.to_path_buf())),
            Err(error) => Err(error),
        };
        let known = from.clone();
        let found = match lock.as_ref() {
            Ok(_) => scan(disk.as_ref(), directory, from, &mut each),
            Err(error) => Err(io::Error::new(error.kind(), error.to_string()).into()),
        };
        let found = match found {
            // A directory that cannot be used or locked is never written: its content is unknown,
            // or another process writes there.
            Err(OpenError::Io(error)) => Scan::unreadable(directory, known, &error),
            other => other?,
        };
        let mut recovery = Recovery {
            records: found.frontier.size(),
            ..Recovery::default()
        };
        recovery.loss = Loss::unanswered(disk.as_ref(), directory, recovery.records);
        let mut journal = Self {
            disk: Files::clone(disk),
            directory: directory.to_path_buf(),
            options,
            current: None,
            reserve: Reserve::open(disk, directory, options.reserve_bytes),
            mark: None,
            frontier: found.frontier.clone(),
            poisoned: found.faults.first().map(ToString::to_string),
            _lock: lock.ok(),
        };
        if found.faults.is_empty() {
            // Computed before any write: the start has to know of a loss even if the disk then
            // refuses to remember the loss.
            let lost = journal.lost(&found);
            recovery.loss = lost.clone().or(recovery.loss);
            let prepared = created
                .and_then(|()| journal.prepare_last_segment(&found, lost.as_ref(), &mut recovery));
            if let Err(error) = prepared {
                journal.poison(&error.to_string());
            }
        }
        recovery.incomplete = found.incomplete;
        recovery.faults = found.faults;
        Ok((journal, recovery))
    }

    /// The loss, if the mark says that more records were acknowledged than the segments hold.
    fn lost(&self, found: &Scan) -> Option<Loss> {
        let mark = Mark::read(self.disk.as_ref(), &self.directory.join(MARK));
        let size = found.frontier.size();
        let (segment, offset) = match &found.last {
            Some(last) => (last.file.first, last.end),
            None => (size, 0),
        };
        // Without a mark nobody knows what was acknowledged: a tail that is not all zeroes may have
        // been, so it counts as one lost record.
        let acknowledged = match mark {
            Some([acknowledged, ..]) => acknowledged,
            None if offset > 0 && tail(found).iter().any(|byte| *byte != 0) => size + 1,
            None => 0,
        };
        (acknowledged > size).then_some(Loss {
            acknowledged,
            found: size,
            segment,
            offset,
        })
    }

    /// Prepares the last segment for the next batch. The bytes behind the last whole batch are cut
    /// off; where they had been acknowledged, the loss is remembered first.
    fn prepare_last_segment(
        &mut self,
        found: &Scan,
        lost: Option<&Loss>,
        recovery: &mut Recovery,
    ) -> io::Result<()> {
        let size = found.frontier.size();
        let tail = tail(found);
        if let Some(loss) = lost {
            // Before anything is cut: should this start end here, the next one must still learn of
            // the loss.
            loss.remember(&self.disk, &self.directory)?;
            self.preserve_tail(loss, tail)?;
        }
        match &found.last {
            // A compressed segment is never written to; the one behind it is gone.
            Some(last) if last.file.is_compressed => self.begin(size)?,
            Some(last) if last.end > 0 && found.end == size => {
                recovery.cut = tail.len() as u64;
                let current = reopen(self.disk.as_ref(), last)?;
                if last.version == batch::VERSION {
                    self.current = Some(current);
                } else {
                    // Records of this version go behind a header that an earlier version refuses
                    // with both versions, and not into a segment that it would read up to them.
                    self.begin(size)?;
                }
            }
            // The header was never finished, or a snapshot reaches further than the segments: a new
            // segment begins.
            Some(_) | None => self.begin(size)?,
        }
        if let Some(last) = found
            .last
            .as_ref()
            .filter(|it| it.end == 0 && it.file.first != size)
        {
            self.disk.remove(&last.file.path())?;
        }
        let numbers = self.numbers();
        let mark = Mark::begin(&self.disk, self.directory.join(MARK), numbers);
        mark.map(|mark| self.mark = Some(mark)).or_else(ignore_full)
    }

    /// Begins a segment before record `first`; a full disk leaves that to the next append.
    fn begin(&mut self, first: u64) -> io::Result<()> {
        let begun = begin(self.disk.as_ref(), &self.directory, first);
        let begun = begun.map(|begun| self.current = Some(begun));
        begun.or_else(ignore_full)
    }

    /// Saves the acknowledged bytes that are about to be cut in a file beside the journal, for an
    /// investigation.
    fn preserve_tail(&self, loss: &Loss, tail: &[u8]) -> io::Result<()> {
        if tail.is_empty() {
            return Ok(());
        }
        let name = format!("cut-{:020}-{}", loss.segment, loss.offset);
        replace(self.disk.as_ref(), &self.directory.join(name), tail).map(drop)
    }

    /// The number of records in memory; all of them are durable unless the journal has failed.
    #[must_use]
    pub const fn len(&self) -> u64 {
        self.frontier.size()
    }

    /// True when the journal has no records.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.frontier.size() == 0
    }

    /// The Merkle root over all records.
    #[must_use]
    pub fn root(&self) -> Hash {
        self.frontier.root()
    }

    /// The Merkle frontier of all records.
    #[must_use]
    pub const fn frontier(&self) -> &Frontier {
        &self.frontier
    }

    /// The failure after which the journal accepts nothing more; `None` while it works.
    #[must_use]
    pub fn failure(&self) -> Option<&str> {
        self.poisoned.as_deref()
    }

    /// Appends one batch and makes it durable with one fsync. Returns the index of the batch's
    /// first record; every record of the batch then survives a crash.
    ///
    /// # Errors
    /// See [`AppendError`]. After any error but [`AppendError::Full`] the journal accepts nothing
    /// more.
    pub fn append<R: AsRef<[u8]>>(&mut self, records: &[R]) -> Result<u64, AppendError> {
        self.may_write()?;
        self.roll()?;
        self.write(records, false)
    }

    /// Appends a batch as [`Journal::append`] does, and gives up the reserve step by step while the
    /// disk is full. For kills and revocations.
    ///
    /// # Errors
    /// See [`AppendError`]. [`AppendError::Full`] means that the reserve is used up.
    pub fn append_critical<R: AsRef<[u8]>>(&mut self, records: &[R]) -> Result<u64, AppendError> {
        self.may_write()?;
        self.write(records, true)
    }

    /// Allocates blocks for `bytes` of records, so that an append of them does not need the
    /// reserve.
    ///
    /// # Errors
    /// [`AppendError::Full`] when the disk does not have the blocks. On a file system that cannot
    /// allocate ahead the call succeeds and guarantees nothing.
    pub fn make_room(&mut self, bytes: u64) -> Result<(), AppendError> {
        self.may_write()?;
        self.roll()?;
        let ahead = ALLOCATE_AHEAD_BYTES
            .min(self.options.segment_bytes)
            .max(bytes);
        let made = self.current().and_then(|current| {
            // First generously, then exactly: on a disk that is nearly full the exact amount may
            // still fit.
            current
                .allocate(bytes, ahead)
                .or_else(|error| ignore_full(error).and_then(|()| current.allocate(bytes, bytes)))
        });
        self.outcome(made)
    }

    /// The number of bytes of records that fit into blocks that are allocated already.
    #[must_use]
    pub fn room(&self) -> u64 {
        let limit = self.options.segment_bytes;
        let current = self.current.as_ref().filter(|it| it.written < limit);
        current.map_or(0, |it| it.allocated.saturating_sub(it.written))
    }

    /// The size of the reserve in bytes; `None` while some of it has been given up and not
    /// regained.
    #[must_use]
    pub fn covered(&self) -> Option<u64> {
        let held = self.reserve.held();
        (held >= self.reserve.high_water()).then_some(held)
    }

    /// Grows the reserve to at least `bytes`, and to its size before any of it was given up.
    ///
    /// # Errors
    /// When the disk does not have the blocks; the reserve keeps its size.
    pub fn set_aside(&mut self, bytes: u64) -> io::Result<()> {
        self.reserve.grow(bytes.max(self.reserve.high_water()))
    }

    /// The size of the reserve in bytes.
    #[must_use]
    pub const fn reserved(&self) -> u64 {
        self.reserve.held()
    }

    /// Index of the first record of the segment that batches go to; `None` before it is begun.
    /// Every segment before it is sealed: nothing is written to it any more.
    #[must_use]
    pub fn current_segment(&self) -> Option<u64> {
        self.current.as_ref().map(|current| current.first)
    }

    /// Makes the journal refuse everything from now on, with `why` as its failure.
    pub fn stop(&mut self, why: &str) {
        self.poison(why);
    }

    fn may_write(&self) -> Result<(), AppendError> {
        let poisoned = self.poisoned.clone();
        poisoned.map_or(Ok(()), |why| Err(AppendError::Poisoned(why)))
    }

    fn outcome(&mut self, done: io::Result<()>) -> Result<(), AppendError> {
        match done {
            Ok(()) => Ok(()),
            Err(error) if is_full(&error) => Err(AppendError::Full),
            Err(error) => Err(AppendError::Poisoned(self.poison(&error.to_string()))),
        }
    }

    fn write<R: AsRef<[u8]>>(&mut self, records: &[R], critical: bool) -> Result<u64, AppendError> {
        let first = self.frontier.size();
        if records.is_empty() {
            return Ok(first);
        }
        let Some(batch) = batch::render(records, first, &self.frontier.root()) else {
            return Err(AppendError::Poisoned(self.poison("a batch over 4 GiB")));
        };
        // Each round of a critical append gives up part of the reserve, so the loop ends: at the
        // latest when the reserve is empty.
        loop {
            let put = self.put(&batch);
            match self.outcome(put) {
                Ok(()) => break,
                Err(AppendError::Full) => {
                    let truncated = self
                        .current
                        .as_mut()
                        .map_or(Ok(()), Current::truncate_partial_write);
                    if let Err(error) = truncated {
                        return Err(AppendError::Poisoned(self.poison(&error.to_string())));
                    }
                    if !(critical && self.reserve.give_up(batch.len() as u64)) {
                        return Err(AppendError::Full);
                    }
                }
                Err(poisoned @ AppendError::Poisoned(_)) => return Err(poisoned),
            }
        }
        records
            .iter()
            .for_each(|record| self.frontier.push(record.as_ref()));
        self.note_durable();
        Ok(first)
    }

    /// Writes the number of durable records to the mark; begins the mark again where a full disk
    /// had prevented that.
    fn note_durable(&mut self) {
        let numbers = self.numbers();
        match self.mark.as_mut().filter(|mark| !mark.is_lost()) {
            Some(mark) => mark.set(numbers),
            None => self.mark = Mark::begin(&self.disk, self.directory.join(MARK), numbers).ok(),
        }
    }

    fn put(&mut self, batch: &[u8]) -> io::Result<()> {
        let current = self.current()?;
        // One fsync covers the whole batch; `written` moves only after it, so a batch that failed
        // is overwritten by the next one.
        current.file.write_at(batch, current.written)?;
        current.file.sync()?;
        current.written += batch.len() as u64;
        Ok(())
    }

    fn current(&mut self) -> io::Result<&mut Current> {
        let current = match self.current.take() {
            Some(current) => current,
            None => begin(self.disk.as_ref(), &self.directory, self.frontier.size())?,
        };
        Ok(self.current.insert(current))
    }

    /// Begins a new segment when the last one has reached its size. On a full disk the last one
    /// grows on, because another file would not make space.
    fn roll(&mut self) -> Result<(), AppendError> {
        let limit = self.options.segment_bytes;
        let Some(current) = self.current.as_ref().filter(|it| it.written >= limit) else {
            return Ok(());
        };
        // Returns the blocks allocated behind the end. A failure only costs that space.
        current.file.set_length(current.written).ok();
        let begun = begin(self.disk.as_ref(), &self.directory, self.frontier.size());
        let begun = begun.map(|begun| self.current = Some(begun));
        match self.outcome(begun) {
            Err(AppendError::Full) => Ok(()),
            other => other,
        }
    }

    /// The mark's numbers: durable records, then the last segment and the offset of its end.
    fn numbers(&self) -> [u64; 4] {
        let current = self.current.as_ref();
        let (segment, written) = current.map_or((0, 0), |it| (it.first, it.written));
        [self.frontier.size(), segment, written, 0]
    }

    fn poison(&mut self, why: &str) -> String {
        self.poisoned = Some(why.to_owned());
        why.to_owned()
    }
}

/// The bytes behind the last whole batch.
fn tail(found: &Scan) -> &[u8] {
    found.last.as_ref().map_or(&[], |last| &last.tail)
}

impl Drop for Journal {
    fn drop(&mut self) {
        // The mark is synced at an orderly end only: from then on a loss of power cannot leave a
        // mark that says too little.
        if let Some(mark) = &self.mark {
            mark.sync();
        }
    }
}

impl Current {
    /// Allocates `ahead` bytes behind the last batch, unless `needed` bytes are allocated already.
    fn allocate(&mut self, needed: u64, ahead: u64) -> io::Result<()> {
        if self.allocated >= self.written.saturating_add(needed) {
            return Ok(());
        }
        let is_allocated = self.file.allocate(self.written, ahead, Length::Kept)?;
        self.allocated = if is_allocated {
            self.written.saturating_add(ahead)
        } else {
            u64::MAX
        };
        Ok(())
    }

    /// Cuts off the part of a batch that a full disk took.
    fn truncate_partial_write(&mut self) -> io::Result<()> {
        self.file.set_length(self.written)?;
        self.allocated = self.written;
        self.file.sync()
    }
}

/// Turns a full disk into success, since the journal retries later; passes any other error on.
fn ignore_full(error: io::Error) -> io::Result<()> {
    if is_full(&error) { Ok(()) } else { Err(error) }
}

/// Begins a segment: writes the header to a temporary file, syncs, renames, syncs the directory. A
/// segment that has its name therefore has its header.
fn begin(disk: &dyn Disk, directory: &Path, first: u64) -> io::Result<Current> {
    let file = replace(
        disk,
        &segment_path(directory, first),
        &batch::segment_header(first),
    )?;
    Ok(Current {
        file,
        first,
        written: SEGMENT_HEADER as u64,
        allocated: SEGMENT_HEADER as u64,
    })
}

fn reopen(disk: &dyn Disk, last: &Last) -> io::Result<Current> {
    let file = disk.open(&last.file.path(), Access::Write)?;
    file.set_length(last.end)?;
    // The start relies on what it has read, which may have been in the page cache alone.
    file.sync()?;
    Ok(Current {
        file,
        first: last.file.first,
        written: last.end,
        allocated: last.end,
    })
}
