//! Checks that modules do not depend on each other in circles.
//!
//! A module may use its parents and its own children. Between all others the dependencies have a
//! direction: a circle means that a word stands in a module that is not its own, and that none of
//! the modules can be read or moved alone. A re-export counts as the module that it comes from.

mod graph;
mod source;

use std::path::Path;

use anyhow::{Context, Result};

use source::Sources;

/// Circles that are known, as the crate and the modules: each is to go, and none is to grow.
const KNOWN: &[(&str, &[&str])] = &[];

/// Lists the circles of every crate that are not known, and the known ones that are gone.
///
/// # Errors
/// When a source cannot be read.
pub(crate) fn faults() -> Result<Vec<String>> {
    let mut found = Vec::new();
    for folder in crates()? {
        let name = folder
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        for root in ["src/lib.rs", "src/main.rs"] {
            let root = folder.join(root);
            if root.exists() {
                let circles = graph::circles(&Sources::read(&root)?);
                found.extend(circles.into_iter().map(|circle| (name.clone(), circle)));
            }
        }
    }
    let is_of = |known: &(&str, &[&str]), name: &str, modules: &[String]| {
        known.0 == name
            && modules
                .iter()
                .all(|module| known.1.contains(&module.as_str()))
    };
    let (mut faults, mut is_there) = (Vec::new(), vec![false; KNOWN.len()]);
    for (name, circle) in &found {
        let known = KNOWN
            .iter()
            .position(|known| is_of(known, name, &circle.modules));
        match known.and_then(|place| is_there.get_mut(place)) {
            Some(is_there) => *is_there = true,
            None => faults.push(format!("{name}: {circle}")),
        }
    }
    let gone = KNOWN.iter().zip(is_there).filter(|(_, is_there)| !is_there);
    faults.extend(gone.map(|((name, modules), _)| {
        let modules = modules.join(", ");
        format!(
            "xtask/src/circles.rs: the circle of {modules} in {name} is gone: take it off the list"
        )
    }));
    Ok(faults)
}

fn crates() -> Result<Vec<std::path::PathBuf>> {
    let mut folders = vec![Path::new("xtask").to_path_buf()];
    for entry in std::fs::read_dir("crates").context("crates")? {
        folders.push(entry?.path());
    }
    folders.sort();
    Ok(folders)
}
