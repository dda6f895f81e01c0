//! What waits for the writer: kill orders first, then everything in the order it came.

use std::collections::VecDeque;

use lanyard_core::command::Command;
use lanyard_core::lease::Seq;
use lanyard_core::ledger::CommitError;
use parking_lot::{Condvar, Mutex};
use tokio::sync::oneshot;

/// The answer to one command.
pub(crate) type Answer = oneshot::Sender<Result<Seq, CommitError>>;

/// How many commands wait at the most; beyond that the caller is told to come again. Kills always get in.
const MOST: usize = 65_536;
/// How many commands one batch holds at the most.
const BATCH: usize = 2048;

#[derive(Default)]
struct Waiting {
    kills: VecDeque<(Command, Answer)>,
    others: VecDeque<(Command, Answer)>,
    closed: bool,
}

/// Between the callers and the writer.
#[derive(Default)]
pub(crate) struct Queue {
    waiting: Mutex<Waiting>,
    something: Condvar,
}

impl Queue {
    pub(crate) fn push(
        &self,
        command: Command,
    ) -> Result<oneshot::Receiver<Result<Seq, CommitError>>, CommitError> {
        let (answer, waiting) = oneshot::channel();
        let mut queue = self.waiting.lock();
        if queue.closed {
            return Err(CommitError::Unavailable("the ledger is closed".to_owned()));
        }
        if matches!(command, Command::Kill(_)) {
            queue.kills.push_back((command, answer));
        } else if queue.others.len() >= MOST {
            return Err(CommitError::Unavailable(
                "too many commands wait for the ledger".to_owned(),
            ));
        } else {
            queue.others.push_back((command, answer));
        }
        drop(queue);
        self.something.notify_one();
        Ok(waiting)
    }

    /// The next batch; `None` once the queue is closed and empty.
    pub(crate) fn next_batch(&self) -> Option<Vec<(Command, Answer)>> {
        let mut queue = self.waiting.lock();
        while queue.kills.is_empty() && queue.others.is_empty() {
            if queue.closed {
                return None;
            }
            self.something.wait(&mut queue);
        }
        let mut batch: Vec<_> = queue.kills.drain(..).collect();
        let room = BATCH.saturating_sub(batch.len()).min(queue.others.len());
        batch.extend(queue.others.drain(..room));
        Some(batch)
    }

    pub(crate) fn close(&self) {
        self.waiting.lock().closed = true;
        self.something.notify_one();
    }
}
