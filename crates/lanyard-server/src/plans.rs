//! The bytes of plans: sealed, under the digest of what they say, each charged to the identity that
//! brought them first.
//!
//! What is stored is bounded for each identity and for all of them. The books of that are in
//! memory, under one lock, and a file is removed only under that lock: so a plan that is submitted
//! again while the store is swept stays.

use std::collections::{HashMap, HashSet};
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use lanyard_core::plan::Rehearsal;
use lanyard_engine::Engine;
use lanyard_engine::pass::MAX_LEASES_PER_LOOK;
use lanyard_vocabulary::digest::Digest;
use lanyard_vocabulary::identity::Identity;
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::time::Instant;

use lanyard_provider_github::sealed_plan::{self as sealed, Plain, Seals};
use lanyard_secret_file::read_plain_up_to;

/// The stored plans, sealed.
///
/// # Limit
/// - for: all agents together
/// - unit: bytes
/// - beyond: a plan is refused with `RESOURCE_EXHAUSTED`; plans make room when their tasks are
///   forgotten
/// - test: `s18_one_identity_has_a_share_of_the_store_and_all_have_a_bound`
const MAX_PLAN_BYTES: u64 = 4 << 30;
/// The stored plans of one identity, sealed: 63 of the largest size.
///
/// # Limit
/// - for: an identity of an agent
/// - unit: bytes
/// - beyond: a plan of that identity is refused with `RESOURCE_EXHAUSTED`
/// - test: `s18_one_identity_has_a_share_of_the_store_and_all_have_a_bound`
const MAX_PLAN_BYTES_PER_IDENTITY: u64 = 256 << 20;
/// The interval at which unreferenced plans are removed, and the age from which they are.
const SWEEP_INTERVAL: Duration = Duration::from_secs(600);

/// The reason why a plan cannot be stored.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PutError {
    #[error(
        "the stored plans of this identity take {MAX_PLAN_BYTES_PER_IDENTITY} bytes, which is what one identity may \
         take: they make room when their tasks are forgotten"
    )]
    Share,
    #[error(
        "the stored plans of all agents take {MAX_PLAN_BYTES} bytes, which is what they may take"
    )]
    Full,
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// The extension of a file that is being written.
const UNFINISHED: &str = "unfinished";

/// A directory of sealed plans. A file's name is the digest of its content.
#[derive(Debug, Clone)]
pub(crate) struct PlanStore(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    directory: PathBuf,
    seals: Seals,
    all_may: u64,
    one_may: u64,
    books: Mutex<Books>,
}

/// The stored plans, and the identity that each is charged to.
#[derive(Debug, Default)]
struct Books {
    all: u64,
    of: HashMap<Digest, u64>,
    plans: HashMap<Digest, Entry>,
    written: u64,
}

/// A plan in the store.
#[derive(Debug)]
struct Entry {
    bytes: u64,
    owner: Digest,
    /// The number of callers that are writing the plan.
    writers: u32,
    /// True once the plan was written.
    stored: bool,
    /// The time at which the plan was last submitted.
    brought: Instant,
}

impl Books {
    fn charge(&mut self, digest: Digest, entry: Entry) {
        self.all = self.all.saturating_add(entry.bytes);
        *self.of.entry(entry.owner).or_default() += entry.bytes;
        self.plans.insert(digest, entry);
    }

    /// Adds a file found at the start: a plan, the remains of one after a crash, or something
    /// foreign.
    fn enter(&mut self, path: &Path) -> io::Result<()> {
        if let Some(digest) = named(path) {
            let found = fs::metadata(path)?;
            if !found.is_file() {
                // A pipe would be waited for.
                return Err(io::Error::other("it is no plain file"));
            }
            let entry = Entry {
                bytes: found.len(),
                owner: sealed::owner_of(path)?,
                writers: 0,
                stored: true,
                brought: Instant::now(),
            };
            self.charge(digest, entry);
        } else if path.extension().is_some_and(|it| it == UNFINISHED) {
            // What a crash left of a file that never got its name.
            fs::remove_file(path)?;
        } else {
            tracing::warn!(path = %path.display(), "this is no plan, and is left alone");
        }
        Ok(())
    }

    fn release(&mut self, digest: Digest) {
        let Some(entry) = self.plans.remove(&digest) else {
            return;
        };
        self.all = self.all.saturating_sub(entry.bytes);
        match self.of.get_mut(&entry.owner) {
            Some(bytes) if *bytes > entry.bytes => *bytes -= entry.bytes,
            Some(_) | None => drop(self.of.remove(&entry.owner)),
        }
    }
}

impl PlanStore {
    /// Opens the store of a data directory. The sealing keys are in the given file, or else in the
    /// data directory. If the directory cannot be used, the store is empty, accepts nothing and
    /// says why.
    pub(crate) fn open(data_dir: &Path, keys: Option<&Path>) -> (Self, io::Result<()>) {
        let bounds = (MAX_PLAN_BYTES, MAX_PLAN_BYTES_PER_IDENTITY);
        match Self::with_bounds(data_dir, keys, bounds) {
            Ok(store) => (store, Ok(())),
            Err(error) => {
                let empty = Self::over((data_dir, keys), bounds, Books::default());
                (empty, Err(error))
            }
        }
    }

    fn with_bounds(data_dir: &Path, keys: Option<&Path>, bounds: (u64, u64)) -> io::Result<Self> {
        let directory = data_dir.join("plans");
        fs::create_dir_all(&directory)?;
        let mut books = Books::default();
        for entry in fs::read_dir(&directory)? {
            let path = entry?.path();
            // One file that cannot be read or removed is no reason not to start: nothing could be
            // revoked then.
            if let Err(error) = books.enter(&path) {
                tracing::error!(path = %path.display(), %error, "a file among the plans is left alone");
            }
        }
        Ok(Self::over((data_dir, keys), bounds, books))
    }

    fn over(
        (data_dir, keys): (&Path, Option<&Path>),
        (all_may, one_may): (u64, u64),
        books: Books,
    ) -> Self {
        Self(Arc::new(Inner {
            directory: data_dir.join("plans"),
            seals: Seals::new(data_dir, keys),
            all_may,
            one_may,
            books: Mutex::new(books),
        }))
    }

    fn path(&self, digest: Digest) -> PathBuf {
        self.0.directory.join(name(digest))
    }

    /// Stores bytes for this identity. On return they survive a crash.
    ///
    /// # Errors
    /// When there is no room, or they cannot be written.
    pub(crate) fn put(&self, owner: &Identity, content: &[u8]) -> Result<Digest, PutError> {
        let digest = Digest::of(content);
        let owner = Digest::of(owner.to_string().as_bytes());
        let known = self.0.books.lock().plans.get(&digest).map(|it| it.owner);
        let bytes = self.0.seals.seal(digest, known.unwrap_or(owner), content)?;
        let size = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        let number = {
            let mut books = self.0.books.lock();
            let now = Instant::now();
            if let Some(known) = books.plans.get_mut(&digest) {
                // Of this moment again, so that no sweep takes it away before it is referred to.
                known.brought = now;
                if known.stored && self.get(digest).is_ok() {
                    return Ok(digest);
                }
                known.writers += 1;
            } else {
                let of_owner = books.of.get(&owner).copied().unwrap_or(0);
                if of_owner.saturating_add(size) > self.0.one_may {
                    return Err(PutError::Share);
                }
                if books.all.saturating_add(size) > self.0.all_may {
                    return Err(PutError::Full);
                }
                let entry = Entry {
                    bytes: size,
                    owner,
                    writers: 1,
                    stored: false,
                    brought: now,
                };
                books.charge(digest, entry);
            }
            books.written += 1;
            books.written
        };
        let written = self.write(digest, number, &bytes);
        let mut books = self.0.books.lock();
        if let Some(entry) = books.plans.get_mut(&digest) {
            entry.writers = entry.writers.saturating_sub(1);
            entry.stored |= written.is_ok();
            if entry.writers == 0 && !entry.stored {
                // It may have got its name before the failure.
                fs::remove_file(self.path(digest)).ok();
                books.release(digest);
            }
        }
        written?;
        Ok(digest)
    }

    fn write(&self, digest: Digest, number: u64, bytes: &[u8]) -> io::Result<()> {
        let unfinished = self.0.directory.join(format!("{number}.{UNFINISHED}"));
        let written = File::options()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&unfinished)
            .and_then(|mut file| {
                file.write_all(bytes)?;
                file.sync_all()
            })
            .and_then(|()| fs::rename(&unfinished, self.path(digest)));
        if written.is_err() {
            // Where this fails as well, the next start removes it.
            fs::remove_file(&unfinished).ok();
        }
        written?;
        File::open(&self.0.directory)?.sync_all()
    }

    /// Reads a plan as [`PlanStore::get`] does, on other threads than those that serve.
    ///
    /// # Errors
    /// As of [`PlanStore::get`].
    pub(crate) async fn read(&self, digest: Digest) -> io::Result<Vec<u8>> {
        let store = self.clone();
        let read = tokio::task::spawn_blocking(move || store.get(digest)).await;
        read.map_err(io::Error::other)?
    }

    /// Reads a plan's bytes and checks that they are what was stored (T18).
    pub(crate) fn get(&self, digest: Digest) -> io::Result<Vec<u8>> {
        let file = read_plain_up_to(&self.path(digest), MAX_PLAN_BYTES_PER_IDENTITY)?;
        let content = match sealed::parsed(&file) {
            Some(sealed) => self.0.seals.open(digest, &sealed)?,
            None => file,
        };
        if Digest::of(&content) == digest {
            Ok(content)
        } else {
            Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "a stored plan is not what was stored",
            ))
        }
    }

    /// Seals plans that an earlier version stored in clear. A file whose content does not match its
    /// name is renamed and no longer a plan.
    fn seal_old(&self) -> io::Result<()> {
        let digests: Vec<Digest> = self.0.books.lock().plans.keys().copied().collect();
        for digest in digests {
            let path = self.path(digest);
            let file = match read_plain_up_to(&path, MAX_PLAN_BYTES_PER_IDENTITY) {
                Ok(file) => Plain::of(file),
                Err(error) if error.is_missing() => continue,
                Err(error) => return Err(error.into()),
            };
            let Some(Plain(content)) = file else {
                continue;
            };
            // What a damaged disk has made of a plan may still tell somebody what it was.
            let found = Digest::of(&content);
            let (number, owner) = {
                let mut books = self.0.books.lock();
                books.written += 1;
                let entry = books.plans.get(&found);
                let owner = entry.map_or_else(sealed::nobody, |it| it.owner);
                (books.written, owner)
            };
            let bytes = self.0.seals.seal(found, owner, &content)?;
            self.write(found, number, &bytes)?;
            if found != digest {
                tracing::error!(path = %path.display(), aside = %self.path(found).display(), "a stored plan is not what was stored: set aside");
                let mut books = self.0.books.lock();
                fs::remove_file(&path)?;
                books.release(digest);
            }
        }
        Ok(())
    }

    /// Removes old plans that nothing refers to: refused plans, and those of tasks that ended long
    /// ago. A plan submitted after `kept` was collected is not old.
    fn sweep(&self, kept: &HashSet<Digest>, age: Duration) -> io::Result<()> {
        let candidates: Vec<Digest> = {
            let books = self.0.books.lock();
            let unreferred = books.plans.keys().filter(|digest| !kept.contains(*digest));
            unreferred.copied().collect()
        };
        for digest in candidates {
            let mut books = self.0.books.lock();
            let removable = books
                .plans
                .get(&digest)
                .is_some_and(|entry| entry.writers == 0 && entry.brought.elapsed() >= age);
            if removable {
                match fs::remove_file(self.path(digest)) {
                    Ok(()) => books.release(digest),
                    Err(error) if error.kind() == io::ErrorKind::NotFound => books.release(digest),
                    Err(error) => return Err(error),
                }
            }
        }
        Ok(())
    }

    /// Seals plans stored in clear, then removes old plans from time to time, until told to stop.
    pub(crate) async fn follow(self, engine: Arc<Engine>, mut stop: watch::Receiver<bool>) {
        let store = self.clone();
        let sealed = tokio::task::spawn_blocking(move || store.seal_old()).await;
        if let Ok(Err(error)) = sealed {
            tracing::error!(%error, "plans that an earlier version stored in clear could not be sealed");
        }
        while !*stop.borrow() {
            let kept = referred(&engine);
            if engine.context().settle().await.is_ok() {
                let store = self.clone();
                let swept = tokio::task::spawn_blocking(move || store.sweep(&kept, SWEEP_INTERVAL));
                if let Ok(Err(error)) = swept.await {
                    tracing::error!(%error, "plans that nobody refers to could not be removed");
                }
            }
            tokio::select! {
                () = tokio::time::sleep(SWEEP_INTERVAL) => {}
                _ = stop.changed() => {}
            }
        }
    }
}

fn name(digest: Digest) -> String {
    digest.to_string().replace(':', "-")
}

/// The digest that a file is named after.
fn named(path: &Path) -> Option<Digest> {
    let name = path.file_name()?.to_str()?;
    name.replacen('-', ":", 1).parse().ok()
}

/// The digests that plans refer to. A plan submitted during the pass is younger than what a sweep
/// removes.
fn referred(engine: &Engine) -> HashSet<Digest> {
    let mut found = HashSet::new();
    engine.context().pages(|state, after| {
        let page = state.plans(after).take(MAX_LEASES_PER_LOOK);
        let seen = page.map(|plan| {
            found.insert(plan.digest);
            if let Some(Rehearsal::Done(digest)) = plan.rehearsal {
                found.insert(digest);
            }
            plan.id
        });
        seen.collect()
    });
    found
}

#[cfg(test)]
mod tests;
