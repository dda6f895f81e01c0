//! `cargo xtask test`: every test, and at the end what ran.

use std::process::Command;

use anyhow::Result;

use crate::build;
use crate::servers::Servers;

/// Builds the binaries, starts the servers once, and runs the tests of the whole workspace.
pub(crate) fn run() -> Result<()> {
    build::binaries()?;
    let directory = tempfile::tempdir()?;
    let servers = Servers::start(directory.path());
    let mut tests = Command::new(env!("CARGO"));
    tests.args(["test", "--workspace", "--locked", "--no-fail-fast"]);
    build::succeed(tests.envs(servers.environment()))?;
    println!("ran: unit, property, golden and simulation tests");
    println!("ran: end to end on a daemon of its own, through the command line and HTTP");
    servers.report();
    println!("test: ok");
    Ok(())
}
