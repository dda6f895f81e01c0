//! What the other commands need built or installed first.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

/// Builds `lanyardd` and `lanyard`.
pub(crate) fn binaries() -> Result<()> {
    let packages = [
        "build",
        "--quiet",
        "--locked",
        "--package",
        "lanyard-server",
        "--package",
        "lanyard-cli",
    ];
    succeed(Command::new(env!("CARGO")).args(packages))
}

/// Runs a command and wants success.
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

/// A Python with this package, in a cached environment of its own.
pub(crate) fn python(package: &str) -> Result<PathBuf> {
    let cache = std::env::var_os("LANYARD_CACHE").map(PathBuf::from);
    let home = std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache/lanyard"));
    let folder: String = package
        .chars()
        .map(|c| if c.is_alphanumeric() { c } else { '-' })
        .collect();
    let environment = cache
        .or(home)
        .context("neither LANYARD_CACHE nor HOME is set")?
        .join(folder);
    let python = environment.join("bin/python");
    if !environment.join("complete").exists() {
        succeed(
            Command::new("python3")
                .args(["-m", "venv", "--clear"])
                .arg(&environment),
        )?;
        succeed(Command::new(&python).args(["-m", "pip", "install", "--quiet", package]))?;
        std::fs::write(environment.join("complete"), package)?;
    }
    Ok(python)
}

/// Runs a command with this on its standard input and wants success; its standard output.
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
