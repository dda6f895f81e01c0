//! Ends leases and proves it. A deletion counts once the API server accepted it, and is verified by
//! a second deletion, which must answer that the object does not exist. The broker therefore needs
//! the right to delete, and none to read.

use std::collections::BTreeSet;

use futures_util::future::{join, join3};
use lanyard_core::lease::LeaseRef;
use lanyard_core::provider::{Probe, ProviderError, Revocation, Revoked};
use lanyard_vocabulary::id::LeaseId;
use lanyard_vocabulary::time::Timestamp;

use crate::api::{Deleted, Kind, KubernetesApi, Object};
use crate::objects::{ASKED_ANNOTATION, LeaseHandle, name, user, user_without_lease};
use crate::provider::{KubernetesProvider, RBAC_CHECK_INTERVAL, RBAC_CHECKS, refused};

const OPERATION: &str = "revoke";
type Outcome = Result<Revoked, ProviderError>;

/// The state of a lease's objects after their deletion.
struct Remains {
    binding: Deleted,
    secret: Deleted,
    account: Deleted,
}

fn unreadable() -> ProviderError {
    refused(OPERATION, "the handle cannot be read")
}

fn kept_by_finalizer(what: &str, lease: LeaseId, namespace: &str) -> ProviderError {
    refused(
        OPERATION,
        format!(
            "{what} `{}` in namespace `{namespace}` is marked as deleted, and a foreign finalizer keeps it",
            name(lease)
        ),
    )
}

impl<A: KubernetesApi> KubernetesProvider<A> {
    async fn delete_object(
        &self,
        lease: LeaseId,
        held: &LeaseHandle,
        kind: Kind,
    ) -> Result<Deleted, ProviderError> {
        let name = name(lease);
        let namespace = if kind == Kind::RoleBinding {
            &held.namespace
        } else {
            &held.home
        };
        self.api
            .delete(Object {
                kind,
                namespace,
                name: &name,
            })
            .await
    }

    /// Deletes a lease's RoleBinding, which ends the token's rights.
    pub(crate) async fn unbind(&self, lease: &LeaseRef) -> Outcome {
        let held = LeaseHandle::read(&lease.handle).ok_or_else(unreadable)?;
        let unbound = self.delete_object(lease.id, &held, Kind::RoleBinding).await;
        if let Err(ProviderError::Refused { .. }) = &unbound {
            // Even without the right to delete bindings, the broker can end the token by deleting
            // the objects it is bound to.
            let bound_to = join(
                self.delete_object(lease.id, &held, Kind::Secret),
                self.delete_object(lease.id, &held, Kind::ServiceAccount),
            );
            let (secret, account) = bound_to.await;
            if let Some(error) = secret.err().or(account.err()) {
                tracing::debug!(%error, lease = %lease.id, "cannot delete the objects that the token is bound to either");
            }
        }
        unbound.map(|_| Revoked::Acknowledged)
    }

    /// Deletes the objects that the token is bound to, verifies the deletions, and asks whether the
    /// rights are gone.
    pub(crate) async fn end(&self, lease: &LeaseRef) -> Outcome {
        let held = LeaseHandle::read(&lease.handle).ok_or_else(unreadable)?;
        let remains = self.delete_objects(lease.id, &held).await?;
        let is_gone = |left: Deleted| left == Deleted::Gone;
        let token_ended = is_gone(remains.secret) && is_gone(remains.account);
        if token_ended {
            self.kept.forget(lease.id);
        } else if !self.kept.is_over(lease.id) {
            let what = if is_gone(remains.secret) {
                "ServiceAccount"
            } else {
                "Secret"
            };
            return Err(kept_by_finalizer(what, lease.id, &held.home));
        }
        if !is_gone(remains.binding) {
            let what = "RoleBinding";
            return Err(kept_by_finalizer(what, lease.id, &held.namespace));
        }
        match self.rights(lease.id, &held).await? {
            Probe::Dead => Ok(Revoked::ProvedDead),
            // The objects are gone. The token is dead once the server's authentication cache has
            // expired, and no call shows that moment.
            Probe::Unknowable => Ok(Revoked::Acknowledged),
            Probe::Live => Err(refused(
                OPERATION,
                format!(
                    "the user of the lease still has its rights in namespace `{}`: another party bound them to `{}`",
                    held.namespace,
                    user(&held.home, lease.id).0
                ),
            )),
        }
    }

    /// Deletes a lease's objects until the API server reports that they are gone, or that a
    /// finalizer keeps them.
    async fn delete_objects(
        &self,
        lease: LeaseId,
        held: &LeaseHandle,
    ) -> Result<Remains, ProviderError> {
        // Delete all three even if one deletion fails: the token ends when either the Secret or the
        // ServiceAccount does.
        let (secret, account, binding) = join3(
            self.delete_object(lease, held, Kind::Secret),
            self.delete_object(lease, held, Kind::ServiceAccount),
            // Again, because a mint in progress may have created the binding after `unbind`.
            self.delete_object(lease, held, Kind::RoleBinding),
        )
        .await;
        let mut remains = Remains {
            secret: secret?,
            account: account?,
            binding: binding?,
        };
        for _ in 0..RBAC_CHECKS {
            let mut all = true;
            for (kind, left) in [
                (Kind::Secret, &mut remains.secret),
                (Kind::ServiceAccount, &mut remains.account),
                (Kind::RoleBinding, &mut remains.binding),
            ] {
                if *left == Deleted::Taken {
                    *left = self.delete_object(lease, held, kind).await?;
                    all &= *left == Deleted::Gone;
                }
            }
            if all {
                break;
            }
            tokio::time::sleep(RBAC_CHECK_INTERVAL).await;
        }
        Ok(remains)
    }

    /// Asks whether a lease's user still has its rights. Repeats the question, because a change of
    /// RBAC takes a moment to reach the authorizer.
    async fn rights(&self, lease: LeaseId, held: &LeaseHandle) -> Result<Probe, ProviderError> {
        let Some(question) = &held.ask else {
            return Ok(Probe::Unknowable);
        };
        let (user, namespace) = (user(&held.home, lease), &held.namespace);
        for _ in 0..RBAC_CHECKS {
            if !self.api.allows(&user, namespace, question).await? {
                return Ok(Probe::Dead);
            }
            tokio::time::sleep(RBAC_CHECK_INTERVAL).await;
        }
        // A right that every service account of the namespace has, also one without a lease, proves
        // nothing about this lease.
        let user_without_lease = user_without_lease(&held.home);
        let anybody = self
            .api
            .allows(&user_without_lease, namespace, question)
            .await?;
        Ok(if anybody {
            Probe::Unknowable
        } else {
            Probe::Live
        })
    }

    /// Asks the authorizer once about the token's user. The token itself was not kept, so it cannot
    /// be tried.
    pub(crate) async fn probe_rights(&self, lease: &LeaseRef) -> Result<Probe, ProviderError> {
        let held = LeaseHandle::read(&lease.handle);
        let Some((held, question)) = held.as_ref().and_then(|it| Some((it, it.ask.as_ref()?)))
        else {
            return Ok(Probe::Unknowable);
        };
        let user = user(&held.home, lease.id);
        let live = self.api.allows(&user, &held.namespace, question).await?;
        Ok(if live { Probe::Live } else { Probe::Dead })
    }

    /// Kills the target's shared Roles issued before `at`: one deletion per Role ends the rights of
    /// all its leases. The objects of each lease are deleted one by one as well.
    pub(crate) async fn cut(&self, revocation: &Revocation, at: Timestamp) {
        let namespaces: BTreeSet<String> = revocation
            .due
            .iter()
            .filter_map(|lease| Some(LeaseHandle::read(&lease.handle)?.namespace))
            .collect();
        for namespace in namespaces {
            let roles = self.api.marked(Kind::Role, &namespace, self.home()).await;
            for role in roles.unwrap_or_default() {
                let asked = role
                    .annotations
                    .get(ASKED_ANNOTATION)
                    .and_then(|text| text.parse().ok());
                // Mints after a re-arm use new Roles, because a Role's name depends on the newest
                // kill order.
                if asked.is_some_and(|asked| Timestamp::from_millis(asked) <= at) {
                    let object = Object {
                        kind: Kind::Role,
                        namespace: &namespace,
                        name: &role.name,
                    };
                    if let Err(error) = self.api.delete(object).await {
                        tracing::warn!(%error, role = role.name, "cannot delete a shared role; its leases are revoked one by one");
                    }
                }
            }
        }
    }
}
