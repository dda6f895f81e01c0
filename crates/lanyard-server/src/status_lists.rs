//! Token Status Lists, made from the leases and kept briefly.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use lanyard_core::ledger::CommitError;
use lanyard_engine::Engine;
use lanyard_provider_token::Keyring;
use lanyard_provider_token::introspection::LeaseView;
use lanyard_provider_token::status::{self, Invalid, Lists};
use lanyard_vocabulary::time::Timestamp;
use tokio::sync::Mutex;

/// The greatest age of a list when it is served.
const LIST_FRESH_TIME: Duration = Duration::from_millis(250);
/// The number of leases that are read without a pause.
const CHUNK: usize = 4096;

/// The lists of this broker's leases. One is made at a time, and everybody who waits gets it.
#[derive(Debug)]
pub(crate) struct StatusLists {
    keyring: Arc<Keyring>,
    members: Arc<Lists>,
    issuer: String,
    /// The lists as last served, by name.
    served: Mutex<BTreeMap<String, (Timestamp, String)>>,
}

impl StatusLists {
    pub(crate) fn new(keyring: Arc<Keyring>, members: Arc<Lists>, issuer: String) -> Self {
        Self {
            keyring,
            members,
            issuer,
            served: Mutex::default(),
        }
    }

    /// Returns the list of this name as a signed token; `None` if there is no such list.
    ///
    /// # Errors
    /// When the ledger does not answer. A verifier that gets no list goes by the one that it has,
    /// until that is too old.
    pub(crate) async fn token(
        &self,
        engine: &Engine,
        list: &str,
    ) -> Result<Option<String>, CommitError> {
        let now = engine.clock().now();
        let mut served = self.served.lock().await;
        served.retain(|_, (at, _)| now.since(*at) < LIST_FRESH_TIME);
        if let Some((_, token)) = served.get(list) {
            return Ok(Some(token.clone()));
        }
        let made = self.made(engine, list, now).await?;
        if let Some(token) = &made {
            served.insert(list.to_owned(), (now, token.clone()));
        }
        Ok(made)
    }

    async fn made(
        &self,
        engine: &Engine,
        list: &str,
        now: Timestamp,
    ) -> Result<Option<String>, CommitError> {
        let Some(members) = self.members.members(list, now) else {
            return Ok(None);
        };
        // An earlier process may have put tokens on its lists that the journal, where an older copy
        // of it was restored, does not know.
        let is_closed = self.members.is_closed(list);
        let mut places = Vec::new();
        for some in members.chunks(CHUNK) {
            let found = engine.context().query(|state| {
                let marked = some.iter().filter(|member| {
                    let view = LeaseView::of(state, member.lease);
                    view.is_some_and(|view| view.valid) == is_closed
                });
                marked.map(|member| member.index).collect::<Vec<_>>()
            });
            places.extend(found.await?);
        }
        let invalid = if is_closed {
            Invalid::AllBut(places)
        } else {
            Invalid::Places(places)
        };
        let token = status::list_token(&self.keyring, &self.issuer, list, &invalid, now);
        Ok(token)
    }
}
