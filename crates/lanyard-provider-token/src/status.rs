//! Token Status Lists (draft-ietf-oauth-status-list): one bit per token, so that a verifier that
//! does not introspect learns of a kill when it next fetches the list.
//!
//! Each list is named after the process that filled it, so that no place is ever given to two
//! tokens.

use std::collections::BTreeMap;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use lanyard_core::lease::Handle;
use lanyard_vocabulary::id::LeaseId;
use lanyard_vocabulary::time::Timestamp;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use crate::keyring::Keyring;

/// Time after which a verifier has to fetch a list again.
pub const TTL: Duration = Duration::from_secs(10);
/// Time after which a list expires and a verifier must not use it.
const LIST_LIFETIME: Duration = Duration::from_secs(30);
/// Number of places on one list.
const PLACES_PER_LIST: u64 = 1 << 16;
/// ZLIB compression level: the best one, as the draft recommends.
const ZLIB_LEVEL: u8 = 9;
/// Header `typ` of a list token.
const TYPE: &str = "statuslist+jwt";

/// The `status` claim of a token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Status {
    /// The token's list and its place there.
    pub status_list: StatusListEntry,
}

/// A place on a status list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StatusListEntry {
    /// Number of the token's bit.
    pub idx: u32,
    /// URL of the list.
    pub uri: String,
}

/// The lists of one process: which lease has which place.
#[derive(Debug)]
pub struct Lists {
    process: String,
    members: Mutex<BTreeMap<String, Members>>,
}

type Members = Vec<Member>;

/// A lease's place on a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Member {
    /// Number of the token's bit.
    pub index: u32,
    /// The lease of the token.
    pub lease: LeaseId,
    /// The time at which the token expires.
    pub expires: Timestamp,
}

impl Lists {
    /// The lists of a process. `bits` are fresh random bits that name the process's lists.
    #[must_use]
    pub fn new(bits: u128) -> Self {
        Self {
            process: format!("{bits:032x}"),
            members: Mutex::default(),
        }
    }

    /// The place of token `number`; a pure function of the number.
    pub(crate) fn place(&self, number: u64) -> Handle {
        let (list, index) = (number / PLACES_PER_LIST, number % PLACES_PER_LIST);
        Handle(format!("{}-{list:x}/{index}", self.process).into())
    }

    /// Records the lease of a place, so that the list can be rendered.
    pub fn note(&self, handle: &Handle, lease: LeaseId, expires: Timestamp) {
        let Some((list, index)) = split_handle(handle) else {
            return;
        };
        let member = Member {
            index,
            lease,
            expires,
        };
        let mut members = self.members.lock();
        members.entry(list.to_owned()).or_default().push(member);
    }

    /// Tells whether a list was filled by an earlier process, so that it gets no further tokens.
    #[must_use]
    pub fn is_closed(&self, list: &str) -> bool {
        list.rsplit_once('-')
            .is_none_or(|(process, _)| process != self.process)
    }

    /// The members of a list. Drops every list on which all tokens have expired.
    #[must_use]
    pub fn members(&self, list: &str, now: Timestamp) -> Option<Vec<Member>> {
        let mut all = self.members.lock();
        all.retain(|_, members| members.iter().any(|member| now < member.expires));
        all.get(list).cloned()
    }
}

/// Splits a handle of the form `list/index`.
fn split_handle(handle: &Handle) -> Option<(&str, u32)> {
    let (list, index) = handle.0.split_once('/')?;
    Some((list, index.parse().ok()?))
}

/// The `status` claim for a handle, with the list's URL under `issuer`.
pub(crate) fn claim(issuer: &str, handle: &Handle) -> Option<Status> {
    let (list, idx) = split_handle(handle)?;
    let uri = uri(issuer, list);
    Some(Status {
        status_list: StatusListEntry { idx, uri },
    })
}

fn uri(issuer: &str, list: &str) -> String {
    format!(
        "{}/oauth2/status-lists/{list}",
        issuer.trim_end_matches('/')
    )
}

#[derive(Serialize)]
struct ListClaims {
    sub: String,
    iat: u64,
    exp: u64,
    ttl: u64,
    status_list: Encoded,
}

#[derive(Serialize)]
struct Encoded {
    bits: u8,
    lst: String,
}

/// The places of a list whose bit says INVALID.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Invalid {
    /// No place but these is invalid. A place that is not given to a token yet has to be valid: a
    /// verifier may have the list cached when the place is given.
    Places(Vec<u32>),
    /// Every place but these is invalid. A journal that is older than the list, as after a restore,
    /// does not know every token on it.
    AllBut(Vec<u32>),
}

/// Renders and signs a list token (draft section 5.1). `None` without a key.
#[must_use]
pub fn list_token(
    keyring: &Keyring,
    issuer: &str,
    list: &str,
    invalid: &Invalid,
    now: Timestamp,
) -> Option<String> {
    let claims = ListClaims {
        sub: uri(issuer, list),
        iat: now.as_secs(),
        exp: (now + LIST_LIFETIME).as_secs(),
        ttl: TTL.as_secs(),
        status_list: Encoded {
            bits: 1,
            lst: encoded(invalid),
        },
    };
    let payload = serde_json::to_vec(&claims).ok()?;
    let token = keyring.sign_as(TYPE, &payload, now)?;
    Some(token.expose().clone())
}

/// Packs the bits, least significant first, and encodes them: ZLIB (RFC 1950), then base64url.
fn encoded(invalid: &Invalid) -> String {
    let size = usize::try_from(PLACES_PER_LIST / 8).unwrap_or_default();
    let (places, is_inverted) = match invalid {
        Invalid::Places(places) => (places, false),
        Invalid::AllBut(places) => (places, true),
    };
    let mut bits = vec![0_u8; size];
    for index in places {
        let byte = usize::try_from(index / 8).unwrap_or(usize::MAX);
        if let Some(byte) = bits.get_mut(byte) {
            *byte |= 1 << (index % 8);
        }
    }
    if is_inverted {
        for byte in &mut bits {
            *byte = !*byte;
        }
    }
    URL_SAFE_NO_PAD.encode(miniz_oxide::deflate::compress_to_vec_zlib(
        &bits, ZLIB_LEVEL,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(lst: &str) -> Vec<u8> {
        let packed = URL_SAFE_NO_PAD.decode(lst).unwrap();
        miniz_oxide::inflate::decompress_to_vec_zlib(&packed).unwrap()
    }

    /// The example of the draft, section 4.2: the statuses 1 0 0 1 1 1 0 1 1 1 0 0 0 1 0 1.
    #[test]
    fn bits_are_in_the_order_of_the_draft() {
        let example = bytes("eNrbuRgAAhcBXQ");
        let places = vec![0, 3, 4, 5, 7, 8, 9, 13, 15];
        let own = bytes(&encoded(&Invalid::Places(places.clone())));
        assert_eq!(own.get(..2), Some(example.as_slice()));
        assert!(own.iter().skip(2).all(|byte| *byte == 0));
        let all_but = bytes(&encoded(&Invalid::AllBut(places)));
        assert!(
            own.iter()
                .zip(&all_but)
                .all(|(one, other)| one ^ other == u8::MAX)
        );
    }

    #[test]
    fn a_list_of_an_earlier_process_is_closed() {
        let lists = Lists::new(7);
        let own = lists.place(PLACES_PER_LIST + 3);
        let (own, _) = split_handle(&own).expect("a handle");
        assert!(!lists.is_closed(own));
        let earlier = Lists::new(8).place(3);
        let (earlier, _) = split_handle(&earlier).expect("a handle");
        assert!(lists.is_closed(earlier));
        assert!(lists.is_closed("other"));
    }

    #[test]
    fn a_list_is_known_while_a_token_on_it_is_valid() {
        let lists = Lists::new(7);
        let handle = lists.place(PLACES_PER_LIST + 3);
        let (lease, ends) = (LeaseId::from_bits(1), Timestamp::from_secs(10));
        lists.note(&handle, lease, ends);
        let list = format!("{:032x}-1", 7);
        let member = Member {
            index: 3,
            lease,
            expires: ends,
        };
        assert_eq!(lists.members(&list, Timestamp::EPOCH), Some(vec![member]));
        assert_eq!(lists.members("other", Timestamp::EPOCH), None);
        assert_eq!(lists.members(&list, ends), None);
    }
}
