//! A `lanyardd dev` process, which ends when its value is dropped.

use std::fs::File;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::binaries::binaries;
use crate::cli::CommandFunction;
use crate::{Answer, Cli, Listeners};

/// Number of checks whether a daemon listens, and the pause between two: 20 seconds in total.
const ASKED: u32 = 400;
const POLL_INTERVAL: Duration = Duration::from_millis(50);

/// Finds a port on which no process listens.
///
/// # Errors
/// The system's error, or no free port.
pub fn free_port() -> Result<SocketAddr> {
    // Below the range of ephemeral ports, from which an outgoing connection could take a port
    // meanwhile.
    const FIRST: u16 = 20_000;
    const MANY: u16 = 12_000;
    static NEXT: AtomicU16 = AtomicU16::new(0);
    // Test programs that run at the same time start at different ports.
    let own = u16::try_from(std::process::id() % u32::from(MANY)).unwrap_or(0);
    for _ in 0..MANY {
        let next = NEXT
            .fetch_add(1, Ordering::Relaxed)
            .wrapping_add(own.wrapping_mul(97))
            % MANY;
        let address = (Ipv4Addr::LOCALHOST, FIRST + next);
        if let Ok(listener) = TcpListener::bind(address) {
            return Ok(listener.local_addr()?);
        }
    }
    bail!("no free port was found")
}

/// Runs `lanyardd` with these arguments until it ends.
///
/// # Errors
/// When `lanyardd` is not built or does not start.
pub fn daemon_command(arguments: &[&str]) -> Result<Answer> {
    let output = Command::new(binaries()?.join("lanyardd"))
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .context("lanyardd does not start")?;
    Ok(Answer::of(&output))
}

/// A running daemon, reached at its [`Listeners`].
pub struct Daemon {
    runs: Runs,
    listeners: Listeners,
}

enum Runs {
    Process(Child),
    Within(Box<dyn Within>),
}

/// A daemon that runs within the process of a test.
pub trait Within {
    /// Ends the daemon cleanly.
    ///
    /// # Errors
    /// When the daemon ends with a failure.
    fn stop(&mut self) -> Result<()>;

    /// Serves another configuration, after the daemon was stopped.
    ///
    /// # Errors
    /// When the daemon does not come up.
    fn serve(&mut self, config: &Path) -> Result<()>;

    /// Returns the function that runs a command line within this process.
    fn command(&self) -> CommandFunction;
}

impl Deref for Daemon {
    type Target = Listeners;

    fn deref(&self) -> &Listeners {
        &self.listeners
    }
}

impl Daemon {
    /// Starts a daemon with this data directory, and waits until it listens.
    ///
    /// # Errors
    /// When the daemon does not come up. Its log is `lanyardd.log` in the directory.
    pub fn start(directory: &Path) -> Result<Self> {
        Self::start_with(directory, &[], &[])
    }

    /// Like [`Daemon::start`], with further arguments and environment variables.
    ///
    /// # Errors
    /// When the daemon does not come up. Its log is `lanyardd.log` in the directory.
    pub fn start_with(
        directory: &Path,
        arguments: &[&str],
        environment: &[(&str, PathBuf)],
    ) -> Result<Self> {
        Self::start_under(&[], directory, arguments, environment)
    }

    /// Like [`Daemon::start_with`], started by another program, such as a shell that sets limits.
    ///
    /// # Errors
    /// When the daemon does not come up. Its log is `lanyardd.log` in the directory.
    pub fn start_under(
        program: &[&str],
        directory: &Path,
        arguments: &[&str],
        environment: &[(&str, PathBuf)],
    ) -> Result<Self> {
        let addresses = (free_port()?, free_port()?);
        let daemon = binaries()?.join("lanyardd");
        let mut command = match program {
            [] => Command::new(daemon),
            [first, more @ ..] => {
                let mut command = Command::new(first);
                command.args(more).arg(daemon);
                command
            }
        };
        command
            .args(["dev", "--data-dir"])
            .arg(directory)
            .args(["--listen", &addresses.0.to_string()])
            .args(["--kill-listen", &addresses.1.to_string()])
            .args(arguments)
            .envs(environment.iter().cloned());
        Self::up(command, directory, addresses)
    }

    /// Stops the daemon, changes its configuration, and serves again on the same addresses.
    ///
    /// # Errors
    /// When the daemon does not come up. Its log is `lanyardd.log` in the directory.
    pub fn serve_again(mut self, change: impl FnOnce(String) -> String) -> Result<Self> {
        let (directory, addresses) = (self.directory.clone(), self.addresses());
        let config = std::fs::read_to_string(directory.join("lanyardd.yaml"))?;
        let changed = directory.join("changed.yaml");
        std::fs::write(&changed, change(config))?;
        if let Runs::Within(daemon) = &mut self.runs {
            daemon.stop()?;
            daemon.serve(&changed)?;
            return Ok(self);
        }
        self.stop()?;
        let mut command = Command::new(binaries()?.join("lanyardd"));
        command.args(["serve", "--config"]).arg(changed);
        Self::up(command, &directory, addresses)
    }

    /// Takes a daemon that runs within this process and serves at `listeners`.
    #[must_use]
    pub fn within(daemon: Box<dyn Within>, listeners: Listeners) -> Self {
        Self {
            runs: Runs::Within(daemon),
            listeners,
        }
    }

    fn up(
        mut command: Command,
        directory: &Path,
        addresses: (SocketAddr, SocketAddr),
    ) -> Result<Self> {
        let log = File::options()
            .create(true)
            .append(true)
            .open(directory.join("lanyardd.log"))?;
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .context("lanyardd does not start")?;
        let listeners = Listeners::at(addresses, directory);
        for _ in 0..ASKED {
            if listeners
                .http("GET", "/readyz/kill", &[], "")
                .is_ok_and(|answer| answer.starts_with("HTTP/1.1 200"))
            {
                return Ok(Self {
                    runs: Runs::Process(child),
                    listeners,
                });
            }
            if let Some(status) = child.try_wait()? {
                bail!("lanyardd ended with {status}: {}", log_in(directory));
            }
            std::thread::sleep(POLL_INTERVAL);
        }
        child.kill()?;
        child.wait()?;
        bail!("lanyardd does not listen: {}", log_in(directory));
    }

    /// Returns the process id. For a daemon within this process, it is that of this process.
    #[must_use]
    pub fn process(&self) -> u32 {
        match &self.runs {
            Runs::Process(child) => child.id(),
            Runs::Within(_) => std::process::id(),
        }
    }

    /// Returns the log; empty for a daemon within this process.
    #[must_use]
    pub fn log(&self) -> String {
        log_in(&self.directory)
    }

    /// Returns the command line of one of the daemon's people.
    ///
    /// # Errors
    /// When the binaries are not built.
    pub fn cli(&self, person: &str) -> Result<Cli> {
        let context = self
            .directory
            .join("contexts")
            .join(format!("{person}.json"));
        match &self.runs {
            Runs::Process(_) => Ok(Cli::new(binaries()?.join("lanyard"), context)),
            Runs::Within(daemon) => Ok(Cli::within(context, daemon.command())),
        }
    }

    /// Kills the daemon with SIGKILL, as a crash would.
    ///
    /// # Errors
    /// The system's error.
    pub fn crash(mut self) -> Result<()> {
        match &mut self.runs {
            Runs::Process(child) => {
                child.kill()?;
                child.wait()?;
                Ok(())
            }
            Runs::Within(_) => bail!("only a process crashes"),
        }
    }

    /// Sends SIGTERM and waits for a clean end.
    ///
    /// # Errors
    /// When the daemon ends with a failure.
    pub fn stop(mut self) -> Result<()> {
        let child = match &mut self.runs {
            Runs::Process(child) => child,
            Runs::Within(daemon) => return daemon.stop(),
        };
        let id = i32::try_from(child.id())?;
        let id = rustix::process::Pid::from_raw(id).context("the daemon has no process id")?;
        rustix::process::kill_process(id, rustix::process::Signal::TERM)?;
        let status = child.wait()?;
        if !status.success() {
            bail!("lanyardd ended with {status}: {}", self.log());
        }
        Ok(())
    }
}

fn log_in(directory: &Path) -> String {
    std::fs::read_to_string(directory.join("lanyardd.log")).unwrap_or_default()
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // The process may have ended already, so errors are ignored.
        if let Runs::Process(child) = &mut self.runs {
            drop(child.kill());
            drop(child.wait());
        }
    }
}
