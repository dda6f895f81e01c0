//! What AWS would say, by iam-simulate: another evaluator of IAM policies, in a process of its own.

use std::io::Write as _;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::npm;

/// What is installed from the npm registry. Its licence is the AGPL: it is run by tests and shipped with nothing.
const PACKAGE: &str = "@cloud-copilot/iam-simulate@0.1.173";
const SCRIPT: &str = include_str!("../aws/simulate.mjs");

/// The verdict for each case, in order: `Allowed`, `ImplicitlyDenied` or `ExplicitlyDenied`. A case has the fields
/// `role` (an ARN), `session`, `action`, `resource`, `at` and `issued` (times), `policy` (of the session),
/// `rolePolicies` (a list) and `context` (more condition keys); where the resource has a policy, `resourcePolicy`.
///
/// # Errors
/// When there is no Node, or it cannot be installed or run.
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
