//! Roles that leases share: which of them mints are about to bind, and which are being deleted.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use lanyard_core::provider::ProviderError;
use parking_lot::Mutex;

use crate::PROVIDER;

/// Namespaces in which shared Roles and bindings without a lease are looked for.
///
/// # Limit
/// - for: a cluster
/// - unit: namespaces
/// - beyond: what is left in another namespace stays; leases there are revoked like any other
/// - test: `s21_namespaces_beyond_the_bound_are_not_looked_through`
const MAX_NAMESPACES: usize = 1000;
/// How long a mint waits for the deletion of a Role of its name.
const WAIT: Duration = Duration::from_secs(5);
/// How often it is asked whether a Role is deleted.
const ASK_EVERY: Duration = Duration::from_millis(10);

/// A namespace and the name of a Role.
pub(crate) type Key = (String, String);

/// Which shared Roles mints of this process are about to bind, and which are being deleted: never both.
#[derive(Default)]
pub(crate) struct Roles {
    state: Mutex<BTreeMap<Key, Use>>,
    /// The Roles that mints have used since the last pass asked which are in use.
    since: Mutex<BTreeSet<Key>>,
    /// Where Roles and bindings of leases can be.
    namespaces: Mutex<BTreeSet<String>>,
}

enum Use {
    Minting(usize),
    Deleting,
}

/// A Role that is used by a mint, or that is being deleted, until this is dropped.
pub(crate) struct Holds<'a> {
    roles: &'a Roles,
    key: Key,
}

impl Drop for Holds<'_> {
    fn drop(&mut self) {
        let mut state = self.roles.state.lock();
        match state.get_mut(&self.key) {
            Some(Use::Minting(count)) if *count > 1 => *count -= 1,
            Some(Use::Minting(_) | Use::Deleting) | None => drop(state.remove(&self.key)),
        }
    }
}

impl Roles {
    fn try_mint(&self, key: &Key) -> Option<Holds<'_>> {
        let mut state = self.state.lock();
        match state.entry(key.clone()).or_insert(Use::Minting(0)) {
            Use::Minting(count) => *count += 1,
            Use::Deleting => return None,
        }
        self.since.lock().insert(key.clone());
        let key = key.clone();
        Some(Holds { roles: self, key })
    }

    /// For a mint, from before the Role is made until it is bound and the lease is in the books.
    pub(crate) async fn minting(&self, key: Key) -> Result<Holds<'_>, ProviderError> {
        let held = async {
            loop {
                if let Some(held) = self.try_mint(&key) {
                    return held;
                }
                tokio::time::sleep(ASK_EVERY).await;
            }
        };
        let late = |_| ProviderError::Pending {
            provider: PROVIDER,
            operation: "create role",
            code: "the Role of an earlier kill order is being deleted".to_owned(),
        };
        tokio::time::timeout(WAIT, held).await.map_err(late)
    }

    /// From now on is noted anew which Roles mints use.
    pub(crate) fn forget_uses(&self) {
        self.since.lock().clear();
    }

    pub(crate) fn deleting(&self, key: Key) -> Option<Holds<'_>> {
        let mut state = self.state.lock();
        if state.contains_key(&key) || self.since.lock().contains(&key) {
            return None;
        }
        state.insert(key.clone(), Use::Deleting);
        Some(Holds { roles: self, key })
    }

    pub(crate) fn namespaces(&self) -> Vec<String> {
        self.namespaces.lock().iter().cloned().collect()
    }

    pub(crate) fn know(&self, namespace: &str) {
        let mut namespaces = self.namespaces.lock();
        if namespaces.len() < MAX_NAMESPACES {
            namespaces.insert(namespace.to_owned());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s21_namespaces_beyond_the_bound_are_not_looked_through() {
        let roles = Roles::default();
        for place in 0..=MAX_NAMESPACES {
            roles.know(&format!("n{place:04}"));
        }
        let known = roles.namespaces();
        assert_eq!(known.len(), MAX_NAMESPACES);
        assert!(!known.contains(&format!("n{MAX_NAMESPACES:04}")));
    }
}
