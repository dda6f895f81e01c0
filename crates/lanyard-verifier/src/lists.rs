//! The status lists that are kept: fetched again when their ttl has passed, and refused once they are too old.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

use crate::kept::Kept;
use crate::keys::Keys;
use crate::list::{self, BadList, List};
use crate::refusal::Refusal;
use crate::sources::Sources;
use crate::token::Place;

/// How many lists are kept: each has places for 65,536 tokens.
///
/// # Limit
/// - for: a verifier
/// - unit: status lists
/// - beyond: another list goes, and is fetched again when a token names it
/// - test: `so_many_lists_are_kept_and_another_takes_the_place_of_one`
const MAX_LISTS: usize = 64;
/// How often a list is asked for at most while it cannot be had.
const RETRY: Duration = Duration::from_secs(1);

#[derive(Debug, Default)]
pub(crate) struct Lists(Mutex<BTreeMap<String, Arc<Kept<List>>>>);

impl Lists {
    /// That the token at this place was not revoked, by a list that is no older than this.
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
        let list = kept.get(&**clock, |_| RETRY, will_do, fetch).await;
        let (now, running) = (clock.now(), clock.running());
        let believed = |list: &Arc<List>| list.is_of_now(now) && list.age(now, running) <= oldest;
        let Some(list) = list.filter(believed) else {
            return Err(Refusal::Stale { oldest });
        };
        match list.is_set(place.idx) {
            Some(false) => Ok(()),
            // A place that the list does not have is nobody's.
            Some(true) | None => Err(Refusal::Revoked),
        }
    }

    /// The list of this name. Where there are too many, any other one goes: it can be fetched again.
    fn kept(&self, uri: &str) -> Arc<Kept<List>> {
        let mut lists = self.0.lock();
        if let Some(kept) = lists.get(uri) {
            return Arc::clone(kept);
        }
        while lists.len() >= MAX_LISTS {
            lists.pop_first();
        }
        let kept = Arc::new(Kept::default());
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
    // Before the question: what is answered may change right after.
    let fetched = sources.clock.running();
    let bytes = match sources.fetch.fetch(&url, list::SIZE).await {
        Ok(bytes) => bytes,
        Err(error) => {
            tracing::warn!(%error, "a status list cannot be fetched");
            return None;
        }
    };
    let list = read(uri, &bytes, fetched, keys, sources).await;
    let list = list.and_then(|list| match before {
        Some(before) if list.made < before.made => Err(BadList::Older),
        Some(_) | None => Ok(list),
    });
    list.inspect_err(|error| tracing::warn!(%url, %error, "a status list is not believed"))
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
    fn so_many_lists_are_kept_and_another_takes_the_place_of_one() {
        let lists = Lists::default();
        for place in 0..=MAX_LISTS {
            lists.kept(&format!("https://broker.acme.example/{place}"));
        }
        assert_eq!(lists.0.lock().len(), MAX_LISTS);
    }
}
