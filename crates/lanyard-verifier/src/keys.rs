//! The broker's public keys: fetched when they are needed, again for a name that is not known, and not believed for ever.

use std::sync::Arc;
use std::time::Duration;

use lanyard_identity::RejectedToken;
use lanyard_identity::jwks::{Algorithm, Jwks};
use lanyard_identity::jws::Jws;

use crate::kept::Kept;
use crate::refusal::Refusal;
use crate::sources::Sources;

/// After how long they are fetched again.
const FRESH: Duration = Duration::from_secs(5 * 60);
/// For how long they are believed while they cannot be fetched (T11).
///
/// # Limit
/// - for: the keys of the broker
/// - unit: of time
/// - beyond: nothing is accepted until keys are fetched again
/// - test: `t11_keys_that_cannot_be_fetched_are_believed_for_an_hour`
const KEYS_BELIEVED: Duration = Duration::from_secs(60 * 60);
/// How often they are fetched at most for a key that is not among them (T11).
const PAUSE: Duration = Duration::from_secs(10);
/// How often it is tried while there are none.
const RETRY: Duration = Duration::from_secs(1);
/// The largest set, in bytes.
const SIZE: usize = 64 * 1024;

#[derive(Debug, Default)]
pub(crate) struct Keys(Kept<KeySet>);

#[derive(Debug)]
struct KeySet {
    keys: Jwks,
    fetched: Duration,
}

impl Keys {
    /// Whether a key of the broker's signed it.
    pub(crate) async fn check(&self, jws: &Jws<'_>, sources: &Sources) -> Result<(), Refusal> {
        if jws.algorithm == Algorithm::Rs256 {
            return Err(Refusal::Forged(RejectedToken::Header));
        }
        // The broker names the key of everything that it signs.
        let kid = jws.kid.as_deref();
        let kid = kid.ok_or(Refusal::Forged(RejectedToken::Header))?;
        let set = self.set(kid, sources).await?;
        let verifies = set
            .keys
            .verifies(kid, jws.algorithm, jws.message, &jws.signature);
        let forged = Refusal::Forged(RejectedToken::Signature);
        verifies.then_some(()).ok_or(forged)
    }

    async fn set(&self, kid: &str, sources: &Sources) -> Result<Arc<KeySet>, Refusal> {
        let age = |set: &KeySet| sources.clock.running().saturating_sub(set.fetched);
        let will_do = |set: &KeySet| set.keys.knows(kid) && age(set) < FRESH;
        let pause = |set: Option<&KeySet>| if set.is_some() { PAUSE } else { RETRY };
        let set = self
            .0
            .get(&*sources.clock, pause, will_do, |_| fetch(sources))
            .await;
        set.filter(|set| age(set) < KEYS_BELIEVED)
            .ok_or(Refusal::NoKeys)
    }
}

async fn fetch(sources: &Sources) -> Option<KeySet> {
    let url = sources.broker.keys();
    // Before the question: what is answered may change right after.
    let fetched = sources.clock.running();
    let bytes = match sources.fetch.fetch(&url, SIZE).await {
        Ok(bytes) => bytes,
        Err(error) => {
            tracing::warn!(%error, "the broker's keys cannot be fetched");
            return None;
        }
    };
    match Jwks::parse(&bytes) {
        Ok(keys) => {
            for key in keys.passed_over() {
                tracing::warn!(%url, %key, "a key of the broker is passed over");
            }
            Some(KeySet { keys, fetched })
        }
        Err(error) => {
            tracing::warn!(%url, %error, "the broker's keys cannot be read");
            None
        }
    }
}
