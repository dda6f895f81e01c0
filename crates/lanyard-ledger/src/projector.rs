//! A thread behind the writer: it keeps the history, and writes snapshots. The writer never waits for it.

use std::collections::VecDeque;
use std::num::NonZero;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, sync_channel};
use std::time::Duration;

use lanyard_core::command::Record;
use lanyard_core::state::{Image, State};
use lanyard_journal::merkle::Frontier;
use lanyard_journal::{Cursor, OpenError, Snapshot};

use crate::Shared;
use crate::history::History;

/// What comes within this time is taken in together, which costs far less than one by one.
const TOGETHER: Duration = Duration::from_millis(100);

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

pub(crate) struct Projector {
    pub(crate) shared: Arc<Shared>,
    pub(crate) history: Arc<History>,
    pub(crate) directory: std::path::PathBuf,
    pub(crate) every: u64,
    pub(crate) snapped: u64,
}

impl Projector {
    pub(crate) fn run(mut self, rung: &Rung) {
        // A start does not wait for it.
        self.history.prepare();
        loop {
            let durable = self.shared.durable.borrow().next.0;
            self.snapshot(durable);
            // An end does not wait for it either: the next start goes on where this one stopped.
            while !rung.is_gone() && self.history.catch_up(durable) {}
            if !rung.next() {
                break;
            }
            rung.rest();
        }
        let durable = self.shared.durable.borrow().next.0;
        self.snapshot(durable);
    }

    fn snapshot(&mut self, durable: u64) {
        if durable.saturating_sub(self.snapped) < self.every {
            return;
        }
        if let Err(error) = compact(&self.directory, durable) {
            tracing::warn!(%error, "no snapshot was written: the next start takes longer");
        }
        // After a failure, not again for every record.
        self.snapped = durable;
    }
}

/// The state that the records up to `until` add up to, from the newest snapshot on, written as another one.
fn compact(directory: &Path, until: u64) -> Result<(), OpenError> {
    let (mut state, mut frontier) = start(directory)?;
    let mut bad = false;
    Cursor::at(directory, frontier.size()).read(until, |entry| {
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
    Ok(Snapshot { frontier, payload }.write(directory)?)
}

/// The state of the newest snapshot that can be used, and the tree that it stands for; both empty without one.
pub(crate) fn start(directory: &Path) -> Result<(State, Frontier), OpenError> {
    let found = match Snapshot::newest(directory) {
        Ok(found) => found,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
        Err(error) => return Err(error.into()),
    };
    let Some(snapshot) = found else {
        return Ok((State::default(), Frontier::default()));
    };
    let mut state = State::default();
    if !restore(&mut state, &snapshot.payload) {
        tracing::warn!("the newest snapshot is of another version: the whole journal is read");
        return Ok((State::default(), Frontier::default()));
    }
    if state.next_seq().0 != snapshot.frontier.size() {
        return Ok((State::default(), Frontier::default()));
    }
    Ok((state, snapshot.frontier))
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
