//! A ledger in memory whose process can die: the next one starts with the records that were
//! durable.

use std::sync::Arc;

use async_trait::async_trait;
use lanyard_core::command::{Command, Record};
use lanyard_core::ledger::{CommitError, Ledger, StateGuard};
use lanyard_core::state::State;
use lanyard_vocabulary::seq::Seq;
use lanyard_vocabulary::time::Timestamp;
use parking_lot::{RwLock, RwLockReadGuard};

use crate::clock::ManualClock;

/// Clock that stamps the records.
pub type Now = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// A ledger whose commits are durable at once, until its process dies.
pub struct MemoryLedger {
    now: Now,
    inner: RwLock<Inner>,
}

#[derive(Default)]
struct Inner {
    state: State,
    records: Vec<Vec<u8>>,
    dead: bool,
}

impl MemoryLedger {
    /// Makes the ledger of a process that finds these records.
    ///
    /// # Panics
    /// When a record is not one of this version.
    #[must_use]
    pub fn replay(clock: Arc<ManualClock>, records: Vec<Vec<u8>>) -> Self {
        Self::replay_by(Arc::new(move || clock.now()), records)
    }

    /// Like [`MemoryLedger::replay`], with another clock for new records.
    ///
    /// # Panics
    /// When a record is not one of this version.
    #[must_use]
    pub fn replay_by(now: Now, records: Vec<Vec<u8>>) -> Self {
        let mut state = State::default();
        for record in &records {
            let record = lanyard_records::decode(record).expect("a record of ours");
            state.apply(&record);
        }
        Self {
            now,
            inner: RwLock::new(Inner {
                state,
                records,
                dead: false,
            }),
        }
    }

    /// Kills the process: no commit becomes durable any more.
    pub fn die(&self) {
        self.inner.write().dead = true;
    }

    /// Returns the durable records.
    #[must_use]
    pub fn records(&self) -> Vec<Vec<u8>> {
        self.inner.read().records.clone()
    }
}

#[async_trait]
impl Ledger for MemoryLedger {
    async fn commit(&self, command: Command) -> Result<Seq, CommitError> {
        let mut inner = self.inner.write();
        if inner.dead {
            return Err(CommitError::Unavailable("the process has died".to_owned()));
        }
        let record = Record {
            at: (self.now)(),
            command,
        };
        inner.state.admit(&record.command, record.at)?;
        inner.records.push(lanyard_records::encode(&record));
        Ok(inner.state.apply(&record))
    }

    fn read(&self) -> StateGuard<'_> {
        Box::new(RwLockReadGuard::map(self.inner.read(), |inner| {
            &inner.state
        }))
    }

    async fn settle(&self) -> Result<(), CommitError> {
        Ok(())
    }
}
