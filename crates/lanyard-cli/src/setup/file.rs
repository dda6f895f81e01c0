//! A file of the user's that other things are in as well: changed as a whole or not at all, and
//! nothing in it but ours.

use std::fs;
use std::io::{self, ErrorKind, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use crate::outcome::Outcome;

/// The largest file that is touched, in bytes.
///
/// # No limit
/// No settings of a tool are that large, and the message names the file.
const LARGEST_FILE_BYTES: u64 = 4 * 1024 * 1024;

pub(super) fn failed(path: &Path, what: &str, error: impl std::fmt::Display) -> Outcome {
    Outcome::usage(format!("{} cannot be {what}: {error}", path.display()))
}

/// Reads the file; returns an empty text if it does not exist.
pub(super) fn read(path: &Path) -> Result<String, Outcome> {
    let found = match fs::metadata(path) {
        Ok(found) => found,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(String::new()),
        Err(error) => return Err(failed(path, "read", error)),
    };
    if !found.is_file() || found.len() > LARGEST_FILE_BYTES {
        return Err(failed(path, "read", "it is no plain file, or too large"));
    }
    fs::read_to_string(path).map_err(|error| failed(path, "read", error))
}

/// Puts this in its place; what a link leads to is what is replaced.
pub(super) fn write(path: &Path, text: &str) -> Result<(), Outcome> {
    replace(path, text).map_err(|error| failed(path, "written", error))
}

fn replace(path: &Path, text: &str) -> io::Result<()> {
    let path: PathBuf = match fs::canonicalize(path) {
        Ok(real) => real,
        Err(error) if error.kind() == ErrorKind::NotFound => path.to_path_buf(),
        Err(error) => return Err(error),
    };
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    let mut beside = path.clone().into_os_string();
    beside.push(format!(".lanyard-{}", std::process::id()));
    let mut file = fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&beside)?;
    let written = file
        .write_all(text.as_bytes())
        .and_then(|()| file.sync_all());
    let kept = written.and_then(|()| match fs::metadata(&path) {
        Ok(before) => file.set_permissions(before.permissions()),
        Err(_) => Ok(()),
    });
    let replaced = kept.and_then(|()| fs::rename(&beside, &path));
    if replaced.is_err() {
        fs::remove_file(&beside)?;
    }
    replaced
}

/// A section of ours in a file of lines, between two comments.
pub(super) struct Section<'a> {
    pub(super) name: &'a str,
}

impl Section<'_> {
    fn marks(&self) -> [String; 2] {
        ["begin", "end"].map(|which| format!("# lanyard: {which} {}", self.name))
    }

    /// The text without it; an error where it begins and does not end.
    pub(super) fn cut(&self, text: &str) -> Result<String, &'static str> {
        let [begin, end] = self.marks();
        let mut kept = String::new();
        let mut within = false;
        for line in text.split_inclusive('\n') {
            let bare = line.trim_end();
            if bare == begin {
                within = true;
            } else if bare == end && within {
                within = false;
            } else if !within {
                kept.push_str(line);
            }
        }
        if within {
            return Err("a section that lanyard began in it does not end");
        }
        Ok(kept)
    }

    /// The text with it at its end.
    pub(super) fn put(&self, text: &str, lines: &str) -> String {
        let [begin, end] = self.marks();
        let gap = if text.is_empty() || text.ends_with('\n') {
            ""
        } else {
            "\n"
        };
        format!("{text}{gap}{begin}\n{}\n{end}\n", lines.trim_end())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_section_comes_and_goes_and_nothing_else_is_touched() {
        let before = "[default]\nregion = eu-west-1\n# mine";
        let section = Section { name: "reports" };
        let with = section.put(before, "[profile reports]\n");
        let cut = section.cut(&with).unwrap();
        assert_eq!(cut.trim_end(), before);
        let other = Section { name: "other" };
        assert_eq!(other.cut(&with).unwrap(), with);
        assert_eq!(
            section.put(&section.cut(&with).unwrap(), "[profile reports]"),
            with
        );
        assert!(
            section
                .cut("# lanyard: begin reports\n[default]\n")
                .is_err()
        );
    }

    #[test]
    fn what_a_link_leads_to_is_replaced_with_its_mode() {
        use std::os::unix::fs::PermissionsExt as _;
        let directory = tempfile::tempdir().unwrap();
        let (real, link) = (directory.path().join("real"), directory.path().join("link"));
        fs::write(&real, "before").unwrap();
        fs::set_permissions(&real, fs::Permissions::from_mode(0o640)).unwrap();
        std::os::unix::fs::symlink(&real, &link).unwrap();
        write(&link, "after").map_err(|_| "refused").unwrap();
        assert_eq!(fs::read_to_string(&real).unwrap(), "after");
        assert_eq!(
            fs::metadata(&real).unwrap().permissions().mode() & 0o777,
            0o640
        );
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    }
}
