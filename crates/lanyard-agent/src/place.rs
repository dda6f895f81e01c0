//! Where the agent's socket is, in a folder of its user's alone.

use std::ffi::OsString;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

/// The variable that names the socket.
pub(crate) const SOCKET: &str = "LANYARD_AGENT";

/// A folder for the socket, and what is beside it.
#[derive(Debug, Clone)]
pub struct Place {
    socket: PathBuf,
}

impl Place {
    /// That of whoever runs this: `LANYARD_AGENT` names the socket; else it is `agent.sock` in `LANYARD_STATE`, in `lanyard` of
    /// `XDG_RUNTIME_DIR`, or in `lanyard` of the user's state directory. Nothing where there is no home either.
    #[must_use]
    pub fn of_user() -> Option<Self> {
        Self::by(|name| std::env::var_os(name))
    }

    /// As [`Place::of_user`], by these variables.
    pub(crate) fn by(variable: impl Fn(&str) -> Option<OsString>) -> Option<Self> {
        let named = |name| {
            variable(name)
                .filter(|value| !value.is_empty())
                .map(PathBuf::from)
        };
        let beside = || {
            let state =
                || named("XDG_STATE_HOME").or_else(|| Some(named("HOME")?.join(".local/state")));
            named("LANYARD_STATE")
                .or_else(|| Some(named("XDG_RUNTIME_DIR")?.join("lanyard")))
                .or_else(|| Some(state()?.join("lanyard")))
        };
        let socket = named(SOCKET).or_else(|| Some(beside()?.join("agent.sock")))?;
        Some(Self { socket })
    }

    /// The path at which the local agent listens.
    #[must_use]
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// Whether the socket is there, and this user's.
    pub(crate) fn is_own(&self) -> bool {
        let found = fs::symlink_metadata(&self.socket);
        found.is_ok_and(|found| found.uid() == rustix::process::geteuid().as_raw())
    }

    /// A file beside it.
    pub(crate) fn beside(&self, name: &str) -> PathBuf {
        self.socket.with_file_name(name)
    }

    /// Makes the folder where there is none. One that somebody else owns or may enter is refused, not mended.
    ///
    /// # Errors
    /// Then, and as of the system.
    pub fn prepare(&self) -> io::Result<()> {
        let folder = self.socket.parent().unwrap_or(Path::new("."));
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(folder)?;
        let found = fs::metadata(folder)?;
        let fault = if found.uid() != rustix::process::geteuid().as_raw() {
            "belongs to somebody else"
        } else if found.mode() & 0o077 != 0 {
            "can be entered by others: chmod 700 it"
        } else {
            return Ok(());
        };
        let line = format!("{} {fault}", folder.display());
        Err(io::Error::new(io::ErrorKind::PermissionDenied, line))
    }

    /// Takes the lock that there is one of; nothing where somebody else has it.
    pub(crate) fn lock(&self) -> io::Result<Option<File>> {
        let file = private(&self.beside("agent.lock"))?;
        match file.try_lock() {
            Ok(()) => Ok(Some(file)),
            Err(fs::TryLockError::WouldBlock) => Ok(None),
            Err(fs::TryLockError::Error(error)) => Err(error),
        }
    }

    /// Where the agent says what goes wrong when nobody looks.
    pub(crate) fn log(&self) -> io::Result<File> {
        private(&self.beside("agent.log"))
    }
}

/// Removes a file, where there is one.
pub(crate) fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// A file that is its owner's alone, to be written at its end.
fn private(path: &Path) -> io::Result<File> {
    let nofollow = i32::try_from(rustix::fs::OFlags::NOFOLLOW.bits()).unwrap_or(0);
    OpenOptions::new()
        .create(true)
        .append(true)
        .mode(0o600)
        .custom_flags(nofollow)
        .open(path)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn the_socket_is_the_named_one_then_in_the_state_then_in_the_runtime_folder() {
        let of = |set: &[(&str, &str)]| {
            let find = |name: &str| set.iter().find(|(key, _)| *key == name);
            let place = Place::by(|name| find(name).map(|(_, value)| OsString::from(value)));
            place.map(|place| place.socket().display().to_string())
        };
        let (home, runtime) = (("HOME", "/home/a"), ("XDG_RUNTIME_DIR", "/run/user/1"));
        let state = ("LANYARD_STATE", "/s");
        let at = |path: &str| Some(path.to_owned());
        assert_eq!(of(&[home]), at("/home/a/.local/state/lanyard/agent.sock"));
        assert_eq!(of(&[home, runtime]), at("/run/user/1/lanyard/agent.sock"));
        assert_eq!(of(&[home, runtime, state]), at("/s/agent.sock"));
        assert_eq!(of(&[state, (SOCKET, "/x/y.sock")]), at("/x/y.sock"));
        assert_eq!(of(&[]), None);
    }

    // T51
    #[test]
    fn t51_a_folder_that_others_enter_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let folder = directory.path().join("agent");
        let place = Place {
            socket: folder.join("agent.sock"),
        };
        place.prepare().unwrap();
        let mode = fs::metadata(&folder).unwrap().mode() & 0o777;
        assert_eq!(mode, 0o700);
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o755)).unwrap();
        let error = place.prepare().unwrap_err().to_string();
        assert!(
            error.ends_with("can be entered by others: chmod 700 it"),
            "{error}"
        );
    }

    #[test]
    fn there_is_one_lock() {
        let directory = tempfile::tempdir().unwrap();
        let place = Place {
            socket: directory.path().join("agent.sock"),
        };
        let lock = place.lock().unwrap();
        assert!(lock.is_some());
        assert!(place.lock().unwrap().is_none());
    }
}
