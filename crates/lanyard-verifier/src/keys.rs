//! The broker's public keys: fetched at first use, fetched again for an unknown key id, and trusted
//! for a limited time.

use std::sync::Arc;
use std::time::Duration;

use lanyard_identity::RejectedToken;
use lanyard_identity::jwks::{Algorithm, Jwks};
use lanyard_identity::jws::Jws;

use crate::cached::Cached;
use crate::refusal::Refusal;
use crate::sources::Sources;

/// Age at which the keys are fetched again.
const KEYS_FRESH_TIME: Duration = Duration::from_secs(5 * 60);
/// The age up to which cached keys are trusted while the broker cannot be reached (T11).
///
/// # Limit
/// - for: the keys of the broker
/// - unit: of time
/// - beyond: every token is refused until the keys can be fetched again
/// - test: `t11_keys_that_cannot_be_fetched_again_are_trusted_for_an_hour`
const KEYS_BELIEVED: Duration = Duration::from_secs(60 * 60);
/// The shortest time between two fetches that an unknown key id causes, so that callers cannot make
/// the verifier flood the broker (T11).
const UNKNOWN_KEY_INTERVAL: Duration = Duration::from_secs(10);
/// The shortest time between two attempts while there are no keys.
const RETRY_INTERVAL: Duration = Duration::from_secs(1);
/// The largest key set that is read, in bytes.
const KEY_SET_BYTES: usize = 64 * 1024;

/// The cached key set.
#[derive(Debug, Default)]
pub(crate) struct Keys(Cached<KeySet>);

#[derive(Debug)]
struct KeySet {
    keys: Jwks,
    fetched: Duration,
}

impl Keys {
    /// Checks that a key of the broker's made the signature.
    pub(crate) async fn check(&self, jws: &Jws<'_>, sources: &Sources) -> Result<(), Refusal> {
        if jws.algorithm == Algorithm::Rs256 {
            return Err(Refusal::Forged(RejectedToken::Header));
        }
        // The broker writes `kid` into everything that it signs, so a token without one is foreign.
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
        let will_do = |set: &KeySet| set.keys.knows(kid) && age(set) < KEYS_FRESH_TIME;
        let pause = |set: Option<&KeySet>| {
            if set.is_some() {
                UNKNOWN_KEY_INTERVAL
            } else {
                RETRY_INTERVAL
            }
        };
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
    // Taken before the request: the set may change right after the answer, so its age counts from
    // here.
    let fetched = sources.clock.running();
    let bytes = match sources.fetch.fetch(&url, KEY_SET_BYTES).await {
        Ok(bytes) => bytes,
        Err(error) => {
            tracing::warn!(%error, "the broker's keys cannot be fetched");
            return None;
        }
    };
    match Jwks::parse(&bytes) {
        Ok(keys) => {
            for key in keys.passed_over() {
                tracing::warn!(%url, %key, "a key of the broker cannot be used: it is skipped");
            }
            Some(KeySet { keys, fetched })
        }
        Err(error) => {
            tracing::warn!(%url, %error, "the broker's keys cannot be read");
            None
        }
    }
}
