//! Builds and installs what the other commands need first.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

/// Returns the cargo that a person would call. What the outer cargo tells xtask about its own
/// package is removed: ring's build script asks to be run again when `CARGO_PKG_NAME` or
/// `CARGO_MANIFEST_DIR` changes, and with ring most of the workspace would be built again, each
/// time that `cargo build` and `cargo xtask` take turns.
pub(crate) fn cargo() -> Command {
    let mut cargo = Command::new(env!("CARGO"));
    for (name, _) in std::env::vars_os() {
        let told = name.to_string_lossy();
        if told.starts_with("CARGO_PKG_") || told.starts_with("CARGO_MANIFEST_") {
            cargo.env_remove(name);
        }
    }
    cargo
}

/// Builds `lanyardd` and `lanyard`, and lets cargo print its progress.
pub(crate) fn binaries() -> Result<()> {
    let packages = [
        "build",
        "--locked",
        "--package",
        "lanyard-server",
        "--package",
        "lanyard-cli",
    ];
    succeed(cargo().args(packages))
}

/// Builds `packages` with the profile `dist`, which everything published and everything measured is
/// built with, and returns the folder of the binaries. `wrapper` is a cargo subcommand that wraps
/// `build`: with `["auditable"]` the binaries list what they are made of.
pub(crate) fn published(wrapper: &[&str], packages: &[&str]) -> Result<PathBuf> {
    with_profile("dist", wrapper, packages)
}

/// Builds `packages` with a cargo profile, and returns the folder of the binaries. `wrapper` is a
/// cargo subcommand that wraps `build`.
pub(crate) fn with_profile(profile: &str, wrapper: &[&str], packages: &[&str]) -> Result<PathBuf> {
    let mut cargo = cargo();
    cargo.args(wrapper);
    cargo.args(["build", "--profile", profile, "--locked"]);
    for package in packages {
        cargo.args(["--package", package]);
    }
    succeed(&mut cargo)?;
    // cargo keeps every profile in a folder of its own beside `debug`, where this program is.
    let own = std::env::current_exe()?;
    let target = own.ancestors().nth(2).context("no target folder")?;
    Ok(target.join(if profile == "dev" { "debug" } else { profile }))
}

/// Runs a command, and fails unless it succeeds.
pub(crate) fn succeed(command: &mut Command) -> Result<()> {
    let name = command.get_program().to_string_lossy().into_owned();
    let status = command
        .status()
        .with_context(|| format!("{name} does not start"))?;
    if status.success() {
        Ok(())
    } else {
        bail!("{name} ended with {status}")
    }
}

/// Runs a command with `input` on its standard input, and returns its standard output; fails unless
/// the command succeeds.
pub(crate) fn feed(command: &mut Command, input: &str) -> Result<String> {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    child
        .stdin
        .take()
        .context("no standard input")?
        .write_all(input.as_bytes())?;
    let output = child.wait_with_output()?;
    if !output.status.success() {
        bail!(
            "{} ended with {}",
            command.get_program().to_string_lossy(),
            output.status
        );
    }
    Ok(String::from_utf8(output.stdout)?)
}

/// Runs a command, and returns its standard output; fails unless the command succeeds.
pub(crate) fn output(command: &mut Command) -> Result<String> {
    feed(command, "")
}
