//! The charter directory: what is in it is in force, and what does not parse is not.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use lanyard_charter::{Charter, PolicyFiles, World, is_charter_file, parse_with};
use lanyard_document::{MAX_DOCUMENT_BYTES, Severity, Value, read};
use lanyard_plan::PolicyFolder;
use lanyard_secret_file::read_plain_up_to;
use lanyard_vocabulary::name::Name;

use super::kept::Kept;

/// The number of times that a directory that changes while it is read is read at one look; the next
/// look reads it again.
const TRIES: u32 = 3;

/// The most bytes of a file that are read for a charter.
///
/// # No limit
/// [`MAX_DOCUMENT_BYTES`], which is one.
const MAX_CHARTER_BYTES: u64 = MAX_DOCUMENT_BYTES as u64;

/// The content of the directory.
#[derive(Clone)]
pub(super) struct Read {
    pub(super) charters: BTreeMap<Name, Charter>,
    /// The names that its files have, whatever is wrong with them.
    pub(super) names: BTreeSet<String>,
    /// The faults by file.
    pub(super) problems: BTreeMap<String, Vec<String>>,
    /// True if every revision is on disk, for the tasks that will be pinned to it.
    pub(super) all_kept: bool,
}

impl Read {
    /// Returns the content of no directory.
    pub(super) const fn empty() -> Self {
        Self {
            charters: BTreeMap::new(),
            names: BTreeSet::new(),
            problems: BTreeMap::new(),
            all_kept: true,
        }
    }
}

/// A file's content, or why it cannot be read.
type Content = Result<Arc<[u8]>, String>;

/// Everything that the charters in force were made of. Policies are known by the names that
/// charters give them and read as those are loaded, so whatever loading follows (the links of a
/// mounted ConfigMap) is followed here too.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Seen {
    charters: BTreeMap<PathBuf, Content>,
    policies: BTreeMap<String, Content>,
}

impl Seen {
    /// The charters of the folder, and the policies of these names.
    fn now<'a>(
        directory: &Path,
        policies: impl Iterator<Item = &'a String>,
    ) -> std::io::Result<Self> {
        let mut charters = BTreeMap::new();
        for entry in fs::read_dir(directory)? {
            let path = entry?.path();
            if is_charter_file(&path) {
                let content = read_plain_up_to(&path, MAX_CHARTER_BYTES).map(Arc::from);
                charters.insert(path, content.map_err(|error| error.to_string()));
            }
        }
        let folder = PolicyFolder::at(directory.to_path_buf());
        let policies = policies.map(|name| (name.clone(), policy(&folder, name)));
        Ok(Self {
            policies: policies.collect(),
            charters,
        })
    }
}

fn policy(folder: &PolicyFolder, name: &str) -> Content {
    folder.file(name).map(|text| Arc::from(text.as_bytes()))
}

/// A folder of policies that remembers what was asked of it, as it was just before it was loaded.
struct Asked {
    folder: PolicyFolder,
    policies: RefCell<BTreeMap<String, Content>>,
}

impl PolicyFiles for Asked {
    fn read(&self, paths: &[&str]) -> Result<Vec<Arc<str>>, Vec<(usize, String)>> {
        for path in paths {
            let content = policy(&self.folder, path);
            self.policies
                .borrow_mut()
                .insert((*path).to_owned(), content);
        }
        self.folder.read(paths)
    }
}

/// A folder of charters.
pub(super) struct Directory {
    pub(super) folder: PathBuf,
    /// By file, the name that it had when it could be read last.
    named: parking_lot::Mutex<BTreeMap<PathBuf, String>>,
}

impl Directory {
    pub(super) fn new(folder: PathBuf) -> Self {
        let named = parking_lot::Mutex::default();
        Self { folder, named }
    }

    /// Returns what the folder looks like, if it changed since.
    pub(super) fn changed(&self, before: Option<&Seen>) -> Option<Seen> {
        let known = before.into_iter().flat_map(|seen| seen.policies.keys());
        let found = self.seen_now(known);
        (before != Some(&found)).then_some(found)
    }

    fn seen_now<'a>(&self, policies: impl Iterator<Item = &'a String>) -> Seen {
        Seen::now(&self.folder, policies).unwrap_or_else(|error| {
            tracing::error!(%error, "the charter directory cannot be read: nothing is in force");
            Seen::default()
        })
    }

    /// Parses until nothing has changed in between: a folder that is replaced by a link is replaced
    /// as a whole, and a charter of the old one with a policy of the new one was never meant.
    pub(super) fn read_whole(&self, found: Seen, kept: &Kept) -> (Read, Seen) {
        let mut found = found;
        for _ in 1..TRIES {
            let (read, seen) = self.parse_all(found, kept);
            found = self.seen_now(seen.policies.keys());
            if found == seen {
                return (read, seen);
            }
        }
        self.parse_all(found, kept)
    }

    /// The charters of the folder that hold, whether or not they are in force or kept.
    pub(super) fn parsed(&self, world: &World) -> Vec<Charter> {
        let files = self.seen_now(std::iter::empty()).charters;
        let policies = PolicyFolder::at(self.folder.clone());
        let contents = files.values().filter_map(|content| content.as_ref().ok());
        let texts = contents.filter_map(|bytes| std::str::from_utf8(bytes).ok());
        let parsed = texts.filter_map(|text| parse_with(text, world, &policies).ok());
        parsed.map(|parsed| parsed.charter).collect()
    }

    fn parse_all(&self, files: Seen, kept: &Kept) -> (Read, Seen) {
        let (mut charters, mut problems) = (BTreeMap::new(), BTreeMap::new());
        let mut found =
            |file: &str, lines: Vec<String>| drop(problems.insert(file.to_owned(), lines));
        let (mut twice, mut unkept) = (BTreeSet::new(), BTreeSet::new());
        let mut names = BTreeSet::new();
        let is_there = |path: &PathBuf| files.charters.contains_key(path);
        self.named.lock().retain(|path, _| is_there(path));
        let policies = Asked {
            folder: PolicyFolder::at(self.folder.clone()),
            policies: RefCell::default(),
        };
        for (path, content) in &files.charters {
            let name = path
                .file_name()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned();
            let text = content.as_ref().map(|bytes| std::str::from_utf8(bytes));
            names.extend(self.name_of(path, text.ok().and_then(Result::ok)));
            let text = match text {
                Ok(Ok(text)) => text,
                Ok(Err(_)) => {
                    found(&name, vec![format!("{name}: not UTF-8")]);
                    continue;
                }
                Err(why) => {
                    found(&name, vec![format!("{name}: {why}")]);
                    continue;
                }
            };
            match parse_with(text, &kept.world, &policies) {
                Ok(parsed) => {
                    // A task that is opened under a revision has to be judged by it after a restart
                    // too. Where it cannot be kept, neither it nor the one before it, which may be
                    // wider, is in force (S34).
                    if let Err(error) = kept.keep(text, &parsed.charter) {
                        let line = unkept_line(&name, &parsed.charter, (kept, &error));
                        found(&name, vec![line]);
                        unkept.insert(parsed.charter.name);
                    } else if let Some(other) =
                        charters.insert(parsed.charter.name.clone(), parsed.charter)
                    {
                        let line = format!("{name}: another file holds charter {} too", other.name);
                        found(&name, vec![line]);
                        twice.insert(other.name);
                    }
                }
                Err(findings) => {
                    let errors = findings.iter();
                    let errors = errors.filter(|finding| finding.severity() == Severity::Error);
                    found(&name, errors.map(|finding| finding.line(&name)).collect());
                }
            }
        }
        // Neither of two is in force, nor the third.
        charters.retain(|name, _| !twice.contains(name) && !unkept.contains(name));
        let read = Read {
            charters,
            names,
            problems,
            all_kept: unkept.is_empty(),
        };
        let seen = Seen {
            charters: files.charters,
            policies: policies.policies.into_inner(),
        };
        (read, seen)
    }

    /// The name that a file has, or had when it could be read: a file that somebody has just broken
    /// gives its name to no object.
    fn name_of(&self, path: &Path, text: Option<&str>) -> Option<String> {
        let mut named = self.named.lock();
        if let Some(name) = text.and_then(name_in) {
            named.insert(path.to_path_buf(), name);
        }
        named.get(path).cloned()
    }
}

/// `metadata.name`, whatever else there is.
fn name_in(text: &str) -> Option<String> {
    fn field<'a>(value: &'a Value, name: &str) -> Option<&'a Value> {
        let Value::Map(entries) = value else {
            return None;
        };
        let is = |value: &Value| matches!(value, Value::Scalar { text, .. } if text == name);
        let found = entries.iter().find(|(key, _)| is(&key.value));
        found.map(|(_, value)| &value.value)
    }
    let root = read(text).ok()?;
    match field(field(&root.value, "metadata")?, "name")? {
        Value::Scalar { text, .. } => Some(text.clone()),
        Value::List(_) | Value::Map(_) => None,
    }
}

/// Returns the log line about a revision that does not get to the disk.
pub(super) fn unkept_line(
    of: &str,
    charter: &Charter,
    (kept, error): (&Kept, &std::io::Error),
) -> String {
    format!(
        "{of}: charter {} is not in force: its revision cannot be kept in `{}`: {error}",
        charter.name,
        kept.folder.display()
    )
}
