//! Open Policy Agent's own command line: what a policy says, by the engine that its authors wrote it for.

use std::path::PathBuf;

use anyhow::Result;

/// The version that is built.
const VERSION: &str = "v1.22.2";

/// The `opa` binary.
///
/// # Errors
/// When there is no Go, or it cannot be built.
pub fn opa() -> Result<PathBuf> {
    let folder = crate::go::build("opa", VERSION, &["main.go"], "-s -w")?;
    Ok(folder.join("opa"))
}
