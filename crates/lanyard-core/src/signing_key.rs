//! Changes of the keys with which the broker signs its own tokens.
//!
//! The keys are files of the data directory. The records of their changes are the audit trail, and
//! the state follows from none of them.

use lanyard_vocabulary::identity::Identity;
use lanyard_vocabulary::time::Timestamp;
use serde::{Deserialize, Serialize};

/// A change of the signing keys.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "what", rename_all = "kebab-case")]
pub enum SigningKeyStep {
    /// The broker makes and publishes a key.
    Make {
        /// The id of the key, as in the JWKS.
        kid: String,
        /// The time from which the key signs.
        signs_from: Timestamp,
        /// The person who asked for the key; `None` where the broker makes it by itself.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        by: Option<Identity>,
        /// The reason, for people.
        reason: String,
    },
    /// A person revokes a key: nothing that the key signed is valid from then on.
    Revoke {
        /// The id of the key.
        kid: String,
        /// The person who revokes the key.
        by: Identity,
        /// The reason, in the person's words.
        reason: String,
    },
}
