//! A context: a JSON file with the broker's address and the caller's identity.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use lanyard_secret_file::Origin;
use serde::Deserialize;
use tokio::sync::Mutex;

use crate::context_error::ContextError;
use crate::endpoint::travels_safely;
use crate::identity::{Identity, LoginIdentity};
use crate::proof::ProofKey;
use crate::public_file::read;
use crate::secret::Token;
use crate::state_dir::StateDir;
use crate::tokens::Session;

/// A broker's address and the identity that callers of this context present.
pub struct Context {
    pub(crate) endpoint: String,
    /// The kill plane's URL, without a trailing slash, if the context names one.
    kill_endpoint: Option<String>,
    /// The address that calls go to.
    plane: Plane,
    /// The file of the trust anchors, resolved against the context's folder.
    authority_file: Option<PathBuf>,
    /// Trust anchors for the broker's certificate, in PEM. `None` means the system's roots.
    pub(crate) authority: Option<Vec<u8>>,
    pub(crate) identity: Identity,
    pub(crate) path: PathBuf,
    pub(crate) base: PathBuf,
    pub(crate) cache: Mutex<Cache>,
    state_dir: Option<StateDir>,
}

/// An address of the broker.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Plane {
    /// The address in `endpoint`.
    Main,
    /// The address in `kill_endpoint`.
    Kill,
}

/// Key and session, cached for the life of the process.
#[derive(Default)]
pub(crate) struct Cache {
    pub(crate) key: Option<Arc<ProofKey>>,
    pub(crate) session: Option<Session>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    endpoint: String,
    kill_endpoint: Option<String>,
    ca_file: Option<PathBuf>,
    identity: Identity,
}

impl Context {
    /// Returns the broker's authority: host, and port if the endpoint has one.
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
        let endpoints = [Some(&file.endpoint), file.kill_endpoint.as_ref()];
        if let Some(clear) = endpoints
            .into_iter()
            .flatten()
            .find(|it| !travels_safely(it))
        {
            return Err(ContextError::Clear(clear.clone()));
        }
        let base = path.parent().unwrap_or(Path::new(".")).to_path_buf();
        let authority_file = file.ca_file.map(|file| base.join(file));
        let authority = authority_file.as_deref().map(read);
        let bare = |url: String| url.trim_end_matches('/').to_owned();
        Ok(Self {
            endpoint: bare(file.endpoint),
            kill_endpoint: file.kill_endpoint.map(bare),
            plane: Plane::Main,
            authority: authority.transpose()?,
            authority_file,
            identity: file.identity,
            path: path.to_path_buf(),
            base,
            cache: Mutex::default(),
            state_dir: StateDir::of(path).ok(),
        })
    }

    /// Returns a bearer token that authenticates one call.
    ///
    /// # Errors
    /// See [`ContextError`]; [`ContextError::Unprintable`] when the identity also proves possession
    /// of a key.
    pub fn token(&self) -> Result<Token, ContextError> {
        match &self.identity {
            Identity::TokenFile { token_file } => {
                let file = self.base.join(token_file);
                let word = lanyard_secret_file::read_word(&file, Origin::Projected)?;
                Ok(Token::new(word.as_str().to_owned()))
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

    /// Returns the broker's URL, without a trailing slash.
    #[must_use]
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// Returns the URL of the broker's kill plane, without a trailing slash, if the context names
    /// one.
    #[must_use]
    pub fn kill_endpoint(&self) -> Option<&str> {
        self.kill_endpoint.as_deref()
    }

    /// Returns the file of the authorities that the context trusts; `None` means the system's.
    #[must_use]
    pub fn authority_file(&self) -> Option<&Path> {
        self.authority_file.as_deref()
    }

    /// Returns this context with its calls sent to the kill plane, if the context names one.
    pub(crate) fn at_kill_plane(self) -> Option<Self> {
        let plane = Plane::Kill;
        self.kill_endpoint
            .is_some()
            .then_some(Self { plane, ..self })
    }

    /// Returns the URL that calls go to.
    pub(crate) fn called(&self) -> &str {
        match (self.plane, &self.kill_endpoint) {
            (Plane::Kill, Some(kills)) => kills,
            (Plane::Main | Plane::Kill, _) => &self.endpoint,
        }
    }

    /// True if [`Context::token`] gives a bearer token, which curl can send.
    #[must_use]
    pub const fn has_bearer_token(&self) -> bool {
        match self.identity {
            Identity::TokenFile { .. } | Identity::Key(_) | Identity::Enrolled { .. } => true,
            Identity::Login { .. } | Identity::Aws { .. } | Identity::Certificate { .. } => false,
        }
    }

    /// Lists the kind of identity and its fields, for display. No value is secret.
    #[must_use]
    pub fn describe(&self) -> Vec<(&'static str, String)> {
        self.identity.describe()
    }

    /// Lists the secret files of the identity. `lanyard doctor` checks their permissions.
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

    /// Returns the key file of an enrolled agent.
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

    pub(crate) fn state_dir(&self) -> Result<&StateDir, ContextError> {
        self.state_dir.as_ref().ok_or(ContextError::Homeless)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

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
    fn a_context_names_the_kill_plane_and_calls_go_there_alone_when_asked() {
        let text = r#"{"endpoint":"https://b.example:7070/","kill_endpoint":"https://b.example:7071/",
            "identity":{"token_file":"t"}}"#;
        let context = load(text).unwrap();
        assert_eq!(context.called(), "https://b.example:7070");
        assert_eq!(context.kill_endpoint(), Some("https://b.example:7071"));
        let at_kill_plane = context.at_kill_plane().unwrap();
        assert_eq!(at_kill_plane.called(), "https://b.example:7071");
        assert_eq!(at_kill_plane.endpoint(), "https://b.example:7070");
        let none = load(r#"{"endpoint":"https://b.example","identity":{"token_file":"t"}}"#);
        assert!(none.unwrap().at_kill_plane().is_none());
        let clear = r#"{"endpoint":"https://b.example","kill_endpoint":"http://b.example:7071",
            "identity":{"token_file":"t"}}"#;
        assert!(matches!(load(clear), Err(ContextError::Clear(url)) if url.contains("7071")));
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
