//! Files that only their owner can read: keys and tokens. A file with other permissions is refused,
//! not repaired, because its content may have leaked or been planted (T51).

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, ErrorKind, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use lanyard_secret_file::{Origin, SecretFileError};
use rustix::fs::OFlags;
use zeroize::Zeroizing;

/// Reads a file that Lanyard wrote. `None` if the file is missing.
///
/// # Errors
/// See [`SecretFileError`].
pub(crate) fn read(path: &Path) -> Result<Option<Zeroizing<Vec<u8>>>, SecretFileError> {
    match lanyard_secret_file::read(path, Origin::Written) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.is_missing() => Ok(None),
        Err(error) => Err(error),
    }
}

/// Creates the file unless one exists. Of two processes at the same time one wins, and no reader
/// sees a partial file.
///
/// # Errors
/// The system's error, but no error if the file exists already.
pub(crate) fn create(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let written = write_beside(path, bytes)?;
    let linked = fs::hard_link(&written, path);
    fs::remove_file(&written)?;
    match linked {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Replaces the file atomically.
///
/// # Errors
/// The system's error.
pub(crate) fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    fs::rename(write_beside(path, bytes)?, path)
}

/// Deletes the file. A missing file is no error.
///
/// # Errors
/// The system's error.
pub(crate) fn delete(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Makes a folder with mode 0700, and its parents. Under `sudo`, environment variables often name
/// the caller's folders; in those, the function makes nothing, since a folder of root would lock
/// the caller out.
///
/// # Errors
/// The system's error, or `PermissionDenied` for a folder of the user who called `sudo`.
pub fn folder(path: &Path) -> io::Result<()> {
    let caller = std::env::var("SUDO_UID").ok();
    folder_as(path, caller.and_then(|uid| uid.parse().ok()))
}

/// Like [`folder`], for a process that the user `caller` started with `sudo`.
fn folder_as(path: &Path, caller: Option<u32>) -> io::Result<()> {
    let own = rustix::process::geteuid().as_raw();
    let above = path.ancestors().find_map(|it| {
        let it = if it.as_os_str().is_empty() {
            Path::new(".")
        } else {
            it
        };
        Some((it, fs::metadata(it).ok()?))
    });
    if let Some((above, found)) = above
        && above != path
        && found.uid() != own
        && Some(found.uid()) == caller
    {
        let line = format!(
            "`{}` cannot be made: `{}` belongs to the user {}, who called sudo, and this process runs as {own}; use `sudo -H`, or name a \
             folder of the other user in LANYARD_STATE",
            path.display(),
            above.display(),
            found.uid()
        );
        return Err(io::Error::new(ErrorKind::PermissionDenied, line));
    }
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// Opens an empty file for locking, and creates the file if missing.
///
/// # Errors
/// The system's error.
pub(crate) fn lock_file(path: &Path) -> io::Result<File> {
    options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(path)
}

fn options() -> OpenOptions {
    // NOFOLLOW: a symbolic link would choose another file. NONBLOCK: a planted pipe would hang.
    let mut options = File::options();
    let flags = i32::try_from((OFlags::NOFOLLOW | OFlags::NONBLOCK).bits()).unwrap_or(0);
    options.mode(0o600).custom_flags(flags);
    options
}

fn write_beside(path: &Path, bytes: &[u8]) -> io::Result<PathBuf> {
    let unique = crate::random::fresh_id().map_err(io::Error::other)?;
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{unique}"));
    let beside = PathBuf::from(name);
    let mut file = options().write(true).create_new(true).open(&beside)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    Ok(beside)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn place() -> (tempfile::TempDir, PathBuf) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("secret");
        (directory, path)
    }

    // T51
    #[test]
    fn written_files_are_readable_by_their_owner_only() {
        let (directory, path) = place();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        replace(&path, b"one").unwrap();
        assert_eq!(mode(&path), 0o600);
        replace(&path, b"two").unwrap();
        assert_eq!(mode(&path), 0o600);
        assert_eq!(read(&path).unwrap().unwrap().as_slice(), b"two");
        let inner = directory.path().join("a/b");
        folder(&inner).unwrap();
        assert_eq!(mode(&inner), 0o700);
        delete(&path).unwrap();
        delete(&path).unwrap();
        assert!(read(&path).unwrap().is_none());
    }

    #[test]
    fn e44_under_sudo_no_folder_is_made_in_the_callers_folders() {
        // Only root may give a folder to another user.
        if !rustix::process::geteuid().is_root() {
            return;
        }
        let directory = tempfile::tempdir().unwrap();
        std::os::unix::fs::chown(directory.path(), Some(1000), None).unwrap();
        let inner = directory.path().join("state/lanyard");
        let error = folder_as(&inner, Some(1000)).unwrap_err().to_string();
        assert!(
            error.contains("belongs to the user 1000, who called sudo"),
            "{error}"
        );
        assert!(!directory.path().join("state").exists());
        // A folder that exists stays unchanged.
        folder_as(directory.path(), Some(1000)).unwrap();
        // Without sudo: in containers, root often has another user's home.
        folder_as(&inner, None).unwrap();
    }

    // T51
    #[test]
    fn a_file_that_others_may_read_is_refused() {
        let (_directory, path) = place();
        fs::write(&path, b"secret").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        let error = read(&path).unwrap_err();
        assert!(error.to_string().contains("others may read"), "{error}");
    }

    // T51
    #[test]
    fn a_symbolic_link_is_neither_read_nor_written_through() {
        let (directory, path) = place();
        let aim = directory.path().join("aim");
        replace(&aim, b"of somebody else").unwrap();
        std::os::unix::fs::symlink(&aim, &path).unwrap();
        assert!(read(&path).is_err());
        assert!(lock_file(&path).is_err());
        replace(&path, b"mine").unwrap();
        assert_eq!(fs::read(&aim).unwrap(), b"of somebody else");
        assert_eq!(read(&path).unwrap().unwrap().as_slice(), b"mine");
    }

    #[test]
    fn the_first_of_two_wins() {
        let (directory, path) = place();
        create(&path, b"first").unwrap();
        create(&path, b"second").unwrap();
        assert_eq!(read(&path).unwrap().unwrap().as_slice(), b"first");
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
    }
}
