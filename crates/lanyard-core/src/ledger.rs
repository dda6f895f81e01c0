//! The seam to whatever makes commands durable. Nothing above it knows what that is.

use std::time::Duration;

use async_trait::async_trait;

use crate::command::Command;
use crate::condition::Reason;
use crate::lease::Seq;
use crate::state::{Refusal, State};

/// Why a command did not take effect, or is not known to have.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CommitError {
    /// Its precondition does not hold.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The ledger cannot take it: nothing may be issued.
    #[error("the ledger is not writable: {0}")]
    Unavailable(String),
    /// It is in effect in this process and may not outlive the process: what stops something is not held up by a disk.
    #[error("this is in effect in this process alone, because the ledger is not writable: {why}")]
    Volatile {
        /// Its place among what is in effect.
        seq: Seq,
        /// Why it is not durable.
        why: String,
    },
}

impl CommitError {
    /// The place of a command that is in effect although it is not durable.
    #[must_use]
    pub const fn in_effect(&self) -> Option<Seq> {
        match self {
            Self::Volatile { seq, .. } => Some(*seq),
            Self::Refused(_) | Self::Unavailable(_) => None,
        }
    }
}

/// How far a kill order is in effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// In this process.
    Here,
    /// In every process that could issue.
    Everywhere,
}

/// Commands in, durable state out.
#[async_trait]
pub trait Ledger: Send + Sync {
    /// Admits the command, makes it durable, and says at which place. A kill order goes before
    /// everything that waits.
    ///
    /// # Errors
    /// See [`CommitError`].
    async fn commit(&self, command: Command) -> Result<Seq, CommitError>;

    /// Looks at the state as admitted: it may hold what is not durable yet. For preconditions and fences.
    fn look(&self, at: &mut dyn FnMut(&State));

    /// Waits until everything that [`Ledger::look`] has shown so far is durable.
    ///
    /// # Errors
    /// When it never will be.
    async fn settle(&self) -> Result<(), CommitError>;

    /// How long what this process knows of kill orders stays valid without hearing from the others;
    /// `None` is for ever.
    fn fence_valid_for(&self) -> Option<Duration>;

    /// Why nothing may be issued, as far as the ledger knows: asked before every hand-over, so it must not wait.
    fn faults(&self) -> Vec<Reason> {
        Vec::new()
    }

    /// Waits until every process that could issue knows of the order at this place.
    async fn barrier(&self, order: Seq) -> Reach;
}

/// [`Ledger::look`] with an answer.
pub fn look<R>(ledger: &(impl Ledger + ?Sized), at: impl FnOnce(&State) -> R) -> Option<R> {
    let (mut at, mut answer) = (Some(at), None);
    ledger.look(&mut |state| answer = at.take().map(|at| at(state)));
    answer
}
