//! The parent tokens that leases hang on: in memory alone. After a restart of the broker there is a new one, and the
//! old ones are revoked by their accessors, which are in the handles.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use lanyard_core::lease::Seq;
use lanyard_core::provider::{MintRequest, ProviderError};
use lanyard_core::secret::Secret;
use lanyard_core::time::Timestamp;
use parking_lot::Mutex;

use crate::api::{Token, TokenAsk, VaultApi};
use crate::transport::refused;

/// How long a parent lives, at least: its children end with it.
pub(crate) const LIFE: Duration = Duration::from_secs(24 * 60 * 60);
/// By how much it outlives the last of its children: what a mint takes, and what clocks differ by.
const OUTLIVES: Duration = Duration::from_secs(120);
/// How many are held. An older one is only needed by a mint that is still under way.
const HELD: usize = 16;
const OPERATION: &str = "create the parent token";
/// What a parent carries: the newest kill order before it.
pub(crate) const EPOCH: &str = "lanyard-epoch";

/// One parent.
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
    /// Held while one is made: one at a time.
    pub(crate) making: tokio::sync::Mutex<()>,
}

impl Parents {
    /// The one that a lease of this request hangs on: never one from before the newest kill order.
    pub(crate) fn of(&self, request: &MintRequest) -> Option<Parent> {
        let until = request.expires + OUTLIVES;
        let held = self.held.lock();
        let mut fit = held.iter().rev();
        fit.find(|parent| parent.epoch == request.epoch && parent.ends >= until)
            .cloned()
    }

    /// The one with this accessor, for a lease of this request.
    pub(crate) fn named(&self, accessor: &str, request: &MintRequest) -> Option<Parent> {
        let held = self.held.lock();
        let mut named = held.iter();
        named
            .find(|parent| parent.accessor == accessor && parent.epoch == request.epoch)
            .cloned()
    }

    /// Those that a mint may hang a lease on.
    pub(crate) fn accessors(&self) -> BTreeSet<String> {
        let held = self.held.lock();
        held.iter().map(|parent| parent.accessor.clone()).collect()
    }

    /// It is revoked, or was refused: nothing hangs on it any more.
    pub(crate) fn forget(&self, accessor: &str) {
        self.held
            .lock()
            .retain(|parent| parent.accessor != accessor);
    }

    /// Sees to it that there is one for this request.
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
        if self.of(request).is_some() {
            return Ok(());
        }
        let needed = (request.expires + OUTLIVES).since(request.now);
        let ask = TokenAsk {
            role,
            // What the role allows, all of it.
            policies: Vec::new(),
            life: LIFE.max(needed * 2),
            uses: None,
            meta: BTreeMap::from([(EPOCH.to_owned(), request.epoch.0.to_string())]),
        };
        let token = api.create_parent(&ask).await?;
        if let Err(why) = usable(&token, needed) {
            // Nothing hangs on it, and nobody has it.
            if let Err(error) = api.revoke_accessor(&token.accessor).await {
                tracing::warn!(%error, "a parent token that is of no use could not be revoked");
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
        if held.len() >= HELD {
            held.remove(0);
        }
        held.push(parent);
        Ok(())
    }
}

fn usable(token: &Token, needed: Duration) -> Result<(), String> {
    if token.kind != "service" {
        return Err(format!("gives {} tokens: token_type=service", token.kind));
    }
    if !token.orphan {
        return Err("gives tokens that end with the broker's own: orphan=true".to_owned());
    }
    if token.policies.iter().any(|policy| policy == "root") {
        return Err("gives the policy root: allowed_policies".to_owned());
    }
    if token.uses.is_some() {
        return Err("gives tokens for a few uses: token_num_uses=0".to_owned());
    }
    if token.life < needed {
        return Err(format!(
            "lets its tokens live {} s, and this lease needs {} s: token_explicit_max_ttl",
            token.life.as_secs(),
            needed.as_secs()
        ));
    }
    Ok(())
}
