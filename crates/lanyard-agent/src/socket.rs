//! The path of the local agent's socket, in a folder that only its user can enter.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

/// Variable that names the socket.
pub(crate) const SOCKET: &str = "LANYARD_AGENT";

/// The path of the socket, and the files beside it.
#[derive(Debug, Clone)]
pub struct AgentSocket {
    socket: PathBuf,
    /// The reason why the socket is not in the runtime folder.
    passed_over: Option<String>,
}

/// Longest path of a socket. The kernel keeps 108 bytes, including the final zero.
///
/// # Limit
/// - for: the local agent's socket
/// - unit: bytes
/// - beyond: the local agent does not start, and names the path
/// - test: `e44_a_socket_path_that_is_too_long_is_named`
const MAX_SOCKET_PATH_BYTES: usize = 107;

impl AgentSocket {
    /// Finds the socket of the current user: `LANYARD_AGENT` names it; otherwise it is `agent.sock`
    /// in `LANYARD_STATE`, in `lanyard` of `XDG_RUNTIME_DIR` if that folder is the user's own, or
    /// in `lanyard` of the user's state directory. `None` if no variable names a folder.
    #[must_use]
    pub fn of_user() -> Option<Self> {
        Self::by(|name| std::env::var_os(name), passed_over)
    }

    /// Like [`AgentSocket::of_user`], with given variables and a given check of the runtime folder.
    pub(crate) fn by(
        variable: impl Fn(&str) -> Option<OsString>,
        passed_over: impl Fn(&Path) -> Option<String>,
    ) -> Option<Self> {
        let named = |name| {
            variable(name)
                .filter(|value| !value.is_empty())
                .map(PathBuf::from)
        };
        let at = |socket, passed_over| Self {
            socket,
            passed_over,
        };
        let in_folder = |folder: PathBuf| folder.join("agent.sock");
        let set = named(SOCKET).or_else(|| named("LANYARD_STATE").map(in_folder));
        if let Some(socket) = set {
            return Some(at(socket, None));
        }
        let runtime = named("XDG_RUNTIME_DIR");
        let why = runtime.as_deref().and_then(&passed_over);
        if let Some(runtime) = runtime.filter(|_| why.is_none()) {
            return Some(at(in_folder(runtime.join("lanyard")), None));
        }
        let state = named("XDG_STATE_HOME").or_else(|| Some(named("HOME")?.join(".local/state")));
        Some(at(in_folder(state?.join("lanyard")), why))
    }

    /// Returns why the socket is not in the folder that `XDG_RUNTIME_DIR` names, if it is not.
    #[must_use]
    pub fn passed_over(&self) -> Option<&str> {
        self.passed_over.as_deref()
    }

    /// Returns the path at which the local agent listens.
    #[must_use]
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// True if the socket exists and belongs to this user.
    pub(crate) fn is_own(&self) -> bool {
        let found = fs::symlink_metadata(&self.socket);
        found.is_ok_and(|found| found.uid() == rustix::process::geteuid().as_raw())
    }

    /// Returns the path of a file beside the socket.
    pub(crate) fn beside(&self, name: &str) -> PathBuf {
        self.socket.with_file_name(name)
    }

    /// Makes the folder if missing. A folder that another user owns or can enter is refused, not
    /// repaired, because its content may be planted.
    ///
    /// # Errors
    /// The path is too long, the folder is not private, or the system's error.
    pub fn prepare(&self) -> io::Result<()> {
        let folder = self.socket.parent().unwrap_or(Path::new("."));
        let bytes = self.socket.as_os_str().len();
        if bytes > MAX_SOCKET_PATH_BYTES {
            let line = format!(
                "the path of the socket `{}` has {bytes} bytes, and the system takes {MAX_SOCKET_PATH_BYTES}; name a shorter one in {SOCKET}",
                self.socket.display()
            );
            return Err(io::Error::new(io::ErrorKind::InvalidInput, line));
        }
        lanyard_client::private_folder(folder)?;
        let found = fs::metadata(folder)?;
        let fault = if found.uid() != rustix::process::geteuid().as_raw() {
            "belongs to another user"
        } else if found.mode() & 0o077 != 0 {
            "can be entered by others: chmod 700 it"
        } else {
            return Ok(());
        };
        let line = format!("`{}` {fault}", folder.display());
        Err(io::Error::new(io::ErrorKind::PermissionDenied, line))
    }

    /// Takes the lock that only one local agent holds. `None` if another one runs.
    pub(crate) fn lock(&self) -> io::Result<Option<File>> {
        let file = private(&self.beside("agent.lock"))?;
        match file.try_lock() {
            Ok(()) => Ok(Some(file)),
            Err(fs::TryLockError::WouldBlock) => Ok(None),
            Err(fs::TryLockError::Error(error)) => Err(error),
        }
    }

    /// Opens the log of a local agent that runs in the background.
    pub(crate) fn log(&self) -> io::Result<File> {
        private(&self.beside("agent.log"))
    }
}

/// Returns why a runtime folder cannot be used: it is missing, another user's, or writable by
/// others, or Lanyard's folder in it is another user's.
fn passed_over(runtime: &Path) -> Option<String> {
    let own = rustix::process::geteuid().as_raw();
    let not_own = |path: &Path, found: &fs::Metadata| {
        (found.uid() != own).then(|| {
            format!(
                "`{}` belongs to the user {}, and this process runs as {own}",
                path.display(),
                found.uid()
            )
        })
    };
    let found = match fs::metadata(runtime) {
        Ok(found) => found,
        Err(error) => {
            return Some(format!("cannot inspect `{}`: {error}", runtime.display()));
        }
    };
    let open = || {
        let open = found.mode() & 0o022 != 0;
        open.then(|| format!("others may write to `{}`", runtime.display()))
    };
    not_own(runtime, &found).or_else(open).or_else(|| {
        let inner = runtime.join("lanyard");
        let found = fs::symlink_metadata(&inner).ok()?;
        not_own(&inner, &found)
    })
}

/// Removes a file. A missing file is no error.
pub(crate) fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Opens a private file for appending, and creates the file if missing. A symbolic link is refused.
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
            let variable = |name: &str| find(name).map(|(_, value)| OsString::from(value));
            let place = AgentSocket::by(variable, |_| None);
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
        let place = AgentSocket {
            socket: folder.join("agent.sock"),
            passed_over: None,
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
    fn e44_a_runtime_folder_that_is_not_the_users_own_is_passed_over() {
        let directory = tempfile::tempdir().unwrap();
        let runtime = directory.path().join("1000");
        let place = || {
            let runtime = runtime.clone();
            let variable = move |name: &str| match name {
                "XDG_RUNTIME_DIR" => Some(runtime.clone().into_os_string()),
                "HOME" => Some(OsString::from("/home/a")),
                _ => None,
            };
            let place = AgentSocket::by(variable, passed_over).unwrap();
            (
                place.socket().to_path_buf(),
                place.passed_over().map(str::to_owned),
            )
        };
        let state = PathBuf::from("/home/a/.local/state/lanyard/agent.sock");
        let (socket, why) = place();
        assert_eq!(socket, state);
        assert!(why.unwrap().contains("cannot inspect"));
        fs::create_dir(&runtime).unwrap();
        fs::set_permissions(&runtime, fs::Permissions::from_mode(0o700)).unwrap();
        assert_eq!(place(), (runtime.join("lanyard/agent.sock"), None));
        fs::set_permissions(&runtime, fs::Permissions::from_mode(0o777)).unwrap();
        let (socket, why) = place();
        assert_eq!(socket, state);
        assert!(why.unwrap().starts_with("others may write to"));
        fs::set_permissions(&runtime, fs::Permissions::from_mode(0o700)).unwrap();
        if !rustix::process::geteuid().is_root() {
            return;
        }
        // sudo keeps the variable of the user who called it.
        std::os::unix::fs::chown(&runtime, Some(1000), None).unwrap();
        let (socket, why) = place();
        assert_eq!(socket, state);
        let why = why.unwrap();
        assert!(
            why.ends_with("belongs to the user 1000, and this process runs as 0"),
            "{why}"
        );
        assert!(fs::read_dir(&runtime).unwrap().next().is_none());
        // A folder that an earlier version left there must lock nobody out.
        std::os::unix::fs::chown(&runtime, Some(0), None).unwrap();
        fs::create_dir(runtime.join("lanyard")).unwrap();
        std::os::unix::fs::chown(runtime.join("lanyard"), Some(1000), None).unwrap();
        assert_eq!(place().0, state);
    }

    #[test]
    fn e44_a_socket_path_that_is_too_long_is_named() {
        let directory = tempfile::tempdir().unwrap();
        let long = |bytes: usize| {
            let begin = directory.path().display().to_string();
            let name = "a".repeat(bytes - begin.len() - "//s".len());
            let socket = directory.path().join(name).join("s");
            assert_eq!(socket.as_os_str().len(), bytes);
            let place = AgentSocket {
                socket,
                passed_over: None,
            };
            place.prepare()
        };
        long(MAX_SOCKET_PATH_BYTES).unwrap();
        let error = long(MAX_SOCKET_PATH_BYTES + 1).unwrap_err().to_string();
        assert!(
            error.contains("has 108 bytes, and the system takes 107"),
            "{error}"
        );
    }

    #[test]
    fn there_is_one_lock() {
        let directory = tempfile::tempdir().unwrap();
        let place = AgentSocket {
            socket: directory.path().join("agent.sock"),
            passed_over: None,
        };
        let lock = place.lock().unwrap();
        assert!(lock.is_some());
        assert!(place.lock().unwrap().is_none());
    }
}
