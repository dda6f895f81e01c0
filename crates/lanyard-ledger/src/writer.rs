//! The writer: the only place that changes the state and the journal.

use std::sync::Arc;
use std::time::Duration;

use lanyard_core::command::{Command, Record};
use lanyard_core::lease::Seq;
use lanyard_core::ledger::CommitError;
use lanyard_journal::{AppendError, Journal};

use crate::behind::Bell;
use crate::queue::Answer;
use crate::{Durable, Now, Shared};

pub(crate) struct Writer {
    journal: Journal,
    shared: Arc<Shared>,
    now: Now,
    bells: Vec<Bell>,
    /// Records that are in effect and that the disk has no space for, in order. They go before anything else.
    backlog: Vec<Vec<u8>>,
    /// Nothing but what stops things is admitted until there is space.
    full: bool,
}

/// What the records of one lease's end take, in bytes: measured at a kill of a million, they were 200.
const LEASE_END_BYTES: u64 = 256;
/// What a batch takes besides its records, in bytes, and what a record takes besides itself: no less than the journal needs.
const OVERHEAD_BYTES: u64 = 64;
/// How much space for ordinary records there has to be before they are admitted again, in bytes.
const ROOM_BYTES: u64 = 64 << 10;
/// How often a full disk is looked at again.
const SPACE_CHECK_INTERVAL: Duration = Duration::from_secs(1);
/// What is said to whoever is refused on a full disk.
const FULL: &str = "the disk is full";

type Pending = (Answer, Result<Seq, CommitError>);

impl Writer {
    pub(crate) fn new(journal: Journal, shared: Arc<Shared>, now: Now, bells: Vec<Bell>) -> Self {
        let mut writer = Self {
            journal,
            shared,
            now,
            bells,
            backlog: Vec::new(),
            full: false,
        };
        writer.look_for_space();
        writer
    }

    pub(crate) fn run(mut self) {
        let shared = Arc::clone(&self.shared);
        while let Some(batch) = shared
            .queue
            .next_batch(self.full.then_some(SPACE_CHECK_INTERVAL))
        {
            // Kills first and by themselves: neither the look for space nor an ordinary record stands before them.
            self.take(batch.kills);
            if self.full {
                self.look_for_space();
            } else if !batch.others.is_empty() {
                self.set_aside(batch.others.len());
            }
            self.take(batch.others);
        }
        // The last chance of what waits for space: the next process knows of it only by the spool.
        self.append(Vec::new());
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
        if self.journal.failure().is_none() && self.journal.set_aside(needed).is_err() {
            self.full = true;
        }
    }

    /// Whether there is space again, or still: for what waits to be written, for the reserve, and for ordinary records.
    fn look_for_space(&mut self) {
        self.append(Vec::new());
        if self.journal.failure().is_some() || !self.backlog.is_empty() {
            self.publish();
            return;
        }
        self.full = false;
        self.set_aside(0);
        if self.journal.make_room(ROOM_BYTES) == Err(AppendError::Full) {
            self.full = true;
        }
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
        let made = if self.full {
            Err(AppendError::Full)
        } else {
            self.journal.make_room(bytes)
        };
        match made {
            Ok(()) => Ok(()),
            Err(AppendError::Full) => {
                self.full = true;
                Err(CommitError::Unavailable(FULL.to_owned()))
            }
            Err(AppendError::Poisoned(why)) => Err(CommitError::Unavailable(why)),
        }
    }

    /// What was admitted has to become durable. On a full disk it takes of the reserve, and where that is used up it waits
    /// for space, in order, ahead of everything that comes.
    fn append(&mut self, records: Vec<Vec<u8>>) {
        self.backlog.extend(records);
        let appended = match self.journal.append(&self.backlog) {
            Err(AppendError::Full) => {
                self.full = true;
                self.journal.append_critical(&self.backlog)
            }
            other => other,
        };
        match appended {
            // A journal that failed is never written again: nothing waits for it.
            Ok(_) | Err(AppendError::Poisoned(_)) => self.backlog.clear(),
            Err(AppendError::Full) => {}
        }
    }

    /// Why what is in effect is not durable, where that is so.
    fn volatile(&self) -> Option<String> {
        let failed = self.journal.failure().map(str::to_owned);
        failed.or_else(|| (!self.backlog.is_empty()).then(|| FULL.to_owned()))
    }

    fn publish(&mut self) {
        let failed = self.journal.failure().map(str::to_owned);
        let now = Durable {
            next: Seq(self.journal.len()),
            failed,
            full: self.full,
            waiting: !self.backlog.is_empty(),
        };
        *self.shared.root.write() = (self.journal.len(), self.journal.root());
        let before = self.shared.durable.send_replace(now.clone());
        if let Some(why) = now.failed.filter(|_| before.failed.is_none()) {
            tracing::error!(
                why,
                "the journal failed: nothing is issued until a restart; kills and revocations go on"
            );
        }
        if now.full != before.full && now.full {
            tracing::error!(
                "the disk of the journal is full: nothing is issued; kills and revocations go on"
            );
        } else if now.full != before.full {
            tracing::info!("the disk of the journal has space again");
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
