//! What was shown once is not taken again (T12): the proofs that were used, remembered on disk for as long as they could
//! be accepted.
//!
//! One file of fixed records. It is written anew from what still counts whenever most of it does not count any more, and
//! after anything that went wrong with it.

use std::collections::{BTreeSet, HashMap};
use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};

use lanyard_core::identity::Confirmation;
use lanyard_core::time::Timestamp;
use parking_lot::Mutex;
use tokio::sync::oneshot;

use crate::RejectedToken;

/// How many proofs are remembered; beyond that nothing is accepted.
const MOST: usize = 2_000_000;
/// How many of one identity: nobody uses up the room of the others.
const MOST_OF_ONE: u32 = 250_000;
/// A record: the proof, the key, until when (milliseconds), and a checksum of all that.
const RECORD: usize = 32 + 32 + 8 + 4;
/// How many records are put on disk at once, at most.
const BATCH: usize = 4096;
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

struct Kept {
    key: ProofId,
    owner: ProofId,
    until: Timestamp,
    /// Whether it is on disk.
    durable: bool,
}

#[derive(Default)]
struct Held {
    proofs: HashMap<ProofId, Kept>,
    ends: BTreeSet<(Timestamp, ProofId)>,
    /// How many are of whom.
    owners: HashMap<ProofId, u32>,
}

/// The memory.
pub struct Memory {
    held: Arc<Mutex<Held>>,
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
    /// Opens what is remembered in this directory, and forgets what cannot be accepted any more.
    ///
    /// # Errors
    /// When the directory cannot be used, or a record that was durable is damaged.
    pub fn open(directory: &Path, now: Timestamp) -> io::Result<Arc<Self>> {
        std::fs::create_dir_all(directory)?;
        let path = directory.join("used");
        let mut held = Held::default();
        let (records, whole) = held.load(&path, now)?;
        let held = Arc::new(Mutex::new(held));
        let log = Log {
            file: options().open(&path)?,
            path,
            held: Arc::clone(&held),
            records,
            broken: !whole,
        };
        File::open(directory)?.sync_all()?;
        let (writer, queue) = channel();
        std::thread::Builder::new()
            .name("proofs".to_owned())
            .spawn(move || log.write_all(&queue))?;
        Ok(Arc::new(Self { held, writer }))
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
        owner: &str,
        now: Timestamp,
    ) -> Result<Remembered, RejectedToken> {
        let mut held = self.held.lock();
        held.forget(now);
        let key = ProofId::of_key(proof.key.as_ref());
        match held.takes(proof)? {
            Some(true) => return Ok(Remembered(None)),
            Some(false) => {}
            None => held.insert(proof, (key, ProofId::of(&[owner])))?,
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

    fn insert(
        &mut self,
        proof: &Use,
        (key, owner): (ProofId, ProofId),
    ) -> Result<(), RejectedToken> {
        let own = self.owners.get(&owner).copied().unwrap_or_default();
        if self.proofs.len() >= MOST || own >= MOST_OF_ONE {
            return Err(RejectedToken::Busy);
        }
        let kept = Kept {
            key,
            owner,
            until: proof.until,
            durable: false,
        };
        self.owners.insert(owner, own + 1);
        self.ends.insert((proof.until, proof.id));
        self.proofs.insert(proof.id, kept);
        Ok(())
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
            if let Some(count) = self.owners.get_mut(&kept.owner) {
                *count = count.saturating_sub(1);
                if *count == 0 {
                    self.owners.remove(&kept.owner);
                }
            }
        }
    }

    /// How many records a file has, and whether all of them are whole. What a crash tore is in its last batch, and nobody
    /// was told that it was written; the good records around it count.
    fn load(&mut self, path: &Path, now: Timestamp) -> io::Result<(usize, bool)> {
        let mut bytes = Vec::new();
        match File::open(path) {
            Ok(mut file) => file.read_to_end(&mut bytes)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok((0, true)),
            Err(error) => return Err(error),
        };
        let records = bytes.chunks_exact(RECORD);
        let (count, mut whole) = (records.len(), records.remainder().is_empty());
        for (place, record) in records.enumerate() {
            match decode(record) {
                Some((id, key, until)) if until >= now && !self.proofs.contains_key(&id) => {
                    let kept = Kept {
                        key,
                        owner: ProofId([0; 32]),
                        until,
                        durable: true,
                    };
                    self.proofs.insert(id, kept);
                    self.ends.insert((until, id));
                }
                Some(_) => {}
                None if place + BATCH >= count => whole = false,
                None => {
                    let why = format!("{} is damaged at record {place}", path.display());
                    return Err(io::Error::new(io::ErrorKind::InvalidData, why));
                }
            }
        }
        if !whole {
            tracing::warn!(file = %path.display(), count, "the used proofs end in a torn batch");
        }
        Ok((count, whole))
    }
}

/// The file, in the hands of the thread that writes it.
struct Log {
    path: PathBuf,
    file: File,
    held: Arc<Mutex<Held>>,
    /// How many records it has.
    records: usize,
    /// Whether something went wrong with it: then it is not built upon.
    broken: bool,
}

impl Log {
    /// Until nobody can ask any more.
    fn write_all(mut self, queue: &Receiver<Write>) {
        while let Ok(first) = queue.recv() {
            let mut batch = vec![first];
            batch.extend(queue.try_iter().take(BATCH - 1));
            let done = self.write(&batch);
            self.broken = done.is_err();
            match &done {
                Ok(()) => {
                    let mut held = self.held.lock();
                    for write in &batch {
                        if let Some(kept) = held.proofs.get_mut(&write.id) {
                            kept.durable = true;
                        }
                    }
                }
                Err(error) => {
                    tracing::error!(%error, "a used proof could not be written down: nothing is accepted that could be used twice");
                }
            }
            for write in batch {
                // Who has gone away needs no answer.
                write.written.send(done.is_ok()).ok();
            }
        }
    }

    fn write(&mut self, batch: &[Write]) -> io::Result<()> {
        let live = self.held.lock().proofs.len();
        if self.broken || self.records > 2 * live + SPARE {
            let now = batch.iter().map(|write| write.now).max();
            // The batch itself is among what is held.
            return self.anew(now.unwrap_or(Timestamp::EPOCH));
        }
        let bytes: Vec<u8> = batch.iter().flat_map(|write| write.record).collect();
        self.file.write_all(&bytes)?;
        self.file.sync_data()?;
        self.records += batch.len();
        Ok(())
    }

    /// Another file, of what still counts, in place of this one.
    fn anew(&mut self, now: Timestamp) -> io::Result<()> {
        let held = self.held.lock();
        let live = held.proofs.iter().filter(|(_, kept)| kept.until >= now);
        let bytes: Vec<u8> = live
            .flat_map(|(id, kept)| encode(*id, kept.key, kept.until))
            .collect();
        drop(held);
        let beside = self.path.with_extension("new");
        match std::fs::remove_file(&beside) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => {}
        }
        let mut file = options().open(&beside)?;
        file.write_all(&bytes)?;
        file.sync_all()?;
        std::fs::rename(&beside, &self.path)?;
        File::open(self.path.parent().unwrap_or(Path::new(".")))?.sync_all()?;
        (self.file, self.records) = (file, bytes.len() / RECORD);
        Ok(())
    }
}

fn options() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.create(true).append(true).mode(0o600);
    options
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
