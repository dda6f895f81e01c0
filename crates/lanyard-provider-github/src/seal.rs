//! Sealing: encrypts a token so that the journal may hold it (T52). A key service can implement
//! [`Sealer`].

use std::fmt;

use async_trait::async_trait;
use lanyard_vocabulary::secret::Secret;

/// The longest name of a sealing key.
///
/// # Limit
/// - for: a file of sealing keys
/// - unit: bytes
/// - beyond: the file is refused, with its line
/// - test: `a_name_of_a_key_has_a_bound`
const MAX_KEY_NAME_BYTES: usize = 64;

/// The name of a sealing key: letters, digits, `-` and `_`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct KeyId(String);

impl KeyId {
    /// A key id from `name`; `None` for a name with other characters or of a wrong length.
    #[must_use]
    pub fn new(name: &str) -> Option<Self> {
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        let good = !name.is_empty() && name.len() <= MAX_KEY_NAME_BYTES && name.chars().all(plain);
        good.then(|| Self(name.to_owned()))
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// Sealed bytes, and the key that opens them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sealed {
    /// Name of the key.
    pub key: KeyId,
    /// The sealed bytes, in the sealer's own form.
    pub bytes: Vec<u8>,
}

/// The reason why sealing or opening failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// No key of this name exists.
    #[error("no sealing key is named {0}")]
    NoKey(KeyId),
    /// The bytes were changed, or sealed for another lease.
    #[error("it does not open with sealing key {0}: it was changed, or sealed for another lease")]
    Changed(KeyId),
    /// The sealer does not work at present.
    #[error("the sealing keys cannot be used: {0}")]
    Unavailable(&'static str),
}

/// Seals and opens secrets, each bound to a purpose: bytes sealed for one lease do not open for
/// another.
#[async_trait]
pub trait Sealer: Send + Sync {
    /// Seals `secret` for `purpose` with the newest key.
    ///
    /// # Errors
    /// [`SealError::Unavailable`].
    async fn seal(&self, secret: &Secret<String>, purpose: &[u8]) -> Result<Sealed, SealError>;

    /// Opens bytes that were sealed for `purpose`.
    ///
    /// # Errors
    /// See [`SealError`].
    async fn open(&self, sealed: &Sealed, purpose: &[u8]) -> Result<Secret<String>, SealError>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_of_a_key_has_a_bound() {
        let named = |bytes: usize| KeyId::new(&"k".repeat(bytes)).is_some();
        assert!(named(64) && !named(65));
    }
}
