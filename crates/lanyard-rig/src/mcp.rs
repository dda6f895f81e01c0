//! The model's side of the Model Context Protocol: the official Python SDK in its own process.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use crate::{Cli, python};

const CLIENT: &str = include_str!("../mcp/client.py");
/// Records both directions of the conversation.
const TAP: &str = r#"tee "$LOG.in" | "$@" 2> "$LOG.err" | tee "$LOG.out""#;

/// A release of the SDK and its handshake.
#[derive(Debug, Clone, Copy)]
pub struct Sdk {
    /// The package, with dependencies of a matching age.
    pub package: &'static str,
    /// `legacy` begins with `initialize`, `auto` with the newest handshake.
    pub mode: &'static str,
    /// Protocol version that is negotiated with a server of all versions.
    pub protocol: &'static str,
}

/// The oldest release that still runs, the newest with the old handshake, and the newest of all.
pub const SDKS: [Sdk; 3] = [
    Sdk {
        package: "mcp==1.6.0 pydantic==2.10.6",
        mode: "legacy",
        protocol: "2024-11-05",
    },
    Sdk {
        package: "mcp==2.3.0",
        mode: "legacy",
        protocol: "2025-11-25",
    },
    Sdk {
        package: "mcp==2.3.0",
        mode: "auto",
        protocol: "2026-07-28",
    },
];

/// A client with its server. Dropping the value ends both.
pub struct Mcp {
    child: Child,
    commands: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
    log: PathBuf,
}

impl Mcp {
    /// Starts the client, which starts `lanyard mcp`. The conversation is recorded in `directory`.
    ///
    /// # Errors
    /// When the SDK cannot be installed, or the handshake fails.
    pub fn start(directory: &Path, sdk: Sdk, cli: &Cli, flags: &[&str]) -> Result<Self> {
        let script = directory.join("mcp-client.py");
        std::fs::write(&script, CLIENT)?;
        let log = directory.join("mcp");
        let server = cli.command(&[&["mcp"], flags].concat());
        let mut command = Command::new(python(sdk.package)?);
        command.arg(&script).args([sdk.mode, "sh", "-c", TAP, "sh"]);
        command.arg(server.get_program()).args(server.get_args());
        for (name, value) in server.get_envs() {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        let mut child = command
            .env("LOG", &log)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(std::fs::File::create(directory.join("mcp-client.log"))?)
            .spawn()
            .context("python does not start")?;
        let commands = child.stdin.take();
        let answers = child.stdout.take().context("no standard output")?;
        let mut client = Self {
            child,
            commands,
            answers: BufReader::new(answers),
            log,
        };
        let begun = client.hear()?;
        if begun.get("protocol") != Some(&json!(sdk.protocol)) {
            bail!("{sdk:?} begins with {begun}");
        }
        Ok(client)
    }

    /// Calls a tool. A request to open a page fails the call.
    ///
    /// # Errors
    /// When no answer arrives.
    pub fn call(&mut self, tool: &str, arguments: &Value) -> Result<Value> {
        self.call_with(tool, arguments, |page| {
            bail!("the test expects no request to open {page}");
        })
    }

    /// Calls a tool. `open` decides about a page: `accept`, `decline` or `cancel`.
    ///
    /// # Errors
    /// When no answer arrives.
    pub fn call_with(
        &mut self,
        tool: &str,
        arguments: &Value,
        mut open: impl FnMut(&str) -> Result<&'static str>,
    ) -> Result<Value> {
        self.say(&json!({"tool": tool, "arguments": arguments}))?;
        loop {
            let mut heard = self.hear()?;
            if let Some(result) = heard.get_mut("result") {
                return Ok(result.take());
            }
            let page = heard.pointer("/page/url").and_then(Value::as_str);
            let action = open(page.context("neither a result nor a page")?)?;
            self.say(&json!({"action": action}))?;
        }
    }

    /// Disconnects the client and returns the conversation and the server's log.
    ///
    /// # Errors
    /// When the client ends with a failure.
    pub fn leave(mut self) -> Result<String> {
        drop(self.commands.take());
        let ended = self.child.wait()?;
        if !ended.success() {
            bail!("the client ended with {ended}: {}", self.said()?);
        }
        self.said()
    }

    fn said(&self) -> Result<String> {
        let parts = ["mcp.in", "mcp.out", "mcp.err", "mcp-client.log"];
        let read = |name| std::fs::read_to_string(self.log.with_file_name(name));
        let said: std::io::Result<Vec<String>> = parts.into_iter().map(read).collect();
        Ok(said?.concat())
    }

    fn say(&mut self, document: &Value) -> Result<()> {
        let commands = self
            .commands
            .as_mut()
            .context("the client was disconnected")?;
        writeln!(commands, "{document}")?;
        Ok(())
    }

    fn hear(&mut self) -> Result<Value> {
        let mut line = String::new();
        if self.answers.read_line(&mut line)? == 0 {
            bail!("the client has ended: {}", self.said()?);
        }
        serde_json::from_str(&line).context(line)
    }
}

impl Drop for Mcp {
    fn drop(&mut self) {
        // The process may have ended already, so errors are ignored.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
