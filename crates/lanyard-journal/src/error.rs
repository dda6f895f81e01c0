//! Why the journal cannot be used, and why it takes no records.

use std::io;
use std::path::PathBuf;

use crate::batch::Fault;

/// Why the journal cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process has it open (T63).
    #[error("another process uses the journal `{}`: one daemon at a time; stop that one first", .0.display())]
    Locked(PathBuf),
    /// A newer version of the software wrote it (T64).
    #[error("{segment} has format version {found}, and this version reads up to {known}")]
    Newer {
        /// The file's name.
        segment: String,
        /// Its version.
        found: u32,
        /// The newest that can be read.
        known: u32,
    },
    /// A place in it is not as it was written (T58).
    #[error("the journal is damaged: {0}")]
    Damaged(Fault),
    /// The file system does not do it.
    #[error("the journal cannot be read: {0}")]
    Io(#[from] io::Error),
}

/// Why records were not appended.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AppendError {
    /// An earlier write or fsync failed: nothing is appended any more (T59).
    #[error("the journal failed and takes nothing more: {0}")]
    Poisoned(String),
    /// There is no space for them now; the journal is as it was (T60).
    #[error("the disk is full")]
    Full,
}
