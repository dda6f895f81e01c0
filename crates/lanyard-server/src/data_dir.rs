//! The data directory: nobody but the user of the daemon enters it. It holds signing keys, the
//! journal and plans.
//!
//! Looked at before anything in it is opened. A kill from the directory does not look: another
//! user's may be the one that is left.

use std::fs::{self, DirBuilder, Metadata, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

/// The permissions that only the owner may have on a directory or file.
const OTHERS: u32 = 0o077;
/// The names that daemons of any version create in their data directory.
const OWN: &[&str] = &["journal", "keys", "kill-spool", "plans", "revisions"];
/// The greatest depth of directories.
const DEEPEST: u32 = 8;

/// The reason why a data directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DataDirError {
    #[error("cannot use data directory `{}`", .path.display())]
    Io { path: PathBuf, source: io::Error },
    #[error("data directory `{}` is no directory: name another in `data_dir`", .0.display())]
    NoDirectory(PathBuf),
    #[error(
        "data directory `{path}` belongs to user {owner} with mode {mode:04o}, and the daemon runs as user {user}: run \
         `chown -R {user} {path}`, or start it as user {owner}; where `{path}` is a volume itself, name a folder in the volume in \
         `data_dir`, which the daemon makes",
        path = .path.display()
    )]
    Foreign {
        path: PathBuf,
        owner: u32,
        mode: u32,
        user: u32,
    },
    #[error(
        "cannot use data directory `{path}`: `{folder}` belongs to user {owner} and group {group} with mode {mode:04o}, and the \
         daemon runs as user {user}: run `chown {user} {folder}`; in Kubernetes, set `fsGroup` in the pod's `securityContext`",
        path = .path.display(),
        folder = .folder.display()
    )]
    NoEntry {
        path: PathBuf,
        folder: PathBuf,
        owner: u32,
        group: u32,
        mode: u32,
        user: u32,
    },
    #[error(
        "data directory `{path}` has mode {mode:04o}, must be 0700: others could read keys and plans, or replace them; run \
         `chmod 700 {path}`",
        path = .path.display()
    )]
    Open { path: PathBuf, mode: u32 },
}

/// The state of the data directory as a start would find it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outlook {
    /// No directory: the start creates it.
    Absent,
    /// A directory that only the daemon's user can enter.
    Closed,
    /// A daemon's directory with this mode, which the start closes to others.
    Open(u32),
}

/// Looks at the directory and changes nothing.
///
/// # Errors
/// See [`DataDirError`]: what would keep the daemon from starting.
pub(crate) fn look(path: &Path) -> Result<Outlook, DataDirError> {
    let failed = |source| DataDirError::Io {
        path: path.to_owned(),
        source,
    };
    let found = match fs::metadata(path) {
        Ok(found) => found,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return can_be_made(path)
                .map(|()| Outlook::Absent)
                .map_err(|error| barred(path, &error).unwrap_or_else(|| failed(error)));
        }
        Err(error) => return Err(failed(error)),
    };
    if !found.is_dir() {
        return Err(DataDirError::NoDirectory(path.to_owned()));
    }
    let user = rustix::process::geteuid().as_raw();
    if found.uid() != user {
        return Err(DataDirError::Foreign {
            path: path.to_owned(),
            owner: found.uid(),
            mode: found.mode() & 0o7777,
            user,
        });
    }
    let mode = found.mode() & 0o7777;
    if mode & OTHERS == 0 {
        return Ok(Outlook::Closed);
    }
    if is_own(path).map_err(failed)? {
        return Ok(Outlook::Open(mode));
    }
    Err(DataDirError::Open {
        path: path.to_owned(),
        mode,
    })
}

/// Checks that this user may create a directory in the nearest existing one above.
fn can_be_made(path: &Path) -> io::Result<()> {
    let absolute = std::path::absolute(path)?;
    let above = absolute.ancestors().skip(1).find(|above| above.exists());
    let above = above.unwrap_or(Path::new("/"));
    let may = rustix::fs::Access::WRITE_OK | rustix::fs::Access::EXEC_OK;
    rustix::fs::access(above, may).map_err(|error| {
        let why = format!("`{}` above it: {}", above.display(), io::Error::from(error));
        io::Error::new(error.kind(), why)
    })
}

/// Makes the directory where it is not there. What is in it and cannot be closed is named in the
/// log, and keeps nobody from starting: nobody enters the directory itself. One that a daemon has
/// used before, or that is empty, is closed to others with everything in it; any other that is open
/// to them is refused, because it may be there for something else as well.
///
/// # Errors
/// See [`DataDirError`].
pub(crate) fn prepare(path: &Path) -> Result<(), DataDirError> {
    let failed = |source| DataDirError::Io {
        path: path.to_owned(),
        source,
    };
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .map_err(|error| match fs::metadata(path) {
            Ok(found) if !found.is_dir() => DataDirError::NoDirectory(path.to_owned()),
            Ok(_) | Err(_) => barred(path, &error).unwrap_or_else(|| failed(error)),
        })?;
    if let Outlook::Open(mode) = look(path)? {
        tracing::warn!(
            path = %path.display(),
            mode = format!("{mode:04o}"),
            "the data directory was open to others, and is now 0700"
        );
    }
    let found = fs::metadata(path).map_err(failed)?;
    shut(path, &found).map_err(failed)?;
    close_within(path, DEEPEST);
    Ok(())
}

/// The folder that keeps the daemon from creating its directory: the first visible one above it.
fn barred(path: &Path, error: &io::Error) -> Option<DataDirError> {
    if error.kind() != io::ErrorKind::PermissionDenied {
        return None;
    }
    let mut above = path.ancestors().skip(1);
    let (folder, found) = above.find_map(|folder| Some((folder, fs::metadata(folder).ok()?)))?;
    Some(DataDirError::NoEntry {
        path: path.to_owned(),
        folder: folder.to_owned(),
        owner: found.uid(),
        group: found.gid(),
        mode: found.mode() & 0o7777,
        user: rustix::process::geteuid().as_raw(),
    })
}

/// True if the directory contains a daemon's files and nothing else.
fn is_own(path: &Path) -> io::Result<bool> {
    let mut empty = true;
    for entry in fs::read_dir(path)? {
        let name = entry?.file_name();
        if OWN.iter().any(|own| name == *own) {
            return Ok(true);
        }
        empty = false;
    }
    Ok(empty)
}

/// Removes other users' permissions.
fn shut(path: &Path, found: &Metadata) -> io::Result<()> {
    if found.mode() & OTHERS == 0 {
        return Ok(());
    }
    let mode = found.mode() & 0o7777 & !OTHERS;
    fs::set_permissions(path, Permissions::from_mode(mode))
}

/// Removes other users' permissions on everything in a directory. Links are skipped.
fn close_within(directory: &Path, depth: u32) {
    let failed = |path: &Path, error: io::Error| {
        tracing::warn!(
            path = %path.display(),
            %error,
            "what the data directory holds here is not closed to others"
        );
    };
    let entries = match fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) => return failed(directory, error),
    };
    for entry in entries.flatten() {
        let path = entry.path();
        let found = match fs::symlink_metadata(&path) {
            Ok(found) => found,
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => {
                failed(&path, error);
                continue;
            }
        };
        if !(found.is_dir() || found.is_file()) {
            continue;
        }
        if let Err(error) = shut(&path, &found) {
            failed(&path, error);
        }
        if found.is_dir() && depth > 1 {
            close_within(&path, depth - 1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().mode() & 0o7777
    }

    fn open(path: &Path, mode: u32) {
        fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn s25_a_data_directory_is_made_for_its_owner_alone() {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("new/data");
        prepare(&data).unwrap();
        assert_eq!(mode(&data), 0o700);
        prepare(&data).unwrap();
    }

    #[test]
    fn s25_a_directory_of_an_earlier_version_is_closed_with_everything_in_it() {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        let outside = folder.path().join("outside");
        fs::create_dir_all(data.join("plans")).unwrap();
        fs::create_dir_all(data.join("journal")).unwrap();
        let (plan, segment) = (data.join("plans/sha256-1"), data.join("journal/0.seg"));
        for file in [&plan, &segment, &outside] {
            fs::write(file, "text").unwrap();
            open(file, 0o644);
        }
        std::os::unix::fs::symlink(&outside, data.join("plans/link")).unwrap();
        for (folder, mode) in [(&data, 0o755), (&data.join("plans"), 0o777)] {
            open(folder, mode);
        }
        prepare(&data).unwrap();
        assert_eq!((mode(&data), mode(&data.join("plans"))), (0o700, 0o700));
        assert_eq!((mode(&plan), mode(&segment)), (0o600, 0o600));
        assert_eq!(
            mode(&outside),
            0o644,
            "what a link leads to is not its business"
        );
    }

    #[test]
    fn s25_a_directory_that_others_enter_is_refused_with_the_mode_and_the_command() {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        fs::create_dir(&data).unwrap();
        fs::write(data.join("of-somebody"), "text").unwrap();
        for wide in [0o755, 0o710, 0o701, 0o2770] {
            open(&data, wide);
            let refused = prepare(&data).unwrap_err().to_string();
            let path = data.display();
            assert!(refused.contains(&format!("`{path}` has mode {wide:04o}, must be 0700")));
            assert!(
                refused.ends_with(&format!("run `chmod 700 {path}`")),
                "{refused}"
            );
            assert_eq!(mode(&data), wide);
        }
        open(&data, 0o700);
        prepare(&data).unwrap();
        let file = data.join("of-somebody");
        assert!(matches!(prepare(&file), Err(DataDirError::NoDirectory(_))));
    }

    #[test]
    fn s25_what_belongs_to_root_in_a_data_directory_keeps_nobody_from_starting() {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        // Nobody may change this one, not even root.
        let found = data.join("lost+found");
        fs::create_dir_all(&found).unwrap();
        fs::create_dir_all(data.join("journal")).unwrap();
        open(&data, 0o700);
        open(&found, 0o755);
        let pinned = |flag: &str| {
            let changed = std::process::Command::new("chattr")
                .arg(flag)
                .arg(&found)
                .status();
            changed.is_ok_and(|status| status.success())
        };
        if !pinned("+i") {
            eprintln!("NOT RUN: this file system pins no file");
            return;
        }
        let prepared = prepare(&data);
        let left = mode(&found);
        pinned("-i");
        prepared.unwrap();
        assert_eq!(left, 0o755);
        assert_eq!(mode(&data.join("journal")), 0o700);
    }
}
