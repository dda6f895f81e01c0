//! What a provider has and the ledger does not know: left by a journal that was lost or restored from a copy.

use std::time::Duration;

use lanyard_core::charter::Name;
use lanyard_core::id::TaskId;
use lanyard_core::lease::LeaseRef;
use lanyard_core::provider::Revocation;
use lanyard_core::time::Timestamp;

use crate::engine::Engine;

/// How often a target is looked through.
pub(crate) const EVERY: Duration = Duration::from_secs(300);
/// How long one look, and one revocation of what it found, may take.
const CALL: Duration = Duration::from_secs(60);

impl Engine {
    /// Revokes everything on a target that carries the broker's marks and is no lease of the ledger; how
    /// much that was. An intent is in the ledger before its provider is called, so nothing that is being minted
    /// is taken for one.
    pub async fn revoke_strays(&self, target: &Name) -> usize {
        let Some(provider) = self.providers().get(target) else {
            return 0;
        };
        let listed = match tokio::time::timeout(CALL, provider.list()).await {
            Ok(Ok(listed)) => listed,
            Ok(Err(error)) => {
                tracing::warn!(%target, %error, "the target could not be looked through");
                return 0;
            }
            Err(_) => {
                tracing::warn!(%target, "the target did not answer what it has");
                return 0;
            }
        };
        let strays = self.peek(|state| {
            let unknown = listed
                .into_iter()
                .filter(|found| state.leases().get(found.lease).is_none());
            let stray = unknown.map(|found| LeaseRef {
                id: found.lease,
                task: TaskId::from_bits(0),
                handle: found.handle,
                asked: Timestamp::EPOCH,
                worst_expiry: Timestamp::NEVER,
                kill: None,
            });
            stray.collect::<Vec<_>>()
        });
        let due = strays.unwrap_or_default();
        if due.is_empty() {
            return 0;
        }
        let count = due.len();
        tracing::error!(%target, count, "credentials that no lease stands for are being revoked");
        let revocation = Revocation {
            now: self.now(),
            due,
            ..Revocation::default()
        };
        let report = tokio::time::timeout(CALL, provider.revoke(&revocation)).await;
        let outcomes = report.map(|report| report.outcomes).unwrap_or_default();
        for (lease, outcome) in outcomes {
            if let Err(error) = outcome {
                tracing::error!(%target, %lease, %error, "such a credential could not be revoked: again in minutes");
            }
        }
        count
    }
}
