//! The ledger: the one writer that admits commands, makes them durable, and publishes them.
//!
//! [`Embedded`] keeps the journal in a local directory. The writer admits each command against
//! everything admitted before; one fsync makes a batch of commands durable; only then are their
//! callers answered. Threads behind the writer write snapshots, keep the history, and bound the
//! journal's size ([`retention`]).

mod behind;
pub mod history;
mod queue;
pub mod retention;
mod store;
mod sync;
mod thread_health;
mod writer;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use async_trait::async_trait;
use lanyard_core::command::{Command, Record};
use lanyard_core::condition::Reason;
use lanyard_core::ledger::{CommitError, Ledger, StateGuard};
use lanyard_core::state::State;
use lanyard_disk::Files;
use lanyard_journal::{Cursor, Fault, Journal, Loss, OpenError, Options, Recovery};
use lanyard_records::Unread;
use lanyard_vocabulary::seq::Seq;
use lanyard_vocabulary::time::Timestamp;
use parking_lot::{Mutex, RwLock};
use tokio::sync::watch;

use behind::{Compactor, Notifier, Projector};
use history::History;
use queue::Queue;
use retention::{Keeper, Kept, Retention};
use store::Store;
use thread_health::{ThreadHealth, supervised};
use writer::Writer;

/// The reason why [`Embedded::open`] failed.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The journal does not open: another process holds its lock, or a newer version wrote it.
    #[error(transparent)]
    Journal(#[from] OpenError),
    /// A later version wrote a record that this version cannot read (T64). Nothing may be issued
    /// on a state that lacks a record, and what the record stopped must not be taken for live.
    #[error(
        "cannot read record {index} of the journal: {why}; lanyardd {writer} wrote it, and this is {own}. Start lanyardd {writer} or a later one: the records are as they were",
        own = env!("CARGO_PKG_VERSION")
    )]
    LaterVersion {
        /// The number of that record, from 0.
        index: u64,
        /// The part of the record that this version does not know.
        why: Unread,
        /// The version of the last start before the record.
        writer: String,
    },
    /// The operating system refused to start one of the ledger's threads.
    #[error("cannot start a thread of the ledger")]
    Thread(#[source] std::io::Error),
}

/// The clock that stamps records; injected, so that a test decides the time.
pub type Now = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// A ledger on a local disk: the writer's thread, the journal's, and those that write snapshots and
/// the history.
pub struct Embedded {
    shared: Arc<Shared>,
    history: Arc<History>,
    writer: Arc<ThreadHealth>,
    snapshots: Arc<ThreadHealth>,
    kept: Arc<Kept>,
    damage: Option<Fault>,
    disk: Files,
    directory: PathBuf,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

/// The ledger's files, and when it writes snapshots.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The file operations under the journal and the snapshots: the system's, or a simulated disk.
    pub disk: Files,
    /// Segment and reserve sizes of the journal.
    pub journal: Options,
    /// The folder of the history's index.
    pub history: PathBuf,
    /// Number of records that follow a snapshot before the next one is written.
    pub snapshot_every: u64,
    /// Time that one disk operation may take before the ledger goes on without the disk: kills and
    /// revocations are then in effect in memory alone.
    pub disk_timeout: Duration,
    /// The rules by which segments are kept and removed.
    pub retention: Retention,
}

/// Default of [`Settings::disk_timeout`]. Three seconds is far above a slow fsync and short enough
/// for a kill to wait.
///
/// # No limit
/// The operation is not given up: the disk may still finish it, and what waits is written then.
pub const DISK_TIMEOUT: Duration = Duration::from_secs(3);

impl Settings {
    /// Default settings on the system's disk, with the history's index in `history`.
    #[must_use]
    pub fn with_history(history: PathBuf) -> Self {
        Self {
            disk: lanyard_disk::system(),
            journal: Options::default(),
            history,
            snapshot_every: 100_000,
            disk_timeout: DISK_TIMEOUT,
            retention: Retention::default(),
        }
    }
}

/// State that the writer and the readers share.
pub(crate) struct Shared {
    pub(crate) state: RwLock<State>,
    pub(crate) queue: Queue,
    pub(crate) durable: watch::Sender<Durable>,
    pub(crate) root: RwLock<(u64, [u8; 32])>,
}

/// The journal's state, as the writer published it last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Durable {
    /// Number of the first record that is not durable.
    pub(crate) next: Seq,
    /// The segment that the journal appends to, by its first record.
    pub(crate) segment: Option<u64>,
    /// The failure after which the journal accepts nothing until a restart.
    pub(crate) failed: Option<String>,
    /// Only kills, revocations and other stops are admitted: there is no space for ordinary
    /// records.
    pub(crate) full: bool,
    /// The failure to allocate the reserve, if the cause is another one than a full disk.
    pub(crate) unreserved: Option<String>,
    /// The disk has not answered within the timeout, and the writer goes on without it.
    pub(crate) stalled: bool,
    /// Some records are in effect and not durable; they are written once the disk has space, or
    /// answers.
    pub(crate) waiting: bool,
}

impl Embedded {
    /// Opens the ledger in `directory`: restores the newest snapshot, then replays the journal
    /// behind it.
    ///
    /// A damaged or unwritable journal opens with every record that can be read. The ledger then
    /// admits only kills, revocations and other stops, in memory alone, and [`Ledger::faults`] says
    /// why.
    ///
    /// # Errors
    /// See [`StartError`]. A journal that has lost acknowledged records opens; the caller has to
    /// look at [`Recovery::loss`].
    pub fn open(
        directory: &Path,
        settings: &Settings,
        now: Now,
    ) -> Result<(Self, Recovery), StartError> {
        let disk = &settings.disk;
        // Where the directory cannot be listed the snapshots are skipped without an error:
        // `Journal::open` meets the same fault and names it.
        let (mut state, from) = behind::start(disk.as_ref(), directory).unwrap_or_default();
        let (last_snapshot, known) = (from.size(), from.clone());
        let (mut unreadable, mut later) = (Vec::new(), None);
        let opened = Journal::open(disk, directory, settings.journal, from, |index, bytes| {
            // Before and after `apply`: the state counts every record of the journal, also one that
            // this version cannot read, so that later records keep their numbers.
            state.pass_over(Seq(index));
            match lanyard_records::decode(bytes) {
                Ok(record) => drop(state.apply(&record)),
                Err(why) if why.is_of_a_later_version() => {
                    later.get_or_insert((index, why));
                }
                Err(why) => unreadable.push(unreadable_record(index, &why)),
            }
            state.pass_over(Seq(index + 1));
        });
        let (mut journal, mut recovery) = opened?;
        if let Some((index, why)) = later {
            return Err(StartError::LaterVersion {
                index,
                why,
                writer: writer_of(disk, directory, index),
            });
        }
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
                segment: None,
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
            kept: Arc::default(),
            damage: recovery.faults.first().cloned(),
            disk: Files::clone(disk),
            directory: directory.to_path_buf(),
            threads: Mutex::default(),
        };
        let compactor = Compactor {
            shared: Arc::clone(&shared),
            health: Arc::clone(&ledger.snapshots),
            disk: Files::clone(disk),
            directory: directory.to_path_buf(),
            interval_records: settings.snapshot_every,
            last_snapshot,
        };
        let keeper = Keeper::new(
            &ledger,
            (disk, directory),
            settings.retention.clone(),
            Arc::clone(&now),
        );
        ledger.begin((journal, settings.disk_timeout), now, (compactor, keeper))?;
        Ok((ledger, recovery))
    }

    fn begin(
        &self,
        (journal, disk_timeout): (Journal, Duration),
        now: Now,
        (compactor, keeper): (Compactor, Keeper),
    ) -> Result<(), StartError> {
        let (for_snapshots, snapshots_notified) = Notifier::new();
        let (for_retention, retention_notified) = Notifier::new();
        let (for_history, history_notified) = Notifier::new();
        // Notifies once at the start: where the last snapshot is far behind, a new one must not
        // wait for the next record.
        for_snapshots.notify();
        let notifiers = vec![for_snapshots, for_history, for_retention];
        let store = Store::new(journal, disk_timeout, Arc::clone(&self.writer));
        let store = store.map_err(StartError::Thread)?;
        let writer = Writer::new(store, Arc::clone(&self.shared), now, notifiers);
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
        let (health, shared) = (Arc::clone(&self.writer), Arc::clone(&self.shared));
        let write = move || {
            supervised("ledger", &health, || writer.run());
            // After a panic of the writer nobody answers commands any more: those that wait, and
            // those that come, get an error instead of waiting for ever.
            shared.queue.end();
            shared.durable.send_modify(|durable| {
                let why = health.panicked();
                durable.failed = durable.failed.take().or(why);
            });
        };
        spawn("ledger", Box::new(write))?;
        spawn(
            "snapshots",
            Box::new(move || {
                supervised("snapshots", &snapshots, || {
                    compactor.run(&snapshots_notified)
                })
            }),
        )?;
        let kept = Arc::clone(&self.kept);
        spawn(
            "retention",
            Box::new(move || {
                supervised("retention", kept.health(), || {
                    keeper.run(&retention_notified)
                })
            }),
        )?;
        spawn(
            "history",
            Box::new(move || {
                supervised("history", history.health(), || {
                    projector.run(&history_notified)
                })
            }),
        )
    }

    /// Problems that do not keep the broker from issuing: history queries cannot be answered, or
    /// the next start takes longer.
    #[must_use]
    pub fn problems(&self) -> Vec<String> {
        let history = self.history.health().problem();
        let history = history.map(|why| format!("the history is not kept: {why}"));
        history
            .into_iter()
            .chain(self.snapshots.problem())
            .chain(self.kept.health().problem())
            .collect()
    }

    /// Forgets a loss of records. The caller has made durable what has to follow from the loss (a
    /// kill of everything).
    ///
    /// # Errors
    /// When the loss file cannot be removed: the next start finds the loss again.
    pub fn loss_answered(&self) -> std::io::Result<()> {
        Loss::answered(self.disk.as_ref(), &self.directory)
    }

    /// The history, which answers queries by id, name and kind.
    #[must_use]
    pub fn history(&self) -> &Arc<History> {
        &self.history
    }

    /// The size of the segments, and what holds up their removal.
    #[must_use]
    pub fn kept(&self) -> &Kept {
        &self.kept
    }

    /// A cursor over the journal, before record `from`.
    #[must_use]
    pub fn records(&self, from: u64) -> Cursor {
        Cursor::on(&self.disk, &self.directory, from)
    }

    /// Waits until more than `beyond` records are durable and returns their number; `None` when the
    /// journal has failed or the ledger has closed, so that no more will come.
    pub async fn grown(&self, beyond: u64) -> Option<u64> {
        let mut durable = self.shared.durable.subscribe();
        let grown = durable
            .wait_for(|durable| durable.next.0 > beyond || durable.failed.is_some())
            .await
            .ok()?;
        (grown.next.0 > beyond).then_some(grown.next.0)
    }

    /// The number of durable records and the Merkle root over them, as `lanyard audit verify`
    /// compares them.
    #[must_use]
    pub fn tree(&self) -> (u64, [u8; 32]) {
        *self.shared.root.read()
    }

    /// The failure after which the journal accepts nothing more; `None` while it works.
    #[must_use]
    pub fn failure(&self) -> Option<String> {
        self.shared.durable.borrow().failed.clone()
    }

    /// Writes what waits, then ends the ledger's threads. Idempotent.
    pub fn close(&self) {
        self.shared.queue.close();
        for thread in self.threads.lock().drain(..) {
            if thread.join().is_err() {
                tracing::error!("a thread of the ledger panicked");
            }
        }
    }
}

/// The version of lanyardd that wrote a record: that of the last start before it. Reads the journal
/// from its first record, which only a start does that fails.
fn writer_of(disk: &Files, directory: &Path, index: u64) -> String {
    let mut writer = None;
    let read = Cursor::on(disk, directory, 0).read(index, |entry| {
        let is_before = entry.index < index;
        if is_before
            && lanyard_records::head(entry.record).kind == "started"
            && let Ok(Record {
                command: Command::Started { version },
                ..
            }) = lanyard_records::decode(entry.record)
        {
            writer = Some(version);
        }
    });
    // Where segments were archived, the start may be in one of them.
    let writer = writer.filter(|_| read.is_ok());
    writer.unwrap_or_else(|| "of a later version".to_owned())
}

/// The fault of a record that no version writes: somebody changed its bytes together with the
/// checksum.
fn unreadable_record(index: u64, source: &Unread) -> Fault {
    Fault {
        segment: "the journal".to_owned(),
        offset: 0,
        index,
        what: format!("cannot parse record {index}: {source}"),
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

    fn read(&self) -> StateGuard<'_> {
        Box::new(self.shared.state.read())
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
            ("history", self.history.health()),
        ];
        let ended = threads.into_iter().filter_map(|(thread, health)| {
            let thread = thread.to_owned();
            health
                .panicked()
                .map(|why| Reason::ThreadEnded { thread, why })
        });
        let held = self.kept.held().map(|why| Reason::RetentionHeld { why });
        journal.into_iter().chain(ended).chain(held).collect()
    }
}
