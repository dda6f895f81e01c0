//! Revisions: by which content a charter is meant.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::digest::Digest;

/// The hash of a charter's content: SHA-256 over the bytes of the file, in lower-case hex with
/// `sha256:`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Revision(Box<str>);

impl Revision {
    /// The revision of these bytes.
    #[must_use]
    pub fn of(content: &[u8]) -> Self {
        Self(Digest::of(content).to_string().into())
    }

    /// A revision as a record holds it, [`Revision::as_str`] of an earlier process.
    #[must_use]
    pub fn recorded(text: String) -> Self {
        Self(text.into())
    }

    /// The whole text, `sha256:` included.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The first twelve hex digits: enough for a person, never for a comparison.
    #[must_use]
    pub fn short(&self) -> &str {
        self.0.get(7..19).unwrap_or(&self.0)
    }
}

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}
