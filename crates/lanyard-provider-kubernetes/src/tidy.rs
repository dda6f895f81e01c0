//! What leases share in a cluster and none uses any more: a Role is made for each charter revision, grant and kill order, and
//! goes when the last lease that was bound to it has left the books.

use std::collections::BTreeSet;

use lanyard_core::charter::Rights;
use lanyard_core::provider::{InUse, ProviderError};

use crate::api::{Deleted, Kind, KubernetesApi, Object};
use crate::objects::Held;
use crate::provider::KubernetesProvider;
use crate::shared_roles::Key;

/// Shared Roles without a lease that one pass deletes.
///
/// # Limit
/// - for: a cluster
/// - unit: Roles
/// - beyond: the next pass goes on, five minutes later
/// - test: `s21_one_pass_deletes_so_many_roles_and_the_next_goes_on`
const MAX_DELETED_AT_ONCE: usize = 200;

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
        self.roles.forget_uses();
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
