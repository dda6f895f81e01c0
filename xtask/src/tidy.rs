//! The house rules that no compiler knows: file length and file headers.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

/// More lines than this are two rooms in one.
const MOST_LINES: usize = 600;

/// Looks at every Rust file of the workspace.
pub(crate) fn run() -> Result<()> {
    let mut files = Vec::new();
    for root in ["crates", "xtask", "tests"] {
        collect(Path::new(root), &mut files)?;
    }
    let mut faults = Vec::new();
    for file in &files {
        let text = std::fs::read_to_string(file).with_context(|| file.display().to_string())?;
        if text.lines().count() > MOST_LINES {
            faults.push(format!("{}: over {MOST_LINES} lines", file.display()));
        }
        if !text.starts_with("//!") {
            faults.push(format!("{}: does not open with `//!`", file.display()));
        }
    }
    if !faults.is_empty() {
        bail!("untidy:\n  {}", faults.join("\n  "));
    }
    println!("tidy: ok ({} files)", files.len());
    Ok(())
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    if !folder.is_dir() {
        return Ok(());
    }
    for entry in std::fs::read_dir(folder).with_context(|| folder.display().to_string())? {
        let path = entry?.path();
        if path.is_dir() && path.file_name().is_some_and(|name| name != "target") {
            collect(&path, files)?;
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    Ok(())
}
