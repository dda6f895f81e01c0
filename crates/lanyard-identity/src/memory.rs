//! What was shown once is not taken again (T12): the proofs that were used, remembered on disk for as long as they could
//! be accepted.
//!
//! One file of fixed records, and a mark of how many of them are durable. The file is written anew from what still counts
//! whenever most of it does not count any more, and after anything that went wrong with it. Where a use that was durable
//! cannot be read, that stays known for as long as it could matter: one of the tokens of before may be shown again.

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

/// Proofs that are remembered.
///
/// # Limit
/// - for: all callers together
/// - unit: proofs
/// - beyond: no caller is accepted until proofs have ended
/// - test: `s29_hundreds_of_identities_leave_room_for_another`
const MAX_PROOFS: usize = 2_000_000;
/// The part of the room that is left which one identity may hold: each takes less than the one before (S29).
///
/// # Limit
/// - for: an identity that a charter or a role names
/// - unit: part of the free room
/// - beyond: that identity is refused until some of its proofs have ended
/// - test: `s29_eight_identities_do_not_fill_the_memory_for_everybody`
const FREE_PART_PER_IDENTITY: usize = 8;
/// The same for all identities of one issuer together.
///
/// # Limit
/// - for: an issuer
/// - unit: part of the free room
/// - beyond: identities of that issuer are refused until some of its proofs have ended
/// - test: `s29_the_identities_of_one_issuer_leave_room_for_those_of_others`
const FREE_PART_PER_ISSUER: usize = 1;
/// The part of all the room that is kept for identities with few proofs: who takes all that may be had does not take this.
///
/// # Limit
/// - for: identities that a charter or a role names, with fewer than 64 proofs
/// - unit: part of the room
/// - beyond: identities with more proofs are refused until some of their proofs have ended
/// - test: `s29_hundreds_of_identities_leave_room_for_another`
const PART_IN_RESERVE: usize = 16;
/// Proofs that are few. A stranger, whom nothing names, has no more: where an issuer's tokens are to be had by everybody,
/// strangers are anybody.
///
/// # Limit
/// - for: a stranger
/// - unit: proofs
/// - beyond: that stranger is refused until some of these proofs have ended
/// - test: `s29_strangers_get_next_to_nothing`
const MAX_PROOFS_PER_STRANGER: usize = 64;
/// The part of all the room that strangers hold together.
///
/// # Limit
/// - for: all strangers together
/// - unit: part of the room
/// - beyond: strangers are refused until some of their proofs have ended
/// - test: `s29_strangers_get_next_to_nothing`
const PART_OF_STRANGERS: usize = 50;
/// A record: the proof, the key, until when (milliseconds), and a checksum of all that.
const RECORD: usize = 32 + 32 + 8 + 4;
/// How many records are put on disk at once, at most.
const BATCH: usize = 4096;
/// For how long a use that was lost could be shown again: the longest life of a token, and an hour of clocks that disagree.
const DOUBT: Duration = Duration::from_secs(25 * 3600);
/// The file of records, the mark of how many are durable, and the mark of a damage.
const USED: &str = "used";
const DURABLE: &str = "used-durable";
const DAMAGED: &str = "used-damaged";
/// How much is allocated ahead of the records, in bytes: on a full disk people still have to say who they are, to lift what was
/// stopped.
const ROOM_BYTES: u64 = 256 << 10;
/// How often a file that cannot be written is tried again.
const RETRY_INTERVAL: Duration = Duration::from_secs(1);
/// How many records that do not count any more are left in the file, besides as many as count.
const SPARE: usize = 16_384;

/// The name under which a proof is remembered: a digest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ProofId([u8; 32]);

impl ProofId {
    /// Of these texts, each with its length.
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

    /// Of a key: which one holds a token.
    fn of_key(key: Option<&Confirmation>) -> Self {
        match key {
            Some(Confirmation::Key(digest)) => Self::of(&["jkt", digest]),
            Some(Confirmation::Certificate(digest)) => Self::of(&["x5t", digest]),
            None => Self([0; 32]),
        }
    }
}

/// What is to be remembered of a proof.
#[derive(Debug, Clone)]
pub struct Use {
    /// Which.
    pub id: ProofId,
    /// The key that holds it from now on: that one may show it again. None: it is used up.
    pub key: Option<Confirmation>,
    /// Until when it could be accepted.
    pub until: Timestamp,
}

/// Who uses a proof, for a fair share of the memory.
#[derive(Debug, Clone, Copy)]
pub struct Owner<'a> {
    /// The issuer.
    pub issuer: &'a str,
    /// The identity, or what else stands for it.
    pub name: &'a str,
    /// Whether a charter in force, a role or a lease knows it.
    pub is_known: bool,
}

/// Whose share a proof counts against.
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

struct Kept {
    key: ProofId,
    /// Nobody's, where it was read from the disk.
    shares: Option<Shares>,
    until: Timestamp,
    /// Whether it is on disk.
    durable: bool,
}

struct Held {
    /// How many are remembered at most.
    capacity: usize,
    proofs: HashMap<ProofId, Kept>,
    /// By when they end.
    ends: BTreeSet<(Timestamp, ProofId)>,
    /// How many each identity has.
    names: HashMap<ProofId, usize>,
    /// How many the identities of each issuer have.
    issuers: HashMap<ProofId, usize>,
    /// How many strangers have together.
    strangers: usize,
}

impl Default for Held {
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

/// Uses that were durable and cannot be read any more.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{} is damaged: {why}; a token that was used before may be taken again until {until}", file.display())]
pub struct Damage {
    /// The file.
    pub file: PathBuf,
    /// What does not hold in it.
    pub why: String,
    /// Until when one of the lost uses could count.
    pub until: Timestamp,
}

/// The memory.
pub struct Memory {
    held: Arc<Mutex<Held>>,
    disk: Files,
    directory: PathBuf,
    damage: Mutex<Option<Damage>>,
    trouble: Arc<Mutex<Option<String>>>,
    /// To the thread that writes; it ends with the sender.
    writer: Sender<Write>,
}

impl std::fmt::Debug for Memory {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Memory({})", self.held.lock().proofs.len())
    }
}

struct Write {
    id: ProofId,
    record: [u8; RECORD],
    now: Timestamp,
    written: oneshot::Sender<bool>,
}

/// A proof that is remembered in memory, and soon on disk.
#[must_use]
pub struct Remembered(Option<oneshot::Receiver<bool>>);

impl Remembered {
    /// Until it is on disk.
    ///
    /// # Errors
    /// [`RejectedToken::Forgetful`] where the disk does not take it.
    pub async fn durable(self) -> Result<(), RejectedToken> {
        match self.0 {
            None => Ok(()),
            Some(written) => match written.await {
                Ok(true) => Ok(()),
                Ok(false) | Err(_) => Err(RejectedToken::Forgetful),
            },
        }
    }
}

impl Memory {
    /// Opens what is remembered in this directory, and forgets what cannot be accepted any more. What cannot be read is a
    /// [`Damage`], and so is a file that is gone where it `was_used`; where nothing can be written, nothing is accepted that could be used twice.
    ///
    /// # Errors
    /// When the thread that writes does not start.
    pub fn open(
        disk: &Files,
        directory: &Path,
        now: Timestamp,
        was_used: bool,
    ) -> io::Result<Arc<Self>> {
        let path = directory.join(USED);
        let mut held = Held::default();
        let found = held.load(disk.as_ref(), (directory, was_used), now);
        let known = known_damage(disk.as_ref(), directory, now);
        let damage = found.damage.map(|why| Damage {
            file: path.clone(),
            why,
            until: now + DOUBT,
        });
        if let Some(damage) = &damage {
            tracing::error!(%damage, "used tokens are lost");
            // Before the file is written anew: the next start has to know of it.
            if let Err(error) = remember_damage(disk, directory, damage) {
                tracing::error!(%error, "the damage of the used proofs cannot be written down");
            }
        }
        let held = Arc::new(Mutex::new(held));
        let mut log = Log {
            disk: Files::clone(disk),
            directory: directory.to_path_buf(),
            file: None,
            mark: None,
            held: Arc::clone(&held),
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
            held,
            disk: Files::clone(disk),
            directory: directory.to_path_buf(),
            damage: Mutex::new(damage.or(known)),
            trouble,
            writer,
        }))
    }

    /// What is lost of what was used, for as long as it matters.
    #[must_use]
    pub fn damage(&self, now: Timestamp) -> Option<Damage> {
        self.damage.lock().clone().filter(|it| now < it.until)
    }

    /// The file, and why it cannot be written, where that is so.
    #[must_use]
    pub fn trouble(&self) -> Option<(PathBuf, String)> {
        let why = self.trouble.lock().clone()?;
        Some((self.directory.join(USED), why))
    }

    /// People say that issuing goes on in spite of the damage.
    ///
    /// # Errors
    /// As of the file system: the next start finds the damage again.
    pub fn accept_damage(&self) -> io::Result<()> {
        *self.damage.lock() = None;
        match self.disk.remove(&self.directory.join(DAMAGED)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            removed => removed.and_then(|()| self.disk.sync_directory(&self.directory)),
        }
    }

    /// Whether this is remembered.
    #[must_use]
    pub fn knows(&self, id: ProofId) -> bool {
        self.held.lock().proofs.contains_key(&id)
    }

    /// Whether this would be refused now; says nothing of a moment later.
    ///
    /// # Errors
    /// [`RejectedToken::Replayed`].
    pub fn would_take(&self, proof: &Use) -> Result<(), RejectedToken> {
        self.held.lock().takes(proof).map(drop)
    }

    /// Remembers it as used by this identity, unless it is remembered already. Where a key that holds it shows it again and
    /// that is on disk, nothing has to be written.
    ///
    /// # Errors
    /// [`RejectedToken::Replayed`], or [`RejectedToken::Busy`] when too much is remembered.
    pub fn remember(
        &self,
        proof: &Use,
        owner: Owner<'_>,
        now: Timestamp,
    ) -> Result<Remembered, RejectedToken> {
        let mut held = self.held.lock();
        held.forget(now);
        let key = ProofId::of_key(proof.key.as_ref());
        match held.takes(proof)? {
            Some(true) => return Ok(Remembered(None)),
            Some(false) => {}
            None => held.insert(proof, key, Shares::of(owner))?,
        }
        drop(held);
        let (written, durable) = oneshot::channel();
        let write = Write {
            id: proof.id,
            record: encode(proof.id, key, proof.until),
            now,
            written,
        };
        // A writer that has ended drops the other side, which is an answer.
        drop(self.writer.send(write));
        Ok(Remembered(Some(durable)))
    }
}

impl Held {
    /// Whether the key that holds it shows it again, and then whether that is on disk; none where it is new.
    fn takes(&self, proof: &Use) -> Result<Option<bool>, RejectedToken> {
        match self.proofs.get(&proof.id) {
            None => Ok(None),
            Some(kept)
                if proof.key.is_some() && kept.key == ProofId::of_key(proof.key.as_ref()) =>
            {
                Ok(Some(kept.durable))
            }
            Some(_) => Err(RejectedToken::Replayed),
        }
    }

    fn insert(&mut self, proof: &Use, key: ProofId, shares: Shares) -> Result<(), RejectedToken> {
        if !self.has_room(shares) {
            return Err(RejectedToken::Busy);
        }
        let kept = Kept {
            key,
            shares: Some(shares),
            until: proof.until,
            durable: false,
        };
        *self.names.entry(shares.name).or_default() += 1;
        *self.issuers.entry(shares.issuer).or_default() += 1;
        self.strangers += usize::from(!shares.is_known);
        self.ends.insert((proof.until, proof.id));
        self.proofs.insert(proof.id, kept);
        Ok(())
    }

    /// Whether there is room within every share. What one may hold is a part of what is free, so that whoever takes all
    /// that may be had leaves room for the next.
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
            let Some(kept) = self.proofs.remove(&id) else {
                continue;
            };
            let Some(shares) = kept.shares else {
                continue;
            };
            take_from(&mut self.names, shares.name);
            take_from(&mut self.issuers, shares.issuer);
            self.strangers -= usize::from(!shares.is_known);
        }
    }

    /// Takes in every record that can be read. What is unreadable behind the mark of what is durable was torn by a crash, and
    /// nobody was told that it was written; before the mark it is lost.
    fn load(
        &mut self,
        disk: &dyn Disk,
        (directory, was_used): (&Path, bool),
        now: Timestamp,
    ) -> Loaded {
        let mark = Mark::read(disk, &directory.join(DURABLE));
        let bytes = match disk.read(&directory.join(USED)) {
            Ok(bytes) => bytes,
            Err(error) => {
                // The first start writes the file before the journal has a record. A mark that counts records of a file that
                // is not there, or cannot be read, says as much.
                let is_lost = was_used
                    || error.kind() != io::ErrorKind::NotFound
                    || mark.is_some_and(|[records, ..]| records > 0);
                return Loaded {
                    damage: is_lost.then(|| format!("it cannot be read: {error}")),
                    ..Loaded::default()
                };
            }
        };
        let records = bytes.chunks_exact(RECORD);
        let (count, is_even) = (records.len(), records.remainder().is_empty());
        let mut bad = Vec::new();
        let mut generation = None;
        for (place, record) in records.enumerate() {
            match decode(record) {
                Some((id, _, number)) if id == generation_id() => {
                    generation = Some(number.as_millis());
                }
                Some((id, key, until)) if until >= now && !self.proofs.contains_key(&id) => {
                    let kept = Kept {
                        key,
                        shares: None,
                        until,
                        durable: true,
                    };
                    self.proofs.insert(id, kept);
                    self.ends.insert((until, id));
                }
                Some(_) => {}
                None => bad.push(place),
            }
        }
        // A loss of power may leave the mark of the file before this one: then this one was written as a whole, and no more
        // than its last batch can be torn.
        let is_later = |of: u64| generation.is_some_and(|generation| generation != of);
        let durable = match mark {
            Some([_, of, ..]) if is_later(of) => count.saturating_sub(BATCH),
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
            tracing::warn!(count, "the used proofs end in a torn batch");
        }
        Loaded {
            records: count,
            generation: generation.unwrap_or_default(),
            whole,
            damage,
        }
    }
}

/// What a file of records holds.
#[derive(Default)]
struct Loaded {
    records: usize,
    /// Which file it is, of those that took each other's place.
    generation: u64,
    /// Whether it can be built upon.
    whole: bool,
    /// What is lost.
    damage: Option<String>,
}

/// A damage that an earlier start found, for as long as it matters.
fn known_damage(disk: &dyn Disk, directory: &Path, now: Timestamp) -> Option<Damage> {
    let path = directory.join(DAMAGED);
    let there = disk.list(directory).ok()?.contains(&path);
    there.then_some(())?;
    // A mark that cannot be read is of a time that is not known.
    let until =
        Mark::read(disk, &path).map_or(now + DOUBT, |[until, ..]| Timestamp::from_millis(until));
    (now < until).then(|| Damage {
        file: directory.join(USED),
        why: "an earlier start found records that cannot be read".to_owned(),
        until,
    })
}

fn remember_damage(disk: &Files, directory: &Path, damage: &Damage) -> io::Result<()> {
    disk.create_directories(directory)?;
    let numbers = [damage.until.as_millis(), 0, 0, 0];
    Mark::begin(disk, directory.join(DAMAGED), numbers).map(drop)
}

/// The name of the first record of a file, which says which file it is and is nobody's proof.
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

/// The file, in the hands of the thread that writes it.
struct Log {
    disk: Files,
    directory: PathBuf,
    file: Option<Box<dyn OpenFile>>,
    mark: Option<Mark>,
    held: Arc<Mutex<Held>>,
    /// How many records it has.
    records: usize,
    /// Up to where there are blocks for it, in bytes.
    allocated: u64,
    generation: u64,
    /// Whether something went wrong with it: then it is not built upon.
    broken: bool,
    /// Why it cannot be written, for whoever asks.
    trouble: Arc<Mutex<Option<String>>>,
}

impl Log {
    /// Opens the file to go on with it. What was read is relied upon from now on, and may have been in the page cache alone.
    fn begin(&mut self, now: Timestamp) -> io::Result<()> {
        self.disk.create_directories(&self.directory)?;
        if self.broken || self.records == 0 {
            return self.anew(now);
        }
        let file = self.disk.open(&self.directory.join(USED), Access::Write)?;
        file.sync()?;
        self.file = Some(file);
        self.make_room();
        self.begin_mark()
    }

    /// Allocates blocks ahead, once half of the last ones are used. A disk that does not have them is found out by a write.
    fn make_room(&mut self) {
        let end = (self.records * RECORD) as u64;
        if self.allocated.saturating_sub(end) < ROOM_BYTES / 2
            && let Some(file) = &self.file
            && file.allocate(end, ROOM_BYTES, Length::Kept).is_ok()
        {
            self.allocated = end + ROOM_BYTES;
        }
    }

    fn begin_mark(&mut self) -> io::Result<()> {
        let numbers = [self.records as u64, self.generation, 0, 0];
        self.mark = Some(Mark::begin(
            &self.disk,
            self.directory.join(DURABLE),
            numbers,
        )?);
        Ok(())
    }

    /// Until nobody can ask any more.
    fn write_all(mut self, queue: &Receiver<Write>) {
        loop {
            let first = match queue.recv_timeout(RETRY_INTERVAL) {
                Ok(first) => first,
                Err(RecvTimeoutError::Disconnected) => return,
                Err(RecvTimeoutError::Timeout) if self.broken => {
                    // Nobody is accepted meanwhile, so that nobody else would find out that the disk is mended.
                    let begun = self.anew(Timestamp::EPOCH);
                    self.note(&begun);
                    continue;
                }
                Err(RecvTimeoutError::Timeout) => continue,
            };
            let mut batch = vec![first];
            batch.extend(queue.try_iter().take(BATCH - 1));
            let done = self.write(&batch);
            self.note(&done);
            if done.is_ok() {
                let mut held = self.held.lock();
                for write in &batch {
                    if let Some(kept) = held.proofs.get_mut(&write.id) {
                        kept.durable = true;
                    }
                }
            }
            for write in batch {
                // Who has gone away needs no answer.
                write.written.send(done.is_ok()).ok();
            }
        }
    }

    /// What became of a write.
    fn note(&mut self, done: &io::Result<()>) {
        self.broken = done.is_err();
        let why = done.as_ref().err().map(ToString::to_string);
        let mut trouble = self.trouble.lock();
        if let Some(error) = why.as_ref().filter(|_| trouble.is_none()) {
            tracing::error!(
                error,
                "the used proofs cannot be written: nothing is accepted that could be used twice"
            );
        }
        *trouble = why;
    }

    fn write(&mut self, batch: &[Write]) -> io::Result<()> {
        let live = self.held.lock().proofs.len();
        let file = self
            .file
            .as_ref()
            .filter(|_| !self.broken && self.records <= 2 * live + SPARE);
        let Some(file) = file else {
            let now = batch.iter().map(|write| write.now).max();
            // The batch itself is among what is held.
            return self.anew(now.unwrap_or(Timestamp::EPOCH));
        };
        let bytes: Vec<u8> = batch.iter().flat_map(|write| write.record).collect();
        file.write_at(&bytes, (self.records * RECORD) as u64)?;
        file.sync()?;
        self.records += batch.len();
        self.make_room();
        match self.mark.as_mut().filter(|mark| !mark.is_lost()) {
            Some(mark) => mark.set([self.records as u64, self.generation, 0, 0]),
            // A disk that was too full for it may have space again.
            None => drop(self.begin_mark()),
        }
        Ok(())
    }

    /// Another file, of what still counts, in place of this one.
    fn anew(&mut self, now: Timestamp) -> io::Result<()> {
        let generation = self.generation + 1;
        let nobody = ProofId([0; 32]);
        let mut bytes =
            encode(generation_id(), nobody, Timestamp::from_millis(generation)).to_vec();
        let held = self.held.lock();
        let live = held.proofs.iter().filter(|(_, kept)| kept.until >= now);
        live.for_each(|(id, kept)| bytes.extend(encode(*id, kept.key, kept.until)));
        drop(held);
        let path = self.directory.join(USED);
        self.file = Some(replace(self.disk.as_ref(), &path, &bytes)?);
        (self.generation, self.records) = (generation, bytes.len() / RECORD);
        self.allocated = 0;
        self.make_room();
        self.begin_mark()
    }
}

fn encode(id: ProofId, key: ProofId, until: Timestamp) -> [u8; RECORD] {
    let mut record = [0; RECORD];
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

    fn held() -> Held {
        Held {
            capacity: 4000,
            ..Held::default()
        }
    }

    /// How many proofs this one gets, who takes all that there are to be had.
    fn fill(held: &mut Held, issuer: &str, name: &str, is_known: bool) -> usize {
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
        let place = (0..).find(|place| held.insert(&one(*place), key, shares).is_err());
        place.unwrap_or_default()
    }

    #[test]
    fn s29_eight_identities_do_not_fill_the_memory_for_everybody() {
        let mut held = held();
        for name in 0..8 {
            fill(&mut held, "a", &name.to_string(), true);
        }
        assert!(fill(&mut held, "b", "another", true) > 100);
    }

    #[test]
    fn s29_the_identities_of_one_issuer_leave_room_for_those_of_others() {
        let mut held = held();
        for name in 0..1000 {
            fill(&mut held, "a", &name.to_string(), true);
        }
        assert!(held.proofs.len() <= 2000, "{}", held.proofs.len());
        assert!(fill(&mut held, "b", "another", true) > 150);
    }

    #[test]
    fn s29_hundreds_of_identities_leave_room_for_another() {
        let mut held = Held {
            capacity: 200_000,
            ..Held::default()
        };
        for issuer in 0..10 {
            for name in 0..15 {
                let name = format!("{issuer} {name}");
                fill(&mut held, &issuer.to_string(), &name, true);
            }
        }
        let another = fill(&mut held, "another", "another", true);
        assert!(another >= MAX_PROOFS_PER_STRANGER, "{another}");
    }

    #[test]
    fn s29_strangers_get_next_to_nothing() {
        let mut held = held();
        assert_eq!(fill(&mut held, "a", "one", false), MAX_PROOFS_PER_STRANGER);
        for name in 0..1000 {
            fill(&mut held, &(name % 7).to_string(), &name.to_string(), false);
        }
        assert_eq!(held.proofs.len(), held.capacity / PART_OF_STRANGERS);
        assert!(fill(&mut held, "a", "known", true) > 400);
        // What has ended is room again, for whoever had it.
        held.forget(NOW + std::time::Duration::from_secs(1));
        assert_eq!(
            (held.strangers, held.names.len(), held.issuers.len()),
            (0, 0, 0)
        );
        assert_eq!(fill(&mut held, "a", "one", false), MAX_PROOFS_PER_STRANGER);
    }
}
