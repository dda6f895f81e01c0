//! The handle of a lease: empty until GitHub has answered, then the sealed token.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use lanyard_core::lease::Handle;
use lanyard_vocabulary::id::LeaseId;

use crate::seal::{KeyId, Sealed};

/// Version of the handle. Before the answer it is the whole text: no token is known, and GitHub
/// offers no way to find one.
const HANDLE_VERSION: &str = "v1";

/// The parsed text of a handle.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum LeaseHandle {
    /// The journal has no answer to the mint.
    Unanswered,
    /// The sealed token: `v1.<key>.<base64url>`.
    Sealed(Sealed),
}

impl LeaseHandle {
    pub(crate) fn handle(&self) -> Handle {
        let text = match self {
            Self::Unanswered => HANDLE_VERSION.to_owned(),
            Self::Sealed(Sealed { key, bytes }) => {
                format!("{HANDLE_VERSION}.{key}.{}", URL_SAFE_NO_PAD.encode(bytes))
            }
        };
        Handle(text.into())
    }

    pub(crate) fn read(handle: &Handle) -> Option<Self> {
        let mut parts = handle.0.split('.');
        if parts.next() != Some(HANDLE_VERSION) {
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

/// Returns the purpose that a token is sealed for, so that one lease's token does not open for
/// another lease.
pub(crate) fn purpose(lease: LeaseId) -> Vec<u8> {
    format!("lanyard github token {lease}").into_bytes()
}
