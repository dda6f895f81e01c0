//! The charters in force, and the older revisions that open tasks are pinned to.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use lanyard_charter::Charter;
use lanyard_vocabulary::identity::Identity;
use lanyard_vocabulary::name::Name;
use lanyard_vocabulary::revision::Revision;
use parking_lot::RwLock;

/// The charters, replaced as a whole when files change.
#[derive(Debug, Default)]
pub struct Charters {
    books: RwLock<KnownCharters>,
}

#[derive(Debug, Default)]
struct KnownCharters {
    in_force: BTreeMap<Name, Arc<Charter>>,
    unread: BTreeMap<Name, Arc<Charter>>,
    revisions: HashMap<(Name, Revision), Arc<Charter>>,
}

impl Charters {
    /// The charter of this name, if it is in force.
    #[must_use]
    pub fn in_force(&self, name: &Name) -> Option<Arc<Charter>> {
        self.books.read().in_force.get(name).cloned()
    }

    /// True if a charter in force names the identity, whatever its evidence.
    #[must_use]
    pub fn name_agent(&self, identity: &Identity) -> bool {
        let books = self.books.read();
        let mut rules = books.in_force.values().flat_map(|charter| &charter.agents);
        rules.any(|rule| rule.names(identity))
    }

    /// Returns this revision of the charter, in force or not.
    #[must_use]
    pub fn revision(&self, name: &Name, revision: &Revision) -> Option<Arc<Charter>> {
        self.books
            .read()
            .revisions
            .get(&(name.clone(), revision.clone()))
            .cloned()
    }

    /// Every charter in force, by name.
    #[must_use]
    pub fn all(&self) -> Vec<Arc<Charter>> {
        self.books.read().in_force.values().cloned().collect()
    }

    /// Every charter that this process has read, in force or not.
    #[must_use]
    pub fn known(&self) -> Vec<Arc<Charter>> {
        let books = self.books.read();
        let in_force = books.in_force.values().chain(books.unread.values());
        in_force.chain(books.revisions.values()).cloned().collect()
    }

    /// Keeps a revision for tasks pinned to it, without putting it in force.
    pub fn remember(&self, charter: Charter) {
        let key = (charter.name.clone(), charter.revision.clone());
        self.books.write().revisions.insert(key, Arc::new(charter));
    }

    /// The charter as it was last read, if its source has been unreadable for too long. The charter
    /// is not in force.
    #[must_use]
    pub fn unread(&self, name: &Name) -> Option<Arc<Charter>> {
        self.books.read().unread.get(name).cloned()
    }

    /// Sets the charters that would be in force if their sources were readable, so that agents they
    /// name get that reason.
    pub fn note_unread(&self, charters: Vec<Charter>) {
        let charters = charters.into_iter().map(Arc::new);
        let unread = charters.map(|charter| (charter.name.clone(), charter));
        self.books.write().unread = unread.collect();
    }

    /// Puts exactly these charters in force.
    pub fn replace(&self, charters: Vec<Charter>) {
        let mut books = self.books.write();
        books.in_force.clear();
        for charter in charters.into_iter().map(Arc::new) {
            let key = (charter.name.clone(), charter.revision.clone());
            books.revisions.insert(key, Arc::clone(&charter));
            books.in_force.insert(charter.name.clone(), charter);
        }
    }
}
