//! The `lanyard` command line, run as a person or a script would run it.

use std::io::{BufRead as _, BufReader, Read as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, Stdio};

use anyhow::{Context, Result, bail};
use serde_json::Value;

/// The command line under one context.
pub struct Cli {
    binary: PathBuf,
    place: Place,
    environment: Vec<(&'static str, String)>,
    keeps: bool,
    /// Runs commands within this process, with its environment and its terminal.
    function: Option<CommandFunction>,
}

/// Runs the command line with these arguments and this standard input within this process.
pub type CommandFunction = fn(&[&str], &str) -> Result<Answer>;

/// The source of the context.
enum Place {
    /// A context in a file.
    Context(PathBuf),
    /// The home of a user without a display.
    Home(PathBuf),
}

/// The result of a command.
#[derive(Debug, Clone)]
pub struct Answer {
    /// Exit code, or -1 if a signal ended the process.
    pub code: i32,
    /// Standard output, which holds data.
    pub stdout: String,
    /// Standard error: everything else.
    pub stderr: String,
}

impl Answer {
    /// Takes the output of a process, without trailing white space.
    #[must_use]
    pub fn of(output: &std::process::Output) -> Self {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim_end().to_owned();
        Self {
            code: output.status.code().unwrap_or(-1),
            stdout: text(&output.stdout),
            stderr: text(&output.stderr),
        }
    }

    /// Returns the standard output of a command that had to succeed.
    ///
    /// # Errors
    /// When the exit code is not 0.
    pub fn succeeded(self, arguments: &[&str]) -> Result<String> {
        if self.code != 0 {
            bail!(
                "`lanyard {}` exited {}: {}",
                arguments.join(" "),
                self.code,
                self.stderr
            );
        }
        Ok(self.stdout)
    }

    /// Returns the standard error of a command that had to exit with `code`.
    ///
    /// # Errors
    /// When the exit code is another.
    pub fn failed(self, code: i32, arguments: &[&str]) -> Result<String> {
        if self.code != code {
            bail!(
                "`lanyard {}` exited {}, not {code}: {}",
                arguments.join(" "),
                self.code,
                self.stderr
            );
        }
        Ok(self.stderr)
    }
}

/// Reads the first JSON document of a command's standard output.
///
/// # Errors
/// When there is none.
pub fn first_document(stdout: &str) -> Result<Value> {
    let first = serde_json::Deserializer::from_str(stdout)
        .into_iter()
        .next();
    first
        .context("no JSON was printed")?
        .context("something other than JSON was printed")
}

impl Cli {
    pub(crate) const fn new(binary: PathBuf, context: PathBuf) -> Self {
        let place = Place::Context(context);
        Self {
            binary,
            place,
            environment: Vec::new(),
            keeps: false,
            function: None,
        }
    }

    pub(crate) fn within(context: PathBuf, function: CommandFunction) -> Self {
        let binary = crate::binaries().map_or_else(|_| "lanyard".into(), |at| at.join("lanyard"));
        Self {
            function: Some(function),
            ..Self::new(binary, context)
        }
    }

    /// Lets a local agent cache credentials, as it does for a user. Without it, `creds` asks the
    /// broker each time.
    #[must_use]
    pub fn keeping(self) -> Self {
        Self {
            keeps: true,
            function: None,
            ..self
        }
    }

    /// Returns the path of the program.
    #[must_use]
    pub fn program(&self) -> &Path {
        &self.binary
    }

    /// Sets environment variables of the commands.
    #[must_use]
    pub fn with(self, environment: &[(&'static str, &str)]) -> Self {
        let environment = environment.iter();
        Self {
            function: None,
            environment: environment
                .map(|(name, value)| (*name, (*value).to_owned()))
                .collect(),
            ..self
        }
    }

    /// Makes the command line of a user with this home, who names no context.
    ///
    /// # Errors
    /// When the binaries are not built.
    pub fn at_home(home: &Path) -> Result<Self> {
        Ok(Self {
            binary: crate::binaries()?.join("lanyard"),
            place: Place::Home(home.to_path_buf()),
            environment: Vec::new(),
            keeps: false,
            function: None,
        })
    }

    /// Makes a command line for commands that need no broker.
    ///
    /// # Errors
    /// When the binaries are not built.
    pub fn offline() -> Result<Self> {
        Ok(Self::new(
            crate::binaries()?.join("lanyard"),
            PathBuf::from("no-context"),
        ))
    }

    /// Runs a command and returns its result, whatever the exit code.
    ///
    /// # Errors
    /// When the command does not start.
    pub fn run(&self, arguments: &[&str]) -> Result<Answer> {
        if let Some(answer) = self.called(arguments, "") {
            return answer;
        }
        let output = self.command(arguments).output();
        Ok(Answer::of(&output.context("lanyard does not start")?))
    }

    /// Runs a command with `input` on standard input, and returns its result.
    ///
    /// # Errors
    /// When the command does not start.
    pub fn fed(&self, arguments: &[&str], input: &str) -> Result<Answer> {
        use std::io::Write as _;
        if let Some(answer) = self.called(arguments, input) {
            return answer;
        }
        let mut command = self.command(arguments);
        command.stdin(Stdio::piped());
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().context("lanyard does not start")?;
        let mut stdin = child.stdin.take().context("no standard input")?;
        stdin.write_all(input.as_bytes())?;
        drop(stdin);
        Ok(Answer::of(&child.wait_with_output()?))
    }

    fn called(&self, arguments: &[&str], input: &str) -> Option<Result<Answer>> {
        let (Some(function), Place::Context(context)) = (self.function, &self.place) else {
            return None;
        };
        let context = context.to_string_lossy();
        // The effect of the variable LANYARD_DIRECT on a process.
        let direct: &[&str] = match arguments.first() {
            Some(&"creds") => &["--direct"],
            Some(_) | None => &[],
        };
        let all = [&["--context", &context], arguments, direct].concat();
        Some(function(&all, input))
    }

    /// Starts a command whose output is read while it runs.
    ///
    /// # Errors
    /// When the command does not start.
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

    /// Returns the command, for a caller that runs it in a way of its own.
    #[must_use]
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.binary);
        // The test environment holds the administrator's credentials of the servers. No user of
        // `lanyard` has those.
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
                // An empty PATH hides the programs that open a browser.
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
        let arguments: Vec<&str> = ["-o", "json"].iter().chain(arguments).copied().collect();
        first_document(&self.ok(&arguments)?)
    }
}

/// A command that is running.
pub struct Running {
    child: Child,
    stderr: BufReader<ChildStderr>,
    said: String,
}

impl Running {
    /// Returns the process id.
    #[must_use]
    pub fn process(&self) -> u32 {
        self.child.id()
    }

    /// Waits for a line on standard error that starts with `beginning`, and returns the rest of the
    /// line.
    ///
    /// # Errors
    /// When the command ends without such a line.
    pub fn line(&mut self, beginning: &str) -> Result<String> {
        let mut line = String::new();
        while self.stderr.read_line(&mut line)? > 0 {
            self.said.push_str(&line);
            if let Some(rest) = line.strip_prefix(beginning) {
                return Ok(rest.trim().to_owned());
            }
            line.clear();
        }
        bail!("no line began with {beginning:?}: {}", self.said)
    }

    /// Waits until the command ends.
    ///
    /// # Errors
    /// The system's error.
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
        // The process may have ended already, so errors are ignored.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
