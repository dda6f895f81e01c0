//! The journal on a thread of its own, so that a disk that hangs blocks that thread and not the
//! writer.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, TryRecvError, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use lanyard_journal::merkle::Hash;
use lanyard_journal::{AppendError, Journal};

use crate::thread_health::{ThreadHealth, supervised};

/// The outcome of one job on the journal.
#[derive(Debug)]
pub(crate) enum JobOutcome {
    /// An append of `records`; `of_reserve` says that the ordinary append found the disk full and
    /// the reserve was used.
    Appended {
        records: Vec<Vec<u8>>,
        of_reserve: bool,
        written: Result<(), AppendError>,
    },
    /// An allocation of blocks for ordinary records ([`Journal::make_room`]).
    Room(Result<(), AppendError>),
    /// An allocation of the reserve ([`Journal::set_aside`]).
    SetAside(std::io::Result<()>),
}

/// The journal's state after the last job that came back.
#[derive(Debug, Clone)]
pub(crate) struct Status {
    pub(crate) len: u64,
    pub(crate) root: Hash,
    pub(crate) failure: Option<String>,
    /// See [`Journal::room`]; in bytes.
    pub(crate) room: u64,
    /// See [`Journal::covered`]; in bytes.
    pub(crate) covered: Option<u64>,
    /// The segment that batches go to; see [`Journal::current_segment`].
    pub(crate) segment: Option<u64>,
}

impl Status {
    fn of(journal: &Journal) -> Self {
        Self {
            len: journal.len(),
            root: journal.root(),
            failure: journal.failure().map(str::to_owned),
            room: journal.room(),
            covered: journal.covered(),
            segment: journal.current_segment(),
        }
    }
}

type Job = Box<dyn FnOnce(&mut Journal) -> JobOutcome + Send>;

/// The writer's handle of the journal's thread. At most one job is under way at a time.
pub(crate) struct Store {
    jobs: Option<Sender<Job>>,
    results: Receiver<(JobOutcome, Status)>,
    status: Status,
    /// The last job has not come back within the timeout.
    is_stalled: bool,
    timeout: Duration,
    thread: Option<JoinHandle<()>>,
}

impl Store {
    /// Starts the thread. A job that takes longer than `timeout` counts as stalled.
    pub(crate) fn new(
        mut journal: Journal,
        timeout: Duration,
        health: Arc<ThreadHealth>,
    ) -> std::io::Result<Self> {
        let (jobs, todo) = channel::<Job>();
        let (answer, results) = channel();
        let status = Status::of(&journal);
        let work = move || {
            while let Ok(job) = todo.recv() {
                let done = job(&mut journal);
                // The receiver is gone when the writer was dropped while the disk hung.
                drop(answer.send((done, Status::of(&journal))));
            }
        };
        let thread = std::thread::Builder::new()
            .name("journal".to_owned())
            .spawn(move || supervised("journal", &health, work))?;
        Ok(Self {
            jobs: Some(jobs),
            results,
            status,
            is_stalled: false,
            timeout,
            thread: Some(thread),
        })
    }

    pub(crate) const fn status(&self) -> &Status {
        &self.status
    }

    /// True while the disk hangs. No job is accepted until [`Store::poll`] has returned the outcome
    /// of the last one.
    pub(crate) const fn is_stalled(&self) -> bool {
        self.is_stalled
    }

    /// Runs `job` on the journal's thread and waits for its outcome. `None` when the disk hangs or
    /// the thread has ended; a job that was sent may still complete.
    pub(crate) fn run(
        &mut self,
        job: impl FnOnce(&mut Journal) -> JobOutcome + Send + 'static,
    ) -> Option<JobOutcome> {
        if self.is_stalled {
            return None;
        }
        if self.jobs.as_ref()?.send(Box::new(job)).is_err() {
            return self.mark_panicked();
        }
        self.is_stalled = true;
        self.wait()
    }

    /// Waits once more, for as long as the timeout, for a job that is under way.
    pub(crate) fn wait(&mut self) -> Option<JobOutcome> {
        match self.results.recv_timeout(self.timeout) {
            Ok(result) => Some(self.accept(result)),
            Err(RecvTimeoutError::Timeout) => None,
            Err(RecvTimeoutError::Disconnected) => self.mark_panicked(),
        }
    }

    /// The outcome of the job that stalled, if the disk has answered since.
    pub(crate) fn poll(&mut self) -> Option<JobOutcome> {
        match self.results.try_recv() {
            Ok(result) => Some(self.accept(result)),
            Err(TryRecvError::Empty) => None,
            Err(TryRecvError::Disconnected) => self.mark_panicked(),
        }
    }

    fn accept(&mut self, (done, status): (JobOutcome, Status)) -> JobOutcome {
        (self.is_stalled, self.status) = (false, status);
        done
    }

    /// Marks the journal as failed after a panic of its thread.
    fn mark_panicked(&mut self) -> Option<JobOutcome> {
        self.is_stalled = false;
        let why = || "the thread that writes the journal panicked".to_owned();
        self.status.failure.get_or_insert_with(why);
        None
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        drop(self.jobs.take());
        // A hanging disk does not hold up a shutdown. Its records were answered as volatile, so
        // nobody relies on them, and they may still be written.
        if let Some(thread) = self.thread.take().filter(|_| !self.is_stalled) {
            thread.join().ok();
        }
    }
}
