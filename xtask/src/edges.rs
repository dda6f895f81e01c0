//! Which crate may depend on which: fails on an edge that is not on the list.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result, bail};
use serde_json::Value;

/// The edges of the architecture. Dev-dependencies are not looked at: tests may reach further.
const ALLOWED: &[(&str, &[&str])] = &[
    ("lanyard-core", &[]),
    ("lanyard-disk", &[]),
    ("lanyard-journal", &["lanyard-disk"]),
    (
        "lanyard-ledger",
        &["lanyard-core", "lanyard-disk", "lanyard-journal"],
    ),
    ("lanyard-identity", &["lanyard-core", "lanyard-disk"]),
    ("lanyard-secret-file", &[]),
    ("lanyard-charter-objects", &["lanyard-core"]),
    ("lanyard-aws-policy", &["lanyard-core"]),
    (
        "lanyard-provider-aws",
        &["lanyard-aws-policy", "lanyard-core"],
    ),
    (
        "lanyard-provider-kubernetes",
        &["lanyard-core", "lanyard-secret-file"],
    ),
    ("lanyard-plan", &["lanyard-core", "lanyard-secret-file"]),
    (
        "lanyard-provider-token",
        &["lanyard-core", "lanyard-secret-file"],
    ),
    (
        "lanyard-provider-vault",
        &["lanyard-core", "lanyard-secret-file"],
    ),
    (
        "lanyard-provider-github",
        &["lanyard-core", "lanyard-secret-file"],
    ),
    ("lanyard-engine", &["lanyard-core"]),
    ("lanyard-proto", &[]),
    ("lanyard-client", &["lanyard-proto", "lanyard-secret-file"]),
    ("lanyard-agent", &["lanyard-client", "lanyard-proto"]),
    ("lanyard-mcp", &["lanyard-core", "lanyard-proto"]),
    ("lanyard-verifier", &["lanyard-core", "lanyard-identity"]),
    (
        "lanyard-cli",
        &[
            "lanyard-agent",
            "lanyard-aws-policy",
            "lanyard-client",
            "lanyard-core",
            "lanyard-journal",
            "lanyard-mcp",
            "lanyard-plan",
            "lanyard-proto",
            "lanyard-provider-github",
        ],
    ),
    (
        "lanyard-server",
        &[
            "lanyard-charter-objects",
            "lanyard-core",
            "lanyard-disk",
            "lanyard-engine",
            "lanyard-identity",
            "lanyard-journal",
            "lanyard-ledger",
            "lanyard-plan",
            "lanyard-proto",
            "lanyard-provider-aws",
            "lanyard-provider-github",
            "lanyard-provider-kubernetes",
            "lanyard-provider-token",
            "lanyard-provider-vault",
            "lanyard-secret-file",
        ],
    ),
    (
        "lanyard-bench",
        &[
            "lanyard-client",
            "lanyard-core",
            "lanyard-engine",
            "lanyard-identity",
            "lanyard-journal",
            "lanyard-ledger",
            "lanyard-proto",
            "lanyard-provider-aws",
            "lanyard-provider-github",
            "lanyard-provider-kubernetes",
            "lanyard-provider-token",
            "lanyard-provider-vault",
            "lanyard-rig",
            "lanyard-testkit",
        ],
    ),
    ("lanyard-testkit", &["lanyard-core"]),
    ("lanyard-rig", &[]),
    (
        "lanyard-tests",
        &["lanyard-client", "lanyard-proto", "lanyard-rig"],
    ),
    ("xtask", &["lanyard-rig"]),
];

/// Reads the workspace from cargo and compares.
pub(crate) fn run() -> Result<()> {
    let output = crate::build::cargo()
        .args([
            "metadata",
            "--no-deps",
            "--format-version",
            "1",
            "--offline",
        ])
        .output()
        .context("cargo metadata could not be run")?;
    let metadata: Value =
        serde_json::from_slice(&output.stdout).context("cargo metadata is not JSON")?;
    let allowed: BTreeMap<_, _> = ALLOWED.iter().copied().collect();
    let mut faults = Vec::new();
    for package in metadata
        .get("packages")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
    {
        let name = package
            .get("name")
            .and_then(Value::as_str)
            .unwrap_or_default();
        let Some(edges) = allowed.get(name) else {
            faults.push(format!("{name} is not on the list"));
            continue;
        };
        let missing = ours(package)
            .into_iter()
            .filter(|edge| !edges.contains(&edge.as_str()));
        faults.extend(missing.map(|edge| format!("{name} -> {edge} is not on the list")));
    }
    if !faults.is_empty() {
        bail!(
            "the crates' edges differ from xtask/src/edges.rs:\n  {}",
            faults.join("\n  ")
        );
    }
    println!("edges: ok");
    Ok(())
}

fn ours(package: &Value) -> BTreeSet<String> {
    package
        .get("dependencies")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter(|dependency| dependency.get("kind").and_then(Value::as_str) != Some("dev"))
        .filter_map(|dependency| dependency.get("name").and_then(Value::as_str))
        .filter(|name| name.starts_with("lanyard-"))
        .map(str::to_owned)
        .collect()
}
