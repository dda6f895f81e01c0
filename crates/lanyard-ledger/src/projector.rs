//! A thread behind the writer: it keeps the history, and writes snapshots. The writer never waits for it.

use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use lanyard_core::command::Record;
use lanyard_core::state::{Image, State};
use lanyard_journal::merkle::Frontier;
use lanyard_journal::{Cursor, OpenError, Snapshot};

use crate::Shared;
use crate::history::History;

/// Rings when something became durable.
#[derive(Debug, Clone)]
pub(crate) struct Bell(SyncSender<()>);

impl Bell {
    pub(crate) fn new() -> (Self, Receiver<()>) {
        let (ring, rung) = sync_channel(1);
        (Self(ring), rung)
    }

    pub(crate) fn ring(&self) {
        // Otherwise it rings already, or nobody listens any more.
        self.0.try_send(()).ok();
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
    pub(crate) fn run(mut self, rung: &Receiver<()>) {
        // A start does not wait for it.
        self.history.prepare();
        self.catch_up();
        while rung.recv().is_ok() {
            self.catch_up();
        }
        self.catch_up();
    }

    fn catch_up(&mut self) {
        let durable = self.shared.durable.borrow().next.0;
        self.history.catch_up(durable);
        if durable.saturating_sub(self.snapped) < self.every {
            return;
        }
        match compact(&self.directory, durable) {
            Ok(()) => self.snapped = durable,
            Err(error) => {
                tracing::warn!(%error, "no snapshot was written: the next start takes longer");
                // Not again for every record.
                self.snapped = durable;
            }
        }
    }
}

/// The state that the records up to `until` add up to, from the newest snapshot on, written as another one.
fn compact(directory: &Path, until: u64) -> Result<(), OpenError> {
    let (mut state, mut frontier) = start(directory)?;
    let mut bad = false;
    Cursor::at(directory, frontier.size()).read(until, |_, record| {
        frontier.push(record);
        match serde_json::from_slice::<Record>(record) {
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
    let lines = snapshot.payload.split(|byte| *byte == b'\n');
    for line in lines.filter(|line| !line.is_empty()) {
        let restored = serde_json::from_slice::<Image>(line).is_ok_and(|item| state.restore(item));
        if !restored {
            tracing::warn!("the newest snapshot is of another version: the whole journal is read");
            return Ok((State::default(), Frontier::default()));
        }
    }
    if state.next_seq().0 != snapshot.frontier.size() {
        return Ok((State::default(), Frontier::default()));
    }
    Ok((state, snapshot.frontier))
}
