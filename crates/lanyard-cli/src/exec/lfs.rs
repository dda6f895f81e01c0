//! git-lfs under `lanyard exec`: it speaks HTTP without git, and logs in with what it finds in
//! git's settings and in the user's home.
//!
//! git-lfs asks git's credential helpers, which are those of the task. What else it logs in with is
//! taken away where that can be done, and refused by name where it cannot: git-lfs knows no empty
//! header that takes others away.
//! <https://github.com/git-lfs/git-lfs/blob/main/docs/man/git-lfs-config.adoc>

use std::ffi::OsString;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::home::Home;
use super::values::has_user_with_password;
use crate::outcome::Outcome;

/// The name of the program.
pub(super) const NAME: &str = "git-lfs";

/// The places where the repository itself has settings for git-lfs: in the work tree, and if there
/// is none, in the index and in the last commit.
const OF_REPOSITORY: [&[&str]; 3] = [
    &["--file", ".lfsconfig"],
    &["--blob", ":.lfsconfig"],
    &["--blob", "HEAD:.lfsconfig"],
];

/// The program: among git's own, or on the path.
pub(super) fn program(exec_path: &Path) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::iter::once(exec_path.to_path_buf()).chain(std::env::split_paths(&path));
    folders.map(|folder| folder.join(NAME)).find(|program| {
        let about = program.metadata();
        about.is_ok_and(|about| about.is_file() && about.permissions().mode() & 0o111 != 0)
    })
}

/// The path with this folder before all others, for a command that calls git-lfs without git.
pub(super) fn path_with(folder: &Path) -> OsString {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::iter::once(folder.to_path_buf()).chain(std::env::split_paths(&path));
    std::env::join_paths(folders).unwrap_or(path)
}

/// The command, in whose surroundings git-lfs finds no login of the user's.
///
/// # Errors
/// A setting that git-lfs would log in with.
pub(super) fn command(
    program: &Path,
    logins: &Path,
    settings: impl FnOnce(Option<&Home>) -> Vec<(String, String)>,
) -> Result<Command, Outcome> {
    refuse_logins()?;
    let mut command = Command::new(program);
    let home = Home::with_logins();
    command.envs(settings(home.as_ref()));
    let nothing = logins.with_file_name("nothing");
    // A ticket that was granted to the user is no login of the task.
    command.env("KRB5CCNAME", nothing.join("krb5cc"));
    if let Some(home) = home {
        home.leave(&mut command, logins);
    }
    Ok(command)
}

fn refuse_logins() -> Result<(), Outcome> {
    let all = [["config", "--list", "--null"].as_slice()];
    let of_repository = OF_REPOSITORY.map(|from| [&["config", "--list", "--null"], from].concat());
    let top = Command::new("git")
        .args(["rev-parse", "--show-toplevel"])
        .output();
    let top = top.ok().filter(|answer| answer.status.success());
    let top = top.and_then(|answer| String::from_utf8(answer.stdout).ok());
    for arguments in all
        .into_iter()
        .chain(of_repository.iter().map(Vec::as_slice))
    {
        let mut git = Command::new("git");
        git.args(arguments);
        if let Some(top) = &top {
            git.current_dir(top.trim_end_matches('\n'));
        }
        // Where there is no such file, there are no settings in it.
        let Ok(answer) = git.output() else { continue };
        for entry in String::from_utf8_lossy(&answer.stdout).split('\0') {
            let (key, value) = entry.split_once('\n').unwrap_or((entry, ""));
            if let Some(what) = logs_in(key, value) {
                let key = without_password(key);
                return Err(Outcome::usage(format!(
                    "git's setting `{key}` has {what}, and git-lfs cannot be kept from it: within lanyard exec git-lfs logs in with the \
                     credential of the task alone; unset it, or run git-lfs outside"
                )));
            }
        }
    }
    Ok(())
}

/// Names the part of the user's login that a setting gives to git-lfs.
fn logs_in(key: &str, value: &str) -> Option<&'static str> {
    let lower = key.to_ascii_lowercase();
    let (section, name) = (
        lower.split('.').next().unwrap_or_default(),
        lower.rsplit('.').next().unwrap_or_default(),
    );
    match (section, name) {
        ("http", "extraheader") if value.contains(':') => Some("a header"),
        ("http", "cookiefile") if !value.is_empty() => Some("cookies"),
        ("http", "sslcert" | "sslkey") if !value.is_empty() => Some("a certificate of yours"),
        ("lfs" | "remote" | "url", _)
            if has_user_with_password(key) || has_user_with_password(value) =>
        {
            Some("an address with a password")
        }
        ("lfs" | "remote", "url" | "pushurl" | "lfsurl" | "lfspushurl")
            if value.contains("?token=") || value.contains("&token=") =>
        {
            Some("an address with a token")
        }
        _ => None,
    }
}

/// The name of a setting, in which an address stands that may have a password.
fn without_password(key: &str) -> String {
    match (key.split_once("://"), key.rsplit_once('@')) {
        (Some((scheme, _)), Some((_, host))) => format!("{scheme}://…@{host}"),
        _ => key.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn b06_what_git_lfs_would_log_in_with_is_known() {
        for (key, value) in [
            ("http.extraheader", "Authorization: Basic b3du"),
            (
                "http.https://h.example/.extraheader",
                "AUTHORIZATION: basic b3du",
            ),
            (
                "http.https://h.example/team/app.git/info/lfs.extraheader",
                "PRIVATE-TOKEN: own",
            ),
            ("http.cookiefile", "/home/me/cookies"),
            ("http.https://h.example.sslcert", "/home/me/cert.pem"),
            ("http.sslkey", "/home/me/key.pem"),
            ("lfs.url", "https://me:own@h.example/app.git/info/lfs"),
            (
                "lfs.pushurl",
                "https://h.example/app.git/info/lfs?token=own",
            ),
            ("lfs.https://me:own@h.example/.access", "basic"),
            ("remote.origin.lfsurl", "http://me:own@h.example/lfs"),
            (
                "remote.origin.lfspushurl",
                "https://h.example/lfs?a=b&token=own",
            ),
            ("remote.origin.url", "https://me:own@h.example/app.git"),
            (
                "url.https://me:own@h.example/.insteadof",
                "https://h.example/",
            ),
        ] {
            assert!(logs_in(key, value).is_some(), "{key} = {value}");
        }
        for (key, value) in [
            ("http.extraheader", ""),
            ("http.https://h.example/team.extraheader", ""),
            ("http.cookiefile", ""),
            ("http.sslcainfo", "/etc/ssl/ca.pem"),
            ("lfs.url", "https://h.example/app.git/info/lfs"),
            ("lfs.https://h.example/app.git/info/lfs.access", "basic"),
            ("remote.origin.url", "https://me@h.example/app.git"),
            ("remote.origin.url", "git@h.example:app.git"),
            ("url.https://h.example/.insteadof", "git@h.example:"),
            (
                "credential.https://h.example.helper",
                "!lanyard creds git a",
            ),
            ("user.email", "me:x@h.example"),
        ] {
            assert_eq!(logs_in(key, value), None, "{key} = {value}");
        }
        assert_eq!(
            without_password("url.https://me:own@h.example/.insteadof"),
            "url.https://…@h.example/.insteadof"
        );
    }
}
