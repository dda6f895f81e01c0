//! Secret values. [`Secret::expose`] is the only way to read one, so that every reader can be found
//! by search.

use std::fmt;

use zeroize::{Zeroize, Zeroizing};

/// A value that is wiped when dropped, and never printed, copied, compared or serialized.
pub struct Secret<T: Zeroize>(Zeroizing<T>);

impl<T: Zeroize> Secret<T> {
    /// Wraps a secret value.
    #[must_use]
    pub fn new(value: T) -> Self {
        Self(Zeroizing::new(value))
    }

    /// Reads the value. Every caller uses the secret or hands it out.
    #[must_use]
    pub fn expose(&self) -> &T {
        &self.0
    }
}

impl<T: Zeroize> fmt::Debug for Secret<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(redacted)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // T49
    #[test]
    fn debug_shows_nothing() {
        assert_eq!(
            format!("{:?}", Secret::new("canary".to_owned())),
            "Secret(redacted)"
        );
    }
}
