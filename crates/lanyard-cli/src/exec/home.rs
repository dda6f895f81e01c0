//! The home of the user, which holds logins that git's programs would use.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::words;

/// The home of a user whose `~/.netrc` curl would log in with. Nothing but another home keeps curl
/// from it.
pub(super) struct Home(pub(super) PathBuf);

impl Home {
    pub(super) fn with_logins() -> Option<Self> {
        let home = PathBuf::from(std::env::var_os("HOME")?);
        let has_logins = fs::symlink_metadata(home.join(".netrc")).is_ok();
        has_logins.then_some(Self(home))
    }

    /// The helper is the user's own program and finds what it needs at home.
    pub(super) fn helper(&self, line: &str) -> String {
        let home = words::pasted([self.0.display().to_string()]);
        line.replacen('!', &format!("!HOME={home} "), 1)
    }

    /// Runs a command with another home, and with the user's own settings of git.
    pub(super) fn leave(&self, command: &mut Command, logins: &Path) {
        command.env("HOME", logins.with_file_name("nothing"));
        if std::env::var_os("GIT_CONFIG_GLOBAL").is_none() {
            command.env("GIT_CONFIG_GLOBAL", logins.with_file_name("git-settings"));
        }
    }
}
