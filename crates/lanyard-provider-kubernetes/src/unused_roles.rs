//! Deletes shared Roles that no lease uses. The broker creates a Role for each charter revision,
//! grant and kill order, and deletes it once its last lease has left the ledger.

use std::collections::BTreeSet;

use lanyard_charter::{KubernetesGrant, Rights};
use lanyard_core::provider::{InUse, ProviderError};

use crate::api::{Deleted, Kind, KubernetesApi, Object};
use crate::objects::LeaseHandle;
use crate::provider::KubernetesProvider;
use crate::shared_roles::RoleKey;

/// Unused shared Roles that one pass deletes.
///
/// # Limit
/// - for: a cluster
/// - unit: Roles
/// - beyond: the next pass continues, five minutes later
/// - test: `s21_one_pass_deletes_a_limited_number_of_roles`
const MAX_DELETED_AT_ONCE: usize = 200;

impl<A: KubernetesApi> KubernetesProvider<A> {
    /// Deletes this broker's Roles that no lease uses; returns their number.
    pub(crate) async fn delete_unused(
        &self,
        grants: &[Rights],
        in_use: InUse<'_>,
    ) -> Result<usize, ProviderError> {
        for grant in grants {
            if let Some(grant) = grant.get::<KubernetesGrant>() {
                self.roles.know(&grant.namespace);
            }
        }
        let mut listed: BTreeSet<RoleKey> = BTreeSet::new();
        for namespace in self.roles.namespaces() {
            let roles = self.api.marked(Kind::Role, &namespace, self.home()).await;
            match roles {
                Ok(roles) => {
                    let found = roles.into_iter().map(|role| (namespace.clone(), role.name));
                    listed.extend(found);
                }
                // A namespace that is gone, or that the broker may not list, must not stop the pass
                // over the others.
                Err(error @ ProviderError::Refused { .. }) => {
                    tracing::debug!(%error, namespace, "cannot list the shared roles of a namespace");
                }
                Err(error) => return Err(error),
            }
        }
        if listed.is_empty() {
            return Ok(0);
        }
        // Clear the uses after the list and before the ledger is read: a lease that the ledger does
        // not show yet is still to be minted, and its mint notes the Role again.
        self.roles.forget_uses();
        let Some(handles) = in_use() else {
            return Ok(0);
        };
        let mut used: BTreeSet<RoleKey> = BTreeSet::new();
        for held in handles.iter().filter_map(LeaseHandle::read) {
            self.roles.know(&held.namespace);
            match held.role {
                Some(role) => drop(used.insert((held.namespace, role))),
                // Handles of earlier versions do not name the Role, so each Role of the namespace
                // may be in use.
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
