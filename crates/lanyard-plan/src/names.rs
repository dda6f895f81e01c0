//! The names of fields, as they are compared with known ones.

/// Longest key that is compared with the known names. A long key may stand above very many others,
/// and is not copied for each.
///
/// # No limit
/// A longer key is taken: it is compared with nothing.
const MAX_NAME_BYTES: usize = 64;

/// Removes case and separators from a name. Empty if the name is too long to be a known one.
pub(crate) fn plain_name(key: &str) -> String {
    if key.len() > MAX_NAME_BYTES {
        return String::new();
    }
    let kept = key.chars().filter(|c| !matches!(c, '_' | '-'));
    kept.map(|c| c.to_ascii_lowercase()).collect()
}
