//! The Roles that leases share: which of them mints are about to bind, and which are being deleted.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use lanyard_core::provider::ProviderError;
use parking_lot::Mutex;

use crate::PROVIDER;

/// Namespaces that are searched for unused Roles and stray bindings.
///
/// # Limit
/// - for: a cluster
/// - unit: namespaces
/// - beyond: leftovers in further namespaces stay; leases there are revoked as elsewhere
/// - test: `s21_namespaces_beyond_the_bound_are_not_searched`
const MAX_NAMESPACES: usize = 1000;
/// The time for which a mint waits until a Role of the same name has been deleted.
const DELETION_WAIT: Duration = Duration::from_secs(5);
/// Interval at which a mint checks whether a Role has been deleted.
const DELETION_CHECK_INTERVAL: Duration = Duration::from_millis(10);

/// Namespace and name of a Role.
pub(crate) type RoleKey = (String, String);

/// The shared Roles that mints of this process are about to bind, and those that are being deleted.
/// No Role is ever both.
#[derive(Default)]
pub(crate) struct Roles {
    state: Mutex<BTreeMap<RoleKey, RoleUse>>,
    /// Roles that mints have used since the last pass read the ledger.
    used_since_pass: Mutex<BTreeSet<RoleKey>>,
    /// Namespaces that can hold Roles and bindings of leases.
    namespaces: Mutex<BTreeSet<String>>,
}

enum RoleUse {
    Minting(usize),
    Deleting,
}

/// Keeps a Role in use by a mint, or under deletion, until dropped.
pub(crate) struct RoleReservation<'a> {
    roles: &'a Roles,
    key: RoleKey,
}

impl Drop for RoleReservation<'_> {
    fn drop(&mut self) {
        let mut state = self.roles.state.lock();
        match state.get_mut(&self.key) {
            Some(RoleUse::Minting(count)) if *count > 1 => *count -= 1,
            Some(RoleUse::Minting(_) | RoleUse::Deleting) | None => drop(state.remove(&self.key)),
        }
    }
}

impl Roles {
    fn try_mint(&self, key: &RoleKey) -> Option<RoleReservation<'_>> {
        let mut state = self.state.lock();
        match state.entry(key.clone()).or_insert(RoleUse::Minting(0)) {
            RoleUse::Minting(count) => *count += 1,
            RoleUse::Deleting => return None,
        }
        self.used_since_pass.lock().insert(key.clone());
        let key = key.clone();
        Some(RoleReservation { roles: self, key })
    }

    /// Reserves a Role for a mint: from before the Role is created until it is bound and its lease
    /// is in the ledger. Waits while the Role is being deleted.
    pub(crate) async fn minting(&self, key: RoleKey) -> Result<RoleReservation<'_>, ProviderError> {
        let held = async {
            loop {
                if let Some(held) = self.try_mint(&key) {
                    return held;
                }
                tokio::time::sleep(DELETION_CHECK_INTERVAL).await;
            }
        };
        let late = |_| ProviderError::Pending {
            provider: PROVIDER,
            operation: "create role",
            code: "the Role of an earlier kill order is being deleted".to_owned(),
        };
        tokio::time::timeout(DELETION_WAIT, held)
            .await
            .map_err(late)
    }

    /// Forgets which Roles mints have used so far.
    pub(crate) fn forget_uses(&self) {
        self.used_since_pass.lock().clear();
    }

    pub(crate) fn deleting(&self, key: RoleKey) -> Option<RoleReservation<'_>> {
        let mut state = self.state.lock();
        if state.contains_key(&key) || self.used_since_pass.lock().contains(&key) {
            return None;
        }
        state.insert(key.clone(), RoleUse::Deleting);
        Some(RoleReservation { roles: self, key })
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
    fn s21_namespaces_beyond_the_bound_are_not_searched() {
        let roles = Roles::default();
        for place in 0..=MAX_NAMESPACES {
            roles.know(&format!("n{place:04}"));
        }
        let known = roles.namespaces();
        assert_eq!(known.len(), MAX_NAMESPACES);
        assert!(!known.contains(&format!("n{MAX_NAMESPACES:04}")));
    }
}
