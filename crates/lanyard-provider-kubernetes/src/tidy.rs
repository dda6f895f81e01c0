//! What leases share in a cluster and none uses any more: a Role is made for each charter revision, grant and kill order, and
//! goes when the last lease that was bound to it has left the books.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use lanyard_core::charter::Rights;
use lanyard_core::provider::{InUse, ProviderError};
use parking_lot::Mutex;

use crate::PROVIDER;
use crate::api::{Deleted, Kind, KubernetesApi, Object};
use crate::objects::Held;
use crate::provider::{ASK_EVERY, KubernetesProvider};

/// Shared Roles without a lease that one pass deletes.
///
/// # Limit
/// - for: a cluster
/// - unit: Roles
/// - beyond: the next pass goes on, five minutes later
/// - test: `s21_one_pass_deletes_so_many_roles_and_the_next_goes_on`
const MAX_DELETED_AT_ONCE: usize = 200;
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

/// A namespace and the name of a Role.
type Key = (String, String);

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

    fn deleting(&self, key: Key) -> Option<Holds<'_>> {
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

    fn know(&self, namespace: &str) {
        let mut namespaces = self.namespaces.lock();
        if namespaces.len() < MAX_NAMESPACES {
            namespaces.insert(namespace.to_owned());
        }
    }
}

impl<A: KubernetesApi> KubernetesProvider<A> {
    /// Deletes the Roles of this broker that no lease is in; how many those were.
    pub(crate) async fn delete_unused(
        &self,
        grants: &[Rights],
        in_use: InUse<'_>,
    ) -> Result<usize, ProviderError> {
        for grant in grants {
            if let Rights::Kubernetes(grant) = grant {
                self.roles.know(&grant.namespace);
            }
        }
        let mut listed: BTreeSet<Key> = BTreeSet::new();
        for namespace in self.roles.namespaces() {
            let roles = self.api.marked(Kind::Role, &namespace, self.home()).await;
            match roles {
                Ok(roles) => {
                    let found = roles.into_iter().map(|role| (namespace.clone(), role.name));
                    listed.extend(found);
                }
                // One namespace that is gone, or closed to the broker, leaves the others.
                Err(error @ ProviderError::Refused { .. }) => {
                    tracing::debug!(%error, namespace, "the shared roles of a namespace cannot be listed");
                }
                Err(error) => return Err(error),
            }
        }
        if listed.is_empty() {
            return Ok(0);
        }
        // After the list, and before the books are looked at: a lease that is not in them has its mint before it, and is
        // noted here.
        self.roles.since.lock().clear();
        let Some(handles) = in_use() else {
            return Ok(0);
        };
        let mut used: BTreeSet<Key> = BTreeSet::new();
        for held in handles.iter().filter_map(Held::read) {
            self.roles.know(&held.namespace);
            match held.role {
                Some(role) => drop(used.insert((held.namespace, role))),
                // A lease of an earlier version does not say which Role it is in.
                None => listed.retain(|(namespace, _)| *namespace != held.namespace),
            }
        }
        let mut deleted = 0;
        for key in listed.difference(&used).take(MAX_DELETED_AT_ONCE) {
            let Some(_held) = self.roles.deleting(key.clone()) else {
                continue;
            };
            let role = Object {
                kind: Kind::Role,
                namespace: &key.0,
                name: &key.1,
            };
            match self.api.delete(role).await? {
                Deleted::Taken | Deleted::Gone => deleted += 1,
            }
        }
        Ok(deleted)
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
