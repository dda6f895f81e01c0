//! `cargo xtask limits`: writes the bounds of the product, as their declarations state them, to
//! docs/limits.md.
//!
//! A limit is a constant whose doc comment ends in a section of this form:
//!
//! ```text
//! /// Commands that wait for the writer.
//! ///
//! /// # Limit
//! /// - for: all callers together
//! /// - unit: commands
//! /// - beyond: the caller is told `UNAVAILABLE`; kill orders are always taken
//! /// - test: `a_full_queue_refuses_commands_and_takes_kills`
//! const MAX_QUEUED_COMMANDS: usize = 65_536;
//! ```
//!
//! The value is that of the constant, and the named test reaches the bound. Every number and every
//! span of time whose name is that of a bound (`MAX_…`, `MOST_…`, `LONGEST_…`, `…_LIMIT`,
//! `…_TIMEOUT`, `…_DEADLINE` and their like) has to be one, or to say in a section `# No limit` why
//! it is none. The command reads the declarations from the sources rather than at run time: the
//! crates that have limits share no crate that could hold a registry.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

mod declared;
mod value;

use declared::Declared;

const PAGE: &str = "docs/limits.md";
const OPENING: &str = "# Limits

Every bound of the product: what it counts, whom it is for, and what happens beyond it. The page is
made from the declarations by `cargo xtask limits`; a bound that the configuration can move is given
with its default. The last column names the test that reaches the bound; where the bound is a wait,
the test may set a shorter one.
";
/// The crates that are never shipped.
const NOT_SHIPPED: [&str; 3] = ["lanyard-bench", "lanyard-rig", "lanyard-testkit"];
/// The heading of each crate's part of the page. A crate that is not here is headed with its name.
const HEADINGS: [(&str, &str); 24] = [
    ("lanyard-agent", "The local agent"),
    ("lanyard-aws-policy", "Policies for AWS"),
    ("lanyard-charter", "What a charter may say"),
    ("lanyard-cli", "The command line"),
    ("lanyard-client", "Clients"),
    ("lanyard-core", "What is in force and in memory"),
    ("lanyard-disk", "Files of the data directory"),
    ("lanyard-document", "Charters and configurations as files"),
    ("lanyard-engine", "Issuing, expiry and revocation"),
    ("lanyard-ledger", "The writer and the history"),
    ("lanyard-journal", "The journal"),
    ("lanyard-identity", "Tokens and proofs"),
    ("lanyard-secret-file", "Files of secrets"),
    ("lanyard-server", "Listeners, requests and deliveries"),
    ("lanyard-plan", "Plans and policies"),
    ("lanyard-mcp", "Tools of models"),
    ("lanyard-proto", "Messages"),
    ("lanyard-provider-aws", "Targets: AWS"),
    ("lanyard-provider-github", "Targets: GitHub"),
    ("lanyard-provider-kubernetes", "Targets: Kubernetes"),
    ("lanyard-provider-token", "Targets: Lanyard's own tokens"),
    ("lanyard-provider-vault", "Targets: Vault and OpenBao"),
    ("lanyard-verifier", "The verifier of resource servers"),
    ("lanyard-vocabulary", "Values that every part shares"),
];

/// Reads every declaration, and writes the page or compares it.
pub(crate) fn run(arguments: &[String]) -> Result<()> {
    let found = Found::read(Path::new("."))?;
    found.whole()?;
    let page = found.page();
    match arguments.first().map(String::as_str) {
        None => {
            std::fs::write(PAGE, page).context(PAGE)?;
            println!("limits: {PAGE} is written ({} limits)", found.limits.len());
            Ok(())
        }
        Some("--check") => {
            fresh(Path::new("."), &page)?;
            println!("limits: ok ({})", found.limits.len());
            Ok(())
        }
        Some(other) => {
            bail!("there is no argument `{other}`; usage: cargo xtask limits [--check]")
        }
    }
}

fn fresh(root: &Path, page: &str) -> Result<()> {
    let written = std::fs::read_to_string(root.join(PAGE)).unwrap_or_default();
    if written != page {
        bail!("{PAGE} is out of date: run `cargo xtask limits`");
    }
    Ok(())
}

/// The declarations and tests of all sources.
struct Found {
    /// The limits by crate, in the order of the sources.
    limits: Vec<Declared>,
    /// Constants that are named as limits and not declared as such, and sections that lack a part.
    faults: Vec<String>,
    /// The names of all test functions.
    tests: BTreeSet<String>,
}

impl Found {
    fn read(root: &Path) -> Result<Self> {
        let (mut limits, mut faults, mut tests) = (Vec::new(), Vec::new(), BTreeSet::new());
        let mut crates: Vec<PathBuf> = folders(&root.join("crates"))?;
        crates.sort();
        for folder in crates {
            let name = folder
                .file_name()
                .map(|name| name.to_string_lossy().into_owned());
            let name = name.unwrap_or_default();
            let (mut sources, mut values) = (Vec::new(), BTreeMap::new());
            let mut files = Vec::new();
            rust_files(&folder, &mut files)?;
            for file in files {
                let text = std::fs::read_to_string(&file).context(file.display().to_string())?;
                collect_tests(&text, &mut tests);
                let shipped = file.starts_with(folder.join("src")) && !is_of_tests(&file);
                if shipped && !NOT_SHIPPED.contains(&name.as_str()) {
                    let constants = declared::constants(&text)
                        .with_context(|| format!("{} cannot be read", file.display()))?;
                    for constant in &constants {
                        let of_name: &mut Vec<_> = values.entry(constant.name.clone()).or_default();
                        of_name.push(constant.value.clone());
                    }
                    sources.push((file, constants));
                }
            }
            for (file, constants) in sources {
                let own = constants.iter();
                let own: BTreeMap<String, Vec<_>> = own
                    .map(|it| (it.name.clone(), vec![it.value.clone()]))
                    .collect();
                for constant in constants {
                    let place = format!("{}: `{}`", file.display(), constant.name);
                    match constant.limit(&name, &[&own, &values]) {
                        Ok(Some(limit)) => limits.push(limit),
                        Ok(None) => {}
                        Err(why) => faults.push(format!("{place} {why}")),
                    }
                }
            }
        }
        let mut files = Vec::new();
        rust_files(&root.join("tests"), &mut files)?;
        for file in files {
            let text = std::fs::read_to_string(&file).context(file.display().to_string())?;
            collect_tests(&text, &mut tests);
        }
        Ok(Self {
            limits,
            faults,
            tests,
        })
    }

    /// Fails on a declaration that lacks a part, and on a test that does not exist.
    fn whole(&self) -> Result<()> {
        let mut faults = self.faults.clone();
        for limit in &self.limits {
            let missing = limit
                .tests
                .iter()
                .filter(|test| !self.tests.contains(*test));
            faults.extend(missing.map(|test| {
                let (name, within) = (&limit.name, &limit.within);
                format!("{within}: `{name}` names the test `{test}`, which does not exist")
            }));
        }
        if !faults.is_empty() {
            bail!(
                "limits that are not declared in full:\n  {}",
                faults.join("\n  ")
            );
        }
        Ok(())
    }

    fn page(&self) -> String {
        let mut page = OPENING.to_owned();
        let mut within = "";
        for limit in &self.limits {
            if limit.within != within {
                within = &limit.within;
                let heading = HEADINGS.iter().find(|(name, _)| *name == within);
                let heading = heading.map_or(within, |(_, heading)| *heading);
                // Writing to a string does not fail.
                let _infallible = write!(
                    page,
                    "\n## {heading}\n\n| Limit | Value | For | Beyond it | Test |\n|---|---|---|---|---|\n"
                );
            }
            page.push_str(&limit.row());
        }
        page
    }
}

fn folders(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut folders = Vec::new();
    for entry in std::fs::read_dir(folder).with_context(|| folder.display().to_string())? {
        let path = entry?.path();
        if path.is_dir() {
            folders.push(path);
        }
    }
    Ok(folders)
}

/// Collects the Rust files in the order of their names, so that the page is always the same.
fn rust_files(folder: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    let entries = std::fs::read_dir(folder).with_context(|| folder.display().to_string())?;
    let mut paths = Vec::new();
    for entry in entries {
        paths.push(entry?.path());
    }
    paths.sort();
    for path in paths {
        if path.is_dir() && path.file_name().is_some_and(|name| name != "target") {
            rust_files(&path, files)?;
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    Ok(())
}

fn is_of_tests(file: &Path) -> bool {
    let mut parts = file.iter().map(|part| part.to_string_lossy());
    parts.any(|part| part == "tests" || part == "tests.rs")
}

/// Collects the functions below an attribute that makes them tests.
fn collect_tests(text: &str, tests: &mut BTreeSet<String>) {
    let mut is_test = false;
    for line in text.lines().map(str::trim) {
        if line.starts_with("#[") {
            is_test |= line == "#[test]" || line.contains("::test");
        } else if let Some(name) = name_of_function(line) {
            if is_test {
                tests.insert(name.to_owned());
            }
            is_test = false;
        }
    }
}

fn name_of_function(line: &str) -> Option<&str> {
    let line = line.strip_prefix("async ").unwrap_or(line);
    let rest = line.strip_prefix("fn ")?;
    let end = rest.find(['(', '<'])?;
    rest.get(..end)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn root() -> &'static Path {
        Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
    }

    #[test]
    fn every_limit_is_declared_in_full_and_its_test_exists() {
        let found = Found::read(root()).unwrap();
        found.whole().unwrap();
        assert!(!found.limits.is_empty());
    }

    #[test]
    fn the_page_of_limits_is_what_the_sources_declare() {
        fresh(root(), &Found::read(root()).unwrap().page()).unwrap();
    }

    #[test]
    fn a_test_that_is_named_and_not_there_fails_the_walk() {
        let mut found = Found::read(root()).unwrap();
        found.tests.clear();
        let error = found.whole().unwrap_err().to_string();
        assert!(error.contains("which does not exist"), "{error}");
    }

    #[test]
    fn only_functions_below_an_attribute_of_a_test_are_tests() {
        let text = "#[test]\nfn one() {}\nfn two() {}\n#[tokio::test(start_paused = true)]\nasync fn three() {}\n\
                    #[test]\n#[cfg(unix)]\nfn four(\n    x in 0..1,\n) {}\n";
        let mut tests = BTreeSet::new();
        collect_tests(text, &mut tests);
        assert_eq!(
            tests.iter().map(String::as_str).collect::<Vec<_>>(),
            ["four", "one", "three"]
        );
    }
}
