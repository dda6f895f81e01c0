//! Two of the threads that follow the writer: one writes snapshots, the other keeps the history.
//! The writer never waits for either thread, and neither waits for the other: rebuilding a suspect
//! index must not delay the snapshots.

use std::collections::VecDeque;
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TryRecvError, sync_channel};
use std::time::{Duration, Instant};

use lanyard_core::state::{Image, State};
use lanyard_disk::{Disk, Files};
use lanyard_journal::merkle::Frontier;
use lanyard_journal::{Cursor, OpenError, Snapshot};
use lanyard_vocabulary::seq::Seq;

use crate::Shared;
use crate::history::History;
use crate::thread_health::ThreadHealth;

/// Pause after each round of work. Records that arrive within the pause are indexed together, which
/// costs far less than one by one.
const COALESCE_INTERVAL: Duration = Duration::from_millis(100);
/// Wakes one follower thread when the writer has made records durable.
#[derive(Debug, Clone)]
pub(crate) struct Notifier {
    wake: SyncSender<()>,
    _alive: SyncSender<()>,
}

/// The receiving half of a [`Notifier`], held by the follower thread.
pub(crate) struct Notified {
    woken: Receiver<()>,
    gone: Receiver<()>,
}

impl Notifier {
    pub(crate) fn new() -> (Self, Notified) {
        let (wake, woken) = sync_channel(1);
        let (alive, gone) = sync_channel(0);
        let notifier = Self {
            wake,
            _alive: alive,
        };
        (notifier, Notified { woken, gone })
    }

    pub(crate) fn notify(&self) {
        // A full channel means that a wake-up is pending already; a disconnected one, that the
        // thread has ended. Neither is an error of the writer's.
        self.wake.try_send(()).ok();
    }
}

impl Notified {
    /// Waits for the next notification; returns false once the notifier is dropped.
    fn wait(&self) -> bool {
        self.woken.recv().is_ok()
    }

    /// Waits for the next notification, for `interval` at most; returns false once the notifier is
    /// dropped.
    pub(crate) fn wait_for(&self, interval: Duration) -> bool {
        self.woken.recv_timeout(interval) != Err(RecvTimeoutError::Disconnected)
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.gone.try_recv() == Err(TryRecvError::Disconnected)
    }

    /// Waits for [`COALESCE_INTERVAL`], or until the notifier is dropped.
    pub(crate) fn coalesce(&self) {
        // No message is ever sent on this channel: the wait ends by its time limit, or at once when
        // the notifier is dropped, so that a shutdown does not wait.
        self.gone.recv_timeout(COALESCE_INTERVAL).ok();
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "how long a thread rests is no time of the ledger"
)]
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// Keeps the history up to date, on the thread `history`.
pub(crate) struct Projector {
    pub(crate) shared: Arc<Shared>,
    pub(crate) history: Arc<History>,
}

impl Projector {
    pub(crate) fn run(self, notified: &Notified) {
        // Here and not in `Embedded::open`: opening sled may read every page, and a start must not
        // wait for that.
        self.history.prepare();
        loop {
            let durable = self.shared.durable.borrow().next.0;
            // A shutdown does not wait for the history to catch up: the next start resumes at the
            // last indexed record.
            while !notified.is_closed() && self.history.catch_up(durable) {}
            let caught_up = now();
            if !notified.wait() {
                break;
            }
            notified.coalesce();
            while !notified.is_closed() && self.history.may_stay_behind(now() - caught_up) {
                notified.coalesce();
            }
        }
        self.history.close();
    }
}

/// Writes snapshots, on the thread `snapshots`.
pub(crate) struct Compactor {
    pub(crate) shared: Arc<Shared>,
    pub(crate) health: Arc<ThreadHealth>,
    pub(crate) disk: Files,
    pub(crate) directory: PathBuf,
    /// Number of records that follow a snapshot before the next one is written.
    pub(crate) interval_records: u64,
    /// Number of records that the last snapshot covers.
    pub(crate) last_snapshot: u64,
}

impl Compactor {
    pub(crate) fn run(mut self, notified: &Notified) {
        while notified.wait() {
            self.snapshot();
            notified.coalesce();
        }
        self.snapshot();
    }

    fn snapshot(&mut self) {
        let (durable, failed) = {
            let now = self.shared.durable.borrow();
            (now.next.0, now.failed.is_some())
        };
        // A snapshot is never written over a failed journal: the snapshot would stand for records
        // that cannot be read, and the next start would skip the damage.
        if failed || durable.saturating_sub(self.last_snapshot) < self.interval_records {
            return;
        }
        let written = compact(&self.disk, &self.directory, durable);
        let problem = written.err().map(|error| error.to_string());
        if let Some(error) = &problem {
            tracing::error!(
                error,
                "cannot write a snapshot: the next start takes longer"
            );
        }
        let problem = problem.map(|error| format!("cannot write a snapshot: {error}"));
        self.health.set_problem(problem);
        // Advances after a failure as well: otherwise every new record would retry a write that has
        // just failed.
        self.last_snapshot = durable;
    }
}

/// Computes the state of the first `until` records from the newest snapshot and the journal, and
/// writes that state as a new snapshot. Writes nothing when a record cannot be parsed.
fn compact(disk: &Files, directory: &Path, until: u64) -> Result<(), OpenError> {
    // Replayed from disk instead of read from the writer's state, so that the writer never waits
    // for a snapshot.
    let (mut state, mut frontier) = start(disk.as_ref(), directory)?;
    let mut is_unreadable = false;
    Cursor::on(disk, directory, frontier.size()).read(until, |entry| {
        frontier.push(entry.record);
        match lanyard_records::decode(entry.record) {
            Ok(record) => drop(state.apply(&record)),
            Err(_) => is_unreadable = true,
        }
    })?;
    if is_unreadable {
        return Ok(());
    }
    let mut payload = Vec::new();
    for item in state.image() {
        serde_json::to_writer(&mut payload, &item).map_err(std::io::Error::from)?;
        payload.push(b'\n');
    }
    Ok(Snapshot { frontier, payload }.write(disk.as_ref(), directory)?)
}

/// The state and the Merkle frontier of the newest usable snapshot; both are empty where no
/// snapshot is usable.
pub(crate) fn start(disk: &dyn Disk, directory: &Path) -> Result<(State, Frontier), OpenError> {
    let found = match Snapshot::all(disk, directory) {
        Ok(found) => found,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Ok((State::default(), Frontier::default()));
        }
        Err(error) => return Err(error.into()),
    };
    for snapshot in found {
        let mut state = State::default();
        let usable = restore(&mut state, &snapshot.payload)
            && state.next_seq() == Seq(snapshot.frontier.size());
        if usable {
            return Ok((state, snapshot.frontier));
        }
        tracing::warn!(
            records = snapshot.frontier.size(),
            "skipping a snapshot of another version: this start takes longer"
        );
    }
    Ok((State::default(), Frontier::default()))
}

/// Restores an image line by line and returns whether every line was accepted. Later pieces are
/// parsed on other threads while earlier ones are applied, so that a start uses every core.
fn restore(state: &mut State, image: &[u8]) -> bool {
    let at_once = std::thread::available_parallelism().map_or(1, NonZero::get);
    std::thread::scope(|scope| {
        let mut parsing = VecDeque::with_capacity(at_once);
        let mut rest = image;
        loop {
            while parsing.len() < at_once && !rest.is_empty() {
                let (piece, after) = rest.split_at(piece(rest));
                parsing.push_back(scope.spawn(move || parse(piece)));
                rest = after;
            }
            let Some(parsed) = parsing.pop_front() else {
                return true;
            };
            let taken = match parsed.join() {
                Ok(Some(items)) => items.into_iter().all(|item| state.restore(item)),
                Ok(None) | Err(_) => false,
            };
            if !taken {
                return false;
            }
        }
    })
}

/// The length in bytes of the next piece to parse, which ends at a line's end.
fn piece(image: &[u8]) -> usize {
    const MIN_PIECE_BYTES: usize = 4 << 20;
    let end = image
        .iter()
        .skip(MIN_PIECE_BYTES)
        .position(|byte| *byte == b'\n');
    end.map_or(image.len(), |end| MIN_PIECE_BYTES + end + 1)
}

fn parse(lines: &[u8]) -> Option<Vec<Image>> {
    let lines = lines.split(|byte| *byte == b'\n');
    lines
        .filter(|line| !line.is_empty())
        .map(|line| serde_json::from_slice(line).ok())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::thread_health::supervised;

    #[test]
    fn s48_the_last_words_of_a_thread_are_told() {
        let health = ThreadHealth::default();
        supervised("history", &health, || {});
        assert_eq!(health.panicked(), None);
        supervised("history", &health, || panic!("page {} is torn", 7));
        assert_eq!(health.panicked().as_deref(), Some("page 7 is torn"));
    }
}
