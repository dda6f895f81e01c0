//! An append-only, fsynced, Merkle-hashed journal of records. The journal knows nothing of what the
//! records mean.
//!
//! [`Journal`] appends batches and makes them durable; [`merkle`] is the tree of RFC 6962 over the
//! records; [`verify()`] reads everything again and names the first place that differs from what
//! was written. [`Sealed`] compresses the segments that are full, and removes those that are no
//! longer kept.

mod archive;
mod batch;
mod compressed;
mod cursor;
mod error;
mod journal;
mod loss;
pub mod merkle;
mod removed;
mod reserve;
mod scan;
mod sealed;
mod segment;
mod snapshot;
mod verify;

pub use archive::{Archive, DirectoryArchive};
pub use batch::Fault;
pub use cursor::{Cursor, Entry, Place};
pub use error::{AppendError, OpenError};
pub use journal::{Journal, Options};
pub use loss::{Loss, Recovery};
pub use removed::{Archived, Removed, RemovedSegment, base};
pub use sealed::{Sealed, SealedSegment};
pub use snapshot::Snapshot;
pub use verify::{Then, Verified, verify};
