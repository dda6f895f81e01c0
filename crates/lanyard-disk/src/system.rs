//! The file system of this machine, on Unix.

use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::{
    DirBuilderExt as _, FileExt as _, MetadataExt as _, OpenOptionsExt as _, chown, fchown,
};
use std::path::{Path, PathBuf};

use fs4::fs_std::FileExt as _;
use rustix::fs::{FallocateFlags, OFlags, fallocate};
use rustix::io::Errno;

use crate::{Access, Disk, Length, Lock, OpenFile, directory_of};

/// Name of the lock file in a directory.
const LOCK_FILE: &str = "LOCK";
/// The largest file that is read as a whole; segments and snapshots stay far below.
///
/// # Limit
/// - for: a file of the data directory
/// - unit: bytes
/// - beyond: the file is not read, and counts as damaged
/// - test: `s16_a_pipe_and_a_file_without_end_are_errors_at_once`
const MAX_READ_BYTES: u64 = 1 << 30;

/// The real file system: files for the owner alone, and no wait at a pipe.
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
        // Durable at once: whatever is acknowledged inside the directory would be lost with its
        // name.
        self.sync_directory(above)?;
        let (owner, of) = (fs::metadata(above)?, fs::metadata(directory)?);
        if owner.uid() != of.uid() {
            // Best effort: only root can change the owner, and only root makes directories that
            // belong to somebody else.
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
        // `O_NONBLOCK`, so that opening a FIFO that somebody put here does not wait for a writer.
        options.custom_flags(OFlags::NONBLOCK.bits().cast_signed());
        let file = options.open(path)?;
        if !file.metadata()?.is_file() {
            return Err(io::Error::other("not a regular file"));
        }
        if created {
            give_to_owner(&file, directory_of(path))?;
        }
        Ok(Box::new(SystemFile(file)))
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        let file = self.open(path, Access::Read)?;
        let length = file.length()?;
        if length > MAX_READ_BYTES {
            let why = format!(
                "the file has {length} bytes, and the largest that is read has {MAX_READ_BYTES}"
            );
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, why));
        }
        let mut bytes = vec![0; usize::try_from(length).map_err(io::Error::other)?];
        file.read_at(&mut bytes, 0)?;
        Ok(bytes)
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
        let path = directory.join(LOCK_FILE);
        // Both locks: the lock file can be removed while it is locked, so the directory is locked
        // too; older versions and file systems that lock no directory know only the file.
        let itself =
            File::open(directory).and_then(|it| Ok(it.try_lock_exclusive()?.then_some(it)));
        if matches!(itself, Ok(None)) {
            return Ok(None);
        }
        let file = File::options()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .mode(0o600)
            .custom_flags(OFlags::NONBLOCK.bits().cast_signed())
            .open(&path)
            .and_then(|file| give_to_owner(&file, directory).map(|()| file))
            // On a read-only file system an existing lock file can still be locked.
            .or_else(|_| File::open(&path))
            .and_then(|file| Ok(file.try_lock_exclusive()?.then_some(file)));
        match (itself, file) {
            (_, Ok(None)) => Ok(None),
            (Err(_), Err(error)) => Err(error),
            (itself, file) => {
                let held = (itself.ok().flatten(), file.ok().flatten());
                Ok(Some(Lock(Box::new(held))))
            }
        }
    }
}

/// Gives a file that root creates to the owner of its directory: a daemon without root has to read
/// what root leaves there.
fn give_to_owner(file: &File, directory: &Path) -> io::Result<()> {
    let (of, owner) = (file.metadata()?, fs::metadata(directory)?);
    if of.uid() != owner.uid() {
        // Best effort: a process without root cannot change the owner, and does not have to.
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
    fn s16_a_pipe_and_a_file_without_end_are_errors_at_once() {
        let directory = tempfile::tempdir().unwrap();
        let pipe = directory.path().join("pipe");
        let made = std::process::Command::new("mkfifo").arg(&pipe).status();
        assert!(made.unwrap().success());
        for access in [Access::Read, Access::Write, Access::Create, Access::Replace] {
            let error = SystemDisk.open(&pipe, access).unwrap_err();
            assert_eq!(error.to_string(), "not a regular file");
        }
        assert!(SystemDisk.read(&pipe).is_err());
        assert!(SystemDisk.read(directory.path()).is_err());
        let sparse = directory.path().join("sparse");
        File::create(&sparse).unwrap().set_len(6 << 30).unwrap();
        let error = SystemDisk.read(&sparse).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::FileTooLarge);
    }

    #[test]
    fn t63_a_directory_stays_locked_even_if_its_lock_file_is_removed() {
        let directory = tempfile::tempdir().unwrap();
        let held = SystemDisk.lock(directory.path()).unwrap();
        assert!(held.is_some());
        // By the name and not by the constant: daemons of every version have to lock the same file.
        let file = directory.path().join("LOCK");
        fs::remove_file(&file).unwrap();
        assert!(SystemDisk.lock(directory.path()).unwrap().is_none());
        fs::write(&file, "of somebody else").unwrap();
        assert!(SystemDisk.lock(directory.path()).unwrap().is_none());
        fs::remove_file(&file).unwrap();
        fs::create_dir(&file).unwrap();
        assert!(SystemDisk.lock(directory.path()).unwrap().is_none());
        drop(held);
        assert!(SystemDisk.lock(directory.path()).unwrap().is_some());
        fs::remove_dir(&file).unwrap();
        // A process that looks at the file alone.
        let other = File::create(&file).unwrap();
        assert!(other.try_lock_exclusive().unwrap());
        assert!(SystemDisk.lock(directory.path()).unwrap().is_none());
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
    fn s10_files_created_by_root_belong_to_the_directorys_owner() {
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
