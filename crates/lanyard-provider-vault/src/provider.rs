//! The provider of one server, or of one namespace of it.

use std::collections::BTreeSet;
use std::time::Duration;

use async_trait::async_trait;
use lanyard_charter::kinds::{Credential, VaultCredential};
use lanyard_charter::{Rights, VaultGives, VaultGrant};
use lanyard_core::lease::LeaseRef;
use lanyard_core::provider::{
    Capabilities, FoundCredential, InUse, MintRequest, Minted, PrepareError, Prepared, Probe,
    Provider, ProviderError, Revocability, Revocation, RevocationReport, Revoked,
};
use lanyard_vocabulary::id::LeaseId;
use lanyard_vocabulary::time::Timestamp;

use crate::PROVIDER;
use crate::api::VaultApi;
use crate::handle::LeaseHandle;
use crate::known_tokens::Search;
use crate::mints_in_progress::MintsInProgress;
use crate::parents::Parents;
use crate::rules::check_name;

/// The longest that a server works on a request by default. A token whose answer was lost exists by
/// then, or never will.
/// <https://developer.hashicorp.com/vault/docs/configuration#default_max_request_duration>
pub(crate) const SERVER_REQUEST_TIME: Duration = Duration::from_secs(90);
/// The time after an abandoned mint its token can still be created; includes some seconds for the
/// network.
const LATE_REQUEST_TIME: Duration = Duration::from_secs(SERVER_REQUEST_TIME.as_secs() + 10);
/// Time limit of a mint, and so the longest delay with which a token's life can begin.
pub(crate) const MINT_TIME: Duration = Duration::from_secs(20);
/// Time that rounding to whole seconds adds.
const EXPIRY_ROUNDING: Duration = Duration::from_secs(2);
/// Bound from a kill to the end of a thousand tokens under one parent; measured 5 s, with a margin.
const KILL_TIME: Duration = Duration::from_secs(30);

/// A configured server, or one namespace of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VaultTarget {
    /// Token role of leases. No two brokers may share it, because the broker treats every token of
    /// the role as its own.
    pub token_role: String,
    /// Token role of parents.
    pub parent_role: String,
    /// Exact paths that policies may reach although they give credentials. The operator vouches
    /// that those credentials end with the token that read them and, for plan roles, that they only
    /// read. A pattern does not count as an exact path.
    pub reading: BTreeSet<String>,
}

/// Mints and revokes leases on one server.
pub struct VaultProvider<A> {
    pub(crate) target: VaultTarget,
    pub(crate) api: A,
    pub(crate) parents: Parents,
    pub(crate) mints: MintsInProgress,
    pub(crate) search: Search,
}

pub(crate) fn grant(request: &MintRequest) -> Option<&VaultGrant> {
    request.rights.get()
}

/// The life of a lease's token: whole seconds, and no shorter than the lease.
pub(crate) fn life(request: &MintRequest) -> Duration {
    let millis = request.expires.since(request.now).as_millis();
    let seconds = u64::try_from(millis.div_ceil(1000)).unwrap_or(u64::MAX);
    Duration::from_secs(seconds.max(1))
}

impl<A: VaultApi> VaultProvider<A> {
    /// A provider for `target`, with `api` as the way to the server.
    pub fn new(target: VaultTarget, api: A) -> Self {
        Self {
            target,
            api,
            parents: Parents::default(),
            mints: MintsInProgress::default(),
            search: Search::default(),
        }
    }
}

#[async_trait]
impl<A: VaultApi> Provider for VaultProvider<A> {
    fn capabilities(&self) -> Capabilities {
        Capabilities {
            provider: PROVIDER,
            settle_time: SERVER_REQUEST_TIME,
            max_batch: 1000,
            rewrites_whole_document: false,
            can_list: true,
            can_prove: true,
            mint_timeout: MINT_TIME,
            late_request_time: LATE_REQUEST_TIME,
            leeway: MINT_TIME + EXPIRY_ROUNDING,
        }
    }

    fn revocability(&self, rights: &Rights) -> Revocability {
        let grant = rights.get::<VaultGrant>();
        let secret = grant.is_some_and(|grant| matches!(grant.gives, VaultGives::Secret { .. }));
        Revocability {
            mechanism: if secret {
                "its secret is revoked at the engine that made it, before the server answers, and then the token that \
                 read it; a kill of the whole target revokes the parent token that all leases since the last kill \
                 hang on, which lives at most a day or twice the lease"
                    .to_owned()
            } else {
                "its token is revoked by its accessor; a kill of the whole target revokes the parent token that all \
                 leases since the last kill hang on, which lives at most a day or twice the lease"
                    .to_owned()
            },
            // A secret has no bound: the time depends on the engine that revokes it.
            worst_case: (!secret).then_some(KILL_TIME),
            source: if secret {
                "nothing bounds how long the engine takes; measured with Vault 1.21 and OpenBao 2.6: a user of PostgreSQL \
                 is dropped when the call returns"
                    .to_owned()
            } else {
                "measured on Vault 1.21 and OpenBao 2.6 with a thousand tokens: revoked within 5 s, and a revoked token is \
                 refused at the next request"
                    .to_owned()
            },
        }
    }

    async fn ensure_shared_objects(&self, request: &MintRequest) -> Result<(), ProviderError> {
        if grant(request).is_none() {
            return Ok(());
        }
        let role = &self.target.parent_role;
        self.parents.ready(&self.api, role, request).await
    }

    fn prepare(&self, request: &MintRequest) -> Result<Prepared, PrepareError> {
        let Some(grant) = grant(request) else {
            let kind = request.rights.provider();
            return Err(PrepareError::Unsupported(format!(
                "a vault target mints no {kind} credentials"
            )));
        };
        for policy in &grant.policies {
            check_name(policy).map_err(PrepareError::Unsupported)?;
        }
        if grant.policies.is_empty() {
            let why = "a token needs at least one policy".to_owned();
            return Err(PrepareError::Unsupported(why));
        }
        let Some(parent) = self.parents.of(request) else {
            let why = "it has no parent token: the target was not made ready".to_owned();
            return Err(PrepareError::Unsupported(why));
        };
        let held = LeaseHandle {
            parent: parent.accessor,
            accessor: None,
            reads: match &grant.gives {
                VaultGives::Token { .. } => None,
                VaultGives::Secret { path } => Some(path.clone()),
            },
            secret: None,
        };
        Ok(Prepared {
            handle: held.handle(),
            worst_expiry: match grant.gives {
                VaultGives::Token { .. } => {
                    request.now + life(request) + MINT_TIME + EXPIRY_ROUNDING
                }
                // The server ends the secret's lease with the token, but if the engine fails at
                // that moment, the secret stays alive. Only an acknowledged revocation ends it.
                VaultGives::Secret { .. } => Timestamp::NEVER,
            },
            document: self.ask(request, grant, &held).document(),
        })
    }

    async fn mint(
        &self,
        request: &MintRequest,
        prepared: &Prepared,
    ) -> Result<Minted, ProviderError> {
        self.mint_one(request, prepared).await
    }

    async fn revoke(&self, revocation: &Revocation) -> RevocationReport {
        RevocationReport {
            outcomes: self.revoke_all(revocation).await,
            ..RevocationReport::default()
        }
    }

    async fn finish_and_prove(
        &self,
        leases: &[LeaseRef],
    ) -> Vec<(LeaseId, Result<Revoked, ProviderError>)> {
        self.prove_all(leases).await
    }

    async fn probe(&self, lease: &LeaseRef) -> Result<Probe, ProviderError> {
        self.probe_one(lease).await
    }

    async fn probe_with_credential(
        &self,
        credential: &Credential,
    ) -> Result<Option<bool>, ProviderError> {
        // Only the system that a dynamic secret is for can tell whether the secret works.
        match credential.get::<VaultCredential>() {
            Some(vault) => self.api.accepted(&vault.token).await.map(Some),
            None => Ok(None),
        }
    }

    async fn check_setup(&self, request: &MintRequest) -> Result<Vec<String>, ProviderError> {
        self.check_setup(request).await
    }

    async fn remove_unused_objects(
        &self,
        _grants: &[Rights],
        in_use: InUse<'_>,
    ) -> Result<usize, ProviderError> {
        self.revoke_unused(in_use).await
    }

    async fn read_clock(&self) -> Result<Option<Timestamp>, ProviderError> {
        self.api.time().await
    }

    async fn list(&self) -> Result<Vec<FoundCredential>, ProviderError> {
        self.list_all().await
    }
}
