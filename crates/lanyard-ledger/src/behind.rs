//! The threads behind the writer, one that writes snapshots and one that keeps the history. The writer never waits for them,
//! and they do not wait for each other: an index in doubt must not cost the snapshots.

use std::collections::VecDeque;
use std::num::NonZero;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, sync_channel};
use std::time::{Duration, Instant};

use lanyard_core::command::Record;
use lanyard_core::lease::Seq;
use lanyard_core::state::{Image, State};
use lanyard_disk::{Disk, Files};
use lanyard_journal::merkle::Frontier;
use lanyard_journal::{Cursor, OpenError, Snapshot};
use parking_lot::Mutex;

use crate::Shared;
use crate::history::History;

/// What comes within this time is taken in together, which costs far less than one by one.
const TOGETHER: Duration = Duration::from_millis(100);
/// How far the history stays behind where nobody wants to read it: sled writes a page anew for every few entries of it, so
/// that records that are taken in one by one cost several times their own bytes on the disk.
pub(crate) const LAG: Duration = Duration::from_secs(10);
/// The same while agents want to read it: they ask as often as they like, and must not choose what that costs.
pub(crate) const LAG_FOR_AGENTS: Duration = Duration::from_secs(5);

/// Rings when something became durable.
#[derive(Debug, Clone)]
pub(crate) struct Bell {
    ring: SyncSender<()>,
    _alive: SyncSender<()>,
}

/// The other end of the bell.
pub(crate) struct Rung {
    rung: Receiver<()>,
    gone: Receiver<()>,
}

impl Bell {
    pub(crate) fn new() -> (Self, Rung) {
        let (ring, rung) = sync_channel(1);
        let (alive, gone) = sync_channel(0);
        let bell = Self {
            ring,
            _alive: alive,
        };
        (bell, Rung { rung, gone })
    }

    pub(crate) fn ring(&self) {
        // Otherwise it rings already, or nobody listens any more.
        self.ring.try_send(()).ok();
    }
}

impl Rung {
    /// Waits for the next ring; false once the bell is gone.
    fn next(&self) -> bool {
        self.rung.recv().is_ok()
    }

    fn is_gone(&self) -> bool {
        self.gone.try_recv() == Err(TryRecvError::Disconnected)
    }

    /// Waits a moment, or until the bell is gone.
    fn rest(&self) {
        // Nothing is ever sent: this ends by the time or by the bell's end.
        self.gone.recv_timeout(TOGETHER).ok();
    }
}

/// What is wrong with a thread of the ledger.
#[derive(Debug, Default)]
pub(crate) struct Trouble {
    now: Mutex<Option<String>>,
    ended: Mutex<Option<String>>,
}

impl Trouble {
    pub(crate) fn note(&self, why: Option<String>) {
        *self.now.lock() = why;
    }

    pub(crate) fn get(&self) -> Option<String> {
        self.now.lock().clone()
    }

    /// The last words of a thread that has ended by itself.
    pub(crate) fn ended(&self) -> Option<String> {
        self.ended.lock().clone()
    }
}

/// Runs a thread to its end. One that panics is told of, and not begun again: what it left is not known.
pub(crate) fn supervised(name: &str, trouble: &Trouble, run: impl FnOnce()) {
    if let Err(panic) = catch_unwind(AssertUnwindSafe(run)) {
        let why = words(panic.as_ref());
        tracing::error!(
            thread = name,
            why,
            "a thread of the ledger has ended by itself: nothing is issued until a restart"
        );
        *trouble.ended.lock() = Some(why.to_owned());
    }
}

/// The last words of a thread.
pub(crate) fn words(panic: &(dyn std::any::Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
    text.unwrap_or("a panic without words")
}

#[expect(
    clippy::disallowed_methods,
    reason = "how long a thread rests is no time of the ledger"
)]
fn now() -> Instant {
    Instant::now()
}

/// Keeps the history.
pub(crate) struct Projector {
    pub(crate) shared: Arc<Shared>,
    pub(crate) history: Arc<History>,
}

impl Projector {
    pub(crate) fn run(self, rung: &Rung) {
        // A start does not wait for it.
        self.history.prepare();
        loop {
            let durable = self.shared.durable.borrow().next.0;
            // An end does not wait for it either: the next start goes on where this one stopped.
            while !rung.is_gone() && self.history.catch_up(durable) {}
            let caught_up = now();
            if !rung.next() {
                break;
            }
            rung.rest();
            while !rung.is_gone() && self.history.may_stay_behind(now() - caught_up) {
                rung.rest();
            }
        }
        self.history.close();
    }
}

/// Writes snapshots.
pub(crate) struct Compactor {
    pub(crate) shared: Arc<Shared>,
    pub(crate) trouble: Arc<Trouble>,
    pub(crate) disk: Files,
    pub(crate) directory: PathBuf,
    /// After how many records another one is written.
    pub(crate) every: u64,
    /// How many records the last one stands for.
    pub(crate) snapped: u64,
}

impl Compactor {
    pub(crate) fn run(mut self, rung: &Rung) {
        while rung.next() {
            self.snapshot();
            rung.rest();
        }
        self.snapshot();
    }

    fn snapshot(&mut self) {
        let (durable, failed) = {
            let now = self.shared.durable.borrow();
            (now.next.0, now.failed.is_some())
        };
        // A snapshot of a journal that is damaged would stand for records that cannot be read.
        if failed || durable.saturating_sub(self.snapped) < self.every {
            return;
        }
        let written = compact(&self.disk, &self.directory, durable);
        let trouble = written.err().map(|error| error.to_string());
        if let Some(error) = &trouble {
            tracing::error!(
                error,
                "no snapshot was written: the next start takes longer"
            );
        }
        let trouble = trouble.map(|error| format!("no snapshot was written: {error}"));
        self.trouble.note(trouble);
        // After a failure, not again for every record.
        self.snapped = durable;
    }
}

/// The state that the records up to `until` add up to, from the newest snapshot on, written as another one.
fn compact(disk: &Files, directory: &Path, until: u64) -> Result<(), OpenError> {
    let (mut state, mut frontier) = start(disk.as_ref(), directory)?;
    let mut bad = false;
    Cursor::on(disk, directory, frontier.size()).read(until, |entry| {
        frontier.push(entry.record);
        match serde_json::from_slice::<Record>(entry.record) {
            Ok(record) => drop(state.apply(&record)),
            Err(_) => bad = true,
        }
    })?;
    if bad {
        return Ok(());
    }
    let mut payload = Vec::new();
    for item in state.image() {
        serde_json::to_writer(&mut payload, &item).map_err(std::io::Error::from)?;
        payload.push(b'\n');
    }
    Ok(Snapshot { frontier, payload }.write(disk.as_ref(), directory)?)
}

/// The state of the newest snapshot that can be used, and the tree that it stands for; both empty without one.
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
            "a snapshot is of another version: an earlier one is used, or the whole journal is read"
        );
    }
    Ok((State::default(), Frontier::default()))
}

/// Takes in an image. While a piece of it is taken in, the next ones are parsed. Says whether all of it was taken.
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

/// How many bytes of an image are parsed together: whole lines.
fn piece(image: &[u8]) -> usize {
    const AT_LEAST: usize = 4 << 20;
    let end = image.iter().skip(AT_LEAST).position(|byte| *byte == b'\n');
    end.map_or(image.len(), |end| AT_LEAST + end + 1)
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

    #[test]
    fn s48_the_last_words_of_a_thread_are_told() {
        let trouble = Trouble::default();
        supervised("history", &trouble, || {});
        assert_eq!(trouble.ended(), None);
        supervised("history", &trouble, || panic!("page {} is torn", 7));
        assert_eq!(trouble.ended().as_deref(), Some("page 7 is torn"));
    }
}
