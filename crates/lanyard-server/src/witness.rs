//! Files that remember how far the journal is: one that is configured, best on another disk, and one of the data directory
//! itself, which knows of a journal that is gone while the rest is there.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use lanyard_core::condition::{Kind, Reason};
use lanyard_core::witness::Witness;
use lanyard_disk::{Disk as _, SystemDisk, replace};
use lanyard_engine::Engine;
use tokio::sync::watch;

/// How often it is brought up to date.
const EVERY: Duration = Duration::from_secs(2);
/// The data directory's own witness.
const OWN: &str = "journal-witness.json";
/// Where the data directory remembers which witness file it has written.
const WRITTEN: &str = "witness-written";

/// The file.
#[derive(Debug, Clone)]
pub(crate) struct WitnessFile {
    path: PathBuf,
    /// Holds the path once the file was written: a file that is gone then is not one that was never there.
    written: Option<PathBuf>,
}

impl WitnessFile {
    /// The file of the configuration.
    pub(crate) fn configured(path: PathBuf, data_dir: &Path) -> Self {
        let written = Some(data_dir.join(WRITTEN));
        Self { path, written }
    }

    /// The data directory's own.
    pub(crate) fn own(data_dir: &Path) -> Self {
        Self {
            path: data_dir.join(OWN),
            written: None,
        }
    }

    /// Whether anything is in the file's place.
    pub(crate) fn is_there(&self) -> bool {
        match SystemDisk.read(&self.path) {
            Ok(_) => true,
            Err(error) => error.kind() != io::ErrorKind::NotFound,
        }
    }

    /// What it remembers; nothing before the first start.
    fn read(&self) -> io::Result<Option<Witness>> {
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

    fn write(&self, witness: Witness) -> io::Result<()> {
        let bytes = serde_json::to_vec(&witness)?;
        replace(&SystemDisk, &self.path, &bytes)?;
        match self.written.as_ref().filter(|_| !self.was_written()) {
            Some(written) => replace(&SystemDisk, written, self.name()).map(drop),
            None => Ok(()),
        }
    }

    /// People have given it up: what cannot be read stays beside it, for whoever looks into it.
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

    /// Before anything is issued: holds the journal against it, and says whether everything was stopped. One that cannot be
    /// read may have seen anything.
    pub(crate) async fn heed(&self, engine: &Engine) -> bool {
        match self.read() {
            Ok(None) => false,
            Ok(Some(witness)) => {
                // Agents read the reason of an order: it names no path.
                let whose = match self.written {
                    Some(_) => "the witness file",
                    None => "the data directory",
                };
                engine.heed(witness, whose).await
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

    /// Whether nobody has said yet that the journal is right: what is written then would be the only proof of it at the next
    /// start.
    fn is_doubted(&self, engine: &Engine) -> bool {
        let file = self.path.display().to_string();
        let reasons = engine.conditions().reasons();
        reasons.iter().any(|reason| {
            matches!(reason, Reason::WitnessUnreadable { file: of, .. } if *of == file)
                || reason.kind() == Kind::Restored
        })
    }

    /// Brings the file up to date, unless it is so already or what the journal is is in doubt.
    pub(crate) async fn note(&self, engine: &Engine, last: &mut Option<Witness>) {
        if self.is_doubted(engine) {
            return;
        }
        let now = engine.witness().await;
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

    /// Keeps it up to date, until told to stop.
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
    use lanyard_core::lease::Seq;

    use super::*;
    use crate::spool::tests::engine;

    #[test]
    fn what_is_written_is_read_and_half_of_it_is_an_error() {
        let directory = tempfile::tempdir().unwrap();
        let file = WitnessFile::own(directory.path());
        assert_eq!(file.read().unwrap(), None);
        let witness = Witness {
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

    fn seen(records: u64) -> Witness {
        Witness {
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
