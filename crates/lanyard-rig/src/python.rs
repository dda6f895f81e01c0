//! A Python with given packages, in a cached environment of its own.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::cache;

/// The environment with this package from PyPI; made on the first use, under `LANYARD_CACHE` or `~/.cache/lanyard`.
///
/// # Errors
/// When there is no Python, or the package cannot be installed.
pub fn python(package: &str) -> Result<PathBuf> {
    let folder: String = package
        .chars()
        .map(|c| if c.is_alphanumeric() { c } else { '-' })
        .collect();
    let environment = cache()?.join(folder);
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

fn succeed(command: &mut Command) -> Result<()> {
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
