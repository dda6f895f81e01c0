//! Packages of the npm registry, each in its own cached folder.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::Result;

use crate::cache;

/// Installs a package, `name@version`, on first use and returns its folder.
pub(crate) fn installed(package: &str) -> Result<PathBuf> {
    let name: String = package
        .chars()
        .map(|c| if c == '@' || c == '/' { '-' } else { c })
        .collect();
    let folder = cache()?.join(name.trim_start_matches('-'));
    if folder.join("complete").exists() {
        return Ok(folder);
    }
    std::fs::create_dir_all(&folder)?;
    std::fs::write(folder.join("package.json"), "{\"private\": true}\n")?;
    let mut npm = Command::new("npm");
    npm.args(["install", "--silent", "--no-audit", "--no-fund", package]);
    npm.current_dir(&folder).stdout(Stdio::null());
    crate::install(&format!("installing {package} for Node"), &mut npm)?;
    std::fs::write(folder.join("complete"), package)?;
    Ok(folder)
}
