//! Signing keys on disk: one PKCS#8 file per key, readable by its owner alone (T51). The file's
//! name holds the time from which the key signs, so that a key and its time appear in one step.
//! This module knows nothing of tokens.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use lanyard_secret_file::{Origin, SecretFileError};
use lanyard_vocabulary::secret::Secret;
use lanyard_vocabulary::time::Timestamp;

use crate::key::SigningKey;

const EXTENSION: &str = "pk8";
const UNFINISHED_EXTENSION: &str = "unfinished";

/// The reason why a key was not read from disk, or not written.
#[derive(Debug, thiserror::Error)]
pub enum KeyFileError {
    /// The directory cannot be created or listed.
    #[error("cannot use key directory `{}`", .path.display())]
    Directory {
        /// Path of the directory.
        path: PathBuf,
        /// The operating system's error.
        source: io::Error,
    },
    /// The key's file has wrong permissions, is too large, or cannot be read.
    #[error(transparent)]
    File(#[from] SecretFileError),
    /// A new key cannot be written, or an old one not removed.
    #[error("cannot write or remove key `{}`", .path.display())]
    Write {
        /// Path of the key's file.
        path: PathBuf,
        /// The operating system's error.
        source: io::Error,
    },
    /// The file's content or name is not a key's.
    #[error("`{}` is not a key: expected `<milliseconds>-<kid>.pk8` holding Ed25519 PKCS#8", .path.display())]
    Malformed {
        /// Path of the file.
        path: PathBuf,
    },
}

/// Creates the directory (mode 0700) if it is missing, and reads every key in it. A file that
/// cannot be used is reported; the other keys are still used.
pub(crate) fn read_all(dir: &Path) -> (Vec<SigningKey>, Vec<KeyFileError>) {
    let (mut keys, mut problems) = (Vec::new(), Vec::new());
    match paths(dir) {
        Ok(paths) => {
            for path in paths {
                match path.extension().and_then(|extension| extension.to_str()) {
                    Some(EXTENSION) => match read(&path) {
                        Ok(key) => keys.push(key),
                        Err(error) => problems.push(error),
                    },
                    // Left by a crash before its rename. No token was ever signed with this key,
                    // because a key signs only under its final name.
                    Some(UNFINISHED_EXTENSION) => drop(fs::remove_file(&path)),
                    _ => {}
                }
            }
        }
        Err(source) => problems.push(KeyFileError::Directory {
            path: dir.to_owned(),
            source,
        }),
    }
    (keys, problems)
}

fn paths(dir: &Path) -> io::Result<Vec<PathBuf>> {
    DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
    fs::read_dir(dir)?.map(|entry| Ok(entry?.path())).collect()
}

fn read(path: &Path) -> Result<SigningKey, KeyFileError> {
    let malformed = || KeyFileError::Malformed {
        path: path.to_owned(),
    };
    let mut bytes = lanyard_secret_file::read(path, Origin::Written)?;
    let pkcs8 = Secret::new(std::mem::take(&mut *bytes));
    let (millis, kid) = path
        .file_stem()
        .and_then(|stem| stem.to_str())
        .and_then(|stem| stem.split_once('-'))
        .ok_or_else(malformed)?;
    let not_before = Timestamp::from_millis(millis.parse().map_err(|_| malformed())?);
    let key = SigningKey::from_pkcs8(&pkcs8, not_before).map_err(|_| malformed())?;
    if key.kid == kid {
        Ok(key)
    } else {
        Err(malformed())
    }
}

/// Writes a key to disk atomically: complete and synced, or not at all.
pub(crate) fn write(
    dir: &Path,
    key: &SigningKey,
    pkcs8: &Secret<Vec<u8>>,
) -> Result<(), KeyFileError> {
    let path = path_of(dir, key);
    let unfinished = path.with_extension(UNFINISHED_EXTENSION);
    let put = || {
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&unfinished)?;
        file.write_all(pkcs8.expose())?;
        file.sync_all()?;
        fs::rename(&unfinished, &path)?;
        File::open(dir)?.sync_all()
    };
    put().map_err(|source| KeyFileError::Write { path, source })
}

/// Removes the file of a retired or revoked key, for good: also where the machine stops right
/// after. A file that is not there is removed.
pub(crate) fn delete(dir: &Path, key: &SigningKey) -> Result<(), KeyFileError> {
    let path = path_of(dir, key);
    let removed = match fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => File::open(dir).and_then(|dir| dir.sync_all()),
    };
    removed.map_err(|source| KeyFileError::Write { path, source })
}

fn path_of(dir: &Path, key: &SigningKey) -> PathBuf {
    let millis = key.not_before.as_millis();
    dir.join(format!("{millis}-{}.{EXTENSION}", key.kid))
}
