//! What a lease's handle holds: nothing before GitHub has answered, the sealed token after.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use lanyard_core::id::LeaseId;
use lanyard_core::lease::Handle;

use crate::seal::{KeyId, Sealed};

/// Before the answer. No token is known, and none can be found out later.
const UNANSWERED: &str = "v1";

/// A handle, read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Held {
    /// The mint was not answered, as far as the journal knows.
    Unanswered,
    /// The token, sealed: `v1.<key>.<base64url>`.
    Sealed(Sealed),
}

impl Held {
    pub(crate) fn handle(&self) -> Handle {
        let text = match self {
            Self::Unanswered => UNANSWERED.to_owned(),
            Self::Sealed(Sealed { key, bytes }) => {
                format!("{UNANSWERED}.{key}.{}", URL_SAFE_NO_PAD.encode(bytes))
            }
        };
        Handle(text.into())
    }

    pub(crate) fn read(handle: &Handle) -> Option<Self> {
        let mut parts = handle.0.split('.');
        if parts.next() != Some(UNANSWERED) {
            return None;
        }
        match (parts.next(), parts.next(), parts.next()) {
            (None, None, None) => Some(Self::Unanswered),
            (Some(key), Some(bytes), None) => Some(Self::Sealed(Sealed {
                key: KeyId::new(key)?,
                bytes: URL_SAFE_NO_PAD.decode(bytes).ok()?,
            })),
            _ => None,
        }
    }
}

/// What a token is sealed for: this lease and no other.
pub(crate) fn purpose(lease: LeaseId) -> Vec<u8> {
    format!("lanyard github token {lease}").into_bytes()
}
