//! A stand-in of GitHub's REST API, on loopback, as its public documentation says it is; nobody has compared it with
//! the real one. It is strict: what the documentation does not allow is refused, and some things too that the real one
//! lets pass.
//!
//! | page of docs.github.com | what rests on it |
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
//! One thing is on no page: a token that was just made may be answered with 401 (issue 65 of octokit/auth-app.js).

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

/// A key of nobody, made for this.
const APP_KEY: &str = include_str!("../github/app-key.pem");
const APP_ID: &str = "12345";
const CLIENT_ID: &str = "Iv23liStandInOfGitHub";
const INSTALLATION: u64 = 42;
const OWNER: &str = "acme";

/// What goes wrong: from now on, or once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// An access token is made, and the connection breaks.
    LostAnswer,
    /// An access token is made, and no answer comes.
    Silence,
    /// 429 with a time to wait.
    Throttled,
    /// 403, the limit is used up for half an hour.
    LimitReached,
    /// 403 with a message alone.
    SecondaryLimit,
    /// The limits and errors above are met by revocations alone.
    OnlyRevocations,
    /// 502 for everything.
    Down,
    /// 307 for everything, to another place.
    Redirects,
    /// 422 for whoever makes or ends a token, with the Authorization header in the message, and what [`GitHub::repeat`]
    /// says.
    EchoesToken,
    /// Access tokens live for two hours.
    LongerLife,
    /// They may also write issues.
    WiderPermissions,
    /// They reach every repository of the installation, and say so one by one.
    WiderRepositories,
    /// They reach every repository, and say `all`.
    EveryRepository,
    /// An answer of eight megabytes.
    HugeAnswer,
    /// Access tokens are not known for the first five seconds; once, for one request.
    NotReplicated,
    /// A token that would end is answered with 502.
    RevocationsFail,
    /// 204, and the token lives on.
    RevocationsIgnored,
}

/// One request that was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// GET, say.
    pub method: String,
    /// The path and the query.
    pub target: String,
    /// The body.
    pub body: String,
}

/// A stand-in with one app, installed on one organization. Its thread ends with the process.
pub struct GitHub {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
    silent: Arc<Silent>,
    folder: TempDir,
}

/// Whether a request waits for an answer that does not come.
type Silent = (Mutex<bool>, Condvar);

/// What tells of a request that gets no answer.
pub struct Silence(Arc<Silent>);

impl Silence {
    /// Waits for one.
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
    /// Starts one, with the repositories `payments`, `ledger` and `website`.
    ///
    /// # Errors
    /// As of the system.
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
                // A connection that breaks is the client's to notice.
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

    /// Where its API is, without a slash at the end.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The app's id.
    #[must_use]
    pub const fn app_id(&self) -> &'static str {
        APP_ID
    }

    /// The app's client id.
    #[must_use]
    pub const fn client_id(&self) -> &'static str {
        CLIENT_ID
    }

    /// Whom the app is installed on.
    #[must_use]
    pub const fn owner(&self) -> &'static str {
        OWNER
    }

    /// The file with the app's private key, PEM as GitHub gives it, readable by its owner alone.
    #[must_use]
    pub fn private_key(&self) -> PathBuf {
        self.folder.path().join("app.pem")
    }

    /// What it takes for now, in seconds since 1970.
    #[must_use]
    pub fn now(&self) -> u64 {
        self.state().now()
    }

    /// Holds its clock at so many seconds since 1970.
    pub fn set_clock(&self, seconds: u64) {
        self.state().clock = Some(seconds);
    }

    /// Has this go wrong until [`GitHub::mend`].
    pub fn fail(&self, fault: Fault) {
        self.state().faults.insert(fault);
    }

    /// Has this go wrong for the next request that it can befall.
    pub fn fail_once(&self, fault: Fault) {
        self.state().once.insert(fault);
    }

    /// What the message of [`Fault::EchoesToken`] holds besides.
    pub fn repeat(&self, text: &str) {
        text.clone_into(&mut self.state().repeats);
    }

    /// Has the next attempt to end this token go wrong, with 502.
    pub fn keep_once(&self, token: &str) {
        self.state().kept.insert(token.to_owned());
    }

    /// Nothing goes wrong any more.
    pub fn mend(&self) {
        let mut state = self.state();
        state.faults.clear();
        state.once.clear();
        state.kept.clear();
    }

    /// What tells of a request that has met [`Fault::Silence`].
    #[must_use]
    pub fn silence(&self) -> Silence {
        Silence(Arc::clone(&self.silent))
    }

    /// Adds a repository to the installation; on its default branch, which is `main`, it has a file `README.md`.
    pub fn add_repository(&self, name: &str) {
        let mut state = self.state();
        let repository = Repository {
            id: 1000 + u64::try_from(state.repositories.len()).unwrap_or_default(),
            files: [("README.md".to_owned(), format!("# {name}\n"))].into(),
            ..Repository::default()
        };
        state.repositories.insert(name.to_owned(), repository);
    }

    /// A ruleset demands so many approving reviews on the default branch; what it says of the app's right to pass it by,
    /// where it says anything: `never`, `always`, `pull_requests_only` or `exempt`.
    pub fn require_reviews(&self, repository: &str, count: u64, bypass: Option<&'static str>) {
        if let Some(found) = self.state().repositories.get_mut(repository) {
            found.reviews = Some(Reviews { count, bypass });
        }
    }

    /// The installation was granted this, or nothing of it.
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

    /// An owner suspends the installation, or lifts that.
    pub fn suspend(&self, suspended: bool) {
        self.state().suspended = suspended;
    }

    /// An owner takes the app away, or installs it again.
    pub fn install(&self, installed: bool) {
        self.state().installed = installed;
    }

    /// Every access token that was ever made, oldest first.
    #[must_use]
    pub fn tokens(&self) -> Vec<String> {
        self.state().minted.clone()
    }

    /// How many of those are accepted.
    #[must_use]
    pub fn live(&self) -> usize {
        let state = self.state();
        let now = state.now();
        let live = state.tokens.values().filter(|token| token.expires > now);
        live.count()
    }

    /// What was asked so far, in order.
    #[must_use]
    pub fn asked(&self) -> Vec<Asked> {
        self.state().asked.clone()
    }

    /// Asks as an agent with this token would; the status, and the body where that is JSON.
    ///
    /// # Errors
    /// Where there is no answer.
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
            // Until the client gives up.
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
