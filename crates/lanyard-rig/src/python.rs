//! Python environments with given packages, cached per set of packages.

use std::fs::File;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::cache;

/// Packages that agents' programs use: AWS command line, AWS SDK, and Kubernetes client.
const TOOLS: &str = "awscli==1.46.2 boto3==1.44.5 kubernetes==37.0.1";

/// Returns the folder with `python`, `aws` and the libraries of agents' programs.
///
/// # Errors
/// See [`python`].
pub fn python_tools() -> Result<PathBuf> {
    let python = python(TOOLS)?;
    let folder = python.parent().context("the environment has no folder")?;
    Ok(folder.to_path_buf())
}

/// Returns the Python of an environment with this PyPI package, or several separated by spaces. The
/// environment is made on first use, under `LANYARD_CACHE` or `~/.cache/lanyard`.
///
/// # Errors
/// When Python is missing, or a package cannot be installed.
pub fn python(package: &str) -> Result<PathBuf> {
    let folder: String = package
        .chars()
        .map(|c| if c.is_alphanumeric() { c } else { '-' })
        .collect();
    let packages: Vec<&str> = package.split_whitespace().collect();
    environment(&folder, &packages)
}

/// Returns the Python of an environment for these requirement files. Changed files get a new
/// environment.
///
/// # Errors
/// When Python is missing, a file cannot be read, or a package cannot be installed.
pub fn python_with(requirements: &[&Path]) -> Result<PathBuf> {
    let mut said = DefaultHasher::new();
    let mut install = Vec::new();
    for file in requirements {
        let text = std::fs::read_to_string(file);
        text.with_context(|| file.display().to_string())?
            .hash(&mut said);
        install.extend(["--requirement", file.to_str().context("no Unicode")?]);
    }
    environment(&format!("python-{:016x}", said.finish()), &install)
}

fn environment(folder: &str, install: &[&str]) -> Result<PathBuf> {
    let environment = cache()?.join(folder);
    let python = environment.join("bin/python");
    std::fs::create_dir_all(cache()?)?;
    // Tests in several processes may ask at the same time.
    let lock = File::create(environment.with_extension("lock"))?;
    lock.lock()?;
    if !environment.join("complete").exists() {
        let what = "installing Python packages";
        let venv = ["-m", "venv", "--clear"];
        crate::install(what, Command::new("python3").args(venv).arg(&environment))?;
        let pip = ["-m", "pip", "install", "--quiet"];
        crate::install(what, Command::new(&python).args(pip).args(install))?;
        std::fs::write(environment.join("complete"), install.join(" "))?;
    }
    Ok(python)
}
