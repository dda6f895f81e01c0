//! One cluster: what a lease is there, and how it ends.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::StreamExt as _;
use futures_util::future::join;
use futures_util::stream;
use lanyard_core::charter::{
    KubernetesGrant, KubernetesRights, PolicyRule, Prohibited, Rights, Role,
};
use lanyard_core::id::LeaseId;
use lanyard_core::lease::{Handle, LeaseRef};
use lanyard_core::provider::{
    Capabilities, Credential, Found, InUse, MintRequest, Minted, PrepareError, Prepared, Probe,
    Provider, ProviderError, Rehearsed, Revocability, Revocation, RevocationReport, Revoked,
};
use lanyard_core::secret::Secret;
use lanyard_core::time::Timestamp;
use lanyard_core::witness::Witness;
use tokio::time::{Instant, timeout_at};

use crate::PROVIDER;
use crate::answer::ambiguous;
use crate::api::{Kind, KubernetesApi, Marked, Object, RoleRef, TokenAsk};
use crate::finalizers::Kept;
use crate::objects::{HANDLE, Held, LEASE, lease_marks, name, role_marks, role_name};
use crate::rules::{digest, exceeding};
use crate::shared_roles::Roles;

/// The shortest life that TokenRequest gives, in seconds; the broker ends a shorter lease itself.
/// <https://kubernetes.io/docs/reference/kubernetes-api/authentication-resources/token-request-v1/>
const LEAST_LIFE: u64 = 600;
/// This very number makes some servers extend a token to a year (the kubelet's legacy).
const EXTENDED: u64 = 3607;
/// How long an API server goes on accepting a token that it has cached after its bound object is gone.
const AUTHENTICATION_CACHE: Duration = Duration::from_secs(10);
/// How long an API server works on a request at most (`--request-timeout`, a minute), with some seconds for the way.
/// <https://kubernetes.io/docs/reference/command-line-tools-reference/kube-apiserver/>
const LATE_REQUESTS: Duration = Duration::from_secs(70);
/// How long past its expiry a token is accepted: the leeway of a minute, and the cache.
const LEEWAY: Duration = Duration::from_secs(70);
/// What the server's clock and rounding may add to an expiry without it being another one.
const ROUNDING: Duration = Duration::from_secs(5);
/// The object, of no namespace in use, that the canary of a drill may read.
pub const DRILLED: &str = "lanyard-drill";
/// Where the cluster remembers how far the journal is.
const WITNESS: &str = "lanyard-witness";
const JOURNAL: &str = "journal";
/// How many leases are revoked at the same time.
const AT_ONCE: usize = 16;
/// How long one revocation of leases, and one proof, may take: what was done in this time is told, before the whole call is
/// given up.
const ALL: Duration = Duration::from_secs(20);
/// How long shared Roles may take to be found and deleted: the leases in them are ended one by one all the same.
const CUT: Duration = Duration::from_secs(5);
/// How often, and how many times, it is asked whether a change of RBAC has arrived: half a second in all.
pub(crate) const ASK_EVERY: Duration = Duration::from_millis(10);
pub(crate) const ASK_TIMES: u32 = 50;

/// One configured cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KubernetesTarget {
    /// The broker's namespace: ServiceAccounts and Secrets of leases, and nothing else.
    pub namespace: String,
    /// The ClusterRoles that a charter may name, each pinned to the digest of its rules.
    pub cluster_roles: BTreeMap<String, String>,
    /// What every authenticated user of the cluster may do besides asking about itself, as whoever runs the target declares:
    /// OpenShift gives each of them some rights. It is no more than was granted.
    pub baseline: Vec<PolicyRule>,
}

/// The provider of one cluster.
pub struct KubernetesProvider<A> {
    pub(crate) target: KubernetesTarget,
    pub(crate) api: A,
    pub(crate) kept: Kept,
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
        "calls of this lease, or those for others, took all of the time",
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
    let whole = u64::try_from(whole).unwrap_or(u64::MAX).max(LEAST_LIFE);
    if whole == EXTENDED { whole + 1 } else { whole }
}

fn worst_expiry(request: &MintRequest) -> Timestamp {
    request.now + Duration::from_secs(seconds(request)) + ROUNDING
}

fn grant(request: &MintRequest) -> Option<&KubernetesGrant> {
    match &request.rights {
        Rights::Kubernetes(grant) => Some(grant),
        Rights::Token(_) | Rights::Aws(_) | Rights::Vault(_) | Rights::GitHub(_) => None,
    }
}

impl<A: KubernetesApi> KubernetesProvider<A> {
    /// The provider of this cluster.
    pub fn new(target: KubernetesTarget, api: A) -> Self {
        Self {
            target,
            api,
            kept: Kept::default(),
            roles: Roles::default(),
        }
    }

    pub(crate) fn home(&self) -> &str {
        &self.target.namespace
    }

    /// The lease that an object with the broker's marks says that it is of.
    fn found(&self, object: &Marked) -> Option<(LeaseId, Handle)> {
        let handle = Handle(object.annotations.get(HANDLE)?.as_str().into());
        // Only what is where this target puts it.
        Held::read(&handle).filter(|held| held.home == self.home())?;
        let lease: LeaseId = object.annotations.get(LEASE)?.parse().ok()?;
        (name(lease) == object.name).then_some((lease, handle))
    }

    /// The rules that the lease gets, and what its binding refers to.
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

    /// A ClusterRole belongs to others: it is only bound while it is what the configuration pins, and within
    /// what a charter's own rules may hold.
    async fn cluster_role(
        &self,
        request: &MintRequest,
        name: &str,
    ) -> Result<Vec<PolicyRule>, ProviderError> {
        let no = |why: String| refused("bind clusterrole", format!("{name}: {why}"));
        let Some(pinned) = self.target.cluster_roles.get(name) else {
            return Err(no("the target's cluster_roles do not name it".to_owned()));
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
                matches!(&prohibition.what, Prohibited::Kubernetes(bad) if rule.is_touched_by(bad))
            });
            if let Some(prohibition) = prohibition {
                return Err(no(format!("prohibited: {}", prohibition.reason)));
            }
        }
        Ok(found.rules)
    }

    /// Nothing beyond the grant may show (rule 19 of a mint: it is asked with the token itself); and the agent
    /// gets its token when the grant has arrived, not before it.
    async fn checked(
        &self,
        token: &Secret<String>,
        namespace: &str,
        granted: &[PolicyRule],
    ) -> Result<(), ProviderError> {
        const OPERATION: &str = "create selfsubjectrulesreviews";
        let expected = [granted, &self.target.baseline].concat();
        for _ in 0..ASK_TIMES {
            let allowed = self.api.rules_of(token, namespace).await?;
            if let Some(more) = exceeding(&allowed.rules, &expected) {
                return Err(excessive(
                    OPERATION,
                    format!(
                        "more than was granted: {more}; where every user of the cluster may do that, declare it in the target's `baseline`"
                    ),
                ));
            }
            if allowed.incomplete {
                tracing::warn!(
                    namespace,
                    "an authorizer of the cluster does not list its rules"
                );
            }
            if exceeding(granted, &allowed.rules).is_none() {
                return Ok(());
            }
            tokio::time::sleep(ASK_EVERY).await;
        }
        tracing::warn!(
            namespace,
            "the rights of a lease had not arrived when it was issued"
        );
        Ok(())
    }
}

#[async_trait]
impl<A: KubernetesApi> Provider for KubernetesProvider<A> {
    fn capabilities(&self) -> Capabilities {
        Capabilities {
            provider: PROVIDER,
            settles: AUTHENTICATION_CACHE,
            at_once: 1000,
            whole: false,
            lists: true,
            proves: true,
            mint_timeout: Duration::from_secs(20),
            late_requests: LATE_REQUESTS,
            leeway: LEEWAY,
        }
    }

    fn revocability(&self, rights: &Rights) -> Revocability {
        let streams = match rights {
            Rights::Kubernetes(grant) => match &grant.rights {
                KubernetesRights::Rules(rules) => rules.iter().any(PolicyRule::opens_streams),
                // What it holds is only known at the mint.
                KubernetesRights::ClusterRole(_) => true,
            },
            Rights::Token(_) | Rights::Aws(_) | Rights::Vault(_) | Rights::GitHub(_) => false,
        };
        Revocability {
            mechanism: "its role binding is deleted, then the secret that its token is bound to, and its service \
                        account"
                .to_owned(),
            worst_case: (!streams).then_some(AUTHENTICATION_CACHE),
            source: if streams {
                "an API server does not close a watch, a log or a shell whose token has died".to_owned()
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
            handle: Held::new(self.home(), request, grant).handle(),
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
        // From before the Role is there until it is bound: meanwhile nobody deletes it as one that nothing uses.
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
        self.checked(&token.token, &grant.namespace, &granted)
            .await?;
        let endpoint = self.api.endpoint();
        Ok(Minted {
            // The engine refuses one past the worst that was prepared for (T79).
            expires: request.skew.to_own(token.expires),
            credential: Credential::Kubernetes {
                server: endpoint.server,
                certificate_authority: endpoint.certificate_authority,
                tls_server_name: endpoint.tls_server_name,
                proxy_url: endpoint.proxy_url,
                namespace: grant.namespace.clone(),
                token: token.token,
            },
            handle: None,
        })
    }

    async fn revoke(&self, revocation: &Revocation) -> RevocationReport {
        // Beside what is done lease by lease: a list that hangs holds up no lease.
        let cut = async {
            if let Some(at) = revocation.cut {
                let cut = tokio::time::timeout(CUT, self.cut(revocation, at)).await;
                cut.unwrap_or_else(|_| {
                    tracing::warn!("the shared roles could not be deleted in time")
                });
            }
        };
        // Nothing but the bindings: that is what kills, and no lease's proof keeps another's end waiting.
        let until = Instant::now() + ALL;
        let outcomes = stream::iter(revocation.due.clone())
            .map(|lease| async move {
                let unbound = timeout_at(until, self.unbind(&lease)).await;
                (lease.id, unbound.unwrap_or_else(|_| Err(late())))
            })
            .buffer_unordered(AT_ONCE)
            .collect();
        let (outcomes, ()) = join(outcomes, cut).await;
        RevocationReport {
            outcomes,
            ..RevocationReport::default()
        }
    }

    async fn prove(&self, leases: &[LeaseRef]) -> Vec<(LeaseId, Result<Revoked, ProviderError>)> {
        let until = Instant::now() + ALL;
        stream::iter(leases.to_vec())
            .map(|lease| async move {
                let ended = timeout_at(until, self.end(&lease)).await;
                (lease.id, ended.unwrap_or_else(|_| Err(late())))
            })
            .buffer_unordered(AT_ONCE)
            .collect()
            .await
    }

    /// Asks the authorizer, for the user that the token stands for: no token is kept to try.
    async fn probe(&self, lease: &LeaseRef) -> Result<Probe, ProviderError> {
        self.probed(lease).await
    }

    async fn inspect(&self, request: &MintRequest) -> Result<Vec<String>, ProviderError> {
        let Rights::Kubernetes(grant) = &request.rights else {
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
        let Rights::Kubernetes(grant) = rights else {
            return Ok(Vec::new());
        };
        let mut rehearsed = Vec::with_capacity(objects.len());
        for object in objects {
            rehearsed.push(self.api.rehearse(&grant.namespace, object).await?);
        }
        Ok(rehearsed)
    }

    /// Asks with the token itself whether it may do anything beyond what everybody may.
    async fn try_out(&self, credential: &Credential) -> Result<Option<bool>, ProviderError> {
        let Credential::Kubernetes {
            namespace, token, ..
        } = credential
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

    async fn time(&self) -> Result<Option<Timestamp>, ProviderError> {
        self.api.time().await
    }

    async fn recall(&self) -> Result<Option<Witness>, ProviderError> {
        let Some(data) = self.api.config_map(self.home(), WITNESS).await? else {
            return Ok(None);
        };
        let read = data
            .get(JOURNAL)
            .and_then(|text| serde_json::from_str(text).ok());
        let unreadable = || refused("get configmap", format!("{WITNESS} does not read"));
        read.map(Some).ok_or_else(unreadable)
    }

    async fn remember(&self, witness: &Witness) -> Result<(), ProviderError> {
        let text = serde_json::to_string(witness)
            .map_err(|_| refused("put configmap", "the witness cannot be written"))?;
        let data = [(JOURNAL.to_owned(), text)].into();
        self.api.put_config_map(self.home(), WITNESS, data).await
    }

    async fn list(&self) -> Result<Vec<Found>, ProviderError> {
        let accounts = self
            .api
            .marked(Kind::ServiceAccount, self.home(), self.home());
        let accounts = accounts.await?.into_iter();
        let mut found: BTreeMap<LeaseId, Handle> =
            accounts.filter_map(|it| self.found(&it)).collect();
        // A binding that was made late stands without its ServiceAccount.
        for namespace in self.roles.namespaces() {
            let bindings = self.api.marked(Kind::RoleBinding, &namespace, self.home());
            match bindings.await {
                Ok(bindings) => {
                    for (lease, handle) in bindings.iter().filter_map(|it| self.found(it)) {
                        found.entry(lease).or_insert(handle);
                    }
                }
                Err(error @ ProviderError::Refused { .. }) => {
                    tracing::debug!(%error, namespace, "the role bindings of a namespace cannot be listed");
                }
                Err(error) => return Err(error),
            }
        }
        let found = found.into_iter();
        Ok(found
            .map(|(lease, handle)| Found { lease, handle })
            .collect())
    }

    async fn tidy(&self, grants: &[Rights], in_use: InUse<'_>) -> Result<usize, ProviderError> {
        self.delete_unused(grants, in_use).await
    }
}
