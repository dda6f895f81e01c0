//! The targets: their providers, their revocation lanes, and whether anything may be minted there.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use lanyard_charter::Grant;
use lanyard_core::provider::{MintRequest, Provider, ProviderError};
use lanyard_vocabulary::name::Name;

use crate::clock::Clock;
use crate::issue::IssueError;
use crate::revocation_queue::RevocationQueue;
use crate::skew::too_far;

/// The time for which a mint waits for the first reconciliation of its target.
const RECONCILE_WAIT: Duration = Duration::from_secs(3);

/// The targets, by name.
pub(crate) struct Targets {
    pub(crate) providers: BTreeMap<Name, Arc<dyn Provider>>,
    pub(crate) lanes: BTreeMap<Name, RevocationQueue>,
    pub(crate) clock: Arc<dyn Clock>,
}

impl Targets {
    pub(crate) fn new(providers: BTreeMap<Name, Arc<dyn Provider>>, clock: Arc<dyn Clock>) -> Self {
        let lanes = providers.keys();
        let lanes = lanes.map(|target| (target.clone(), RevocationQueue::default()));
        Self {
            lanes: lanes.collect(),
            providers,
            clock,
        }
    }

    /// The provider that serves a target, and the target's lane.
    pub(crate) fn get(&self, target: &Name) -> Option<(&Arc<dyn Provider>, &RevocationQueue)> {
        self.providers.get(target).zip(self.lanes.get(target))
    }

    pub(crate) fn wake(&self, target: &Name) {
        if let Some(lane) = self.lanes.get(target) {
            lane.wake.notify_one();
        }
    }

    pub(crate) fn wake_all(&self) {
        self.lanes.values().for_each(RevocationQueue::rouse);
    }

    /// The time for which a credential of this grant could go on after a kill.
    pub(crate) fn worst_case(&self, grant: &Grant) -> Duration {
        let provider = self.providers.get(&grant.target);
        let bound = provider.and_then(|it| it.revocability(&grant.rights).worst_case);
        bound.unwrap_or(Duration::MAX)
    }

    /// Checks that something may be minted at a target now. Where a provider struggles with
    /// revocations, revocations have the provider to themselves (T46); and nothing is minted at a
    /// target that was not reconciled since the start.
    pub(crate) async fn may_mint_at(&self, target: &Name) -> Result<(), IssueError> {
        let Some(lane) = self.lanes.get(target) else {
            return Ok(());
        };
        if !lane.looked_within(RECONCILE_WAIT).await {
            tracing::debug!(%target, "the target has not been looked through");
        }
        let why = if lane.is_struggling() {
            Some("revocations there go first, and its provider does not take them".to_owned())
        } else {
            lane.unseen().or_else(|| lane.skew().and_then(too_far))
        };
        why.map_or(Ok(()), |why| {
            let target = target.clone();
            Err(IssueError::NotNow { target, why })
        })
    }
}

/// Makes ready what the credential shares with others, in no more time than a mint may take.
pub(crate) async fn make_ready(
    provider: &dyn Provider,
    request: &MintRequest,
) -> Result<(), ProviderError> {
    let capabilities = provider.capabilities();
    let ready = tokio::time::timeout(
        capabilities.mint_timeout,
        provider.ensure_shared_objects(request),
    );
    ready.await.unwrap_or_else(|_| {
        Err(ProviderError::Ambiguous {
            provider: capabilities.provider,
            operation: "make ready",
            code: "no answer in time".to_owned(),
        })
    })
}
