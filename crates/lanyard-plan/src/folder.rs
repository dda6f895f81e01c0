//! The Rego policies in a charter's folder.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use lanyard_charter::PolicyFiles;
use lanyard_secret_file::{SecretFileError, read_plain_up_to};

use crate::policy::PolicySet;

/// Largest policy file.
///
/// # Limit
/// - for: a policy of a charter
/// - unit: bytes
/// - beyond: the charter does not come into force
/// - test: `policies_are_beneath_the_charters_folder`
const MAX_POLICY_BYTES: u64 = 256 * 1024;

/// A folder of charters, with policies in it or below it.
#[derive(Debug, Clone)]
pub struct PolicyFolder(PathBuf);

impl PolicyFolder {
    /// Uses the given folder.
    #[must_use]
    pub const fn at(folder: PathBuf) -> Self {
        Self(folder)
    }

    /// Uses the folder that contains the file `charter`.
    #[must_use]
    pub fn beside(charter: &Path) -> Self {
        let parent = charter.parent().filter(|it| !it.as_os_str().is_empty());
        Self(parent.unwrap_or(Path::new(".")).to_path_buf())
    }

    /// Reads one policy. Links are followed if they end inside the folder, as those of a mounted
    /// ConfigMap do (T25).
    ///
    /// # Errors
    /// The reason why the file cannot be used, as text.
    pub fn file(&self, path: &str) -> Result<Arc<str>, String> {
        let unreadable = |error: std::io::Error| format!("{path} cannot be read: {error}");
        let root = fs::canonicalize(&self.0).map_err(unreadable)?;
        let real = fs::canonicalize(root.join(path)).map_err(unreadable)?;
        if !real.starts_with(&root) {
            return Err(format!("{path} leads out of the charter's folder"));
        }
        let bytes = match read_plain_up_to(&real, MAX_POLICY_BYTES) {
            Ok(bytes) => bytes,
            Err(SecretFileError::NotPlain { .. }) => return Err(format!("{path} is not a file")),
            Err(SecretFileError::Endless { .. }) => return Err(too_large(path)),
            Err(error) => return Err(unreadable(error.into())),
        };
        let text = String::from_utf8(bytes).map_err(|_| format!("{path} is not UTF-8"))?;
        Ok(text.into())
    }
}

impl PolicyFiles for PolicyFolder {
    fn read(&self, paths: &[&str]) -> Result<Vec<Arc<str>>, Vec<(usize, String)>> {
        compiled(paths, |path| self.file(path))
    }
}

/// Returns the texts of the policies, if all of them can be read and they compile together.
///
/// # Errors
/// The faults, each with its index in `paths`.
pub fn compiled(
    paths: &[&str],
    text: impl Fn(&str) -> Result<Arc<str>, String>,
) -> Result<Vec<Arc<str>>, Vec<(usize, String)>> {
    let (mut texts, mut faults) = (Vec::new(), Vec::new());
    for (place, path) in paths.iter().enumerate() {
        match text(path) {
            Ok(text) if text.len() as u64 > MAX_POLICY_BYTES => {
                faults.push((place, too_large(path)));
            }
            Ok(text) => texts.push(text),
            Err(why) => faults.push((place, why)),
        }
    }
    if !faults.is_empty() {
        return Err(faults);
    }
    let files = paths.iter().copied().zip(texts.iter().map(|text| &**text));
    match PolicySet::compile(files) {
        Ok(_) => Ok(texts),
        Err(faults) => Err(faults
            .into_iter()
            .map(|fault| (fault.place, fault.to_string()))
            .collect()),
    }
}

fn too_large(path: &str) -> String {
    format!("{path} is larger than {} KiB", MAX_POLICY_BYTES / 1024)
}
