//! File operations as a seam: whatever must survive a crash is written through a [`Disk`], so that a test can take
//! the power away after any of them.
//!
//! [`SystemDisk`] is the file system. The feature `simulated` adds a disk in memory that remembers what was
//! synced, fills up, and fails. The crate knows no format but that of a [`Mark`].

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

/// A disk that several owners of files share.
pub type Files = Arc<dyn Disk>;

/// The file system of this machine.
#[must_use]
pub fn system() -> Files {
    Arc::new(SystemDisk)
}

/// How a file is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// An existing file, to read.
    Read,
    /// An existing file, to read and write.
    Write,
    /// To read and write; an empty file is created where there is none.
    Create,
    /// To read and write; whatever was there is gone.
    Replace,
}

/// What an allocation does to the length of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Length {
    /// The length stays: the blocks lie behind the end.
    Kept,
    /// The file is as long as what is allocated, with zeroes.
    Grown,
}

/// Held until dropped.
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
/// A rename, a creation and a removal survive a loss of power once the directory is synced, and not before.
pub trait Disk: fmt::Debug + Send + Sync {
    /// Creates a directory and those above it, for the owner alone.
    ///
    /// # Errors
    /// As of the file system.
    fn create_directories(&self, directory: &Path) -> io::Result<()>;

    /// Opens a file. A file that is created can be read and written by the directory's owner alone.
    ///
    /// # Errors
    /// As of the file system.
    fn open(&self, path: &Path, access: Access) -> io::Result<Box<dyn OpenFile>>;

    /// All bytes of a file.
    ///
    /// # Errors
    /// As of the file system.
    fn read(&self, path: &Path) -> io::Result<Vec<u8>>;

    /// The paths in a directory, in order.
    ///
    /// # Errors
    /// As of the file system.
    fn list(&self, directory: &Path) -> io::Result<Vec<PathBuf>>;

    /// Gives a file another name within its directory; a file that had that name is gone.
    ///
    /// # Errors
    /// As of the file system.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Removes a file.
    ///
    /// # Errors
    /// As of the file system.
    fn remove(&self, path: &Path) -> io::Result<()>;

    /// Makes the names in a directory durable.
    ///
    /// # Errors
    /// As of the file system.
    fn sync_directory(&self, directory: &Path) -> io::Result<()>;

    /// Takes the lock of a directory, or says at once that another process has it (`None`).
    ///
    /// # Errors
    /// As of the file system.
    fn lock(&self, directory: &Path) -> io::Result<Option<Lock>>;
}

/// Operations on an open file.
///
/// Bytes survive a loss of power once the file is synced; before that any sector of them may be lost.
pub trait OpenFile: fmt::Debug + Send + Sync {
    /// How long the file is, in bytes.
    ///
    /// # Errors
    /// As of the file system.
    fn length(&self) -> io::Result<u64>;

    /// Fills `bytes` from this offset on.
    ///
    /// # Errors
    /// [`io::ErrorKind::UnexpectedEof`] where the file is too short; else as of the file system.
    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<()>;

    /// Writes all of `bytes` from this offset on.
    ///
    /// # Errors
    /// As of the file system; some of the bytes may have been written.
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()>;

    /// Cuts the file, or fills it up with zeroes. Blocks that were allocated behind the new end are given back.
    ///
    /// # Errors
    /// As of the file system.
    fn set_length(&self, length: u64) -> io::Result<()>;

    /// Allocates the blocks of a range, so that a write to it needs no more space. `false` where the file system cannot
    /// allocate ahead.
    ///
    /// # Errors
    /// See [`is_full`]; else as of the file system.
    fn allocate(&self, offset: u64, bytes: u64, length: Length) -> io::Result<bool>;

    /// Makes the bytes and the length durable.
    ///
    /// # Errors
    /// As of the file system. What was written since the last sync may or may not be there then.
    fn sync(&self) -> io::Result<()>;
}

/// Whether an error says that there is no space: on the disk, or in a quota of its user, group or project.
#[must_use]
pub fn is_full(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
    )
}

/// Writes a file so that a crash leaves the old one or the new one: aside, synced, renamed, the directory synced.
///
/// # Errors
/// As of the file system; the old file is then still there, and what was written aside is no obstacle to another try.
pub fn replace(disk: &dyn Disk, path: &Path, bytes: &[u8]) -> io::Result<Box<dyn OpenFile>> {
    let aside = aside(path);
    let written = (|| {
        let file = disk.open(&aside, Access::Replace)?;
        file.write_at(bytes, 0)?;
        file.sync()?;
        disk.rename(&aside, path)?;
        disk.sync_directory(directory_of(path))?;
        Ok(file)
    })();
    if written.is_err() {
        // What a full disk took of the bytes is given back at once; where even that fails, the next try truncates it.
        disk.remove(&aside).ok();
    }
    written
}

/// Where a file is written before it has its name.
fn aside(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".unfinished");
    path.with_file_name(name)
}

/// The directory that a file is in.
#[must_use]
pub fn directory_of(path: &Path) -> &Path {
    let parent = path
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty());
    parent.unwrap_or(Path::new("."))
}
