//! Checks the house rules that the compiler does not know: headers and names of files, the language
//! of comments, circles of modules, citations and links that lead to a page, and the form of
//! decisions.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::{circles, citations, decisions, language, links};

/// Checks every source of the workspace.
pub(crate) fn run() -> Result<()> {
    let mut files = Vec::new();
    for root in ["crates", "xtask", "tests", "fuzz", "sdk"] {
        collect(Path::new(root), &mut files)?;
    }
    let mut faults = Vec::new();
    for file in files.iter().filter(|file| is(file, "rs")) {
        let text = std::fs::read_to_string(file).with_context(|| file.display().to_string())?;
        if !text.starts_with("//!") {
            faults.push(format!("{}: does not open with `//!`", file.display()));
        }
        // Tests of a package are programs, each from one file: what they share has to be in a
        // folder.
        let is_of_tests = file.components().any(|part| part.as_os_str() == "tests");
        if file.ends_with("mod.rs") && !is_of_tests {
            let place = file.display();
            faults.push(format!(
                "{place}: name the file after its module, beside its folder"
            ));
        }
    }
    faults.extend(circles::faults()?);
    faults.extend(citations::faults(&files)?);
    faults.extend(language::faults(&files)?);
    faults.extend(links::faults()?);
    faults.extend(decisions::faults()?);
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
        let is_built = |name| ["target", "corpus", "node_modules", ".venv"].contains(&name);
        if path.is_dir()
            && !path
                .file_name()
                .and_then(|name| name.to_str())
                .is_some_and(is_built)
        {
            collect(&path, files)?;
        } else if is(&path, "rs") || is(&path, "py") {
            files.push(path);
        }
    }
    Ok(())
}

fn is(path: &Path, extension: &str) -> bool {
    path.extension().is_some_and(|its| its == extension)
}
