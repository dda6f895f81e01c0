//! Files with keys in them, and what they have to hold.

use std::path::{Path, PathBuf};

use lanyard_core::secret::Secret;
use lanyard_secret_file::{Origin, SecretFileError, read_text};

/// Why there is no key in a file.
#[derive(Debug, thiserror::Error)]
pub enum KeyFileError {
    /// The file.
    #[error(transparent)]
    File(#[from] SecretFileError),
    /// The file does not hold what it has to.
    #[error("`{}` {what}", .path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        what: &'static str,
    },
}

/// The text of a file that the configuration names.
pub(crate) fn read(path: &Path) -> Result<Secret<String>, KeyFileError> {
    let mut text = read_text(path, Origin::Configured)?;
    Ok(Secret::new(std::mem::take(&mut *text)))
}
