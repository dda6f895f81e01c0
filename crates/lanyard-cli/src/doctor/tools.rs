//! The tools that credentials are handed to: which are here.

use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;

use super::Check;
use crate::words;

/// The tools, and how each says its version.
const TOOLS: [(&str, &[&str]); 4] = [
    ("aws", &["--version"]),
    ("kubectl", &["version", "--client"]),
    ("git", &["--version"]),
    ("terraform", &["version"]),
];
/// The time for which one has for that.
const ANSWER_WAIT: Duration = Duration::from_secs(10);

pub(super) async fn look() -> Vec<Check> {
    let mut asked = tokio::task::JoinSet::new();
    for (place, (name, arguments)) in TOOLS.into_iter().enumerate() {
        asked.spawn(async move { (place, tool(name, arguments).await) });
    }
    let mut checks = asked.join_all().await;
    checks.sort_by_key(|(place, _)| *place);
    checks.into_iter().map(|(_, check)| check).collect()
}

async fn tool(name: &'static str, arguments: &[&str]) -> Check {
    let Some(program) = words::on_path(name) else {
        return Check::ok(name, "is not on PATH");
    };
    let shown = program.display();
    let started = Command::new(&program)
        .args(arguments)
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    match tokio::time::timeout(ANSWER_WAIT, started).await {
        Ok(Ok(output)) if output.status.success() => {
            let said = String::from_utf8_lossy(&output.stdout);
            let version = said.lines().next().unwrap_or_default().trim();
            Check::ok(name, format!("{version} ({shown})"))
        }
        Ok(Ok(output)) => {
            let what = format!("{shown} does not say its version: {}", output.status);
            Check::warning(name, what, "does it run by itself?")
        }
        Ok(Err(error)) => Check::warning(name, format!("{shown} does not start: {error}"), ""),
        Err(_) => Check::warning(
            name,
            format!("{shown} does not say its version in time"),
            "",
        ),
    }
}
