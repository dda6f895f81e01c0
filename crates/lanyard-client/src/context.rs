//! A context: a JSON file with the broker's address and the caller's identity.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::rand::SecureRandom as _;
use ring::signature::Ed25519KeyPair;
use serde::Deserialize;
use serde_json::json;

/// How long an identity token of ours is good for, in seconds: each is used once, at once.
const TOKEN_LIFE: u64 = 60;

/// Why there is no usable context.
#[derive(Debug, thiserror::Error)]
pub enum ContextError {
    /// The file cannot be read.
    #[error("{path} cannot be read: {source}")]
    Unreadable {
        /// Which file.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// It is not a context.
    #[error("{path} is not a context: {source}")]
    Malformed {
        /// Which file.
        path: PathBuf,
        /// Why not.
        source: serde_json::Error,
    },
    /// The key in it is not one.
    #[error("{0} holds no Ed25519 key in PKCS#8")]
    Key(PathBuf),
    /// Credentials would travel in the clear.
    #[error("{0} is neither https nor on loopback: credentials do not travel in the clear")]
    Clear(String),
    /// The system gives no random bits, or no time.
    #[error("the system gives no random bits or no time")]
    System,
}

/// Where the broker is, and who asks.
pub struct Context {
    pub(crate) endpoint: String,
    identity: Identity,
    base: PathBuf,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    endpoint: String,
    identity: Identity,
}

/// Where identity tokens come from.
#[derive(Deserialize)]
#[serde(untagged)]
enum Identity {
    /// A key signs one for each call.
    Key(Box<KeyIdentity>),
    /// A file holds one, which somebody renews.
    TokenFile { token_file: PathBuf },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct KeyIdentity {
    key_file: PathBuf,
    kid: String,
    issuer: String,
    subject: String,
    audience: String,
    #[serde(default)]
    groups: Vec<String>,
}

impl Context {
    /// Reads one.
    ///
    /// # Errors
    /// See [`ContextError`].
    pub fn load(path: &Path) -> Result<Self, ContextError> {
        let text = read(path)?;
        let file: File =
            serde_json::from_slice(&text).map_err(|source| ContextError::Malformed {
                path: path.to_path_buf(),
                source,
            })?;
        let loopback = ["http://127.0.0.1:", "http://[::1]:", "http://localhost:"];
        let safe = file.endpoint.starts_with("https://")
            || loopback.iter().any(|p| file.endpoint.starts_with(p));
        if !safe {
            return Err(ContextError::Clear(file.endpoint));
        }
        let base = path.parent().unwrap_or(Path::new(".")).to_path_buf();
        Ok(Self {
            endpoint: file.endpoint,
            identity: file.identity,
            base,
        })
    }

    /// A token that proves who asks, for one call.
    ///
    /// # Errors
    /// See [`ContextError`].
    pub fn token(&self) -> Result<String, ContextError> {
        match &self.identity {
            Identity::TokenFile { token_file } => {
                let bytes = read(&self.base.join(token_file))?;
                Ok(String::from_utf8_lossy(&bytes).trim().to_owned())
            }
            Identity::Key(key) => key.sign(&self.base),
        }
    }
}

fn read(path: &Path) -> Result<Vec<u8>, ContextError> {
    fs::read(path).map_err(|source| ContextError::Unreadable {
        path: path.to_path_buf(),
        source,
    })
}

impl KeyIdentity {
    #[expect(clippy::disallowed_methods, reason = "a token says when it was issued")]
    fn sign(&self, base: &Path) -> Result<String, ContextError> {
        let path = base.join(&self.key_file);
        let bytes = read(&path)?;
        let pair = Ed25519KeyPair::from_pkcs8(&bytes).map_err(|_| ContextError::Key(path))?;
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_err(|_| ContextError::System)?
            .as_secs();
        let mut id = [0; 16];
        ring::rand::SystemRandom::new()
            .fill(&mut id)
            .map_err(|_| ContextError::System)?;
        let header = json!({"alg": "EdDSA", "typ": "JWT", "kid": self.kid});
        let claims = json!({"iss": self.issuer, "sub": self.subject, "aud": self.audience, "iat": now,
            "exp": now + TOKEN_LIFE, "jti": URL_SAFE_NO_PAD.encode(id), "groups": self.groups});
        let part = |value: serde_json::Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let message = format!("{}.{}", part(header), part(claims));
        let signature = URL_SAFE_NO_PAD.encode(pair.sign(message.as_bytes()));
        Ok(format!("{message}.{signature}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_context_that_would_send_credentials_in_the_clear_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("context.json");
        fs::write(
            &path,
            r#"{"endpoint":"http://10.0.0.1:7070","identity":{"token_file":"t"}}"#,
        )
        .unwrap();
        assert!(matches!(Context::load(&path), Err(ContextError::Clear(_))));
    }
}
