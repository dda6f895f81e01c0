//! `cargo xtask bench`: builds the program that measures, as a release is built, and runs it.

use std::path::PathBuf;
use std::process::Command;

use anyhow::Result;

use crate::build;
use crate::servers::Servers;

/// The number of histories that the long run of the simulation plays.
const LONG: &str = "1000000";

/// Runs every measurement, or the named one; `simulate [SEEDS]` is the long run of the simulation.
pub(crate) fn run(arguments: &[String]) -> Result<()> {
    if let Some(("simulate", rest)) = arguments
        .split_first()
        .map(|(what, rest)| (what.as_str(), rest))
    {
        return simulate(rest.first().map_or(LONG, String::as_str));
    }
    let binary = built()?;
    let with_servers = |what: &String| matches!(what.as_str(), "sweep" | "deliver" | "providers");
    if arguments.first().is_some_and(with_servers) {
        let directory = tempfile::tempdir()?;
        let servers = Servers::start(directory.path());
        let mut bench = Command::new(binary);
        return build::succeed(bench.args(arguments).envs(servers.environment()));
    }
    if !arguments.is_empty() {
        return build::succeed(Command::new(binary).args(arguments));
    }
    for what in [
        &["decide"][..],
        &["lint"],
        &["issue"],
        &["kill", "100000"],
        &["kill", "1000000"],
    ] {
        build::succeed(Command::new(&binary).args(what))?;
    }
    Ok(())
}

/// Runs `cargo xtask chaos [--minutes N]`: floods, and what all others notice of them.
pub(crate) fn chaos(arguments: &[String]) -> Result<()> {
    build::succeed(Command::new(built()?).arg("chaos").args(arguments))
}

/// Builds the measuring program and what it measures, with the profile of a release.
fn built() -> Result<PathBuf> {
    let packages = ["lanyard-server", "lanyard-cli", "lanyard-bench"];
    Ok(build::published(&[], &packages)?.join("lanyard-bench"))
}

fn simulate(seeds: &str) -> Result<()> {
    let mut tests = build::cargo();
    tests.args(["test", "--release", "--quiet", "--locked", "--package"]);
    tests.args(["lanyard-engine", "--test", "simulation"]);
    build::succeed(tests.env("LANYARD_SEEDS", seeds))?;
    println!("simulate: {seeds} histories, every invariant held");
    Ok(())
}
