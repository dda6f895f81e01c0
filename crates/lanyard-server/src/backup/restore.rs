//! Restores a data directory from a backup.

use std::path::{Path, PathBuf};

use lanyard_disk::{directory_of, replace, system};
use lanyard_vocabulary::digest::hex;

use super::manifest::Manifest;
use super::{BackupError, DATA, JOURNAL, at, copy};

/// A file of the data directory that is there while a restore into the directory is not finished.
const RESTORING: &str = "restoring";
/// A file of the data directory that says from which backup the directory was restored, until an
/// order has stopped everything.
const RESTORED: &str = "restored";

/// Copies a backup into a data directory that is empty or absent. The first start on it stops
/// everything.
///
/// # Errors
/// See [`BackupError`]. A data directory in which a restore was begun and not finished is refused
/// by every start.
pub(crate) fn restore(backup: &Path, data_dir: &Path) -> Result<Manifest, BackupError> {
    let manifest = Manifest::read(backup)?;
    check(backup, &manifest)?;
    let disk = system();
    disk.create_directories(data_dir).map_err(at(data_dir))?;
    let mut entries = std::fs::read_dir(data_dir).map_err(at(data_dir))?;
    if entries.next().is_some() {
        return Err(BackupError::Occupied(data_dir.to_owned()));
    }
    let begun = data_dir.join(RESTORING);
    replace(disk.as_ref(), &begun, manifest.taken.as_bytes()).map_err(at(&begun))?;
    for name in manifest.files.keys() {
        let (from, to) = (backup.join(DATA).join(name), data_dir.join(name));
        let folder = directory_of(&to);
        disk.create_directories(folder).map_err(at(folder))?;
        let copied = copy::file(&from, &to).map_err(at(&to))?;
        if copied.as_ref() != manifest.files.get(name) {
            return Err(BackupError::Damaged {
                path: backup.to_owned(),
                why: format!("`{name}` changed while it was copied"),
            });
        }
    }
    let done = data_dir.join(RESTORED);
    std::fs::rename(&begun, &done).map_err(at(&done))?;
    disk.sync_directory(data_dir).map_err(at(data_dir))?;
    Ok(manifest)
}

/// Compares every file of a backup with the manifest, and the journal with its root.
fn check(backup: &Path, manifest: &Manifest) -> Result<(), BackupError> {
    let damaged = |why| BackupError::Damaged {
        path: backup.to_owned(),
        why,
    };
    let data = backup.join(DATA);
    for (name, said) in &manifest.files {
        let found = copy::entry(&data.join(name))
            .map_err(|error| damaged(format!("`{name}` cannot be read: {error}")))?;
        if found != *said {
            return Err(damaged(format!("`{name}` is not as it was written")));
        }
    }
    let verified = lanyard_journal::verify(&data.join(JOURNAL), None, 0)
        .map_err(|error| damaged(error.to_string()))?;
    if (verified.size, hex(&verified.root)) != (manifest.records, manifest.root.clone()) {
        return Err(damaged(format!(
            "its journal has {} records and the root {}, and `{}` says {} and {}",
            verified.size,
            hex(&verified.root),
            super::MANIFEST,
            manifest.records,
            manifest.root
        )));
    }
    Ok(())
}

/// Refuses a data directory in which a restore was begun and not finished.
///
/// # Errors
/// [`BackupError::Unfinished`].
pub(crate) fn unfinished_restore(data_dir: &Path) -> Result<(), BackupError> {
    if data_dir.join(RESTORING).exists() {
        return Err(BackupError::Unfinished(data_dir.to_owned()));
    }
    Ok(())
}

/// A restore after which nothing has been stopped yet.
#[derive(Debug, Clone)]
pub(crate) struct Restored {
    path: PathBuf,
    /// The reason of the order that stops everything.
    pub(crate) reason: String,
}

impl Restored {
    /// The restore of this data directory, if no start has answered it yet.
    pub(crate) fn find(data_dir: &Path) -> Option<Self> {
        let path = data_dir.join(RESTORED);
        if !path.exists() {
            return None;
        }
        // A file that cannot be read says that there was a restore all the same.
        let taken = std::fs::read_to_string(&path).unwrap_or_default();
        let taken = taken.chars().filter(|c| c.is_ascii_graphic()).take(64);
        Some(Self {
            reason: format!(
                "the data directory was restored from the backup of {}",
                taken.collect::<String>()
            ),
            path,
        })
    }

    /// Forgets the restore: an order stops everything.
    ///
    /// # Errors
    /// When the file system refuses; the next start stops everything again.
    pub(crate) fn answered(&self) -> std::io::Result<()> {
        std::fs::remove_file(&self.path)?;
        system().sync_directory(directory_of(&self.path))
    }
}
