//! The replay cache: tokens and proofs are accepted once (T12). Each use is on disk for as long as
//! the token could be accepted.
//!
//! The cache is one file of fixed-length records, and a mark that counts the durable records. The
//! file is rewritten with the live records when most records have expired, and after every error.
//! If a durable record cannot be read, the cache reports the loss for as long as it matters,
//! because one of the lost tokens could be replayed.

use std::collections::{BTreeSet, HashMap};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::Duration;

use lanyard_disk::{Access, Disk, Files, Length, Mark, OpenFile, replace};
use lanyard_vocabulary::identity::Confirmation;
use lanyard_vocabulary::time::Timestamp;
use parking_lot::Mutex;
use tokio::sync::oneshot;

use crate::RejectedToken;

/// Number of proofs in the cache.
///
/// # Limit
/// - for: all callers together
/// - unit: proofs
/// - beyond: no caller is accepted until proofs have expired
/// - test: `s29_hundreds_of_identities_leave_room_for_another`
const MAX_PROOFS: usize = 2_000_000;
/// Divisor of the free room that one identity may take. Each identity gets less than the one before
/// it, so that even many greedy identities never fill the cache (S29).
///
/// # Limit
/// - for: an identity that a charter or a role names
/// - unit: part of the free room
/// - beyond: that identity is refused until some of its proofs have expired
/// - test: `s29_eight_identities_do_not_fill_the_cache`
const FREE_PART_PER_IDENTITY: usize = 8;
/// Divisor of the free room that the identities of one issuer may hold together.
///
/// # Limit
/// - for: an issuer
/// - unit: part of the free room
/// - beyond: identities of that issuer are refused until some of its proofs have expired
/// - test: `s29_the_identities_of_one_issuer_leave_room_for_those_of_others`
const FREE_PART_PER_ISSUER: usize = 1;
/// Divisor of the capacity that is reserved for identities with few proofs. Identities that take as
/// much as they can do not reach the reserve.
///
/// # Limit
/// - for: identities that a charter or a role names, with fewer than 64 proofs
/// - unit: part of the room
/// - beyond: identities with more proofs are refused until some of their proofs have expired
/// - test: `s29_hundreds_of_identities_leave_room_for_another`
const PART_IN_RESERVE: usize = 16;
/// The number of proofs up to which an identity may use the reserve, and the most that one stranger
/// may have. A stranger is an identity that no charter or role names: whoever can get a token of a
/// configured issuer.
///
/// # Limit
/// - for: a stranger
/// - unit: proofs
/// - beyond: that stranger is refused until some of these proofs have expired
/// - test: `s29_strangers_share_a_small_part_of_the_cache`
const MAX_PROOFS_PER_STRANGER: usize = 64;
/// Divisor of the capacity that strangers may hold together.
///
/// # Limit
/// - for: all strangers together
/// - unit: part of the room
/// - beyond: strangers are refused until some of their proofs have expired
/// - test: `s29_strangers_share_a_small_part_of_the_cache`
const PART_OF_STRANGERS: usize = 50;
/// Bytes of a record: proof, key, expiry in milliseconds, CRC-32C of the three.
const RECORD_BYTES: usize = 32 + 32 + 8 + 4;
/// Records that are written and synced together.
const BATCH_RECORDS: usize = 4096;
/// Time for which a lost use could be replayed: the longest life of a token, and an hour for clocks
/// that disagree.
const REPLAY_RISK: Duration = Duration::from_secs(25 * 3600);
/// Names of the file of records, the mark that counts durable records, and the mark of a damage.
const USED_FILE: &str = "used";
const DURABLE_FILE: &str = "used-durable";
const DAMAGED_FILE: &str = "used-damaged";
/// Bytes that are allocated ahead of the records, so that people can still authenticate on a full
/// disk and repair it.
const ALLOCATED_BYTES: u64 = 256 << 10;
/// Interval at which a file that cannot be written is tried again.
const RETRY_INTERVAL: Duration = Duration::from_secs(1);
/// Expired records that may stay in the file, in addition to as many as are live.
const SPARE_RECORDS: usize = 16_384;

/// The key of a proof in the cache: a digest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ProofId([u8; 32]);

impl ProofId {
    /// Digests the parts, each with its length, so that no two lists of parts collide.
    #[must_use]
    pub fn of(parts: &[&str]) -> Self {
        let mut context = ring::digest::Context::new(&ring::digest::SHA256);
        for part in parts {
            context.update(&(part.len() as u64).to_le_bytes());
            context.update(part.as_bytes());
        }
        let mut digest = [0; 32];
        digest.copy_from_slice(context.finish().as_ref());
        Self(digest)
    }

    /// Digests a confirmation key. All zeroes stand for no key.
    fn of_key(key: Option<&Confirmation>) -> Self {
        match key {
            Some(Confirmation::Key(digest)) => Self::of(&["jkt", digest]),
            Some(Confirmation::Certificate(digest)) => Self::of(&["x5t", digest]),
            None => Self([0; 32]),
        }
    }
}

/// A use of a token or proof.
#[derive(Debug, Clone)]
pub struct Use {
    /// Key of the token or proof in the cache.
    pub id: ProofId,
    /// The confirmation key that holds the token: that key may present the token again. `None` uses
    /// the token up.
    pub key: Option<Confirmation>,
    /// Time until which the token could be accepted.
    pub until: Timestamp,
}

/// The user of a proof, for a fair share of the cache.
#[derive(Debug, Clone, Copy)]
pub struct Owner<'a> {
    /// Issuer of the identity.
    pub issuer: &'a str,
    /// The identity, or another name that stands for it.
    pub name: &'a str,
    /// True if a charter in force, a role or a lease names the identity.
    pub is_known: bool,
}

/// The counters that a proof occupies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Shares {
    issuer: ProofId,
    name: ProofId,
    is_known: bool,
}

impl Shares {
    fn of(owner: Owner<'_>) -> Self {
        Self {
            issuer: ProofId::of(&["issuer", owner.issuer]),
            name: ProofId::of(&["name", owner.name]),
            is_known: owner.is_known,
        }
    }
}

struct Entry {
    key: ProofId,
    /// `None` for a record read from disk, which names no owner.
    shares: Option<Shares>,
    until: Timestamp,
    /// True once the record is synced to disk.
    durable: bool,
}

struct Entries {
    /// Largest number of proofs.
    capacity: usize,
    proofs: HashMap<ProofId, Entry>,
    /// The proofs by expiry, so that expired ones are found first.
    ends: BTreeSet<(Timestamp, ProofId)>,
    /// Number of proofs per identity.
    names: HashMap<ProofId, usize>,
    /// Number of proofs per issuer.
    issuers: HashMap<ProofId, usize>,
    /// Number of proofs of all strangers.
    strangers: usize,
}

impl Default for Entries {
    fn default() -> Self {
        Self {
            capacity: MAX_PROOFS,
            proofs: HashMap::new(),
            ends: BTreeSet::new(),
            names: HashMap::new(),
            issuers: HashMap::new(),
            strangers: 0,
        }
    }
}

/// A loss of durable uses: the broker can no longer tell whether some tokens were used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{} is damaged: {why}; a token that was used before may be accepted again until {until}", file.display())]
pub struct Damage {
    /// Path of the damaged file.
    pub file: PathBuf,
    /// The fault that was found.
    pub why: String,
    /// Time until which a lost use could matter.
    pub until: Timestamp,
}

/// Used tokens and proofs, in memory and on disk.
pub struct ReplayCache {
    entries: Arc<Mutex<Entries>>,
    disk: Files,
    directory: PathBuf,
    damage: Mutex<Option<Damage>>,
    trouble: Arc<Mutex<Option<String>>>,
    /// Queue of the writer thread, which ends when the sender is dropped.
    writer: Sender<Write>,
}

impl std::fmt::Debug for ReplayCache {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ReplayCache({})", self.entries.lock().proofs.len())
    }
}

struct Write {
    id: ProofId,
    record: [u8; RECORD_BYTES],
    now: Timestamp,
    written: oneshot::Sender<bool>,
}

/// A use that is recorded in memory, and soon on disk.
#[must_use]
pub struct Remembered(Option<oneshot::Receiver<bool>>);

impl Remembered {
    /// Waits until the use is on disk. Nothing may happen on behalf of the caller before that:
    /// after a crash, the token would be accepted again.
    ///
    /// # Errors
    /// [`RejectedToken::ReplayCacheFailed`] when the disk refuses the write.
    pub async fn durable(self) -> Result<(), RejectedToken> {
        match self.0 {
            None => Ok(()),
            Some(written) => match written.await {
                Ok(true) => Ok(()),
                Ok(false) | Err(_) => Err(RejectedToken::ReplayCacheFailed),
            },
        }
    }
}

impl ReplayCache {
    /// Opens the cache in `directory` and drops expired uses. An unreadable record counts as
    /// [`Damage`], and so does a missing file if the broker `was_used` before. While the disk
    /// cannot be written, the cache accepts no token that could be replayed.
    ///
    /// # Errors
    /// When the writer thread cannot be started.
    pub fn open(
        disk: &Files,
        directory: &Path,
        now: Timestamp,
        was_used: bool,
    ) -> io::Result<Arc<Self>> {
        let path = directory.join(USED_FILE);
        let mut entries = Entries::default();
        let found = entries.load(disk.as_ref(), (directory, was_used), now);
        let known = known_damage(disk.as_ref(), directory, now);
        let damage = found.damage.map(|why| Damage {
            file: path.clone(),
            why,
            until: now + REPLAY_RISK,
        });
        if let Some(damage) = &damage {
            tracing::error!(%damage, "records of used tokens are lost");
            // The mark is written before the file is replaced: a crash in between must not hide the
            // damage from the next start.
            if let Err(error) = remember_damage(disk, directory, damage) {
                tracing::error!(%error, "cannot record that used tokens were lost");
            }
        }
        let entries = Arc::new(Mutex::new(entries));
        let mut log = Log {
            disk: Files::clone(disk),
            directory: directory.to_path_buf(),
            file: None,
            mark: None,
            entries: Arc::clone(&entries),
            records: found.records,
            allocated: 0,
            generation: found.generation,
            broken: !found.whole,
            trouble: Arc::default(),
        };
        let begun = log.begin(now);
        log.note(&begun);
        let trouble = Arc::clone(&log.trouble);
        let (writer, queue) = channel();
        std::thread::Builder::new()
            .name("proofs".to_owned())
            .spawn(move || log.write_all(&queue))?;
        Ok(Arc::new(Self {
            entries,
            disk: Files::clone(disk),
            directory: directory.to_path_buf(),
            damage: Mutex::new(damage.or(known)),
            trouble,
            writer,
        }))
    }

    /// Returns the damage, until it no longer matters.
    #[must_use]
    pub fn damage(&self, now: Timestamp) -> Option<Damage> {
        self.damage.lock().clone().filter(|it| now < it.until)
    }

    /// Returns the file and the reason if the cache cannot be written.
    #[must_use]
    pub fn trouble(&self) -> Option<(PathBuf, String)> {
        let why = self.trouble.lock().clone()?;
        Some((self.directory.join(USED_FILE), why))
    }

    /// Dismisses the damage. People have decided to issue in spite of it.
    ///
    /// # Errors
    /// The file system's error. The next start then reports the damage again.
    pub fn accept_damage(&self) -> io::Result<()> {
        *self.damage.lock() = None;
        match self.disk.remove(&self.directory.join(DAMAGED_FILE)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            removed => removed.and_then(|()| self.disk.sync_directory(&self.directory)),
        }
    }

    /// True if the cache holds `id`.
    #[must_use]
    pub fn knows(&self, id: ProofId) -> bool {
        self.entries.lock().proofs.contains_key(&id)
    }

    /// Checks that `proof` is not used yet, without recording a use. A concurrent caller may still
    /// use it first.
    ///
    /// # Errors
    /// [`RejectedToken::Replayed`] if it is used.
    pub fn check_unused(&self, proof: &Use) -> Result<(), RejectedToken> {
        self.entries.lock().earlier_use(proof).map(drop)
    }

    /// Records a use by `owner` unless one is recorded. If the confirmation key presents its token
    /// again and the first use is on disk, nothing is written.
    ///
    /// # Errors
    /// [`RejectedToken::Replayed`], or [`RejectedToken::ReplayCacheFull`] when `owner` has no room
    /// left.
    pub fn remember(
        &self,
        proof: &Use,
        owner: Owner<'_>,
        now: Timestamp,
    ) -> Result<Remembered, RejectedToken> {
        let mut entries = self.entries.lock();
        entries.forget(now);
        let key = ProofId::of_key(proof.key.as_ref());
        match entries.earlier_use(proof)? {
            Some(true) => return Ok(Remembered(None)),
            // The first use is not on disk yet: another record makes this caller wait for the disk
            // too.
            Some(false) => {}
            None => entries.insert(proof, key, Shares::of(owner))?,
        }
        drop(entries);
        let (written, durable) = oneshot::channel();
        let write = Write {
            id: proof.id,
            record: encode(proof.id, key, proof.until),
            now,
            written,
        };
        // If the writer has ended, the channel is dropped, and `durable` reports a failure.
        drop(self.writer.send(write));
        Ok(Remembered(Some(durable)))
    }
}

impl Entries {
    /// Looks up a use by the same confirmation key. `None` if the proof is new; otherwise the value
    /// tells whether the first use is on disk.
    fn earlier_use(&self, proof: &Use) -> Result<Option<bool>, RejectedToken> {
        match self.proofs.get(&proof.id) {
            None => Ok(None),
            Some(entry)
                if proof.key.is_some() && entry.key == ProofId::of_key(proof.key.as_ref()) =>
            {
                Ok(Some(entry.durable))
            }
            Some(_) => Err(RejectedToken::Replayed),
        }
    }

    fn insert(&mut self, proof: &Use, key: ProofId, shares: Shares) -> Result<(), RejectedToken> {
        if !self.has_room(shares) {
            return Err(RejectedToken::ReplayCacheFull);
        }
        let entry = Entry {
            key,
            shares: Some(shares),
            until: proof.until,
            durable: false,
        };
        *self.names.entry(shares.name).or_default() += 1;
        *self.issuers.entry(shares.issuer).or_default() += 1;
        self.strangers += usize::from(!shares.is_known);
        self.ends.insert((proof.until, proof.id));
        self.proofs.insert(proof.id, entry);
        Ok(())
    }

    /// True if the owner is within every share. Shares are fractions of the free room: an owner
    /// that takes all it can get leaves room for the next.
    fn has_room(&self, shares: Shares) -> bool {
        let used = self.proofs.len();
        let shared = self.capacity - self.capacity / PART_IN_RESERVE;
        let free = shared.saturating_sub(used);
        let own = self.names.get(&shares.name).copied().unwrap_or_default();
        let issuer = self.issuers.get(&shares.issuer);
        let issuer = issuer.copied().unwrap_or_default();
        let is_within = own < free.div_ceil(FREE_PART_PER_IDENTITY)
            && issuer < free.div_ceil(FREE_PART_PER_ISSUER);
        let has_few = own < MAX_PROOFS_PER_STRANGER;
        if shares.is_known {
            return is_within || (has_few && used < self.capacity && issuer < self.capacity / 2);
        }
        is_within && has_few && self.strangers < self.capacity / PART_OF_STRANGERS
    }

    fn forget(&mut self, now: Timestamp) {
        while let Some((until, id)) = self.ends.first().copied() {
            if until >= now {
                return;
            }
            self.ends.pop_first();
            let Some(entry) = self.proofs.remove(&id) else {
                continue;
            };
            let Some(shares) = entry.shares else {
                continue;
            };
            take_from(&mut self.names, shares.name);
            take_from(&mut self.issuers, shares.issuer);
            self.strangers -= usize::from(!shares.is_known);
        }
    }

    /// Loads every readable record. A record after the mark may be torn by a crash: no caller was
    /// told that it was durable. An unreadable record before the mark is a durable use that is
    /// lost.
    fn load(
        &mut self,
        disk: &dyn Disk,
        (directory, was_used): (&Path, bool),
        now: Timestamp,
    ) -> Loaded {
        let mark = Mark::read(disk, &directory.join(DURABLE_FILE));
        let bytes = match disk.read(&directory.join(USED_FILE)) {
            Ok(bytes) => bytes,
            Err(error) => {
                // The first start creates the file before the journal has a record. A mark that
                // counts records of a missing or unreadable file therefore means a loss.
                let is_lost = was_used
                    || error.kind() != io::ErrorKind::NotFound
                    || mark.is_some_and(|[records, ..]| records > 0);
                return Loaded {
                    damage: is_lost.then(|| format!("it cannot be read: {error}")),
                    ..Loaded::default()
                };
            }
        };
        let records = bytes.chunks_exact(RECORD_BYTES);
        let (count, is_even) = (records.len(), records.remainder().is_empty());
        let mut bad = Vec::new();
        let mut generation = None;
        for (place, record) in records.enumerate() {
            match decode(record) {
                Some((id, _, number)) if id == generation_id() => {
                    generation = Some(number.as_millis());
                }
                Some((id, key, until)) if until >= now && !self.proofs.contains_key(&id) => {
                    let entry = Entry {
                        key,
                        shares: None,
                        until,
                        durable: true,
                    };
                    self.proofs.insert(id, entry);
                    self.ends.insert((until, id));
                }
                Some(_) => {}
                None => bad.push(place),
            }
        }
        // After a loss of power the mark may belong to the previous file. A file is replaced as a
        // whole, so only the last batch of the new one can be torn.
        let is_later = |of: u64| generation.is_some_and(|generation| generation != of);
        let durable = match mark {
            Some([_, of, ..]) if is_later(of) => count.saturating_sub(BATCH_RECORDS),
            Some([durable, ..]) => usize::try_from(durable).unwrap_or(usize::MAX),
            None => count,
        };
        let damage = match bad.first().filter(|place| **place < durable) {
            Some(place) => Some(format!("record {place} of {durable} cannot be read")),
            None if count < durable => Some(format!("it holds {count} records of {durable}")),
            None => None,
        };
        let whole = bad.is_empty() && is_even && damage.is_none();
        if !whole && damage.is_none() {
            tracing::warn!(
                count,
                "the file of used tokens ends in a torn batch, which is dropped"
            );
        }
        Loaded {
            records: count,
            generation: generation.unwrap_or_default(),
            whole,
            damage,
        }
    }
}

/// The result of loading a file of records.
#[derive(Default)]
struct Loaded {
    records: usize,
    /// Number of this file in the sequence of files that replaced one another.
    generation: u64,
    /// True if new records can be appended.
    whole: bool,
    /// The damage, if durable records are lost.
    damage: Option<String>,
}

/// Returns the damage that an earlier start recorded, until it no longer matters.
fn known_damage(disk: &dyn Disk, directory: &Path, now: Timestamp) -> Option<Damage> {
    let path = directory.join(DAMAGED_FILE);
    let there = disk.list(directory).ok()?.contains(&path);
    there.then_some(())?;
    // An unreadable mark does not say until when the damage matters, so the longest time is
    // assumed.
    let until = Mark::read(disk, &path).map_or(now + REPLAY_RISK, |[until, ..]| {
        Timestamp::from_millis(until)
    });
    (now < until).then(|| Damage {
        file: directory.join(USED_FILE),
        why: "an earlier start found records that cannot be read".to_owned(),
        until,
    })
}

fn remember_damage(disk: &Files, directory: &Path, damage: &Damage) -> io::Result<()> {
    disk.create_directories(directory)?;
    let numbers = [damage.until.as_millis(), 0, 0, 0];
    Mark::begin(disk, directory.join(DAMAGED_FILE), numbers).map(drop)
}

/// Returns the id of the first record of a file, which holds the generation and is no proof.
fn generation_id() -> ProofId {
    ProofId::of(&["the generation of this file"])
}

fn take_from(counts: &mut HashMap<ProofId, usize>, of: ProofId) {
    if let Some(count) = counts.get_mut(&of) {
        *count = count.saturating_sub(1);
        if *count == 0 {
            counts.remove(&of);
        }
    }
}

/// The file, owned by the writer thread.
struct Log {
    disk: Files,
    directory: PathBuf,
    file: Option<Box<dyn OpenFile>>,
    mark: Option<Mark>,
    entries: Arc<Mutex<Entries>>,
    /// Number of records in the file.
    records: usize,
    /// Bytes of the file that have disk blocks.
    allocated: u64,
    generation: u64,
    /// True after an error. The file is then replaced instead of extended, since its end is
    /// unknown.
    broken: bool,
    /// The last write error, shared with readers.
    trouble: Arc<Mutex<Option<String>>>,
}

impl Log {
    /// Opens the file for appending. `sync` comes first: the loaded records are relied upon from
    /// now on, and may have been in the page cache only.
    fn begin(&mut self, now: Timestamp) -> io::Result<()> {
        self.disk.create_directories(&self.directory)?;
        if self.broken || self.records == 0 {
            return self.rewrite(now);
        }
        let file = self
            .disk
            .open(&self.directory.join(USED_FILE), Access::Write)?;
        file.sync()?;
        self.file = Some(file);
        self.make_room();
        self.begin_mark()
    }

    /// Allocates blocks ahead when half of the previous allocation is used. If the disk is full,
    /// the next write reports it.
    fn make_room(&mut self) {
        let end = (self.records * RECORD_BYTES) as u64;
        if self.allocated.saturating_sub(end) < ALLOCATED_BYTES / 2
            && let Some(file) = &self.file
            && file.allocate(end, ALLOCATED_BYTES, Length::Kept).is_ok()
        {
            self.allocated = end + ALLOCATED_BYTES;
        }
    }

    fn begin_mark(&mut self) -> io::Result<()> {
        let numbers = [self.records as u64, self.generation, 0, 0];
        self.mark = Some(Mark::begin(
            &self.disk,
            self.directory.join(DURABLE_FILE),
            numbers,
        )?);
        Ok(())
    }

    /// Writes batches until every sender is dropped.
    fn write_all(mut self, queue: &Receiver<Write>) {
        loop {
            let first = match queue.recv_timeout(RETRY_INTERVAL) {
                Ok(first) => first,
                Err(RecvTimeoutError::Disconnected) => return,
                Err(RecvTimeoutError::Timeout) if self.broken => {
                    // While the file is broken, no caller is accepted, so no write would find out
                    // that the disk works again. This retry does.
                    let begun = self.rewrite(Timestamp::EPOCH);
                    self.note(&begun);
                    continue;
                }
                Err(RecvTimeoutError::Timeout) => continue,
            };
            let mut batch = vec![first];
            batch.extend(queue.try_iter().take(BATCH_RECORDS - 1));
            let done = self.write(&batch);
            self.note(&done);
            if done.is_ok() {
                let mut entries = self.entries.lock();
                for write in &batch {
                    if let Some(entry) = entries.proofs.get_mut(&write.id) {
                        entry.durable = true;
                    }
                }
            }
            for write in batch {
                // A caller that has gone away needs no answer.
                write.written.send(done.is_ok()).ok();
            }
        }
    }

    /// Records the outcome of a write, and logs the first of several failures.
    fn note(&mut self, done: &io::Result<()>) {
        self.broken = done.is_err();
        let why = done.as_ref().err().map(ToString::to_string);
        let mut trouble = self.trouble.lock();
        if let Some(error) = why.as_ref().filter(|_| trouble.is_none()) {
            tracing::error!(
                error,
                "cannot write the file of used tokens: every token that could be replayed is refused"
            );
        }
        *trouble = why;
    }

    fn write(&mut self, batch: &[Write]) -> io::Result<()> {
        let live = self.entries.lock().proofs.len();
        let file = self
            .file
            .as_ref()
            .filter(|_| !self.broken && self.records <= 2 * live + SPARE_RECORDS);
        let Some(file) = file else {
            let now = batch.iter().map(|write| write.now).max();
            // The batch is already among the entries that the new file holds.
            return self.rewrite(now.unwrap_or(Timestamp::EPOCH));
        };
        let bytes: Vec<u8> = batch.iter().flat_map(|write| write.record).collect();
        file.write_at(&bytes, (self.records * RECORD_BYTES) as u64)?;
        file.sync()?;
        self.records += batch.len();
        self.make_room();
        match self.mark.as_mut().filter(|mark| !mark.is_lost()) {
            Some(mark) => mark.set([self.records as u64, self.generation, 0, 0]),
            // A disk that was too full for the mark may have space again.
            None => drop(self.begin_mark()),
        }
        Ok(())
    }

    /// Replaces the file by one that holds only live records.
    fn rewrite(&mut self, now: Timestamp) -> io::Result<()> {
        let generation = self.generation + 1;
        let nobody = ProofId([0; 32]);
        let mut bytes =
            encode(generation_id(), nobody, Timestamp::from_millis(generation)).to_vec();
        let entries = self.entries.lock();
        let live = entries
            .proofs
            .iter()
            .filter(|(_, entry)| entry.until >= now);
        live.for_each(|(id, entry)| bytes.extend(encode(*id, entry.key, entry.until)));
        drop(entries);
        let path = self.directory.join(USED_FILE);
        self.file = Some(replace(self.disk.as_ref(), &path, &bytes)?);
        (self.generation, self.records) = (generation, bytes.len() / RECORD_BYTES);
        self.allocated = 0;
        self.make_room();
        self.begin_mark()
    }
}

fn encode(id: ProofId, key: ProofId, until: Timestamp) -> [u8; RECORD_BYTES] {
    let mut record = [0; RECORD_BYTES];
    let checksum = |bytes: &[u8]| crc32c::crc32c(bytes).to_le_bytes();
    let body: Vec<u8> = [&id.0[..], &key.0, &until.as_millis().to_le_bytes()].concat();
    for (place, byte) in record.iter_mut().zip(body.iter().chain(&checksum(&body))) {
        *place = *byte;
    }
    record
}

fn decode(record: &[u8]) -> Option<(ProofId, ProofId, Timestamp)> {
    let (body, checksum) = record.split_last_chunk::<4>()?;
    if crc32c::crc32c(body).to_le_bytes() != *checksum {
        return None;
    }
    let (id, rest) = body.split_first_chunk::<32>()?;
    let (key, until) = rest.split_first_chunk::<32>()?;
    let until = u64::from_le_bytes(until.try_into().ok()?);
    Some((ProofId(*id), ProofId(*key), Timestamp::from_millis(until)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);

    fn entries() -> Entries {
        Entries {
            capacity: 4000,
            ..Entries::default()
        }
    }

    /// Records uses for one owner until the cache refuses, and returns their number.
    fn fill(entries: &mut Entries, issuer: &str, name: &str, is_known: bool) -> usize {
        let shares = Shares::of(Owner {
            issuer,
            name,
            is_known,
        });
        let one = |place: usize| Use {
            id: ProofId::of(&[name, &place.to_string()]),
            key: None,
            until: NOW,
        };
        let key = ProofId([0; 32]);
        let place = (0..).find(|place| entries.insert(&one(*place), key, shares).is_err());
        place.unwrap_or_default()
    }

    #[test]
    fn s29_eight_identities_do_not_fill_the_cache() {
        let mut entries = entries();
        for name in 0..8 {
            fill(&mut entries, "a", &name.to_string(), true);
        }
        assert!(fill(&mut entries, "b", "another", true) > 100);
    }

    #[test]
    fn s29_the_identities_of_one_issuer_leave_room_for_those_of_others() {
        let mut entries = entries();
        for name in 0..1000 {
            fill(&mut entries, "a", &name.to_string(), true);
        }
        assert!(entries.proofs.len() <= 2000, "{}", entries.proofs.len());
        assert!(fill(&mut entries, "b", "another", true) > 150);
    }

    #[test]
    fn s29_hundreds_of_identities_leave_room_for_another() {
        let mut entries = Entries {
            capacity: 200_000,
            ..Entries::default()
        };
        for issuer in 0..10 {
            for name in 0..15 {
                let name = format!("{issuer} {name}");
                fill(&mut entries, &issuer.to_string(), &name, true);
            }
        }
        let another = fill(&mut entries, "another", "another", true);
        assert!(another >= MAX_PROOFS_PER_STRANGER, "{another}");
    }

    #[test]
    fn s29_strangers_share_a_small_part_of_the_cache() {
        let mut entries = entries();
        assert_eq!(
            fill(&mut entries, "a", "one", false),
            MAX_PROOFS_PER_STRANGER
        );
        for name in 0..1000 {
            fill(
                &mut entries,
                &(name % 7).to_string(),
                &name.to_string(),
                false,
            );
        }
        assert_eq!(entries.proofs.len(), entries.capacity / PART_OF_STRANGERS);
        assert!(fill(&mut entries, "a", "known", true) > 400);
        // Room of expired proofs can be used again by the same owner.
        entries.forget(NOW + std::time::Duration::from_secs(1));
        assert_eq!(
            (
                entries.strangers,
                entries.names.len(),
                entries.issuers.len()
            ),
            (0, 0, 0)
        );
        assert_eq!(
            fill(&mut entries, "a", "one", false),
            MAX_PROOFS_PER_STRANGER
        );
    }
}
