//! Somebody who has credentials of their own in every place where tools look, and runs tools under
//! `lanyard exec`.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};

use anyhow::{Context, Result, ensure};
use lanyard_rig::{Answer, Aws, Cli, Running};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::{Stage, until};

/// A charter that each user of this adds grants to.
const CHARTER: &str = include_str!("shop.yaml");
/// Where the tasks are opened.
const OPEN: [&str; 6] = [
    "shop",
    "--environment",
    "production",
    "--reason",
    "ticket 12",
    "--grant",
];

/// A daemon with the charter `shop`, and the surroundings of its agent.
pub struct Workshop {
    /// The stage with the daemon.
    pub stage: Stage,
    /// The agent's command line, which keeps credentials as a user's does.
    pub agent: Cli,
    /// The home of whoever runs the agent.
    pub home: PathBuf,
}

impl Workshop {
    /// Sets it up with these targets and grants, and these variables of whoever runs it.
    ///
    /// # Errors
    /// When the daemon does not come up.
    pub fn set(
        directory: TempDir,
        (targets, grants): (&str, &str),
        daemon: &[(&'static str, PathBuf)],
        own: &[(&'static str, &str)],
    ) -> Result<Self> {
        let charter = format!("{CHARTER}{grants}");
        let stage = Stage::set_with(directory, targets, &charter, daemon)?;
        let home = stage.directory.path().join("home");
        std::fs::create_dir_all(&home)?;
        let named = home.display().to_string();
        let mut environment = vec![("HOME", named.as_str()), ("TERM", "dumb")];
        environment.extend_from_slice(own);
        let agent = stage.daemon.cli("agent")?.keeping().with(&environment);
        Ok(Self { stage, agent, home })
    }

    /// Writes a file at home.
    ///
    /// # Errors
    /// As of the system.
    pub fn at_home(&self, name: &str, text: &str) -> Result<PathBuf> {
        let file = self.home.join(name);
        std::fs::create_dir_all(file.parent().unwrap_or(&self.home))?;
        std::fs::write(&file, text)?;
        Ok(file)
    }

    /// The arguments of `lanyard` that run this under a grant, in production.
    #[must_use]
    pub fn exec<'a>(flags: &[&'a str], grant: &'a str, command: &[&'a str]) -> Vec<&'a str> {
        [&["exec"], flags, &OPEN, &[grant, "--"], command].concat()
    }

    /// Runs a command under a grant, whatever comes of it.
    ///
    /// # Errors
    /// When lanyard does not start.
    pub fn run(&self, flags: &[&str], grant: &str, command: &[&str]) -> Result<Answer> {
        self.agent.run(&Self::exec(flags, grant, command))
    }

    /// Runs a command under a grant and wants success; its stdout.
    ///
    /// # Errors
    /// When it exits with anything but 0.
    pub fn ok(&self, flags: &[&str], grant: &str, command: &[&str]) -> Result<String> {
        self.agent.ok(&Self::exec(flags, grant, command))
    }

    /// Starts a command under a grant.
    ///
    /// # Errors
    /// When lanyard does not start.
    pub fn start(&self, flags: &[&str], grant: &str, command: &[&str]) -> Result<Running> {
        self.agent.start(&Self::exec(flags, grant, command))
    }

    /// How often the broker has minted under a grant.
    ///
    /// # Errors
    /// When the journal cannot be asked.
    pub fn mints(&self, grant: &str) -> Result<usize> {
        let query = ["audit", "query", grant, "--kind", "begin-mint"];
        let answer = self
            .stage
            .oncall
            .run(&[&["-o", "json"][..], &query].concat())?;
        // Until something was minted, no record names the grant.
        if answer.code == 2 && answer.stderr.contains("no record names") {
            return Ok(0);
        }
        ensure!(answer.code == 0, "{answer:?}");
        let records: serde_json::Value = serde_json::from_str(&answer.stdout)?;
        Ok(records.as_array().context("no records")?.len())
    }

    /// Ends everything of the charter.
    ///
    /// # Errors
    /// When nothing is fenced.
    pub fn kill(&self) -> Result<()> {
        let kill = ["kill", "--charter", "shop", "--reason", "drill", "--yes"];
        let killed = self.stage.oncall.run(&kill)?;
        // 8: a provider has only acknowledged.
        ensure!(matches!(killed.code, 0 | 8), "{killed:?}");
        Ok(())
    }

    /// A plan for a grant in staging that one person has to approve: the task, the plan, its digest
    /// and its approval.
    ///
    /// # Errors
    /// When it is refused.
    pub fn plan(&self, grant: &str) -> Result<[String; 4]> {
        let words = "task open shop --environment staging --reason ticket";
        let words: Vec<_> = words.split(' ').collect();
        let task = self
            .agent
            .ok(&[&["-o", "name"], words.as_slice()].concat())?;
        let file = self.at_home("plan.txt", "make a queue\n")?;
        let file = file.to_string_lossy();
        let submit = [
            "plan",
            "submit",
            &file,
            "--task",
            &task,
            "--grant",
            grant,
            "--summary",
            "a queue",
        ];
        let plan = self.agent.json(&submit)?;
        let field = |name: &str| {
            let value = plan.get(name).and_then(serde_json::Value::as_str);
            value.map(str::to_owned).context("no field")
        };
        let [id, digest, approval] = ["plan", "digest", "approval"].map(field);
        Ok([task, id?, digest?, approval?])
    }
}

/// The target `account`, at this endpoint, with fresh roles; and what the daemon needs for it.
///
/// # Errors
/// When it cannot be set up.
pub fn account(
    aws: &Aws,
    name: &str,
    directory: &Path,
) -> Result<(String, Vec<(&'static str, PathBuf)>)> {
    let account = aws.account(name, directory)?;
    let target = format!(
        "account: {{kind: aws, region: eu-west-1, endpoint: '{}', plan_role: '{}', apply_role: '{}', \
         minter_profile: {}, revoker_profile: {}}}\n",
        aws.url(),
        account.plan_role,
        account.apply_role,
        account.minter,
        account.revoker
    );
    Ok((
        target,
        vec![("AWS_SHARED_CREDENTIALS_FILE", account.credentials)],
    ))
}

/// A local agent that is run in the foreground.
pub struct LocalAgent(Child);

impl LocalAgent {
    /// Starts one that hands out what it keeps for so many seconds without a word of the broker,
    /// with no limit to core files.
    ///
    /// # Errors
    /// When it does not listen.
    pub fn start(cli: &Cli, fresh_for: u32) -> Result<Self> {
        let fresh_for = format!("{fresh_for}s");
        let run = cli.command(&["agent", "run", "--fresh-for", &fresh_for]);
        let child = Command::new("sh")
            .args(["-c", "ulimit -c unlimited; exec \"$@\"", "sh"])
            .arg(run.get_program())
            .args(run.get_args())
            .envs(
                run.get_envs()
                    .filter_map(|(name, value)| Some((name, value?))),
            )
            .current_dir(std::env::temp_dir())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        let agent = Self(child);
        until(|| Ok(cli.run(&["agent", "status"])?.code == 0))?;
        Ok(agent)
    }

    /// The id of the agent's process.
    #[must_use]
    pub fn process(&self) -> u32 {
        self.0.id()
    }

    /// Ends it with this signal; how it ended.
    ///
    /// # Errors
    /// As of the system.
    pub fn end(mut self, signal: Signal) -> Result<ExitStatus> {
        let process = Pid::from_raw(self.0.id().cast_signed()).context("no process id")?;
        kill_process(process, signal)?;
        Ok(self.0.wait()?)
    }
}

impl Drop for LocalAgent {
    fn drop(&mut self) {
        // It may have ended before: then there is nothing to end.
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// For how many seconds the broker has been silent, by what a tool says of it.
#[must_use]
pub fn silence(said: &str) -> Option<u32> {
    let line = "the broker is not available: no message arrived for ";
    let (_, rest) = said.split_once(line)?;
    rest.split(' ').next()?.parse().ok()
}
