//! Servers and tools, built from their Go modules once per machine.

use std::collections::BTreeSet;
use std::collections::hash_map::DefaultHasher;
use std::fs::File;
use std::hash::{Hash as _, Hasher as _};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;

use crate::cache;

/// Builds the programs of these source files, one program per folder, and returns their folder. The
/// first call takes minutes; later calls find the programs built.
pub(crate) fn build(name: &str, version: &str, files: &[&str], flags: &str) -> Result<PathBuf> {
    let folders = files.iter().filter_map(|file| Path::new(file).parent());
    let programs: BTreeSet<String> = folders
        .map(|folder| format!("./{}", folder.display()))
        .collect();
    let programs: Vec<&str> = programs.iter().map(String::as_str).collect();
    built(name, version, (files, &programs), flags)
}

/// Builds programs of dependencies of a Go module of this crate, and returns their folder.
pub(crate) fn build_packages(
    name: &str,
    version: &str,
    programs: &[&str],
    flags: &str,
) -> Result<PathBuf> {
    built(name, version, (&[], programs), flags)
}

fn built(
    name: &str,
    version: &str,
    (files, programs): (&[&str], &[&str]),
    flags: &str,
) -> Result<PathBuf> {
    let module = Path::new(env!("CARGO_MANIFEST_DIR")).join(name);
    let mut hasher = DefaultHasher::new();
    for file in ["go.mod", "go.sum"].iter().chain(files) {
        std::fs::read(module.join(file))?.hash(&mut hasher);
    }
    let folder = cache()?.join(format!("{name}-{version}-{:016x}", hasher.finish()));
    std::fs::create_dir_all(&folder)?;
    // A second process waits here, and then finds the programs built.
    let lock = File::create(folder.join("lock"))?;
    lock.lock()?;
    if !folder.join("complete").exists() {
        let mut go = Command::new("go");
        go.args(["build", "-trimpath", "-ldflags", flags, "-o"]);
        go.arg(&folder).args(programs).current_dir(&module);
        let what = format!(
            "building {name} {version} ({}), which takes some minutes",
            programs.join(" ")
        );
        crate::install(&what, &mut go)?;
        std::fs::write(folder.join("complete"), version)?;
    }
    Ok(folder)
}
