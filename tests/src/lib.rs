//! What the end-to-end tests share: a daemon with a task, and what can be done with it.

pub mod issuer;
pub mod keys;
pub mod receiver;
pub mod workshop;

use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use lanyard_rig::{Answer, Cli, Daemon};
use serde_json::Value;
use tempfile::TempDir;

/// A daemon on a fresh directory, with its agent.
pub struct Stage {
    /// The folder with the configuration, the keys and the data.
    pub directory: TempDir,
    /// The daemon that the stage runs.
    pub daemon: Daemon,
    /// The command line of the stage's agent.
    pub agent: Cli,
    /// The command line of the stage's on-call engineer.
    pub oncall: Cli,
    environment: Vec<(&'static str, PathBuf)>,
}

impl Stage {
    /// Sets it.
    ///
    /// # Errors
    /// When the daemon does not come up.
    pub fn set() -> Result<Self> {
        Self::start(tempfile::tempdir()?, Vec::new())
    }

    /// Sets it in this directory with further targets, and a charter over them.
    ///
    /// # Errors
    /// When the daemon does not come up.
    pub fn set_with(
        directory: TempDir,
        targets: &str,
        charter: &str,
        environment: &[(&'static str, PathBuf)],
    ) -> Result<Self> {
        std::fs::write(directory.path().join("targets.yaml"), targets)?;
        std::fs::create_dir_all(directory.path().join("charters"))?;
        std::fs::write(directory.path().join("charters/more.yaml"), charter)?;
        Self::start(directory, environment.to_vec())
    }

    fn start(directory: TempDir, environment: Vec<(&'static str, PathBuf)>) -> Result<Self> {
        let targets = directory.path().join("targets.yaml");
        let named = targets.to_string_lossy();
        let arguments: &[&str] = if targets.exists() {
            &["--targets", &named]
        } else {
            &[]
        };
        let daemon = Daemon::start_with(directory.path(), arguments, &environment)?;
        Ok(Self {
            environment,
            ..Self::of(directory, daemon)?
        })
    }

    /// Around a daemon that runs on this directory.
    ///
    /// # Errors
    /// When the binaries are not there.
    pub fn of(directory: TempDir, daemon: Daemon) -> Result<Self> {
        let (agent, oncall) = (daemon.cli("agent")?, daemon.cli("oncall")?);
        Ok(Self {
            directory,
            daemon,
            agent,
            oncall,
            environment: Vec::new(),
        })
    }

    /// A stage with these files in its directory, whose daemon has these lines in its
    /// configuration.
    ///
    /// # Errors
    /// When the daemon does not come up.
    pub fn configured(files: &[(&str, &str)], lines: &str) -> Result<Self> {
        Self::set()?.with_lines(files, lines)
    }

    /// The same stage, once its daemon was started again with these files and lines.
    ///
    /// # Errors
    /// When the daemon does not come up.
    pub fn with_lines(self, files: &[(&str, &str)], lines: &str) -> Result<Self> {
        let mut stage = self;
        for (name, content) in files {
            // Some of these are secrets, which nobody else may read.
            std::fs::OpenOptions::new()
                .write(true)
                .create_new(true)
                .mode(0o600)
                .open(stage.directory.path().join(name))?
                .write_all(content.as_bytes())?;
        }
        let lines = format!("{lines}\ntargets:");
        let change = |config: String| config.replacen("targets:", &lines, 1);
        stage.daemon = stage.daemon.serve_again(change)?;
        Ok(stage)
    }

    /// A stage with these files in its directory, whose daemon believes these issuers besides its
    /// own.
    ///
    /// # Errors
    /// When the daemon does not come up.
    pub fn believing(files: &[(&str, &str)], issuers: &str) -> Result<Self> {
        Self::set()?.with_issuers(files, issuers)
    }

    /// The same stage, once its daemon was started again with these files and issuers.
    ///
    /// # Errors
    /// When the daemon does not come up.
    pub fn with_issuers(self, files: &[(&str, &str)], issuers: &str) -> Result<Self> {
        let mut stage = self;
        for (name, content) in files {
            std::fs::write(stage.directory.path().join(name), content)?;
        }
        let issuers = format!("issuers:\n{issuers}");
        let change = |config: String| config.replacen("issuers:\n", &issuers, 1);
        stage.daemon = stage.daemon.serve_again(change)?;
        Ok(stage)
    }

    /// Posts a form, with these headers besides; the status and the body.
    ///
    /// # Errors
    /// When nobody answers.
    pub fn post(
        &self,
        path: &str,
        headers: &[(&str, &str)],
        form: &[(&str, &str)],
    ) -> Result<(u16, Value)> {
        let pairs = form.iter().map(|(name, value)| {
            let value: String = value.bytes().map(encoded).collect();
            format!("{name}={value}")
        });
        let body = pairs.collect::<Vec<_>>().join("&");
        let kind = ("content-type", "application/x-www-form-urlencoded");
        let headers = [&[kind], headers].concat();
        let answer = self.daemon.http("POST", path, &headers, &body)?;
        let status = answer.split(' ').nth(1).context("no status")?.parse()?;
        let (_, body) = answer.split_once("\r\n\r\n").context("no body")?;
        let start = body.find('{');
        let end = body.rfind('}');
        let text = start
            .zip(end)
            .and_then(|(start, end)| body.get(start..=end));
        Ok((status, serde_json::from_str(text.unwrap_or("null"))?))
    }

    /// Where it is reached.
    #[must_use]
    pub fn url(&self, path: &str) -> String {
        format!("https://{}{path}", self.daemon.address())
    }

    /// Crashes the daemon with `kill -9` and starts another on the same directory.
    ///
    /// # Errors
    /// When it does not come up again.
    pub fn crash(self) -> Result<Self> {
        self.daemon.crash()?;
        Self::start(self.directory, self.environment)
    }

    /// Ends the daemon cleanly.
    ///
    /// # Errors
    /// When it ends with a failure.
    pub fn stop(self) -> Result<Stopped> {
        self.daemon.stop()?;
        Ok(Stopped {
            directory: self.directory,
            environment: self.environment,
        })
    }

    /// `lanyardd kill --local`.
    ///
    /// # Errors
    /// When it does not start.
    pub fn local_kill(&self, scope: &[&str]) -> Result<Answer> {
        local_kill(self.directory.path(), scope)
    }

    /// Adds these lines to the charter of the agent, and waits until that is in force.
    ///
    /// # Errors
    /// When it does not come into force.
    pub fn amend(&self, lines: &str) -> Result<()> {
        let file = self.directory.path().join("charters/ticket-router.yaml");
        let text = std::fs::read_to_string(&file)?;
        let before = self.charters()?;
        std::fs::write(&file, format!("{}\n{lines}", text.trim_end()))?;
        until(|| Ok(self.charters()? != before))
    }

    /// The charters in force, with their revisions.
    fn charters(&self) -> Result<Value> {
        self.oncall.json(&["charter", "list"])
    }

    /// Puts another agent into the charter, in place of the usual one, and waits until that is in
    /// force.
    ///
    /// # Errors
    /// When it does not come into force.
    pub fn admit(&self, agent: &str) -> Result<()> {
        let file = self.directory.path().join("charters/ticket-router.yaml");
        let text = std::fs::read_to_string(&file)?;
        let before = self.charters()?;
        let usual =
            "    - issuer: https://agents.dev.lanyard.invalid\n      subject: agent:router\n";
        std::fs::write(&file, text.replacen(usual, agent, 1))?;
        until(|| Ok(self.charters()? != before))
    }

    /// Opens a task in production.
    ///
    /// # Errors
    /// When it is refused.
    pub fn task(&self) -> Result<String> {
        self.task_of("ticket-router")
    }

    /// Opens a task in production under this charter.
    ///
    /// # Errors
    /// When it is refused.
    pub fn task_of(&self, charter: &str) -> Result<String> {
        let open = [
            "-o",
            "name",
            "task",
            "open",
            charter,
            "--environment",
            "production",
        ];
        self.agent
            .ok(&[&open[..], &["--reason", "ticket 12"]].concat())
    }

    /// A token of the plan role.
    ///
    /// # Errors
    /// When it is refused.
    pub fn token(&self, task: &str) -> Result<String> {
        self.agent
            .ok(&["creds", "token", "--task", task, "read-tickets"])
    }

    /// True if the broker says that a token is live.
    ///
    /// # Errors
    /// When it does not say.
    pub fn is_active(&self, token: &str, proof: &str) -> Result<bool> {
        let headers = [
            ("authorization", format!("Bearer {proof}")),
            (
                "content-type",
                "application/x-www-form-urlencoded".to_owned(),
            ),
        ];
        let headers: Vec<_> = headers
            .iter()
            .map(|(name, value)| (*name, value.as_str()))
            .collect();
        let answer = self.daemon.http(
            "POST",
            "/oauth2/introspect",
            &headers,
            &format!("token={token}"),
        )?;
        let (_, body) = answer.split_once("\r\n\r\n").context("no body")?;
        let body: Value = serde_json::from_str(body).with_context(|| answer.clone())?;
        body.get("active")
            .and_then(Value::as_bool)
            .context("no `active`")
    }

    /// Submits a plan for the apply grant; its id, its digest and its approval.
    ///
    /// # Errors
    /// When it is refused.
    pub fn plan(&self, task: &str, content: &str) -> Result<(String, String, String)> {
        let file = self.directory.path().join("plan.txt");
        std::fs::write(&file, content)?;
        let file = file.to_string_lossy();
        let plan = self.agent.json(&[
            "plan",
            "submit",
            &file,
            "--task",
            task,
            "--grant",
            "move-tickets",
            "--summary",
            "move ticket 7",
        ])?;
        let field = |name: &str| {
            plan.get(name)
                .and_then(Value::as_str)
                .map(str::to_owned)
                .context("no field")
        };
        Ok((field("plan")?, field("digest")?, field("approval")?))
    }

    /// Approves as this person.
    ///
    /// # Errors
    /// When it is refused.
    pub fn approve(&self, person: &str, approval: &str, digest: &str) -> Result<String> {
        self.daemon.cli(person)?.ok(&[
            "approval",
            "approve",
            approval,
            "--digest",
            digest,
            "--comment",
            "seen",
        ])
    }
}

/// A stage whose daemon has ended.
pub struct Stopped {
    /// The folder with the configuration, the keys and the data.
    pub directory: TempDir,
    environment: Vec<(&'static str, PathBuf)>,
}

impl Stopped {
    /// Starts a daemon again.
    ///
    /// # Errors
    /// When it does not come up.
    pub fn start_again(self) -> Result<Stage> {
        Stage::start(self.directory, self.environment)
    }

    /// `lanyardd kill --local`.
    ///
    /// # Errors
    /// When it does not start.
    pub fn local_kill(&self, scope: &[&str]) -> Result<Answer> {
        local_kill(self.directory.path(), scope)
    }
}

/// `lanyardd kill --local` on this directory, whether or not a daemon runs.
///
/// # Errors
/// When it does not start.
pub fn local_kill(directory: &Path, scope: &[&str]) -> Result<Answer> {
    let config = directory.join("lanyardd.yaml");
    let config = config.to_string_lossy();
    let kill = ["kill", "--local", "--config", &config, "--reason", "drill"];
    lanyard_rig::daemon_command(&[&kill[..], scope].concat())
}

fn encoded(byte: u8) -> String {
    if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
        char::from(byte).to_string()
    } else {
        format!("%{byte:02X}")
    }
}

/// Asks again until it holds.
///
/// # Errors
/// As of the question, or when it does not hold in time.
pub fn until(mut so: impl FnMut() -> Result<bool>) -> Result<()> {
    for _ in 0..1000 {
        if so()? {
            return Ok(());
        }
    }
    anyhow::bail!("it never came to be so")
}
