//! The file system of this machine.

use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::{
    DirBuilderExt as _, FileExt as _, MetadataExt as _, OpenOptionsExt as _, chown, fchown,
};
use std::path::{Path, PathBuf};

use fs4::fs_std::FileExt as _;
use rustix::fs::{FallocateFlags, fallocate};
use rustix::io::Errno;

use crate::{Access, Disk, Length, Lock, OpenFile, directory_of};

/// The name of the lock file of a directory.
const LOCK: &str = "LOCK";

/// The file system.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemDisk;

#[derive(Debug)]
struct SystemFile(File);

impl Disk for SystemDisk {
    fn create_directories(&self, directory: &Path) -> io::Result<()> {
        if directory.is_dir() {
            return Ok(());
        }
        let above = directory_of(directory);
        self.create_directories(above)?;
        match DirBuilder::new().mode(0o700).create(directory) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Ok(()),
            created => created?,
        }
        // What is acknowledged within it is lost with its name.
        self.sync_directory(above)?;
        let (owner, of) = (fs::metadata(above)?, fs::metadata(directory)?);
        if owner.uid() != of.uid() {
            // Nobody but root can, and for nobody else is there anything to give.
            chown(directory, Some(owner.uid()), Some(owner.gid())).ok();
        }
        Ok(())
    }

    fn open(&self, path: &Path, access: Access) -> io::Result<Box<dyn OpenFile>> {
        let mut options = File::options();
        options.read(true).mode(0o600);
        let created = match access {
            Access::Read => false,
            Access::Write => {
                options.write(true);
                false
            }
            Access::Create => {
                options.write(true).create(true);
                true
            }
            Access::Replace => {
                options.write(true).create(true).truncate(true);
                true
            }
        };
        let file = options.open(path)?;
        if created {
            give_to_owner(&file, directory_of(path))?;
        }
        Ok(Box::new(SystemFile(file)))
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        fs::read(path)
    }

    fn list(&self, directory: &Path) -> io::Result<Vec<PathBuf>> {
        let entries = fs::read_dir(directory)?;
        let mut found = entries
            .map(|entry| Ok(entry?.path()))
            .collect::<io::Result<Vec<_>>>()?;
        found.sort();
        Ok(found)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn sync_directory(&self, directory: &Path) -> io::Result<()> {
        File::open(directory)?.sync_all()
    }

    fn lock(&self, directory: &Path) -> io::Result<Option<Lock>> {
        let path = directory.join(LOCK);
        let file = File::options()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .mode(0o600)
            .open(&path)
            .and_then(|file| give_to_owner(&file, directory).map(|()| file))
            // Where nothing can be written, a lock still can be taken: on the file as it is, or on the directory.
            .or_else(|_| File::open(&path))
            .or_else(|_| File::open(directory))?;
        Ok(file.try_lock_exclusive()?.then(|| Lock(Box::new(file))))
    }
}

/// A file that root makes in somebody's directory belongs to that somebody: a daemon that is not root has to read what
/// root left beside it.
fn give_to_owner(file: &File, directory: &Path) -> io::Result<()> {
    let (of, owner) = (file.metadata()?, fs::metadata(directory)?);
    if of.uid() != owner.uid() {
        // Whoever is not root has nothing to give, and no right to.
        fchown(file, Some(owner.uid()), Some(owner.gid())).ok();
    }
    Ok(())
}

impl OpenFile for SystemFile {
    fn length(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }

    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<()> {
        self.0.read_exact_at(bytes, offset)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.0.write_all_at(bytes, offset)
    }

    fn set_length(&self, length: u64) -> io::Result<()> {
        self.0.set_len(length)
    }

    fn allocate(&self, offset: u64, bytes: u64, length: Length) -> io::Result<bool> {
        let flags = match length {
            Length::Kept => FallocateFlags::KEEP_SIZE,
            Length::Grown => FallocateFlags::empty(),
        };
        match fallocate(&self.0, flags, offset, bytes.max(1)) {
            Ok(()) => Ok(true),
            Err(Errno::OPNOTSUPP | Errno::NOSYS) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    fn sync(&self) -> io::Result<()> {
        self.0.sync_data()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_as_a_whole_and_read_by_its_owner_alone() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        for bytes in [&b"old"[..], b"newer"] {
            crate::replace(&SystemDisk, &path, bytes).unwrap();
            assert_eq!(SystemDisk.read(&path).unwrap(), bytes);
        }
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        assert_eq!(SystemDisk.list(directory.path()).unwrap(), [path]);
    }

    #[test]
    fn allocated_blocks_lie_behind_the_end_or_grow_the_file() {
        let directory = tempfile::tempdir().unwrap();
        let file = SystemDisk
            .open(&directory.path().join("file"), Access::Create)
            .unwrap();
        if file.allocate(0, 8192, Length::Kept).unwrap() {
            assert_eq!(file.length().unwrap(), 0);
            assert!(file.allocate(0, 8192, Length::Grown).unwrap());
            assert_eq!(file.length().unwrap(), 8192);
        }
    }

    #[test]
    fn s10_what_root_makes_in_a_directory_belongs_to_the_owner_of_the_directory() {
        let directory = tempfile::tempdir().unwrap();
        if chown(directory.path(), Some(65_534), Some(65_534)).is_err() {
            eprintln!("NOT RUN: this user is not root");
            return;
        }
        let below = directory.path().join("one/two");
        SystemDisk.create_directories(&below).unwrap();
        let path = below.join("file");
        crate::replace(&SystemDisk, &path, b"order").unwrap();
        for path in [&path, &below, below.parent().unwrap()] {
            let found = fs::metadata(path).unwrap();
            assert_eq!(
                (found.uid(), found.gid()),
                (65_534, 65_534),
                "{}",
                path.display()
            );
        }
    }
}
