//! The one writer: admits commands, makes them durable, and publishes them.
//!
//! [`Embedded`] keeps the journal in a directory of its own. Commands are admitted in order against
//! everything admitted before; a batch of them is made durable by one fsync; only then are they answered.

pub mod history;
mod projector;
mod queue;
mod sync;
mod writer;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use async_trait::async_trait;
use lanyard_core::command::{Command, Record};
use lanyard_core::condition::Reason;
use lanyard_core::lease::Seq;
use lanyard_core::ledger::{CommitError, Ledger, Reach};
use lanyard_core::state::State;
use lanyard_core::time::Timestamp;
use lanyard_journal::{Cursor, Journal, OpenError, Options, Recovery};
use parking_lot::{Mutex, RwLock};
use tokio::sync::watch;

use history::History;
use projector::{Bell, Projector};
use queue::Queue;
use writer::Writer;

/// Why the ledger does not open.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The journal does not open.
    #[error(transparent)]
    Journal(#[from] OpenError),
    /// A record is not one of ours.
    #[error("record {index} of the journal cannot be read: {source}")]
    Record {
        /// Which.
        index: u64,
        /// Why not.
        source: serde_json::Error,
    },
    /// The writer's thread does not start.
    #[error("the ledger's writer does not start")]
    Thread(#[source] std::io::Error),
}

/// The clock that stamps records.
pub type Now = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// A ledger in a directory of this machine.
pub struct Embedded {
    shared: Arc<Shared>,
    history: Arc<History>,
    directory: PathBuf,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

/// How a ledger is kept.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Of the journal.
    pub journal: Options,
    /// Where the history is.
    pub history: PathBuf,
    /// After how many records another snapshot is written.
    pub snapshot_every: u64,
}

impl Settings {
    /// The usual ones, with the history in this folder.
    #[must_use]
    pub fn with_history(history: PathBuf) -> Self {
        Self {
            journal: Options::default(),
            history,
            snapshot_every: 100_000,
        }
    }
}

/// What the writer and the readers share.
pub(crate) struct Shared {
    pub(crate) state: RwLock<State>,
    pub(crate) queue: Queue,
    pub(crate) durable: watch::Sender<Durable>,
    pub(crate) root: RwLock<(u64, [u8; 32])>,
}

/// How far the journal is durable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Durable {
    pub(crate) next: Seq,
    pub(crate) failed: Option<String>,
}

impl Embedded {
    /// Opens the ledger in this directory: the newest snapshot, then the journal behind it.
    ///
    /// # Errors
    /// See [`StartError`]. A journal whose tail was cut opens; the caller looks at the recovery.
    pub fn open(
        directory: &Path,
        settings: &Settings,
        now: Now,
    ) -> Result<(Self, Recovery), StartError> {
        let (mut state, from) = projector::start(directory)?;
        let (snapped, known, mut bad) = (from.size(), from.clone(), None);
        let opened = Journal::open(directory, settings.journal, from, |index, bytes| {
            if bad.is_some() {
                return;
            }
            match serde_json::from_slice::<Record>(bytes) {
                Ok(record) => drop(state.apply(&record)),
                Err(source) => bad = Some(StartError::Record { index, source }),
            }
        });
        let (journal, recovery) = opened?;
        if let Some(bad) = bad {
            return Err(bad);
        }
        let shared = Arc::new(Shared {
            durable: watch::channel(Durable {
                next: state.next_seq(),
                failed: None,
            })
            .0,
            root: RwLock::new((journal.len(), journal.root())),
            state: RwLock::new(state),
            queue: Queue::default(),
        });
        let history = Arc::new(History::new(directory, &settings.history, known));
        let projector = Projector {
            shared: Arc::clone(&shared),
            history: Arc::clone(&history),
            directory: directory.to_path_buf(),
            every: settings.snapshot_every,
            snapped,
        };
        let (bell, rung) = Bell::new();
        let writer = Writer::new(journal, Arc::clone(&shared), now, bell);
        let spawn = |name: &str, run: Box<dyn FnOnce() + Send>| {
            std::thread::Builder::new()
                .name(name.to_owned())
                .spawn(run)
                .map_err(StartError::Thread)
        };
        let threads = vec![
            spawn("ledger", Box::new(move || writer.run()))?,
            spawn("history", Box::new(move || projector.run(&rung)))?,
        ];
        Ok((
            Self {
                shared,
                history,
                directory: directory.to_path_buf(),
                threads: Mutex::new(threads),
            },
            recovery,
        ))
    }

    /// What happened, to be asked about.
    #[must_use]
    pub fn history(&self) -> &Arc<History> {
        &self.history
    }

    /// The records from this one on, as they stand in the journal.
    #[must_use]
    pub fn records(&self, from: u64) -> Cursor {
        Cursor::at(&self.directory, from)
    }

    /// How many records are durable, once that is more than `beyond`; `None` when there will be no more.
    pub async fn grown(&self, beyond: u64) -> Option<u64> {
        let mut durable = self.shared.durable.subscribe();
        let grown = durable
            .wait_for(|durable| durable.next.0 > beyond || durable.failed.is_some())
            .await
            .ok()?;
        (grown.next.0 > beyond).then_some(grown.next.0)
    }

    /// How many records are durable, and the root of the tree over them.
    #[must_use]
    pub fn tree(&self) -> (u64, [u8; 32]) {
        *self.shared.root.read()
    }

    /// Why the ledger takes nothing more, where that is so.
    #[must_use]
    pub fn failure(&self) -> Option<String> {
        self.shared.durable.borrow().failed.clone()
    }

    /// Writes what waits, then ends the writer and what follows it.
    pub fn close(&self) {
        self.shared.queue.close();
        for thread in self.threads.lock().drain(..) {
            if thread.join().is_err() {
                tracing::error!("a thread of the ledger ended by itself");
            }
        }
    }
}

impl Drop for Embedded {
    fn drop(&mut self) {
        self.close();
    }
}

#[async_trait]
impl Ledger for Embedded {
    async fn commit(&self, command: Command) -> Result<Seq, CommitError> {
        let answer = self.shared.queue.push(command)?;
        answer
            .await
            .unwrap_or_else(|_| Err(CommitError::Unavailable("the ledger is closed".to_owned())))
    }

    fn look(&self, at: &mut dyn FnMut(&State)) {
        at(&self.shared.state.read());
    }

    async fn settle(&self) -> Result<(), CommitError> {
        let admitted = self.shared.state.read().next_seq();
        let mut durable = self.shared.durable.subscribe();
        let reached = durable
            .wait_for(|durable| durable.next >= admitted || durable.failed.is_some())
            .await
            .map_err(|_| CommitError::Unavailable("the ledger is closed".to_owned()))?;
        match &reached.failed {
            Some(why) if reached.next < admitted => Err(CommitError::Unavailable(why.clone())),
            Some(_) | None => Ok(()),
        }
    }

    fn fence_valid_for(&self) -> Option<Duration> {
        None
    }

    fn faults(&self) -> Vec<Reason> {
        let failed = self.failure().map(|why| Reason::JournalFailed { why });
        failed.into_iter().collect()
    }

    async fn barrier(&self, _order: Seq) -> Reach {
        Reach::Everywhere
    }
}
