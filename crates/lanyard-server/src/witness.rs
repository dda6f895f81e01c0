//! A file, best on another disk, that remembers how far the journal is.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use lanyard_core::condition::Reason;
use lanyard_core::witness::Witness;
use lanyard_disk::{Disk as _, SystemDisk, replace};
use lanyard_engine::Engine;
use tokio::sync::watch;

/// How often it is brought up to date.
const EVERY: Duration = Duration::from_secs(2);

/// The file.
#[derive(Debug, Clone)]
pub(crate) struct WitnessFile(PathBuf);

impl WitnessFile {
    pub(crate) const fn new(path: PathBuf) -> Self {
        Self(path)
    }

    /// What it remembers; nothing before the first start.
    fn read(&self) -> io::Result<Option<Witness>> {
        match SystemDisk.read(&self.0) {
            Ok(bytes) => Ok(Some(serde_json::from_slice(&bytes)?)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn write(&self, witness: Witness) -> io::Result<()> {
        let bytes = serde_json::to_vec(&witness)?;
        replace(&SystemDisk, &self.0, &bytes).map(drop)
    }

    /// Before anything is issued: holds the journal against it. One that cannot be read may have seen anything.
    pub(crate) async fn heed(&self, engine: &Engine) {
        match self.read() {
            Ok(None) => {}
            Ok(Some(witness)) => {
                engine.heed(witness, "the witness file").await;
            }
            Err(error) => {
                engine.conditions().raise(Reason::WitnessUnreadable {
                    file: self.0.display().to_string(),
                    why: error.to_string(),
                });
            }
        }
    }

    /// Keeps it up to date, until told to stop.
    pub(crate) async fn follow(self, engine: Arc<Engine>, mut stop: watch::Receiver<bool>) {
        let mut last = None;
        loop {
            let ends = *stop.borrow();
            let now = engine.witness().await;
            if let Some(now) = now.filter(|now| Some(*now) != last) {
                match self.write(now) {
                    Ok(()) => last = Some(now),
                    Err(error) => {
                        let path = self.0.display();
                        tracing::warn!(%error, %path, "the witness file is not up to date");
                    }
                }
            }
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

    #[test]
    fn what_is_written_is_read_and_half_of_it_is_an_error() {
        let directory = tempfile::tempdir().unwrap();
        let file = WitnessFile::new(directory.path().join("witness.json"));
        assert_eq!(file.read().unwrap(), None);
        let witness = Witness {
            records: Seq(7),
            epoch: Seq(3),
        };
        file.write(witness).unwrap();
        assert_eq!(file.read().unwrap(), Some(witness));
        let path = directory.path().join("witness.json");
        let whole = std::fs::read(&path).unwrap();
        for length in 0..whole.len() {
            std::fs::write(&path, &whole[..length]).unwrap();
            assert!(file.read().is_err(), "{length} bytes");
        }
        // What a crash left beside it is in nobody's way.
        std::fs::write(directory.path().join("witness.json.unfinished"), "{").unwrap();
        file.write(witness).unwrap();
        assert_eq!(file.read().unwrap(), Some(witness));
    }
}
