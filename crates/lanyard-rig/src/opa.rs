//! Open Policy Agent's command line, with which authors test their policies.

use std::path::PathBuf;

use anyhow::Result;

/// Version of opa to build.
const VERSION: &str = "v1.22.2";

/// Builds `opa` and returns its path.
///
/// # Errors
/// When Go is missing, or opa cannot be built.
pub fn opa() -> Result<PathBuf> {
    let folder = crate::go::build("opa", VERSION, &["main.go"], "-s -w")?;
    Ok(folder.join("opa"))
}
