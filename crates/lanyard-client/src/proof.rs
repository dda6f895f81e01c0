//! The key of a context, and the proofs that whoever shows a token holds it (DPoP, RFC 9449).

use std::path::{Path, PathBuf};

use ring::rand::SystemRandom;
use ring::signature::Ed25519KeyPair;
use serde_json::json;

use crate::clock::now;
use crate::context_error::ContextError;
use crate::digest::digest;
use crate::private;
use crate::random::fresh_id;
use crate::secret::Token;
use crate::signer::Signer;

/// What a proof is about: an HTTP method and a URL without query.
pub(crate) struct Aim<'a> {
    pub(crate) method: &'a str,
    pub(crate) url: &'a str,
}

/// The key that the tokens of one context are bound to.
pub(crate) struct ProofKey(Signer);

impl ProofKey {
    /// The key in this file, made where there is none.
    pub(crate) fn of(path: &Path) -> Result<Self, ContextError> {
        let kept = |source| ContextError::Kept {
            path: path.to_path_buf(),
            source,
        };
        if let Some(bytes) = private::read(path)? {
            return Signer::of(&bytes, path).map(Self);
        }
        let made = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new());
        let made = made.map_err(|_| ContextError::System)?;
        private::create(path, made.as_ref()).map_err(kept)?;
        // Another process may have been quicker: then its key is the one.
        let bytes = private::read(path)?;
        let bytes = bytes.ok_or_else(|| ContextError::Key(PathBuf::from(path)))?;
        Signer::of(&bytes, path).map(Self)
    }

    /// A proof for one request; with the token that it goes with, where there is one.
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
    fn of_many_that_start_at_once_all_have_the_same_key() {
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
