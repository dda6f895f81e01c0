//! The charters in force: those of the charter directory and those that are Kubernetes objects,
//! side by side. One name, one owner; what does not hold is not in force.

pub(crate) mod config;
mod directory;
mod ending;
mod fresh;
mod kept;
mod objects;
pub(crate) mod webhook;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use lanyard_charter::{Charter, NoPolicies, World, parse_with};
use lanyard_charter_objects::{Finding, Object, StatusWriter};
use lanyard_core::command::Command;
use lanyard_core::condition::Kind;
use lanyard_document::Diagnostic;
use lanyard_engine::Engine;
use lanyard_plan::PolicyFolder;
use lanyard_provider_kubernetes::Cluster;
use lanyard_vocabulary::name::Name;
use lanyard_vocabulary::revision::Revision;
use parking_lot::{Mutex, RwLock};
use tokio::sync::watch;

use crate::identity::Place;

pub(crate) use ending::ending;

use config::ObjectsConfig;
use directory::Directory;
use kept::Kept;
use objects::Objects;

/// The interval at which the directory is looked at.
const LOOK: Duration = Duration::from_millis(500);

/// The sources of charters.
pub(crate) struct Sources<'a> {
    pub(crate) directory: Option<PathBuf>,
    pub(crate) objects: Option<&'a ObjectsConfig>,
    /// Every revision that was ever in force, for the tasks that are pinned to one.
    pub(crate) revisions: PathBuf,
}

/// Keeps the engine's charters equal to what their sources hold.
pub(crate) struct CharterBook {
    directory: Option<Directory>,
    objects: Option<(Objects, Place)>,
    kept: Kept,
    engine: Arc<Engine>,
    /// In force besides what is in the sources: the broker's own.
    own: Option<Charter>,
    /// By file or object, what keeps it out of force.
    problems: RwLock<BTreeMap<String, Vec<String>>>,
    seen: Mutex<Seen>,
}

/// All that the sources hold.
struct Found {
    charters: BTreeMap<Name, Charter>,
    problems: BTreeMap<String, Vec<String>>,
    objects: objects::Read,
    seen: Seen,
}

/// The content that the charters in force were made of.
struct Seen {
    directory: Option<directory::Seen>,
    /// The directory as it was read then.
    read: directory::Read,
    objects: Option<objects::Seen>,
}

impl CharterBook {
    pub(crate) fn new(
        sources: Sources<'_>,
        world: World,
        (engine, own): (Arc<Engine>, Option<Charter>),
    ) -> Self {
        let objects = sources.objects;
        Self {
            directory: sources.directory.map(Directory::new),
            objects: objects.map(|config| (Objects::new(config), config.place.clone())),
            kept: Kept {
                folder: sources.revisions,
                world,
            },
            engine,
            own,
            problems: RwLock::default(),
            seen: Mutex::new(Seen {
                directory: None,
                // What a broker without a directory has of it.
                read: directory::Read::empty(),
                objects: None,
            }),
        }
    }

    /// A charter as it would be read here. The policies that it names have to be beside those in
    /// force.
    pub(crate) fn parsed(&self, text: &str) -> Result<Charter, Vec<Diagnostic>> {
        let world = &self.kept.world;
        let parsed = match &self.directory {
            Some(directory) => {
                let files = PolicyFolder::at(directory.folder.clone());
                parse_with(text, world, &files)
            }
            None => parse_with(text, world, &NoPolicies),
        };
        parsed.map(|parsed| parsed.charter)
    }

    /// Reviews a charter that somebody wants to store as an object.
    ///
    /// # Errors
    /// The findings that refuse it.
    pub(crate) fn reviewed(&self, object: &Object) -> Result<Vec<Finding>, Vec<Finding>> {
        let objects = self.objects.as_ref();
        objects.map_or_else(
            || Ok(Vec::new()),
            |(objects, _)| objects.reviewed(object, &self.kept.world),
        )
    }

    /// Returns the faults that keep files and objects out of force.
    pub(crate) fn problems(&self) -> Vec<String> {
        self.problems.read().values().flatten().cloned().collect()
    }

    /// Returns the number of files and objects that are not in force.
    pub(crate) fn out_of_force(&self) -> usize {
        self.problems.read().len()
    }

    /// Takes in the revisions of earlier days.
    ///
    /// # Errors
    /// When the directory cannot be made or read: the tasks that are pinned to one of them are
    /// denied.
    pub(crate) fn remember(&self) -> std::io::Result<()> {
        self.kept.remember(&self.engine)
    }

    /// Learns the names in the charter directory, and puts nothing in force: a process that only
    /// stops things has to know what there is to stop.
    pub(crate) fn learn(&self) {
        let Some(directory) = &self.directory else {
            return;
        };
        for charter in directory.parsed(&self.kept.world) {
            self.engine.charters().remember(charter);
        }
    }

    /// An operator says that the objects which are held are gone, as these reasons name them; all,
    /// where none are named.
    pub(crate) fn believe_deletions(&self, reasons: &[String]) {
        if let Some((objects, _)) = &self.objects {
            objects.believe_deletions(reasons);
        }
    }

    /// Follows the sources until told to stop. What is said to the API server, and what it says, is
    /// followed beside: nobody waits for it.
    pub(crate) async fn follow(self: Arc<Self>, stop: watch::Receiver<bool>) {
        tokio::join!(self.follow_objects(stop.clone()), self.follow_all(stop));
    }

    async fn follow_objects(&self, stop: watch::Receiver<bool>) {
        let Some((objects, place)) = &self.objects else {
            return;
        };
        let source = &objects.source;
        let place = place.clone();
        let connect = move || {
            let Place {
                kubeconfig,
                context,
            } = place.clone();
            async move {
                let connected = Cluster::connect(kubeconfig.as_deref(), context.as_deref()).await;
                let cluster = connected.map_err(|error| error.to_string())?;
                Ok(cluster.client())
            }
        };
        let reads = lanyard_charter_objects::follow(Arc::clone(source), connect, stop.clone());
        let writer = StatusWriter::new(Arc::clone(source), objects.verdicts());
        tokio::join!(reads, writer.follow(stop));
    }

    async fn follow_all(self: &Arc<Self>, mut stop: watch::Receiver<bool>) {
        let objects = self.objects.as_ref();
        let mut changes = objects.map(|(objects, _)| objects.source.changes());
        while !*stop.borrow() {
            self.look().await;
            let changed = async {
                match &mut changes {
                    Some(changes) => drop(changes.changed().await),
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = tokio::time::sleep(LOOK) => {}
                () = changed => {}
                _ = stop.changed() => {}
            }
        }
    }

    /// Looks once; when anything changed, all of it is read anew and swapped in as a whole. Whoever
    /// writes large charters holds up a thread for such work, and none that serves.
    pub(crate) async fn look(self: &Arc<Self>) {
        let book = Arc::clone(self);
        let Ok(Some(mut found)) = tokio::task::spawn_blocking(move || book.read()).await else {
            return;
        };
        self.say(&found.problems, found.seen.objects.as_ref());
        let read = &found.objects;
        let is_in_force = self.bring_into_force(found.charters, read).await;
        if let Some((objects, _)) = &self.objects {
            let verdicts = std::mem::take(&mut found.objects.verdicts);
            objects.publish(verdicts, is_in_force);
        }
        if is_in_force {
            *self.problems.write() = found.problems;
            // What could not be kept is tried again at the next look.
            let of_files = found.seen.read.all_kept;
            let of_all = of_files && found.objects.all_kept;
            *self.seen.lock() = Seen {
                directory: found.seen.directory.filter(|_| of_files),
                objects: found.seen.objects.filter(|_| of_all),
                read: found.seen.read,
            };
        }
    }

    /// All that the sources hold, where that is not as it was.
    fn read(&self) -> Option<Found> {
        let objects_now = self.objects.as_ref().map(|(objects, _)| objects.seen());
        let found = {
            let seen = self.seen.lock();
            let before = seen.directory.as_ref();
            let directory = self.directory.as_ref();
            let found = directory.and_then(|directory| directory.changed(before));
            if found.is_none() && seen.objects == objects_now {
                return None;
            }
            found
        };
        let (files, files_seen) = match (&self.directory, found) {
            (Some(directory), Some(found)) => {
                let (read, seen) = directory.read_whole(found, &self.kept);
                (read, Some(seen))
            }
            (Some(_) | None, _) => {
                let seen = self.seen.lock();
                (seen.read.clone(), seen.directory.clone())
            }
        };
        let mut charters = files.charters.clone();
        let mut problems = files.problems.clone();
        let mut names = files.names.clone();
        if let Some(own) = &self.own {
            names.insert(own.name.to_string());
            let taken = charters.insert(own.name.clone(), own.clone());
            if let Some(taken) = taken {
                let line = format!(
                    "charter {} is the broker's own: no file may have its name",
                    taken.name
                );
                problems.insert(taken.name.to_string(), vec![line]);
            }
        }
        let objects = self.objects.as_ref();
        let mut objects = objects.map_or_else(objects::Read::empty, |(objects, _)| {
            objects.read(&names, &self.kept)
        });
        charters.append(&mut objects.charters);
        problems.append(&mut objects.problems);
        Some(Found {
            charters,
            problems,
            objects,
            seen: Seen {
                directory: files_seen,
                read: files,
                objects: objects_now,
            },
        })
    }

    /// Tells the log of what is new, and operators of what is not read.
    fn say(&self, problems: &BTreeMap<String, Vec<String>>, objects: Option<&objects::Seen>) {
        let told = self.problems.read();
        for (of, lines) in problems {
            if told.get(of) != Some(lines) {
                for problem in lines {
                    tracing::error!(problem, "a charter is not in force");
                }
            }
        }
        let conditions = self.engine.conditions();
        for kind in [Kind::ChartersUnread, Kind::ChartersDeleted] {
            let reasons = objects.into_iter().flat_map(objects::Seen::reasons);
            conditions.replace(kind, reasons.cloned());
        }
    }

    /// Journals what changed, then swaps. The ledger knows of a withdrawal before the engine
    /// forgets the charter, and of a new revision before the engine uses it: in between, mints are
    /// refused.
    async fn bring_into_force(
        &self,
        charters: BTreeMap<Name, Charter>,
        objects: &objects::Read,
    ) -> bool {
        let before: BTreeMap<Name, Revision> = match self
            .engine
            .context()
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
        // After a start, a charter that no file holds may be an object that was not read yet: the
        // engine knows of none, and denies; the ledger is told once the objects were read.
        let gone = before.keys().filter(|_| !objects.is_waiting);
        for name in gone.filter(|name| !charters.contains_key(*name)) {
            let reason = objects.withdrawn.get(name).cloned();
            let reason = reason
                .unwrap_or_else(|| "the file or object is gone, or does not parse".to_owned());
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
            if let Err(error) = self.engine.context().commit(change).await {
                tracing::error!(%error, "a change of the charters could not be journaled");
                self.hold_back(&charters);
                return false;
            }
        }
        let known = self.engine.charters();
        known.replace(charters.into_values().collect());
        known.note_unread(objects.stale.clone());
        true
    }

    /// Takes out of force whatever the sources have otherwise now, or no more: the journal does not
    /// take the change, and the revision before it may be wider (S34).
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
