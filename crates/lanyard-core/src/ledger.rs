//! The port to the component that makes commands durable. Callers do not know which component that
//! is.

use std::ops::Deref;

use async_trait::async_trait;
use lanyard_vocabulary::seq::Seq;

use crate::command::Command;
use crate::condition::Reason;
use crate::state::{Refusal, State};

/// The reason why a command is not in effect, or not known to be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CommitError {
    /// The command's precondition does not hold.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The ledger cannot take the command. Nothing may be issued.
    #[error("the ledger is not writable: {0}")]
    Unavailable(String),
    /// The command is in effect in this process but not durable: a failing disk must not hold up a
    /// stop.
    #[error("this is in effect in this process alone, because the ledger is not writable: {why}")]
    Volatile {
        /// The command's place among the commands in effect.
        seq: Seq,
        /// The reason why the command is not durable.
        why: String,
    },
}

impl CommitError {
    /// The sequence number of a command that is in effect without being durable.
    #[must_use]
    pub const fn in_effect(&self) -> Option<Seq> {
        match self {
            Self::Volatile { seq, .. } => Some(*seq),
            Self::Refused(_) | Self::Unavailable(_) => None,
        }
    }
}

/// The admitted state. The ledger's writer waits while the guard lives, and kill orders wait with
/// it.
pub type StateGuard<'a> = Box<dyn Deref<Target = State> + 'a>;

/// The writer of the journal: takes commands, makes them durable, and shows the resulting state.
#[async_trait]
pub trait Ledger: Send + Sync {
    /// Checks the command's precondition, makes the command durable, and returns its sequence
    /// number. A kill order overtakes every queued command.
    ///
    /// # Errors
    /// See [`CommitError`].
    async fn commit(&self, command: Command) -> Result<Seq, CommitError>;

    /// Locks the admitted state for reading. The admitted state may be ahead of what is durable,
    /// and is meant for preconditions and fences.
    fn read(&self) -> StateGuard<'_>;

    /// Waits until everything that [`Ledger::read`] has shown is durable.
    ///
    /// # Errors
    /// When the ledger can never make it durable.
    async fn settle(&self) -> Result<(), CommitError>;

    /// Says why nothing may be issued, as far as the ledger knows. Asked before every secret is
    /// handed over, so an implementation must not block.
    fn faults(&self) -> Vec<Reason> {
        Vec::new()
    }
}

/// Reads a value from the admitted state, and unlocks the state before returning.
pub fn look<R>(ledger: &(impl Ledger + ?Sized), at: impl FnOnce(&State) -> R) -> R {
    at(&ledger.read())
}
