//! An Ed25519 signing key: its id, its signatures, and its public half as a JWK (RFC 8037). This
//! module neither stores keys nor chooses among them.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use lanyard_vocabulary::secret::Secret;
use lanyard_vocabulary::time::Timestamp;
use ring::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};
use serde::Serialize;

/// A set of public keys (RFC 7517 section 5).
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Jwks {
    /// The public keys, the one that retires first in front.
    pub keys: Vec<Jwk>,
}

/// A public key, as the JWKS lists it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Jwk {
    /// Key type, always `OKP`.
    pub kty: &'static str,
    /// Curve of the key, always `Ed25519`.
    pub crv: &'static str,
    /// The public key, in base64url.
    pub x: String,
    /// The key's thumbprint (RFC 7638): SHA-256, in base64url.
    pub kid: String,
    /// Signature algorithm, always `EdDSA`.
    pub alg: &'static str,
    /// Intended use, always `sig`.
    #[serde(rename = "use")]
    pub usage: &'static str,
}

/// Header `typ` of an access token (RFC 9068 section 2.1).
pub(crate) const ACCESS_TOKEN_TYPE: &str = "at+jwt";

/// A parsed key pair and the time from which it signs.
pub(crate) struct SigningKey {
    pub(crate) not_before: Timestamp,
    pub(crate) kid: String,
    encoded_header: String,
    pair: Ed25519KeyPair,
}

/// Returned for bytes that are not an Ed25519 key in PKCS#8 version 2 (RFC 5958).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NotAKey;

impl SigningKey {
    pub(crate) fn from_pkcs8(
        pkcs8: &Secret<Vec<u8>>,
        not_before: Timestamp,
    ) -> Result<Self, NotAKey> {
        let pair = Ed25519KeyPair::from_pkcs8(pkcs8.expose()).map_err(|_| NotAKey)?;
        let kid = thumbprint(pair.public_key().as_ref());
        Ok(Self {
            not_before,
            encoded_header: header(ACCESS_TOKEN_TYPE, &kid),
            kid,
            pair,
        })
    }

    /// Signs `payload` as an access token.
    pub(crate) fn sign(&self, payload: &[u8]) -> Secret<String> {
        self.sign_under(&self.encoded_header, payload)
    }

    /// Signs `payload` as a token of another `typ`, which no access-token check accepts.
    pub(crate) fn sign_as(&self, typ: &str, payload: &[u8]) -> Secret<String> {
        self.sign_under(&header(typ, &self.kid), payload)
    }

    /// Renders a compact JWS over `payload` (RFC 7515 section 3.1).
    fn sign_under(&self, encoded_header: &str, payload: &[u8]) -> Secret<String> {
        // The exact size, so that the buffer never grows: growing would leave copies of the token
        // in freed memory.
        const SIGNATURE_CHARS: usize = 86;
        let room = encoded_header.len() + 2 + payload.len().div_ceil(3) * 4 + SIGNATURE_CHARS;
        let mut token = String::with_capacity(room);
        token.push_str(encoded_header);
        token.push('.');
        URL_SAFE_NO_PAD.encode_string(payload, &mut token);
        let signature = self.pair.sign(token.as_bytes());
        token.push('.');
        URL_SAFE_NO_PAD.encode_string(signature.as_ref(), &mut token);
        Secret::new(token)
    }

    /// Checks that this key made `signature` over `message`.
    pub(crate) fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        UnparsedPublicKey::new(&ED25519, self.pair.public_key().as_ref())
            .verify(message, signature)
            .is_ok()
    }

    pub(crate) fn jwk(&self) -> Jwk {
        Jwk {
            kty: "OKP",
            crv: "Ed25519",
            x: URL_SAFE_NO_PAD.encode(self.pair.public_key()),
            kid: self.kid.clone(),
            alg: "EdDSA",
            usage: "sig",
        }
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKey")
            .field("kid", &self.kid)
            .field("not_before", &self.not_before)
            .finish_non_exhaustive()
    }
}

/// Renders a JWS header. Neither text needs escaping: `typ` is a constant, and `kid` is base64url.
fn header(typ: &str, kid: &str) -> String {
    URL_SAFE_NO_PAD.encode(format!(r#"{{"typ":"{typ}","alg":"EdDSA","kid":"{kid}"}}"#))
}

/// The thumbprint of RFC 7638, over the members that RFC 8037 section 2 requires, in lexicographic
/// order.
fn thumbprint(public_key: &[u8]) -> String {
    let x = URL_SAFE_NO_PAD.encode(public_key);
    let canonical = format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{x}"}}"#);
    URL_SAFE_NO_PAD.encode(ring::digest::digest(
        &ring::digest::SHA256,
        canonical.as_bytes(),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    // RFC 8037 appendix A.1: the key of every example there.
    const D: &str = "nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A";
    const X: &str = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";

    fn key() -> SigningKey {
        let seed = URL_SAFE_NO_PAD.decode(D).expect("seed");
        let public = URL_SAFE_NO_PAD.decode(X).expect("public key");
        // PKCS#8 version 2 with the public key, as RFC 8410 section 7 lays it out.
        let mut pkcs8 = vec![0x30, 0x51, 0x02, 0x01, 0x01, 0x30, 0x05, 0x06, 0x03];
        pkcs8.extend([0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20]);
        pkcs8.extend(seed);
        pkcs8.extend([0x81, 0x21, 0x00]);
        pkcs8.extend(public);
        SigningKey::from_pkcs8(&Secret::new(pkcs8), Timestamp::EPOCH).expect("a key")
    }

    #[test]
    fn the_thumbprint_is_that_of_rfc_8037_appendix_a_3() {
        assert_eq!(key().kid, "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
        assert_eq!(key().jwk().x, X);
    }

    #[test]
    fn the_signature_is_that_of_rfc_8037_appendix_a_4() {
        let mut key = key();
        key.encoded_header = URL_SAFE_NO_PAD.encode(r#"{"alg":"EdDSA"}"#);
        assert_eq!(
            key.sign(b"Example of Ed25519 signing").expose(),
            "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc.hgyY0il_MGCjP0JzlnLWG1PPOt\
             7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg"
        );
    }

    // T49
    #[test]
    fn t49_debug_shows_the_name_of_the_key_and_nothing_of_it() {
        assert_eq!(
            format!("{:?}", key()),
            "SigningKey { kid: \"kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k\", \
             not_before: Timestamp(0), .. }"
        );
    }
}
