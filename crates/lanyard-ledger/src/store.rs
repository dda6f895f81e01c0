//! The journal, on a thread of its own: a disk that hangs holds up that thread and nothing else.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, TryRecvError, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use lanyard_journal::merkle::Hash;
use lanyard_journal::{AppendError, Journal};

use crate::behind::{Trouble, supervised};

/// What a job came to.
#[derive(Debug)]
pub(crate) enum Done {
    /// These records were to be written, of the reserve where `of_reserve` says so.
    Appended {
        records: Vec<Vec<u8>>,
        of_reserve: bool,
        written: Result<(), AppendError>,
    },
    /// There is room, or there is none.
    Room(Result<(), AppendError>),
    /// The reserve has grown, or why it has not.
    SetAside(std::io::Result<()>),
}

/// The journal after the last job.
#[derive(Debug, Clone)]
pub(crate) struct Status {
    pub(crate) len: u64,
    pub(crate) root: Hash,
    pub(crate) failure: Option<String>,
    /// See [`Journal::room`].
    pub(crate) room: u64,
    /// See [`Journal::covered`].
    pub(crate) covered: Option<u64>,
}

impl Status {
    fn of(journal: &Journal) -> Self {
        Self {
            len: journal.len(),
            root: journal.root(),
            failure: journal.failure().map(str::to_owned),
            room: journal.room(),
            covered: journal.covered(),
        }
    }
}

type Job = Box<dyn FnOnce(&mut Journal) -> Done + Send>;

/// The other end of the thread that has the journal.
pub(crate) struct Store {
    jobs: Option<Sender<Job>>,
    results: Receiver<(Done, Status)>,
    status: Status,
    /// A job was given to the disk, and the disk has not answered.
    is_away: bool,
    patience: Duration,
    thread: Option<JoinHandle<()>>,
}

impl Store {
    /// Begins the thread. After `patience` a disk that has not answered hangs.
    pub(crate) fn new(
        mut journal: Journal,
        patience: Duration,
        trouble: Arc<Trouble>,
    ) -> std::io::Result<Self> {
        let (jobs, todo) = channel::<Job>();
        let (answer, results) = channel();
        let status = Status::of(&journal);
        let work = move || {
            while let Ok(job) = todo.recv() {
                let done = job(&mut journal);
                // Nobody waits any more where the writer has given up on the disk.
                drop(answer.send((done, Status::of(&journal))));
            }
        };
        let thread = std::thread::Builder::new()
            .name("journal".to_owned())
            .spawn(move || supervised("journal", &trouble, work))?;
        Ok(Self {
            jobs: Some(jobs),
            results,
            status,
            is_away: false,
            patience,
            thread: Some(thread),
        })
    }

    pub(crate) const fn status(&self) -> &Status {
        &self.status
    }

    /// Whether the disk hangs: it takes nothing until [`Store::returned`] has given what the last job came to.
    pub(crate) const fn is_away(&self) -> bool {
        self.is_away
    }

    /// Does this with the journal. None where the disk hangs, or the thread has ended.
    pub(crate) fn run(
        &mut self,
        job: impl FnOnce(&mut Journal) -> Done + Send + 'static,
    ) -> Option<Done> {
        if self.is_away {
            return None;
        }
        if self.jobs.as_ref()?.send(Box::new(job)).is_err() {
            return self.ended();
        }
        self.is_away = true;
        self.wait()
    }

    /// Waits for a disk that hangs, as long as for any job.
    pub(crate) fn wait(&mut self) -> Option<Done> {
        match self.results.recv_timeout(self.patience) {
            Ok(result) => Some(self.heard(result)),
            Err(RecvTimeoutError::Timeout) => None,
            Err(RecvTimeoutError::Disconnected) => self.ended(),
        }
    }

    /// What the job that the disk hung at came to, once the disk has answered.
    pub(crate) fn returned(&mut self) -> Option<Done> {
        match self.results.try_recv() {
            Ok(result) => Some(self.heard(result)),
            Err(TryRecvError::Empty) => None,
            Err(TryRecvError::Disconnected) => self.ended(),
        }
    }

    fn heard(&mut self, (done, status): (Done, Status)) -> Done {
        (self.is_away, self.status) = (false, status);
        done
    }

    /// The thread has panicked: nothing is written any more.
    fn ended(&mut self) -> Option<Done> {
        self.is_away = false;
        let why = || "the thread that writes the journal has ended by itself".to_owned();
        self.status.failure.get_or_insert_with(why);
        None
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        drop(self.jobs.take());
        // A disk that hangs holds up no end: what it was given may still be written, and was called volatile.
        if let Some(thread) = self.thread.take().filter(|_| !self.is_away) {
            thread.join().ok();
        }
    }
}
