//! File operations as a seam: everything that has to survive a crash is written through a [`Disk`],
//! so that a test can cut the power after any operation.
//!
//! [`SystemDisk`] is the real file system. The feature `simulated` adds a disk in memory that
//! remembers what was synced, fills up, and fails. The crate knows no file format but that of a
//! [`Mark`].

mod mark;
#[cfg(feature = "simulated")]
pub mod simulated;
mod system;

use std::any::Any;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub use mark::Mark;
pub use system::SystemDisk;

/// A shared handle to a disk: the journal, the spool and the replay cache hold one each.
pub type Files = Arc<dyn Disk>;

/// The file system of this machine, as a shared handle.
#[must_use]
pub fn system() -> Files {
    Arc::new(SystemDisk)
}

/// The mode in which a file is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Reads an existing file.
    Read,
    /// Reads and writes an existing file.
    Write,
    /// Reads and writes; creates an empty file where none exists.
    Create,
    /// Reads and writes; truncates or creates the file.
    Replace,
}

/// The effect of an allocation on the length of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Length {
    /// The length stays: the allocated blocks lie behind the end.
    Kept,
    /// The file grows to the end of the allocated range, filled with zeroes.
    Grown,
}

/// A directory's lock, released on drop.
pub struct Lock(
    #[expect(dead_code, reason = "held, not read")] pub(crate) Box<dyn Any + Send + Sync>,
);

impl fmt::Debug for Lock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Lock")
    }
}

/// Operations on names.
///
/// A creation, a rename and a removal survive a loss of power only once the directory is synced.
pub trait Disk: fmt::Debug + Send + Sync {
    /// Creates a directory and those above it, for the owner alone.
    ///
    /// # Errors
    /// When the file system refuses.
    fn create_directories(&self, directory: &Path) -> io::Result<()>;

    /// Opens a file. A file that is created can be read and written by the directory's owner alone.
    ///
    /// # Errors
    /// When the file system refuses.
    fn open(&self, path: &Path, access: Access) -> io::Result<Box<dyn OpenFile>>;

    /// Reads all bytes of a file.
    ///
    /// # Errors
    /// When the file system refuses.
    fn read(&self, path: &Path) -> io::Result<Vec<u8>>;

    /// The paths in a directory, sorted.
    ///
    /// # Errors
    /// When the file system refuses.
    fn list(&self, directory: &Path) -> io::Result<Vec<PathBuf>>;

    /// Renames a file within its directory, and replaces a file of the new name.
    ///
    /// # Errors
    /// When the file system refuses.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Removes a file; durable after a sync of the directory.
    ///
    /// # Errors
    /// When the file system refuses.
    fn remove(&self, path: &Path) -> io::Result<()>;

    /// Makes the names in a directory durable.
    ///
    /// # Errors
    /// When the file system refuses.
    fn sync_directory(&self, directory: &Path) -> io::Result<()>;

    /// Takes a directory's lock without waiting; `None` when another process holds the lock.
    ///
    /// # Errors
    /// When the file system refuses.
    fn lock(&self, directory: &Path) -> io::Result<Option<Lock>>;
}

/// Operations on an open file.
///
/// Bytes survive a loss of power only once the file is synced; before that any sector of them may
/// be lost.
pub trait OpenFile: fmt::Debug + Send + Sync {
    /// The length in bytes.
    ///
    /// # Errors
    /// When the file system refuses.
    fn length(&self) -> io::Result<u64>;

    /// Fills `bytes` from `offset` on.
    ///
    /// # Errors
    /// [`io::ErrorKind::UnexpectedEof`] when the file is too short; otherwise when the file system
    /// refuses.
    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<()>;

    /// Writes all of `bytes` at `offset`.
    ///
    /// # Errors
    /// When the file system refuses; some of the bytes may have been written.
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()>;

    /// Truncates the file, or extends it with zeroes. Blocks allocated behind the new end are
    /// freed.
    ///
    /// # Errors
    /// When the file system refuses.
    fn set_length(&self, length: u64) -> io::Result<()>;

    /// Allocates the blocks of a range, so that a write to the range needs no further space.
    /// Returns false on a file system that cannot allocate ahead.
    ///
    /// # Errors
    /// A full disk ([`is_full`]), or another refusal of the file system.
    fn allocate(&self, offset: u64, bytes: u64, length: Length) -> io::Result<bool>;

    /// Makes the bytes and the length durable.
    ///
    /// # Errors
    /// When the file system refuses. Bytes written since the last sync may or may not be on the
    /// disk then, and a second sync that succeeds does not show that they are.
    fn sync(&self) -> io::Result<()>;
}

/// Checks whether an error says that there is no space: on the disk, or in a quota of a user, a
/// group or a project.
#[must_use]
pub fn is_full(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
    )
}

/// The most bytes of a file that [`each_chunk`] holds in memory.
const CHUNK_BYTES: u64 = 1 << 20;

/// Replaces a file so that a crash leaves either the old or the new one: writes a temporary file,
/// syncs, renames, syncs the directory.
///
/// # Errors
/// When the file system refuses. The old file then still exists, and the temporary one does not
/// hinder another try.
pub fn replace(disk: &dyn Disk, path: &Path, bytes: &[u8]) -> io::Result<Box<dyn OpenFile>> {
    replace_with(disk, path, |file| file.write_at(bytes, 0))
}

/// Replaces a file as [`replace`] does, with what `write` writes to an empty one.
///
/// # Errors
/// When `write` fails or the file system refuses. The old file then still exists, and the temporary
/// one does not hinder another try.
pub fn replace_with(
    disk: &dyn Disk,
    path: &Path,
    write: impl FnOnce(&dyn OpenFile) -> io::Result<()>,
) -> io::Result<Box<dyn OpenFile>> {
    let unfinished = unfinished(path);
    let written = (|| {
        let file = disk.open(&unfinished, Access::Replace)?;
        write(file.as_ref())?;
        file.sync()?;
        disk.rename(&unfinished, path)?;
        disk.sync_directory(directory_of(path))?;
        Ok(file)
    })();
    if written.is_err() {
        // Frees what a full disk took of the bytes. Where the removal fails too, the next try
        // truncates the file.
        disk.remove(&unfinished).ok();
    }
    written
}

/// Passes a file's bytes to `each` in order, with their offset, and never more than
/// a mebibyte at once. Bytes that are appended meanwhile are left out.
///
/// # Errors
/// When `each` fails or the file cannot be read.
pub fn each_chunk(
    file: &dyn OpenFile,
    mut each: impl FnMut(u64, &[u8]) -> io::Result<()>,
) -> io::Result<()> {
    let length = file.length()?;
    let mut at = 0;
    while at < length {
        let some = (length - at).min(CHUNK_BYTES);
        let mut bytes = vec![0; usize::try_from(some).unwrap_or_default()];
        file.read_at(&mut bytes, at)?;
        each(at, &bytes)?;
        at += some;
    }
    Ok(())
}

/// The temporary name under which a file is written.
fn unfinished(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".unfinished");
    path.with_file_name(name)
}

/// The directory of a file; `.` for a bare name.
#[must_use]
pub fn directory_of(path: &Path) -> &Path {
    let parent = path
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty());
    parent.unwrap_or(Path::new("."))
}
