//! Downloads and builds what a machine lacks, once, with progress messages.

use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

/// Longest time without a progress message.
const LINE_INTERVAL: Duration = Duration::from_secs(8);
const LOOK_INTERVAL: Duration = Duration::from_millis(100);

/// Runs a long command that must succeed, and reports on standard error what it is for.
///
/// # Errors
/// When the command does not start, or fails.
#[expect(clippy::disallowed_methods, reason = "shows the elapsed time")]
pub(crate) fn install(what: &str, command: &mut Command) -> Result<()> {
    let name = command.get_program().to_string_lossy().into_owned();
    eprintln!("{what}, once for this machine");
    let mut child = command
        .spawn()
        .with_context(|| format!("{name} does not start"))?;
    let began = Instant::now();
    let mut said = began;
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break status;
        }
        if said.elapsed() >= LINE_INTERVAL {
            said = Instant::now();
            eprintln!("{what}: {} s so far", began.elapsed().as_secs());
        }
        std::thread::sleep(LOOK_INTERVAL);
    };
    if !status.success() {
        bail!("{name} ended with {status}");
    }
    Ok(())
}
