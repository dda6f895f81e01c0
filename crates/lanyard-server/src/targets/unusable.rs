//! A target that this machine cannot use: a key is missing, or a file cannot be read. Other targets
//! and the kill switch work all the same (T75).

use std::time::Duration;

use async_trait::async_trait;
use lanyard_charter::Rights;
use lanyard_core::lease::LeaseRef;
use lanyard_core::provider::{
    Capabilities, FoundCredential, MintRequest, Minted, PrepareError, Prepared, Probe, Provider,
    ProviderError, Revocability, Revocation, RevocationReport,
};

/// A provider that refuses everything with the reason.
pub(super) struct Unusable {
    pub(super) provider: &'static str,
    pub(super) why: String,
}

impl Unusable {
    fn refused(&self, operation: &'static str) -> ProviderError {
        ProviderError::Refused {
            provider: self.provider,
            operation,
            code: self.why.clone(),
        }
    }
}

#[async_trait]
impl Provider for Unusable {
    fn capabilities(&self) -> Capabilities {
        Capabilities {
            provider: self.provider,
            settle_time: Duration::ZERO,
            max_batch: 1000,
            rewrites_whole_document: false,
            can_list: true,
            can_prove: false,
            mint_timeout: Duration::from_secs(1),
            late_request_time: Duration::ZERO,
            leeway: Duration::ZERO,
        }
    }

    fn revocability(&self, _rights: &Rights) -> Revocability {
        Revocability {
            mechanism: "none until the target can be used again".to_owned(),
            worst_case: None,
            source: self.why.clone(),
        }
    }

    fn prepare(&self, _request: &MintRequest) -> Result<Prepared, PrepareError> {
        Err(PrepareError::Unsupported(self.why.clone()))
    }

    async fn mint(
        &self,
        _request: &MintRequest,
        _prepared: &Prepared,
    ) -> Result<Minted, ProviderError> {
        Err(self.refused("mint"))
    }

    async fn revoke(&self, revocation: &Revocation) -> RevocationReport {
        let due = revocation.due.iter();
        RevocationReport {
            outcomes: due
                .map(|lease| (lease.id, Err(self.refused("revoke"))))
                .collect(),
            ..RevocationReport::default()
        }
    }

    async fn probe(&self, _lease: &LeaseRef) -> Result<Probe, ProviderError> {
        Err(self.refused("probe"))
    }

    async fn check_setup(&self, _request: &MintRequest) -> Result<Vec<String>, ProviderError> {
        Ok(vec![self.why.clone()])
    }

    async fn list(&self) -> Result<Vec<FoundCredential>, ProviderError> {
        Err(self.refused("list"))
    }
}
