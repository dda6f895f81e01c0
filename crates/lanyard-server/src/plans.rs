//! The bytes of plans, under their digest.

use std::collections::HashSet;
use std::fs;
use std::io::{self, Write as _};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use lanyard_core::digest::Digest;
use lanyard_core::plan::Rehearsal;
use lanyard_core::state::State;
use lanyard_engine::Engine;
use tokio::sync::watch;

/// How much the plans of all agents may take, in bytes: none of them fills the disk of the journal.
const MOST: u64 = 4 << 30;
/// How often what nobody refers to is looked for, and how old it has to be.
const EVERY: Duration = Duration::from_secs(600);

/// A directory of plans. A file's name is the digest of what is in it, which is checked when it is read.
#[derive(Debug, Clone)]
pub(crate) struct PlanStore {
    directory: PathBuf,
    /// How many bytes there are.
    used: Arc<AtomicU64>,
    most: u64,
}

impl PlanStore {
    pub(crate) fn open(directory: PathBuf) -> io::Result<Self> {
        fs::create_dir_all(&directory)?;
        let mut used = 0;
        for entry in fs::read_dir(&directory)? {
            used += entry?.metadata()?.len();
        }
        Ok(Self {
            directory,
            used: Arc::new(AtomicU64::new(used)),
            most: MOST,
        })
    }

    fn path(&self, digest: Digest) -> PathBuf {
        self.directory.join(name(digest))
    }

    /// Stores the bytes; on return they survive a crash.
    pub(crate) fn put(&self, content: &[u8]) -> io::Result<Digest> {
        let digest = Digest::of(content);
        let path = self.path(digest);
        if path.exists() {
            // Written anew, it is of this moment, and no sweep takes it away before it is referred to.
            return self.write(&path, content).map(|()| digest);
        }
        let size = u64::try_from(content.len()).unwrap_or(u64::MAX);
        let before = self.used.fetch_add(size, Ordering::Relaxed);
        let stored = if before.saturating_add(size) > self.most {
            Err(io::Error::new(
                io::ErrorKind::StorageFull,
                "the plans of all agents take what they may take",
            ))
        } else {
            self.write(&path, content)
        };
        if stored.is_err() {
            self.used.fetch_sub(size, Ordering::Relaxed);
        }
        stored.map(|()| digest)
    }

    fn write(&self, path: &std::path::Path, content: &[u8]) -> io::Result<()> {
        let temporary = path.with_extension(format!("{:?}.new", std::thread::current().id()));
        let mut file = fs::File::create(&temporary)?;
        file.write_all(content)?;
        file.sync_all()?;
        fs::rename(&temporary, path)?;
        fs::File::open(&self.directory)?.sync_all()
    }

    /// The bytes, if they are still what was stored (T18).
    pub(crate) fn get(&self, digest: Digest) -> io::Result<Vec<u8>> {
        let content = fs::read(self.path(digest))?;
        if Digest::of(&content) == digest {
            Ok(content)
        } else {
            Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "a stored plan is not what was stored",
            ))
        }
    }

    /// Removes what is old and what nobody refers to: plans that were refused, and those of tasks that ended long ago.
    fn sweep(&self, kept: &HashSet<String>, age: Duration) -> io::Result<()> {
        for entry in fs::read_dir(&self.directory)? {
            let entry = entry?;
            let about = entry.metadata()?;
            let old = about.modified()?.elapsed().is_ok_and(|it| it >= age);
            if old && !kept.contains(entry.file_name().to_string_lossy().as_ref()) {
                fs::remove_file(entry.path())?;
                self.used.fetch_sub(about.len(), Ordering::Relaxed);
            }
        }
        Ok(())
    }

    /// Sweeps now and then, until told to stop.
    pub(crate) async fn follow(self, engine: Arc<Engine>, mut stop: watch::Receiver<bool>) {
        while !*stop.borrow() {
            if let Ok(kept) = engine.query(referred).await {
                let store = self.clone();
                let swept = tokio::task::spawn_blocking(move || store.sweep(&kept, EVERY)).await;
                if let Ok(Err(error)) = swept {
                    tracing::error!(%error, "plans that nobody refers to could not be removed");
                }
            }
            tokio::select! {
                () = tokio::time::sleep(EVERY) => {}
                _ = stop.changed() => {}
            }
        }
    }
}

fn name(digest: Digest) -> String {
    digest.to_string().replace(':', "-")
}

/// The names of what plans refer to.
fn referred(state: &State) -> HashSet<String> {
    let plans = state.plans().flat_map(|plan| {
        let rehearsed = match plan.rehearsal {
            Some(Rehearsal::Done(digest)) => Some(name(digest)),
            Some(Rehearsal::Not(_)) | None => None,
        };
        [Some(name(plan.digest)), rehearsed]
    });
    plans.flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn store(most: u64) -> (tempfile::TempDir, PlanStore) {
        let folder = tempfile::tempdir().unwrap();
        let store = PlanStore::open(folder.path().join("plans")).unwrap();
        (folder, PlanStore { most, ..store })
    }

    // T47
    #[test]
    fn plans_take_no_more_than_they_may_and_what_is_swept_makes_room() {
        let (_folder, store) = store(100);
        let first = store.put(&[1; 60]).unwrap();
        assert_eq!(
            store.put(&[1; 60]).unwrap(),
            first,
            "the same takes no more"
        );
        let full = store.put(&[2; 60]).unwrap_err();
        assert_eq!(full.kind(), io::ErrorKind::StorageFull);
        let kept = [name(first)].into();
        store.sweep(&kept, Duration::ZERO).unwrap();
        assert_eq!(store.get(first).unwrap(), [1; 60]);
        store
            .sweep(&HashSet::new(), Duration::from_secs(60))
            .unwrap();
        assert!(store.get(first).is_ok(), "it may be submitted this moment");
        store.sweep(&HashSet::new(), Duration::ZERO).unwrap();
        assert!(store.get(first).is_err());
        store.put(&[2; 60]).unwrap();
    }

    // T18
    #[test]
    fn what_is_not_what_was_stored_is_not_given() {
        let (_folder, store) = store(100);
        let digest = store.put(b"one").unwrap();
        fs::write(store.path(digest), "two").unwrap();
        assert!(store.get(digest).is_err());
    }
}
