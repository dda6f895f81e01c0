//! What happened, to be asked about: a projection of the journal into sled, by what each record mentions.
//!
//! It can be deleted at any time. Whatever is doubtful about it is: then it is made again from the journal.

use std::path::{Path, PathBuf};

use lanyard_journal::Cursor;
use lanyard_journal::merkle::Frontier;
use parking_lot::{Mutex, RwLock};
use serde_json::Value;
use sled::{Batch, Db};

/// How many records one write takes in.
const BATCH: u64 = 1024;
/// How much memory sled may keep pages in, in bytes.
const CACHE: u64 = 32 << 20;
/// How often sled writes out, in milliseconds: seldom, since the journal waits for the same disk.
const FLUSH: u64 = 10_000;
/// The most records of one answer.
pub const MOST: usize = 1000;
/// Members whose text a record can be found by, besides every id.
const NAMES: &[&str] = &[
    "agent",
    "charter",
    "environment",
    "grant",
    "subject",
    "target",
];

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

/// The projection.
#[derive(Debug)]
pub struct History {
    journal: PathBuf,
    path: PathBuf,
    db: RwLock<Option<Db>>,
    /// How far it is, and the tree over what it has taken in.
    taken: Mutex<(Cursor, Frontier)>,
}

/// Keys: one letter, then what it is about, then the place, so that a prefix is in order.
fn key(letter: u8, of: &str, index: u64) -> Vec<u8> {
    let mut key = vec![letter];
    key.extend_from_slice(of.as_bytes());
    if letter != RECORD {
        key.push(0);
    }
    key.extend_from_slice(&index.to_be_bytes());
    key
}

const RECORD: u8 = b'r';
const MENTION: u8 = b'm';
const KIND: u8 = b'k';
const APPLIED: &[u8] = b"applied";
const ROOT: &[u8] = b"root";

impl History {
    /// The history of a journal, in this folder; empty until it is prepared. `from` is a tree over the journal's first
    /// records that is known already.
    pub(crate) fn new(journal: &Path, path: &Path, from: Frontier) -> Self {
        Self {
            journal: journal.to_path_buf(),
            path: path.to_path_buf(),
            db: RwLock::new(None),
            taken: Mutex::new((Cursor::at(journal, from.size()), from)),
        }
    }

    /// Opens it. What cannot be opened, or is not of this journal by its tree, is made again.
    pub(crate) fn prepare(&self) {
        match open(&self.path).filter(|db| self.fits(db)) {
            Some(db) => *self.db.write() = Some(db),
            None => self.again(),
        }
    }

    /// How many records it has taken in.
    #[must_use]
    pub fn applied(&self) -> u64 {
        self.db.read().as_ref().map_or(0, applied)
    }

    /// Whether it was made from this journal: the root that it keeps is that of the journal's first records.
    fn fits(&self, db: &Db) -> bool {
        let (applied, mut taken) = (applied(db), self.taken.lock());
        let (cursor, tree) = &mut *taken;
        let read = cursor.read(applied, |_, record| tree.push(record));
        let kept = db.get(ROOT).ok().flatten();
        let same = kept.is_some_and(|kept| *kept == tree.root());
        let empty = applied == 0 && tree.size() == 0;
        empty || (read.is_ok() && tree.size() == applied && same)
    }

    /// Deletes it and begins again.
    fn again(&self) {
        tracing::warn!(path = %self.path.display(), "the history is made again from the journal");
        let mut db = self.db.write();
        *db = None;
        if let Err(error) = std::fs::remove_dir_all(&self.path)
            && error.kind() != std::io::ErrorKind::NotFound
        {
            tracing::error!(%error, "the old history cannot be removed");
        }
        *db = open(&self.path);
        *self.taken.lock() = (Cursor::at(&self.journal, 0), Frontier::default());
    }

    /// Takes in what is new, up to and without `until`. A failure leaves it behind: no more than that.
    pub(crate) fn catch_up(&self, until: u64) {
        let mut taken = self.taken.lock();
        let (cursor, tree) = &mut *taken;
        while cursor.index() < until {
            let mut batch = Batch::default();
            let mut grown = tree.clone();
            let to = until.min(cursor.index() + BATCH);
            let read = cursor.read(to, |index, record| {
                grown.push(record);
                take_in(&mut batch, index, record);
            });
            if let Err(error) = read {
                tracing::warn!(%error, "the history stays behind");
                *cursor = Cursor::at(&self.journal, tree.size());
                return;
            }
            batch.insert(APPLIED, &grown.size().to_be_bytes());
            batch.insert(ROOT, &grown.root());
            let db = self.db.read();
            let written = db.as_ref().map(|db| db.apply_batch(batch));
            if let Some(Err(error)) = written {
                tracing::warn!(%error, "the history stays behind");
                *cursor = Cursor::at(&self.journal, tree.size());
                return;
            }
            *tree = grown;
        }
    }

    /// The records that are asked for, oldest first, and where to go on after them.
    #[must_use]
    pub fn query(&self, query: &Query) -> (Vec<(u64, Vec<u8>)>, Option<u64>) {
        let db = self.db.read();
        let Some(db) = db.as_ref() else {
            return (Vec::new(), None);
        };
        let limit = query.limit.clamp(1, MOST);
        let (letter, of) = match (&query.mentions, &query.kind) {
            (Some(mention), _) => (MENTION, mention.as_str()),
            (None, Some(kind)) => (KIND, kind.as_str()),
            (None, None) => (RECORD, ""),
        };
        let mut found = Vec::new();
        let range = key(letter, of, query.from)..=key(letter, of, u64::MAX);
        for entry in db.range(range).keys().flatten() {
            let Some(index) = entry.rchunk(8) else {
                continue;
            };
            let Ok(Some(record)) = db.get(key(RECORD, "", index)) else {
                continue;
            };
            let wanted = query.kind.as_deref().is_none_or(|kind| {
                let parsed = serde_json::from_slice(&record).unwrap_or(Value::Null);
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

/// The place at the end of a key.
trait Place {
    fn rchunk(&self, bytes: usize) -> Option<u64>;
}

impl Place for sled::IVec {
    fn rchunk(&self, bytes: usize) -> Option<u64> {
        let (_, last) = self.split_at_checked(self.len().checked_sub(bytes)?)?;
        Some(number(last))
    }
}

fn applied(db: &Db) -> u64 {
    let found = db.get(APPLIED).ok().flatten();
    found.map_or(0, |bytes| number(&bytes))
}

fn number(bytes: &[u8]) -> u64 {
    bytes.try_into().map_or(0, u64::from_be_bytes)
}

fn open(path: &Path) -> Option<Db> {
    let opened = sled::Config::new()
        .path(path)
        .cache_capacity(CACHE)
        .flush_every_ms(Some(FLUSH))
        .open();
    opened
        .map_err(|error| tracing::warn!(%error, "the history does not open"))
        .ok()
}

fn take_in(batch: &mut Batch, index: u64, record: &[u8]) {
    batch.insert(key(RECORD, "", index), record);
    let Ok(parsed) = serde_json::from_slice::<Value>(record) else {
        return;
    };
    if let Some(kind) = kind_of(&parsed) {
        batch.insert(key(KIND, kind, index), &[]);
    }
    mentions(None, &parsed, &mut |mention| {
        batch.insert(key(MENTION, mention, index), &[]);
    });
}

/// The kind of a record, as the journal writes it.
#[must_use]
pub fn kind_of(record: &Value) -> Option<&str> {
    record.get("command")?.get("type")?.as_str()
}

fn mentions(member: Option<&str>, value: &Value, found: &mut impl FnMut(&str)) {
    match value {
        Value::String(text) if is_id(text) || member.is_some_and(|name| NAMES.contains(&name)) => {
            found(text);
        }
        Value::Array(items) => items.iter().for_each(|item| mentions(member, item, found)),
        Value::Object(members) => {
            for (name, value) in members {
                mentions(Some(name), value, found);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// `L-` and the like, and 26 digits of base 32.
fn is_id(text: &str) -> bool {
    let digits = text
        .split_once('-')
        .filter(|(letter, _)| letter.len() == 1)
        .map(|(_, digits)| digits);
    digits.is_some_and(|digits| {
        digits.len() == 26 && digits.bytes().all(|byte| byte.is_ascii_alphanumeric())
    })
}
