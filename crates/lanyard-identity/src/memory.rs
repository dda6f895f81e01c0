//! What was shown once is not taken again (T12): the proofs that were used, remembered on disk for as long as they could
//! be accepted.
//!
//! One file of fixed records, in two generations: a record is in the younger one when it is written, and the older one goes
//! when nothing in it could be accepted any more.

use std::collections::{BTreeSet, HashMap};
use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use lanyard_core::identity::Confirmation;
use lanyard_core::time::Timestamp;
use parking_lot::Mutex;
use tokio::sync::oneshot;

use crate::RejectedToken;

/// How many proofs are remembered; beyond that nothing is accepted.
const MOST: usize = 1_000_000;
/// A record: the proof, the key, until when (milliseconds), and a checksum of all that.
const RECORD: usize = 32 + 32 + 8 + 4;
/// How many records are put on disk at once, at most.
const BATCH: usize = 4096;
/// After how long a new generation is begun.
const GENERATION: Duration = Duration::from_secs(3600);

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
    until: Timestamp,
}

#[derive(Default)]
struct Held {
    proofs: HashMap<ProofId, Kept>,
    ends: BTreeSet<(Timestamp, ProofId)>,
}

/// The memory.
pub struct Memory {
    held: Mutex<Held>,
    /// To the thread that writes; it ends with the sender.
    writer: Sender<Write>,
}

impl std::fmt::Debug for Memory {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Memory({})", self.held.lock().proofs.len())
    }
}

struct Write {
    record: [u8; RECORD],
    until: Timestamp,
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
        let mut held = Held::default();
        let (old, young) = (directory.join("used-old"), directory.join("used"));
        let mut ends = [Timestamp::EPOCH; 2];
        for (path, end) in [&old, &young].into_iter().zip(&mut ends) {
            *end = held.load(path, now)?;
        }
        let file = open(&young)?;
        File::open(directory)?.sync_all()?;
        let [old_ends, young_ends] = ends;
        let files = Generations {
            young,
            old,
            file,
            begun: now,
            old_ends,
            young_ends,
            failed: false,
        };
        let (writer, queue) = channel();
        std::thread::Builder::new()
            .name("proofs".to_owned())
            .spawn(move || files.write_all(&queue))?;
        Ok(Arc::new(Self {
            held: Mutex::new(held),
            writer,
        }))
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

    /// Remembers it, unless it is remembered already. Where a key that holds it shows it again, nothing has to be written.
    ///
    /// # Errors
    /// [`RejectedToken::Replayed`], or [`RejectedToken::Busy`] when too much is remembered.
    pub fn remember(&self, proof: &Use, now: Timestamp) -> Result<Remembered, RejectedToken> {
        let mut held = self.held.lock();
        held.forget(now);
        if held.takes(proof)? {
            return Ok(Remembered(None));
        }
        if held.proofs.len() >= MOST {
            return Err(RejectedToken::Busy);
        }
        let key = ProofId::of_key(proof.key.as_ref());
        held.insert(proof.id, key, proof.until);
        drop(held);
        let (written, durable) = oneshot::channel();
        let write = Write {
            record: encode(proof.id, key, proof.until),
            until: proof.until,
            now,
            written,
        };
        // A writer that has ended drops the other side, which is an answer.
        drop(self.writer.send(write));
        Ok(Remembered(Some(durable)))
    }
}

impl Held {
    /// Whether a key that holds it shows it again.
    fn takes(&self, proof: &Use) -> Result<bool, RejectedToken> {
        match self.proofs.get(&proof.id) {
            None => Ok(false),
            Some(kept)
                if proof.key.is_some() && kept.key == ProofId::of_key(proof.key.as_ref()) =>
            {
                Ok(true)
            }
            Some(_) => Err(RejectedToken::Replayed),
        }
    }

    fn insert(&mut self, id: ProofId, key: ProofId, until: Timestamp) {
        if self.proofs.insert(id, Kept { key, until }).is_none() {
            self.ends.insert((until, id));
        }
    }

    fn forget(&mut self, now: Timestamp) {
        while let Some((until, id)) = self.ends.first().copied() {
            if until >= now {
                return;
            }
            self.ends.pop_first();
            if self.proofs.get(&id).is_some_and(|kept| kept.until == until) {
                self.proofs.remove(&id);
            }
        }
    }

    /// Until when the last record of a file counts. A record that was cut short was never acknowledged.
    fn load(&mut self, path: &Path, now: Timestamp) -> io::Result<Timestamp> {
        let mut bytes = Vec::new();
        match File::open(path) {
            Ok(mut file) => file.read_to_end(&mut bytes)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Timestamp::EPOCH),
            Err(error) => return Err(error),
        };
        let mut last = Timestamp::EPOCH;
        let whole = bytes.chunks_exact(RECORD);
        let count = whole.len();
        for (place, record) in whole.enumerate() {
            let Some((id, key, until)) = decode(record) else {
                // What a crash left of a batch that nobody waited for any more.
                if bytes.len() - place * RECORD <= BATCH * RECORD {
                    tracing::warn!(file = %path.display(), place, count, "the used proofs end in a torn batch: cut");
                    let file = OpenOptions::new().write(true).open(path)?;
                    file.set_len((place * RECORD) as u64)?;
                    file.sync_all()?;
                    break;
                }
                let why = format!("{} is damaged at record {place}", path.display());
                return Err(io::Error::new(io::ErrorKind::InvalidData, why));
            };
            last = last.max(until);
            if until >= now {
                self.insert(id, key, until);
            }
        }
        Ok(last)
    }
}

/// The two files, in the hands of the thread that writes them.
struct Generations {
    young: PathBuf,
    old: PathBuf,
    file: File,
    begun: Timestamp,
    old_ends: Timestamp,
    young_ends: Timestamp,
    failed: bool,
}

impl Generations {
    /// Until nobody can ask any more.
    fn write_all(mut self, queue: &Receiver<Write>) {
        while let Ok(first) = queue.recv() {
            let mut batch = vec![first];
            batch.extend(queue.try_iter().take(BATCH - 1));
            let done = self.write(&batch);
            if let Err(error) = &done {
                tracing::error!(%error, "a used proof could not be written down: nothing is accepted that could be used twice");
                // What a failed write left is not built upon.
                self.failed = true;
            }
            for write in batch {
                // Who has gone away needs no answer.
                write.written.send(done.is_ok()).ok();
            }
        }
    }

    fn write(&mut self, batch: &[Write]) -> io::Result<()> {
        let now = batch.iter().map(|write| write.now).max();
        let now = now.unwrap_or(Timestamp::EPOCH);
        if self.failed || (now > self.begun + GENERATION && now > self.old_ends) {
            self.turn(now)?;
        }
        let bytes: Vec<u8> = batch.iter().flat_map(|write| write.record).collect();
        self.file.write_all(&bytes)?;
        self.file.sync_data()?;
        let ends = batch.iter().map(|write| write.until).max();
        self.young_ends = self.young_ends.max(ends.unwrap_or(Timestamp::EPOCH));
        Ok(())
    }

    /// The younger generation becomes the older one. After a failed write it is copied first without what is broken.
    fn turn(&mut self, now: Timestamp) -> io::Result<()> {
        if self.failed {
            return self.mend();
        }
        std::fs::rename(&self.young, &self.old)?;
        self.file = open(&self.young)?;
        sync_parent(&self.young)?;
        (self.begun, self.old_ends) = (now, self.young_ends);
        self.young_ends = Timestamp::EPOCH;
        Ok(())
    }

    fn mend(&mut self) -> io::Result<()> {
        let bytes = std::fs::read(&self.young)?;
        let good = bytes
            .chunks_exact(RECORD)
            .take_while(|record| decode(record).is_some())
            .count();
        let whole = bytes.get(..good * RECORD).unwrap_or_default();
        let beside = self.young.with_extension("mending");
        std::fs::write(&beside, whole)?;
        File::open(&beside)?.sync_all()?;
        std::fs::rename(&beside, &self.young)?;
        sync_parent(&self.young)?;
        self.file = open(&self.young)?;
        self.failed = false;
        Ok(())
    }
}

fn open(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    let file = options.create(true).append(true).mode(0o600).open(path)?;
    let whole = file.metadata()?.len() / RECORD as u64 * RECORD as u64;
    file.set_len(whole)?;
    Ok(file)
}

fn sync_parent(path: &Path) -> io::Result<()> {
    File::open(path.parent().unwrap_or(Path::new(".")))?.sync_all()
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
