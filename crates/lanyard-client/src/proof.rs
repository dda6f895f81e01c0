//! The key of a context, and the proofs that the bearer of a token holds the key (DPoP, RFC 9449).

use std::path::{Path, PathBuf};

use ring::rand::SystemRandom;
use ring::signature::Ed25519KeyPair;
use serde_json::json;

use crate::clock::now;
use crate::context_error::ContextError;
use crate::digest::digest;
use crate::random::fresh_id;
use crate::secret::Token;
use crate::secret_files;
use crate::signer::Signer;

/// The request that a proof covers: an HTTP method and a URL without query.
pub(crate) struct Aim<'a> {
    pub(crate) method: &'a str,
    pub(crate) url: &'a str,
}

/// The key to which the tokens of one context are bound.
pub(crate) struct ProofKey(Signer);

impl ProofKey {
    /// Opens the key in `path`, and generates one first if the file is missing.
    pub(crate) fn of(path: &Path) -> Result<Self, ContextError> {
        let storage_error = |source| ContextError::Storage {
            path: path.to_path_buf(),
            source,
        };
        if let Some(bytes) = secret_files::read(path)? {
            return Signer::of(&bytes, path).map(Self);
        }
        let made = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new());
        let made = made.map_err(|_| ContextError::System)?;
        secret_files::create(path, made.as_ref()).map_err(storage_error)?;
        // Another process may have created the file first; its key is the one in use.
        let bytes = secret_files::read(path)?;
        let bytes = bytes.ok_or_else(|| ContextError::Key(PathBuf::from(path)))?;
        Signer::of(&bytes, path).map(Self)
    }

    /// Signs a proof for one request. `token` is the access token that the request carries, if any.
    pub(crate) fn prove(
        &self,
        aim: &Aim<'_>,
        token: Option<&Token>,
    ) -> Result<String, ContextError> {
        let header = json!({"typ": "dpop+jwt", "alg": "EdDSA", "jwk": self.0.jwk()});
        let mut claims =
            json!({"jti": fresh_id()?, "iat": now()?, "htm": aim.method, "htu": aim.url});
        if let (Some(token), Some(claims)) = (token, claims.as_object_mut()) {
            let digest = digest(token.expose().as_bytes());
            claims.insert("ath".into(), digest.into());
        }
        Ok(self.0.sign(&header, &claims))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn concurrent_starts_share_one_key() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("context.key");
        let prints: Vec<_> = std::thread::scope(|scope| {
            let started: Vec<_> = (0..8)
                .map(|_| scope.spawn(|| ProofKey::of(&path).unwrap().0.thumbprint()))
                .collect();
            started.into_iter().map(|it| it.join().unwrap()).collect()
        });
        assert!(
            prints.windows(2).all(|pair| pair[0] == pair[1]),
            "{prints:?}"
        );
        // T51
        let mode = std::os::unix::fs::PermissionsExt::mode(
            &std::fs::metadata(&path).unwrap().permissions(),
        );
        assert_eq!(mode & 0o777, 0o600);
    }
}
