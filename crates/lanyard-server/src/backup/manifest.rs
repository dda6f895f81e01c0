//! The manifest of a backup: what it holds, and how that is checked.

use std::collections::BTreeMap;
use std::path::{Component, Path};

use serde::{Deserialize, Serialize};

use super::{BackupError, MANIFEST, at};

/// The format that this version writes.
pub(super) const FORMAT: u32 = 1;

/// The content of a backup, as `backup.json` lists it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Manifest {
    /// The format of the backup: [`FORMAT`] or an earlier one.
    pub(crate) format: u32,
    /// The version of lanyardd that took the backup.
    pub(crate) lanyardd: String,
    /// The time at which the backup was begun, in RFC 3339.
    pub(crate) taken: String,
    /// The number of records in the copy of the journal.
    pub(crate) records: u64,
    /// The Merkle root (RFC 6962) over these records, in hexadecimal digits. `lanyard audit verify`
    /// takes both.
    pub(crate) root: String,
    /// The files by their paths below the data directory.
    pub(crate) files: BTreeMap<String, FileEntry>,
}

/// The length and the digest of one file, as the manifest lists them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct FileEntry {
    /// The length in bytes.
    pub(crate) bytes: u64,
    /// The SHA-256 digest in hexadecimal digits.
    pub(crate) sha256: String,
}

/// The part of a manifest that every later format has as well.
#[derive(Deserialize)]
struct Head {
    format: u32,
    #[serde(default)]
    lanyardd: String,
}

impl Manifest {
    /// Reads the manifest of a backup.
    ///
    /// # Errors
    /// When the folder is no backup, a later version wrote it, or the manifest names files outside
    /// of the data directory.
    pub(crate) fn read(backup: &Path) -> Result<Self, BackupError> {
        let path = backup.join(MANIFEST);
        let text = match std::fs::read(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Err(BackupError::NoBackup(backup.to_owned()));
            }
            read => read.map_err(at(&path))?,
        };
        let refused = |why: String| BackupError::Manifest {
            path: path.clone(),
            why,
        };
        let head: Head =
            serde_json::from_slice(&text).map_err(|error| refused(error.to_string()))?;
        if head.format > FORMAT {
            return Err(BackupError::Newer {
                path: backup.to_owned(),
                by: head.lanyardd,
                found: head.format,
                known: FORMAT,
            });
        }
        let manifest: Self =
            serde_json::from_slice(&text).map_err(|error| refused(error.to_string()))?;
        let outside = manifest.files.keys().find(|name| !is_below(name));
        match outside {
            Some(name) => Err(refused(format!("`{name}` is no path below a folder"))),
            None => Ok(manifest),
        }
    }

    /// The sum of the lengths of all files.
    pub(crate) fn bytes(&self) -> u64 {
        self.files.values().map(|file| file.bytes).sum()
    }
}

/// Tells whether a relative path stays below its folder.
fn is_below(name: &str) -> bool {
    let mut parts = Path::new(name).components();
    !name.is_empty() && parts.all(|part| matches!(part, Component::Normal(_)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_in_a_manifest_stays_below_the_data_directory() {
        for name in ["journal/0.seg", "keys/a.jwk"] {
            assert!(is_below(name), "{name}");
        }
        for name in ["", "/etc/passwd", "../keys", "journal/../../x"] {
            assert!(!is_below(name), "{name}");
        }
    }
}
