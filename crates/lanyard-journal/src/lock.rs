//! The lock on the data directory: one process at a time (T63).

use std::fs::File;
use std::io;
use std::path::Path;

use fs4::fs_std::FileExt as _;

/// Held for as long as the journal is open.
#[derive(Debug)]
pub(crate) struct DirectoryLock(#[expect(dead_code, reason = "held, not read")] File);

impl DirectoryLock {
    /// Takes it, or says at once that somebody has it.
    pub(crate) fn take(directory: &Path) -> io::Result<Option<Self>> {
        let file = File::options()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .open(directory.join("LOCK"))?;
        Ok(file.try_lock_exclusive()?.then_some(Self(file)))
    }
}
