//! The broker's own token: logged in for when it is first needed, renewed in time, logged in anew when it is refused.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use lanyard_core::provider::ProviderError;
use lanyard_core::secret::Secret;
use lanyard_secret_file::{Origin, read_word};
use serde::Deserialize;
use tokio::sync::Mutex;
use tokio::time::Instant;
use vaultrs::api::auth::approle::requests::LoginWithApproleRequest;
use vaultrs::api::auth::kubernetes::requests::LoginWithKubernetesRequest;
use vaultrs::api::auth::oidc::requests::JWTLoginRequest;
use vaultrs::api::token::requests::RenewTokenSelfRequest;

use crate::transport::{Answer, Transport, refused};

/// A token that is left with less than this is not renewed: its role lets it live no longer.
const SHORTEST: Duration = Duration::from_secs(60);

/// How the broker logs in. Files are read again at each login.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Login {
    /// `auth/approle`: a role id, and a file with the secret id.
    AppRole {
        /// Where the method is mounted.
        mount: String,
        /// Not secret.
        role_id: String,
        /// The secret id, and nothing else; no other user may read it.
        secret_id_file: PathBuf,
    },
    /// `auth/kubernetes`: a file with the service account's token.
    Kubernetes {
        /// Where the method is mounted.
        mount: String,
        /// The role at the method.
        role: String,
        /// The token, and nothing else.
        token_file: PathBuf,
    },
    /// `auth/jwt`: a file with a token of an issuer that the server trusts.
    Jwt {
        /// Where the method is mounted.
        mount: String,
        /// The role at the method.
        role: String,
        /// The token, and nothing else.
        token_file: PathBuf,
    },
}

/// The token, between its logins.
pub(crate) struct Session {
    login: Login,
    /// Held while a login is under way: whoever else needs the token waits for that one.
    held: Mutex<Option<Held>>,
}

struct Held {
    token: Arc<Secret<String>>,
    accessor: String,
    renew: Instant,
    ends: Instant,
    renewable: bool,
}

#[derive(Deserialize)]
struct Given {
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

    /// A token that is good for a while.
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

    /// The accessor of the token that is held.
    pub(crate) async fn accessor(&self) -> Option<String> {
        let held = self.held.lock().await;
        held.as_ref().map(|held| held.accessor.clone())
    }

    /// Forgets a token that was refused, unless another one has taken its place.
    pub(crate) async fn forget(&self, refused: &Arc<Secret<String>>) {
        let mut held = self.held.lock().await;
        if held
            .as_ref()
            .is_some_and(|held| Arc::ptr_eq(&held.token, refused))
        {
            *held = None;
        }
    }

    async fn log_in(&self, transport: &Transport) -> Result<Held, ProviderError> {
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
        // A login makes nothing that a lease hangs on: whatever became of it, it is tried again.
        let auth = answer.read::<Given>(OPERATION)?.auth;
        if auth.token_type == "batch" {
            let why = "its role gives batch tokens, which cannot make tokens: token_type=service";
            return Err(refused(OPERATION, why));
        }
        Ok(held(auth, now))
    }
}

fn held(auth: Auth, now: Instant) -> Held {
    // A token without an end is looked at again in a day.
    let life = match auth.lease_duration {
        0 => Duration::from_secs(24 * 60 * 60),
        seconds => Duration::from_secs(seconds.min(1 << 32)),
    };
    Held {
        token: Arc::new(Secret::new(auth.client_token)),
        accessor: auth.accessor,
        renew: now + life * 3 / 5,
        ends: now + life,
        renewable: auth.renewable,
    }
}

/// The token with a new life; nothing where it did not get one that is worth it.
async fn renewed(transport: &Transport, old: Held, now: Instant) -> Option<Held> {
    const OPERATION: &str = "renew the broker's token";
    let renew = RenewTokenSelfRequest::builder().build().ok()?;
    let answer = transport.call(OPERATION, Some(&old.token), renew).await;
    let auth = match answer {
        Ok(answer @ Answer::Good(_)) => answer.read::<Given>(OPERATION).ok()?.auth,
        Ok(Answer::Bad(_)) | Err(_) => return None,
    };
    let mut renewed = held(auth, now);
    renewed.token = old.token;
    (renewed.ends.duration_since(now) >= SHORTEST).then_some(renewed)
}

/// What a file holds, without the newline at its end.
async fn secret(file: &Path, origin: Origin) -> Result<Secret<String>, ProviderError> {
    let path = file.to_owned();
    // A file may lie on a disk that does not answer.
    let read = tokio::task::spawn_blocking(move || read_word(&path, origin)).await;
    let read = read.map_err(|_| refused("login", "reading the secret was broken off"))?;
    let mut word = read.map_err(|error| refused("login", &error.to_string()))?;
    Ok(Secret::new(std::mem::take(&mut *word)))
}
