//! Bounds the journal's size, on the thread `retention`: compresses the segments that the writer
//! has left, and archives and removes those that are no longer kept.
//!
//! Nothing waits for this thread. What it cannot do is tried again, and holds up removal alone.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use lanyard_disk::Files;
use lanyard_journal::{Archive, OpenError, Removed, Sealed, SealedSegment, Snapshot};
use lanyard_vocabulary::time::Timestamp;
use parking_lot::Mutex;

use crate::behind::{Notified, now as instant};
use crate::history::History;
use crate::thread_health::ThreadHealth;
use crate::{Embedded, Now, Shared};

/// Time after which the thread looks again at an archive that failed, and at what has become old.
const RETENTION_INTERVAL: Duration = Duration::from_secs(60);

/// The first record that something outside of the ledger has yet to read; `u64::MAX` for none.
pub type FirstNeeded = Arc<dyn Fn() -> io::Result<u64> + Send + Sync>;

/// The rules by which segments are kept and removed.
#[derive(Clone)]
pub struct Retention {
    /// The age of its newest record at which a segment is removed; `None` keeps every segment.
    pub keep: Option<Duration>,
    /// The archive that a segment is copied to before it is removed.
    pub archive: Option<Arc<dyn Archive>>,
    /// Holds the segments from a record on: those that deliveries have yet to read.
    pub first_needed: FirstNeeded,
    /// Time between two looks at the segments while none is sealed.
    pub interval: Duration,
}

impl Default for Retention {
    fn default() -> Self {
        Self {
            keep: None,
            archive: None,
            first_needed: Arc::new(|| Ok(u64::MAX)),
            interval: RETENTION_INTERVAL,
        }
    }
}

impl fmt::Debug for Retention {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Retention")
            .field("keep", &self.keep)
            .field("archive", &self.archive)
            .field("interval", &self.interval)
            .finish_non_exhaustive()
    }
}

/// The findings of the thread at its last look.
#[derive(Debug, Default)]
pub struct Kept {
    first: AtomicU64,
    sealed_bytes: AtomicU64,
    held: Mutex<Option<String>>,
    health: ThreadHealth,
}

impl Kept {
    /// The first record that is kept: retention removed those before it.
    #[must_use]
    pub fn first(&self) -> u64 {
        self.first.load(Ordering::Relaxed)
    }

    /// The size of the sealed segments' files, in bytes.
    #[must_use]
    pub fn sealed_bytes(&self) -> u64 {
        self.sealed_bytes.load(Ordering::Relaxed)
    }

    /// The reason why a segment that is due for removal is still there.
    #[must_use]
    pub fn held(&self) -> Option<String> {
        self.health.panicked().or_else(|| self.held.lock().clone())
    }

    pub(crate) const fn health(&self) -> &ThreadHealth {
        &self.health
    }
}

/// The work of the thread `retention`.
pub(crate) struct Keeper {
    shared: Arc<Shared>,
    history: Arc<History>,
    kept: Arc<Kept>,
    disk: Files,
    directory: PathBuf,
    sealed: Sealed,
    retention: Retention,
    now: Now,
    /// The segment that the writer appended to at the last look.
    current: Option<u64>,
    looked: Instant,
    /// The time of the newest record of the oldest segment, and that segment's first record.
    newest: Option<(u64, Timestamp)>,
}

impl Keeper {
    pub(crate) fn new(
        ledger: &Embedded,
        (disk, directory): (&Files, &Path),
        retention: Retention,
        now: Now,
    ) -> Self {
        Self {
            shared: Arc::clone(&ledger.shared),
            history: Arc::clone(&ledger.history),
            kept: Arc::clone(&ledger.kept),
            disk: Files::clone(disk),
            directory: directory.to_path_buf(),
            sealed: Sealed::new(disk, directory.to_path_buf()),
            retention,
            now,
            current: None,
            looked: instant(),
            newest: None,
        }
    }

    pub(crate) fn run(mut self, notified: &Notified) {
        loop {
            self.look(notified);
            if !notified.wait_for(self.retention.interval) {
                break;
            }
            notified.coalesce();
        }
    }

    /// Looks at the segments, unless that was done lately and the writer has sealed none since.
    fn look(&mut self, notified: &Notified) {
        let (current, failed) = {
            let durable = self.shared.durable.borrow();
            (durable.segment, durable.failed.is_some())
        };
        // A journal that failed or is damaged stays as it is, for those who look into it.
        let Some(current) = current.filter(|_| !failed) else {
            return;
        };
        let is_early = instant() - self.looked < self.retention.interval;
        if self.current == Some(current) && is_early {
            return;
        }
        (self.current, self.looked) = (Some(current), instant());
        let compressed = self.compress(current, notified);
        let problem = compressed.err().map(|error| error.to_string());
        if let Some(error) = &problem {
            tracing::warn!(error, "a segment of the journal stays as it is");
        }
        self.kept.health.set_problem(problem);
        let held = self.remove(current, notified).err();
        if let Some(why) = held.as_ref().filter(|_| self.kept.held.lock().is_none()) {
            tracing::error!(why, "segments of the journal that are due for removal stay");
        }
        *self.kept.held.lock() = held;
    }

    fn compress(&self, current: u64, notified: &Notified) -> io::Result<()> {
        let mut bytes = 0;
        for segment in self.sealed.segments(current)? {
            // A shutdown does not wait: the next start goes on.
            if notified.is_closed() {
                return Ok(());
            }
            if !segment.is_compressed {
                self.sealed.compress(segment).map_err(|error| {
                    let first = segment.first;
                    let why = format!("cannot compress the segment of record {first}: {error}");
                    io::Error::new(error.kind(), why)
                })?;
            }
            let is_compressed = true;
            bytes += self.sealed.file_bytes(SealedSegment {
                is_compressed,
                ..segment
            })?;
        }
        self.kept.sealed_bytes.store(bytes, Ordering::Relaxed);
        Ok(())
    }

    /// Removes what is no longer kept.
    ///
    /// # Errors
    /// The reason why a segment that is due stays.
    fn remove(&mut self, current: u64, notified: &Notified) -> Result<(), String> {
        let removed = Removed::read(self.disk.as_ref(), &self.directory);
        let removed = removed.map_err(|error| error.to_string())?;
        self.kept.first.store(removed.records(), Ordering::Relaxed);
        let Some(keep) = self.retention.keep else {
            return Ok(());
        };
        let segments = self.sealed.segments(current);
        for segment in segments.map_err(|error| error.to_string())? {
            let newest = self.newest(segment).map_err(|error| error.to_string())?;
            let is_due = (self.now)().since(newest) > keep && segment.is_compressed;
            if notified.is_closed() || !is_due || !self.is_covered(segment)? {
                return Ok(());
            }
            let needed = (self.retention.first_needed)()
                .map_err(|error| format!("cannot read how far deliveries are: {error}"))?;
            if needed < segment.until {
                return Err(format!(
                    "record {needed} is not delivered to every webhook and receiver of security events"
                ));
            }
            // Before the segment goes: no query may find a record that cannot be read.
            self.history.forget_before(segment.until);
            let archive = self.retention.archive.as_deref();
            self.sealed
                .remove(segment, newest.as_millis(), archive)
                .map_err(|error| match archive {
                    Some(archive) => format!(
                        "the segment of record {} is not in the archive `{}`: {error}",
                        segment.first,
                        archive.place()
                    ),
                    None => error.to_string(),
                })?;
            tracing::info!(
                first = segment.first,
                until = segment.until,
                archive = archive.map(Archive::place),
                "retention removed a segment of the journal"
            );
            self.kept.first.store(segment.until, Ordering::Relaxed);
        }
        Ok(())
    }

    /// The time of a segment's newest record. A record whose time cannot be read is never old.
    fn newest(&mut self, segment: SealedSegment) -> Result<Timestamp, OpenError> {
        if let Some((first, newest)) = self.newest
            && first == segment.first
        {
            return Ok(newest);
        }
        let mut newest = Timestamp::EPOCH;
        self.sealed.read(segment, |record| {
            let at = lanyard_records::head(record).at;
            newest = newest.max(at.unwrap_or(Timestamp::from_millis(u64::MAX)));
        })?;
        self.newest = Some((segment.first, newest));
        Ok(newest)
    }

    /// Checks that no start needs the segment, not even one that finds a snapshot damaged.
    fn is_covered(&self, segment: SealedSegment) -> Result<bool, String> {
        let covered = Snapshot::covered_by_all(self.disk.as_ref(), &self.directory);
        let covered = covered.map_err(|error| error.to_string())?;
        Ok(covered.is_some_and(|covered| segment.until <= covered))
    }
}
