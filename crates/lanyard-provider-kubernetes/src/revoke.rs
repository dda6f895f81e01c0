//! How leases end, and how that is shown. A deletion counts when the API server took it, and is read back by asking for it
//! again: the answer is then that there is nothing of this name. No right but that of deleting is needed for that.

use std::collections::BTreeSet;

use futures_util::future::{join, join3};
use lanyard_core::id::LeaseId;
use lanyard_core::lease::LeaseRef;
use lanyard_core::provider::{Probe, ProviderError, Revocation, Revoked};
use lanyard_core::time::Timestamp;

use crate::api::{Deleted, Kind, KubernetesApi, Object};
use crate::objects::{ASKED, Held, name, nobody, user};
use crate::provider::{ASK_EVERY, ASK_TIMES, KubernetesProvider, refused};

const OPERATION: &str = "revoke";
type Outcome = Result<Revoked, ProviderError>;

/// What is left of the objects of a lease.
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
            "{what} `{}` in namespace `{namespace}` is deleted and still there: a finalizer of somebody else keeps it",
            name(lease)
        ),
    )
}

impl<A: KubernetesApi> KubernetesProvider<A> {
    async fn give_up(
        &self,
        lease: LeaseId,
        held: &Held,
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

    /// Ends what the token may do.
    pub(crate) async fn unbind(&self, lease: &LeaseRef) -> Outcome {
        let held = Held::read(&lease.handle).ok_or_else(unreadable)?;
        let unbound = self.give_up(lease.id, &held, Kind::RoleBinding).await;
        if let Err(ProviderError::Refused { .. }) = &unbound {
            // Where the broker may not delete the binding, the token can end all the same: what it is bound to goes.
            let bound_to = join(
                self.give_up(lease.id, &held, Kind::Secret),
                self.give_up(lease.id, &held, Kind::ServiceAccount),
            );
            let (secret, account) = bound_to.await;
            if let Some(error) = secret.err().or(account.err()) {
                tracing::debug!(%error, lease = %lease.id, "nor could all that its token is bound to be deleted");
            }
        }
        unbound.map(|_| Revoked::Acknowledged)
    }

    /// Ends the token itself, reads back what was deleted, and asks whether its rights are gone.
    pub(crate) async fn end(&self, lease: &LeaseRef) -> Outcome {
        let held = Held::read(&lease.handle).ok_or_else(unreadable)?;
        let remains = self.remains(lease.id, &held).await?;
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
            // The objects are gone, and with them the token, once the server's cache of authentications has ended.
            Probe::Unknowable => Ok(Revoked::Acknowledged),
            Probe::Live => Err(refused(
                OPERATION,
                format!(
                    "the user of the lease still has its rights in namespace `{}`: somebody else bound them to `{}`",
                    held.namespace,
                    user(&held.home, lease.id).0
                ),
            )),
        }
    }

    /// Deletes what belongs to a lease, until the API server says that there is nothing of it, or that something keeps it.
    async fn remains(&self, lease: LeaseId, held: &Held) -> Result<Remains, ProviderError> {
        // All of them, whatever becomes of one: the token ends with either of the first two.
        let (secret, account, binding) = join3(
            self.give_up(lease, held, Kind::Secret),
            self.give_up(lease, held, Kind::ServiceAccount),
            // A mint that was under way may have bound it again.
            self.give_up(lease, held, Kind::RoleBinding),
        )
        .await;
        let mut remains = Remains {
            secret: secret?,
            account: account?,
            binding: binding?,
        };
        for _ in 0..ASK_TIMES {
            let mut all = true;
            for (kind, left) in [
                (Kind::Secret, &mut remains.secret),
                (Kind::ServiceAccount, &mut remains.account),
                (Kind::RoleBinding, &mut remains.binding),
            ] {
                if *left == Deleted::Taken {
                    *left = self.give_up(lease, held, kind).await?;
                    all &= *left == Deleted::Gone;
                }
            }
            if all {
                break;
            }
            tokio::time::sleep(ASK_EVERY).await;
        }
        Ok(remains)
    }

    /// Whether the user of a lease has its rights. A change of RBAC takes a moment to arrive at the authorizer.
    async fn rights(&self, lease: LeaseId, held: &Held) -> Result<Probe, ProviderError> {
        let Some(question) = &held.ask else {
            return Ok(Probe::Unknowable);
        };
        let (user, namespace) = (user(&held.home, lease), &held.namespace);
        for _ in 0..ASK_TIMES {
            if !self.api.allows(&user, namespace, question).await? {
                return Ok(Probe::Dead);
            }
            tokio::time::sleep(ASK_EVERY).await;
        }
        // A right that every service account of this namespace has, one that is none as well, says nothing of this one.
        let nobody = nobody(&held.home);
        let anybody = self.api.allows(&nobody, namespace, question).await?;
        Ok(if anybody {
            Probe::Unknowable
        } else {
            Probe::Live
        })
    }

    /// Asks the authorizer once, for the user that the token stands for: no token is kept to try.
    pub(crate) async fn probed(&self, lease: &LeaseRef) -> Result<Probe, ProviderError> {
        let held = Held::read(&lease.handle);
        let Some((held, question)) = held.as_ref().and_then(|it| Some((it, it.ask.as_ref()?)))
        else {
            return Ok(Probe::Unknowable);
        };
        let user = user(&held.home, lease.id);
        let live = self.api.allows(&user, &held.namespace, question).await?;
        Ok(if live { Probe::Live } else { Probe::Dead })
    }

    /// A kill of the whole target: each shared Role is one write for all of its leases. What is left of
    /// it is deleted with each lease.
    pub(crate) async fn cut(&self, revocation: &Revocation, at: Timestamp) {
        let namespaces: BTreeSet<String> = revocation
            .due
            .iter()
            .filter_map(|lease| Some(Held::read(&lease.handle)?.namespace))
            .collect();
        for namespace in namespaces {
            let roles = self.api.marked(Kind::Role, &namespace, self.home()).await;
            for role in roles.unwrap_or_default() {
                let asked = role
                    .annotations
                    .get(ASKED)
                    .and_then(|text| text.parse().ok());
                // The mints after a re-arm use other Roles: their names hold the newest order.
                if asked.is_some_and(|asked| Timestamp::from_millis(asked) <= at) {
                    let object = Object {
                        kind: Kind::Role,
                        namespace: &namespace,
                        name: &role.name,
                    };
                    if let Err(error) = self.api.delete(object).await {
                        tracing::warn!(%error, role = role.name, "a shared role could not be deleted");
                    }
                }
            }
        }
    }
}
