//! Where the keys and tokens of contexts are kept, and under which name.

use std::ffi::OsString;
use std::fs::File;
use std::path::{Path, PathBuf};

use crate::context_error::ContextError;
use crate::digest::digest;
use crate::private;

/// How many characters of the digest of a context's path are in its name.
const TAIL: usize = 12;

/// The place of one context: `LANYARD_STATE`, or `lanyard` in the user's state directory.
pub(crate) struct State {
    folder: PathBuf,
    name: String,
}

impl State {
    /// The place of the context in this file.
    pub(crate) fn of(context: &Path) -> Result<Self, ContextError> {
        let folder = folder().ok_or(ContextError::Homeless)?;
        Ok(Self::within(folder, context))
    }

    pub(crate) fn within(folder: PathBuf, context: &Path) -> Self {
        // Two contexts of the same name in two folders are two. Links are not followed: where a ConfigMap is mounted, each
        // update of it is another file behind the same name.
        let whole = std::path::absolute(context);
        let whole = whole.unwrap_or_else(|_| context.to_path_buf());
        let stem = context.file_stem().unwrap_or_default().to_string_lossy();
        let tail = digest(whole.as_os_str().as_encoded_bytes());
        let tail = tail.get(..TAIL).unwrap_or(&tail);
        Self {
            folder,
            name: format!("{stem}-{tail}"),
        }
    }

    /// The name, which is this context's alone.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// One of its files; the folder is made where there is none.
    pub(crate) fn file(&self, kind: &str) -> Result<PathBuf, ContextError> {
        private::folder(&self.folder).map_err(|source| ContextError::Kept {
            path: self.folder.clone(),
            source,
        })?;
        Ok(self.folder.join(format!("{}.{kind}", self.name)))
    }

    /// Waits until no other process renews the session of this context; until the file is dropped none does.
    pub(crate) async fn lock(&self) -> Result<File, ContextError> {
        let path = self.file("lock")?;
        let kept = |source| ContextError::Kept {
            path: path.clone(),
            source,
        };
        let file = private::lock_file(&path).map_err(kept)?;
        let locked = tokio::task::spawn_blocking(move || file.lock().map(|()| file)).await;
        let locked = locked.map_err(|_| ContextError::System)?;
        locked.map_err(kept)
    }
}

/// The folder of the keys and tokens of whoever runs this; nothing where there is no home.
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
        let one = State::within("/s".into(), Path::new("/a/agent.json"));
        let other = State::within("/s".into(), Path::new("/b/agent.json"));
        assert_ne!(one.name(), other.name());
        assert!(one.name().starts_with("agent-"), "{}", one.name());
    }
}
