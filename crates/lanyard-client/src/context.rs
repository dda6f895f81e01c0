//! A context: a JSON file with the broker's address and the caller's identity.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use lanyard_secret_file::Origin;
use ring::rand::SecureRandom as _;
use serde::Deserialize;
use tokio::sync::Mutex;

use crate::identity::{Identity, LoginIdentity};
use crate::proof::ProofKey;
use crate::state::State;
use crate::tokens::Session;

/// Why there is no usable context.
#[derive(Debug, thiserror::Error)]
pub enum ContextError {
    /// The file cannot be read.
    #[error("{path} cannot be read: {source}")]
    Unreadable {
        /// The file that the context names.
        path: PathBuf,
        /// The error of the system, or of the format.
        source: std::io::Error,
    },
    /// It is not a context.
    #[error("{path} is not a context: {source}")]
    Malformed {
        /// The file that the context names.
        path: PathBuf,
        /// The error of the system, or of the format.
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
    /// What is kept between commands cannot be.
    #[error("{path} cannot be used to keep keys and tokens: {source}")]
    Kept {
        /// The file that the context names.
        path: PathBuf,
        /// The error of the system, or of the format.
        source: std::io::Error,
    },
    /// A secret was not read.
    #[error(transparent)]
    Secret(#[from] lanyard_secret_file::SecretFileError),
    /// There is no place to keep anything.
    #[error("there is no place for keys and tokens: set HOME, XDG_STATE_HOME or LANYARD_STATE")]
    Homeless,
    /// The system's keyring does not work.
    #[error("the keyring cannot be used: {0}")]
    Keyring(String),
    /// No token alone proves who asks.
    #[error("{0} shows who it is with a key as well: there is no token for curl")]
    Unprintable(PathBuf),
    /// AWS vouches for nobody here.
    #[error("{0}")]
    Aws(String),
    /// No person logs in under it.
    #[error("{0} is no person's: there is nothing to log in to")]
    NoLogin(PathBuf),
    /// There is one of this name already.
    #[error("{0} exists: choose another name, or delete that context first")]
    Taken(PathBuf),
    /// No enrolled key belongs to it.
    #[error("{0} is no enrolled agent's: it has no key to replace")]
    NotEnrolled(PathBuf),
    /// There is none of this name.
    #[error("there is no context {0}: lanyard context list names those there are")]
    Unknown(String),
    /// None is named, and none was made the current one.
    #[error(
        "no context: there is no current one, and neither LANYARD_CONTEXT nor the call names one; make one with \
         `lanyard login --endpoint URL`, or name the file of one in LANYARD_CONTEXT (docs/contexts.md)"
    )]
    NoneCurrent,
    /// Not a name that a file can have.
    #[error(
        "{0:?} is no name for a context: letters, digits, dots, dashes and underscores, up to 64"
    )]
    Name(String),
    /// The folder of contexts cannot be used.
    #[error("{path} cannot be changed: {source}")]
    Folder {
        /// The file or the folder.
        path: PathBuf,
        /// The error of the system.
        source: std::io::Error,
    },
}

/// Where the broker is, and who asks.
pub struct Context {
    pub(crate) endpoint: String,
    /// What the broker's certificate is held against, in PEM; the system's roots where absent.
    pub(crate) authority: Option<Vec<u8>>,
    pub(crate) identity: Identity,
    pub(crate) path: PathBuf,
    pub(crate) base: PathBuf,
    pub(crate) held: Mutex<Held>,
    state: Option<State>,
}

/// What was read or obtained once, for as long as the program runs.
#[derive(Default)]
pub(crate) struct Held {
    pub(crate) key: Option<Arc<ProofKey>>,
    pub(crate) session: Option<Session>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    endpoint: String,
    ca_file: Option<PathBuf>,
    identity: Identity,
}

impl Context {
    /// The broker's name in its address: its host, and its port where one is written.
    #[must_use]
    pub fn broker(&self) -> &str {
        let (_, rest) = self
            .endpoint
            .split_once("://")
            .unwrap_or(("", &self.endpoint));
        rest.split('/').next().unwrap_or(rest)
    }

    /// Reads a context from its file.
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
        if !travels_safely(&file.endpoint) {
            return Err(ContextError::Clear(file.endpoint));
        }
        let base = path.parent().unwrap_or(Path::new(".")).to_path_buf();
        let authority = file.ca_file.map(|file| read(&base.join(file)));
        Ok(Self {
            endpoint: file.endpoint.trim_end_matches('/').to_owned(),
            authority: authority.transpose()?,
            identity: file.identity,
            path: path.to_path_buf(),
            base,
            held: Mutex::default(),
            state: State::of(path).ok(),
        })
    }

    /// A token that proves who asks, for one call.
    ///
    /// # Errors
    /// See [`ContextError`]; [`ContextError::Unprintable`] where a key has to be shown as well.
    pub fn token(&self) -> Result<String, ContextError> {
        match &self.identity {
            Identity::TokenFile { token_file } => {
                let file = self.base.join(token_file);
                let word = lanyard_secret_file::read_word(&file, Origin::Projected)?;
                Ok(word.as_str().to_owned())
            }
            Identity::Key(key) => key.sign(&self.base),
            Identity::Enrolled { enrolled } => enrolled.assert(&self.base),
            Identity::Login { .. } | Identity::Aws { .. } | Identity::Certificate { .. } => {
                Err(ContextError::Unprintable(self.path.clone()))
            }
        }
    }

    /// The file that the context was read from.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Where the broker is.
    #[must_use]
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// How it shows who asks, in words, and what it says of that.
    #[must_use]
    pub fn describe(&self) -> Vec<(&'static str, String)> {
        self.identity.describe()
    }

    /// The files with what proves who asks, which nobody else is to read.
    #[must_use]
    pub fn secrets(&self) -> Vec<PathBuf> {
        let file = self.identity.secret();
        file.into_iter().map(|file| self.base.join(file)).collect()
    }

    pub(crate) fn login(&self) -> Result<&LoginIdentity, ContextError> {
        match &self.identity {
            Identity::Login { login } => Ok(login),
            Identity::Key(_)
            | Identity::TokenFile { .. }
            | Identity::Enrolled { .. }
            | Identity::Aws { .. }
            | Identity::Certificate { .. } => Err(ContextError::NoLogin(self.path.clone())),
        }
    }

    /// Where the key of an enrolled agent is.
    pub(crate) fn enrolled_key(&self) -> Result<PathBuf, ContextError> {
        match &self.identity {
            Identity::Enrolled { enrolled } => Ok(self.base.join(&enrolled.key_file)),
            Identity::Key(_)
            | Identity::TokenFile { .. }
            | Identity::Login { .. }
            | Identity::Aws { .. }
            | Identity::Certificate { .. } => Err(ContextError::NotEnrolled(self.path.clone())),
        }
    }

    pub(crate) fn state(&self) -> Result<&State, ContextError> {
        self.state.as_ref().ok_or(ContextError::Homeless)
    }
}

/// Whether what is sent there cannot be read on the way.
pub(crate) fn travels_safely(endpoint: &str) -> bool {
    let loopback = ["http://127.0.0.1:", "http://[::1]:", "http://localhost:"];
    endpoint.starts_with("https://") || loopback.iter().any(|p| endpoint.starts_with(p))
}

pub(crate) fn read(path: &Path) -> Result<Vec<u8>, ContextError> {
    fs::read(path).map_err(|source| ContextError::Unreadable {
        path: path.to_path_buf(),
        source,
    })
}

/// Seconds since the epoch.
#[expect(clippy::disallowed_methods, reason = "a token says when it was issued")]
pub(crate) fn now() -> Result<u64, ContextError> {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since
        .map(|since| since.as_secs())
        .map_err(|_| ContextError::System)
}

/// 128 random bits as text: two callers never have the same id.
pub(crate) fn fresh_id() -> Result<String, ContextError> {
    random::<16>()
}

/// Anything from 0 to 1: what keeps many from doing the same thing at the same time.
pub(crate) fn share() -> f64 {
    let mut bytes = [0; 2];
    match ring::rand::SystemRandom::new().fill(&mut bytes) {
        Ok(()) => f64::from(u16::from_ne_bytes(bytes)) / f64::from(u16::MAX),
        // Without randomness there is no jitter, and nothing else is lost.
        Err(_) => 0.5,
    }
}

/// So many random bytes, in base64url.
pub(crate) fn random<const N: usize>() -> Result<String, ContextError> {
    let mut bytes = [0; N];
    ring::rand::SystemRandom::new()
        .fill(&mut bytes)
        .map_err(|_| ContextError::System)?;
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(text: &str) -> Result<Context, ContextError> {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("context.json");
        fs::write(&path, text).unwrap();
        Context::load(&path)
    }

    #[test]
    fn a_context_that_would_send_credentials_in_the_clear_is_refused() {
        let clear = load(r#"{"endpoint":"http://10.0.0.1:7070","identity":{"token_file":"t"}}"#);
        assert!(matches!(clear, Err(ContextError::Clear(_))));
    }

    #[test]
    fn every_kind_of_identity_is_read() {
        for (identity, kind) in [
            (r#"{"token_file":"t"}"#, "a token in a file"),
            (
                r#"{"login":{"issuer":"https://i","client_id":"c","scopes":[]}}"#,
                "a person",
            ),
            (
                r#"{"enrolled":{"issuer":"https://b","subject":"a","audience":"l","key_file":"k"}}"#,
                "an enrolled agent",
            ),
            (
                r#"{"aws":{"region":"eu-west-1","server_id":"b.example"}}"#,
                "a workload of AWS",
            ),
            (
                r#"{"certificate":{"chain_file":"c","key_file":"k"}}"#,
                "a client certificate",
            ),
        ] {
            let text = format!(r#"{{"endpoint":"https://b.example/","identity":{identity}}}"#);
            let context = load(&text).unwrap();
            assert_eq!(context.endpoint(), "https://b.example");
            assert_eq!(context.describe()[0], ("identity", kind.to_owned()));
        }
        let odd = r#"{"endpoint":"https://b","identity":{"login":{"issuer":"i","password":"p"}}}"#;
        assert!(matches!(load(odd), Err(ContextError::Malformed { .. })));
    }
}
