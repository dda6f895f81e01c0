//! Which files are meant, and the world that their charters are about.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use clap::Args;
use lanyard_charter::{
    Charter, ENVIRONMENT_KINDS, EnvironmentKind, Parsed, TargetKind, World, is_charter_file,
    kinds as known, parse_with,
};
use lanyard_document::{Severity, render};
use lanyard_plan::PolicyFolder;
use lanyard_vocabulary::name::Name;

use crate::outcome::Outcome;
use crate::terminal::say_findings;
use crate::{Global, kinds};

/// The names that a charter may use: as the daemon's configuration declares them, or one by one.
#[derive(Args)]
pub(crate) struct Declared {
    /// The daemon's configuration: its environments and targets are what a charter may name. Where
    /// nothing is declared, the lanyardd.yaml of the charter's folder or of a folder above it.
    #[arg(long)]
    config: Option<PathBuf>,
    /// An environment and its kind: name=production or name=sandbox.
    #[arg(long = "environment", value_name = "NAME=KIND", value_parser = environment)]
    environments: Vec<(Name, EnvironmentKind)>,
    /// A target and its kind: name=token, name=aws or name=kubernetes.
    #[arg(long = "target", value_name = "NAME=KIND", value_parser = target)]
    targets: Vec<(Name, TargetKind)>,
}

fn environment(text: &str) -> Result<(Name, EnvironmentKind), String> {
    let kinds = ENVIRONMENT_KINDS.iter();
    let kinds: Vec<_> = kinds.map(|word| (word.name, word.value)).collect();
    pair(text, &kinds)
}

fn target(text: &str) -> Result<(Name, TargetKind), String> {
    pair(text, &known::names(kinds::more()))
}

fn pair<T: Copy>(text: &str, kinds: &[(&str, T)]) -> Result<(Name, T), String> {
    let (name, kind) = text.split_once('=').ok_or("write name=kind")?;
    let name = name.parse().map_err(|error| format!("{error}"))?;
    let found = kinds.iter().find(|(word, _)| *word == kind);
    let (_, kind) = found.ok_or_else(|| {
        let words: Vec<&str> = kinds.iter().map(|(word, _)| *word).collect();
        format!("`{kind}` is none of {}", words.join(", "))
    })?;
    Ok((name, *kind))
}

/// The name that `lanyardd init` gives the configuration.
const CONFIGURATION: &str = "lanyardd.yaml";
/// The most folders above a charter in which its configuration is looked for.
const FOLDERS_ABOVE: usize = 3;

/// The configuration of the installation that this charter, or folder of charters, belongs to.
fn beside(charter: &Path) -> Option<PathBuf> {
    let charter = std::path::absolute(charter).ok()?;
    let folders = charter.ancestors().take(FOLDERS_ABOVE + 1);
    let mut configurations = folders.map(|folder| folder.join(CONFIGURATION));
    configurations.find(|file| file.is_file())
}

impl Declared {
    /// Returns the declared names, for the charters of these paths.
    pub(crate) fn world_of(&self, global: &Global, charters: &[PathBuf]) -> Result<World, Outcome> {
        let says_nothing =
            self.config.is_none() && self.environments.is_empty() && self.targets.is_empty();
        if !says_nothing {
            return self.world();
        }
        let Some(config) = charters.iter().find_map(|path| beside(path)) else {
            global.note(
                "nothing says which environments and targets there are: give --config lanyardd.yaml, or --environment and --target",
            );
            return self.world();
        };
        global.note(format_args!(
            "environments and targets are those of {}",
            config.display()
        ));
        Self {
            config: Some(config),
            environments: Vec::new(),
            targets: Vec::new(),
        }
        .world()
    }

    fn world(&self) -> Result<World, Outcome> {
        let mut world = match &self.config {
            Some(path) => {
                let text = read(path)?;
                World::of_configuration_with(&text, kinds::more()).map_err(|faults| {
                    let name = path.display().to_string();
                    Outcome::usage(format!(
                        "the configuration does not say what is declared\n{}",
                        render(&name, &text, &faults)
                    ))
                })?
            }
            None => World {
                more_kinds: kinds::more(),
                ..World::default()
            },
        };
        world.environments.extend(self.environments.iter().cloned());
        world.targets.extend(self.targets.iter().cloned());
        Ok(world)
    }
}

/// The most that is read of a file of YAML.
///
/// # Limit
/// - for: a charter, its cases or a configuration that the command line reads
/// - unit: bytes
/// - beyond: the file is refused as too large
/// - test: `a_file_that_is_no_text_is_refused_with_what_to_do`
const MAX_FILE_BYTES: u64 = 16 * 1024 * 1024;

pub(crate) fn read(path: &Path) -> Result<String, Outcome> {
    let refused = |why: &dyn std::fmt::Display| {
        Outcome::usage(format!("{} cannot be read: {why}", path.display()))
    };
    let file = std::fs::File::open(path).map_err(|error| refused(&error))?;
    let mut bytes = Vec::new();
    file.take(MAX_FILE_BYTES + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| refused(&error))?;
    if bytes.len() as u64 > MAX_FILE_BYTES {
        return Err(refused(&"it has more than 16 MiB, and is no charter"));
    }
    String::from_utf8(bytes).map_err(|error| {
        let is_utf16 = matches!(error.as_bytes(), [0xff, 0xfe, ..] | [0xfe, 0xff, ..]);
        let valid = error.utf8_error().valid_up_to();
        let before = error.as_bytes().get(..valid).unwrap_or_default();
        let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
        if is_utf16 {
            refused(&"it is UTF-16; save it as UTF-8")
        } else {
            refused(&format_args!(
                "line {line} is not UTF-8; save the file as UTF-8"
            ))
        }
    })
}

/// The files, and every charter of the folders among them, in the order of their names.
pub(crate) fn files(paths: &[PathBuf]) -> Result<Vec<PathBuf>, Outcome> {
    found(paths, is_charter_file, "there is no charter file here")
}

/// The files of cases, and every one of the folders among them, in the order of their names.
pub(crate) fn case_files(paths: &[PathBuf]) -> Result<Vec<PathBuf>, Outcome> {
    let none = "there is no file of cases here: name.test.yaml";
    found(paths, is_cases, none)
}

fn found(paths: &[PathBuf], is: fn(&Path) -> bool, none: &str) -> Result<Vec<PathBuf>, Outcome> {
    let mut found = Vec::new();
    for path in paths {
        if path.is_dir() {
            folder(path, is, &mut found)?;
        } else {
            found.push(path.clone());
        }
    }
    if found.is_empty() {
        return Err(Outcome::usage(none));
    }
    Ok(found)
}

fn folder(path: &Path, is: fn(&Path) -> bool, found: &mut Vec<PathBuf>) -> Result<(), Outcome> {
    let fault = |error| Outcome::usage(format!("{} cannot be read: {error}", path.display()));
    let entries = std::fs::read_dir(path).map_err(fault)?;
    let mut inner: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    inner.sort();
    for path in inner {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        // A mounted ConfigMap keeps its content in hidden folders, and links to it.
        if name.starts_with('.') {
            continue;
        }
        if path.is_dir() {
            // A link could lead around in a circle.
            if !path.is_symlink() {
                folder(&path, is, found)?;
            }
        } else if is(&path) {
            found.push(path);
        }
    }
    Ok(())
}

/// Golden cases stand beside their charter: `name.test.yaml`.
fn is_cases(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    name.ends_with(".test.yaml") || name.ends_with(".test.yml")
}

/// A charter that holds together, or its faults as a person reads them.
pub(crate) fn charter(path: &Path, world: &World) -> Result<(Charter, String), Outcome> {
    let text = read(path)?;
    match parse_with(&text, world, &PolicyFolder::beside(path)) {
        Ok(Parsed { charter, .. }) => Ok((charter, text)),
        Err(findings) => {
            let errors: Vec<_> = findings
                .into_iter()
                .filter(|finding| finding.severity() == Severity::Error)
                .collect();
            say_findings(&path.display().to_string(), &text, &errors);
            Err(Outcome::usage(format!(
                "{} does not hold together",
                path.display()
            )))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_no_text_is_refused_with_what_to_do() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("router.yaml");
        let large = vec![b'#'; 16 * 1024 * 1024 + 1];
        for (bytes, why) in [
            (&b"\xff\xfek\0i\0"[..], "it is UTF-16; save it as UTF-8"),
            (b"kind: Charter\n# f\xfcr\n", "line 2 is not UTF-8"),
            (&large, "it has more than 16 MiB"),
        ] {
            std::fs::write(&file, bytes).unwrap();
            let (code, line) = read(&file).unwrap_err().told();
            let line = line.unwrap();
            assert_eq!(code, 2);
            assert!(line.contains(why) && line.contains("router.yaml"), "{line}");
        }
        std::fs::write(&file, "kind: Charter\n").unwrap();
        assert!(read(&file).is_ok_and(|text| text == "kind: Charter\n"));
    }
}
