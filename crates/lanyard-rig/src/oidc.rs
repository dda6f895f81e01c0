//! An OpenID Provider for people: oidc-provider in its own process, and a browser for logging in.

use std::ffi::OsString;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::json;

use crate::{free_port, npm};

const PACKAGE: &str = "oidc-provider@9.13.3";
const PROVIDER: &str = include_str!("../oidc/provider.mjs");
const BROWSER: &str = include_str!("../oidc/browser.mjs");

/// Default lifetime of an ID token in seconds.
const ID_TOKEN_SECONDS: u32 = 300;

/// The time in which a provider must report that it is ready.
const READY_WAIT: Duration = Duration::from_secs(60);
/// The number of times that a provider is started. Node 20 sometimes deadlocks before it reads its
/// script.
const STARTS: u32 = 3;

/// A running provider. Dropping the value ends it. Its people are alice and bob of support-leads,
/// and oncall of oncall; its public client is `lanyard-cli`; its login classes are `pwd` and `phr`.
pub struct Oidc {
    child: Child,
    commands: ChildStdin,
    answers: BufReader<ChildStdout>,
    issuer: String,
    directory: PathBuf,
}

impl Oidc {
    /// Starts a provider with the certificate in a development daemon's directory.
    ///
    /// # Errors
    /// When Node is missing, or the provider does not come up. Its log is `oidc.log` in the
    /// directory.
    pub fn start(directory: &Path) -> Result<Self> {
        Self::start_with(directory, ID_TOKEN_SECONDS)
    }

    /// Like [`Oidc::start`], with another lifetime of ID tokens.
    ///
    /// # Errors
    /// When Node is missing, or the provider does not come up. Its log is `oidc.log` in the
    /// directory.
    pub fn start_with(directory: &Path, id_token_seconds: u32) -> Result<Self> {
        let folder = npm::installed(PACKAGE)?;
        let script = directory.join("oidc-provider.mjs");
        std::fs::write(&script, PROVIDER)?;
        std::fs::write(directory.join("oidc-browser.mjs"), BROWSER)?;
        let address = free_port()?;
        let settings = json!({
            "port": address.port(), "certificate": directory.join("dev-tls.pem"), "key": directory.join("dev-tls.key"),
            "idTokenSeconds": id_token_seconds,
        });
        let arguments = [
            script.into_os_string(),
            folder.into_os_string(),
            settings.to_string().into(),
        ];
        for _ in 0..STARTS {
            if let Some((child, commands, answers)) = ready(&arguments, directory)? {
                return Ok(Self {
                    child,
                    commands,
                    answers,
                    issuer: format!("https://{address}"),
                    directory: directory.to_path_buf(),
                });
            }
        }
        bail!(
            "oidc-provider reported nothing within {} s, at each of {STARTS} starts",
            READY_WAIT.as_secs()
        )
    }

    /// Returns the issuer, byte for byte.
    #[must_use]
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// Signs with a new key from now on. The old keys stay published.
    ///
    /// # Errors
    /// When the provider has ended.
    pub fn rotate(&mut self) -> Result<()> {
        self.command("rotate")
    }

    /// Publishes only the newest key from now on.
    ///
    /// # Errors
    /// When the provider has ended.
    pub fn retire(&mut self) -> Result<()> {
        self.command("retire")
    }

    /// Opens a page in a fresh browser of `person`, logs in when asked, and returns the last page.
    /// A redirect to a listener on this machine has been delivered by then.
    ///
    /// # Errors
    /// When a page answers with an error.
    pub fn log_in(&self, authorization_url: &str, person: &str) -> Result<String> {
        let output = Command::new("node")
            .arg(self.directory.join("oidc-browser.mjs"))
            .args([authorization_url, person])
            .env("NODE_EXTRA_CA_CERTS", self.directory.join("dev-ca.pem"))
            .stdin(Stdio::null())
            .output()
            .context("node does not start")?;
        if !output.status.success() {
            bail!("{}", String::from_utf8_lossy(&output.stderr));
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// Enters the code that a device shows, as `person`.
    ///
    /// # Errors
    /// When a page answers with an error.
    pub fn approve_device(&self, user_code: &str, person: &str) -> Result<String> {
        self.log_in(
            &format!("{}/device?user_code={user_code}", self.issuer),
            person,
        )
    }

    fn command(&mut self, command: &str) -> Result<()> {
        writeln!(self.commands, "{command}")?;
        self.answer("done")
    }

    fn answer(&mut self, wanted: &str) -> Result<()> {
        let mut line = String::new();
        self.answers.read_line(&mut line)?;
        check(&line, wanted, &self.directory)
    }
}

/// Fails with the provider's log if the line differs from the expected one.
fn check(line: &str, wanted: &str, directory: &Path) -> Result<()> {
    if line.trim_end() != wanted {
        let log = std::fs::read_to_string(directory.join("oidc.log")).unwrap_or_default();
        bail!("oidc-provider says {line:?}: {log}");
    }
    Ok(())
}

/// Starts a provider. If it reports nothing in time, it is ended, and the result is `None`.
fn ready(
    arguments: &[OsString],
    directory: &Path,
) -> Result<Option<(Child, ChildStdin, BufReader<ChildStdout>)>> {
    let mut child = Command::new("node")
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(std::fs::File::create(directory.join("oidc.log"))?)
        .spawn()
        .context("node does not start")?;
    let commands = child.stdin.take().context("no standard input")?;
    let mut answers = BufReader::new(child.stdout.take().context("no standard output")?);
    let (said, heard) = mpsc::channel();
    std::thread::spawn(move || {
        let mut line = String::new();
        let read = answers.read_line(&mut line).map(|_| line);
        drop(said.send((read, answers)));
    });
    let Ok((line, answers)) = heard.recv_timeout(READY_WAIT) else {
        child.kill()?;
        child.wait()?;
        return Ok(None);
    };
    check(&line?, "ready", directory)?;
    Ok(Some((child, commands, answers)))
}

impl Drop for Oidc {
    fn drop(&mut self) {
        // The process may have ended already, so errors are ignored.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
