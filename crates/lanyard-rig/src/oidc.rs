//! An OpenID Provider for people: oidc-provider, in a process of its own, and the browser of whoever logs in there.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use anyhow::{Context, Result, bail};
use serde_json::json;

use crate::{free_port, npm};

const PACKAGE: &str = "oidc-provider@9.13.3";
const PROVIDER: &str = include_str!("../oidc/provider.mjs");
const BROWSER: &str = include_str!("../oidc/browser.mjs");

/// How long an ID token is good for, in seconds, where nothing else is said.
const ID_TOKEN_SECONDS: u32 = 300;

/// A provider, which ends with its owner. Its people are alice and bob of support-leads, and oncall of oncall; its public
/// client is `lanyard-cli`; classes of login are `pwd` and `phr`.
pub struct Oidc {
    child: Child,
    commands: ChildStdin,
    answers: BufReader<ChildStdout>,
    issuer: String,
    directory: PathBuf,
}

impl Oidc {
    /// Starts one with the certificate that is in a development daemon's directory.
    ///
    /// # Errors
    /// When there is no Node, or it does not come up; its log is in `oidc.log` in the directory.
    pub fn start(directory: &Path) -> Result<Self> {
        Self::start_with(directory, ID_TOKEN_SECONDS)
    }

    /// As [`Oidc::start`], with ID tokens that are good for so many seconds.
    ///
    /// # Errors
    /// When there is no Node, or it does not come up; its log is in `oidc.log` in the directory.
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
        let mut child = Command::new("node")
            .arg(script)
            .arg(folder)
            .arg(settings.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(std::fs::File::create(directory.join("oidc.log"))?)
            .spawn()
            .context("node does not start")?;
        let commands = child.stdin.take().context("no standard input")?;
        let answers = BufReader::new(child.stdout.take().context("no standard output")?);
        let mut provider = Self {
            child,
            commands,
            answers,
            issuer: format!("https://{address}"),
            directory: directory.to_path_buf(),
        };
        provider.answer("ready")?;
        Ok(provider)
    }

    /// Its issuer, byte for byte.
    #[must_use]
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// Signs with a new key from now on, and publishes the old ones still.
    ///
    /// # Errors
    /// When it has ended.
    pub fn rotate(&mut self) -> Result<()> {
        self.command("rotate")
    }

    /// Publishes the newest key alone.
    ///
    /// # Errors
    /// When it has ended.
    pub fn retire(&mut self) -> Result<()> {
        self.command("retire")
    }

    /// Opens a page as this person's browser, which has no cookies yet, and logs in where it is asked to; the last page. When
    /// this returns, a redirect to a listener on this machine has been delivered.
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

    /// Enters the code that a device shows, as this person.
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
        if line.trim_end() != wanted {
            let log = std::fs::read_to_string(self.directory.join("oidc.log")).unwrap_or_default();
            bail!("oidc-provider says {line:?}: {log}");
        }
        Ok(())
    }
}

impl Drop for Oidc {
    fn drop(&mut self) {
        // It may have ended before: then there is nothing to end.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
