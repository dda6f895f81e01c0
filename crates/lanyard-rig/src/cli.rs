//! The command line, run as a person or a script would.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, bail};
use serde_json::Value;

/// `lanyard` under one context.
pub struct Cli {
    binary: PathBuf,
    context: PathBuf,
}

/// What a command came to.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The exit code.
    pub code: i32,
    /// Data.
    pub stdout: String,
    /// Everything else.
    pub stderr: String,
}

impl Answer {
    pub(crate) fn of(output: &std::process::Output) -> Self {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim_end().to_owned();
        Self {
            code: output.status.code().unwrap_or(-1),
            stdout: text(&output.stdout),
            stderr: text(&output.stderr),
        }
    }
}

impl Cli {
    pub(crate) const fn new(binary: PathBuf, context: PathBuf) -> Self {
        Self { binary, context }
    }

    /// For the commands that need no broker.
    ///
    /// # Errors
    /// When the binaries are not where this one is.
    pub fn offline() -> Result<Self> {
        Ok(Self::new(
            crate::binaries()?.join("lanyard"),
            PathBuf::from("no-context"),
        ))
    }

    /// Runs it, whatever comes of it.
    ///
    /// # Errors
    /// When it does not start.
    pub fn run(&self, arguments: &[&str]) -> Result<Answer> {
        let output = Command::new(&self.binary)
            .arg("--context")
            .arg(&self.context)
            .args(arguments)
            .output()
            .context("lanyard does not start")?;
        Ok(Answer::of(&output))
    }

    /// Runs it and wants success; its stdout.
    ///
    /// # Errors
    /// When it exits with anything but 0.
    pub fn ok(&self, arguments: &[&str]) -> Result<String> {
        let answer = self.run(arguments)?;
        if answer.code != 0 {
            bail!(
                "`lanyard {}` exited {}: {}",
                arguments.join(" "),
                answer.code,
                answer.stderr
            );
        }
        Ok(answer.stdout)
    }

    /// Runs it and wants this exit code; its stderr.
    ///
    /// # Errors
    /// When it exits with another.
    pub fn fails(&self, code: i32, arguments: &[&str]) -> Result<String> {
        let answer = self.run(arguments)?;
        if answer.code != code {
            bail!(
                "`lanyard {}` exited {}, not {code}: {}",
                arguments.join(" "),
                answer.code,
                answer.stderr
            );
        }
        Ok(answer.stderr)
    }

    /// Runs it with `-o json` and wants success; the first document of its stdout.
    ///
    /// # Errors
    /// When it fails, or prints no JSON.
    pub fn json(&self, arguments: &[&str]) -> Result<Value> {
        let arguments: Vec<&str> = ["-o", "json"].iter().chain(arguments).copied().collect();
        let text = self.ok(&arguments)?;
        let first = serde_json::Deserializer::from_str(&text).into_iter().next();
        first
            .context("no JSON was printed")?
            .context("something other than JSON was printed")
    }
}
