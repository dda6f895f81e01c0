//! The built binaries.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

/// Returns the folder with `lanyardd` and `lanyard`: the folder of the running program, or its
/// parent.
///
/// # Errors
/// When the binaries are not built.
pub fn binaries() -> Result<PathBuf> {
    let own = std::env::current_exe()?;
    let found = own
        .ancestors()
        .skip(1)
        .take(2)
        .find(|folder| folder.join("lanyardd").exists());
    found
        .map(Path::to_path_buf)
        .context("lanyardd is not built: run `cargo xtask test`, which builds it first")
}
