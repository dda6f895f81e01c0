//! The token target's implementation of [`Provider`].

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use lanyard_charter::kinds::TokenCredential;
use lanyard_charter::{Rights, TokenGrant};
use lanyard_core::lease::LeaseRef;
use lanyard_core::provider::{
    Capabilities, FoundCredential, MintRequest, Minted, PrepareError, Prepared, Probe, Provider,
    ProviderError, Revocability, Revocation, RevocationReport, Revoked,
};
use lanyard_vocabulary::time::Timestamp;

use crate::claims::Claims;
use crate::keyring::{Keyring, MAX_TOKEN_LIFE, VERIFIER_LEEWAY};
use crate::status::{self, Lists};

const PROVIDER: &str = "token";

/// Time limit of a mint. Signing is local, so a mint that takes longer was not scheduled in time.
///
/// # No limit
/// A mint does nothing but sign; the engine bounds every mint by this and by `MINT_TIME`.
const MINT_TIMEOUT: Duration = Duration::from_secs(5);

/// The greatest age of a status list when it is served, rounded up.
const LIST_AGE_WHEN_SERVED: Duration = Duration::from_secs(1);

/// Lanyard as its own target: mints access tokens that other services verify.
#[derive(Debug, Clone)]
pub struct TokenProvider {
    issuer: String,
    keyring: Arc<Keyring>,
    lists: Arc<Lists>,
}

impl TokenProvider {
    /// A provider that signs as `issuer` (`iss`, byte for byte) with the keys of `keyring`, and
    /// gives every token a place on `lists`.
    #[must_use]
    pub const fn new(issuer: String, keyring: Arc<Keyring>, lists: Arc<Lists>) -> Self {
        Self {
            issuer,
            keyring,
            lists,
        }
    }
}

#[async_trait]
impl Provider for TokenProvider {
    fn capabilities(&self) -> Capabilities {
        Capabilities {
            provider: PROVIDER,
            settle_time: Duration::ZERO,
            max_batch: 20_000,
            rewrites_whole_document: false,
            can_list: false,
            can_prove: false,
            mint_timeout: MINT_TIMEOUT,
            late_request_time: Duration::ZERO,
            leeway: VERIFIER_LEEWAY,
        }
    }

    fn revocability(&self, _rights: &Rights) -> Revocability {
        Revocability {
            mechanism: "introspection answers inactive from the fence on, and the status list when it is fetched \
                        again; a verifier that asks neither accepts the token until exp"
                .to_owned(),
            worst_case: Some(status::TTL + LIST_AGE_WHEN_SERVED),
            source: "introspection reads the lease itself (RFC 7662 section 2.2); the list's ttl".to_owned(),
        }
    }

    /// Renders the payload, byte for byte as it will be signed. The handle is the token's place on
    /// a status list; the token's `jti` is the lease's id.
    fn prepare(&self, request: &MintRequest) -> Result<Prepared, PrepareError> {
        let Some(grant) = request.rights.get::<TokenGrant>() else {
            return Err(PrepareError::Unsupported(format!(
                "a token target mints no {} credentials",
                request.rights.provider()
            )));
        };
        if request.expires.since(request.now) > MAX_TOKEN_LIFE {
            return Err(PrepareError::Unsupported(format!(
                "a token lives at most {} hours",
                MAX_TOKEN_LIFE.as_secs() / 3600
            )));
        }
        let handle = self.lists.place(request.request_number);
        let status = status::claim(&self.issuer, &handle);
        let claims = Claims::of(&self.issuer, grant, request, status);
        let document = serde_json::to_string(&claims)
            .map_err(|_| PrepareError::Unsupported("cannot render the claims".to_owned()))?;
        Ok(Prepared {
            handle,
            worst_expiry: request.expires,
            document,
        })
    }

    async fn mint(
        &self,
        request: &MintRequest,
        prepared: &Prepared,
    ) -> Result<Minted, ProviderError> {
        let (lease, expires) = (request.lease, request.expires);
        // Noted before the signature: a token that exists must never be missing from its list.
        self.lists.note(&prepared.handle, lease, expires);
        let jwt = self
            .keyring
            .sign(prepared.document.as_bytes(), request.now)
            .ok_or_else(|| ProviderError::Refused {
                provider: PROVIDER,
                operation: "mint",
                code: "no-signing-key".to_owned(),
            })?;
        Ok(Minted {
            credential: TokenCredential { jwt }.into(),
            expires: Timestamp::from_secs(request.expires.as_secs()),
            handle: None,
        })
    }

    /// Reports every lease as proved dead at once. A lease that is to be revoked is fenced already,
    /// and introspection, which is this provider's own check, answers from that same lease.
    async fn revoke(&self, revocation: &Revocation) -> RevocationReport {
        RevocationReport {
            outcomes: revocation
                .due
                .iter()
                .map(|lease| (lease.id, Ok(Revoked::ProvedDead)))
                .collect(),
            ..RevocationReport::default()
        }
    }

    /// Cannot tell: only the ledger knows whether a token is dead.
    async fn probe(&self, _lease: &LeaseRef) -> Result<Probe, ProviderError> {
        Ok(Probe::Unknowable)
    }

    /// Always empty, because a signature leaves nothing behind that could be found.
    async fn list(&self) -> Result<Vec<FoundCredential>, ProviderError> {
        Ok(Vec::new())
    }
}
