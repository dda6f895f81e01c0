//! An Ed25519 key that signs compact JWS.

use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use lanyard_secret_file::Origin;
use ring::signature::{Ed25519KeyPair, KeyPair as _};
use serde_json::{Value, json};
use zeroize::Zeroizing;

use crate::context_error::ContextError;
use crate::digest::digest;

/// An Ed25519 key pair.
pub(crate) struct Signer(Ed25519KeyPair);

impl Signer {
    /// Opens a PKCS#8 key file that a person named in the configuration.
    pub(crate) fn open(path: &Path) -> Result<Self, ContextError> {
        Self::of(&lanyard_secret_file::read(path, Origin::Configured)?, path)
    }

    /// Opens a PKCS#8 key file that Lanyard wrote, with the stricter checks for those.
    pub(crate) fn private(path: &Path) -> Result<Self, ContextError> {
        Self::of(&lanyard_secret_file::read(path, Origin::Written)?, path)
    }

    /// Parses a PKCS#8 key. `path` is named in errors.
    pub(crate) fn of(key: &[u8], path: &Path) -> Result<Self, ContextError> {
        let der = Zeroizing::new(der(key).ok_or_else(|| ContextError::Key(path.to_path_buf()))?);
        // openssl writes no public half (RFC 5208), ring and others do (RFC 5958). This constructor
        // reads both, and compares the halves if the file has both.
        let pair = Ed25519KeyPair::from_pkcs8_maybe_unchecked(&der);
        pair.map(Self)
            .map_err(|_| ContextError::Key(path.to_path_buf()))
    }

    pub(crate) fn sign(&self, header: &Value, claims: &Value) -> String {
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let message = format!("{}.{}", part(header), part(claims));
        let signature = URL_SAFE_NO_PAD.encode(self.0.sign(message.as_bytes()));
        format!("{message}.{signature}")
    }

    /// Signs a message without any envelope.
    pub(crate) fn raw(&self, message: &[u8]) -> Vec<u8> {
        self.0.sign(message).as_ref().to_vec()
    }

    /// Returns the public key as a JWK (RFC 8037).
    pub(crate) fn jwk(&self) -> Value {
        json!({"crv": "Ed25519", "kty": "OKP", "x": self.x()})
    }

    /// Returns the thumbprint of the public key (RFC 7638).
    pub(crate) fn thumbprint(&self) -> String {
        // The required members, in lexicographic order, without white space.
        let text = format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{}"}}"#, self.x());
        digest(text.as_bytes())
    }

    /// Returns the 32 bytes of the public key in base64url.
    pub(crate) fn x(&self) -> String {
        URL_SAFE_NO_PAD.encode(self.0.public_key())
    }
}

/// Decodes PEM, and returns other input unchanged. `None` if the PEM is damaged.
fn der(key: &[u8]) -> Option<Vec<u8>> {
    let Some(text) = std::str::from_utf8(key).ok() else {
        return Some(key.to_vec());
    };
    let Some((_, rest)) = text.split_once("-----BEGIN PRIVATE KEY-----") else {
        return Some(key.to_vec());
    };
    let (body, _) = rest.split_once("-----END PRIVATE KEY-----")?;
    let body: Zeroizing<String> = Zeroizing::new(body.split_whitespace().collect());
    STANDARD.decode(&*body).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    // Private key of RFC 8410, section 10.3, as openssl writes it.
    #[test]
    fn keys_of_other_tools_are_read() {
        let pem = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC\n-----END PRIVATE KEY-----\n";
        let path = Path::new("key.pem");
        let one = Signer::of(pem.as_bytes(), path).unwrap();
        let two = Signer::of(&der(pem.as_bytes()).unwrap(), path).unwrap();
        assert_eq!(one.x(), "Gb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE");
        assert_eq!(one.x(), two.x());
        assert!(Signer::of(b"-----BEGIN PRIVATE KEY-----", path).is_err());
    }

    // Key and thumbprint of RFC 8037, appendices A.1 to A.3.
    #[test]
    fn the_thumbprint_is_that_of_the_rfc() {
        let seed = URL_SAFE_NO_PAD.decode("nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A");
        let public = URL_SAFE_NO_PAD.decode("11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo");
        let pair =
            Ed25519KeyPair::from_seed_and_public_key(&seed.unwrap(), &public.unwrap()).unwrap();
        assert_eq!(
            Signer(pair).thumbprint(),
            "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"
        );
    }
}
