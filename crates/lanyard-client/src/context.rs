//! A context: a JSON file with the broker's address and the caller's identity.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::rand::SecureRandom as _;
use ring::signature::Ed25519KeyPair;
use serde::Deserialize;
use serde_json::{Value, json};

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
    /// What the broker's certificate is held against, in PEM; the system's roots where absent.
    pub(crate) authority: Option<Vec<u8>>,
    identity: Identity,
    base: PathBuf,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    endpoint: String,
    ca_file: Option<PathBuf>,
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
        let authority = file.ca_file.map(|file| read(&base.join(file)));
        Ok(Self {
            endpoint: file.endpoint,
            authority: authority.transpose()?,
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
    fn sign(&self, base: &Path) -> Result<String, ContextError> {
        let signer = Signer::open(&base.join(&self.key_file))?;
        let now = now()?;
        let header = json!({"alg": "EdDSA", "typ": "JWT", "kid": self.kid});
        let claims = json!({"iss": self.issuer, "sub": self.subject, "aud": self.audience, "iat": now,
            "exp": now + TOKEN_LIFE, "jti": fresh_id()?, "groups": self.groups});
        Ok(signer.sign(&header, &claims))
    }
}

/// A key that signs compact JWS.
pub(crate) struct Signer(Ed25519KeyPair);

impl Signer {
    pub(crate) fn open(path: &Path) -> Result<Self, ContextError> {
        let bytes = read(path)?;
        let pair = Ed25519KeyPair::from_pkcs8(&bytes);
        pair.map(Self)
            .map_err(|_| ContextError::Key(path.to_path_buf()))
    }

    pub(crate) fn sign(&self, header: &Value, claims: &Value) -> String {
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let message = format!("{}.{}", part(header), part(claims));
        let signature = URL_SAFE_NO_PAD.encode(self.0.sign(message.as_bytes()));
        format!("{message}.{signature}")
    }
}

/// Seconds since the epoch.
#[expect(clippy::disallowed_methods, reason = "a token says when it was issued")]
pub(crate) fn now() -> Result<u64, ContextError> {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since
        .map(|since| since.as_secs())
        .map_err(|_| ContextError::System)
}

/// 128 random bits.
pub(crate) fn fresh_id() -> Result<String, ContextError> {
    let mut id = [0; 16];
    ring::rand::SystemRandom::new()
        .fill(&mut id)
        .map_err(|_| ContextError::System)?;
    Ok(URL_SAFE_NO_PAD.encode(id))
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
