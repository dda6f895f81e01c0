//! The history: an index in sled that says which records mention an id or a name, or are of a kind.
//!
//! The index holds positions only; the records' bytes stay in the journal. So the index is never
//! needed: it may be deleted at any time, and the history rebuilds it from the journal whenever its
//! content is in doubt.
//!
//! ```text
//! b first                -> segment offset     where a batch begins: one entry every 16 KiB
//! k kind 0 first         -> index*             the records of a kind, from `first` on
//! m mention 0 first      -> index*             the records that mention something, from `first` on
//! t first                -> earliest, latest   the times of 256 records at most, from `first` on
//! first                                        the first record, where earlier ones were forgotten
//! applied, root                                how many records are indexed, and their Merkle root
//! ```
//! Numbers are big-endian and have 64 bits. One list entry holds the records that were indexed
//! together.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use lanyard_disk::{Files, is_full};
use lanyard_journal::merkle::Frontier;
use lanyard_journal::{Cursor, OpenError, Place, base};
use lanyard_vocabulary::time::Timestamp;
use parking_lot::{Mutex, RwLock};
use sled::Db;

use crate::thread_health::{ThreadHealth, panic_text};

mod forgotten;
mod taken;
mod times;

use taken::IndexUpdate;
use times::spans;

/// Time by which the history may lag behind the journal while nobody reads the history. sled
/// rewrites a page for every few entries, so indexing records one by one writes several times their
/// own bytes to the disk.
const HISTORY_LAG: Duration = Duration::from_secs(10);
/// The lag while only agents read the history. Agents may query as often as they like, and their
/// queries must not decide how often sled rewrites its pages.
const HISTORY_LAG_FOR_AGENTS: Duration = Duration::from_secs(5);

/// Number of records that one write to sled indexes.
const RECORDS_PER_WRITE: u64 = 8192;
/// Size of sled's page cache, in bytes.
const CACHE_BYTES: u64 = 32 << 20;
/// Interval between sled's flushes, in milliseconds. Flushes are rare because the journal syncs on
/// the same disk.
const FLUSH_INTERVAL_MS: u64 = 10_000;
/// Number of times that one process rebuilds the index before it gives up: a disk that corrupts the
/// index each time is not repaired by another rebuild.
const REBUILD_ATTEMPTS: u32 = 3;
/// A file that exists while the index is closed in order. A start that does not find it checks
/// every page, since a page may be torn.
const CLEAN: &str = "clean";
/// The most records that one query returns.
///
/// # Limit
/// - for: a query of the history
/// - unit: records
/// - beyond: the answer says where the next one begins
/// - test: `an_answer_of_the_history_has_so_many_records_and_no_more`
pub const MAX_RECORDS_PER_ANSWER: usize = 1000;

/// Selects records of the history. Both filters have to match; without filters every record
/// matches.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Query {
    /// An id, or the name of an agent, a person, a charter, a target, an environment or a grant.
    pub mentions: Option<String>,
    /// The record's kind, one of [`lanyard_core::command::Command::KINDS`].
    pub kind: Option<String>,
    /// The earliest time of interest. A record before it may be in the answer, where one beside it
    /// is not: the caller compares.
    pub since: Option<Timestamp>,
    /// The latest time of interest, in the same way.
    pub until: Option<Timestamp>,
    /// Index of the first record that may be returned.
    pub from: u64,
    /// The most records to return; clamped to 1..=[`MAX_RECORDS_PER_ANSWER`].
    pub limit: usize,
}

/// Progress of the index through the journal.
#[derive(Debug)]
struct Progress {
    cursor: Cursor,
    /// The Merkle frontier of the indexed records.
    tree: Frontier,
    /// Number of times that this process has rebuilt the index.
    rebuilds: u32,
}

/// The index of one journal; see the module's page.
#[derive(Debug)]
pub struct History {
    disk: Files,
    journal: PathBuf,
    path: PathBuf,
    /// `None` until [`History::prepare`] has run, and while the index is closed or given up.
    db: RwLock<Option<Db>>,
    /// A person waits for the index to be current (`wanted`), or an agent does (`wanted_by_agent`).
    wanted: AtomicBool,
    wanted_by_agent: AtomicBool,
    /// A query hit a page that cannot be read: the next [`History::catch_up`] rebuilds the index.
    is_suspect: AtomicBool,
    /// sled failed for want of space. The index itself is sound, and the next [`History::catch_up`]
    /// reopens it.
    out_of_space: AtomicBool,
    health: ThreadHealth,
    /// The first record that queries may find: retention removes those before it.
    kept_from: AtomicU64,
    /// The Merkle frontier at which a start began to read the journal.
    start: Frontier,
    progress: Mutex<Progress>,
}

/// The key prefix of a list: everything but the number of its first record.
fn list(letter: u8, of: &str) -> Vec<u8> {
    let mut key = vec![letter];
    key.extend_from_slice(of.as_bytes());
    key.push(0);
    key
}

fn key(mut prefix: Vec<u8>, index: u64) -> Vec<u8> {
    prefix.extend_from_slice(&index.to_be_bytes());
    prefix
}

const BATCH_AT: u8 = b'b';
const MENTION: u8 = b'm';
const KIND: u8 = b'k';
const APPLIED: &[u8] = b"applied";
const FIRST: &[u8] = b"first";
/// The number is the version of the key layout: an index of another version has no root here and is
/// rebuilt.
const ROOT: &[u8] = b"root/5";

impl Progress {
    fn at((disk, journal): (&Files, &Path), tree: Frontier, rebuilds: u32) -> Self {
        Self {
            cursor: Cursor::on(disk, journal, tree.size()),
            tree,
            rebuilds,
        }
    }
}

impl History {
    /// The history of the journal in `journal`, stored in `path`; empty until [`History::prepare`]
    /// has run. `from` is the Merkle frontier that the start took from a snapshot.
    pub(crate) fn new(disk: &Files, journal: &Path, path: &Path, from: Frontier) -> Self {
        Self {
            disk: Files::clone(disk),
            journal: journal.to_path_buf(),
            path: path.to_path_buf(),
            db: RwLock::new(None),
            is_suspect: AtomicBool::new(false),
            wanted: AtomicBool::new(false),
            wanted_by_agent: AtomicBool::new(false),
            out_of_space: AtomicBool::new(false),
            health: ThreadHealth::default(),
            kept_from: AtomicU64::new(base(disk.as_ref(), journal).map_or(0, |it| it.size())),
            progress: Mutex::new(Progress::at((disk, journal), from.clone(), 0)),
            start: from,
        }
    }

    /// Opens the index. An index that cannot be opened, that belongs to another journal, or that
    /// has an unreadable page is rebuilt.
    pub(crate) fn prepare(&self) {
        let ended_in_order = std::fs::remove_file(self.path.join(CLEAN)).is_ok();
        let opened = match catch_panic(|| open(&self.path)) {
            Ok(Err(error)) if is_space(&error) => return self.close_until_space(),
            Ok(opened) => opened.map_err(|error| error.to_string()),
            Err(why) => Err(why),
        };
        let sound = opened.and_then(|db| {
            // sled notices a torn page when the page is used, and panics then. After an unclean end
            // every page is therefore read once before anybody queries the index.
            let sound = catch_panic(|| self.fits(&db) && (ended_in_order || is_whole(&db)));
            match sound {
                Ok(true) => Ok(db),
                Ok(false) => {
                    Err("the index belongs to another journal, or a page is unreadable".to_owned())
                }
                Err(why) => {
                    // Dropped under a guard of its own: a panic in `drop` while another panic
                    // unwinds aborts the process.
                    catch_panic(|| drop(db)).ok();
                    Err(why)
                }
            }
        });
        match sound {
            Ok(db) => *self.db.write() = Some(db),
            Err(why) => self.rebuild(&why),
        }
    }

    /// Closes the index in order: flushes sled, then leaves the file [`CLEAN`] for the next start.
    pub(crate) fn close(&self) {
        let db = self.db.write().take();
        let is_suspect = self.is_suspect.load(Ordering::SeqCst) || self.health.problem().is_some();
        let Some(db) = db.filter(|_| !is_suspect) else {
            return;
        };
        let flushed = catch_panic(|| db.flush().map_err(|error| error.to_string()));
        let closed = catch_panic(|| drop(db));
        if matches!(flushed, Ok(Ok(_))) && closed.is_ok() {
            // Best effort: without the file the next start reads every page, and is slower for it.
            std::fs::write(self.path.join(CLEAN), "").ok();
        }
    }

    /// Closes the index until there is space: after a failed write, sled accepts no further one.
    fn close_until_space(&self) {
        let db = self.db.write().take();
        catch_panic(|| drop(db)).ok();
        self.out_of_space.store(true, Ordering::SeqCst);
        let why = "the disk is full";
        if self.health.problem().as_deref() != Some(why) {
            tracing::error!(path = %self.path.display(), why, "the history cannot be updated until the disk has space");
        }
        self.health.set_problem(Some(why.to_owned()));
    }

    /// The index's problem, and the panic that ended its thread.
    pub(crate) const fn health(&self) -> &ThreadHealth {
        &self.health
    }

    /// Asks for an update at once, because a person is about to read. The request holds until the
    /// next update begins.
    pub fn want(&self) {
        self.wanted.store(true, Ordering::Relaxed);
    }

    /// Asks for an update within `HISTORY_LAG_FOR_AGENTS`, because an agent is about to read.
    pub fn want_soon(&self) {
        self.wanted_by_agent.store(true, Ordering::Relaxed);
    }

    /// Returns whether the next update can still wait, `behind` after the last one.
    pub(crate) fn may_stay_behind(&self, behind: Duration) -> bool {
        let lag = if self.wanted.load(Ordering::Relaxed) {
            Duration::ZERO
        } else if self.wanted_by_agent.load(Ordering::Relaxed) {
            HISTORY_LAG_FOR_AGENTS
        } else {
            HISTORY_LAG
        };
        behind < lag
    }

    /// The first record that queries may find. The index forgets those before it.
    pub(crate) fn forget_before(&self, first: u64) {
        self.kept_from.fetch_max(first, Ordering::SeqCst);
    }

    /// The number of indexed records.
    #[must_use]
    pub fn applied(&self) -> u64 {
        self.db.read().as_ref().map_or(0, applied)
    }

    /// Checks that the index belongs to this journal: the root that the index holds must be that of
    /// as many records of the journal.
    fn fits(&self, db: &Db) -> bool {
        let (applied, mut progress) = (applied(db), self.progress.lock());
        let Progress { cursor, tree, .. } = &mut *progress;
        let read = cursor.read(applied, |entry| tree.push(entry.record));
        let kept = db.get(ROOT).ok().flatten();
        let same = kept.is_some_and(|kept| *kept == tree.root());
        let empty = applied == 0 && tree.size() == 0;
        empty || (read.is_ok() && tree.size() == applied && same)
    }

    /// Deletes the index and begins a new one at the journal's first record that is still there.
    fn rebuild(&self, why: &str) {
        let rebuilds = self.progress.lock().rebuilds + 1;
        let old = self.db.write().take();
        catch_panic(|| drop(old)).ok();
        if rebuilds > REBUILD_ATTEMPTS {
            let why =
                format!("the index is suspect again after {REBUILD_ATTEMPTS} rebuilds: {why}");
            tracing::error!(path = %self.path.display(), why, "giving up the history until a restart: audit queries fail, issuing goes on");
            self.health.set_problem(Some(why));
            return;
        }
        tracing::warn!(path = %self.path.display(), why, "rebuilding the history from the journal");
        if let Err(error) = std::fs::remove_dir_all(&self.path)
            && error.kind() != std::io::ErrorKind::NotFound
        {
            tracing::error!(%error, "cannot remove the old history");
        }
        let from = base(self.disk.as_ref(), &self.journal).unwrap_or_else(|error| {
            tracing::warn!(
                %error,
                from = self.start.size(),
                "the history begins at the snapshot of the start"
            );
            self.start.clone()
        });
        let opened = catch_panic(|| {
            let db = open(&self.path)?;
            db.apply_batch(IndexUpdate::default().into_batch(&from))?;
            Ok::<_, sled::Error>(db)
        });
        *self.progress.lock() = Progress::at((&self.disk, &self.journal), from, rebuilds);
        self.is_suspect.store(false, Ordering::SeqCst);
        let opened = match opened {
            Ok(Err(error)) if is_space(&error) => return self.close_until_space(),
            Ok(opened) => opened.map_err(|error| error.to_string()),
            Err(why) => Err(why),
        };
        match opened {
            Ok(db) => {
                *self.db.write() = Some(db);
                self.health.set_problem(None);
            }
            Err(why) => {
                tracing::error!(path = %self.path.display(), why, "cannot rebuild the history: audit queries fail");
                self.health.set_problem(Some(why));
            }
        }
    }

    /// Indexes up to [`RECORDS_PER_WRITE`] further records, at most to `until`; returns whether
    /// more are left. A journal that cannot be read leaves the index as it is; an index that sled
    /// cannot write, or panics at, is rebuilt.
    pub(crate) fn catch_up(&self, until: u64) -> bool {
        // Cleared before the update, not after: a request that arrives meanwhile may want records
        // that this update does not see.
        self.wanted.store(false, Ordering::Relaxed);
        self.wanted_by_agent.store(false, Ordering::Relaxed);
        if self.is_suspect.load(Ordering::SeqCst) {
            self.rebuild("a page of the index is unreadable");
        }
        if self.out_of_space.swap(false, Ordering::SeqCst) {
            let rebuilds = self.progress.lock().rebuilds;
            *self.progress.lock() =
                Progress::at((&self.disk, &self.journal), self.start.clone(), rebuilds);
            self.prepare();
        }
        if self.db.read().is_none() {
            return false;
        }
        if let Err(why) = self.forget() {
            self.rebuild(&why);
            return true;
        }
        let mut progress = self.progress.lock();
        let Progress { cursor, tree, .. } = &mut *progress;
        if cursor.index() >= until {
            return false;
        }
        let (mut new, mut grown) = (IndexUpdate::default(), tree.clone());
        let to = until.min(cursor.index() + RECORDS_PER_WRITE);
        let read = cursor.read(to, |entry| {
            grown.push(entry.record);
            new.add(entry);
        });
        if matches!(read, Err(OpenError::Removed { .. })) {
            drop(progress);
            self.rebuild("retention removed records that were not indexed yet");
            return true;
        }
        if let Err(error) = read {
            let why = format!("cannot read the journal: {error}");
            if self.health.problem().is_none() {
                tracing::error!(why, "cannot update the history");
            }
            self.health.set_problem(Some(why));
            *cursor = Cursor::on(&self.disk, &self.journal, tree.size());
            return false;
        }
        let batch = new.into_batch(&grown);
        let written = catch_panic(|| match self.db.read().as_ref() {
            Some(db) => db.apply_batch(batch),
            None => Ok(()),
        });
        let doubt = match written {
            Ok(Ok(())) => None,
            Ok(Err(error)) if is_space(&error) => {
                drop(progress);
                self.close_until_space();
                return false;
            }
            Ok(Err(error)) => Some(error.to_string()),
            Err(why) => Some(why),
        };
        if let Some(why) = doubt {
            drop(progress);
            self.rebuild(&why);
            return true;
        }
        *tree = grown;
        self.health.set_problem(None);
        cursor.index() < until
    }

    /// Removes the index entries of the records that retention removed.
    fn forget(&self) -> Result<(), String> {
        let first = self.kept_from.load(Ordering::SeqCst);
        let done = catch_panic(|| match self.db.read().as_ref() {
            Some(db) => forgotten::forget(db, first),
            None => Ok(()),
        });
        match done {
            Ok(Err(error)) if is_space(&error) => {
                self.close_until_space();
                Ok(())
            }
            Ok(done) => done.map_err(|error| error.to_string()),
            Err(why) => Err(why),
        }
    }

    /// Records that match, oldest first with their indices, and the index to continue from where
    /// more may match.
    ///
    /// # Panics
    /// When sled finds an unreadable page; the next update then rebuilds the index.
    #[must_use]
    pub fn query(&self, query: &Query) -> (Vec<(u64, Vec<u8>)>, Option<u64>) {
        catch_unwind(AssertUnwindSafe(|| self.answer(query))).unwrap_or_else(|panic| {
            // Only a flag here: the projector's thread owns the rebuild, since a query runs on a
            // thread that serves.
            self.is_suspect.store(true, Ordering::SeqCst);
            resume_unwind(panic)
        })
    }

    fn answer(&self, query: &Query) -> (Vec<(u64, Vec<u8>)>, Option<u64>) {
        let db = self.db.read();
        let Some(db) = db.as_ref() else {
            return (Vec::new(), None);
        };
        let limit = query.limit.clamp(1, MAX_RECORDS_PER_ANSWER);
        let query = &Query {
            from: query.from.max(self.kept_from.load(Ordering::SeqCst)),
            ..query.clone()
        };
        let spans = spans(db, query);
        let is_timely = |index: &u64| {
            let behind = spans.partition_point(|span| span.end <= *index);
            spans.get(behind).is_some_and(|span| span.contains(index))
        };
        let list = match (&query.mentions, &query.kind) {
            (Some(mention), _) => Some(list(MENTION, mention)),
            (None, Some(kind)) => Some(list(KIND, kind)),
            (None, None) => None,
        };
        let indices: Box<dyn Iterator<Item = u64>> = match list {
            Some(list) => Box::new(listed(db, list, query.from).filter(is_timely)),
            None => Box::new(spans.iter().cloned().flatten()),
        };
        let mut cache = RecordCache::default();
        let mut found = Vec::new();
        for index in indices {
            let Some(record) = cache.record((&self.disk, &self.journal), db, index) else {
                continue;
            };
            let is_of = |kind| lanyard_records::head(record).kind == kind;
            let wanted = query.kind.as_deref().is_none_or(is_of);
            if !wanted {
                continue;
            }
            if found.len() == limit {
                return (found, Some(index));
            }
            found.push((index, record.to_vec()));
        }
        (found, None)
    }
}

/// The record numbers of a list, from `from` on.
fn listed(db: &Db, prefix: Vec<u8>, from: u64) -> impl Iterator<Item = u64> + use<> {
    // The entry whose first record lies before `from` may hold later records as well.
    let before = db.get_lt(key(prefix.clone(), from)).ok().flatten();
    let length = prefix.len() + 8;
    let before = before.filter(|(key, _)| key.starts_with(&prefix) && key.len() == length);
    let begin = before.map_or_else(|| key(prefix.clone(), from), |(found, _)| found.to_vec());
    db.range(begin..=key(prefix, u64::MAX))
        .flatten()
        // A mention may hold a zero byte, so its keys can begin with this list's prefix; their
        // length differs.
        .filter(move |(key, _)| key.len() == length)
        .flat_map(|(_, indices)| indices.chunks_exact(8).map(number).collect::<Vec<_>>())
        .filter(move |index| *index >= from)
}

/// The records read last. Queries ask in rising order, so the next record is often among them.
#[derive(Default)]
struct RecordCache {
    first: u64,
    records: Vec<Vec<u8>>,
}

impl RecordCache {
    fn record(&mut self, (disk, journal): (&Files, &Path), db: &Db, index: u64) -> Option<&[u8]> {
        let within = |first: u64| usize::try_from(index.checked_sub(first)?).ok();
        if within(self.first).is_none_or(|at| at >= self.records.len()) {
            let place = place(db, index)?;
            (self.first, self.records) = (place.first, Vec::new());
            let records = &mut self.records;
            let read = Cursor::at_batch(disk, journal, place).map_err(OpenError::from);
            // Reads to the end of the record's batch, because the next record is often in the same
            // batch.
            let read = read.and_then(|mut cursor| {
                cursor.read(index + 1, |entry| records.push(entry.record.to_vec()))
            });
            if let Err(error) = read {
                tracing::warn!(%error, index, "cannot read a record from the journal");
                return None;
            }
        }
        self.records.get(within(self.first)?).map(Vec::as_slice)
    }
}

/// The position of the nearest indexed batch at or before a record.
fn place(db: &Db, index: u64) -> Option<Place> {
    let end = key(vec![BATCH_AT], index.checked_add(1)?);
    let (found, at) = db.get_lt(end).ok().flatten()?;
    let (segment, offset) = at.split_at_checked(8)?;
    Some(Place {
        first: number(found.strip_prefix(&[BATCH_AT])?),
        segment: number(segment),
        offset: number(offset),
    })
}

fn applied(db: &Db) -> u64 {
    let found = db.get(APPLIED).ok().flatten();
    found.map_or(0, |bytes| number(&bytes))
}

fn number(bytes: &[u8]) -> u64 {
    bytes.try_into().map_or(0, u64::from_be_bytes)
}

fn open(path: &Path) -> sled::Result<Db> {
    sled::Config::new()
        .path(path)
        .cache_capacity(CACHE_BYTES)
        .flush_every_ms(Some(FLUSH_INTERVAL_MS))
        .open()
}

/// Tells a full disk from sled's other errors.
fn is_space(error: &sled::Error) -> bool {
    matches!(error, sled::Error::Io(error) if is_full(error))
}

/// Reads every page; false when sled cannot read one.
fn is_whole(db: &Db) -> bool {
    db.iter().all(|item| item.is_ok())
}

/// Runs `with` and returns a panic's text as an error, since sled panics at a page that does not
/// hold what it should.
fn catch_panic<R>(with: impl FnOnce() -> R) -> Result<R, String> {
    catch_unwind(AssertUnwindSafe(with)).map_err(|panic| panic_text(panic.as_ref()).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s05_the_history_stays_behind_until_somebody_reads_it() {
        let folder = tempfile::tempdir().unwrap();
        let (journal, path) = (folder.path().join("journal"), folder.path().join("history"));
        let disk = lanyard_disk::system();
        let history = History::new(&disk, &journal, &path, Frontier::default());
        let soon = Duration::from_millis(1);
        assert!(history.may_stay_behind(soon));
        assert!(!history.may_stay_behind(HISTORY_LAG));
        history.want_soon();
        assert!(history.may_stay_behind(soon));
        assert!(!history.may_stay_behind(HISTORY_LAG_FOR_AGENTS));
        history.want();
        assert!(!history.may_stay_behind(Duration::ZERO));
        assert!(!history.catch_up(0));
        assert!(history.may_stay_behind(HISTORY_LAG_FOR_AGENTS));
    }
}
