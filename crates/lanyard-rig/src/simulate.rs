//! Verdicts of iam-simulate, an independent evaluator of IAM policies, in its own process.

use std::io::Write as _;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::npm;

/// Package of the npm registry. Its licence is the AGPL: tests run it, and nothing ships with it.
const PACKAGE: &str = "@cloud-copilot/iam-simulate@0.1.173";
const SCRIPT: &str = include_str!("../aws/simulate.mjs");

/// Returns the verdict for each case, in order: `Allowed`, `ImplicitlyDenied` or
/// `ExplicitlyDenied`. The fields of a case are `role` (an ARN), `session`, `action`, `resource`,
/// `at` and `issued` (times), `policy` (of the session), `rolePolicies` (a list), `context`
/// (further condition keys), and `resourcePolicy` if the resource has one.
///
/// # Errors
/// When Node is missing, or iam-simulate cannot be installed or run.
pub fn simulate(cases: &[Value]) -> Result<Vec<String>> {
    let folder = npm::installed(PACKAGE)?;
    let script = folder.join("simulate.mjs");
    std::fs::write(&script, SCRIPT)?;
    let mut child = Command::new("node")
        .arg(&script)
        .arg(&folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .context("node does not start")?;
    let input = serde_json::to_vec(cases)?;
    child
        .stdin
        .take()
        .context("no standard input")?
        .write_all(&input)?;
    let output = child.wait_with_output()?;
    if !output.status.success() {
        bail!("iam-simulate ended with {}", output.status);
    }
    Ok(serde_json::from_slice(&output.stdout)?)
}
