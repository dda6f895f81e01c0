//! Files with keys in them: nobody but their owner may read them (T51).

use std::fs::File;
use std::io::{self, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use lanyard_core::secret::Secret;

/// The largest such file, in bytes.
const LARGEST: u64 = 64 * 1024;

/// Why a file with a key could not be read.
#[derive(Debug, thiserror::Error)]
pub enum KeyFileError {
    /// The system says no.
    #[error("cannot read {}", .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Others can read it.
    #[error("{} has mode {mode:03o}: only its owner may read it (0600); replace the key", .path.display())]
    Exposed {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// It does not hold what it has to.
    #[error("{} {what}", .path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        what: &'static str,
    },
}

/// The text of such a file.
pub(crate) fn read(path: &Path) -> Result<Secret<String>, KeyFileError> {
    let failed = |source| KeyFileError::Read {
        path: path.to_owned(),
        source,
    };
    let malformed = |what| KeyFileError::Malformed {
        path: path.to_owned(),
        what,
    };
    let file = File::open(path).map_err(failed)?;
    // Of what was opened, so that nobody can put another file in its place in between.
    let found = file.metadata().map_err(failed)?;
    if found.mode() & 0o077 != 0 {
        return Err(KeyFileError::Exposed {
            path: path.to_owned(),
            mode: found.mode() & 0o777,
        });
    }
    if found.len() > LARGEST {
        return Err(malformed("is too large for a file of keys"));
    }
    // All of it at once: a buffer that grows leaves copies behind.
    let mut text = String::with_capacity(usize::try_from(found.len()).unwrap_or_default() + 1);
    let result = file.take(LARGEST).read_to_string(&mut text);
    let text = Secret::new(text);
    match result {
        Ok(_) => Ok(text),
        Err(error) if error.kind() == io::ErrorKind::InvalidData => Err(malformed("is not text")),
        Err(error) => Err(failed(error)),
    }
}
