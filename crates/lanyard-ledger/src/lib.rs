//! The one writer: admits commands, makes them durable, and publishes them.
//!
//! [`Embedded`] keeps the journal in a directory of its own. Commands are admitted in order against
//! everything admitted before; a batch of them is made durable by one fsync; only then are they answered.

mod queue;
mod writer;

use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use async_trait::async_trait;
use lanyard_core::command::{Command, Record};
use lanyard_core::lease::Seq;
use lanyard_core::ledger::{CommitError, Ledger, Reach};
use lanyard_core::state::State;
use lanyard_core::time::Timestamp;
use lanyard_journal::{Journal, OpenError, Options, Recovery};
use parking_lot::{Mutex, RwLock};
use tokio::sync::watch;

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
    writer: Mutex<Option<JoinHandle<()>>>,
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
    /// Opens the ledger in this directory and replays its journal.
    ///
    /// # Errors
    /// See [`StartError`]. A journal whose tail was cut opens; the caller looks at the recovery.
    pub fn open(
        directory: &Path,
        options: Options,
        now: Now,
    ) -> Result<(Self, Recovery), StartError> {
        let (mut state, mut bad) = (State::default(), None);
        let (journal, recovery) = Journal::open(directory, options, |index, bytes| {
            if bad.is_some() {
                return;
            }
            match serde_json::from_slice::<Record>(bytes) {
                Ok(record) => drop(state.apply(&record)),
                Err(source) => bad = Some(StartError::Record { index, source }),
            }
        })?;
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
        let writer = Writer::new(journal, Arc::clone(&shared), now);
        let thread = std::thread::Builder::new()
            .name("ledger".to_owned())
            .spawn(move || writer.run())
            .map_err(StartError::Thread)?;
        Ok((
            Self {
                shared,
                writer: Mutex::new(Some(thread)),
            },
            recovery,
        ))
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

    /// Writes what waits, then ends the writer.
    pub fn close(&self) {
        self.shared.queue.close();
        let ended = self.writer.lock().take().map(JoinHandle::join);
        if ended.is_some_and(|joined| joined.is_err()) {
            tracing::error!("the ledger's writer ended by itself");
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

    async fn barrier(&self, _order: Seq) -> Reach {
        Reach::Everywhere
    }
}
