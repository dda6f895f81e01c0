//! The folder with what a command is given: its user's alone, named after the process and the task,
//! gone when that ends.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use lanyard_agent::AgentSocket;

use crate::terminal::say;
use crate::text;

/// Beside the local agent's socket.
const NAME: &str = "exec";

/// A such folder; removed when dropped.
pub(crate) struct Folder {
    path: PathBuf,
}

impl Folder {
    /// Makes one for a task. What it needs to be in is checked as the agent's own folder is (T51).
    pub(crate) fn create(place: &AgentSocket, task: &str) -> io::Result<Self> {
        place.prepare()?;
        let all = all(place);
        DirBuilder::new().recursive(true).mode(0o700).create(&all)?;
        let path = all.join(format!("{}-{task}", std::process::id()));
        DirBuilder::new().mode(0o700).create(&path)?;
        Ok(Self { path })
    }

    /// Makes a folder in it, with nothing in it.
    pub(crate) fn folder(&self, name: &str) -> io::Result<PathBuf> {
        let path = self.path.join(name);
        DirBuilder::new().mode(0o700).create(&path)?;
        Ok(path)
    }

    /// Writes a program in it, for the shell.
    pub(crate) fn script(&self, name: &str, command: &str) -> io::Result<PathBuf> {
        let path = self.write(name, &format!("#!/bin/sh\n{command}\n"))?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o700))?;
        Ok(path)
    }

    /// Writes a file in it.
    pub(crate) fn write(&self, name: &str, text: &str) -> io::Result<PathBuf> {
        let path = self.path.join(name);
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path)?;
        file.write_all(text.as_bytes())?;
        Ok(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.path) {
            let line = format!("{} cannot be removed: {error}", self.path.display());
            say(format_args!("lanyard: {}", text::line(&line)));
        }
    }
}

fn all(place: &AgentSocket) -> PathBuf {
    place.socket().parent().unwrap_or(Path::new(".")).join(NAME)
}

/// A folder that a command left behind because it was ended before it could clean up.
pub(crate) struct Leftover {
    /// The path of the folder.
    pub(crate) path: PathBuf,
    /// The task of the command, which may be open.
    pub(crate) task: String,
}

/// Returns the folders of processes that are no more.
pub(crate) fn leftovers(place: &AgentSocket) -> Vec<Leftover> {
    let entries = fs::read_dir(all(place)).into_iter().flatten().flatten();
    let leftover = |entry: fs::DirEntry| {
        let name = entry.file_name().into_string().ok()?;
        let (process, task) = name.split_once('-')?;
        let process = rustix::process::Pid::from_raw(process.parse().ok()?)?;
        let lives = rustix::process::test_kill_process(process).is_ok();
        (!lives).then(|| Leftover {
            path: entry.path(),
            task: task.to_owned(),
        })
    };
    entries.filter_map(leftover).collect()
}
