//! The writer, on the thread `ledger`: nothing else changes the state and the journal.

use std::sync::Arc;
use std::time::Duration;

use lanyard_core::command::{Command, Record};
use lanyard_core::ledger::CommitError;
use lanyard_disk::is_full;
use lanyard_journal::AppendError;
use lanyard_vocabulary::seq::Seq;

use crate::behind::Notifier;
use crate::queue::AnswerSender;
use crate::store::{JobOutcome, Store};
use crate::{Durable, Now, Shared};

/// Admits commands in order, applies them in memory, appends them to the journal, and answers their
/// callers.
pub(crate) struct Writer {
    store: Store,
    shared: Arc<Shared>,
    now: Now,
    notifiers: Vec<Notifier>,
    /// Records that are in effect and not yet on disk, in order: the disk is full or hangs. They
    /// are written before any later record, so that the journal keeps the order of admission.
    backlog: Vec<Vec<u8>>,
    /// The disk is full: only critical commands are admitted until [`Writer::recheck_space`] finds
    /// space.
    full: bool,
    /// The failure to allocate the reserve, if the cause is another one than a full disk.
    unreserved: Option<String>,
}

/// Reserve per lease, in bytes, for the records of the lease's end; 200 were measured at a kill of
/// a million leases.
const LEASE_END_BYTES: u64 = 256;
/// Space that a batch takes besides its records, and a record besides its own bytes. An upper
/// bound: the journal's headers take 56 and 4.
const OVERHEAD_BYTES: u64 = 64;
/// Free space for ordinary records, in bytes, that must exist before a full disk counts as usable
/// again.
const ROOM_BYTES: u64 = 64 << 10;
/// Interval at which the writer checks a full disk for space.
const SPACE_CHECK_INTERVAL: Duration = Duration::from_secs(1);
/// Interval at which the writer checks whether a hanging disk has answered.
const STALL_CHECK_INTERVAL: Duration = Duration::from_millis(50);
/// The reason given to callers that are refused on a full disk.
const FULL: &str = "the disk is full";
/// The reason given to callers that are refused while the disk hangs.
const STALLED: &str = "the disk does not answer";

type Pending = (AnswerSender, Result<Seq, CommitError>);

impl Writer {
    pub(crate) fn new(
        store: Store,
        shared: Arc<Shared>,
        now: Now,
        notifiers: Vec<Notifier>,
    ) -> Self {
        let mut writer = Self {
            store,
            shared,
            now,
            notifiers,
            backlog: Vec::new(),
            full: false,
            unreserved: None,
        };
        // A start on a full disk must know before the first command that the disk is full.
        writer.recheck_space();
        writer
    }

    pub(crate) fn run(mut self) {
        let shared = Arc::clone(&self.shared);
        while let Some(batch) = shared.queue.next_batch(self.poll_interval()) {
            self.resume_after_stall();
            // Kills first and in a batch of their own: neither the space check nor an ordinary
            // record may delay them.
            self.process(batch.kills);
            if self.full {
                self.recheck_space();
            } else if !batch.others.is_empty() {
                // Before admission, not after: every lease that is admitted must be stoppable on a
                // full disk, so its share of the reserve is allocated first.
                self.top_up_reserve(batch.others.len());
            }
            self.process(batch.others);
        }
        // The last chance to write what the disk holds up. The next process learns of it from the
        // spool only.
        if self.store.is_stalled() {
            let done = self.store.wait();
            self.apply_outcome(done);
        }
        self.append(Vec::new());
        self.publish();
    }

    /// Time to wait for commands before the disk is checked again; `None` on a healthy disk.
    fn poll_interval(&self) -> Option<Duration> {
        let full = self.full.then_some(SPACE_CHECK_INTERVAL);
        let stalled = self.store.is_stalled().then_some(STALL_CHECK_INTERVAL);
        stalled.or(full)
    }

    /// Resumes after a stall: once the disk has answered, the records that took effect meanwhile
    /// are written.
    fn resume_after_stall(&mut self) {
        if !self.store.is_stalled() {
            return;
        }
        let done = self.store.poll();
        self.apply_outcome(done);
        if !self.store.is_stalled() {
            self.append(Vec::new());
        }
        self.publish();
    }

    fn process(&mut self, commands: Vec<(Command, AnswerSender)>) {
        if commands.is_empty() {
            return;
        }
        let (records, answers) = self.admit(commands);
        self.append(records);
        self.publish();
        self.answer(answers);
    }

    /// Grows the reserve until it covers the end of every lease and of `more` leases that are about
    /// to be admitted.
    fn top_up_reserve(&mut self, more: usize) {
        let leases = self.shared.state.read().leases().len() + more;
        let bytes = u64::try_from(leases).unwrap_or(u64::MAX);
        let needed = bytes.saturating_mul(LEASE_END_BYTES);
        let status = self.store.status();
        let is_covered = status.covered.is_some_and(|covered| needed <= covered);
        if status.failure.is_none() && !is_covered {
            let done = self
                .store
                .run(move |journal| JobOutcome::SetAside(journal.set_aside(needed)));
            self.apply_outcome(done);
        }
    }

    /// Applies the outcome of a job on the journal to the writer's view of the disk.
    fn apply_outcome(&mut self, done: Option<JobOutcome>) {
        match done {
            Some(JobOutcome::SetAside(Ok(()))) => {}
            Some(JobOutcome::SetAside(Err(error))) => {
                self.full = true;
                if !is_full(&error) {
                    self.unreserved = Some(error.to_string());
                }
            }
            Some(JobOutcome::Room(made)) => self.full |= made == Err(AppendError::Full),
            Some(JobOutcome::Appended {
                mut records,
                of_reserve,
                written,
            }) => {
                self.full |= of_reserve;
                // Back to the front of the backlog, because the order of admission must hold. After
                // any other failure the journal is never written again, so nothing is kept.
                if written == Err(AppendError::Full) {
                    records.append(&mut self.backlog);
                    self.backlog = records;
                }
            }
            None => {}
        }
    }

    /// Checks a full disk for space: first for the backlog, then for the reserve, then for ordinary
    /// records.
    fn recheck_space(&mut self) {
        self.append(Vec::new());
        if self.store.status().failure.is_some()
            || self.store.is_stalled()
            || !self.backlog.is_empty()
        {
            self.publish();
            return;
        }
        (self.full, self.unreserved) = (false, None);
        self.top_up_reserve(0);
        self.make_room(ROOM_BYTES).ok();
        self.publish();
    }

    /// Admits and applies the commands one by one, so that each sees the effect of those before it;
    /// renders the admitted ones.
    fn admit(&mut self, batch: Vec<(Command, AnswerSender)>) -> (Vec<Vec<u8>>, Vec<Pending>) {
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
        let rendered = lanyard_records::encode(&record);
        let grown = *bytes + rendered.len() as u64 + OVERHEAD_BYTES;
        if !critical {
            // Before the command is in effect. Ordinary records must not use the reserve, and a
            // record that is in effect has to be written.
            self.has_room(grown)?;
        }
        // Admission and application under one lock: no reader sees a state between them.
        let mut state = self.shared.state.write();
        state.admit(&record.command, record.at)?;
        let seq = state.apply(&record);
        drop(state);
        *bytes = grown;
        Ok((seq, rendered))
    }

    fn has_room(&mut self, bytes: u64) -> Result<(), CommitError> {
        let made = self.make_room(bytes);
        let why = if self.store.is_stalled() {
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

    /// Allocates blocks for `bytes` of ordinary records, unless the disk is known to be full.
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
            .run(move |journal| JobOutcome::Room(journal.make_room(bytes)));
        self.apply_outcome(done);
        self.store.status().failure.clone().map_or(Ok(()), Err)
    }

    /// Appends admitted records after the backlog. On a full disk the records use the reserve;
    /// where the reserve is used up or the disk hangs, they stay in the backlog, in order.
    fn append(&mut self, records: Vec<Vec<u8>>) {
        self.backlog.extend(records);
        if self.store.status().failure.is_some() {
            self.backlog.clear();
            return;
        }
        if self.store.is_stalled() {
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
            JobOutcome::Appended {
                records,
                of_reserve,
                written: written.map(drop),
            }
        });
        self.apply_outcome(done);
    }

    /// The reason why admitted records are not durable yet; `None` when they are.
    fn why_volatile(&self) -> Option<String> {
        let failed = self.store.status().failure.clone();
        let stalled = || self.store.is_stalled().then(|| STALLED.to_owned());
        let full = || (!self.backlog.is_empty()).then(|| FULL.to_owned());
        failed.or_else(stalled).or_else(full)
    }

    fn publish(&mut self) {
        let status = self.store.status();
        let now = Durable {
            next: Seq(status.len),
            segment: status.segment,
            failed: status.failure.clone(),
            full: self.full,
            unreserved: self.unreserved.clone(),
            stalled: self.store.is_stalled(),
            waiting: self.store.is_stalled() || !self.backlog.is_empty(),
        };
        *self.shared.root.write() = (status.len, status.root);
        let before = self.shared.durable.send_replace(now.clone());
        if let Some(why) = now.failed.filter(|_| before.failed.is_none()) {
            tracing::error!(
                why,
                "the journal failed: the broker issues nothing until a restart; kills and revocations go on"
            );
        }
        if now.full != before.full && now.full {
            tracing::error!(
                unreserved = now.unreserved,
                "the journal's disk is full: the broker issues nothing; kills and revocations go on"
            );
        } else if now.full != before.full {
            tracing::info!("the journal's disk has space again");
        }
        if now.stalled != before.stalled && now.stalled {
            tracing::error!(
                "the journal's disk does not answer: the broker issues nothing; kills and revocations go on"
            );
        } else if now.stalled != before.stalled {
            tracing::info!("the journal's disk answers again");
        }
        if now.next != before.next {
            self.notifiers.iter().for_each(Notifier::notify);
        }
    }

    fn answer(&self, answers: Vec<Pending>) {
        let volatile = self.why_volatile();
        for (answer, outcome) in answers {
            let outcome = match (&volatile, outcome) {
                (Some(why), Ok(seq)) => Err(CommitError::Volatile {
                    seq,
                    why: why.clone(),
                }),
                (_, outcome) => outcome,
            };
            // The receiver is gone when the caller has given up waiting.
            drop(answer.send(outcome));
        }
    }
}

/// Decides whether a command is admitted on a full or hanging disk: it stops something, or records
/// a stop.
const fn is_critical(command: &Command) -> bool {
    matches!(
        command,
        Command::Kill(_)
            | Command::Pause(_)
            | Command::ExpiryExtended { .. }
            | Command::Stop { .. }
            | Command::Advance { .. }
            | Command::Forget { .. }
            | Command::CloseTask { .. }
            | Command::CharterWithdrawn { .. }
    )
}
