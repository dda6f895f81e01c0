//! The writer: the only place that changes the state and the journal.

use std::sync::Arc;
use std::time::Duration;

use lanyard_core::command::{Command, Record};
use lanyard_core::lease::Seq;
use lanyard_core::ledger::CommitError;
use lanyard_disk::is_full;
use lanyard_journal::AppendError;

use crate::behind::Bell;
use crate::queue::Answer;
use crate::store::{Done, Store};
use crate::{Durable, Now, Shared};

pub(crate) struct Writer {
    store: Store,
    shared: Arc<Shared>,
    now: Now,
    bells: Vec<Bell>,
    /// Records that are in effect and that the disk has no space for, or does not answer about, in order. They go before
    /// anything else.
    backlog: Vec<Vec<u8>>,
    /// Nothing but what stops things is admitted until there is space.
    full: bool,
    /// Why nothing can be set aside for that, where it is not for want of space.
    unreserved: Option<String>,
}

/// What the records of one lease's end take, in bytes: measured at a kill of a million, they were 200.
const LEASE_END_BYTES: u64 = 256;
/// What a batch takes besides its records, in bytes, and what a record takes besides itself: no less than the journal needs.
const OVERHEAD_BYTES: u64 = 64;
/// How much space for ordinary records there has to be before they are admitted again, in bytes.
const ROOM_BYTES: u64 = 64 << 10;
/// How often a full disk is looked at again.
const SPACE_CHECK_INTERVAL: Duration = Duration::from_secs(1);
/// How often a disk that hangs is looked at again.
const STALL_CHECK_INTERVAL: Duration = Duration::from_millis(50);
/// What is said to whoever is refused on a full disk.
const FULL: &str = "the disk is full";
/// What is said to whoever is refused on a disk that hangs.
const STALLED: &str = "the disk does not answer";

type Pending = (Answer, Result<Seq, CommitError>);

impl Writer {
    pub(crate) fn new(store: Store, shared: Arc<Shared>, now: Now, bells: Vec<Bell>) -> Self {
        let mut writer = Self {
            store,
            shared,
            now,
            bells,
            backlog: Vec::new(),
            full: false,
            unreserved: None,
        };
        writer.look_for_space();
        writer
    }

    pub(crate) fn run(mut self) {
        let shared = Arc::clone(&self.shared);
        while let Some(batch) = shared.queue.next_batch(self.pause()) {
            self.heed_disk();
            // Kills first and by themselves: neither the look for space nor an ordinary record stands before them.
            self.take(batch.kills);
            if self.full {
                self.look_for_space();
            } else if !batch.others.is_empty() {
                self.set_aside(batch.others.len());
            }
            self.take(batch.others);
        }
        // The last chance of what waits for the disk: the next process knows of it only by the spool.
        if self.store.is_away() {
            let done = self.store.wait();
            self.heed(done);
        }
        self.append(Vec::new());
        self.publish();
    }

    /// How long the next batch is waited for before the disk is looked at again.
    fn pause(&self) -> Option<Duration> {
        let full = self.full.then_some(SPACE_CHECK_INTERVAL);
        let stalled = self.store.is_away().then_some(STALL_CHECK_INTERVAL);
        stalled.or(full)
    }

    /// A disk that hung may have answered: what was put in effect meanwhile is written then.
    fn heed_disk(&mut self) {
        if !self.store.is_away() {
            return;
        }
        let done = self.store.returned();
        self.heed(done);
        if !self.store.is_away() {
            self.append(Vec::new());
        }
        self.publish();
    }

    fn take(&mut self, commands: Vec<(Command, Answer)>) {
        if commands.is_empty() {
            return;
        }
        let (records, answers) = self.admit(commands);
        self.append(records);
        self.publish();
        self.answer(answers);
    }

    /// Sets aside what every lease, and so many more, need to be stopped on a full disk: before another one is asked for.
    fn set_aside(&mut self, more: usize) {
        let leases = self.shared.state.read().leases().len() + more;
        let bytes = u64::try_from(leases).unwrap_or(u64::MAX);
        let needed = bytes.saturating_mul(LEASE_END_BYTES);
        let status = self.store.status();
        let is_covered = status.covered.is_some_and(|covered| needed <= covered);
        if status.failure.is_none() && !is_covered {
            let done = self
                .store
                .run(move |journal| Done::SetAside(journal.set_aside(needed)));
            self.heed(done);
        }
    }

    /// Takes in what a job of the disk came to.
    fn heed(&mut self, done: Option<Done>) {
        match done {
            Some(Done::SetAside(Ok(()))) => {}
            Some(Done::SetAside(Err(error))) => {
                self.full = true;
                if !is_full(&error) {
                    self.unreserved = Some(error.to_string());
                }
            }
            Some(Done::Room(made)) => self.full |= made == Err(AppendError::Full),
            Some(Done::Appended {
                mut records,
                of_reserve,
                written,
            }) => {
                self.full |= of_reserve;
                // A journal that failed is never written again: nothing waits for it.
                if written == Err(AppendError::Full) {
                    records.append(&mut self.backlog);
                    self.backlog = records;
                }
            }
            None => {}
        }
    }

    /// Whether there is space again, or still: for what waits to be written, for the reserve, and for ordinary records.
    fn look_for_space(&mut self) {
        self.append(Vec::new());
        if self.store.status().failure.is_some() || self.store.is_away() || !self.backlog.is_empty()
        {
            self.publish();
            return;
        }
        (self.full, self.unreserved) = (false, None);
        self.set_aside(0);
        self.make_room(ROOM_BYTES).ok();
        self.publish();
    }

    /// Admits and applies each command, so that the next one sees it; renders those that were admitted.
    fn admit(&mut self, batch: Vec<(Command, Answer)>) -> (Vec<Vec<u8>>, Vec<Pending>) {
        let mut records = Vec::with_capacity(batch.len());
        let mut answers = Vec::with_capacity(batch.len());
        let mut bytes = OVERHEAD_BYTES;
        for (command, answer) in batch {
            let outcome = self.admit_one(command, &mut bytes).map(|(seq, record)| {
                records.push(record);
                seq
            });
            answers.push((answer, outcome));
        }
        (records, answers)
    }

    fn admit_one(
        &mut self,
        command: Command,
        bytes: &mut u64,
    ) -> Result<(Seq, Vec<u8>), CommitError> {
        let critical = is_critical(&command);
        let record = Record {
            at: (self.now)(),
            command,
        };
        let unavailable = |error: serde_json::Error| CommitError::Unavailable(error.to_string());
        let rendered = serde_json::to_vec(&record).map_err(unavailable)?;
        let grown = *bytes + rendered.len() as u64 + OVERHEAD_BYTES;
        if !critical {
            // Before it is in effect: the reserve is not for records like this one, and what is in effect must be written.
            self.has_room(grown)?;
        }
        let mut state = self.shared.state.write();
        state.admit(&record.command, record.at)?;
        let seq = state.apply(&record);
        drop(state);
        *bytes = grown;
        Ok((seq, rendered))
    }

    fn has_room(&mut self, bytes: u64) -> Result<(), CommitError> {
        let made = self.make_room(bytes);
        let why = if self.store.is_away() {
            STALLED.to_owned()
        } else if let Some(why) = &self.unreserved {
            why.clone()
        } else if self.full {
            FULL.to_owned()
        } else {
            match made {
                Ok(()) => return Ok(()),
                Err(why) => why,
            }
        };
        Err(CommitError::Unavailable(why))
    }

    /// Allocates blocks for so many bytes, unless the disk is known to be full.
    fn make_room(&mut self, bytes: u64) -> Result<(), String> {
        let status = self.store.status();
        if let Some(why) = &status.failure {
            return Err(why.clone());
        }
        if self.full || bytes <= status.room {
            return Ok(());
        }
        let done = self
            .store
            .run(move |journal| Done::Room(journal.make_room(bytes)));
        self.heed(done);
        self.store.status().failure.clone().map_or(Ok(()), Err)
    }

    /// What was admitted has to become durable. On a full disk it takes of the reserve; where that is used up, or the disk
    /// hangs, it waits, in order, ahead of everything that comes.
    fn append(&mut self, records: Vec<Vec<u8>>) {
        self.backlog.extend(records);
        if self.store.status().failure.is_some() {
            self.backlog.clear();
            return;
        }
        if self.store.is_away() {
            return;
        }
        let records = std::mem::take(&mut self.backlog);
        let done = self.store.run(move |journal| {
            let written = journal.append(&records);
            let of_reserve = written == Err(AppendError::Full);
            let written = if of_reserve {
                journal.append_critical(&records)
            } else {
                written
            };
            Done::Appended {
                records,
                of_reserve,
                written: written.map(drop),
            }
        });
        self.heed(done);
    }

    /// Why what is in effect is not durable, where that is so.
    fn volatile(&self) -> Option<String> {
        let failed = self.store.status().failure.clone();
        let stalled = || self.store.is_away().then(|| STALLED.to_owned());
        let full = || (!self.backlog.is_empty()).then(|| FULL.to_owned());
        failed.or_else(stalled).or_else(full)
    }

    fn publish(&mut self) {
        let status = self.store.status();
        let now = Durable {
            next: Seq(status.len),
            failed: status.failure.clone(),
            full: self.full,
            unreserved: self.unreserved.clone(),
            stalled: self.store.is_away(),
            waiting: self.store.is_away() || !self.backlog.is_empty(),
        };
        *self.shared.root.write() = (status.len, status.root);
        let before = self.shared.durable.send_replace(now.clone());
        if let Some(why) = now.failed.filter(|_| before.failed.is_none()) {
            tracing::error!(
                why,
                "the journal failed: nothing is issued until a restart; kills and revocations go on"
            );
        }
        if now.full != before.full && now.full {
            tracing::error!(
                unreserved = now.unreserved,
                "the disk of the journal is full: nothing is issued; kills and revocations go on"
            );
        } else if now.full != before.full {
            tracing::info!("the disk of the journal has space again");
        }
        if now.stalled != before.stalled && now.stalled {
            tracing::error!(
                "the disk of the journal does not answer: nothing is issued; kills and revocations go on"
            );
        } else if now.stalled != before.stalled {
            tracing::info!("the disk of the journal answers again");
        }
        if now.next != before.next {
            self.bells.iter().for_each(Bell::ring);
        }
    }

    fn answer(&self, answers: Vec<Pending>) {
        let volatile = self.volatile();
        for (answer, outcome) in answers {
            let outcome = match (&volatile, outcome) {
                (Some(why), Ok(seq)) => Err(CommitError::Volatile {
                    seq,
                    why: why.clone(),
                }),
                (_, outcome) => outcome,
            };
            // Who does not wait any more does not want to know.
            drop(answer.send(outcome));
        }
    }
}

/// What takes effect on a full disk, of the reserve, and without a disk: whatever stops something, or records a stop.
const fn is_critical(command: &Command) -> bool {
    matches!(
        command,
        Command::Kill(_)
            | Command::Pause(_)
            | Command::Outlives { .. }
            | Command::Stop { .. }
            | Command::Advance { .. }
            | Command::Forget { .. }
            | Command::CloseTask { .. }
            | Command::CharterWithdrawn { .. }
    )
}
