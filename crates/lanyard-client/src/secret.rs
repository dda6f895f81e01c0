//! Tokens in memory: wiped when dropped, hidden from `Debug`.

use std::fmt;

use serde::{Deserialize, Deserializer};
use zeroize::Zeroizing;

/// A token, wiped when dropped and hidden from `Debug`. Reading the text needs [`Token::expose`],
/// which a search of the source finds.
#[derive(Clone)]
pub struct Token(Zeroizing<String>);

impl Token {
    pub(crate) fn new(text: String) -> Self {
        Self(Zeroizing::new(text))
    }

    /// Returns the token's text, for the one place that sends it.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(redacted)")
    }
}

impl<'de> Deserialize<'de> for Token {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(Self::new)
    }
}

/// Reads a token and treats an empty one as absent.
pub(crate) fn some_token<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Token>, D::Error> {
    let token = Option::<Token>::deserialize(deserializer)?;
    Ok(token.filter(|token| !token.expose().is_empty()))
}

#[cfg(test)]
mod tests {
    use super::*;

    // T49
    #[test]
    fn debug_shows_nothing() {
        let shown = format!("{:?}", Token::new("canary".into()));
        assert_eq!(shown, "Token(redacted)");
    }
}
