//! Takes a backup of a data directory, whether or not a daemon uses it.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use lanyard_disk::{directory_of, replace, system};
use lanyard_vocabulary::digest::hex;
use lanyard_vocabulary::time::Timestamp;

use super::manifest::{FORMAT, FileEntry, Manifest};
use super::{BackupError, DATA, JOURNAL, MANIFEST, at, copy, unfinished_restore};

/// The ending of a backup that is not complete.
const PARTIAL: &str = "partial";
/// The beginning of a backup's name.
const PREFIX: &str = "lanyard-";
/// The lists of a folder that are made before the copy is given up as never complete.
const LISTINGS: u32 = 20;
/// The list of the segments that retention removed.
const REMOVED: &str = "journal/removed";
/// Deepest folder below the data directory that is copied.
const DEEPEST: u32 = 8;
/// Names in the data directory that a start makes again: an index, and disk that is set aside.
const MADE_AGAIN: &[&str] = &["history", "journal/reserve"];

/// A backup that was taken.
pub(crate) struct Taken {
    /// The folder of the backup.
    pub(crate) path: PathBuf,
    pub(crate) manifest: Manifest,
    /// Older backups that were removed, because more than asked for were kept.
    pub(crate) removed: Vec<PathBuf>,
}

/// Copies the data directory into a new folder below `into`, verifies the copy, and removes the
/// oldest backups beyond `keep`; the new one stays.
///
/// # Errors
/// See [`BackupError`]. No incomplete backup is left, except by a process that is killed; the next
/// one removes it.
pub(crate) fn take(
    data_dir: &Path,
    into: &Path,
    now: Timestamp,
    keep: Option<usize>,
) -> Result<Taken, BackupError> {
    if !data_dir.join(JOURNAL).is_dir() {
        return Err(BackupError::NoJournal(data_dir.to_owned()));
    }
    unfinished_restore(data_dir)?;
    let disk = system();
    disk.create_directories(into).map_err(at(into))?;
    let places = [into, data_dir].map(|path| path.canonicalize().map_err(at(path)));
    let [into, data_dir] = places;
    let (into, data_dir) = (into?, data_dir?);
    if into.starts_with(&data_dir) {
        return Err(BackupError::Within(data_dir));
    }
    remove_abandoned(&into)?;
    let taken = now.to_string();
    let name = format!("{PREFIX}{}", taken.replace(':', "-"));
    let path = into.join(&name);
    let partial = path.with_extension(PARTIAL);
    disk.create_directories(&partial).map_err(at(&partial))?;
    // Another run removes folders that nobody has locked.
    let lock = File::open(&partial).map_err(at(&partial))?;
    rustix::fs::flock(&lock, rustix::fs::FlockOperation::NonBlockingLockExclusive)
        .map_err(|error| at(&partial)(error.into()))?;
    let written = write(&data_dir, &partial, taken).and_then(|manifest| {
        std::fs::rename(&partial, &path).map_err(at(&path))?;
        disk.sync_directory(&into).map_err(at(&into))?;
        Ok(manifest)
    });
    match written {
        Ok(manifest) => Ok(Taken {
            removed: match keep {
                Some(keep) => remove_oldest(&into, keep)?,
                None => Vec::new(),
            },
            path,
            manifest,
        }),
        Err(error) => {
            std::fs::remove_dir_all(&partial).ok();
            Err(error)
        }
    }
}

fn write(data_dir: &Path, partial: &Path, taken: String) -> Result<Manifest, BackupError> {
    let data = partial.join(DATA);
    let mut copied = Copied {
        from: data_dir,
        to: &data,
        files: BTreeMap::new(),
    };
    // The order makes the copy a state that a crash could have left. What follows the journal, such
    // as how far each receiver is, and the mark and snapshots of the journal come before the
    // segments: the copy of the segments reaches at least as far as they say. What records refer
    // to, such as keys and plans, comes after them, because it was durable before its record.
    for name in ["webhooks", "caep", "journal/durable", "journal/loss"] {
        copied.all_below(name, |_| true)?;
    }
    copied.all_below(JOURNAL, |path| {
        path.extension() == Some(OsStr::new("snapshot"))
    })?;
    copied.all_below(JOURNAL, |path| path != Path::new(REMOVED))?;
    // After the segments: a segment that went before it was copied is on the list.
    copied.all_below(REMOVED, |_| true)?;
    // Without the journal: segments that began meanwhile would follow one that was copied while it
    // grew.
    copied.all_below("", |path| !path.starts_with(JOURNAL))?;
    let files = copied.files;
    let journal = data.join(JOURNAL);
    let verified =
        lanyard_journal::verify(&journal, None, 0).map_err(|source| BackupError::Unverified {
            path: journal.clone(),
            source,
        })?;
    let manifest = Manifest {
        format: FORMAT,
        lanyardd: env!("CARGO_PKG_VERSION").to_owned(),
        taken,
        records: verified.size,
        root: hex(&verified.root),
        files,
    };
    let path = partial.join(MANIFEST);
    let text = serde_json::to_vec_pretty(&manifest).map_err(|error| BackupError::Manifest {
        path: path.clone(),
        why: error.to_string(),
    })?;
    replace(system().as_ref(), &path, &text).map_err(at(&path))?;
    Ok(manifest)
}

/// The files that are copied so far.
struct Copied<'a> {
    from: &'a Path,
    to: &'a Path,
    files: BTreeMap<String, FileEntry>,
}

impl Copied<'_> {
    /// Copies the files at and below a path of the data directory that are not copied yet. Files
    /// that a running daemon removes meanwhile are left out, and files that it adds are copied.
    fn all_below(&mut self, name: &str, takes: fn(&Path) -> bool) -> Result<(), BackupError> {
        for _ in 0..LISTINGS {
            let mut names = Vec::new();
            let path = self.from.join(name);
            list(self.from, Path::new(name), DEEPEST, &mut names).map_err(at(&path))?;
            names.retain(|name| takes(Path::new(name)) && !self.files.contains_key(name));
            let mut is_complete = true;
            for name in names {
                is_complete &= self.one(&name)?;
            }
            if is_complete {
                return Ok(());
            }
            self.forget_last_segment()?;
        }
        Err(BackupError::Restless)
    }

    /// Forgets the copy of the newest segment, which may have been copied while it grew: the next
    /// list may have segments behind it.
    fn forget_last_segment(&mut self) -> Result<(), BackupError> {
        let is_segment =
            |name: &&String| Path::new(name.as_str()).extension() == Some(OsStr::new("seg"));
        let Some(last) = self.files.keys().rfind(is_segment).cloned() else {
            return Ok(());
        };
        let copy = self.to.join(&last);
        std::fs::remove_file(&copy).map_err(at(&copy))?;
        self.files.remove(&last);
        Ok(())
    }

    /// Copies one file. Returns false if a daemon removed the file meanwhile, or gave it another
    /// name.
    fn one(&mut self, name: &str) -> Result<bool, BackupError> {
        let (from, to) = (self.from.join(name), self.to.join(name));
        let folder = directory_of(&to);
        system().create_directories(folder).map_err(at(folder))?;
        match copy::file(&from, &to) {
            Ok(Some(entry)) => {
                self.files.insert(name.to_owned(), entry);
                Ok(true)
            }
            Ok(None) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => {
                // The copy is what needs space.
                let is_of_copy = matches!(
                    error.kind(),
                    io::ErrorKind::StorageFull
                        | io::ErrorKind::QuotaExceeded
                        | io::ErrorKind::ReadOnlyFilesystem
                );
                Err(at(if is_of_copy { &to } else { &from })(error))
            }
        }
    }
}

/// Lists the files at and below a path, relative to `root`.
fn list(root: &Path, name: &Path, deepest: u32, names: &mut Vec<String>) -> io::Result<()> {
    let path = root.join(name);
    let found = match std::fs::symlink_metadata(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        found => found?,
    };
    let is_made_again = MADE_AGAIN.iter().any(|made| Path::new(made) == name);
    // A file under the temporary name of `lanyard_disk::replace` counts for nothing.
    if is_made_again || path.extension() == Some(OsStr::new("unfinished")) {
        return Ok(());
    }
    if found.is_dir() {
        let Some(deepest) = deepest.checked_sub(1) else {
            return Err(io::Error::other("the folders are nested too deeply"));
        };
        let entries = match std::fs::read_dir(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            entries => entries?,
        };
        for entry in entries {
            list(root, &name.join(entry?.file_name()), deepest, names)?;
        }
    } else if found.is_file() {
        match name.to_str() {
            Some(name) => names.push(name.to_owned()),
            None => return Err(io::Error::other("the name of a file is not UTF-8")),
        }
    }
    Ok(())
}

/// The backups below a folder, oldest first: their names hold the time.
fn backups(into: &Path) -> Result<Vec<PathBuf>, BackupError> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(into).map_err(at(into))? {
        let path = entry.map_err(at(into))?.path();
        let name = path.file_name().and_then(OsStr::to_str).unwrap_or_default();
        if name.starts_with(PREFIX) {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

fn is_partial(path: &Path) -> bool {
    path.extension() == Some(OsStr::new(PARTIAL))
}

/// Removes what killed processes have left.
fn remove_abandoned(into: &Path) -> Result<(), BackupError> {
    for path in backups(into)?.iter().filter(|path| is_partial(path)) {
        let Ok(folder) = File::open(path) else {
            continue;
        };
        let lock = rustix::fs::FlockOperation::NonBlockingLockExclusive;
        if rustix::fs::flock(&folder, lock).is_ok() {
            std::fs::remove_dir_all(path).map_err(at(path))?;
        }
    }
    Ok(())
}

/// Removes the oldest backups, until at most so many are left.
fn remove_oldest(into: &Path, keep: usize) -> Result<Vec<PathBuf>, BackupError> {
    let mut complete = backups(into)?;
    complete.retain(|path| !is_partial(path) && path.join(MANIFEST).is_file());
    complete.truncate(complete.len().saturating_sub(keep.max(1)));
    for path in &complete {
        std::fs::remove_dir_all(path).map_err(at(path))?;
    }
    Ok(complete)
}
