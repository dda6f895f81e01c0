//! The journal itself: open, recover, append, make durable.

use std::io;
use std::path::{Path, PathBuf};

use lanyard_disk::{Access, Disk, Files, Length, Lock, Mark, OpenFile, is_full, replace};

use crate::batch::{self, SEGMENT_HEADER};
use crate::error::{AppendError, OpenError};
use crate::loss::{Loss, Recovery};
use crate::merkle::{Frontier, Hash};
use crate::reserve::Reserve;
use crate::scan::{Last, Scan, scan, segment_path};

/// How the journal is kept.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// A segment that has reached this size, in bytes, is followed by a new one.
    pub segment_bytes: u64,
    /// Blocks, in bytes, that are set aside for [`Journal::append_critical`]; given up and grown by a sixteenth of it.
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

/// How many bytes are allocated ahead of what is written.
const ROOM_BYTES: u64 = 64 << 10;
/// The name of the mark of what is durable.
pub(crate) const MARK: &str = "durable";

/// An open journal.
#[derive(Debug)]
pub struct Journal {
    disk: Files,
    directory: PathBuf,
    options: Options,
    /// None on a disk that was full when the first segment was to begin, and in a journal that takes nothing.
    current: Option<Current>,
    reserve: Reserve,
    mark: Option<Mark>,
    frontier: Frontier,
    poisoned: Option<String>,
    _lock: Option<Lock>,
}

/// The segment that grows.
#[derive(Debug)]
struct Current {
    file: Box<dyn OpenFile>,
    first: u64,
    /// Where the next batch begins.
    written: u64,
    /// Up to where there are blocks for it.
    allocated: u64,
}

impl Journal {
    /// Opens the journal in this directory, or begins one, and gives every record behind `from` to `each`: the
    /// tree over the records that a snapshot stands for, or an empty one.
    ///
    /// A journal that is damaged, or that cannot be written, opens all the same, with everything that can be read: it then
    /// takes nothing more, and says why ([`Journal::failure`]).
    ///
    /// # Errors
    /// See [`OpenError`]: never [`OpenError::Damaged`].
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
            // A directory that cannot be used, or not locked: nothing is written there, and what it holds is not known.
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
            // Whatever the disk refuses from here on, this start knows of the loss.
            let lost = journal.lost(&found);
            recovery.loss = lost.clone().or(recovery.loss);
            let went_on =
                created.and_then(|()| journal.go_on(&found, lost.as_ref(), &mut recovery));
            if let Err(error) = went_on {
                journal.poison(&error.to_string());
            }
        }
        recovery.incomplete = found.incomplete;
        recovery.faults = found.faults;
        Ok((journal, recovery))
    }

    /// The acknowledged records that the segments do not have any more.
    fn lost(&self, found: &Scan) -> Option<Loss> {
        let mark = Mark::read(self.disk.as_ref(), &self.directory.join(MARK));
        let size = found.frontier.size();
        let (segment, offset) = match &found.last {
            Some(last) => (last.first, last.end),
            None => (size, 0),
        };
        // Without a mark it is not known what was acknowledged: then whatever was written may have been.
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

    /// Makes the last segment ready for the next batch: what lies behind the last whole one is cut off, and remembered as a
    /// loss where it had been acknowledged.
    fn go_on(
        &mut self,
        found: &Scan,
        lost: Option<&Loss>,
        recovery: &mut Recovery,
    ) -> io::Result<()> {
        let size = found.frontier.size();
        let tail = tail(found);
        if let Some(loss) = lost {
            // Before anything is cut: the next start must know of it, should this one end here.
            loss.remember(&self.disk, &self.directory)?;
            self.keep_aside(loss, tail)?;
        }
        match &found.last {
            Some(last) if last.end > 0 && found.end == size => {
                recovery.cut = tail.len() as u64;
                self.current = Some(reopen(self.disk.as_ref(), last)?);
            }
            // A header that was never finished, or a snapshot that reaches behind the segments: a segment of its own.
            Some(_) | None => {
                let begun = begin(self.disk.as_ref(), &self.directory, size);
                let begun = begun.map(|begun| self.current = Some(begun));
                begun.or_else(only_full)?;
            }
        }
        if let Some(last) = found
            .last
            .as_ref()
            .filter(|it| it.end == 0 && it.first != size)
        {
            self.disk.remove(&last.path)?;
        }
        let numbers = self.numbers();
        let mark = Mark::begin(&self.disk, self.directory.join(MARK), numbers);
        mark.map(|mark| self.mark = Some(mark)).or_else(only_full)
    }

    /// What is cut off although it was acknowledged stays beside the journal, for whoever looks into it.
    fn keep_aside(&self, loss: &Loss, tail: &[u8]) -> io::Result<()> {
        if tail.is_empty() {
            return Ok(());
        }
        let name = format!("cut-{:020}-{}", loss.segment, loss.offset);
        replace(self.disk.as_ref(), &self.directory.join(name), tail).map(drop)
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

    /// Why the journal takes nothing more, where that is so.
    #[must_use]
    pub fn failure(&self) -> Option<&str> {
        self.poisoned.as_deref()
    }

    /// Appends one batch and makes it durable: when this returns, every record of it survives a crash.
    ///
    /// # Errors
    /// See [`AppendError`]. After anything but [`AppendError::Full`] the journal takes nothing more.
    pub fn append<R: AsRef<[u8]>>(&mut self, records: &[R]) -> Result<u64, AppendError> {
        self.may_write()?;
        self.roll()?;
        self.write(records, false)
    }

    /// As [`Journal::append`], for what must be written when the disk is full: the reserve is given up for it, step by step.
    ///
    /// # Errors
    /// See [`AppendError`]. [`AppendError::Full`] says that the reserve is used up.
    pub fn append_critical<R: AsRef<[u8]>>(&mut self, records: &[R]) -> Result<u64, AppendError> {
        self.may_write()?;
        self.write(records, true)
    }

    /// Allocates blocks for so many bytes of records, so that appending them takes nothing of the reserve.
    ///
    /// # Errors
    /// [`AppendError::Full`] where the disk does not have them. A file system that cannot allocate ahead promises nothing.
    pub fn make_room(&mut self, bytes: u64) -> Result<(), AppendError> {
        self.may_write()?;
        self.roll()?;
        let ahead = ROOM_BYTES.min(self.options.segment_bytes).max(bytes);
        let made = self.current().and_then(|current| {
            current
                .allocate(bytes, ahead)
                .or_else(|error| only_full(error).and_then(|()| current.allocate(bytes, bytes)))
        });
        self.outcome(made)
    }

    /// For how many bytes [`Journal::make_room`] has nothing to do.
    #[must_use]
    pub fn room(&self) -> u64 {
        let limit = self.options.segment_bytes;
        let current = self.current.as_ref().filter(|it| it.written < limit);
        current.map_or(0, |it| it.allocated.saturating_sub(it.written))
    }

    /// For how many bytes [`Journal::set_aside`] has nothing to do; none where some of them were given up.
    #[must_use]
    pub fn covered(&self) -> Option<u64> {
        let held = self.reserve.held();
        (held >= self.reserve.usual()).then_some(held)
    }

    /// Sees to it that at least so many bytes are set aside for [`Journal::append_critical`], and as many as there were before
    /// some of them had to be given up.
    ///
    /// # Errors
    /// When the disk does not hold them: what was set aside before still is.
    pub fn set_aside(&mut self, bytes: u64) -> io::Result<()> {
        self.reserve.grow(bytes.max(self.reserve.usual()))
    }

    /// How many bytes are set aside.
    #[must_use]
    pub const fn reserved(&self) -> u64 {
        self.reserve.held()
    }

    /// Takes nothing more from now on, and says why.
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
        loop {
            let put = self.put(&batch);
            match self.outcome(put) {
                Ok(()) => break,
                Err(AppendError::Full) => {
                    let taken_back = self.current.as_mut().map_or(Ok(()), Current::take_back);
                    if let Err(error) = taken_back {
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

    /// Has the mark say what is durable now. A disk that was too full for it may have space again.
    fn note_durable(&mut self) {
        let numbers = self.numbers();
        match self.mark.as_mut().filter(|mark| !mark.is_lost()) {
            Some(mark) => mark.set(numbers),
            None => self.mark = Mark::begin(&self.disk, self.directory.join(MARK), numbers).ok(),
        }
    }

    fn put(&mut self, batch: &[u8]) -> io::Result<()> {
        let current = self.current()?;
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

    /// Begins another segment where the last one is as large as it should be. On a full disk it grows on: a file more would
    /// not make room.
    fn roll(&mut self) -> Result<(), AppendError> {
        let limit = self.options.segment_bytes;
        let Some(current) = self.current.as_ref().filter(|it| it.written >= limit) else {
            return Ok(());
        };
        // Gives back what was allocated behind the end; where that fails, it is only that much less space.
        current.file.set_length(current.written).ok();
        let begun = begin(self.disk.as_ref(), &self.directory, self.frontier.size());
        let begun = begun.map(|begun| self.current = Some(begun));
        match self.outcome(begun) {
            Err(AppendError::Full) => Ok(()),
            other => other,
        }
    }

    /// What the mark says: how many records are durable, and where the last of them ends.
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

/// What lies behind the last whole batch.
fn tail(found: &Scan) -> &[u8] {
    found.last.as_ref().map_or(&[], |last| &last.tail)
}

impl Drop for Journal {
    fn drop(&mut self) {
        // After an orderly end the mark is exact, whatever happens to the power then.
        if let Some(mark) = &self.mark {
            mark.sync();
        }
    }
}

impl Current {
    /// Sees to it that there are blocks for `needed` bytes, and asks for `ahead` where there are not.
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

    /// Cuts off what a full disk took of a batch.
    fn take_back(&mut self) -> io::Result<()> {
        self.file.set_length(self.written)?;
        self.allocated = self.written;
        self.file.sync()
    }
}

/// A full disk is waited for; any other error is one.
fn only_full(error: io::Error) -> io::Result<()> {
    if is_full(&error) { Ok(()) } else { Err(error) }
}

/// Begins a segment: aside, synced, renamed, the directory synced. A segment that has its name has its header.
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
    let file = disk.open(&last.path, Access::Write)?;
    file.set_length(last.end)?;
    // What was read is relied upon from now on, and may have been in the page cache alone.
    file.sync()?;
    Ok(Current {
        file,
        first: last.first,
        written: last.end,
        allocated: last.end,
    })
}
