//! git under `lanyard exec`: whatever a setting, an address or a file of the user says, git logs in
//! with the credential of the task alone.
//!
//! Two mechanisms do that, because git has two ways to log in over HTTP. Credential helpers are
//! read in order, so an empty helper in `GIT_CONFIG_*` takes away those before it. Headers, cookies
//! and certificates go by the most specific address that a setting names (gitconfig(5),
//! `http.<url>.*`), so no setting that is made beforehand comes last for every repository, and
//! those in `GIT_CONFIG_*` do not reach submodules. git is therefore given an exec path in which
//! its HTTP transport is this program: at each use the transport knows the whole address, takes the
//! user's logins for it away, and becomes git's own transport.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use clap::Args;
use lanyard_client::v1::credential::Kind;

use super::folder::Folder;
use super::given::{Environment, Given, Helper};
use super::home::Home;
use super::surroundings::is_git_setting;
use super::{lfs, values};
use crate::creds::{audiences, split};
use crate::outcome::Outcome;
use crate::words;

/// The variable with the folder of git's own programs, for a `lanyard exec` within another one.
const EXEC_PATH: &str = "LANYARD_GIT_EXEC_PATH";

/// The transports that can log in over HTTP or FTP (git-remote-http and its links), and the two
/// older programs that take an address themselves.
const TRANSPORTS: [&str; 6] = [
    "git-http-fetch",
    "git-http-push",
    "git-remote-http",
    "git-remote-https",
    "git-remote-ftp",
    "git-remote-ftps",
];

/// Settings of `http.<url>` that log in, and the value that keeps each from doing so.
const LOGINS_OVER_HTTP: [(&str, &str); 6] = [
    // An empty header resets the list.
    ("extraHeader", ""),
    // An empty path reads no file and keeps new cookies in memory.
    ("cookieFile", ""),
    ("saveCookies", "false"),
    // Kerberos: no ticket is offered, and none is handed on.
    ("emptyAuth", "false"),
    ("delegation", "none"),
    ("proactiveAuth", "none"),
];

/// Variables that choose the program for ssh. `--keep` of one of them leaves ssh to the user.
pub(super) const SSH: [&str; 3] = ["GIT_SSH_COMMAND", "GIT_SSH", "SSH_AUTH_SOCK"];

/// A helper, and the address below which it is asked.
struct Login {
    place: String,
    helper: String,
}

/// Writes the files of git, and names the variables that go with them.
pub(super) fn lay_out(
    folder: &Folder,
    helper: &Helper,
    given: &[Given],
    keep: &[String],
    environment: &mut Environment,
) -> io::Result<()> {
    let logins = logins(helper, given);
    settings(&logins, environment);
    if !SSH.iter().any(|name| keep.iter().any(|kept| kept == name)) {
        let line = "lanyard: git does not use ssh within lanyard exec, where it logs in with the credential of the task alone; \
                    use an https address, or --keep SSH_AUTH_SOCK to log in as yourself";
        let refuse = format!("echo {} >&2\nexit 1", words::pasted([line.to_owned()]));
        environment.put("GIT_SSH_COMMAND", folder.script("git-ssh", &refuse)?);
        // git asks no unknown program what variant of ssh it is.
        environment.put("GIT_SSH_VARIANT", "simple");
    }
    let Some(real) = exec_path() else {
        return Ok(());
    };
    let table: String = logins
        .iter()
        .map(|login| format!("{}\t{}\n", login.place, login.helper))
        .collect();
    let table = folder.write("git-logins", &table)?;
    folder.write("git-settings", &settings_of_user())?;
    let ours = folder.folder("git-core")?;
    for entry in fs::read_dir(&real)? {
        let name = entry?.file_name();
        if name != lfs::NAME && !TRANSPORTS.iter().any(|transport| name == *transport) {
            std::os::unix::fs::symlink(real.join(&name), ours.join(&name))?;
        }
    }
    let becomes = |program: &Path, option: Option<&str>| {
        let line = [
            &helper.program,
            Path::new("git-transport"),
            Path::new("--logins"),
            &table,
            Path::new("--program"),
            program,
        ];
        let line = line.iter().map(|word| word.display().to_string());
        let line = line.chain(option.map(str::to_owned));
        let line = words::pasted(line.chain(["--".to_owned()]));
        format!("exec {line} \"$@\"")
    };
    for transport in TRANSPORTS {
        let program = real.join(transport);
        if program.exists() {
            let script = becomes(&program, None);
            folder.script(&format!("git-core/{transport}"), &script)?;
        }
    }
    if let Some(program) = lfs::program(&real) {
        let script = becomes(&program, Some("--lfs"));
        folder.script(&format!("git-core/{}", lfs::NAME), &script)?;
        let first = folder.folder("bin")?;
        folder.script(&format!("bin/{}", lfs::NAME), &script)?;
        environment.put("PATH", lfs::path_with(&first));
    }
    environment.put("GIT_EXEC_PATH", ours);
    environment.put(EXEC_PATH, real);
    Ok(())
}

/// The folder of git's own programs; none where git is not installed.
fn exec_path() -> Option<PathBuf> {
    if let Some(outer) = std::env::var_os(EXEC_PATH) {
        return Some(outer.into());
    }
    let asked = Command::new("git").arg("--exec-path").output().ok()?;
    let path = String::from_utf8(asked.stdout).ok()?;
    let path = PathBuf::from(path.trim_end_matches('\n'));
    (asked.status.success() && path.is_dir()).then_some(path)
}

fn logins(helper: &Helper, given: &[Given]) -> Vec<Login> {
    let mut logins = Vec::new();
    for given in given {
        let places = match &given.kind {
            Kind::Token(token) => audiences(&token.jwt),
            // The helper knows which of the owner's repositories the token is for.
            Kind::Github(github) => vec![format!("{}/{}", github.host, github.owner)],
            Kind::Aws(_)
            | Kind::Kubernetes(_)
            | Kind::Vault(_)
            | Kind::VaultSecret(_)
            | Kind::Other(_) => continue,
        };
        for place in places {
            let Some((origin, path)) = split(&place) else {
                continue;
            };
            let place = format!("{origin}/{path}");
            let place = place.trim_end_matches('/');
            if !place.contains(words::is_unquotable) {
                logins.push(Login {
                    place: place.to_owned(),
                    helper: format!("!{}", helper.line("git", given)),
                });
            }
        }
    }
    logins
}

/// The user's own settings by whole paths, for a transport that runs with another home
/// (gitconfig(5), `FILES`).
fn settings_of_user() -> String {
    let home = PathBuf::from(std::env::var_os("HOME").unwrap_or_default());
    let folder = std::env::var_os("XDG_CONFIG_HOME").filter(|folder| !folder.is_empty());
    let folder = folder.map_or_else(|| home.join(".config"), PathBuf::from);
    let include = |file: PathBuf| {
        let path = file.display().to_string();
        let path = path.replace('\\', "\\\\").replace('"', "\\\"");
        format!("[include]\n\tpath = \"{path}\"\n")
    };
    [folder.join("git/config"), home.join(".gitconfig")]
        .map(include)
        .concat()
}

/// For programs that read git's settings and are not git: they ask the same helpers.
fn settings(logins: &[Login], environment: &mut Environment) {
    let mut entries = vec![
        ("credential.helper".to_owned(), String::new()),
        ("credential.useHttpPath".to_owned(), "true".to_owned()),
        ("core.askPass".to_owned(), String::new()),
        ("http.extraHeader".to_owned(), String::new()),
    ];
    for Login { place, helper } in logins {
        entries.push((format!("http.{place}.extraHeader"), String::new()));
        entries.push((format!("credential.{place}.helper"), helper.clone()));
    }
    // Settings of the user stay, but for those that are reset after them.
    for (name, value) in appended(&entries) {
        environment.put(&name, value);
    }
    environment.put("GIT_TERMINAL_PROMPT", "0");
}

/// The variables of the settings around this process, without those that log in, and of these
/// settings after them (git-config(1), `GIT_CONFIG_COUNT`). git numbers them without a gap, so that
/// all are written anew.
fn appended(entries: &[(String, String)]) -> Vec<(String, String)> {
    let count = std::env::var("GIT_CONFIG_COUNT");
    let before: usize = count.ok().and_then(|count| count.parse().ok()).unwrap_or(0);
    let around = (0..before).filter_map(|number| {
        let key = std::env::var(format!("GIT_CONFIG_KEY_{number}")).ok()?;
        let value = std::env::var(format!("GIT_CONFIG_VALUE_{number}")).ok()?;
        (!logs_in(&key, &value)).then_some((key, value))
    });
    numbered(around.chain(entries.iter().cloned()))
}

fn numbered(entries: impl Iterator<Item = (String, String)>) -> Vec<(String, String)> {
    let mut variables = Vec::new();
    let mut count = 0_usize;
    for (key, value) in entries {
        variables.push((format!("GIT_CONFIG_KEY_{count}"), key));
        variables.push((format!("GIT_CONFIG_VALUE_{count}"), value));
        count += 1;
    }
    variables.push(("GIT_CONFIG_COUNT".to_owned(), count.to_string()));
    variables
}

/// Tells if a setting in a variable is a login.
fn logs_in(key: &str, value: &str) -> bool {
    let key_of_login = key.to_ascii_lowercase();
    let is_header = key_of_login.ends_with(".extraheader") && !value.is_empty();
    is_header
        || values::is_a_login(value)
        || values::has_user_info(key)
        || values::has_user_info(value)
}

/// The variables of settings around this process: they go, and what stays of them is written anew.
pub(super) fn around() -> impl Iterator<Item = OsString> {
    let names = std::env::vars_os().map(|(name, _)| name);
    names.filter(|name| is_git_setting(&name.to_string_lossy()))
}

/// Be git's HTTP transport for a task.
#[derive(Args)]
pub(crate) struct Transport {
    /// The helpers of the task: a place and a helper a line.
    #[arg(long)]
    logins: PathBuf,
    /// The program of git's own transport.
    #[arg(long)]
    program: PathBuf,
    /// Be git-lfs instead, which reads the addresses by itself.
    #[arg(long)]
    lfs: bool,
    /// The remote, and its address (gitremote-helpers(7)).
    #[arg(last = true)]
    arguments: Vec<OsString>,
}

/// Becomes git's own transport, without a login of the user's.
///
/// # Errors
/// When the address or a setting for it logs in with something that cannot be taken away.
pub(crate) fn transport(asked: &Transport) -> Result<(), Outcome> {
    let table = fs::read_to_string(&asked.logins).map_err(|error| {
        let path = asked.logins.display();
        Outcome::usage(format!(
            "cannot read the logins of the task `{path}`: {error}"
        ))
    })?;
    if asked.lfs {
        let mut command = lfs::command(&asked.program, &asked.logins, |home| {
            let before = std::env::var("GIT_CONFIG_PARAMETERS").unwrap_or_default();
            let last = last_of_all(&before, &of_all(&table, home));
            vec![("GIT_CONFIG_PARAMETERS".to_owned(), last)]
        })?;
        command.args(&asked.arguments);
        return Err(not_run(&asked.program, &command.exec()));
    }
    let arguments: Vec<OsString> = asked.arguments.iter().map(|word| anonymous(word)).collect();
    let words = arguments.iter().rev().filter_map(|word| word.to_str());
    let address = words.into_iter().find(|word| word.contains("://"));
    let mut command = Command::new(&asked.program);
    command.args(&arguments);
    if let Some(url) = address {
        refuse_certificate(url)?;
        let home = Home::with_logins();
        let before = std::env::var("GIT_CONFIG_PARAMETERS").unwrap_or_default();
        let entries = for_url(url, &table, home.as_ref());
        command.env("GIT_CONFIG_PARAMETERS", last_of_all(&before, &entries));
        if let Some(home) = home {
            home.leave(&mut command, &asked.logins);
        }
    }
    Err(not_run(&asked.program, &command.exec()))
}

fn not_run(program: &Path, error: &io::Error) -> Outcome {
    let path = program.display();
    Outcome::usage(format!("cannot run `{path}` for git: {error}"))
}

/// The helpers of the task for whatever address is asked for, where the user's home is left.
fn of_all(table: &str, home: Option<&Home>) -> Vec<(String, String)> {
    let Some(home) = home else { return Vec::new() };
    let mut entries = vec![("credential.helper".to_owned(), String::new())];
    for (place, line) in table.lines().filter_map(|line| line.split_once('\t')) {
        entries.push((format!("credential.{place}.helper"), home.helper(line)));
    }
    entries
}

/// Writes these settings after those of `git -c`, which git reads after all others (git-config(1),
/// `GIT_CONFIG_COUNT`).
fn last_of_all(before: &str, entries: &[(String, String)]) -> String {
    // git takes what stands in quotes as it is, and a quote from `'\\''`.
    let quoted = |text: &str| format!("'{}'", text.replace('\'', "'\\''"));
    let entries = entries
        .iter()
        .map(|(key, value)| format!("{}={}", quoted(key), quoted(value)));
    std::iter::once(before.trim().to_owned())
        .filter(|before| !before.is_empty())
        .chain(entries)
        .collect::<Vec<_>>()
        .join(" ")
}

/// The settings that are the last word for this address: no setting can name it more exactly.
fn for_url(url: &str, table: &str, home: Option<&Home>) -> Vec<(String, String)> {
    let mut entries: Vec<(String, String)> = LOGINS_OVER_HTTP
        .iter()
        .map(|(name, value)| (format!("http.{url}.{name}"), (*value).to_owned()))
        .collect();
    let helper = format!("credential.{url}.helper");
    entries.push((helper.clone(), String::new()));
    entries.push((format!("credential.{url}.useHttpPath"), "true".to_owned()));
    for (place, line) in table.lines().filter_map(|line| line.split_once('\t')) {
        if is_below(url, place) {
            let line = match home {
                Some(home) => home.helper(line),
                None => line.to_owned(),
            };
            entries.push((helper.clone(), line));
        }
    }
    entries
}

/// Tells if an address is the place itself or lies below it, by whole segments.
fn is_below(url: &str, place: &str) -> bool {
    let Some((origin, path)) = split(url) else {
        return false;
    };
    let url = format!("{origin}/{path}");
    let rest = url.trim_end_matches('/').strip_prefix(place);
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// The address without a user's name and password.
fn anonymous(word: &OsStr) -> OsString {
    let Some((scheme, rest)) = word.to_str().and_then(|text| text.split_once("://")) else {
        return word.to_owned();
    };
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at_checked(end).unwrap_or((rest, ""));
    let host = authority
        .rsplit_once('@')
        .map_or(authority, |(_, host)| host);
    format!("{scheme}://{host}{path}").into()
}

/// A client certificate cannot be taken away by a setting: an empty path fails in the TLS library,
/// with words of its own.
fn refuse_certificate(url: &str) -> Result<(), Outcome> {
    for name in ["sslCert", "sslKey"] {
        let mut git = Command::new("git");
        git.args(["config", "--get-urlmatch", &format!("http.{name}"), url]);
        let Ok(answer) = git.output() else { continue };
        if answer.stdout.iter().any(|byte| !byte.is_ascii_whitespace()) {
            return Err(Outcome::usage(format!(
                "git's setting `http.{name}` names a certificate of yours for `{url}`: within lanyard exec git logs in with the \
                 credential of the task alone; unset it, or run git outside"
            )));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn b06_an_address_loses_its_user() {
        let cases = [
            ("https://me:own@h.example/a.git", "https://h.example/a.git"),
            (
                "https://me@h.example:8443/a@b.git",
                "https://h.example:8443/a@b.git",
            ),
            ("https://a@b@h.example", "https://h.example"),
            ("https://h.example?x=me@y", "https://h.example?x=me@y"),
            ("origin", "origin"),
        ];
        for (given, wanted) in cases {
            assert_eq!(anonymous(OsStr::new(given)), wanted);
        }
    }

    #[test]
    fn b06_settings_in_variables_are_numbered_without_those_that_log_in() {
        let around = [
            ("safe.directory", "*"),
            (
                "http.https://h.example/.extraHeader",
                "Authorization: Basic b3du",
            ),
            (
                "url.https://me:own@h.example/.insteadOf",
                "https://h.example/",
            ),
            ("http.extraHeader", ""),
        ];
        let kept = around
            .iter()
            .filter(|(key, value)| !logs_in(key, value))
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
        let variables: Vec<(String, String)> = numbered(kept);
        let names: Vec<&str> = variables.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(
            names,
            [
                "GIT_CONFIG_KEY_0",
                "GIT_CONFIG_VALUE_0",
                "GIT_CONFIG_KEY_1",
                "GIT_CONFIG_VALUE_1",
                "GIT_CONFIG_COUNT"
            ]
        );
        assert_eq!(variables.last().map(|(_, count)| count.as_str()), Some("2"));
    }

    #[test]
    fn b06_settings_of_the_task_come_after_those_of_the_command_line() {
        let folder = tempfile::tempdir().unwrap();
        let entries = [
            ("http.https://h.example/a.extraHeader", ""),
            ("x.y", "it's!"),
        ];
        let entries = entries.map(|(key, value)| (key.to_owned(), value.to_owned()));
        let before = "'http.https://h.example/a.extraHeader'='Authorization: own'";
        let answer = Command::new("git")
            .args(["config", "--get-regexp", "^(http.https://h|x)"])
            .current_dir(folder.path())
            .env("HOME", folder.path())
            .env("GIT_CONFIG_COUNT", "1")
            .env("GIT_CONFIG_KEY_0", "x.y")
            .env("GIT_CONFIG_VALUE_0", "around")
            .env("GIT_CONFIG_PARAMETERS", last_of_all(before, &entries))
            .output()
            .unwrap();
        let answer = String::from_utf8(answer.stdout).unwrap();
        let lines: Vec<&str> = answer.lines().map(str::trim_end).collect();
        assert_eq!(
            lines,
            [
                "x.y around",
                "http.https://h.example/a.extraheader Authorization: own",
                "http.https://h.example/a.extraheader",
                "x.y it's!",
            ]
        );
        assert_eq!(last_of_all("", &[]), "");
    }

    #[test]
    fn b06_a_helper_is_asked_below_its_place_alone() {
        let place = "https://h.example/team";
        for url in [
            "https://h.example/team",
            "https://H.example/team/app.git",
            "https://h.example/team/",
        ] {
            assert!(is_below(url, place), "{url}");
        }
        for url in [
            "https://h.example/teams/app.git",
            "https://h.example",
            "http://h.example/team",
            "https://x.example/team",
        ] {
            assert!(!is_below(url, place), "{url}");
        }
    }

    #[test]
    fn b06_the_helpers_of_a_place_come_after_an_empty_one() {
        let table = "https://h.example/team\t!lanyard creds git a\nhttps://other.example\t!lanyard creds git b\n";
        let entries = for_url("https://h.example/team/app.git", table, None);
        let helpers: Vec<&str> = entries
            .iter()
            .filter(|(key, _)| key == "credential.https://h.example/team/app.git.helper")
            .map(|(_, value)| value.as_str())
            .collect();
        assert_eq!(helpers, ["", "!lanyard creds git a"]);
        let home = Home("/home/it's me".into());
        let entries = for_url("https://h.example/team/app.git", table, Some(&home));
        let last = entries.last().map(|(_, value)| value.as_str());
        assert_eq!(last, Some("!HOME='/home/it'\\''s me' lanyard creds git a"));
    }
}
