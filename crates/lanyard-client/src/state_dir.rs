//! The state directory: where keys and tokens of contexts are stored, and under which name.

use std::ffi::OsString;
use std::fs::File;
use std::path::{Path, PathBuf};

use crate::context_error::ContextError;
use crate::digest::digest;
use crate::secret_files;

/// Characters of the digest of a context's path in the name of its files.
const DIGEST_CHARACTERS: usize = 12;

/// The files of one context, in `LANYARD_STATE` or in `lanyard` in the user's state directory.
pub(crate) struct StateDir {
    folder: PathBuf,
    name: String,
}

impl StateDir {
    /// Finds the files of the context at `context`.
    pub(crate) fn of(context: &Path) -> Result<Self, ContextError> {
        let folder = folder().ok_or(ContextError::Homeless)?;
        Ok(Self::within(folder, context))
    }

    pub(crate) fn within(folder: PathBuf, context: &Path) -> Self {
        // The whole path is hashed, so contexts of the same name in two folders have separate
        // files. Links are not resolved: each update of a mounted ConfigMap is another file behind
        // the same link, and would change the key.
        let whole = std::path::absolute(context);
        let whole = whole.unwrap_or_else(|_| context.to_path_buf());
        let stem = context.file_stem().unwrap_or_default().to_string_lossy();
        let tail = digest(whole.as_os_str().as_encoded_bytes());
        let tail = tail.get(..DIGEST_CHARACTERS).unwrap_or(&tail);
        Self {
            folder,
            name: format!("{stem}-{tail}"),
        }
    }

    /// Returns the name of this context's files, which no other context has.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Returns the path of one of the files, and makes the folder if missing.
    pub(crate) fn file(&self, kind: &str) -> Result<PathBuf, ContextError> {
        secret_files::folder(&self.folder).map_err(|source| ContextError::Storage {
            path: self.folder.clone(),
            source,
        })?;
        Ok(self.folder.join(format!("{}.{kind}", self.name)))
    }

    /// Locks the session of this context against renewal by other processes, until the returned
    /// file is dropped.
    pub(crate) async fn lock(&self) -> Result<File, ContextError> {
        let path = self.file("lock")?;
        let storage_error = |source| ContextError::Storage {
            path: path.clone(),
            source,
        };
        let file = secret_files::lock_file(&path).map_err(storage_error)?;
        let locked = tokio::task::spawn_blocking(move || file.lock().map(|()| file)).await;
        let locked = locked.map_err(|_| ContextError::System)?;
        locked.map_err(storage_error)
    }
}

/// Returns the state directory of the current user. `None` if no variable names one.
#[must_use]
pub fn folder() -> Option<PathBuf> {
    folder_by(|name| std::env::var_os(name))
}

fn folder_by(variable: impl Fn(&str) -> Option<OsString>) -> Option<PathBuf> {
    let named = |name| {
        variable(name)
            .filter(|value| !value.is_empty())
            .map(PathBuf::from)
    };
    let state = named("XDG_STATE_HOME").or_else(|| Some(named("HOME")?.join(".local/state")));
    named("LANYARD_STATE").or_else(|| Some(state?.join("lanyard")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_folder_is_the_named_one_then_that_of_the_user() {
        let of = |set: &[(&str, &str)]| {
            let find = |name: &str| set.iter().find(|(key, _)| *key == name);
            folder_by(|name| find(name).map(|(_, value)| OsString::from(value)))
        };
        let home = ("HOME", "/home/a");
        assert_eq!(of(&[home]), Some("/home/a/.local/state/lanyard".into()));
        assert_eq!(
            of(&[home, ("XDG_STATE_HOME", "/s")]),
            Some("/s/lanyard".into())
        );
        assert_eq!(
            of(&[home, ("XDG_STATE_HOME", "/s"), ("LANYARD_STATE", "/l")]),
            Some("/l".into())
        );
        assert_eq!(of(&[]), None);
    }

    #[test]
    fn contexts_of_one_name_in_two_folders_are_two() {
        let one = StateDir::within("/s".into(), Path::new("/a/agent.json"));
        let other = StateDir::within("/s".into(), Path::new("/b/agent.json"));
        assert_ne!(one.name(), other.name());
        assert!(one.name().starts_with("agent-"), "{}", one.name());
    }
}
