//! A fake of GitHub's REST API on loopback, written from GitHub's public documentation and never
//! compared with the real service. It refuses whatever the documentation does not allow, including
//! some requests that the real service accepts.
//!
//! s/what rests on it/behaviour taken from it/
//! |---|---|
//! | Generating a JSON Web Token (JWT) for a GitHub App | RS256, `iat`, `exp` 10 minutes ahead at most, `iss` |
//! | REST API endpoints for GitHub Apps | looking up, suspending; 500 repositories; all, where a member is left out |
//! | Generating an installation access token for a GitHub App | one hour; opaque, or longer with a JWT inside |
//! | Suspending a GitHub App installation | then nothing of it may do anything |
//! | REST API endpoints for GitHub App installations | a token ends itself, then 401; lists what it may reach |
//! | Permissions required for GitHub Apps | per endpoint; a merge needs `contents: write`; `metadata: read` always |
//! | Troubleshooting the REST API | 404 in place of 403 for what a token may not see |
//! | REST API endpoints for rules | of rulesets alone, with `metadata: read`; `current_user_can_bypass` |
//! | REST API endpoints for pull requests | 405 for a merge that a rule forbids |
//! | REST API endpoints for repository contents | 409 for a write that a rule forbids |
//! | Rate limits for the REST API | 403, 429, `retry-after`, `x-ratelimit-remaining` and `-reset`, secondary limits |
//! | Getting started with the REST API | User-Agent and Accept |
//! | API Versions | 400 for another version |
//!
//! No page documents that a fresh token may be answered with 401 (issue 65 of octokit/auth-app.js).

mod app;
mod http;
mod routes;
mod state;

use std::io::Read as _;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use anyhow::Result;
use serde_json::Value;
use tempfile::TempDir;

use self::http::Request;
use self::routes::Outcome;
use self::state::{Repository, Reviews, State, date};

/// A key that was generated for this fake, and protects nothing.
const APP_KEY: &str = include_str!("../github/app-key.pem");
const APP_ID: &str = "12345";
const CLIENT_ID: &str = "Iv23liStandInOfGitHub";
const INSTALLATION: u64 = 42;
const OWNER: &str = "acme";

/// A fault of the fake, for one request or until it is cleared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// The access token is created, and the connection breaks before the answer.
    LostAnswer,
    /// The access token is created, and no answer comes.
    Silence,
    /// Status 429 with a waiting time.
    Throttled,
    /// Status 403: the rate limit is used up for half an hour.
    LimitReached,
    /// Status 403 with a message only.
    SecondaryLimit,
    /// The limits and errors above apply to revocations only.
    OnlyRevocations,
    /// Status 502 for every request.
    Down,
    /// Status 307 to another place for every request.
    Redirects,
    /// Status 422 for requests that make or end a token. The message contains the Authorization
    /// header and the text of [`GitHub::repeat`].
    EchoesToken,
    /// Access tokens live for two hours.
    LongerLife,
    /// Access tokens may also write issues.
    WiderPermissions,
    /// Access tokens reach every repository of the installation, and list them one by one.
    WiderRepositories,
    /// Access tokens reach every repository, and say `all`.
    EveryRepository,
    /// An answer has eight megabytes.
    HugeAnswer,
    /// Access tokens are unknown for their first five seconds; once, for one request.
    NotReplicated,
    /// A request to end a token is answered with 502.
    RevocationsFail,
    /// A request to end a token is answered with 204, and the token stays alive.
    RevocationsIgnored,
}

/// A request that the fake received.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// Method, such as `GET`.
    pub method: String,
    /// The path with its query.
    pub target: String,
    /// The body as text.
    pub body: String,
}

/// A fake with one app, installed on one organization. Its thread ends with the process.
pub struct GitHub {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
    silent: Arc<Silent>,
    folder: TempDir,
}

/// True while a request waits for an answer that never comes.
type Silent = (Mutex<bool>, Condvar);

/// Signals a request that will get no answer.
pub struct Silence(Arc<Silent>);

impl Silence {
    /// Waits until a request got no answer.
    pub fn wait(&self) {
        let mut silent = self.0.0.lock().unwrap_or_else(PoisonError::into_inner);
        while !*silent {
            let waited = self.0.1.wait(silent);
            silent = waited.unwrap_or_else(PoisonError::into_inner);
        }
        *silent = false;
    }
}

impl GitHub {
    /// Starts a fake with the repositories `payments`, `ledger` and `website`.
    ///
    /// # Errors
    /// The system's error.
    pub fn start() -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = listener.local_addr()?;
        let state = Arc::new(Mutex::new(State::new(app::public_key(APP_KEY)?)));
        let folder = tempfile::tempdir()?;
        let mut key = std::fs::OpenOptions::new();
        let mut key = key
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(folder.path().join("app.pem"))?;
        std::io::Write::write_all(&mut key, APP_KEY.as_bytes())?;
        let silent = Arc::new(Silent::default());
        let (served, told) = (Arc::clone(&state), Arc::clone(&silent));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (served, told) = (Arc::clone(&served), Arc::clone(&told));
                // A broken connection is not this server's fault.
                std::thread::spawn(move || drop(serve(&stream, &served, &told)));
            }
        });
        let github = Self {
            address,
            state,
            silent,
            folder,
        };
        for name in ["payments", "ledger", "website"] {
            github.add_repository(name);
        }
        Ok(github)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the base URL of the API, without a trailing slash.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Returns the id of the app.
    #[must_use]
    pub const fn app_id(&self) -> &'static str {
        APP_ID
    }

    /// Returns the client id of the app.
    #[must_use]
    pub const fn client_id(&self) -> &'static str {
        CLIENT_ID
    }

    /// Returns the organization on which the app is installed.
    #[must_use]
    pub const fn owner(&self) -> &'static str {
        OWNER
    }

    /// Returns the file with the app's private key: PEM as GitHub provides it, readable by its
    /// owner only.
    #[must_use]
    pub fn private_key(&self) -> PathBuf {
        self.folder.path().join("app.pem")
    }

    /// Returns the fake's time in seconds since 1970.
    #[must_use]
    pub fn now(&self) -> u64 {
        self.state().now()
    }

    /// Stops the clock at `seconds` since 1970.
    pub fn set_clock(&self, seconds: u64) {
        self.state().clock = Some(seconds);
    }

    /// Activates a fault until [`GitHub::mend`].
    pub fn fail(&self, fault: Fault) {
        self.state().faults.insert(fault);
    }

    /// Activates a fault for the next request that it applies to.
    pub fn fail_once(&self, fault: Fault) {
        self.state().once.insert(fault);
    }

    /// Sets a further text in the message of [`Fault::EchoesToken`].
    pub fn repeat(&self, text: &str) {
        text.clone_into(&mut self.state().repeats);
    }

    /// Makes the next attempt to end this token fail with 502.
    pub fn keep_once(&self, token: &str) {
        self.state().kept.insert(token.to_owned());
    }

    /// Clears all active faults.
    pub fn mend(&self) {
        let mut state = self.state();
        state.faults.clear();
        state.once.clear();
        state.kept.clear();
    }

    /// Returns the signal for requests that met [`Fault::Silence`].
    #[must_use]
    pub fn silence(&self) -> Silence {
        Silence(Arc::clone(&self.silent))
    }

    /// Adds a repository to the installation. Its default branch `main` has a file `README.md`.
    pub fn add_repository(&self, name: &str) {
        let mut state = self.state();
        let repository = Repository {
            id: 1000 + u64::try_from(state.repositories.len()).unwrap_or_default(),
            files: [("README.md".to_owned(), format!("# {name}\n"))].into(),
            ..Repository::default()
        };
        state.repositories.insert(name.to_owned(), repository);
    }

    /// Adds a ruleset that requires `count` approving reviews on the default branch. `bypass` is
    /// the app's right to bypass it: `never`, `always`, `pull_requests_only` or `exempt`; the
    /// answer omits it if `None`.
    pub fn require_reviews(&self, repository: &str, count: u64, bypass: Option<&'static str>) {
        if let Some(found) = self.state().repositories.get_mut(repository) {
            found.reviews = Some(Reviews { count, bypass });
        }
    }

    /// Grants a permission to the installation, or revokes it if `access` is `None`.
    pub fn grant(&self, permission: &str, access: Option<&str>) {
        let mut state = self.state();
        match access {
            Some(access) => drop(
                state
                    .granted
                    .insert(permission.to_owned(), access.to_owned()),
            ),
            None => drop(state.granted.remove(permission)),
        }
    }

    /// Suspends the installation, or lifts the suspension.
    pub fn suspend(&self, suspended: bool) {
        self.state().suspended = suspended;
    }

    /// Uninstalls the app, or installs it again.
    pub fn install(&self, installed: bool) {
        self.state().installed = installed;
    }

    /// Returns every access token that was created, oldest first.
    #[must_use]
    pub fn tokens(&self) -> Vec<String> {
        self.state().minted.clone()
    }

    /// Returns the number of accepted tokens.
    #[must_use]
    pub fn live(&self) -> usize {
        let state = self.state();
        let now = state.now();
        let live = state.tokens.values().filter(|token| token.expires > now);
        live.count()
    }

    /// Returns the requests so far, in order.
    #[must_use]
    pub fn asked(&self) -> Vec<Asked> {
        self.state().asked.clone()
    }

    /// Sends a request with this token, as an agent would, and returns status and JSON body.
    ///
    /// # Errors
    /// When no answer arrives.
    pub fn call(
        &self,
        request: (&str, &str),
        token: &str,
        body: Option<&Value>,
    ) -> Result<(u16, Value)> {
        http::call(self.address, request, token, body)
    }
}

fn serve(mut stream: &TcpStream, state: &Mutex<State>, silent: &Silent) -> Result<()> {
    let request = http::read(stream)?;
    let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
    state.asked.push(asked(&request));
    let outcome = routes::answer(&mut state, &request);
    let now = state.now();
    drop(state);
    match outcome {
        Outcome::Answer(response) => http::write(stream, &response.with("date", date(now))),
        Outcome::Broken => Ok(()),
        Outcome::Silence => {
            *silent.0.lock().unwrap_or_else(PoisonError::into_inner) = true;
            silent.1.notify_all();
            // Keep the connection open until the client gives up.
            stream.read_to_end(&mut Vec::new())?;
            Ok(())
        }
    }
}

fn asked(request: &Request) -> Asked {
    Asked {
        method: request.method.clone(),
        target: request.target.clone(),
        body: String::from_utf8_lossy(&request.body).into_owned(),
    }
}
