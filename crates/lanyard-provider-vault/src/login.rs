//! The broker's own token: logs in at first use, renews the token in time, and logs in again when
//! the server refuses it.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use lanyard_core::provider::ProviderError;
use lanyard_secret_file::{Origin, read_word};
use lanyard_vocabulary::secret::Secret;
use serde::Deserialize;
use tokio::sync::Mutex;
use tokio::time::Instant;
use vaultrs::api::auth::approle::requests::LoginWithApproleRequest;
use vaultrs::api::auth::kubernetes::requests::LoginWithKubernetesRequest;
use vaultrs::api::auth::oidc::requests::JWTLoginRequest;
use vaultrs::api::token::requests::RenewTokenSelfRequest;

use crate::transport::{Answer, Transport, refused};

/// A renewed token with a shorter life than this is dropped: its role allows it no longer life, so
/// the broker logs in again.
const SHORTEST_RENEWED_LIFE: Duration = Duration::from_secs(60);

/// The broker's login method. Files are read again at each login, so that a rotated secret needs no
/// restart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Login {
    /// `auth/approle`: a role id, and a file with the secret id.
    AppRole {
        /// Mount path of the method.
        mount: String,
        /// Role id; not secret.
        role_id: String,
        /// File with the secret id alone; no other user may read it.
        secret_id_file: PathBuf,
    },
    /// `auth/kubernetes`: a file with the service account's token.
    Kubernetes {
        /// Mount path of the method.
        mount: String,
        /// Role of the method.
        role: String,
        /// File with the token alone.
        token_file: PathBuf,
    },
    /// `auth/jwt`: a file with a token of an issuer that the server trusts.
    Jwt {
        /// Mount path of the method.
        mount: String,
        /// Role of the method.
        role: String,
        /// File with the token alone.
        token_file: PathBuf,
    },
}

/// The broker's current token, shared by all calls.
pub(crate) struct Session {
    login: Login,
    /// Locked during a login, so that concurrent calls wait for that login instead of starting
    /// their own.
    held: Mutex<Option<CurrentToken>>,
}

struct CurrentToken {
    token: Arc<Secret<String>>,
    accessor: String,
    renew: Instant,
    ends: Instant,
    renewable: bool,
}

#[derive(Deserialize)]
struct LoginAnswer {
    auth: Auth,
}

#[derive(Deserialize)]
struct Auth {
    client_token: String,
    accessor: String,
    lease_duration: u64,
    #[serde(default)]
    renewable: bool,
    #[serde(default)]
    token_type: String,
}

impl Session {
    pub(crate) fn new(login: Login) -> Self {
        Self {
            login,
            held: Mutex::new(None),
        }
    }

    /// Returns a token that stays valid for a while: the current one, renewed or replaced if
    /// necessary.
    pub(crate) async fn token(
        &self,
        transport: &Transport,
    ) -> Result<Arc<Secret<String>>, ProviderError> {
        let mut held = self.held.lock().await;
        let now = Instant::now();
        if let Some(held) = held.as_ref().filter(|held| now < held.renew) {
            return Ok(Arc::clone(&held.token));
        }
        let renewed = match held.take() {
            Some(old) if old.renewable && now < old.ends => renewed(transport, old, now).await,
            Some(_) | None => None,
        };
        let fresh = match renewed {
            Some(renewed) => renewed,
            None => self.log_in(transport).await?,
        };
        let token = Arc::clone(&fresh.token);
        *held = Some(fresh);
        Ok(token)
    }

    /// The accessor of the current token.
    pub(crate) async fn accessor(&self) -> Option<String> {
        let held = self.held.lock().await;
        held.as_ref().map(|held| held.accessor.clone())
    }

    /// Drops a token that the server refused, unless another one has replaced it already.
    pub(crate) async fn forget(&self, refused: &Arc<Secret<String>>) {
        let mut held = self.held.lock().await;
        if held
            .as_ref()
            .is_some_and(|held| Arc::ptr_eq(&held.token, refused))
        {
            *held = None;
        }
    }

    async fn log_in(&self, transport: &Transport) -> Result<CurrentToken, ProviderError> {
        const OPERATION: &str = "login";
        let unbuilt = || refused(OPERATION, "the request cannot be built");
        let now = Instant::now();
        let answer = match &self.login {
            Login::AppRole {
                mount,
                role_id,
                secret_id_file,
            } => {
                let secret = secret(secret_id_file, Origin::Configured).await?;
                let mut login = LoginWithApproleRequest::builder();
                login.mount(mount).role_id(role_id);
                let login = login
                    .secret_id(secret.expose())
                    .build()
                    .map_err(|_| unbuilt())?;
                transport.call(OPERATION, None, login).await?
            }
            Login::Kubernetes {
                mount,
                role,
                token_file,
            } => {
                let token = secret(token_file, Origin::Projected).await?;
                let mut login = LoginWithKubernetesRequest::builder();
                login.mount(mount).role(role);
                let login = login.jwt(token.expose()).build().map_err(|_| unbuilt())?;
                transport.call(OPERATION, None, login).await?
            }
            Login::Jwt {
                mount,
                role,
                token_file,
            } => {
                let token = secret(token_file, Origin::Projected).await?;
                let mut login = JWTLoginRequest::builder();
                login.mount(mount).role(role);
                let login = login.jwt(token.expose()).build().map_err(|_| unbuilt())?;
                transport.call(OPERATION, None, login).await?
            }
        };
        // No lease depends on a login, so a lost answer is harmless: the next call logs in again.
        let auth = answer.read::<LoginAnswer>(OPERATION)?.auth;
        if auth.token_type == "batch" {
            let why =
                "its role gives batch tokens, which cannot create tokens: set token_type=service";
            return Err(refused(OPERATION, why));
        }
        Ok(held(auth, now))
    }
}

fn held(auth: Auth, now: Instant) -> CurrentToken {
    // A token without an expiry (`lease_duration` 0) is renewed about once a day all the same.
    let life = match auth.lease_duration {
        0 => Duration::from_secs(24 * 60 * 60),
        seconds => Duration::from_secs(seconds.min(1 << 32)),
    };
    CurrentToken {
        token: Arc::new(Secret::new(auth.client_token)),
        accessor: auth.accessor,
        renew: now + life * 3 / 5,
        ends: now + life,
        renewable: auth.renewable,
    }
}

/// Renews the token; `None` if the server refused, or gave too short a life.
async fn renewed(transport: &Transport, old: CurrentToken, now: Instant) -> Option<CurrentToken> {
    const OPERATION: &str = "renew the broker's token";
    let renew = RenewTokenSelfRequest::builder().build().ok()?;
    let answer = transport.call(OPERATION, Some(&old.token), renew).await;
    let auth = match answer {
        Ok(answer @ Answer::Good(_)) => answer.read::<LoginAnswer>(OPERATION).ok()?.auth,
        Ok(Answer::Bad(_)) | Err(_) => return None,
    };
    let mut renewed = held(auth, now);
    renewed.token = old.token;
    (renewed.ends.duration_since(now) >= SHORTEST_RENEWED_LIFE).then_some(renewed)
}

/// Reads the word in a secret's file, without white space around it.
async fn secret(file: &Path, origin: Origin) -> Result<Secret<String>, ProviderError> {
    let path = file.to_owned();
    // On a blocking thread, because a disk that hangs must not stop the runtime.
    let read = tokio::task::spawn_blocking(move || read_word(&path, origin)).await;
    let read = read.map_err(|_| refused("login", "reading the secret's file was aborted"))?;
    let mut word = read.map_err(|error| refused("login", &error.to_string()))?;
    Ok(Secret::new(std::mem::take(&mut *word)))
}
