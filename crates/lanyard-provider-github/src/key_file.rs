//! Reads key files, and describes what is wrong with one.

use std::path::{Path, PathBuf};

use lanyard_secret_file::{Origin, SecretFileError, read_text};
use lanyard_vocabulary::secret::Secret;

/// The reason why a file gave no key.
#[derive(Debug, thiserror::Error)]
pub enum KeyFileError {
    /// The file has wrong permissions, is too large, or cannot be read.
    #[error(transparent)]
    File(#[from] SecretFileError),
    /// The file's content is not a key of the expected form.
    #[error("`{}` {what}", .path.display())]
    Malformed {
        /// Path of the file.
        path: PathBuf,
        /// The fault, worded as the end of a sentence about the file.
        what: &'static str,
    },
}

/// Reads the text of a key file that the configuration names.
pub(crate) fn read(path: &Path) -> Result<Secret<String>, KeyFileError> {
    let mut text = read_text(path, Origin::Configured)?;
    Ok(Secret::new(std::mem::take(&mut *text)))
}
