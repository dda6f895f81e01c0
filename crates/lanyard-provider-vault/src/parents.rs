//! The parent tokens of leases, kept only in memory. After a restart the broker creates a new
//! parent; the old ones are revoked by their accessors, which the handles contain.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use lanyard_core::provider::{MintRequest, ProviderError};
use lanyard_vocabulary::secret::Secret;
use lanyard_vocabulary::seq::Seq;
use lanyard_vocabulary::time::Timestamp;
use parking_lot::Mutex;

use crate::api::{Token, TokenAsk, VaultApi};
use crate::transport::refused;

/// The shortest life of a parent, since its children end with it.
pub(crate) const PARENT_LIFE: Duration = Duration::from_secs(24 * 60 * 60);
/// Time by which a parent must outlive its children: the length of a mint and the difference of
/// clocks.
const PARENT_MARGIN: Duration = Duration::from_secs(120);
/// Parents kept in memory. Only a mint in progress needs an older one.
const PARENTS_HELD: usize = 16;
const OPERATION: &str = "create the parent token";
/// Metadata key of a parent: the newest kill order before it.
pub(crate) const EPOCH_META: &str = "lanyard-epoch";

/// A parent token of this process.
#[derive(Debug, Clone)]
pub(crate) struct Parent {
    pub(crate) accessor: String,
    pub(crate) token: Arc<Secret<String>>,
    epoch: Seq,
    ends: Timestamp,
}

#[derive(Default)]
pub(crate) struct Parents {
    held: Mutex<Vec<Parent>>,
    /// Locked while a parent is created, so that concurrent mints share one.
    pub(crate) making: tokio::sync::Mutex<()>,
}

impl Parents {
    /// Returns the parent for a lease of this request; never one created before the newest kill
    /// order, which may be revoked.
    pub(crate) fn of(&self, request: &MintRequest) -> Option<Parent> {
        let until = request.expires + PARENT_MARGIN;
        let held = self.held.lock();
        let mut fit = held.iter().rev();
        fit.find(|parent| parent.epoch == request.epoch && parent.ends >= until)
            .cloned()
    }

    /// The parent with this accessor, if it fits a lease of this request.
    pub(crate) fn named(&self, accessor: &str, request: &MintRequest) -> Option<Parent> {
        let held = self.held.lock();
        let mut named = held.iter();
        named
            .find(|parent| parent.accessor == accessor && parent.epoch == request.epoch)
            .cloned()
    }

    /// Accessors of the parents that a mint may use.
    pub(crate) fn accessors(&self) -> BTreeSet<String> {
        let held = self.held.lock();
        held.iter().map(|parent| parent.accessor.clone()).collect()
    }

    /// Drops a parent that was revoked or refused, so that no mint uses it.
    pub(crate) fn forget(&self, accessor: &str) {
        self.held
            .lock()
            .retain(|parent| parent.accessor != accessor);
    }

    /// Creates a parent for this request unless one exists.
    pub(crate) async fn ready(
        &self,
        api: &dyn VaultApi,
        role: &str,
        request: &MintRequest,
    ) -> Result<(), ProviderError> {
        if self.of(request).is_some() {
            return Ok(());
        }
        let _making = self.making.lock().await;
        // Again under the lock: another mint may have created the parent meanwhile.
        if self.of(request).is_some() {
            return Ok(());
        }
        let needed = (request.expires + PARENT_MARGIN).since(request.now);
        let ask = TokenAsk {
            role,
            // Empty: the token gets every policy that its role allows.
            policies: Vec::new(),
            life: PARENT_LIFE.max(needed * 2),
            uses: None,
            meta: BTreeMap::from([(EPOCH_META.to_owned(), request.epoch.0.to_string())]),
        };
        let token = api.create_parent(&ask).await?;
        if let Err(why) = usable(&token, needed) {
            // No lease has this parent yet, so its revocation harms nobody.
            if let Err(error) = api.revoke_accessor(&token.accessor).await {
                tracing::warn!(%error, "cannot revoke a parent token that fits no lease");
            }
            return Err(refused(OPERATION, &format!("the role {role} {why}")));
        }
        let parent = Parent {
            accessor: token.accessor,
            token: Arc::new(token.token),
            epoch: request.epoch,
            ends: request.now + token.life,
        };
        let mut held = self.held.lock();
        held.retain(|parent| parent.ends > request.now);
        if held.len() >= PARENTS_HELD {
            held.remove(0);
        }
        held.push(parent);
        Ok(())
    }
}

fn usable(token: &Token, needed: Duration) -> Result<(), String> {
    if token.kind != "service" {
        return Err(format!(
            "gives {} tokens: set token_type=service",
            token.kind
        ));
    }
    if !token.orphan {
        return Err("gives tokens that end with the broker's own: set orphan=true".to_owned());
    }
    if token.policies.iter().any(|policy| policy == "root") {
        return Err("gives the policy `root`: set allowed_policies".to_owned());
    }
    if token.uses.is_some() {
        return Err("limits the uses of its tokens: set token_num_uses=0".to_owned());
    }
    if token.life < needed {
        return Err(format!(
            "lets its tokens live {} s, and this lease needs {} s: raise token_explicit_max_ttl",
            token.life.as_secs(),
            needed.as_secs()
        ));
    }
    Ok(())
}
