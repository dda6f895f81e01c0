//! Checkpoint files of the journal: one that is configured, best on another disk, and one in the
//! data directory, which detects that the journal alone is gone.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use lanyard_core::checkpoint::JournalCheckpoint;
use lanyard_core::condition::{Kind, Reason};
use lanyard_disk::{Disk as _, SystemDisk, replace};
use lanyard_engine::Engine;
use tokio::sync::watch;

/// The interval at which the file is updated.
const EVERY: Duration = Duration::from_secs(2);
/// The file in the data directory.
const OWN: &str = "journal-witness.json";
/// The file in the data directory that names the configured checkpoint file once it was written.
const WRITTEN: &str = "witness-written";

/// A file with a checkpoint.
#[derive(Debug, Clone)]
pub(crate) struct WitnessFile {
    path: PathBuf,
    /// The path, once the file was written. A file that is missing then was removed.
    written: Option<PathBuf>,
}

impl WitnessFile {
    /// Returns the file as it is configured.
    pub(crate) fn configured(path: PathBuf, data_dir: &Path) -> Self {
        let written = Some(data_dir.join(WRITTEN));
        Self { path, written }
    }

    /// The data directory's own file.
    pub(crate) fn own(data_dir: &Path) -> Self {
        Self {
            path: data_dir.join(OWN),
            written: None,
        }
    }

    /// True if anything is at the file's path.
    pub(crate) fn is_there(&self) -> bool {
        match SystemDisk.read(&self.path) {
            Ok(_) => true,
            Err(error) => error.kind() != io::ErrorKind::NotFound,
        }
    }

    /// The checkpoint in the file; `None` before the first start.
    fn read(&self) -> io::Result<Option<JournalCheckpoint>> {
        match SystemDisk.read(&self.path) {
            Ok(bytes) => Ok(Some(serde_json::from_slice(&bytes)?)),
            Err(error) if error.kind() == io::ErrorKind::NotFound && !self.was_written() => {
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    fn was_written(&self) -> bool {
        let known = self.written.as_ref().map(|path| SystemDisk.read(path));
        known.is_some_and(|known| known.is_ok_and(|bytes| bytes == self.name()))
    }

    fn name(&self) -> &[u8] {
        self.path.as_os_str().as_encoded_bytes()
    }

    fn write(&self, witness: JournalCheckpoint) -> io::Result<()> {
        let bytes = serde_json::to_vec(&witness)?;
        replace(&SystemDisk, &self.path, &bytes)?;
        match self.written.as_ref().filter(|_| !self.was_written()) {
            Some(written) => replace(&SystemDisk, written, self.name()).map(drop),
            None => Ok(()),
        }
    }

    /// Keeps a file that cannot be read beside it, for investigation, after people gave it up.
    fn set_aside(&self) {
        if self.read().is_ok() {
            return;
        }
        let mut aside = self.path.file_name().unwrap_or_default().to_owned();
        aside.push(".unreadable");
        match SystemDisk.rename(&self.path, &self.path.with_file_name(aside)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                tracing::warn!(%error, path = %self.path.display(), "the witness file that cannot be read stays in its place");
            }
            Ok(()) | Err(_) => {}
        }
    }

    /// Compares the journal with the checkpoint before anything is issued, and returns true if
    /// everything was stopped. A checkpoint that cannot be read may have seen anything.
    pub(crate) async fn heed(&self, engine: &Engine) -> bool {
        match self.read() {
            Ok(None) => false,
            Ok(Some(witness)) => {
                // Agents read the reason of an order: it names no path.
                let whose = match self.written {
                    Some(_) => "the witness file",
                    None => "the data directory",
                };
                engine.reconciler().stop_on_rollback(witness, whose).await
            }
            Err(error) => {
                engine.conditions().raise(Reason::WitnessUnreadable {
                    file: self.path.display().to_string(),
                    why: error.to_string(),
                });
                false
            }
        }
    }

    /// True while nobody has confirmed that the journal is right. Writing the checkpoint then would
    /// make the next start believe the journal.
    fn is_doubted(&self, engine: &Engine) -> bool {
        let file = self.path.display().to_string();
        let reasons = engine.conditions().reasons();
        reasons.iter().any(|reason| {
            matches!(reason, Reason::WitnessUnreadable { file: of, .. } if *of == file)
                || reason.kind() == Kind::Restored
        })
    }

    /// Updates the file, unless it is up to date or the journal is in doubt.
    pub(crate) async fn note(&self, engine: &Engine, last: &mut Option<JournalCheckpoint>) {
        if self.is_doubted(engine) {
            return;
        }
        let now = engine.reconciler().checkpoint().await;
        let Some(now) = now.filter(|now| Some(*now) != *last) else {
            return;
        };
        if last.is_none() {
            self.set_aside();
        }
        match self.write(now) {
            Ok(()) => *last = Some(now),
            Err(error) => {
                tracing::warn!(%error, path = %self.path.display(), "the witness file is not up to date");
            }
        }
    }

    /// Updates the file until told to stop.
    pub(crate) async fn follow(self, engine: Arc<Engine>, mut stop: watch::Receiver<bool>) {
        let mut last = None;
        loop {
            let ends = *stop.borrow();
            self.note(&engine, &mut last).await;
            if ends {
                return;
            }
            tokio::select! {
                () = tokio::time::sleep(EVERY) => {}
                _ = stop.changed() => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use lanyard_vocabulary::seq::Seq;

    use super::*;
    use crate::spool::tests::engine;

    #[test]
    fn what_is_written_is_read_and_half_of_it_is_an_error() {
        let directory = tempfile::tempdir().unwrap();
        let file = WitnessFile::own(directory.path());
        assert_eq!(file.read().unwrap(), None);
        let witness = JournalCheckpoint {
            records: Seq(7),
            epoch: Seq(3),
        };
        file.write(witness).unwrap();
        assert_eq!(file.read().unwrap(), Some(witness));
        let path = directory.path().join(OWN);
        let whole = std::fs::read(&path).unwrap();
        for length in 0..whole.len() {
            std::fs::write(&path, &whole[..length]).unwrap();
            assert!(file.read().is_err(), "{length} bytes");
        }
        // What a crash left beside it is in nobody's way.
        std::fs::write(directory.path().join(format!("{OWN}.unfinished")), "{").unwrap();
        file.write(witness).unwrap();
        assert_eq!(file.read().unwrap(), Some(witness));
    }

    fn seen(records: u64) -> JournalCheckpoint {
        JournalCheckpoint {
            records: Seq(records),
            epoch: Seq(records),
        }
    }

    #[tokio::test]
    async fn s11_a_witness_that_cannot_be_read_is_left_as_it_is_until_people_give_it_up() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("witness.json");
        let file = WitnessFile::configured(path.clone(), directory.path());
        let half = b"{\"records\":5";
        std::fs::write(&path, half).unwrap();
        // At every start until then.
        for _ in 0..3 {
            let (engine, _) = engine();
            assert!(!file.heed(&engine).await);
            let kinds: Vec<_> = engine
                .conditions()
                .reasons()
                .iter()
                .map(Reason::kind)
                .collect();
            assert_eq!(kinds, [Kind::WitnessUnreadable]);
            file.note(&engine, &mut None).await;
            assert_eq!(std::fs::read(&path).unwrap(), half);
        }
        let (engine, _) = engine();
        file.heed(&engine).await;
        engine.conditions().replace(Kind::WitnessUnreadable, []);
        file.note(&engine, &mut None).await;
        assert!(file.read().unwrap().is_some());
        let aside = directory.path().join("witness.json.unreadable");
        assert_eq!(std::fs::read(aside).unwrap(), half);
    }

    #[tokio::test]
    async fn s11_a_witness_that_was_written_and_is_gone_is_not_one_that_was_never_there() {
        let directory = tempfile::tempdir().unwrap();
        let mount = directory.path().join("mount");
        std::fs::create_dir(&mount).unwrap();
        let file = WitnessFile::configured(mount.join("witness.json"), directory.path());
        let (first, _) = engine();
        assert!(!file.heed(&first).await);
        file.note(&first, &mut None).await;
        assert_eq!(first.conditions().reasons(), []);
        for gone in [true, false] {
            std::fs::remove_file(mount.join("witness.json")).ok();
            if gone {
                std::fs::remove_dir(&mount).unwrap();
            } else {
                std::fs::create_dir(&mount).unwrap();
            }
            let (engine, _) = engine();
            file.heed(&engine).await;
            file.note(&engine, &mut None).await;
            let kinds: Vec<_> = engine
                .conditions()
                .reasons()
                .iter()
                .map(Reason::kind)
                .collect();
            assert_eq!(kinds, [Kind::WitnessUnreadable], "directory gone: {gone}");
            assert!(!mount.join("witness.json").exists());
        }
        // Another file is asked for the first time.
        let other = WitnessFile::configured(mount.join("other.json"), directory.path());
        assert_eq!(other.read().unwrap(), None);
    }

    #[tokio::test]
    async fn s11_a_journal_of_a_restore_that_nobody_looked_at_is_not_witnessed() {
        let directory = tempfile::tempdir().unwrap();
        let file = WitnessFile::own(directory.path());
        file.write(seen(7)).unwrap();
        let (engine, _) = engine();
        let why = "no random bits".to_owned();
        engine.conditions().raise(Reason::Restored { why });
        file.note(&engine, &mut None).await;
        assert_eq!(file.read().unwrap(), Some(seen(7)));
    }
}
