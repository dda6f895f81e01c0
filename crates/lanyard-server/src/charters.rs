//! The charter directory: what is in it is in force, and what does not parse is not.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use lanyard_core::charter::{
    Charter, Name, PolicyFiles, Revision, World, is_charter_file, parse_with,
};
use lanyard_core::command::Command;
use lanyard_core::document::{Diagnostic, MAX_DOCUMENT_BYTES, Severity};
use lanyard_engine::Engine;
use lanyard_plan::PolicyFolder;
use lanyard_secret_file::{read_plain_text, read_plain_up_to};
use parking_lot::RwLock;
use tokio::sync::watch;

/// What a charter's file is called among the revisions, with its policies beside it.
const CHARTER: &str = "charter.yaml";
/// How often the directory is looked at.
const LOOK: Duration = Duration::from_millis(500);
/// How often a directory that changes while it is read is read at one look; the next look reads it again.
const TRIES: u32 = 3;

/// As much of a file as is read for a charter.
///
/// # No limit
/// [`MAX_DOCUMENT_BYTES`], which is one.
const MAX_CHARTER_BYTES: u64 = MAX_DOCUMENT_BYTES as u64;

/// What the directory holds.
struct Read {
    charters: BTreeMap<Name, Charter>,
    /// By file.
    problems: BTreeMap<String, Vec<String>>,
    /// Whether every revision is on disk, for the tasks that will be pinned to it.
    all_kept: bool,
}

/// Keeps the engine's charters equal to the directory.
pub(crate) struct CharterDirectory {
    directory: PathBuf,
    /// Every revision that was ever in force, for the tasks that are pinned to one.
    revisions: PathBuf,
    world: World,
    engine: Arc<Engine>,
    /// In force besides what is in the directory: the broker's own.
    own: Option<Charter>,
    /// By file, what keeps it out of force.
    problems: RwLock<BTreeMap<String, Vec<String>>>,
    seen: parking_lot::Mutex<Option<Seen>>,
}

/// A file's content, or why it cannot be read.
type Content = Result<Arc<[u8]>, String>;

/// Everything that the charters in force were made of. Policies are known by the names that charters give them and read as
/// those are loaded, so whatever loading follows (the links of a mounted ConfigMap) is followed here too.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Seen {
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

impl CharterDirectory {
    pub(crate) fn new(
        directory: PathBuf,
        revisions: PathBuf,
        world: World,
        (engine, own): (Arc<Engine>, Option<Charter>),
    ) -> Self {
        let (problems, seen) = (RwLock::default(), parking_lot::Mutex::default());
        Self {
            directory,
            revisions,
            world,
            engine,
            own,
            problems,
            seen,
        }
    }

    /// A charter as it would be read here. The policies that it names have to be beside those in force.
    pub(crate) fn parsed(&self, text: &str) -> Result<Charter, Vec<Diagnostic>> {
        let files = PolicyFolder::at(self.directory.clone());
        parse_with(text, &self.world, &files).map(|parsed| parsed.charter)
    }

    /// What keeps files out of force.
    pub(crate) fn problems(&self) -> Vec<String> {
        self.problems.read().values().flatten().cloned().collect()
    }

    /// How many files are not in force.
    pub(crate) fn out_of_force(&self) -> usize {
        self.problems.read().len()
    }

    /// Takes in the revisions of earlier days.
    ///
    /// # Errors
    /// When the directory cannot be made or read: the tasks that are pinned to one of them are denied.
    pub(crate) fn remember(&self) -> std::io::Result<()> {
        fs::create_dir_all(&self.revisions)?;
        for entry in fs::read_dir(&self.revisions)? {
            let entry = entry?;
            if entry.file_name().to_string_lossy().starts_with('.') {
                continue;
            }
            let folder = entry.path();
            match self.kept(&folder) {
                Some(charter) => self.engine.charters().remember(charter),
                None => tracing::warn!(
                    folder = %folder.display(),
                    "an earlier revision of a charter cannot be read, or does not hold any more: its tasks are denied"
                ),
            }
        }
        Ok(())
    }

    /// A revision that was kept, if all of it is there.
    fn kept(&self, folder: &Path) -> Option<Charter> {
        let text = read_plain_text(&folder.join(CHARTER)).ok()?;
        let policies = PolicyFolder::at(folder.to_owned());
        let parsed = parse_with(&text, &self.world, &policies).ok()?;
        Some(parsed.charter)
    }

    /// Follows the directory until told to stop.
    pub(crate) async fn follow(self: Arc<Self>, mut stop: watch::Receiver<bool>) {
        while !*stop.borrow() {
            self.look().await;
            tokio::select! {
                () = tokio::time::sleep(LOOK) => {}
                _ = stop.changed() => {}
            }
        }
    }

    /// Looks once; when anything changed, all of it is read anew and swapped in as a whole.
    pub(crate) async fn look(&self) {
        let before = self.seen.lock().clone();
        let known = before.iter().flat_map(|seen| seen.policies.keys());
        let found = self.seen_now(known);
        if before.as_ref() == Some(&found) {
            return;
        }
        let (read, seen) = self.read_whole(found);
        let Read {
            mut charters,
            mut problems,
            all_kept,
        } = read;
        if let Some(own) = &self.own {
            let taken = charters.insert(own.name.clone(), own.clone());
            if let Some(taken) = taken {
                let line = format!(
                    "charter {} is the broker's own: no file may have its name",
                    taken.name
                );
                problems.insert(taken.name.to_string(), vec![line]);
            }
        }
        for problem in problems.values().flatten() {
            tracing::error!(problem, "a charter is not in force");
        }
        if self.bring_into_force(charters).await {
            *self.problems.write() = problems;
            // What could not be kept is tried again at the next look.
            *self.seen.lock() = all_kept.then_some(seen);
        }
    }

    fn seen_now<'a>(&self, policies: impl Iterator<Item = &'a String>) -> Seen {
        Seen::now(&self.directory, policies).unwrap_or_else(|error| {
            tracing::error!(%error, "the charter directory cannot be read: nothing is in force");
            Seen::default()
        })
    }

    /// Parses until nothing has changed in between: a folder that is replaced by a link is replaced as a whole, and a
    /// charter of the old one with a policy of the new one was never meant.
    fn read_whole(&self, found: Seen) -> (Read, Seen) {
        let mut found = found;
        for _ in 1..TRIES {
            let (read, seen) = self.parse_all(found);
            found = self.seen_now(seen.policies.keys());
            if found == seen {
                return (read, seen);
            }
        }
        self.parse_all(found)
    }

    fn parse_all(&self, files: Seen) -> (Read, Seen) {
        let (mut charters, mut problems) = (BTreeMap::new(), BTreeMap::new());
        let mut found =
            |file: &str, lines: Vec<String>| drop(problems.insert(file.to_owned(), lines));
        let (mut twice, mut unkept) = (BTreeSet::new(), BTreeSet::new());
        let policies = Asked {
            folder: PolicyFolder::at(self.directory.clone()),
            policies: RefCell::default(),
        };
        for (path, content) in &files.charters {
            let name = path
                .file_name()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned();
            let bytes = match content {
                Ok(bytes) => bytes,
                Err(why) => {
                    found(&name, vec![format!("{name}: {why}")]);
                    continue;
                }
            };
            let Ok(text) = std::str::from_utf8(bytes) else {
                found(&name, vec![format!("{name}: not UTF-8")]);
                continue;
            };
            match parse_with(text, &self.world, &policies) {
                Ok(parsed) => {
                    // A task that is opened under a revision has to be judged by it after a restart too. Where it cannot be
                    // kept, neither it nor the one before it, which may be wider, is in force (S34).
                    let kept = self.keep(text, &parsed.charter);
                    if let Err(error) = kept {
                        let line = format!(
                            "{name}: charter {} is not in force: its revision cannot be kept in `{}`: {error}",
                            parsed.charter.name,
                            self.revisions.display()
                        );
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
            problems,
            all_kept: unkept.is_empty(),
        };
        let seen = Seen {
            charters: files.charters,
            policies: policies.policies.into_inner(),
        };
        (read, seen)
    }

    /// Writes a revision down with all that it is made of, as a folder that is there whole or not at all.
    fn keep(&self, text: &str, charter: &Charter) -> std::io::Result<()> {
        let name = charter.revision.as_str().replace(':', "-");
        let folder = self.revisions.join(&name);
        if folder.exists() {
            if self
                .kept(&folder)
                .is_some_and(|kept| kept.revision == charter.revision)
            {
                return Ok(());
            }
            // A crash, or somebody, left a part of it, or something else in its place.
            if folder.is_dir() {
                fs::remove_dir_all(&folder)?;
            } else {
                fs::remove_file(&folder)?;
            }
        }
        let temporary = self.revisions.join(format!(".{name}.new"));
        if temporary.exists() {
            fs::remove_dir_all(&temporary)?;
        }
        let policies = charter.policies().iter();
        let files = policies.map(|policy| (policy.path.as_str(), &*policy.text));
        for (path, text) in files.chain([(CHARTER, text)]) {
            let path = temporary.join(path);
            fs::create_dir_all(path.parent().unwrap_or(&temporary))?;
            fs::write(&path, text)?;
            fs::File::open(&path)?.sync_all()?;
            fs::File::open(path.parent().unwrap_or(&temporary))?.sync_all()?;
        }
        fs::rename(temporary, folder)?;
        fs::File::open(&self.revisions)?.sync_all()
    }

    /// Journals what changed, then swaps. The ledger knows of a withdrawal before the engine forgets the
    /// charter, and of a new revision before the engine uses it: in between, mints are refused.
    async fn bring_into_force(&self, charters: BTreeMap<Name, Charter>) -> bool {
        let before: BTreeMap<Name, Revision> = match self
            .engine
            .query(|state| {
                state
                    .all_in_force()
                    .map(|(name, revision)| (name.clone(), revision.clone()))
                    .collect()
            })
            .await
        {
            Ok(before) => before,
            Err(error) => {
                tracing::error!(%error, "the charters cannot be compared with the ledger");
                self.hold_back(&charters);
                return false;
            }
        };
        let mut changes = Vec::new();
        for name in before.keys().filter(|name| !charters.contains_key(*name)) {
            let reason = "the file is gone or does not parse".to_owned();
            changes.push(Command::CharterWithdrawn {
                charter: name.clone(),
                reason,
            });
        }
        for charter in charters
            .values()
            .filter(|charter| before.get(&charter.name) != Some(&charter.revision))
        {
            changes.push(Command::CharterInForce {
                charter: charter.name.clone(),
                revision: charter.revision.clone(),
                breakers: charter.breakers.clone(),
            });
        }
        for change in changes {
            if let Err(error) = self.engine.record(change).await {
                tracing::error!(%error, "a change of the charters could not be journaled");
                self.hold_back(&charters);
                return false;
            }
        }
        self.engine
            .charters()
            .replace(charters.into_values().collect());
        true
    }
}

impl CharterDirectory {
    /// Takes out of force whatever the directory has otherwise now, or no more: the journal does not take the change, and
    /// the revision before it may be wider (S34).
    fn hold_back(&self, charters: &BTreeMap<Name, Charter>) {
        let in_force = self.engine.charters().all();
        let unchanged = in_force.into_iter().filter(|old| {
            let new = charters.get(&old.name);
            new.is_some_and(|new| new.revision == old.revision)
        });
        let unchanged = unchanged.map(|charter| Charter::clone(&charter)).collect();
        self.engine.charters().replace(unchanged);
    }
}

#[cfg(test)]
mod tests;
