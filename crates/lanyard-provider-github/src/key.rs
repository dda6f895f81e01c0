//! The app's private key, and the JSON web tokens by which the app authenticates (page «Generating
//! a JSON Web Token (JWT) for a GitHub App»).

use std::path::Path;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use lanyard_vocabulary::secret::Secret;
use lanyard_vocabulary::time::Timestamp;
use ring::rand::SystemRandom;
use ring::rsa::KeyPair;
use ring::signature::RSA_PKCS1_SHA256;
use rustls_pki_types::PrivateKeyDer;
use rustls_pki_types::pem::PemObject as _;

use crate::key_file::{self, KeyFileError};

/// The distance by which `iat` lies in the past, because clocks differ; the page's recommendation.
const ISSUED_BEFORE: Duration = Duration::from_secs(60);
/// The distance by which `exp` lies in the future. The page allows 10 minutes by GitHub's clock;
/// this leaves room for a clock that differs.
const EXPIRES_AFTER: Duration = Duration::from_secs(8 * 60);

/// A GitHub App's id and private key.
pub struct AppKey {
    id: String,
    pair: KeyPair,
}

impl std::fmt::Debug for AppKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AppKey")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

impl AppKey {
    /// Reads the key of the app with this id or client id: an RSA key in PEM, in PKCS#1 as GitHub
    /// gives it or in PKCS#8. Only the file's owner may read it.
    ///
    /// # Errors
    /// See [`KeyFileError`].
    pub fn read(id: &str, path: &Path) -> Result<Self, KeyFileError> {
        let malformed = |what| KeyFileError::Malformed {
            path: path.to_owned(),
            what,
        };
        let text = key_file::read(path)?;
        let der = PrivateKeyDer::from_pem_slice(text.expose().as_bytes())
            .map_err(|_| malformed("holds no private key in PEM"))?;
        let pair = match &der {
            PrivateKeyDer::Pkcs1(der) => KeyPair::from_der(der.secret_pkcs1_der()),
            PrivateKeyDer::Pkcs8(der) => KeyPair::from_pkcs8(der.secret_pkcs8_der()),
            PrivateKeyDer::Sec1(_) | _ => {
                return Err(malformed("holds a key of another type than RSA"));
            }
        };
        Ok(Self {
            id: id.to_owned(),
            pair: pair.map_err(|_| malformed("holds no RSA key of 2048 to 4096 bits"))?,
        })
    }

    /// A token by which the app authenticates for some minutes; `None` where the machine has no
    /// randomness.
    pub(crate) fn jwt(&self, now: Timestamp) -> Option<Secret<String>> {
        let claims = serde_json::json!({
            "iat": now.before(ISSUED_BEFORE).as_secs(),
            "exp": (now + EXPIRES_AFTER).as_secs(),
            "iss": self.id,
        });
        let mut jwt = format!(
            "{}.{}",
            URL_SAFE_NO_PAD.encode(r#"{"alg":"RS256","typ":"JWT"}"#),
            URL_SAFE_NO_PAD.encode(claims.to_string())
        );
        let mut signature = vec![0; self.pair.public().modulus_len()];
        let signed = self.pair.sign(
            &RSA_PKCS1_SHA256,
            &SystemRandom::new(),
            jwt.as_bytes(),
            &mut signature,
        );
        signed.ok()?;
        jwt.push('.');
        URL_SAFE_NO_PAD.encode_string(signature, &mut jwt);
        Some(Secret::new(jwt))
    }
}
