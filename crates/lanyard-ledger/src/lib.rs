//! The one writer: admits commands, makes them durable, and publishes them.
//!
//! [`Embedded`] keeps the journal in a directory of its own. Commands are admitted in order against
//! everything admitted before; a batch of them is made durable by one fsync; only then are they answered.

mod behind;
pub mod history;
mod queue;
mod store;
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
use lanyard_disk::Files;
use lanyard_journal::{Cursor, Fault, Journal, Loss, OpenError, Options, Recovery};
use parking_lot::{Mutex, RwLock};
use tokio::sync::watch;

use behind::{Bell, Compactor, Projector, supervised};
use history::History;
use queue::Queue;
use store::Store;
use writer::Writer;

/// Why the ledger does not open.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The journal does not open.
    #[error(transparent)]
    Journal(#[from] OpenError),
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
    writer: Arc<behind::Trouble>,
    snapshots: Arc<behind::Trouble>,
    damage: Option<Fault>,
    disk: Files,
    directory: PathBuf,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

/// How a ledger is kept.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where the journal and the snapshots are kept.
    pub disk: Files,
    /// Of the journal.
    pub journal: Options,
    /// Where the history is.
    pub history: PathBuf,
    /// After how many records another snapshot is written.
    pub snapshot_every: u64,
    /// After how long a disk that has not answered hangs: what stops things is then in effect without it.
    pub disk_patience: Duration,
}

/// How long a disk may take for one write before it hangs.
pub const DISK_PATIENCE: Duration = Duration::from_secs(3);

impl Settings {
    /// The usual ones, with the history in this folder.
    #[must_use]
    pub fn with_history(history: PathBuf) -> Self {
        Self {
            disk: lanyard_disk::system(),
            journal: Options::default(),
            history,
            snapshot_every: 100_000,
            disk_patience: DISK_PATIENCE,
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
    /// Why there will be no more.
    pub(crate) failed: Option<String>,
    /// Only what stops things is admitted.
    pub(crate) full: bool,
    /// Why nothing can be set aside for that, where it is not for want of space.
    pub(crate) unreserved: Option<String>,
    /// The disk has not answered for so long that nobody waits for it.
    pub(crate) stalled: bool,
    /// Something is in effect that is not durable before there is space again, or the disk answers.
    pub(crate) waiting: bool,
}

impl Embedded {
    /// Opens the ledger in this directory: the newest snapshot, then the journal behind it.
    ///
    /// A journal that is damaged, or cannot be written, opens with all that can be read. It then admits what stops things,
    /// in this process alone, and nothing else: [`Ledger::faults`] says why.
    ///
    /// # Errors
    /// See [`StartError`]. A journal that has lost something opens; the caller looks at the recovery.
    pub fn open(
        directory: &Path,
        settings: &Settings,
        now: Now,
    ) -> Result<(Self, Recovery), StartError> {
        let disk = &settings.disk;
        // A directory that cannot be listed has no snapshot either: the journal says what is wrong with it.
        let (mut state, from) = behind::start(disk.as_ref(), directory).unwrap_or_default();
        let (snapped, known) = (from.size(), from.clone());
        let mut unreadable = Vec::new();
        let opened = Journal::open(disk, directory, settings.journal, from, |index, bytes| {
            state.pass_over(Seq(index));
            match serde_json::from_slice::<Record>(bytes) {
                Ok(record) => drop(state.apply(&record)),
                Err(source) => unreadable.push(unknown_record(index, &source)),
            }
            state.pass_over(Seq(index + 1));
        });
        let (mut journal, mut recovery) = opened?;
        state.pass_over(Seq(journal.len()));
        if let Some(first) = unreadable.first() {
            journal.stop(&first.to_string());
            recovery.incomplete = true;
        }
        recovery.faults.append(&mut unreadable);
        let history = Arc::new(History::new(disk, directory, &settings.history, known));
        let shared = Arc::new(Shared {
            durable: watch::channel(Durable {
                next: state.next_seq(),
                failed: None,
                full: false,
                unreserved: None,
                stalled: false,
                waiting: false,
            })
            .0,
            root: RwLock::new((journal.len(), journal.root())),
            state: RwLock::new(state),
            queue: Queue::default(),
        });
        let ledger = Self {
            shared: Arc::clone(&shared),
            history: Arc::clone(&history),
            writer: Arc::default(),
            snapshots: Arc::default(),
            damage: recovery.faults.first().cloned(),
            disk: Files::clone(disk),
            directory: directory.to_path_buf(),
            threads: Mutex::default(),
        };
        let compactor = Compactor {
            shared: Arc::clone(&shared),
            trouble: Arc::clone(&ledger.snapshots),
            disk: Files::clone(disk),
            directory: directory.to_path_buf(),
            every: settings.snapshot_every,
            snapped,
        };
        ledger.begin((journal, settings.disk_patience), now, compactor)?;
        Ok((ledger, recovery))
    }

    fn begin(
        &self,
        (journal, patience): (Journal, Duration),
        now: Now,
        compactor: Compactor,
    ) -> Result<(), StartError> {
        let (for_snapshots, snapshots_rung) = Bell::new();
        let (for_history, history_rung) = Bell::new();
        // A start that finds much behind the snapshot does not wait for the next record with another one.
        for_snapshots.ring();
        let bells = vec![for_snapshots, for_history];
        let store = Store::new(journal, patience, Arc::clone(&self.writer));
        let store = store.map_err(StartError::Thread)?;
        let writer = Writer::new(store, Arc::clone(&self.shared), now, bells);
        let projector = Projector {
            shared: Arc::clone(&self.shared),
            history: Arc::clone(&self.history),
        };
        let spawn = |name: &str, run: Box<dyn FnOnce() + Send>| {
            let spawned = std::thread::Builder::new().name(name.to_owned()).spawn(run);
            let thread = spawned.map_err(StartError::Thread)?;
            self.threads.lock().push(thread);
            Ok::<_, StartError>(())
        };
        let history = Arc::clone(&self.history);
        let snapshots = Arc::clone(&self.snapshots);
        let (trouble, shared) = (Arc::clone(&self.writer), Arc::clone(&self.shared));
        let write = move || {
            supervised("ledger", &trouble, || writer.run());
            // After a panic nobody writes any more: whoever waits, or comes, is told so.
            shared.queue.end();
            shared.durable.send_modify(|durable| {
                let why = trouble.ended();
                durable.failed = durable.failed.take().or(why);
            });
        };
        spawn("ledger", Box::new(write))?;
        spawn(
            "snapshots",
            Box::new(move || {
                supervised("snapshots", &snapshots, || compactor.run(&snapshots_rung))
            }),
        )?;
        spawn(
            "history",
            Box::new(move || {
                supervised("history", history.trouble(), || {
                    projector.run(&history_rung)
                })
            }),
        )
    }

    /// What does not work as it should and keeps nothing from being issued: what is asked of the history cannot be answered,
    /// or a start will take longer.
    #[must_use]
    pub fn problems(&self) -> Vec<String> {
        let history = self.history.trouble().get();
        let history = history.map(|why| format!("the history is not kept: {why}"));
        history.into_iter().chain(self.snapshots.get()).collect()
    }

    /// Forgets that records were lost: what has to follow from it is durable.
    ///
    /// # Errors
    /// As of the file system: the loss is then found again at the next start.
    pub fn loss_answered(&self) -> std::io::Result<()> {
        Loss::answered(self.disk.as_ref(), &self.directory)
    }

    /// What happened, to be asked about.
    #[must_use]
    pub fn history(&self) -> &Arc<History> {
        &self.history
    }

    /// The records from this one on, as they stand in the journal.
    #[must_use]
    pub fn records(&self, from: u64) -> Cursor {
        Cursor::on(&self.disk, &self.directory, from)
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

/// A record that this version does not know, or whose bytes were changed together with their checksum.
fn unknown_record(index: u64, source: &serde_json::Error) -> Fault {
    Fault {
        segment: "the journal".to_owned(),
        offset: 0,
        index,
        what: format!("record {index} cannot be read: {source}"),
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
            .wait_for(|it| it.next >= admitted || it.failed.is_some() || it.waiting)
            .await
            .map_err(|_| CommitError::Unavailable("the ledger is closed".to_owned()))?;
        if reached.next >= admitted {
            return Ok(());
        }
        let why = match &reached.failed {
            Some(why) => why,
            None if reached.stalled => "the disk does not answer",
            None => "the disk is full",
        };
        Err(CommitError::Unavailable(why.to_owned()))
    }

    fn fence_valid_for(&self) -> Option<Duration> {
        None
    }

    fn faults(&self) -> Vec<Reason> {
        let durable = self.shared.durable.borrow().clone();
        let journal = match (&self.damage, durable.failed) {
            (Some(fault), _) => Some(Reason::JournalDamaged {
                file: fault.segment.clone(),
                byte: fault.offset,
                why: fault.what.clone(),
            }),
            (None, Some(why)) => Some(Reason::JournalFailed { why }),
            (None, None) if durable.stalled => Some(Reason::DiskStalled {
                what: "the journal".to_owned(),
            }),
            (None, None) if durable.unreserved.is_some() => Some(Reason::ReserveFailed {
                why: durable.unreserved.unwrap_or_default(),
            }),
            (None, None) => durable.full.then(|| Reason::DiskFull {
                what: "the journal".to_owned(),
            }),
        };
        let threads = [
            ("ledger", &*self.writer),
            ("snapshots", &*self.snapshots),
            ("history", self.history.trouble()),
        ];
        let ended = threads.into_iter().filter_map(|(thread, trouble)| {
            let thread = thread.to_owned();
            trouble
                .ended()
                .map(|why| Reason::ThreadEnded { thread, why })
        });
        journal.into_iter().chain(ended).collect()
    }

    async fn barrier(&self, _order: Seq) -> Reach {
        Reach::Everywhere
    }
}
