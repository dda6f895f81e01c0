//! What happened, to be asked about: a projection of the journal into sled, by what each record mentions.
//!
//! It can be deleted at any time. Whatever is doubtful about it is: then it is made again from the journal.
//! It says where records are; their bytes are in the journal alone.
//!
//! ```text
//! b first                -> segment offset     where a batch of the journal begins: one every 16 KiB
//! k kind 0 first         -> index*             the records of a kind, from this one on
//! m mention 0 first      -> index*             the records that mention something
//! applied, root                                how many records were taken in, and the tree over them
//! ```
//! Numbers are of 64 bits, big-endian. A list holds what was taken in together.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use lanyard_core::command::Record;
use lanyard_core::references::references;
use lanyard_disk::{Files, is_full};
use lanyard_journal::merkle::Frontier;
use lanyard_journal::{Cursor, Entry, OpenError, Place};
use parking_lot::{Mutex, RwLock};
use serde_json::Value;
use sled::{Batch, Db};

use crate::behind::{LAG, LAG_FOR_AGENTS, Trouble, words};

/// How many records one write takes in.
const BATCH: u64 = 8192;
/// How much memory sled may keep pages in, in bytes.
const CACHE: u64 = 32 << 20;
/// How often sled writes out, in milliseconds: seldom, since the journal waits for the same disk.
const FLUSH: u64 = 10_000;
/// How often it is made again in one process before it is given up: a disk that breaks it every time is not mended by it.
const REBUILDS: u32 = 3;
/// The file that says that the last process ended in order; its absence, that a page may be torn.
const CLEAN: &str = "clean";
/// How far the batches are apart, in bytes, whose places are kept: the others are found by reading on from there.
const APART: u64 = 16 << 10;
/// The most records of one answer.
///
/// # Limit
/// - for: a query of the history
/// - unit: records
/// - beyond: the answer says where the next one begins
/// - test: `an_answer_of_the_history_has_so_many_records_and_no_more`
pub const MAX_RECORDS_PER_ANSWER: usize = 1000;

/// What is asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Query {
    /// An id, or a name of an agent, a person, a charter, a target, an environment or a grant.
    pub mentions: Option<String>,
    /// A kind of record.
    pub kind: Option<String>,
    /// The first record.
    pub from: u64,
    /// How many at most.
    pub limit: usize,
}

/// How far it is.
#[derive(Debug)]
struct Progress {
    cursor: Cursor,
    /// The tree over what was taken in.
    tree: Frontier,
    /// How often it was made again since the start.
    rebuilds: u32,
}

/// The projection.
#[derive(Debug)]
pub struct History {
    disk: Files,
    journal: PathBuf,
    path: PathBuf,
    db: RwLock<Option<Db>>,
    /// A person waits for it to be up to date; an agent does.
    wanted: AtomicBool,
    wanted_by_agent: AtomicBool,
    /// Somebody met a page that cannot be read.
    doubted: AtomicBool,
    /// The disk had no space for it: it is not in doubt, and is opened again.
    starved: AtomicBool,
    trouble: Trouble,
    /// A tree over the journal's first records.
    known: Frontier,
    taken: Mutex<Progress>,
}

/// Where a list begins, without its first record.
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
/// The number is that of the format: another one is a history of another kind.
const ROOT: &[u8] = b"root/4";

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
    /// The history of a journal, in this folder; empty until it is prepared. `from` is a tree over the journal's first
    /// records that is known already.
    pub(crate) fn new(disk: &Files, journal: &Path, path: &Path, from: Frontier) -> Self {
        Self {
            disk: Files::clone(disk),
            journal: journal.to_path_buf(),
            path: path.to_path_buf(),
            db: RwLock::new(None),
            doubted: AtomicBool::new(false),
            wanted: AtomicBool::new(false),
            wanted_by_agent: AtomicBool::new(false),
            starved: AtomicBool::new(false),
            trouble: Trouble::default(),
            taken: Mutex::new(Progress::at((disk, journal), from.clone(), 0)),
            known: from,
        }
    }

    /// Opens it. What cannot be opened, is not of this journal by its tree, or has a page that cannot be read, is made
    /// again.
    pub(crate) fn prepare(&self) {
        let ended_in_order = std::fs::remove_file(self.path.join(CLEAN)).is_ok();
        let opened = match guarded(|| open(&self.path)) {
            Ok(Err(error)) if is_space(&error) => return self.starve(),
            Ok(opened) => opened.map_err(|error| error.to_string()),
            Err(why) => Err(why),
        };
        let sound = opened.and_then(|db| {
            // Where a loss of power left it, every page is read once: sled finds a torn one when it needs it, and not before.
            let sound = guarded(|| self.fits(&db) && (ended_in_order || is_whole(&db)));
            match sound {
                Ok(true) => Ok(db),
                Ok(false) => Err("it is not of this journal, or not whole".to_owned()),
                Err(why) => {
                    // Not in the guard: a panic while another one is under way would be the end of the process.
                    guarded(|| drop(db)).ok();
                    Err(why)
                }
            }
        });
        match sound {
            Ok(db) => *self.db.write() = Some(db),
            Err(why) => self.again(&why),
        }
    }

    /// Ends in order: everything is on the disk, and the next start knows it.
    pub(crate) fn close(&self) {
        let db = self.db.write().take();
        let is_doubted = self.doubted.load(Ordering::SeqCst) || self.trouble.get().is_some();
        let Some(db) = db.filter(|_| !is_doubted) else {
            return;
        };
        let flushed = guarded(|| db.flush().map_err(|error| error.to_string()));
        let closed = guarded(|| drop(db));
        if matches!(flushed, Ok(Ok(_))) && closed.is_ok() {
            // Without it, the next start reads every page: no more than that.
            std::fs::write(self.path.join(CLEAN), "").ok();
        }
    }

    /// Closes it until there is space: sled takes nothing more once a write of it failed.
    fn starve(&self) {
        let db = self.db.write().take();
        guarded(|| drop(db)).ok();
        self.starved.store(true, Ordering::SeqCst);
        let why = "the disk is full";
        if self.trouble.get().as_deref() != Some(why) {
            tracing::error!(path = %self.path.display(), why, "the history stays behind");
        }
        self.trouble.note(Some(why.to_owned()));
    }

    /// Why it is not kept, where that is so.
    pub(crate) const fn trouble(&self) -> &Trouble {
        &self.trouble
    }

    /// Has it brought up to date at once, for a person who reads it.
    pub fn want(&self) {
        self.wanted.store(true, Ordering::Relaxed);
    }

    /// Has it brought up to date soon, for an agent that reads it.
    pub fn want_soon(&self) {
        self.wanted_by_agent.store(true, Ordering::Relaxed);
    }

    /// Whether what is new can wait, so long after it was up to date.
    pub(crate) fn may_stay_behind(&self, behind: Duration) -> bool {
        let lag = if self.wanted.load(Ordering::Relaxed) {
            Duration::ZERO
        } else if self.wanted_by_agent.load(Ordering::Relaxed) {
            LAG_FOR_AGENTS
        } else {
            LAG
        };
        behind < lag
    }

    /// How many records it has taken in.
    #[must_use]
    pub fn applied(&self) -> u64 {
        self.db.read().as_ref().map_or(0, applied)
    }

    /// Whether it was made from this journal: the root that it keeps is that of the journal's first records.
    fn fits(&self, db: &Db) -> bool {
        let (applied, mut taken) = (applied(db), self.taken.lock());
        let Progress { cursor, tree, .. } = &mut *taken;
        let read = cursor.read(applied, |entry| tree.push(entry.record));
        let kept = db.get(ROOT).ok().flatten();
        let same = kept.is_some_and(|kept| *kept == tree.root());
        let empty = applied == 0 && tree.size() == 0;
        empty || (read.is_ok() && tree.size() == applied && same)
    }

    /// Deletes it and begins again.
    fn again(&self, why: &str) {
        let rebuilds = self.taken.lock().rebuilds + 1;
        let old = self.db.write().take();
        guarded(|| drop(old)).ok();
        if rebuilds > REBUILDS {
            let why = format!("it was made again {REBUILDS} times and is in doubt again: {why}");
            tracing::error!(path = %self.path.display(), why, "the history is given up until a restart");
            self.trouble.note(Some(why));
            return;
        }
        tracing::warn!(path = %self.path.display(), why, "the history is made again from the journal");
        if let Err(error) = std::fs::remove_dir_all(&self.path)
            && error.kind() != std::io::ErrorKind::NotFound
        {
            tracing::error!(%error, "the old history cannot be removed");
        }
        let mut from = Frontier::default();
        if !Cursor::on(&self.disk, &self.journal, 0).is_there() {
            from = self.known.clone();
            tracing::warn!(
                from = from.size(),
                "the journal's first segments are not there: the history begins behind them"
            );
        }
        let opened = guarded(|| {
            let db = open(&self.path)?;
            db.apply_batch(Taken::default().into_batch(&from))?;
            Ok::<_, sled::Error>(db)
        });
        *self.taken.lock() = Progress::at((&self.disk, &self.journal), from, rebuilds);
        self.doubted.store(false, Ordering::SeqCst);
        let opened = match opened {
            Ok(Err(error)) if is_space(&error) => return self.starve(),
            Ok(opened) => opened.map_err(|error| error.to_string()),
            Err(why) => Err(why),
        };
        match opened {
            Ok(db) => {
                *self.db.write() = Some(db);
                self.trouble.note(None);
            }
            Err(why) => {
                tracing::error!(path = %self.path.display(), why, "the history cannot be made");
                self.trouble.note(Some(why));
            }
        }
    }

    /// Takes in some of what is new, up to `until`; says whether there is more. A journal that cannot be read leaves it
    /// behind; where sled does not take it, or panics, it is made again.
    pub(crate) fn catch_up(&self, until: u64) -> bool {
        // Whoever wants more from here on says so again.
        self.wanted.store(false, Ordering::Relaxed);
        self.wanted_by_agent.store(false, Ordering::Relaxed);
        if self.doubted.load(Ordering::SeqCst) {
            self.again("a page of it could not be read");
        }
        if self.starved.swap(false, Ordering::SeqCst) {
            let rebuilds = self.taken.lock().rebuilds;
            *self.taken.lock() =
                Progress::at((&self.disk, &self.journal), self.known.clone(), rebuilds);
            self.prepare();
        }
        if self.db.read().is_none() {
            return false;
        }
        let mut taken = self.taken.lock();
        let Progress { cursor, tree, .. } = &mut *taken;
        if cursor.index() >= until {
            return false;
        }
        let (mut new, mut grown) = (Taken::default(), tree.clone());
        let to = until.min(cursor.index() + BATCH);
        let read = cursor.read(to, |entry| {
            grown.push(entry.record);
            new.take_in(entry);
        });
        if let Err(error) = read {
            let why = format!("it stays behind: {error}");
            if self.trouble.get().is_none() {
                tracing::error!(why, "the history is not kept");
            }
            self.trouble.note(Some(why));
            *cursor = Cursor::on(&self.disk, &self.journal, tree.size());
            return false;
        }
        let batch = new.into_batch(&grown);
        let written = guarded(|| match self.db.read().as_ref() {
            Some(db) => db.apply_batch(batch),
            None => Ok(()),
        });
        let doubt = match written {
            Ok(Ok(())) => None,
            Ok(Err(error)) if is_space(&error) => {
                drop(taken);
                self.starve();
                return false;
            }
            Ok(Err(error)) => Some(error.to_string()),
            Err(why) => Some(why),
        };
        if let Some(why) = doubt {
            drop(taken);
            self.again(&why);
            return true;
        }
        *tree = grown;
        self.trouble.note(None);
        cursor.index() < until
    }

    /// The records that are asked for, oldest first, and where to go on after them.
    #[must_use]
    pub fn query(&self, query: &Query) -> (Vec<(u64, Vec<u8>)>, Option<u64>) {
        catch_unwind(AssertUnwindSafe(|| self.answer(query))).unwrap_or_else(|panic| {
            // The thread that keeps it makes it again before it takes in the next record.
            self.doubted.store(true, Ordering::SeqCst);
            resume_unwind(panic)
        })
    }

    fn answer(&self, query: &Query) -> (Vec<(u64, Vec<u8>)>, Option<u64>) {
        let db = self.db.read();
        let Some(db) = db.as_ref() else {
            return (Vec::new(), None);
        };
        let limit = query.limit.clamp(1, MAX_RECORDS_PER_ANSWER);
        let applied = applied(db);
        let indices: Box<dyn Iterator<Item = u64>> = match (&query.mentions, &query.kind) {
            (Some(mention), _) => Box::new(listed(db, list(MENTION, mention), query.from)),
            (None, Some(kind)) => Box::new(listed(db, list(KIND, kind), query.from)),
            (None, None) => Box::new(query.from..applied),
        };
        let mut held = Held::default();
        let mut found = Vec::new();
        for index in indices {
            let Some(record) = held.record((&self.disk, &self.journal), db, index) else {
                continue;
            };
            let wanted = query.kind.as_deref().is_none_or(|kind| {
                let parsed = serde_json::from_slice(record).unwrap_or(Value::Null);
                kind_of(&parsed) == Some(kind)
            });
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

/// The indices of a list from this one on.
fn listed(db: &Db, prefix: Vec<u8>, from: u64) -> impl Iterator<Item = u64> + use<> {
    // The entry that begins before it may reach behind it.
    let before = db.get_lt(key(prefix.clone(), from)).ok().flatten();
    let length = prefix.len() + 8;
    let before = before.filter(|(key, _)| key.starts_with(&prefix) && key.len() == length);
    let begin = before.map_or_else(|| key(prefix.clone(), from), |(found, _)| found.to_vec());
    db.range(begin..=key(prefix, u64::MAX))
        .flatten()
        // A mention may hold a zero, and so begin as this list's keys do.
        .filter(move |(key, _)| key.len() == length)
        .flat_map(|(_, indices)| indices.chunks_exact(8).map(number).collect::<Vec<_>>())
        .filter(move |index| *index >= from)
}

/// What was read last, from a known place on: the next record is often in it.
#[derive(Default)]
struct Held {
    first: u64,
    records: Vec<Vec<u8>>,
}

impl Held {
    fn record(&mut self, (disk, journal): (&Files, &Path), db: &Db, index: u64) -> Option<&[u8]> {
        let within = |first: u64| usize::try_from(index.checked_sub(first)?).ok();
        if within(self.first).is_none_or(|at| at >= self.records.len()) {
            let place = place(db, index)?;
            (self.first, self.records) = (place.first, Vec::new());
            let records = &mut self.records;
            let read = Cursor::at_batch(disk, journal, place).map_err(OpenError::from);
            // To the end of the record's own batch: the next record is often in the same.
            let read = read.and_then(|mut cursor| {
                cursor.read(index + 1, |entry| records.push(entry.record.to_vec()))
            });
            if let Err(error) = read {
                tracing::warn!(%error, index, "a record cannot be read from the journal");
                return None;
            }
        }
        self.records.get(within(self.first)?).map(Vec::as_slice)
    }
}

/// Where the batch of a record begins.
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
        .cache_capacity(CACHE)
        .flush_every_ms(Some(FLUSH))
        .open()
}

/// Whether there is only no space for it.
fn is_space(error: &sled::Error) -> bool {
    matches!(error, sled::Error::Io(error) if is_full(error))
}

/// Whether every page can be read.
fn is_whole(db: &Db) -> bool {
    db.iter().all(|item| item.is_ok())
}

/// Does something with sled, which panics where a page does not hold what it should.
fn guarded<R>(with: impl FnOnce() -> R) -> Result<R, String> {
    catch_unwind(AssertUnwindSafe(with)).map_err(|panic| words(panic.as_ref()).to_owned())
}

/// What some records add.
#[derive(Default)]
struct Taken {
    batch: Batch,
    lists: BTreeMap<Vec<u8>, Vec<u64>>,
    last: Option<Place>,
}

impl Taken {
    fn take_in(&mut self, entry: Entry<'_>) {
        let place = entry.batch;
        let is_near = |last: Place| {
            last.segment == place.segment && place.offset.saturating_sub(last.offset) < APART
        };
        if !self.last.is_some_and(is_near) {
            self.last = Some(place);
            let mut at = place.segment.to_be_bytes().to_vec();
            at.extend_from_slice(&place.offset.to_be_bytes());
            self.batch.insert(key(vec![BATCH_AT], place.first), at);
        }
        let Ok(parsed) = serde_json::from_slice::<Value>(entry.record) else {
            return;
        };
        if let Some(kind) = kind_of(&parsed) {
            self.note(list(KIND, kind), entry.index);
        }
        // A record of a later version is found by its kind alone.
        if let Ok(record) = serde_json::from_value::<Record>(parsed) {
            for reference in references(&record.command) {
                self.note(list(MENTION, &reference), entry.index);
            }
        }
    }

    fn into_batch(self, tree: &Frontier) -> Batch {
        let mut batch = self.batch;
        for (prefix, indices) in self.lists {
            let first = indices.first().copied().unwrap_or_default();
            let indices: Vec<u8> = indices.into_iter().flat_map(u64::to_be_bytes).collect();
            batch.insert(key(prefix, first), indices);
        }
        batch.insert(APPLIED, &tree.size().to_be_bytes());
        batch.insert(ROOT, &tree.root());
        batch
    }

    fn note(&mut self, list: Vec<u8>, index: u64) {
        let indices = self.lists.entry(list).or_default();
        if indices.last() != Some(&index) {
            indices.push(index);
        }
    }
}

/// The kind of a record, as the journal writes it.
#[must_use]
pub fn kind_of(record: &Value) -> Option<&str> {
    record.get("command")?.get("type")?.as_str()
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
        assert!(!history.may_stay_behind(LAG));
        history.want_soon();
        assert!(history.may_stay_behind(soon));
        assert!(!history.may_stay_behind(LAG_FOR_AGENTS));
        history.want();
        assert!(!history.may_stay_behind(Duration::ZERO));
        assert!(!history.catch_up(0));
        assert!(history.may_stay_behind(LAG_FOR_AGENTS));
    }
}
