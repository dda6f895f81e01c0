//! Backups of the data directory: taken while a daemon runs or none does, verified, and restored.
//!
//! A backup is a folder with a copy of the data directory and a [`Manifest`]. A restored data
//! directory has forgotten what happened after its backup, credentials and kills among it; so the
//! first start on one stops everything until two people re-arm.

mod copy;
mod manifest;
mod restore;
mod take;

use std::path::{Path, PathBuf};

use anyhow::Result;
use lanyard_engine::clock::{Clock as _, SystemClock};
use lanyard_vocabulary::count::counted;

use crate::config;

pub(crate) use restore::{Restored, unfinished_restore};

/// The name of the manifest in a backup.
const MANIFEST: &str = "backup.json";
/// The copy of the data directory in a backup.
const DATA: &str = "data";
/// The folder of the journal in a data directory.
const JOURNAL: &str = "journal";

/// The reason why a backup was not taken or not restored.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BackupError {
    #[error("cannot use `{}`", .path.display())]
    Io {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error("`{}` holds no journal: `data_dir` of the configuration is not a daemon's data directory", .0.display())]
    NoJournal(PathBuf),
    #[error("the backup is in the data directory `{}`: name a folder outside of it, on another disk", .0.display())]
    Within(PathBuf),
    #[error("the copy of the journal in `{}` cannot be verified, and the backup is removed", .path.display())]
    Unverified {
        path: PathBuf,
        source: lanyard_journal::OpenError,
    },
    #[error(
        "the files of the data directory changed faster than they could be copied; take the backup again"
    )]
    Restless,
    #[error("`{}` is not a backup: it has no `{MANIFEST}`", .0.display())]
    NoBackup(PathBuf),
    #[error("cannot read `{}`: {why}", .path.display())]
    Manifest { path: PathBuf, why: String },
    #[error(
        "backup `{}` was written by lanyardd {by} in format {found}, and this lanyardd reads formats up to {known}: restore it with the newer version",
        .path.display()
    )]
    Newer {
        path: PathBuf,
        by: String,
        found: u32,
        known: u32,
    },
    #[error("backup `{}` is damaged: {why}; nothing was restored", .path.display())]
    Damaged { path: PathBuf, why: String },
    #[error(
        "data directory `{path}` is not empty: move it away first, such as by `mv {path} {path}.before-restore`",
        path = .0.display()
    )]
    Occupied(PathBuf),
    #[error(
        "a restore into data directory `{path}` was not finished: empty it, and run `lanyardd restore` again",
        path = .0.display()
    )]
    Unfinished(PathBuf),
}

/// Says on which path an operation failed.
fn at(path: &Path) -> impl FnOnce(std::io::Error) -> BackupError {
    let path = path.to_owned();
    move |source| BackupError::Io { path, source }
}

/// Runs `lanyardd backup`.
///
/// # Errors
/// When no backup was taken.
pub(crate) fn print_taken(config: &Path, into: &Path, keep: Option<u32>) -> Result<()> {
    let config = config::load(config)?;
    let now = SystemClock::default().now();
    let keep = keep.map(|keep| usize::try_from(keep).unwrap_or(usize::MAX));
    let taken = take::take(&config.data_dir, into, now, keep)?;
    let manifest = &taken.manifest;
    println!("{}", taken.path.display());
    println!(
        "  {} in {}, {} bytes; verified",
        counted(manifest.records, "record"),
        counted(manifest.files.len() as u64, "file"),
        manifest.bytes()
    );
    println!("  root {}", manifest.root);
    for removed in &taken.removed {
        println!("  removed {}", removed.display());
    }
    Ok(())
}

/// Runs `lanyardd restore`.
///
/// # Errors
/// When nothing was restored.
pub(crate) fn print_restored(config: &Path, from: &Path) -> Result<()> {
    let config = config::load(config)?;
    let manifest = restore::restore(from, &config.data_dir)?;
    println!(
        "restored {} of {} into {}",
        counted(manifest.records, "record"),
        manifest.taken,
        config.data_dir.display()
    );
    println!("  The next start stops everything, until two people re-arm:");
    println!("  `lanyard runbook after-a-restore`");
    Ok(())
}

#[cfg(test)]
mod tests;
