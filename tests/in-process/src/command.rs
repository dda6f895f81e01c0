//! The command line of one person or agent, run as a function.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use lanyard_rig::{Answer, first_document};
use serde_json::Value;

/// The exit code of a command that was not done in time.
const TIMED_OUT: i32 = 124;

/// The command line under one context.
#[derive(Debug, Clone)]
pub struct Command {
    context: PathBuf,
}

impl Command {
    pub(crate) const fn under(context: PathBuf) -> Self {
        Self { context }
    }

    /// Makes a command line for commands that need no broker.
    #[must_use]
    pub fn without_broker() -> Self {
        Self::under(PathBuf::from("no-context"))
    }

    /// Returns the file of the context.
    #[must_use]
    pub fn context(&self) -> &Path {
        &self.context
    }

    /// Runs a command and returns its result, whatever the exit code.
    ///
    /// # Errors
    /// The system's error.
    pub fn run(&self, arguments: &[&str]) -> Result<Answer> {
        self.fed(arguments, "")
    }

    /// Runs a command with `input` on standard input, and returns its result.
    ///
    /// # Errors
    /// The system's error.
    pub fn fed(&self, arguments: &[&str], input: &str) -> Result<Answer> {
        let context = self.context.to_str().context("no text in the path")?;
        run(&[&["--context", context], arguments].concat(), input)
    }

    /// Runs a command that must succeed, and returns its standard output.
    ///
    /// # Errors
    /// When the exit code is not 0.
    pub fn ok(&self, arguments: &[&str]) -> Result<String> {
        self.run(arguments)?.succeeded(arguments)
    }

    /// Runs a command that must exit with `code`, and returns its standard error.
    ///
    /// # Errors
    /// When the exit code is another.
    pub fn fails(&self, code: i32, arguments: &[&str]) -> Result<String> {
        self.run(arguments)?.failed(code, arguments)
    }

    /// Runs a command with `-o json` that must succeed, and returns the first document.
    ///
    /// # Errors
    /// When the command fails, or prints no JSON.
    pub fn json(&self, arguments: &[&str]) -> Result<Value> {
        first_document(&self.ok(&[&["-o", "json"], arguments].concat())?)
    }

    /// Runs `command`, which must succeed, with `arguments`, and returns its standard output. A
    /// command that has a `--timeout` must go on for as long. The list of commands is compared with
    /// the calls of this method.
    ///
    /// # Errors
    /// When the exit code is not 0, or 124 after the timeout.
    pub fn answers(&self, command: &str, arguments: &[&str]) -> Result<String> {
        let words = words(command, arguments);
        let answer = self.run(&words)?;
        if arguments.contains(&"--timeout") {
            let stdout = answer.stdout.clone();
            return answer.failed(TIMED_OUT, &words).map(|_| stdout);
        }
        answer.succeeded(&words)
    }

    /// Runs `command`, which must exit with `code`, with `arguments`, and returns its standard
    /// error. The list of commands is compared with the calls of this method.
    ///
    /// # Errors
    /// When the exit code is another.
    pub fn refuses(&self, command: &str, code: i32, arguments: &[&str]) -> Result<String> {
        self.fails(code, &words(command, arguments))
    }
}

/// Runs the command line with these arguments and this standard input.
pub(crate) fn run(arguments: &[&str], input: &str) -> Result<Answer> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let ran = runtime.block_on(lanyard_cli::run_here(arguments, input.as_bytes()));
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim_end().to_owned();
    Ok(Answer {
        code: i32::from(ran.code),
        stdout: text(&ran.stdout),
        stderr: text(&ran.stderr),
    })
}

fn words<'a>(command: &'a str, arguments: &[&'a str]) -> Vec<&'a str> {
    command
        .split(' ')
        .chain(arguments.iter().copied())
        .collect()
}
