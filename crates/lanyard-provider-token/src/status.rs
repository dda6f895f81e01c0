//! Token Status Lists (draft-ietf-oauth-status-list): a bit for every token, so that a verifier that asks about none
//! of them learns of a kill as soon as it fetches the list again.
//!
//! A list is named after the process that filled it, so that no place is ever given twice.

use std::collections::BTreeMap;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use lanyard_core::id::LeaseId;
use lanyard_core::lease::Handle;
use lanyard_core::time::Timestamp;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use crate::keyring::Keyring;

/// How long a verifier may go on with a list before it fetches it again.
pub const TTL: Duration = Duration::from_secs(10);
/// How long a list is believed at all.
const BELIEVED: Duration = Duration::from_secs(30);
/// How many tokens a list has places for.
const PLACES: u64 = 1 << 16;
/// The compression: the best, as the draft recommends.
const LEVEL: u8 = 9;
/// `typ` of a list.
const TYPE: &str = "statuslist+jwt";

/// The claim of a token: where its bit is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Status {
    /// The list and the place on it.
    pub status_list: Place,
}

/// A place on a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Place {
    /// The bit's number.
    pub idx: u32,
    /// Where the list is.
    pub uri: String,
}

/// Which lease has which place.
#[derive(Debug)]
pub struct Lists {
    process: String,
    members: Mutex<BTreeMap<String, Members>>,
}

type Members = Vec<Member>;

/// A lease on a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Member {
    /// The bit's number.
    pub index: u32,
    /// The lease.
    pub lease: LeaseId,
    /// When its token ends.
    pub expires: Timestamp,
}

impl Lists {
    /// The lists of a process, which these fresh random bits name.
    #[must_use]
    pub fn new(bits: u128) -> Self {
        Self {
            process: format!("{bits:032x}"),
            members: Mutex::default(),
        }
    }

    /// The place of the token with this number: pure.
    pub(crate) fn place(&self, number: u64) -> Handle {
        let (list, index) = (number / PLACES, number % PLACES);
        Handle(format!("{}-{list:x}/{index}", self.process).into())
    }

    /// Takes down who has a place, so that the list can be made.
    pub fn note(&self, handle: &Handle, lease: LeaseId, expires: Timestamp) {
        let Some((list, index)) = taken_apart(handle) else {
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

    /// Who has a place on a list. One on which nobody's token is valid any more is gone.
    #[must_use]
    pub fn members(&self, list: &str, now: Timestamp) -> Option<Vec<Member>> {
        let mut all = self.members.lock();
        all.retain(|_, members| members.iter().any(|member| now < member.expires));
        all.get(list).cloned()
    }
}

/// `list/index`.
fn taken_apart(handle: &Handle) -> Option<(&str, u32)> {
    let (list, index) = handle.0.split_once('/')?;
    Some((list, index.parse().ok()?))
}

/// The claim for a handle, with lists under this issuer.
pub(crate) fn claim(issuer: &str, handle: &Handle) -> Option<Status> {
    let (list, idx) = taken_apart(handle)?;
    let uri = uri(issuer, list);
    Some(Status {
        status_list: Place { idx, uri },
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

/// A list token (section 5.1 of the draft): the bit of every index that is named here is 1, INVALID.
#[must_use]
pub fn list_token(
    keyring: &Keyring,
    (issuer, list): (&str, &str),
    invalid: impl IntoIterator<Item = u32>,
    now: Timestamp,
) -> Option<String> {
    let claims = ListClaims {
        sub: uri(issuer, list),
        iat: now.as_secs(),
        exp: (now + BELIEVED).as_secs(),
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

/// Least significant bit first, in ZLIB (RFC 1950), in base64url.
fn encoded(invalid: impl IntoIterator<Item = u32>) -> String {
    let size = usize::try_from(PLACES / 8).unwrap_or_default();
    let mut bits = vec![0_u8; size];
    for index in invalid {
        let byte = usize::try_from(index / 8).unwrap_or(usize::MAX);
        if let Some(byte) = bits.get_mut(byte) {
            *byte |= 1 << (index % 8);
        }
    }
    URL_SAFE_NO_PAD.encode(miniz_oxide::deflate::compress_to_vec_zlib(&bits, LEVEL))
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
        let own = bytes(&encoded([0, 3, 4, 5, 7, 8, 9, 13, 15]));
        assert_eq!(own.get(..2), Some(example.as_slice()));
        assert!(own.iter().skip(2).all(|byte| *byte == 0));
    }

    #[test]
    fn a_list_is_known_while_a_token_on_it_is_valid() {
        let lists = Lists::new(7);
        let handle = lists.place(PLACES + 3);
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
