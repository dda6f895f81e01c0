//! The cached status lists: fetched again after their `ttl`, and refused when too old.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

use crate::cached::Cached;
use crate::keys::Keys;
use crate::list::{self, BadList, List};
use crate::refusal::Refusal;
use crate::sources::Sources;
use crate::token::Place;

/// Status lists that are cached; each covers 65,536 tokens.
///
/// # Limit
/// - for: a verifier
/// - unit: status lists
/// - beyond: another list is dropped, and fetched again when a token names it
/// - test: `the_number_of_cached_lists_is_limited`
const MAX_LISTS: usize = 64;
/// The shortest time between two attempts while a list cannot be fetched.
const RETRY_INTERVAL: Duration = Duration::from_secs(1);

/// The cached lists, by their URI in tokens.
#[derive(Debug, Default)]
pub(crate) struct Lists(Mutex<BTreeMap<String, Arc<Cached<List>>>>);

impl Lists {
    /// Checks that the token at `place` is not revoked, by a list that is at most `oldest` old.
    pub(crate) async fn check(
        &self,
        place: &Place,
        oldest: Duration,
        keys: &Keys,
        sources: &Sources,
    ) -> Result<(), Refusal> {
        let url = sources
            .broker
            .list(&place.uri)
            .ok_or(Refusal::ForeignList)?;
        let (clock, kept) = (&sources.clock, self.kept(&place.uri));
        let will_do = |list: &List| {
            let kept_for = clock.running().saturating_sub(list.fetched);
            kept_for < list.ttl.min(oldest) && list.is_of_now(clock.now())
        };
        let fetch = |before| fetched(&place.uri, url, before, keys, sources);
        let list = kept.get(&**clock, |_| RETRY_INTERVAL, will_do, fetch).await;
        let (now, running) = (clock.now(), clock.running());
        let believed = |list: &Arc<List>| list.is_of_now(now) && list.age(now, running) <= oldest;
        let Some(list) = list.filter(believed) else {
            return Err(Refusal::Stale { oldest });
        };
        match list.is_set(place.idx) {
            Some(false) => Ok(()),
            // A place beyond the list's end belongs to no token, so a token that names it is
            // refused.
            Some(true) | None => Err(Refusal::Revoked),
        }
    }

    /// The cache of list `uri`. When there are too many, another list is dropped, since any can be
    /// fetched again.
    fn kept(&self, uri: &str) -> Arc<Cached<List>> {
        let mut lists = self.0.lock();
        if let Some(kept) = lists.get(uri) {
            return Arc::clone(kept);
        }
        while lists.len() >= MAX_LISTS {
            lists.pop_first();
        }
        let kept = Arc::new(Cached::default());
        lists.insert(uri.to_owned(), Arc::clone(&kept));
        kept
    }
}

async fn fetched(
    uri: &str,
    url: String,
    before: Option<Arc<List>>,
    keys: &Keys,
    sources: &Sources,
) -> Option<List> {
    // Taken before the request: the list may change right after the answer, so its age counts from
    // here.
    let fetched = sources.clock.running();
    let bytes = match sources.fetch.fetch(&url, list::LIST_BYTES).await {
        Ok(bytes) => bytes,
        Err(error) => {
            tracing::warn!(%error, "a status list cannot be fetched");
            return None;
        }
    };
    let list = read(uri, &bytes, fetched, keys, sources).await;
    let list = list.and_then(|list| match before {
        // A replayed older list could show a revoked token as valid.
        Some(before) if list.made < before.made => Err(BadList::Older),
        Some(_) | None => Ok(list),
    });
    list.inspect_err(|error| tracing::warn!(%url, %error, "a status list is rejected"))
        .ok()
}

async fn read(
    uri: &str,
    bytes: &[u8],
    fetched: Duration,
    keys: &Keys,
    sources: &Sources,
) -> Result<List, BadList> {
    let text = std::str::from_utf8(bytes).map_err(|_| BadList::Form)?;
    let jws = list::parse(text.trim_end()).map_err(|_| BadList::Form)?;
    let signed = keys.check(&jws, sources).await;
    signed.map_err(|_| BadList::Signature)?;
    List::of(&jws, uri, fetched, sources.clock.now())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_of_cached_lists_is_limited() {
        let lists = Lists::default();
        for place in 0..=MAX_LISTS {
            lists.kept(&format!("https://broker.acme.example/{place}"));
        }
        assert_eq!(lists.0.lock().len(), MAX_LISTS);
    }
}
