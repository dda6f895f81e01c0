//! `cargo xtask package deb [--binaries DIR] [--out DIR]`: packs the published binaries as a Debian
//! package.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::build;

const USAGE: &str = "usage: cargo xtask package deb [--binaries DIR] [--out DIR]";

/// Builds the package, and the binaries unless they are given.
pub(crate) fn run(arguments: &[String]) -> Result<()> {
    let (mut binaries, mut out) = (None, PathBuf::from("."));
    let mut words = arguments.iter().map(String::as_str);
    if words.next() != Some("deb") {
        bail!("{USAGE}");
    }
    while let Some(word) = words.next() {
        let value = words.next().map(PathBuf::from);
        match (word, value) {
            ("--binaries", Some(folder)) => binaries = Some(folder),
            ("--out", Some(folder)) => out = folder,
            _ => bail!("{USAGE}"),
        }
    }
    let binaries = match binaries {
        Some(folder) => folder,
        None => build::published(&[], &["lanyard-server", "lanyard-cli"])?,
    };
    std::fs::create_dir_all(&out).with_context(|| out.display().to_string())?;
    build::succeed(Command::new("packaging/deb/build").arg(binaries).arg(out))
}
