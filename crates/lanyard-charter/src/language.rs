//! The charter language: turns a file into a [`Charter`], or into all of its faults in one run.

mod agents;
mod allow;
mod approvals;
mod breakers;
mod calendar;
pub mod description;
mod grants;
mod limits;
mod lints;
mod plans;
mod prohibitions;
mod rules;
mod sections;

use std::path::Path;
use std::sync::Arc;

use lanyard_document::{Diagnostic, Findings, Severity, read};

use crate::charter::Charter;
use crate::kinds;
use crate::world::{Check, World};

/// A charter with its lint findings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parsed {
    /// The charter as read.
    pub charter: Charter,
    /// The findings that do not keep the charter out of force.
    pub warnings: Vec<Diagnostic>,
}

/// True if a file in a folder of charters is a charter: `name.yaml` or `name.yml`, not hidden, and
/// not the golden cases beside one (`name.test.yaml`).
#[must_use]
pub fn is_charter_file(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let yaml = name
        .strip_suffix(".yaml")
        .or_else(|| name.strip_suffix(".yml"));
    yaml.is_some_and(|stem| !stem.starts_with('.') && !stem.ends_with(".test"))
}

/// The policy files beside a charter.
pub trait PolicyFiles {
    /// Reads these files and checks that they work together as one set of policies.
    ///
    /// # Errors
    /// For each bad file, its place among `paths` and what is wrong. A file outside of the
    /// charter's folder is refused (T25).
    fn read(&self, paths: &[&str]) -> Result<Vec<Arc<str>>, Vec<(usize, String)>>;

    /// True if the charter must pin each policy's digest, because people other than its author may
    /// change the files.
    fn are_pinned(&self) -> bool {
        false
    }
}

/// The policies beside a charter that is no file: none.
#[derive(Debug, Clone, Copy)]
pub struct NoPolicies;

impl PolicyFiles for NoPolicies {
    fn read(&self, paths: &[&str]) -> Result<Vec<Arc<str>>, Vec<(usize, String)>> {
        let none = |(place, path): (usize, &&str)| (place, format!("there is no {path} here"));
        let missing: Vec<_> = paths.iter().enumerate().map(none).collect();
        if missing.is_empty() {
            Ok(Vec::new())
        } else {
            Err(missing)
        }
    }
}

/// Parses a charter that names no policies.
///
/// # Errors
/// See [`parse_with`].
pub fn parse(text: &str, world: &World) -> Result<Parsed, Vec<Diagnostic>> {
    parse_with(text, world, &NoPolicies)
}

/// Parses one file.
///
/// # Errors
/// Every finding, in the order of the file; at least one is an error.
pub fn parse_with(
    text: &str,
    world: &World,
    files: &dyn PolicyFiles,
) -> Result<Parsed, Vec<Diagnostic>> {
    let root = read(text).map_err(|fault| vec![fault])?;
    let findings = Findings::default();
    let shape = description::shape(world.more_kinds);
    let charter = sections::charter(findings.item(&root, &shape), text, (world, files));
    let kinds = kinds::all(world.more_kinds);
    if let Some(charter) = &charter {
        rules::check(&Check::new(&findings, charter, &root, world), &kinds);
    }
    let sound = charter.as_ref().filter(|_| findings.is_sound());
    if let Some(charter) = sound {
        // What is odd about a charter that is wrong mostly comes from what is wrong.
        lints::look(&Check::new(&findings, charter, &root, world), &kinds);
    }
    let all = allow::apply(text, findings.sorted(), sound.is_some());
    match charter {
        Some(charter)
            if all
                .iter()
                .all(|finding| finding.severity() == Severity::Warning) =>
        {
            Ok(Parsed {
                charter,
                warnings: all,
            })
        }
        Some(_) | None => Err(all),
    }
}
