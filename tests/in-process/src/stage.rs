//! A daemon within this process, with its people.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, Result};
use lanyard_client::Context;
use lanyard_core::provider::Provider;
use lanyard_engine::clock::TimeSource as _;
use lanyard_rig::{Listeners, binaries, free_port};
use lanyard_server::{Daemon, Machine};
use lanyard_testkit::fake::FakeProvider;
use lanyard_vocabulary::name::Name;
use lanyard_vocabulary::time::Timestamp;
use serde_json::Value;
use tempfile::TempDir;

use crate::call::Caller;
use crate::clock::Ahead;
use crate::command::Command;

/// The settings of a stage beside the usual charter and target of `lanyardd dev`.
#[derive(Debug, Default, Clone, Copy)]
pub struct Given<'a> {
    /// Further targets, in the form of the section `targets`.
    pub targets: &'a str,
    /// Further charters: the name of the file, and its text.
    pub charters: &'a [(&'a str, &'a str)],
    /// Further sections of the configuration.
    pub lines: &'a str,
    /// Further files beside the configuration.
    pub files: &'a [(&'a str, &'a str)],
    /// The targets that the fake provider serves in place of their own.
    pub fakes: &'a [&'a str],
}

/// A daemon with its directory, clock and people.
pub struct Stage {
    /// The agent's command line.
    pub agent: Command,
    /// The command line of the engineer on call.
    pub oncall: Command,
    /// The clock of the daemon and of the fake provider.
    pub clock: Arc<Ahead>,
    /// The provider of the targets that are faked.
    pub fake: Arc<FakeProvider>,
    /// The folder with the configuration, the keys and the data.
    pub directory: TempDir,
    listeners: Listeners,
    machine: Machine,
    config: PathBuf,
    daemon: Option<Daemon>,
}

impl Stage {
    /// Starts a daemon with the charter `ticket-router` and the target `tickets`.
    ///
    /// # Errors
    /// When the daemon does not start.
    pub fn set() -> Result<Self> {
        Self::given(&Given::default())
    }

    /// Starts a daemon whose target `tickets` is the fake provider.
    ///
    /// # Errors
    /// When the daemon does not start.
    pub fn faked() -> Result<Self> {
        Self::given(&Given {
            fakes: &["tickets"],
            ..Given::default()
        })
    }

    /// Starts a daemon with what is given.
    ///
    /// # Errors
    /// When the daemon does not start.
    pub fn given(given: &Given<'_>) -> Result<Self> {
        let directory = tempfile::tempdir()?;
        let own = directory.path();
        for (name, text) in given.files {
            write(&own.join(name), text)?;
        }
        std::fs::create_dir_all(own.join("charters"))?;
        for (name, text) in given.charters {
            write(&own.join("charters").join(name), text)?;
        }
        write(&own.join("targets.yaml"), given.targets)?;
        let addresses = (free_port()?, free_port()?);
        let targets = own.join("targets.yaml");
        let targets = (!given.targets.is_empty()).then_some(targets.as_path());
        let config = Daemon::prepare(own, addresses.0, Some(addresses.1), targets)?;
        if !given.lines.is_empty() {
            let text = std::fs::read_to_string(&config)?;
            let lines = format!("{}\ntargets:", given.lines);
            std::fs::write(&config, text.replacen("targets:", &lines, 1))?;
        }
        let clock = Arc::<Ahead>::default();
        let of = Arc::clone(&clock);
        let fake = FakeProvider::by(move || Timestamp::from_millis(of.wall()));
        let fake = Arc::new(fake);
        let mut providers: BTreeMap<Name, Arc<dyn Provider>> = BTreeMap::new();
        for target in given.fakes {
            let name = target.parse().ok().context("no name of a target")?;
            providers.insert(name, Arc::clone(&fake) as Arc<dyn Provider>);
        }
        let machine = Machine {
            clocks: Arc::clone(&clock) as _,
            providers,
            // Plans are judged by another program, which only tests of plans need.
            judge: binaries().map_or_else(|_| "lanyardd".into(), |at| at.join("lanyardd")),
            ..Machine::default()
        };
        let daemon = Daemon::start(&config, machine.clone())?;
        let command = |person| Command::under(context_of(own, person));
        Ok(Self {
            agent: command("agent"),
            oncall: command("oncall"),
            clock,
            fake,
            listeners: Listeners::at(addresses, own),
            directory,
            machine,
            config,
            daemon: Some(daemon),
        })
    }

    /// Returns the command line of one of the daemon's people.
    #[must_use]
    pub fn command(&self, person: &str) -> Command {
        Command::under(context_of(self.directory.path(), person))
    }

    /// Returns the command line of somebody whose issuer the daemon does not believe.
    ///
    /// # Errors
    /// When the context cannot be written.
    pub fn unbelieved(&self) -> Result<Command> {
        let own = self.directory.path();
        let text = std::fs::read_to_string(context_of(own, "agent"))?;
        let path = context_of(own, "unbelieved");
        std::fs::write(&path, text.replace("agents.dev", "elsewhere.dev"))?;
        Ok(Command::under(path))
    }

    /// Connects as one of the daemon's people.
    ///
    /// # Errors
    /// When the daemon is not reached.
    pub fn caller(&self, person: &str) -> Result<Caller> {
        let context = Context::load(&context_of(self.directory.path(), person))?;
        self.caller_with(move || Ok(Some(context.token()?.expose().to_owned())))
    }

    /// Connects as nobody.
    ///
    /// # Errors
    /// When the daemon is not reached.
    pub fn stranger(&self) -> Result<Caller> {
        self.caller_with(|| Ok(None))
    }

    /// Connects as whoever these tokens are of.
    ///
    /// # Errors
    /// When the daemon is not reached.
    pub fn caller_with(
        &self,
        token: impl Fn() -> Result<Option<String>> + 'static,
    ) -> Result<Caller> {
        let url = format!("https://{}", self.listeners.addresses().0);
        let authority = std::fs::read(self.directory.path().join("dev-ca.pem"))?;
        Caller::connect(url, &authority, Box::new(token))
    }

    /// Returns the listeners of the daemon.
    #[must_use]
    pub const fn listeners(&self) -> &Listeners {
        &self.listeners
    }

    /// Ends the daemon cleanly.
    ///
    /// # Errors
    /// When it ends with a failure.
    pub fn stop(&mut self) -> Result<()> {
        self.daemon.take().map_or(Ok(()), Daemon::stop)
    }

    /// Ends the daemon cleanly, and starts another on the same directory.
    ///
    /// # Errors
    /// When one of them fails.
    pub fn start_again(&mut self) -> Result<()> {
        self.stop()?;
        self.daemon = Some(Daemon::start(&self.config, self.machine.clone())?);
        Ok(())
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
        let open = ["-o", "name", "task", "open", charter];
        let why = ["--environment", "production", "--reason", "ticket 12"];
        self.agent.ok(&[&open[..], &why].concat())
    }

    /// Takes a lease of the plan role; its id.
    ///
    /// # Errors
    /// When it is refused.
    pub fn lease(&self, task: &str) -> Result<String> {
        self.agent
            .ok(&["-o", "name", "request", "--task", task, "read-tickets"])
    }

    /// Submits a plan for the apply grant; its id, its digest and its approval.
    ///
    /// # Errors
    /// When it is refused.
    pub fn plan(&self, task: &str, content: &str) -> Result<(String, String, String)> {
        let file = self.directory.path().join("plan.txt");
        std::fs::write(&file, content)?;
        let file = file.to_string_lossy();
        let of = ["plan", "submit", &file, "--task", task];
        let summary = ["--grant", "move-tickets", "--summary", "move ticket 7"];
        let plan = self.agent.json(&[&of[..], &summary].concat())?;
        let field = |name: &str| {
            let text = plan.get(name).and_then(Value::as_str);
            text.map(str::to_owned).context("no field")
        };
        Ok((field("plan")?, field("digest")?, field("approval")?))
    }

    /// Approves as this person.
    ///
    /// # Errors
    /// When it is refused.
    pub fn approve(&self, person: &str, approval: &str, digest: &str) -> Result<String> {
        let of = ["approval", "approve", approval, "--digest", digest];
        self.command(person)
            .ok(&[&of[..], &["--comment", "seen"]].concat())
    }
}

/// Writes a file that nobody else may read: some of them hold secrets.
fn write(path: &Path, text: &str) -> std::io::Result<()> {
    std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?
        .write_all(text.as_bytes())
}

fn context_of(directory: &Path, person: &str) -> PathBuf {
    directory.join("contexts").join(format!("{person}.json"))
}
