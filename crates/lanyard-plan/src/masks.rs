//! The texts that stand in the place of secrets, and the texts that may speak of one.

use std::sync::LazyLock;

use regex::Regex;

/// Text that replaces a sensitive value.
pub(crate) const SENSITIVE: &str = "(sensitive)";
/// Prefix of the text that replaces a key that repeats a secret. A number follows, so that two keys
/// stay distinct.
pub(crate) const SENSITIVE_KEY: &str = "(sensitive key";

/// True for a key that was replaced because it repeats a secret.
pub(crate) fn is_masked_key(key: &str) -> bool {
    key.starts_with(SENSITIVE_KEY)
}

/// True if a text that is no document may be or contain an object of kind Secret.
pub(crate) fn speaks_of_a_secret(text: &str) -> bool {
    static KIND: LazyLock<Option<Regex>> = LazyLock::new(|| {
        // Covers quotes, escaped quotes, a tag or an anchor before the word, and the syntax of HCL.
        Regex::new(
            r#"(?-u:\b)kind\\*["']?\s*[:=]\s*(?:[&!]\S*\s+)*\\*["']?Secret(?:List)?(?-u:\b)"#,
        )
        .ok()
    });
    // The expression is a constant. If it did not compile, every text would match, and nothing
    // would be shown.
    text.contains("Secret") && KIND.as_ref().is_none_or(|kind| kind.is_match(text))
}
