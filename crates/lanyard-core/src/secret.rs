//! A value that must not be seen. The only way to it is [`Secret::expose`], which can be searched for.

use std::fmt;

use zeroize::{Zeroize, Zeroizing};

/// Wiped when dropped; never printed, copied, compared or serialised.
pub struct Secret<T: Zeroize>(Zeroizing<T>);

impl<T: Zeroize> Secret<T> {
    /// Takes the value in.
    #[must_use]
    pub fn new(value: T) -> Self {
        Self(Zeroizing::new(value))
    }

    /// The value itself: every caller of this hands a secret out or uses it.
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
