//! The one way in which Lanyard reads files that others provide: secrets (keys, tokens, shared
//! secrets: T51), and the other files that a configuration names (charters, bundles, certificates).
//! No read waits at a pipe, and every read is bounded.
//!
//! A file is checked after it was opened, so that nobody can swap the file in between. Secrets are
//! read into a buffer of the right size, because a buffer that grows leaves copies behind, and are
//! zeroized on drop. The crate does not interpret what it reads.

use std::fs::{File, Metadata};
use std::io::{self, Read as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;
use rustix::io::Errno;
use zeroize::Zeroizing;

/// The largest file that may hold a secret.
///
/// # Limit
/// - for: a file of a secret
/// - unit: bytes
/// - beyond: the file is not read, and what needs the secret does not start
/// - test: `s44_a_pipe_and_a_large_file_are_refused_at_once`
pub const MAX_FILE_BYTES: u64 = 64 * 1024;
/// The largest file that a configuration names and that holds no secret: a bundle, a kubeconfig, a
/// charter.
///
/// # Limit
/// - for: a file of the configuration
/// - unit: bytes
/// - beyond: the file is not read, and what needs it is refused
/// - test: `s16_a_configured_pipe_is_refused_and_a_file_is_bounded`
pub const MAX_PLAIN_FILE_BYTES: u64 = 4 << 20;

/// The party that provides a file, which decides the permissions that the file may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// Lanyard wrote the file: the owner is this process's user, nobody else may read the file, and
    /// a link is refused.
    Written,
    /// An operator named the file. Links are followed, because Kubernetes mounts secrets as links.
    /// A file of root may be readable by its group, since Kubernetes gives mounted files to the
    /// pod's group (`fsGroup`).
    Configured,
    /// A platform writes the file for this workload alone. Permissions are not checked: the kubelet
    /// makes a projected token readable by everybody in the pod.
    Projected,
}

/// The reason why a file was not read.
#[derive(Debug, thiserror::Error)]
pub enum SecretFileError {
    /// The operating system refused to open or read the file.
    #[error("cannot read `{}`: {source}{}", .path.display(), remedy(source))]
    Read {
        /// Path of the file.
        path: PathBuf,
        /// The operating system's error.
        source: io::Error,
    },
    /// The path names a directory.
    #[error("`{}` is a directory: name a file in it", .path.display())]
    Directory {
        /// Path of the directory.
        path: PathBuf,
    },
    /// The path names a pipe, a device or a socket, or a link where none is allowed.
    #[error("`{}` is not a plain file: name a regular file", .path.display())]
    NotPlain {
        /// Path of the file.
        path: PathBuf,
    },
    /// Others could have read or changed the secret.
    #[error(
        "`{}` has mode {mode:04o}, so that others may read or change it: replace the secret if that may have happened, and set \
         mode 0600 (in Kubernetes, `defaultMode: 0400`)",
        .path.display()
    )]
    Exposed {
        /// Path of the file.
        path: PathBuf,
        /// Permission bits of the file.
        mode: u32,
    },
    /// The file belongs to another user, who could change the secret.
    #[error("`{}` belongs to user {owner}: it has to belong to root or to the user that reads it", .path.display())]
    Foreign {
        /// Path of the file.
        path: PathBuf,
        /// User id of the owner.
        owner: u32,
    },
    /// The secret's file is larger than [`MAX_FILE_BYTES`].
    #[error("`{}` has {size} bytes: a file of a secret has at most {MAX_FILE_BYTES}", .path.display())]
    TooLarge {
        /// Path of the file.
        path: PathBuf,
        /// Size of the file in bytes.
        size: u64,
    },
    /// The file without secrets is larger than its limit.
    #[error("`{}` has more than {limit} bytes, the limit for this kind of file", .path.display())]
    Endless {
        /// Path of the file.
        path: PathBuf,
        /// The limit in bytes.
        limit: u64,
    },
    /// The content is not UTF-8.
    #[error("`{}` is not text", .path.display())]
    NotText {
        /// Path of the file.
        path: PathBuf,
    },
    /// The content is only white space.
    #[error("`{}` is empty", .path.display())]
    Empty {
        /// Path of the file.
        path: PathBuf,
    },
}

impl From<SecretFileError> for io::Error {
    fn from(error: SecretFileError) -> Self {
        let kind = match &error {
            SecretFileError::Read { source, .. } => source.kind(),
            SecretFileError::Directory { .. }
            | SecretFileError::NotPlain { .. }
            | SecretFileError::Exposed { .. }
            | SecretFileError::Foreign { .. }
            | SecretFileError::TooLarge { .. }
            | SecretFileError::Endless { .. }
            | SecretFileError::NotText { .. }
            | SecretFileError::Empty { .. } => io::ErrorKind::InvalidData,
        };
        Self::new(kind, error)
    }
}

impl SecretFileError {
    /// True when the file does not exist.
    #[must_use]
    pub fn is_missing(&self) -> bool {
        matches!(self, Self::Read { source, .. } if source.kind() == io::ErrorKind::NotFound)
    }
}

/// Advice for an operator whose file the operating system does not open.
fn remedy(error: &io::Error) -> String {
    let kind = error.kind();
    if kind == io::ErrorKind::NotFound {
        ": make the file, or name another".to_owned()
    } else if kind == io::ErrorKind::PermissionDenied {
        let user = rustix::process::geteuid().as_raw();
        format!(": the user of this process, {user}, may not read the file")
    } else {
        String::new()
    }
}

/// Reads a secret's bytes, at most [`MAX_FILE_BYTES`].
///
/// # Errors
/// See [`SecretFileError`].
pub fn read(path: &Path, origin: Origin) -> Result<Zeroizing<Vec<u8>>, SecretFileError> {
    let at = || path.to_owned();
    let failed = |source| SecretFileError::Read { path: at(), source };
    let links = match origin {
        Origin::Written => OFlags::NOFOLLOW,
        Origin::Configured | Origin::Projected => OFlags::empty(),
    };
    let (file, found) = open(path, links)?;
    check_permissions(origin, found.uid(), found.mode(), path)?;
    if found.len() > MAX_FILE_BYTES {
        return Err(SecretFileError::TooLarge {
            path: at(),
            size: found.len(),
        });
    }
    let room = usize::try_from(found.len()).unwrap_or(0).saturating_add(1);
    let mut bytes = Zeroizing::new(Vec::with_capacity(room));
    // A file that grows meanwhile is cut here. Its content is then no secret, and whoever parses it
    // refuses it.
    file.take(found.len())
        .read_to_end(&mut bytes)
        .map_err(failed)?;
    Ok(bytes)
}

/// Opens a regular file for reading.
fn open(path: &Path, links: OFlags) -> Result<(File, Metadata), SecretFileError> {
    let at = || path.to_owned();
    let failed = |source| SecretFileError::Read { path: at(), source };
    // `O_NONBLOCK`, so that opening a FIFO does not wait for a writer.
    let flags = (links | OFlags::NONBLOCK).bits();
    let opened = File::options()
        .read(true)
        .custom_flags(flags.cast_signed())
        .open(path);
    let odd = [Errno::LOOP, Errno::NXIO].map(|error| Some(error.raw_os_error()));
    let file = match opened {
        Ok(file) => file,
        // ELOOP: a link where none is allowed. ENXIO: a socket.
        Err(error) if odd.contains(&error.raw_os_error()) => {
            return Err(SecretFileError::NotPlain { path: at() });
        }
        Err(error) => return Err(failed(error)),
    };
    let found = file.metadata().map_err(failed)?;
    if found.is_dir() {
        return Err(SecretFileError::Directory { path: at() });
    }
    if !found.is_file() {
        return Err(SecretFileError::NotPlain { path: at() });
    }
    Ok((file, found))
}

/// Opens a file that holds no secret. Links are followed.
///
/// # Errors
/// See [`SecretFileError`].
pub fn open_plain(path: &Path) -> Result<File, SecretFileError> {
    open(path, OFlags::empty()).map(|(file, _)| file)
}

/// Reads a file that holds no secret, at most [`MAX_PLAIN_FILE_BYTES`]. Links are followed, because
/// Kubernetes mounts files as links.
///
/// # Errors
/// See [`SecretFileError`].
pub fn read_plain(path: &Path) -> Result<Vec<u8>, SecretFileError> {
    read_plain_up_to(path, MAX_PLAIN_FILE_BYTES)
}

/// Reads a file that holds no secret, with a limit of the caller's in bytes.
///
/// # Errors
/// See [`SecretFileError`].
pub fn read_plain_up_to(path: &Path, limit: u64) -> Result<Vec<u8>, SecretFileError> {
    let file = open_plain(path)?;
    let mut bytes = Vec::new();
    // Limited by the read and not by the size in the metadata, since the file may be growing.
    let read = file.take(limit.saturating_add(1)).read_to_end(&mut bytes);
    read.map_err(|source| SecretFileError::Read {
        path: path.to_owned(),
        source,
    })?;
    if bytes.len() as u64 > limit {
        return Err(SecretFileError::Endless {
            path: path.to_owned(),
            limit,
        });
    }
    Ok(bytes)
}

/// Reads the text of a file that holds no secret.
///
/// # Errors
/// See [`SecretFileError`].
pub fn read_plain_text(path: &Path) -> Result<String, SecretFileError> {
    String::from_utf8(read_plain(path)?).map_err(|_| SecretFileError::NotText {
        path: path.to_owned(),
    })
}

/// Reads a secret's text, white space included.
///
/// # Errors
/// See [`SecretFileError`].
pub fn read_text(path: &Path, origin: Origin) -> Result<Zeroizing<String>, SecretFileError> {
    let mut bytes = read(path, origin)?;
    String::from_utf8(std::mem::take(&mut *bytes))
        .map(Zeroizing::new)
        .map_err(|error| {
            drop(Zeroizing::new(error.into_bytes()));
            SecretFileError::NotText {
                path: path.to_owned(),
            }
        })
}

/// Reads a single word, such as a token or a shared secret, without the white space that editors
/// leave around it.
///
/// # Errors
/// See [`SecretFileError`].
pub fn read_word(path: &Path, origin: Origin) -> Result<Zeroizing<String>, SecretFileError> {
    let text = read_text(path, origin)?;
    let word = text.trim();
    if word.is_empty() {
        return Err(SecretFileError::Empty {
            path: path.to_owned(),
        });
    }
    Ok(Zeroizing::new(word.to_owned()))
}

/// Refuses a secret's file that another user could have read or changed.
fn check_permissions(
    origin: Origin,
    owner: u32,
    mode: u32,
    path: &Path,
) -> Result<(), SecretFileError> {
    let own = rustix::process::geteuid().as_raw();
    // Only for a process without root: root shares no pod's group with anybody.
    let is_of_root = owner == 0 && own != 0;
    if origin == Origin::Projected {
        return Ok(());
    }
    // Root may read the files of other users (sudo): a process of root's is not protected from its
    // own users here.
    let is_trusted = is_of_root || own == 0;
    if owner != own && !(origin == Origin::Configured && is_trusted) {
        return Err(SecretFileError::Foreign {
            path: path.to_owned(),
            owner,
        });
    }
    let others = match origin {
        Origin::Configured if is_of_root => 0o037,
        Origin::Configured | Origin::Written | Origin::Projected => 0o077,
    };
    if mode & others != 0 {
        return Err(SecretFileError::Exposed {
            path: path.to_owned(),
            mode: mode & 0o7777,
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    const ALL_ORIGINS: [Origin; 3] = [Origin::Written, Origin::Configured, Origin::Projected];

    fn file(mode: u32, bytes: &[u8]) -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret");
        fs::write(&path, bytes).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        (folder, path)
    }

    #[test]
    fn s44_only_a_regular_file_of_the_own_user_is_read() {
        let (_folder, path) = file(0o600, b"own");
        for origin in ALL_ORIGINS {
            assert_eq!(read(&path, origin).unwrap().as_slice(), b"own");
        }
        let (folder, path) = file(0o604, b"own");
        for origin in [Origin::Written, Origin::Configured] {
            let error = read(&path, origin).unwrap_err();
            assert!(
                matches!(error, SecretFileError::Exposed { mode: 0o604, .. }),
                "{error}"
            );
        }
        assert!(read(&path, Origin::Projected).is_ok());
        let error = read(folder.path(), Origin::Projected).unwrap_err();
        assert!(
            matches!(error, SecretFileError::Directory { .. }),
            "{error}"
        );
        let error = read(&folder.path().join("none"), Origin::Written).unwrap_err();
        assert!(error.is_missing());
        let line = error.to_string();
        assert!(line.ends_with("make the file, or name another"), "{line}");
    }

    #[test]
    fn s44_a_link_is_followed_where_an_operator_named_the_file_and_nowhere_else() {
        let (folder, path) = file(0o600, b"own");
        let link = folder.path().join("link");
        symlink(&path, &link).unwrap();
        assert!(read(&link, Origin::Configured).is_ok());
        let error = read(&link, Origin::Written).unwrap_err();
        assert!(matches!(error, SecretFileError::NotPlain { .. }), "{error}");
    }

    #[test]
    fn s44_a_group_may_read_only_files_of_root() {
        let path = Path::new("/secret");
        let own = rustix::process::geteuid().as_raw();
        let shared = check_permissions(Origin::Configured, 0, 0o440, path).is_ok();
        assert_eq!(shared, own != 0);
        for mode in [0o460, 0o444, 0o450] {
            assert!(
                check_permissions(Origin::Configured, 0, mode, path).is_err(),
                "{mode:o}"
            );
        }
        let stranger = own + 1;
        let error = check_permissions(Origin::Written, stranger, 0o600, path).unwrap_err();
        assert!(matches!(error, SecretFileError::Foreign { .. }), "{error}");
        assert_eq!(
            check_permissions(Origin::Configured, stranger, 0o600, path).is_ok(),
            own == 0
        );
        assert!(check_permissions(Origin::Written, own, 0o640, path).is_err());
    }

    #[test]
    fn s44_a_pipe_and_a_large_file_are_refused_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let pipe = folder.path().join("pipe");
        let made = std::process::Command::new("mkfifo").arg(&pipe).status();
        assert!(made.unwrap().success());
        let error = read(&pipe, Origin::Configured).unwrap_err();
        assert!(matches!(error, SecretFileError::NotPlain { .. }), "{error}");
        let (_folder, path) = file(0o600, &vec![b'x'; 65 * 1024]);
        let error = read(&path, Origin::Written).unwrap_err();
        assert!(matches!(error, SecretFileError::TooLarge { .. }), "{error}");
    }

    #[test]
    fn s16_a_configured_pipe_is_refused_and_a_file_is_bounded() {
        let (folder, path) = file(0o644, b"public");
        let link = folder.path().join("link");
        symlink(&path, &link).unwrap();
        for path in [&path, &link] {
            assert_eq!(read_plain(path).unwrap(), b"public");
            assert_eq!(read_plain_text(path).unwrap(), "public");
        }
        let pipe = folder.path().join("pipe");
        let made = std::process::Command::new("mkfifo").arg(&pipe).status();
        assert!(made.unwrap().success());
        let socket = folder.path().join("socket");
        let _listens = std::os::unix::net::UnixListener::bind(&socket).unwrap();
        let odd = [
            &pipe,
            &socket,
            Path::new("/dev/null"),
            Path::new("/dev/zero"),
        ];
        for path in odd {
            let error = read_plain(path).unwrap_err();
            assert!(matches!(error, SecretFileError::NotPlain { .. }), "{error}");
        }
        let error = read_plain(folder.path()).unwrap_err();
        assert!(
            matches!(error, SecretFileError::Directory { .. }),
            "{error}"
        );
        fs::File::create(&path).unwrap().set_len(6 << 30).unwrap();
        let error = read_plain(&path).unwrap_err().to_string();
        let said = format!("`{}` has more than 4194304 bytes", path.display());
        assert!(error.starts_with(&said), "{error}");
        assert!(read_plain_up_to(&path, 1).is_err());
        fs::write(&path, b"\xff").unwrap();
        let error = read_plain_text(&path).unwrap_err();
        assert!(matches!(error, SecretFileError::NotText { .. }), "{error}");
    }

    #[test]
    fn s44_a_word_has_no_white_space_around_it() {
        let (_folder, path) = file(0o600, b" own\r\n");
        assert_eq!(read_word(&path, Origin::Written).unwrap().as_str(), "own");
        let (_folder, path) = file(0o600, b"\n");
        assert!(matches!(
            read_word(&path, Origin::Written),
            Err(SecretFileError::Empty { .. })
        ));
        let (_folder, path) = file(0o600, b"\xff");
        assert!(matches!(
            read_text(&path, Origin::Written),
            Err(SecretFileError::NotText { .. })
        ));
    }
}
