//! `cargo xtask test`: every test, and at the end what ran.

use std::process::Command;

use anyhow::{Context, Result, bail};

/// Builds and runs the tests of the whole workspace.
pub(crate) fn run() -> Result<()> {
    let status = Command::new(env!("CARGO"))
        .args(["test", "--workspace", "--locked", "--no-fail-fast"])
        .status()
        .context("cargo test could not be run")?;
    if !status.success() {
        bail!("tests failed");
    }
    println!("test: ok");
    Ok(())
}
