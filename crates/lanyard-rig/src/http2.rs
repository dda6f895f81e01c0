//! Clients of HTTP/2 that are not ours: h2spec, and one that means harm.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, Stdio};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

/// The version of h2spec that is built.
const VERSION: &str = "v2.2.1";
const FILES: [&str; 4] = [
    "h2spec/main.go",
    "abuse/main.go",
    "abuse/frames.go",
    "abuse/slow.go",
];
/// Where the harm comes from: another address of this machine than everybody else's.
const FROM: &str = "127.0.0.2";

/// Both, built.
pub struct Http2(PathBuf);

/// What came of one case of h2spec.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Case {
    /// Its section and number.
    pub name: String,
    /// What it is about.
    pub about: String,
    /// `passed`, `failed` or `skipped`.
    pub said: String,
}

impl Http2 {
    /// Builds them, once for a machine.
    ///
    /// # Errors
    /// When there is no Go, or they cannot be built.
    pub fn build() -> Result<Self> {
        Ok(Self(crate::go::build("http2", VERSION, &FILES, "-s -w")?))
    }

    /// All cases of h2spec over TLS, the strict ones as well, with requests for this path.
    ///
    /// # Errors
    /// When it does not run to its end.
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

    /// Begins to misuse connections in one way, and returns when the first are under way.
    ///
    /// # Errors
    /// When it does not start.
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

/// A hostile client at work, which ends with its owner.
pub struct Abuse {
    child: Child,
    said: BufReader<ChildStdout>,
}

/// What it saw.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// Connections that were made.
    pub made: u64,
    /// Those that were not taken.
    pub refused: u64,
    /// Those that the daemon ended.
    pub ended: u64,
    /// Those that it had not ended after a minute and a half.
    pub kept: u64,
    /// The reasons of GOAWAY.
    pub reasons: BTreeMap<String, u64>,
    /// The statuses of answers.
    pub statuses: BTreeMap<String, u64>,
}

impl Abuse {
    /// Whether it is still at it.
    ///
    /// # Errors
    /// As of the system.
    pub fn lasts(&mut self) -> Result<bool> {
        Ok(self.child.try_wait()?.is_none())
    }

    /// Waits for its end.
    ///
    /// # Errors
    /// When it does not say what it saw.
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
        // It may have ended before: then there is nothing to end.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
