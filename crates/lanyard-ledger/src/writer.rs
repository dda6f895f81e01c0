//! The writer: the only place that changes the state and the journal.

use std::sync::Arc;

use lanyard_core::command::{Command, Record};
use lanyard_core::lease::Seq;
use lanyard_core::ledger::CommitError;
use lanyard_journal::{AppendError, Journal};

use crate::projector::Bell;
use crate::queue::Answer;
use crate::{Durable, Now, Shared};

pub(crate) struct Writer {
    journal: Journal,
    shared: Arc<Shared>,
    now: Now,
    bell: Bell,
    failed: Option<String>,
    full: bool,
}

/// What the records of one lease's end take, in bytes: measured at a kill of a million, they were 200.
const TO_STOP: u64 = 256;

type Pending = (Answer, Result<Seq, CommitError>);

impl Writer {
    pub(crate) const fn new(journal: Journal, shared: Arc<Shared>, now: Now, bell: Bell) -> Self {
        Self {
            journal,
            shared,
            now,
            bell,
            failed: None,
            full: false,
        }
    }

    pub(crate) fn run(mut self) {
        let shared = Arc::clone(&self.shared);
        while let Some(batch) = shared.queue.next_batch() {
            self.set_aside(batch.len());
            let (records, answers) = self.admit(batch);
            let failed = self.append(&records).err();
            self.answer(answers, failed);
        }
    }

    /// What every lease needs to be stopped, on a full disk too, is set aside before another one is asked for.
    fn set_aside(&mut self, more: usize) {
        if self.full || self.failed.is_some() {
            return;
        }
        let leases = self.shared.state.read().leases().len() + more;
        let bytes = u64::try_from(leases).unwrap_or(u64::MAX);
        if let Err(error) = self.journal.set_aside(bytes.saturating_mul(TO_STOP)) {
            tracing::error!(%error, leases, "the disk holds no reserve for more leases: nothing is issued");
            self.full = true;
        }
    }

    /// Admits and applies each command, so that the next one sees it; renders those that were admitted.
    fn admit(&self, batch: Vec<(Command, Answer)>) -> (Vec<Vec<u8>>, Vec<Pending>) {
        let (mut records, mut answers) = (
            Vec::with_capacity(batch.len()),
            Vec::with_capacity(batch.len()),
        );
        for (command, answer) in batch {
            let outcome = self.admit_one(command, &mut records);
            answers.push((answer, outcome));
        }
        (records, answers)
    }

    fn admit_one(&self, command: Command, records: &mut Vec<Vec<u8>>) -> Result<Seq, CommitError> {
        if let Some(why) = &self.failed {
            return Err(CommitError::Unavailable(why.clone()));
        }
        if self.full && !is_critical(&command) {
            return Err(CommitError::Unavailable("the disk is full".to_owned()));
        }
        let record = Record {
            at: (self.now)(),
            command,
        };
        let mut state = self.shared.state.write();
        state.admit(&record.command, record.at)?;
        let bytes = serde_json::to_vec(&record)
            .map_err(|error| CommitError::Unavailable(error.to_string()))?;
        let seq = state.apply(&record);
        drop(state);
        records.push(bytes);
        Ok(seq)
    }

    /// What was admitted must become durable: when the disk is full it takes of the reserve, and from
    /// then on only what stops things is admitted.
    fn append(&mut self, records: &[Vec<u8>]) -> Result<(), String> {
        let outcome = match self.journal.append(records) {
            Err(AppendError::Full) => {
                tracing::error!("the disk is full: nothing is issued; kills and revocations go on");
                self.full = true;
                self.journal.append_critical(records)
            }
            other => other,
        };
        outcome.map(drop).map_err(|error| error.to_string())
    }

    fn answer(&mut self, answers: Vec<Pending>, failed: Option<String>) {
        if let Some(why) = failed {
            tracing::error!(why, "the journal failed: nothing is issued until a restart");
            self.failed = Some(why);
        } else {
            *self.shared.root.write() = (self.journal.len(), self.journal.root());
        }
        let next = Seq(self.journal.len());
        let failed = self.failed.clone();
        self.shared.durable.send_replace(Durable {
            next,
            failed: failed.clone(),
        });
        self.bell.ring();
        for (answer, outcome) in answers {
            let outcome = match (&failed, outcome) {
                (Some(why), Ok(_)) => Err(CommitError::Unavailable(why.clone())),
                (_, outcome) => outcome,
            };
            // Who does not wait any more does not want to know.
            drop(answer.send(outcome));
        }
    }
}

/// What must get through on a full disk: whatever stops or records a stop.
const fn is_critical(command: &Command) -> bool {
    matches!(
        command,
        Command::Kill(_)
            | Command::Pause(_)
            | Command::Alert(_)
            | Command::Outlives { .. }
            | Command::Stop { .. }
            | Command::Advance { .. }
            | Command::Forget { .. }
            | Command::CloseTask { .. }
            | Command::CharterWithdrawn { .. }
            | Command::Delivered { .. }
    )
}
