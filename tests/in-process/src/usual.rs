//! The stages of the end-to-end tests, with the daemon and the command line within this process.

use std::path::Path;

use anyhow::{Context as _, Result};
use lanyard_rig::{Cli, CommandFunction, Listeners, Within, binaries, free_port};
use lanyard_server::{Daemon, Machine};
use lanyard_tests::{Stage, until};
use tempfile::TempDir;

use crate::command;

/// A daemon that is stopped and served again.
struct Here {
    machine: Machine,
    daemon: Option<Daemon>,
}

impl Within for Here {
    fn stop(&mut self) -> Result<()> {
        self.daemon.take().map_or(Ok(()), Daemon::stop)
    }

    fn serve(&mut self, config: &Path) -> Result<()> {
        self.daemon = Some(Daemon::start(config, self.machine.clone())?);
        Ok(())
    }

    fn command(&self) -> CommandFunction {
        command::run
    }
}

/// A stage of `lanyardd dev` on a fresh directory.
///
/// # Errors
/// When the daemon does not start.
pub fn usual() -> Result<Stage> {
    on(tempfile::tempdir()?)
}

/// A stage of [`usual`] with a second agent, the helper, under a charter of its own: the usual one
/// with what `changed` makes of its text.
///
/// # Errors
/// When the daemon does not start.
pub fn with_helper(changed: impl FnOnce(String) -> String) -> Result<(Stage, Cli)> {
    let stage = usual()?;
    let folder = stage.directory.path();
    let usual = std::fs::read_to_string(folder.join("charters/ticket-router.yaml"))?;
    let helper = usual
        .replace("name: ticket-router", "name: helper")
        .replace("agent:router", "agent:helper");
    std::fs::write(folder.join("charters/helper.yaml"), changed(helper))?;
    let agent = std::fs::read_to_string(folder.join("contexts/agent.json"))?;
    let other = agent.replace("agent:router", "agent:helper");
    std::fs::write(folder.join("contexts/helper.json"), other)?;
    let helper = stage.daemon.cli("helper")?;
    until(|| Ok(stage.oncall.ok(&["charter", "list"])?.contains("helper")))?;
    Ok((stage, helper))
}

/// A stage on a directory that may have files, further charters, and targets in `targets.yaml`.
///
/// # Errors
/// When the daemon does not start.
pub fn on(directory: TempDir) -> Result<Stage> {
    let own = directory.path();
    let addresses = (free_port()?, free_port()?);
    let targets = own.join("targets.yaml");
    let targets = targets.exists().then_some(targets.as_path());
    let config = Daemon::prepare(own, addresses.0, Some(addresses.1), targets)?;
    let judge = binaries().context("plans are judged by `lanyardd`");
    let machine = Machine {
        judge: judge.map_or_else(|_| "lanyardd".into(), |at| at.join("lanyardd")),
        ..Machine::default()
    };
    let mut here = Here {
        machine,
        daemon: None,
    };
    here.serve(&config)?;
    let listeners = Listeners::at(addresses, own);
    Stage::of(
        directory,
        lanyard_rig::Daemon::within(Box::new(here), listeners),
    )
}

/// A stage with these targets and this charter beside the usual ones.
///
/// # Errors
/// When the daemon does not start.
pub fn with(directory: TempDir, targets: &str, charter: &str) -> Result<Stage> {
    std::fs::write(directory.path().join("targets.yaml"), targets)?;
    std::fs::create_dir_all(directory.path().join("charters"))?;
    std::fs::write(directory.path().join("charters/more.yaml"), charter)?;
    on(directory)
}
