//! Where sealed segments are kept before retention removes them from the data directory.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use lanyard_disk::{Access, Files, OpenFile, each_chunk, replace_with};
use ring::digest::{Context, SHA256};

use crate::merkle::Hash;

/// A store of sealed segments.
pub trait Archive: fmt::Debug + Send + Sync {
    /// The place, as operators are told it.
    fn place(&self) -> String;

    /// Stores a segment's file. On return the copy is durable, and its SHA-256 was compared with
    /// `digest`. Storing the same file again succeeds.
    ///
    /// # Errors
    /// When the copy cannot be made, or another file of this name is there: it stays as it is.
    fn store(&self, name: &str, segment: &dyn OpenFile, digest: &Hash) -> io::Result<()>;
}

/// An archive in a directory, best on another disk. Whoever configures it makes the directory: one
/// that is not mounted must not be made on the disk below.
#[derive(Debug)]
pub struct DirectoryArchive {
    disk: Files,
    directory: PathBuf,
}

impl DirectoryArchive {
    /// The archive in `directory`.
    #[must_use]
    pub fn new(disk: &Files, directory: &Path) -> Self {
        Self {
            disk: Files::clone(disk),
            directory: directory.to_path_buf(),
        }
    }

    /// Compares a file that is there with `digest`, and makes it and its name durable.
    fn confirm(&self, path: &Path, digest: &Hash) -> io::Result<()> {
        let file = self.disk.open(path, Access::Write)?;
        if digest_of(file.as_ref())? != *digest {
            return Err(io::Error::new(
                io::ErrorKind::AlreadyExists,
                format!(
                    "`{}` is there and has other bytes: give each broker an archive of its own",
                    path.display()
                ),
            ));
        }
        // A process that died may have left the copy in the page cache alone.
        file.sync()?;
        self.disk.sync_directory(&self.directory)
    }
}

impl Archive for DirectoryArchive {
    fn place(&self) -> String {
        self.directory.display().to_string()
    }

    fn store(&self, name: &str, segment: &dyn OpenFile, digest: &Hash) -> io::Result<()> {
        let path = self.directory.join(name);
        let is_there = self.disk.list(&self.directory)?.contains(&path);
        if !is_there {
            replace_with(self.disk.as_ref(), &path, |copy| {
                each_chunk(segment, |at, bytes| copy.write_at(bytes, at))
            })?;
        }
        self.confirm(&path, digest)
    }
}

/// The SHA-256 of a file's bytes.
pub(crate) fn digest_of(file: &dyn OpenFile) -> io::Result<Hash> {
    let mut context = Context::new(&SHA256);
    each_chunk(file, |_, bytes| {
        context.update(bytes);
        Ok(())
    })?;
    let mut digest = [0; 32];
    digest.copy_from_slice(context.finish().as_ref());
    Ok(digest)
}
