//! HTTP/2 clients of other authors: the conformance tester h2spec, and a hostile client.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, Stdio};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

/// Version of h2spec to build.
const VERSION: &str = "v2.2.1";
const FILES: [&str; 4] = [
    "h2spec/main.go",
    "abuse/main.go",
    "abuse/frames.go",
    "abuse/slow.go",
];
/// Address of the hostile client. It differs from the address of other clients, so that limits per
/// address do not affect them.
const FROM: &str = "127.0.0.2";

/// Folder of the built clients.
pub struct Http2(PathBuf);

/// The result of one case of h2spec.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Case {
    /// Section and number of the case.
    pub name: String,
    /// Subject of the case.
    pub about: String,
    /// `passed`, `failed` or `skipped`.
    pub said: String,
}

impl Http2 {
    /// Builds the clients once per machine.
    ///
    /// # Errors
    /// When Go is missing, or a client cannot be built.
    pub fn build() -> Result<Self> {
        Ok(Self(crate::go::build("http2", VERSION, &FILES, "-s -w")?))
    }

    /// Runs all cases of h2spec over TLS, including the strict ones, with requests for `path`.
    ///
    /// # Errors
    /// When h2spec does not run to its end.
    pub fn h2spec(&self, address: SocketAddr, path: &str) -> Result<Vec<Case>> {
        let output = Command::new(self.0.join("h2spec"))
            .arg(address.ip().to_string())
            .arg(address.port().to_string())
            .arg(path)
            .stdin(Stdio::null())
            .output()
            .context("h2spec does not start")?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "h2spec: {said}");
        let case = |line: &str| {
            let (said, rest) = line.split_once(' ')?;
            let (name, about) = rest.split_once(' ')?;
            Some(Case {
                name: name.to_owned(),
                about: about.to_owned(),
                said: said.to_owned(),
            })
        };
        Ok(said.lines().filter_map(case).collect())
    }

    /// Starts to misuse connections in one way; returns once the first connections are open.
    ///
    /// # Errors
    /// When the client does not start.
    pub fn abuse(
        &self,
        kind: &str,
        address: SocketAddr,
        (connections, at_a_time): (u64, u64),
    ) -> Result<Abuse> {
        let mut child = Command::new(self.0.join("abuse"))
            .args([kind, FROM, &address.to_string()])
            .args([connections.to_string(), at_a_time.to_string()])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .context("the hostile client does not start")?;
        let mut said = BufReader::new(child.stdout.take().context("no stdout")?);
        let mut line = String::new();
        said.read_line(&mut line)?;
        ensure!(line == "under way\n", "it said {line:?}");
        Ok(Abuse { child, said })
    }
}

/// A running hostile client. Dropping the value ends it.
pub struct Abuse {
    child: Child,
    said: BufReader<ChildStdout>,
}

/// The observations of the hostile client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// Connections that were made.
    pub made: u64,
    /// Connections that were refused.
    pub refused: u64,
    /// Connections that the daemon closed.
    pub ended: u64,
    /// Connections that the daemon had not closed after 90 seconds.
    pub kept: u64,
    /// Number of GOAWAY frames by reason.
    pub reasons: BTreeMap<String, u64>,
    /// Number of answers by status.
    pub statuses: BTreeMap<String, u64>,
}

impl Abuse {
    /// Returns true while the client runs.
    ///
    /// # Errors
    /// The system's error.
    pub fn lasts(&mut self) -> Result<bool> {
        Ok(self.child.try_wait()?.is_none())
    }

    /// Waits for the end and returns the observations.
    ///
    /// # Errors
    /// When the client does not report them.
    pub fn end(mut self) -> Result<Seen> {
        let mut said = String::new();
        self.said.read_to_string(&mut said)?;
        let said: Value = serde_json::from_str(&said).with_context(|| said.clone())?;
        let number = |name: &str| said.get(name).and_then(Value::as_u64).context("no number");
        let numbers = |name: &str| {
            let all = said.get(name).and_then(Value::as_object);
            let all = all.into_iter().flatten();
            all.filter_map(|(name, many)| Some((name.clone(), many.as_u64()?)))
                .collect()
        };
        Ok(Seen {
            made: number("Made")?,
            refused: number("Refused")?,
            ended: number("Ended")?,
            kept: number("Kept")?,
            reasons: numbers("Reasons"),
            statuses: numbers("Statuses"),
        })
    }
}

impl Drop for Abuse {
    fn drop(&mut self) {
        // The process may have ended already, so errors are ignored.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
