//! Keys on disk: one file a key, PKCS#8, readable by its owner alone (T51). The time from which a key
//! signs is in the file's name, so that a key and its time appear in one step. Knows nothing of tokens.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use lanyard_core::secret::Secret;
use lanyard_core::time::Timestamp;
use lanyard_secret_file::{Origin, SecretFileError};

use crate::key::SigningKey;

const EXTENSION: &str = "pk8";
const UNFINISHED: &str = "unfinished";

/// Why a key could not be read from disk, or put there.
#[derive(Debug, thiserror::Error)]
pub enum KeyFileError {
    /// The directory could not be made, or read.
    #[error("cannot use key directory {}", .path.display())]
    Directory {
        /// The directory.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A key file is not one that is read.
    #[error(transparent)]
    File(#[from] SecretFileError),
    /// A key file could not be written, or a retired one removed.
    #[error("cannot write key {}", .path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The content or the name is not that of a key.
    #[error("{} is not a key: expected `<milliseconds>-<kid>.pk8` holding Ed25519 PKCS#8", .path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
    },
}

/// Makes the directory (0700) if it is not there, and reads every key in it. What cannot be used keeps nobody from using the
/// rest.
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
                    // A crash left it before it had its name; no token was ever signed with it.
                    Some(UNFINISHED) => drop(fs::remove_file(&path)),
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

/// Puts a key on disk under its name: complete and synced, or not there at all.
pub(crate) fn write(
    dir: &Path,
    key: &SigningKey,
    pkcs8: &Secret<Vec<u8>>,
) -> Result<(), KeyFileError> {
    let path = path_of(dir, key);
    let unfinished = path.with_extension(UNFINISHED);
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

/// Removes a retired key.
pub(crate) fn delete(dir: &Path, key: &SigningKey) -> Result<(), KeyFileError> {
    remove(&path_of(dir, key))
}

fn remove(path: &Path) -> Result<(), KeyFileError> {
    fs::remove_file(path).map_err(|source| KeyFileError::Write {
        path: path.to_owned(),
        source,
    })
}

fn path_of(dir: &Path, key: &SigningKey) -> PathBuf {
    let millis = key.not_before.as_millis();
    dir.join(format!("{millis}-{}.{EXTENSION}", key.kid))
}
