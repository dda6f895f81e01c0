//! A Token Status List (draft-ietf-oauth-status-list): the checks of its claims, and its bits.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use lanyard_identity::RejectedToken;
use lanyard_identity::jws::Jws;
use lanyard_vocabulary::time::Timestamp;
use serde::Deserialize;

use crate::token::CLOCK_SKEW;

/// Header `typ` of a list.
const LIST_TYPE: &str = "statuslist+jwt";
/// The largest list that is fetched, in bytes.
pub(crate) const LIST_BYTES: usize = 256 * 1024;
/// The largest unpacked list; a million places fit.
///
/// # Limit
/// - for: a status list
/// - unit: bytes
/// - beyond: the list is refused
/// - test: `t44_a_list_that_unpacks_beyond_its_bound_is_refused`
const MAX_UNPACKED_BYTES: usize = 128 * 1024;
/// The longest that a list is cached, whatever its `ttl` says.
const TTL_CEILING: Duration = Duration::from_secs(60);

/// The reason why a list is not trusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BadList {
    #[error("it is not a status list in a JWT, or is too large")]
    Form,
    #[error("it is not signed by a key of the broker")]
    Signature,
    #[error("its claims are not those of a status list with one bit for each token")]
    Claims,
    #[error("it is another list than the one requested")]
    Subject,
    #[error(
        "it was made in the future, or has expired: compare the clocks of the broker and of this machine"
    )]
    Times,
    #[error("its bits cannot be unpacked, or exceed the size limit")]
    Bits,
    #[error("it is older than the cached list")]
    Older,
}

#[derive(Deserialize)]
struct Claims {
    sub: String,
    iat: u64,
    exp: Option<u64>,
    ttl: Option<u64>,
    status_list: Packed,
}

#[derive(Deserialize)]
struct Packed {
    bits: u8,
    lst: String,
}

/// A list whose signature and claims were checked.
#[derive(Debug)]
pub(crate) struct List {
    /// The time at which the broker made the list.
    pub(crate) made: Timestamp,
    /// The time at which the list expires.
    ends: Timestamp,
    /// Time for which the list need not be fetched again.
    pub(crate) ttl: Duration,
    /// Time of the request for the list, by the monotonic clock.
    pub(crate) fetched: Duration,
    /// The bits, one for each token.
    bits: Vec<u8>,
}

/// Splits a list token; the caller checks the signature.
pub(crate) fn parse(text: &str) -> Result<Jws<'_>, RejectedToken> {
    Jws::parse_within(text, LIST_TYPE, LIST_BYTES)
}

impl List {
    /// Checks the claims of the list `uri`, which was requested at `fetched`, and unpacks its bits.
    pub(crate) fn of(
        jws: &Jws<'_>,
        uri: &str,
        fetched: Duration,
        now: Timestamp,
    ) -> Result<Self, BadList> {
        let claims: Claims = jws.claims().map_err(|_| BadList::Claims)?;
        if claims.status_list.bits != 1 {
            return Err(BadList::Claims);
        }
        if claims.sub != uri {
            return Err(BadList::Subject);
        }
        let ttl = Duration::from_secs(claims.ttl.ok_or(BadList::Claims)?);
        let list = Self {
            made: Timestamp::from_secs(claims.iat),
            ends: Timestamp::from_secs(claims.exp.ok_or(BadList::Claims)?),
            ttl: ttl.min(TTL_CEILING),
            fetched,
            bits: unpacked(&claims.status_list.lst)?,
        };
        if list.is_of_now(now) {
            Ok(list)
        } else {
            Err(BadList::Times)
        }
    }

    /// Checks the list's `iat` and `exp` against the time of day.
    pub(crate) fn is_of_now(&self, now: Timestamp) -> bool {
        self.made <= now + CLOCK_SKEW && now < self.ends
    }

    /// The list's age: by its `iat`, or since it was fetched, whichever is more.
    pub(crate) fn age(&self, now: Timestamp, running: Duration) -> Duration {
        now.since(self.made)
            .max(running.saturating_sub(self.fetched))
    }

    /// Returns the bit at `index`; `None` if the list is shorter.
    pub(crate) fn is_set(&self, index: u64) -> Option<bool> {
        let byte = self.bits.get(usize::try_from(index / 8).ok()?)?;
        Some(byte >> (index % 8) & 1 == 1)
    }
}

fn unpacked(text: &str) -> Result<Vec<u8>, BadList> {
    let packed = URL_SAFE_NO_PAD.decode(text).map_err(|_| BadList::Bits)?;
    miniz_oxide::inflate::decompress_to_vec_zlib_with_limit(&packed, MAX_UNPACKED_BYTES)
        .map_err(|_| BadList::Bits)
}

#[cfg(test)]
mod tests {
    use super::*;

    // The example of the draft, section 4.2: the statuses 1 0 0 1 1 1 0 1 1 1 0 0 0 1 0 1.
    #[test]
    fn bits_are_in_the_order_of_the_draft() {
        let list = List {
            made: Timestamp::EPOCH,
            ends: Timestamp::NEVER,
            ttl: TTL_CEILING,
            fetched: Duration::ZERO,
            bits: unpacked("eNrbuRgAAhcBXQ").unwrap(),
        };
        let bits: Vec<u8> = (0..16)
            .map(|place| u8::from(list.is_set(place).unwrap()))
            .collect();
        assert_eq!(bits, [1, 0, 0, 1, 1, 1, 0, 1, 1, 1, 0, 0, 0, 1, 0, 1]);
        assert_eq!(list.is_set(16), None);
        assert_eq!(list.is_set(u64::MAX), None);
    }

    // T44
    #[test]
    fn t44_a_list_that_unpacks_beyond_its_bound_is_refused() {
        let pack = |size: usize| {
            let packed = miniz_oxide::deflate::compress_to_vec_zlib(&vec![0; size], 9);
            URL_SAFE_NO_PAD.encode(packed)
        };
        assert_eq!(
            unpacked(&pack(MAX_UNPACKED_BYTES)).map(|bits| bits.len()),
            Ok(MAX_UNPACKED_BYTES)
        );
        assert_eq!(unpacked(&pack(MAX_UNPACKED_BYTES + 1)), Err(BadList::Bits));
        assert_eq!(unpacked("!"), Err(BadList::Bits));
        assert_eq!(unpacked("AAAA"), Err(BadList::Bits));
    }
}
