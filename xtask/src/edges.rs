//! Checks which crate depends on which: fails on an edge that is not on the list, on one of the
//! list that no crate has, and on a page that shows others.

mod drawing;
mod page;

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result, bail};
use serde_json::Value;

pub(crate) use page::Crate;

/// The edges of the architecture. Dev-dependencies are left out: tests may reach further.
const ALLOWED: &[(&str, &[&str])] = &[
    ("lanyard-vocabulary", &[]),
    ("lanyard-document", &["lanyard-vocabulary"]),
    (
        "lanyard-charter",
        &["lanyard-document", "lanyard-vocabulary"],
    ),
    (
        "lanyard-core",
        &["lanyard-charter", "lanyard-document", "lanyard-vocabulary"],
    ),
    ("lanyard-disk", &[]),
    ("lanyard-journal", &["lanyard-disk"]),
    (
        "lanyard-records",
        &[
            "lanyard-charter",
            "lanyard-core",
            "lanyard-document",
            "lanyard-vocabulary",
        ],
    ),
    (
        "lanyard-ledger",
        &[
            "lanyard-core",
            "lanyard-disk",
            "lanyard-journal",
            "lanyard-records",
            "lanyard-vocabulary",
        ],
    ),
    ("lanyard-identity", &["lanyard-disk", "lanyard-vocabulary"]),
    ("lanyard-secret-file", &[]),
    (
        "lanyard-charter-objects",
        &["lanyard-charter", "lanyard-document", "lanyard-vocabulary"],
    ),
    (
        "lanyard-aws-policy",
        &["lanyard-charter", "lanyard-core", "lanyard-vocabulary"],
    ),
    (
        "lanyard-provider-aws",
        &[
            "lanyard-aws-policy",
            "lanyard-charter",
            "lanyard-core",
            "lanyard-vocabulary",
        ],
    ),
    (
        "lanyard-provider-kubernetes",
        &[
            "lanyard-charter",
            "lanyard-core",
            "lanyard-secret-file",
            "lanyard-vocabulary",
        ],
    ),
    (
        "lanyard-plan",
        &[
            "lanyard-charter",
            "lanyard-core",
            "lanyard-document",
            "lanyard-secret-file",
            "lanyard-vocabulary",
        ],
    ),
    (
        "lanyard-provider-token",
        &[
            "lanyard-charter",
            "lanyard-core",
            "lanyard-secret-file",
            "lanyard-vocabulary",
        ],
    ),
    (
        "lanyard-provider-vault",
        &[
            "lanyard-charter",
            "lanyard-core",
            "lanyard-secret-file",
            "lanyard-vocabulary",
        ],
    ),
    (
        "lanyard-provider-github",
        &[
            "lanyard-charter",
            "lanyard-core",
            "lanyard-secret-file",
            "lanyard-vocabulary",
        ],
    ),
    (
        "lanyard-engine",
        &[
            "lanyard-charter",
            "lanyard-core",
            "lanyard-document",
            "lanyard-vocabulary",
        ],
    ),
    ("lanyard-proto", &[]),
    ("lanyard-client", &["lanyard-proto", "lanyard-secret-file"]),
    ("lanyard-agent", &["lanyard-client", "lanyard-proto"]),
    (
        "lanyard-mcp",
        &[
            "lanyard-charter",
            "lanyard-document",
            "lanyard-proto",
            "lanyard-vocabulary",
        ],
    ),
    (
        "lanyard-verifier",
        &["lanyard-identity", "lanyard-vocabulary"],
    ),
    (
        "lanyard-cli",
        &[
            "lanyard-agent",
            "lanyard-aws-policy",
            "lanyard-charter",
            "lanyard-client",
            "lanyard-core",
            "lanyard-document",
            "lanyard-journal",
            "lanyard-mcp",
            "lanyard-plan",
            "lanyard-proto",
            "lanyard-provider-github",
            "lanyard-records",
            "lanyard-vocabulary",
        ],
    ),
    (
        "lanyard-server",
        &[
            "lanyard-charter",
            "lanyard-charter-objects",
            "lanyard-core",
            "lanyard-disk",
            "lanyard-document",
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
            "lanyard-records",
            "lanyard-secret-file",
            "lanyard-vocabulary",
        ],
    ),
    (
        "lanyard-bench",
        &[
            "lanyard-charter",
            "lanyard-client",
            "lanyard-core",
            "lanyard-document",
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
            "lanyard-records",
            "lanyard-rig",
            "lanyard-testkit",
            "lanyard-vocabulary",
        ],
    ),
    (
        "lanyard-testkit",
        &[
            "lanyard-charter",
            "lanyard-core",
            "lanyard-document",
            "lanyard-records",
            "lanyard-vocabulary",
        ],
    ),
    ("lanyard-rig", &[]),
    (
        "lanyard-tests",
        &["lanyard-client", "lanyard-proto", "lanyard-rig"],
    ),
    (
        "lanyard-in-process",
        &[
            "lanyard-cli",
            "lanyard-client",
            "lanyard-core",
            "lanyard-engine",
            "lanyard-proto",
            "lanyard-rig",
            "lanyard-server",
            "lanyard-testkit",
            "lanyard-tests",
            "lanyard-vocabulary",
        ],
    ),
    ("xtask", &["lanyard-rig", "lanyard-vocabulary"]),
];

const USAGE: &str = "usage: cargo xtask edges [--write]";

/// Reads the workspace from cargo and compares its edges with the list; with `--write`, draws the
/// page's picture and tables anew.
pub(crate) fn run(arguments: &[String]) -> Result<()> {
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let is_written = match arguments.as_slice() {
        [] => false,
        ["--write"] => true,
        [..] => bail!("{USAGE}"),
    };
    let packages = packages()?;
    let faults = faults(&packages);
    if !faults.is_empty() {
        bail!(
            "the crates' edges differ from xtask/src/edges.rs:\n  {}",
            faults.join("\n  ")
        );
    }
    if is_written {
        return page::write(&packages);
    }
    page::fresh(&packages)?;
    println!("edges: ok");
    Ok(())
}

/// Lists the edges in which the crates differ from the list.
fn faults(packages: &[Crate]) -> Vec<String> {
    let allowed: BTreeMap<_, _> = ALLOWED.iter().copied().collect();
    let mut faults = Vec::new();
    for package in packages {
        let name = &package.name;
        let Some(edges) = allowed.get(name.as_str()) else {
            faults.push(format!("{name} is not on the list"));
            continue;
        };
        let is_listed = |edge: &&String| edges.contains(&edge.as_str());
        let missing = package.needs.iter().filter(|edge| !is_listed(edge));
        faults.extend(missing.map(|edge| format!("{name} -> {edge} is not on the list")));
        let unused = edges.iter().filter(|edge| !package.needs.contains(**edge));
        faults.extend(unused.map(|edge| format!("{name} -> {edge} is listed, and is no edge")));
    }
    let names: BTreeSet<&str> = packages.iter().map(|it| it.name.as_str()).collect();
    let gone = allowed.keys().filter(|name| !names.contains(**name));
    faults.extend(gone.map(|name| format!("{name} is listed, and is no crate")));
    faults
}

/// Reads the crates of the workspace from cargo.
pub(crate) fn packages() -> Result<Vec<Crate>> {
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
    let packages = metadata.get("packages").and_then(Value::as_array);
    let text = |package: &Value, field: &str| {
        let text = package.get(field).and_then(Value::as_str);
        text.unwrap_or_default().to_owned()
    };
    let read = |package: &Value| Crate {
        name: text(package, "name"),
        what: text(package, "description"),
        needs: ours(package),
    };
    Ok(packages.into_iter().flatten().map(read).collect())
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

#[cfg(test)]
mod tests {
    use super::{ALLOWED, Crate, faults};

    #[test]
    fn an_edge_fails_that_the_list_or_the_crate_does_not_have() {
        let crates = || {
            ALLOWED.iter().map(|(name, needs)| Crate {
                name: (*name).to_owned(),
                what: String::new(),
                needs: needs.iter().map(|&edge| edge.to_owned()).collect(),
            })
        };
        let mut packages: Vec<Crate> = crates().collect();
        assert_eq!(faults(&packages), Vec::<String>::new());
        for package in &mut packages {
            if package.name == "lanyard-engine" {
                package.needs = ["lanyard-server".to_owned()].into();
            }
        }
        let found = faults(&packages);
        assert!(found.contains(&"lanyard-engine -> lanyard-server is not on the list".to_owned()));
        assert!(
            found.contains(&"lanyard-engine -> lanyard-core is listed, and is no edge".to_owned())
        );
    }
}
