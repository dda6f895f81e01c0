//! The queue in front of the writer: kill orders first, then everything else in the order it
//! arrived.

use std::collections::VecDeque;
use std::time::Duration;

use lanyard_core::command::Command;
use lanyard_core::ledger::CommitError;
use lanyard_vocabulary::seq::Seq;
use tokio::sync::oneshot;

use crate::sync::{Condvar, Mutex};

/// The channel by which the writer answers one command.
pub(crate) type AnswerSender = oneshot::Sender<Result<Seq, CommitError>>;

/// Commands that wait for the writer; kill orders are not counted.
///
/// # Limit
/// - for: all callers together
/// - unit: commands
/// - beyond: the caller is told `UNAVAILABLE` and to come again; kill orders are always taken
/// - test: `a_full_queue_refuses_commands_and_takes_kills`
const MAX_QUEUED_COMMANDS: usize = 65_536;
/// Commands that one write makes durable.
///
/// # Limit
/// - for: the writer
/// - unit: commands
/// - beyond: the rest waits for the next write; every kill order that waits is in the next one
/// - test: `a_batch_takes_every_kill_and_so_many_others`
const MAX_COMMANDS_PER_BATCH: usize = 2048;

/// The commands that the writer processes together.
#[derive(Default)]
pub(crate) struct Batch {
    /// Kill orders; the writer commits them by themselves, before `others`.
    pub(crate) kills: Vec<(Command, AnswerSender)>,
    /// All other commands, in the order they arrived.
    pub(crate) others: Vec<(Command, AnswerSender)>,
}

#[derive(Default)]
struct Waiting {
    kills: VecDeque<(Command, AnswerSender)>,
    others: VecDeque<(Command, AnswerSender)>,
    closed: bool,
}

/// Hands commands from any number of callers to the one writer.
#[derive(Default)]
pub(crate) struct Queue {
    /// Signalled when a command arrives and when the queue closes.
    waiting: Mutex<Waiting>,
    nonempty: Condvar,
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
        // A kill is never refused for want of space in the queue: whoever fills the queue must not
        // be able to keep a kill out.
        if matches!(command, Command::Kill(_)) {
            queue.kills.push_back((command, answer));
        } else if queue.others.len() >= MAX_QUEUED_COMMANDS {
            return Err(CommitError::Unavailable(
                "the ledger's queue is full: retry later".to_owned(),
            ));
        } else {
            queue.others.push_back((command, answer));
        }
        drop(queue);
        self.nonempty.notify_one();
        Ok(waiting)
    }

    /// Waits for commands and returns the next batch; `None` once the queue is closed and empty.
    /// With `wait`, the batch is empty when no command arrived in that time.
    pub(crate) fn next_batch(&self, wait: Option<Duration>) -> Option<Batch> {
        let mut queue = self.waiting.lock();
        while queue.kills.is_empty() && queue.others.is_empty() {
            if queue.closed {
                return None;
            }
            match wait {
                None => self.nonempty.wait(&mut queue),
                Some(wait) => {
                    self.nonempty.wait_for(&mut queue, wait);
                    break;
                }
            }
        }
        // Every kill that waits goes into this batch, beyond the batch's limit too; ordinary
        // commands fill what is left.
        let kills: Vec<_> = queue.kills.drain(..).collect();
        let room = MAX_COMMANDS_PER_BATCH
            .saturating_sub(kills.len())
            .min(queue.others.len());
        let others = queue.others.drain(..room).collect();
        Some(Batch { kills, others })
    }

    /// Closes the queue and drops the commands that wait, whose callers then get an error. For a
    /// writer that has panicked.
    pub(crate) fn end(&self) {
        let mut queue = self.waiting.lock();
        queue.closed = true;
        queue.kills.clear();
        queue.others.clear();
    }

    pub(crate) fn close(&self) {
        self.waiting.lock().closed = true;
        self.nonempty.notify_one();
    }
}

#[cfg(all(test, not(feature = "model")))]
mod tests {
    use lanyard_core::kill::{Actor, KillOrder};
    use lanyard_vocabulary::id::{KillId, TaskId};
    use lanyard_vocabulary::scope::{RoleFilter, Scope};
    use lanyard_vocabulary::time::Timestamp;

    use super::*;

    fn kill(bits: usize) -> Command {
        Command::Kill(KillOrder {
            id: KillId::from_bits(bits as u128),
            scope: Scope::All,
            roles: RoleFilter::Both,
            reason: "drill".to_owned(),
            by: Actor::Local,
            at: Timestamp::EPOCH,
            evidence: Vec::new(),
            key: None,
            identities: std::collections::BTreeSet::new(),
            as_typed: false,
            reaches_nothing: false,
        })
    }

    fn other() -> Command {
        Command::CloseTask {
            task: TaskId::from_bits(1),
        }
    }

    #[test]
    fn a_full_queue_refuses_commands_and_takes_kills() {
        let queue = Queue::default();
        for _ in 0..MAX_QUEUED_COMMANDS {
            queue.push(other()).unwrap();
        }
        assert!(matches!(
            queue.push(other()),
            Err(CommitError::Unavailable(_))
        ));
        queue.push(kill(1)).unwrap();
    }

    #[test]
    fn a_queue_whose_writer_is_gone_lets_nobody_wait() {
        let queue = Queue::default();
        let mut waiting = queue.push(kill(1)).unwrap();
        queue.end();
        assert!(
            waiting
                .try_recv()
                .is_err_and(|error| error == oneshot::error::TryRecvError::Closed)
        );
        assert!(queue.push(kill(2)).is_err());
    }

    #[test]
    fn a_batch_takes_every_kill_and_so_many_others() {
        let queue = Queue::default();
        for _ in 0..=MAX_COMMANDS_PER_BATCH {
            queue.push(other()).unwrap();
        }
        let batch = queue.next_batch(None).unwrap();
        assert_eq!(batch.others.len(), MAX_COMMANDS_PER_BATCH);
        for bits in 0..=MAX_COMMANDS_PER_BATCH {
            queue.push(kill(bits)).unwrap();
        }
        let batch = queue.next_batch(None).unwrap();
        assert_eq!(batch.kills.len(), MAX_COMMANDS_PER_BATCH + 1);
        assert!(batch.others.is_empty());
        assert_eq!(queue.next_batch(None).unwrap().others.len(), 1);
    }
}

#[cfg(all(test, feature = "model"))]
mod model {
    use lanyard_core::kill::{Actor, KillOrder};
    use lanyard_vocabulary::id::{KillId, TaskId};
    use lanyard_vocabulary::scope::{RoleFilter, Scope};
    use lanyard_vocabulary::time::Timestamp;
    use loom::sync::Arc;
    use loom::thread;

    use super::*;

    fn kill() -> Command {
        Command::Kill(KillOrder {
            id: KillId::from_bits(1),
            scope: Scope::All,
            roles: RoleFilter::Both,
            reason: "drill".to_owned(),
            by: Actor::Local,
            at: Timestamp::EPOCH,
            evidence: Vec::new(),
            key: None,
            identities: std::collections::BTreeSet::new(),
            as_typed: false,
            reaches_nothing: false,
        })
    }

    fn other(bits: u128) -> Command {
        Command::CloseTask {
            task: TaskId::from_bits(bits),
        }
    }

    /// No wake-up is lost, nothing is taken twice, and every kill of a batch comes before the rest
    /// of it.
    #[test]
    fn the_writer_gets_everything_once_and_kills_first() {
        // Each of the three threads may be interrupted, and all of them twice: more takes minutes
        // and finds no more.
        let mut model = loom::model::Builder::new();
        model.preemption_bound = Some(2);
        model.check(|| {
            let queue = Arc::new(Queue::default());
            let callers = [vec![other(1), kill()], vec![other(2)]];
            let callers = callers.map(|commands| {
                let queue = Arc::clone(&queue);
                thread::spawn(move || {
                    commands
                        .into_iter()
                        .map(|command| queue.push(command).is_ok())
                        .filter(|taken| *taken)
                        .count()
                })
            });
            let writer = {
                let queue = Arc::clone(&queue);
                thread::spawn(move || {
                    let mut got = 0;
                    while let Some(batch) = queue.next_batch(None) {
                        let is_kill =
                            |it: &(Command, AnswerSender)| matches!(it.0, Command::Kill(_));
                        assert!(batch.kills.iter().all(is_kill));
                        assert!(!batch.others.iter().any(is_kill));
                        got += batch.kills.len() + batch.others.len();
                    }
                    got
                })
            };
            let pushed: usize = callers.into_iter().map(|it| it.join().unwrap()).sum();
            queue.close();
            assert_eq!((pushed, writer.join().unwrap()), (3, 3));
        });
    }
}
