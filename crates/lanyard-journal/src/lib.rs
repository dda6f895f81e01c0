//! An append-only, fsynced, Merkle-hashed journal of records. The journal knows nothing of what the
//! records mean.
//!
//! [`Journal`] appends batches and makes them durable; [`merkle`] is the tree of RFC 6962 over the
//! records; [`verify()`] reads everything again and names the first place that differs from what
//! was written.

mod batch;
mod cursor;
mod error;
mod journal;
mod loss;
pub mod merkle;
mod reserve;
mod scan;
mod snapshot;
mod verify;

pub use batch::Fault;
pub use cursor::{Cursor, Entry, Place};
pub use error::{AppendError, OpenError};
pub use journal::{Journal, Options};
pub use loss::{Loss, Recovery};
pub use snapshot::Snapshot;
pub use verify::{Verified, verify};
