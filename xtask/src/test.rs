//! `cargo xtask test`: runs every test, and says at the end what ran.

use std::process::Command;

use anyhow::Result;

use crate::build;
use crate::chart;
use crate::conformance;
use crate::fuzz;
use crate::pods;
use crate::servers::Servers;

/// The seconds that each fuzzer runs.
const FUZZED: u32 = 10;

/// Tries every order in which threads can meet, with the feature that puts loom's locks in.
fn model(package: &str, what: &[&str]) -> Result<()> {
    let mut tests = build::cargo();
    tests.args(["test", "--locked", "--quiet", "--features", "model"]);
    build::succeed(tests.args(["--package", package]).args(what))
}

/// Tests the rules of Prometheus, and what each of them fires on.
fn rules() -> Result<()> {
    let [rules, tests] = ["lanyard.rules.yaml", "lanyard.rules.test.yaml"]
        .map(|name| format!("docs/prometheus/{name}"));
    if Command::new("promtool").arg("--version").output().is_err() {
        println!("NOT RUN: the rules of Prometheus: there is no promtool");
        return Ok(());
    }
    build::succeed(Command::new("promtool").args(["check", "rules", &rules]))?;
    build::succeed(Command::new("promtool").args(["test", "rules", &tests]))?;
    println!("ran: the rules of Prometheus, by promtool");
    Ok(())
}

/// Builds the binaries, starts the servers once, and runs the tests of the whole workspace.
pub(crate) fn run() -> Result<()> {
    build::binaries()?;
    let directory = tempfile::tempdir()?;
    let servers = Servers::start(directory.path());
    let mut tests = build::cargo();
    tests.args(["test", "--workspace", "--locked", "--no-fail-fast"]);
    let columns = directory.path().join("conformance");
    std::fs::create_dir(&columns)?;
    tests.env("LANYARD_CONFORMANCE", &columns);
    build::succeed(tests.envs(servers.environment()))?;
    let chart = chart::within_test()?;
    // The pods run after the others, because a node takes a part of every processor as long as it
    // is there.
    let pods = pods::test()?;
    model("lanyard-engine", &["--test", "model"])?;
    model("lanyard-ledger", &["--lib"])?;
    println!(
        "ran: unit, property, golden and simulation tests, and the models of the gate and the writer"
    );
    println!("ran: end to end on a daemon of its own, through the command line and HTTP");
    if fuzz::can_be_built() {
        fuzz::all(FUZZED)?;
        println!("ran: the fuzzers, for {FUZZED} s each");
    } else {
        println!("NOT RUN: the fuzzers: there is no C++ compiler");
    }
    rules()?;
    servers.report();
    println!("{chart}");
    println!("{pods}");
    conformance::report(&columns)?;
    println!("test: ok");
    Ok(())
}
