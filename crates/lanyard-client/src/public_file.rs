//! Files without secrets: contexts, and the certificates that they name.

use std::fs;
use std::path::Path;

use crate::context_error::ContextError;

pub(crate) fn read(path: &Path) -> Result<Vec<u8>, ContextError> {
    fs::read(path).map_err(|source| ContextError::Unreadable {
        path: path.to_path_buf(),
        source,
    })
}
