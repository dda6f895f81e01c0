//! The errors of the journal: the reasons why it does not open, and why it takes no records.

use std::io;
use std::path::PathBuf;

use crate::batch::Fault;

/// The reason why a journal cannot be opened, read or verified.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process holds the directory's lock (T63).
    #[error("another process uses the journal `{}`: one daemon at a time; stop that one first", .0.display())]
    Locked(PathBuf),
    /// A later version of Lanyard wrote the segment (T64).
    #[error(
        "cannot read segment `{segment}`: its format version is {found}, this build reads up to {known}; start the newer version"
    )]
    Newer {
        /// Name of the segment's file.
        segment: String,
        /// Format version in the segment's header.
        found: u32,
        /// The latest format version that this build reads.
        known: u32,
    },
    /// A batch or a header is not as it was written (T58).
    #[error("the journal is damaged: {0}")]
    Damaged(Fault),
    /// Retention removed the record.
    #[error(
        "record {index} was removed by retention: the first record that is kept is {kept}, and earlier ones are in the archive, if `journal.archive` was set"
    )]
    Removed {
        /// The record that was asked for.
        index: u64,
        /// The first record that is kept.
        kept: u64,
    },
    /// The file system refused an operation.
    #[error("cannot read the journal: {0}")]
    Io(#[from] io::Error),
}

/// The reason why records were not appended.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AppendError {
    /// An earlier write or fsync failed, and the journal accepts nothing more (T59). After a failed
    /// fsync the kernel may drop the pages and report success for the next one, so a retry proves
    /// nothing.
    #[error("the journal failed and takes nothing more: {0}")]
    Poisoned(String),
    /// The disk has no space for the batch; the journal is unchanged (T60).
    #[error("the disk is full")]
    Full,
}
