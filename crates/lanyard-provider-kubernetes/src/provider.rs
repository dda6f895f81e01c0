//! The provider of one cluster: creates a lease's objects and deletes them.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::future::join;
use futures_util::{StreamExt as _, stream};
use lanyard_charter::kinds::{Credential, KubernetesCredential};
use lanyard_charter::{KubernetesGrant, KubernetesRights, PolicyRule, ProhibitedRequests, Rights};
use lanyard_core::checkpoint::JournalCheckpoint;
use lanyard_core::lease::{Handle, LeaseRef};
use lanyard_core::provider::{
    Capabilities, FoundCredential, InUse, MintRequest, Minted, PrepareError, Prepared, Probe,
    Provider, ProviderError, Rehearsed, Revocability, Revocation, RevocationReport, Revoked,
};
use lanyard_vocabulary::id::LeaseId;
use lanyard_vocabulary::role::Role;
use lanyard_vocabulary::secret::Secret;
use lanyard_vocabulary::time::Timestamp;
use tokio::time::{Instant, timeout_at};

use crate::PROVIDER;
use crate::answer::ambiguous;
use crate::api::{Kind, KubernetesApi, Marked, Object, RoleRef, TokenAsk};
use crate::finalizers::KeptByFinalizer;
use crate::objects::{
    HANDLE_ANNOTATION, LEASE_ANNOTATION, LeaseHandle, lease_marks, name, role_marks, role_name,
};
use crate::rules::{digest, exceeding};
use crate::shared_roles::Roles;

/// The shortest life that TokenRequest gives, in seconds. The broker ends a shorter lease itself.
/// <https://kubernetes.io/docs/reference/kubernetes-api/authentication-resources/token-request-v1/>
const SHORTEST_TOKEN_LIFE_SECS: u64 = 600;
/// A life in seconds that must never be requested: some servers take exactly this number for a
/// legacy request of a kubelet and extend the token to a year.
const LEGACY_EXTENDED_LIFE_SECS: u64 = 3607;
/// The time for which an API server accepts a cached token after the bound object was deleted.
const AUTHENTICATION_CACHE: Duration = Duration::from_secs(10);
/// The longest that an API server works on a request (`--request-timeout`, one minute), and some
/// seconds for the network.
/// <https://kubernetes.io/docs/reference/command-line-tools-reference/kube-apiserver/>
const LATE_REQUEST_TIME: Duration = Duration::from_secs(70);
/// The time after its expiry a token is accepted: one minute of leeway, and the authentication
/// cache.
const EXPIRY_LEEWAY: Duration = Duration::from_secs(70);
/// Tolerance for an expiry that differs from the requested one by the server's clock and rounding.
const EXPIRY_ROUNDING: Duration = Duration::from_secs(5);
/// Name of the object that a drill's canary may read, in a namespace of its own.
pub const DRILLED: &str = "lanyard-drill";
/// Name of the ConfigMap in which the cluster remembers the journal's length.
const WITNESS_CONFIG_MAP: &str = "lanyard-witness";
const WITNESS_KEY: &str = "journal";
/// Number of leases that are revoked concurrently.
const CONCURRENT_REVOCATIONS: usize = 16;
/// Time limit of one round of revocations or proofs. It is shorter than the engine's time limit, so
/// that the round can report what it finished.
const ROUND_TIME: Duration = Duration::from_secs(20);
/// Time limit for deleting shared Roles at a kill. The leases are revoked one by one as well, so a
/// hanging list delays nothing else.
const CUT_TIME: Duration = Duration::from_secs(5);
/// Interval of the checks whether a change of RBAC has taken effect; with the number of checks
/// below, half a second in total.
pub(crate) const RBAC_CHECK_INTERVAL: Duration = Duration::from_millis(10);
pub(crate) const RBAC_CHECKS: u32 = 50;

/// A configured Kubernetes cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KubernetesTarget {
    /// The broker's namespace, which holds nothing but the ServiceAccounts and Secrets of leases.
    pub namespace: String,
    /// The ClusterRoles that charters may name, each with the digest of the rules that it must
    /// have.
    pub cluster_roles: BTreeMap<String, String>,
    /// Rights that every authenticated user of this cluster has, as the operator declares them
    /// (OpenShift gives some). They do not count as exceeding a grant.
    pub baseline: Vec<PolicyRule>,
}

/// Mints and revokes leases in one cluster.
pub struct KubernetesProvider<A> {
    pub(crate) target: KubernetesTarget,
    pub(crate) api: A,
    pub(crate) kept: KeptByFinalizer,
    pub(crate) roles: Roles,
}

pub(crate) fn refused(operation: &'static str, code: impl Into<String>) -> ProviderError {
    ProviderError::Refused {
        provider: PROVIDER,
        operation,
        code: code.into(),
    }
}

fn late() -> ProviderError {
    ambiguous(
        "revoke",
        "the time was used up by calls for this lease or for others",
    )
}

fn excessive(operation: &'static str, found: String) -> ProviderError {
    ProviderError::Excessive {
        provider: PROVIDER,
        operation,
        found,
    }
}

fn seconds(request: &MintRequest) -> u64 {
    let whole = request
        .expires
        .since(request.now)
        .as_millis()
        .div_ceil(1000);
    let whole = u64::try_from(whole)
        .unwrap_or(u64::MAX)
        .max(SHORTEST_TOKEN_LIFE_SECS);
    if whole == LEGACY_EXTENDED_LIFE_SECS {
        whole + 1
    } else {
        whole
    }
}

fn worst_expiry(request: &MintRequest) -> Timestamp {
    request.now + Duration::from_secs(seconds(request)) + EXPIRY_ROUNDING
}

fn grant(request: &MintRequest) -> Option<&KubernetesGrant> {
    request.rights.get()
}

impl<A: KubernetesApi> KubernetesProvider<A> {
    /// A provider for `target`, with `api` as the way to the cluster.
    pub fn new(target: KubernetesTarget, api: A) -> Self {
        Self {
            target,
            api,
            kept: KeptByFinalizer::default(),
            roles: Roles::default(),
        }
    }

    pub(crate) fn home(&self) -> &str {
        &self.target.namespace
    }

    /// The lease that a marked object claims to belong to.
    fn found(&self, object: &Marked) -> Option<(LeaseId, Handle)> {
        let handle = Handle(object.annotations.get(HANDLE_ANNOTATION)?.as_str().into());
        // Only an object whose name and namespace are those that this target gives: anybody can
        // copy labels and annotations.
        LeaseHandle::read(&handle).filter(|held| held.home == self.home())?;
        let lease: LeaseId = object.annotations.get(LEASE_ANNOTATION)?.parse().ok()?;
        (name(lease) == object.name).then_some((lease, handle))
    }

    /// Creates or reads the role of the lease; returns the reference for the binding, and the
    /// rules.
    async fn role(
        &self,
        request: &MintRequest,
        grant: &KubernetesGrant,
    ) -> Result<(RoleRef, Vec<PolicyRule>), ProviderError> {
        match &grant.rights {
            KubernetesRights::Rules(rules) => {
                let name = role_name(self.home(), request, rules);
                let marks = role_marks(self.home(), request);
                let there = self
                    .api
                    .create_role(&grant.namespace, &name, &marks, rules)
                    .await?;
                let edited = there.is_some_and(|there| {
                    there.iter().collect::<BTreeSet<_>>() != rules.iter().collect()
                });
                if edited {
                    let what = format!("role {name} in {} was edited", grant.namespace);
                    return Err(refused("create role", what));
                }
                Ok((RoleRef::Role(name), rules.clone()))
            }
            KubernetesRights::ClusterRole(name) => {
                let rules = self.cluster_role(request, name).await?;
                Ok((RoleRef::ClusterRole(name.clone()), rules))
            }
        }
    }

    /// Checks a ClusterRole, which belongs to others: it must have the pinned digest, and hold no
    /// more than a charter's own rules may.
    async fn cluster_role(
        &self,
        request: &MintRequest,
        name: &str,
    ) -> Result<Vec<PolicyRule>, ProviderError> {
        let no = |why: String| refused("bind clusterrole", format!("{name}: {why}"));
        let Some(pinned) = self.target.cluster_roles.get(name) else {
            return Err(no("it is not in `cluster_roles` of the target".to_owned()));
        };
        let found = self
            .api
            .cluster_role(name)
            .await?
            .ok_or_else(|| no("it does not exist".to_owned()))?;
        if found.aggregated || found.urls {
            return Err(no(
                "it is aggregated from others, or has rules on URLs".to_owned()
            ));
        }
        let now = digest(&found.rules);
        if now != *pinned {
            return Err(no(format!(
                "its rules have the digest {now}, and the configuration pins {pinned}"
            )));
        }
        for rule in &found.rules {
            let bad = rule.never_given().next().or_else(|| {
                let plan = request.role == Role::Plan;
                plan.then(|| rule.more_than_reading().next()).flatten()
            });
            if let Some(what) = bad {
                return Err(no(format!("it holds {what}")));
            }
            let prohibition = request.prohibited.iter().find(|prohibition| {
                let requests: Option<&ProhibitedRequests> = prohibition.what.get();
                requests.is_some_and(|ProhibitedRequests(bad)| rule.is_touched_by(bad))
            });
            if let Some(prohibition) = prohibition {
                return Err(no(format!("prohibited: {}", prohibition.reason)));
            }
        }
        Ok(found.rules)
    }

    /// Checks with the token itself that it has no right beyond the grant (rule 19), and waits
    /// until the granted rights have taken effect, so that the agent never gets a token without
    /// them.
    async fn check_rights(
        &self,
        token: &Secret<String>,
        namespace: &str,
        granted: &[PolicyRule],
    ) -> Result<(), ProviderError> {
        const OPERATION: &str = "create selfsubjectrulesreviews";
        let expected = [granted, &self.target.baseline].concat();
        for _ in 0..RBAC_CHECKS {
            let allowed = self.api.rules_of(token, namespace).await?;
            if let Some(more) = exceeding(&allowed.rules, &expected) {
                return Err(excessive(
                    OPERATION,
                    format!(
                        "more than was granted: {more}; if every user of the cluster has that right, declare it in the target's `baseline`"
                    ),
                ));
            }
            if allowed.incomplete {
                tracing::warn!(
                    namespace,
                    "an authorizer of the cluster does not list its rules, so the check of the rights is incomplete"
                );
            }
            if exceeding(granted, &allowed.rules).is_none() {
                return Ok(());
            }
            tokio::time::sleep(RBAC_CHECK_INTERVAL).await;
        }
        tracing::warn!(
            namespace,
            "the lease's rights have not taken effect yet; the credential is issued anyway"
        );
        Ok(())
    }
}

#[async_trait]
impl<A: KubernetesApi> Provider for KubernetesProvider<A> {
    fn capabilities(&self) -> Capabilities {
        Capabilities {
            provider: PROVIDER,
            settle_time: AUTHENTICATION_CACHE,
            max_batch: 1000,
            rewrites_whole_document: false,
            can_list: true,
            can_prove: true,
            mint_timeout: Duration::from_secs(20),
            late_request_time: LATE_REQUEST_TIME,
            leeway: EXPIRY_LEEWAY,
        }
    }

    fn revocability(&self, rights: &Rights) -> Revocability {
        let grant = rights.get::<KubernetesGrant>();
        let streams = grant.is_some_and(|grant| match &grant.rights {
            KubernetesRights::Rules(rules) => rules.iter().any(PolicyRule::opens_streams),
            // The rules are unknown before the mint, so the worst case is assumed.
            KubernetesRights::ClusterRole(_) => true,
        });
        Revocability {
            mechanism: "its role binding is deleted, then the secret that its token is bound to, and its service \
                        account"
                .to_owned(),
            worst_case: (!streams).then_some(AUTHENTICATION_CACHE),
            source: if streams {
                "an API server does not close a watch, a log or a shell when its token is refused".to_owned()
            } else {
                "the API server's cache of authentications, 10 s; measured on 1.36: refused within 8 ms"
                    .to_owned()
            },
        }
    }

    fn prepare(&self, request: &MintRequest) -> Result<Prepared, PrepareError> {
        let Some(grant) = grant(request) else {
            let kind = request.rights.provider();
            return Err(PrepareError::Unsupported(format!(
                "a kubernetes target mints no {kind} credentials"
            )));
        };
        if grant.namespace == self.target.namespace {
            return Err(PrepareError::Unsupported(format!(
                "{} is the broker's own namespace",
                grant.namespace
            )));
        }
        let document = match &grant.rights {
            KubernetesRights::Rules(rules) => serde_json::json!(rules),
            KubernetesRights::ClusterRole(name) => serde_json::json!({"clusterRole": name}),
        };
        Ok(Prepared {
            handle: LeaseHandle::new(self.home(), request, grant).handle(),
            worst_expiry: worst_expiry(request),
            document: document.to_string(),
        })
    }

    async fn mint(
        &self,
        request: &MintRequest,
        prepared: &Prepared,
    ) -> Result<Minted, ProviderError> {
        let Some(grant) = grant(request) else {
            return Err(refused("mint", "a request of another kind"));
        };
        let (home, name) = (self.home(), name(request.lease));
        let marks = lease_marks(home, request, &prepared.handle);
        // Held from before the Role exists until it is bound, so that `delete_unused` cannot delete
        // it in between.
        let _role = match &grant.rights {
            KubernetesRights::Rules(rules) => {
                let role = role_name(home, request, rules);
                let key = (grant.namespace.clone(), role);
                Some(self.roles.minting(key).await?)
            }
            KubernetesRights::ClusterRole(_) => None,
        };
        let (role, granted) = self.role(request, grant).await?;
        self.api.create_service_account(home, &name, &marks).await?;
        let bound_to = self.api.create_secret(home, &name, &marks).await?;
        let binding = Object {
            kind: Kind::RoleBinding,
            namespace: &grant.namespace,
            name: &name,
        };
        self.api
            .create_role_binding(binding, &marks, &role, home)
            .await?;
        let ask = TokenAsk {
            namespace: home,
            name: &name,
            bound_to: &bound_to,
            seconds: i64::try_from(seconds(request)).unwrap_or(i64::MAX),
        };
        let token = self.api.request_token(&ask).await?;
        self.check_rights(&token.token, &grant.namespace, &granted)
            .await?;
        let endpoint = self.api.endpoint();
        Ok(Minted {
            // The engine refuses an expiry later than the prepared worst case (T79).
            expires: request.skew.to_own(token.expires),
            credential: KubernetesCredential {
                server: endpoint.server,
                certificate_authority: endpoint.certificate_authority,
                tls_server_name: endpoint.tls_server_name,
                proxy_url: endpoint.proxy_url,
                namespace: grant.namespace.clone(),
                token: token.token,
            }
            .into(),
            handle: None,
        })
    }

    async fn revoke(&self, revocation: &Revocation) -> RevocationReport {
        // Beside the revocations and not before them: a list that hangs delays no lease.
        let cut = async {
            if let Some(at) = revocation.cut {
                let cut = tokio::time::timeout(CUT_TIME, self.cut(revocation, at)).await;
                cut.unwrap_or_else(|_| {
                    tracing::warn!(
                        "cannot delete the shared roles in time; the leases are revoked one by one"
                    )
                });
            }
        };
        // Only the bindings, which carry the rights. Proofs come later, so that no lease waits for
        // the proof of another.
        let until = Instant::now() + ROUND_TIME;
        let outcomes = stream::iter(revocation.due.clone())
            .map(|lease| async move {
                let unbound = timeout_at(until, self.unbind(&lease)).await;
                (lease.id, unbound.unwrap_or_else(|_| Err(late())))
            })
            .buffer_unordered(CONCURRENT_REVOCATIONS)
            .collect();
        let (outcomes, ()) = join(outcomes, cut).await;
        RevocationReport {
            outcomes,
            ..RevocationReport::default()
        }
    }

    async fn finish_and_prove(
        &self,
        leases: &[LeaseRef],
    ) -> Vec<(LeaseId, Result<Revoked, ProviderError>)> {
        let until = Instant::now() + ROUND_TIME;
        stream::iter(leases.to_vec())
            .map(|lease| async move {
                let ended = timeout_at(until, self.end(&lease)).await;
                (lease.id, ended.unwrap_or_else(|_| Err(late())))
            })
            .buffer_unordered(CONCURRENT_REVOCATIONS)
            .collect()
            .await
    }

    /// Asks the authorizer about the token's user. The token itself was not kept, so it cannot be
    /// tried.
    async fn probe(&self, lease: &LeaseRef) -> Result<Probe, ProviderError> {
        self.probe_rights(lease).await
    }

    async fn check_setup(&self, request: &MintRequest) -> Result<Vec<String>, ProviderError> {
        let Some(grant) = request.rights.get::<KubernetesGrant>() else {
            return Ok(Vec::new());
        };
        let KubernetesRights::ClusterRole(name) = &grant.rights else {
            return Ok(Vec::new());
        };
        match self.cluster_role(request, name).await {
            Ok(_) => Ok(Vec::new()),
            Err(ProviderError::Refused { code, .. }) => Ok(vec![format!("ClusterRole {code}")]),
            Err(other) => Err(other),
        }
    }

    async fn rehearse(
        &self,
        rights: &Rights,
        objects: &[serde_json::Value],
    ) -> Result<Vec<Rehearsed>, ProviderError> {
        let Some(grant) = rights.get::<KubernetesGrant>() else {
            return Ok(Vec::new());
        };
        let mut rehearsed = Vec::with_capacity(objects.len());
        for object in objects {
            rehearsed.push(self.api.rehearse(&grant.namespace, object).await?);
        }
        Ok(rehearsed)
    }

    /// Asks with the token itself whether it has the drill's right.
    async fn probe_with_credential(
        &self,
        credential: &Credential,
    ) -> Result<Option<bool>, ProviderError> {
        let Some(KubernetesCredential {
            namespace, token, ..
        }) = credential.get()
        else {
            return Ok(None);
        };
        match self.api.rules_of(token, namespace).await {
            Ok(allowed) => {
                let drilled = |rule: &PolicyRule| rule.resource_names.contains(DRILLED);
                Ok(Some(allowed.rules.iter().any(drilled)))
            }
            Err(ProviderError::Refused { .. }) => Ok(Some(false)),
            Err(error) => Err(error),
        }
    }

    async fn read_clock(&self) -> Result<Option<Timestamp>, ProviderError> {
        self.api.time().await
    }

    async fn load_checkpoint(&self) -> Result<Option<JournalCheckpoint>, ProviderError> {
        let Some(data) = self.api.config_map(self.home(), WITNESS_CONFIG_MAP).await? else {
            return Ok(None);
        };
        let read = data
            .get(WITNESS_KEY)
            .and_then(|text| serde_json::from_str(text).ok());
        let unreadable = || {
            refused(
                "get configmap",
                format!("ConfigMap `{WITNESS_CONFIG_MAP}` is not a witness of this broker"),
            )
        };
        read.map(Some).ok_or_else(unreadable)
    }

    async fn store_checkpoint(&self, witness: &JournalCheckpoint) -> Result<(), ProviderError> {
        let text = serde_json::to_string(witness)
            .map_err(|_| refused("put configmap", "cannot render the witness"))?;
        let data = [(WITNESS_KEY.to_owned(), text)].into();
        self.api
            .put_config_map(self.home(), WITNESS_CONFIG_MAP, data)
            .await
    }

    async fn list(&self) -> Result<Vec<FoundCredential>, ProviderError> {
        let accounts = self
            .api
            .marked(Kind::ServiceAccount, self.home(), self.home());
        let accounts = accounts.await?.into_iter();
        let mut found: BTreeMap<LeaseId, Handle> =
            accounts.filter_map(|it| self.found(&it)).collect();
        // A binding whose creation arrived late can exist without its ServiceAccount.
        for namespace in self.roles.namespaces() {
            let bindings = self.api.marked(Kind::RoleBinding, &namespace, self.home());
            match bindings.await {
                Ok(bindings) => {
                    for (lease, handle) in bindings.iter().filter_map(|it| self.found(it)) {
                        found.entry(lease).or_insert(handle);
                    }
                }
                Err(error @ ProviderError::Refused { .. }) => {
                    tracing::debug!(%error, namespace, "cannot list the role bindings of a namespace");
                }
                Err(error) => return Err(error),
            }
        }
        let found = found.into_iter();
        Ok(found
            .map(|(lease, handle)| FoundCredential { lease, handle })
            .collect())
    }

    async fn remove_unused_objects(
        &self,
        grants: &[Rights],
        in_use: InUse<'_>,
    ) -> Result<usize, ProviderError> {
        self.delete_unused(grants, in_use).await
    }
}
