//! The command line, run as a person or a script would.

use std::io::{BufRead as _, BufReader, Read as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, Stdio};

use anyhow::{Context, Result, bail};
use serde_json::Value;

/// `lanyard` under one context.
pub struct Cli {
    binary: PathBuf,
    place: Place,
    environment: Vec<(&'static str, String)>,
    keeps: bool,
}

/// Where it finds its context, and keeps what it keeps.
enum Place {
    /// The one in this file.
    Context(PathBuf),
    /// Whatever there is at the home of its user, who has no screen.
    Home(PathBuf),
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
    /// What a program printed, without the ends of the last lines, and its exit code; -1 where a signal ended it.
    #[must_use]
    pub fn of(output: &std::process::Output) -> Self {
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
        let place = Place::Context(context);
        Self {
            binary,
            place,
            environment: Vec::new(),
            keeps: false,
        }
    }

    /// The same, with credentials kept by a local agent, as a user has it. Without it, `creds` asks the broker every time.
    #[must_use]
    pub fn keeping(self) -> Self {
        Self {
            keeps: true,
            ..self
        }
    }

    /// The program.
    #[must_use]
    pub fn program(&self) -> &Path {
        &self.binary
    }

    /// The same with these variables.
    #[must_use]
    pub fn with(self, environment: &[(&'static str, &str)]) -> Self {
        let environment = environment.iter();
        Self {
            environment: environment
                .map(|(name, value)| (*name, (*value).to_owned()))
                .collect(),
            ..self
        }
    }

    /// That of somebody whose home this is, and who names no context.
    ///
    /// # Errors
    /// When the binaries are not where this one is.
    pub fn at_home(home: &Path) -> Result<Self> {
        Ok(Self {
            binary: crate::binaries()?.join("lanyard"),
            place: Place::Home(home.to_path_buf()),
            environment: Vec::new(),
            keeps: false,
        })
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
        let output = self.command(arguments).output();
        Ok(Answer::of(&output.context("lanyard does not start")?))
    }

    /// Runs it with this on its standard input, whatever comes of it.
    ///
    /// # Errors
    /// When it does not start.
    pub fn fed(&self, arguments: &[&str], input: &str) -> Result<Answer> {
        use std::io::Write as _;
        let mut command = self.command(arguments);
        command.stdin(Stdio::piped());
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().context("lanyard does not start")?;
        let mut stdin = child.stdin.take().context("no standard input")?;
        stdin.write_all(input.as_bytes())?;
        drop(stdin);
        Ok(Answer::of(&child.wait_with_output()?))
    }

    /// Starts it, to be read while it runs.
    ///
    /// # Errors
    /// When it does not start.
    pub fn start(&self, arguments: &[&str]) -> Result<Running> {
        let mut child = self
            .command(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .context("lanyard does not start")?;
        let stderr = child.stderr.take().context("no standard error")?;
        let stderr = BufReader::new(stderr);
        let said = String::new();
        Ok(Running {
            child,
            stderr,
            said,
        })
    }

    /// The command, to be run in another way.
    #[must_use]
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.binary);
        // The servers' own logins are around the tests, and are nobody's who runs `lanyard`.
        for login in [
            "AWS_ACCESS_KEY_ID",
            "AWS_SECRET_ACCESS_KEY",
            "AWS_SESSION_TOKEN",
        ] {
            command.env_remove(login);
        }
        match &self.place {
            Place::Context(context) => {
                let state = context.with_file_name("state");
                command.env("LANYARD_STATE", state);
                command.arg("--context").arg(context);
            }
            Place::Home(home) => {
                // A program that opens pages is in none of these folders.
                command.env_clear().env("HOME", home).env("PATH", "");
            }
        }
        if !self.keeps {
            command.env("LANYARD_DIRECT", "1");
        }
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command.args(arguments);
        command
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

/// A command that runs.
pub struct Running {
    child: Child,
    stderr: BufReader<ChildStderr>,
    said: String,
}

impl Running {
    /// Its process.
    #[must_use]
    pub fn process(&self) -> u32 {
        self.child.id()
    }

    /// Waits for a line on stderr that begins like this; the rest of it.
    ///
    /// # Errors
    /// When it ends without one.
    pub fn line(&mut self, beginning: &str) -> Result<String> {
        let mut line = String::new();
        while self.stderr.read_line(&mut line)? > 0 {
            self.said.push_str(&line);
            if let Some(rest) = line.strip_prefix(beginning) {
                return Ok(rest.trim().to_owned());
            }
            line.clear();
        }
        bail!("it never said {beginning:?}: {}", self.said)
    }

    /// Waits until it ends.
    ///
    /// # Errors
    /// As of the system.
    pub fn end(mut self) -> Result<Answer> {
        self.stderr.read_to_string(&mut self.said)?;
        let mut stdout = String::new();
        if let Some(mut pipe) = self.child.stdout.take() {
            pipe.read_to_string(&mut stdout)?;
        }
        let code = self.child.wait()?.code().unwrap_or(-1);
        Ok(Answer {
            code,
            stdout: stdout.trim_end().to_owned(),
            stderr: self.said.trim_end().to_owned(),
        })
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended before: then there is nothing to end.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
