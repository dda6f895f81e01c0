//! Key sets that the configuration names by their files.

use std::path::Path;

use anyhow::{Context, Result, bail};
use lanyard_identity::jwks::Jwks;
use lanyard_secret_file::read_plain;

/// Reads the keys of an issuer or a transmitter; a key that cannot be used is logged and left out.
///
/// # Errors
/// When the file cannot be read, is no key set, or has only keys that cannot be used.
pub(crate) fn read(of: &str, path: &Path) -> Result<Jwks> {
    let bytes = read_plain(path).with_context(|| format!("the keys of {of}"))?;
    let place = path.display();
    let keys = match Jwks::parse(&bytes) {
        Ok(keys) => keys,
        Err(error) => bail!("the keys of {of} in {place}: {error}"),
    };
    for key in keys.passed_over() {
        tracing::warn!(of, %place, %key, "a key cannot be used: it is skipped");
    }
    match keys.passed_over() {
        [] => Ok(keys),
        [first, ..] if keys.is_empty() => {
            bail!("the keys of {of} in {place}: none of them can be used; {first}")
        }
        _ => Ok(keys),
    }
}
