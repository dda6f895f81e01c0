//! A strict fake of a server: tokens with parents, enforced token roles, a clock that tests set,
//! and injected faults.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use lanyard_charter::kinds::{Credential, VaultCredential};
use lanyard_core::provider::ProviderError;
use lanyard_provider_vault::api::{
    AccessorLookup, Dynamic, Endpoint, Mounts, Token, TokenAsk, TokenFacts, TokenRole, VaultApi,
};
use lanyard_provider_vault::{Login, Server};
use lanyard_testkit::clock::ManualClock;
use lanyard_testkit::conformance::refuser::{self, CANARY};
use lanyard_vocabulary::id::LeaseId;
use lanyard_vocabulary::secret::Secret;
use lanyard_vocabulary::time::Timestamp;
use parking_lot::{Mutex, MutexGuard};
use tokio::sync::Notify;

/// A fault that a test injects into one call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wrong {
    Silence,
    LostAnswer,
    Throttle,
    Longer,
    Wider,
    Renewable,
    Batch,
    Orphan,
    MoreUses,
    Echo,
    Unrevoked(LeaseId),
    /// The answer before the token request is withheld until released.
    SlowMounts,
    /// The token is created only when the call is released.
    SlowChild,
    /// The secret is read, and its answer withheld until released.
    SlowSecret,
    /// The secret is read, and its answer is lost.
    LostSecret,
    /// The read of a secret is refused.
    NoSecret,
    /// The path gives a secret without a lease.
    NoLease,
    /// The secret lives longer than the token.
    LongerSecret,
}

/// A token of the fake server.
#[derive(Debug, Clone)]
pub(crate) struct Held {
    secret: String,
    parent: Option<String>,
    path: String,
    meta: BTreeMap<String, String>,
    policies: Vec<String>,
    ends: Timestamp,
}

/// The content of the fake server.
#[derive(Default)]
pub(crate) struct State {
    pub(crate) tokens: BTreeMap<String, Held>,
    /// Dynamic secrets, each with the accessor of the token that read it.
    pub(crate) secrets: BTreeMap<String, String>,
    pub(crate) policies: BTreeMap<String, String>,
    pub(crate) wrong: Option<Wrong>,
    /// Operations whose calls fail before they reach the server.
    pub(crate) down: BTreeSet<&'static str>,
    pub(crate) lookups: usize,
    /// Accessors whose look-up the server denies, with or without a token.
    pub(crate) denied: BTreeSet<String>,
    made: usize,
    last: Option<String>,
}

#[derive(Clone)]
pub(crate) struct Fake {
    state: Arc<Mutex<State>>,
    clock: Arc<ManualClock>,
    silent: Arc<Notify>,
    released: Arc<Notify>,
}

fn refused(operation: &'static str, code: &str) -> ProviderError {
    ProviderError::Refused {
        provider: "vault",
        operation,
        code: code.to_owned(),
    }
}

fn lost(operation: &'static str) -> ProviderError {
    ProviderError::Ambiguous {
        provider: "vault",
        operation,
        code: "not reached".to_owned(),
    }
}

/// Returns the real client of a server that refuses everything and repeats a secret.
fn aloud() -> Server {
    let body = serde_json::json!({"errors": [format!("permission denied for {CANARY}"), CANARY]});
    let address = refuser::start("400 Bad Request", "application/json", body.to_string());
    rustls::crypto::ring::default_provider()
        .install_default()
        .ok();
    let endpoint = Endpoint {
        address: format!("http://{address}"),
        namespace: String::new(),
        certificate_authority: String::new(),
    };
    let login = Login::Jwt {
        mount: "jwt".to_owned(),
        role: "role".to_owned(),
        // Any file with a text will do.
        token_file: concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml").into(),
    };
    Server::new(endpoint, login).unwrap()
}

impl Default for Fake {
    fn default() -> Self {
        let fake = Self {
            state: Arc::default(),
            clock: Arc::default(),
            silent: Arc::default(),
            released: Arc::default(),
        };
        let read = "path \"kv/data/payments\" { capabilities = [\"read\"] }";
        let secret = "path \"database/creds/reader\" { capabilities = [\"read\"] }";
        let mut state = fake.state();
        state
            .policies
            .insert("payments-read".to_owned(), read.to_owned());
        state
            .policies
            .insert("payments-reader".to_owned(), secret.to_owned());
        drop(state);
        fake
    }
}

impl State {
    fn lives(&self, accessor: &str, now: Timestamp) -> bool {
        self.tokens.get(accessor).is_some_and(|token| {
            let parent = token.parent.as_deref();
            now < token.ends && parent.is_none_or(|parent| self.lives(parent, now))
        })
    }

    fn by_secret(&self, secret: &str, now: Timestamp) -> Option<(String, Held)> {
        let mut tokens = self.tokens.iter();
        let (accessor, held) = tokens.find(|(_, held)| held.secret == secret)?;
        self.lives(accessor, now)
            .then(|| (accessor.clone(), held.clone()))
    }

    fn end(&mut self, accessor: &str) {
        self.tokens.remove(accessor);
        self.secrets.retain(|_, token| token != accessor);
        let children: Vec<String> = self
            .tokens
            .iter()
            .filter(|(_, held)| held.parent.as_deref() == Some(accessor))
            .map(|(child, _)| child.clone())
            .collect();
        for child in children {
            self.end(&child);
        }
    }

    /// Removes the fault and returns true if it is `wrong`.
    fn goes_wrong(&mut self, wrong: Wrong) -> bool {
        let is = self.wrong == Some(wrong);
        if is {
            self.wrong = None;
        }
        is
    }

    fn call(&mut self, operation: &'static str) -> Result<(), ProviderError> {
        if self.goes_wrong(Wrong::Throttle) {
            return Err(ProviderError::Throttled {
                provider: "vault",
                operation,
            });
        }
        if self.down.contains(operation) {
            return Err(lost(operation));
        }
        Ok(())
    }
}

impl Fake {
    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }

    pub(crate) fn clock(&self) -> &ManualClock {
        &self.clock
    }

    pub(crate) async fn silent(&self) {
        self.silent.notified().await;
    }

    /// Releases the calls that are withheld.
    pub(crate) fn release(&self) {
        self.released.notify_one();
    }

    async fn slow(&self, wrong: Wrong) {
        if self.state().goes_wrong(wrong) {
            self.silent.notify_one();
            self.released.notified().await;
        }
    }

    pub(crate) fn last_made(&self) -> Option<Credential> {
        let last = self.state().last.clone();
        last.map(|token| credential(&token))
    }

    /// Returns true if a token may read the path of policy `payments-read`.
    pub(crate) fn allows(&self, token: &str) -> bool {
        let found = self.state().by_secret(token, self.clock.now());
        found.is_some_and(|(_, held)| held.policies.iter().any(|it| it == "payments-read"))
    }

    /// Returns the accessors of all live tokens.
    pub(crate) fn live(&self) -> Vec<String> {
        let state = self.state();
        let now = self.clock.now();
        let all = state
            .tokens
            .keys()
            .filter(|accessor| state.lives(accessor, now));
        all.cloned().collect()
    }

    /// Adds tokens of another party.
    pub(crate) fn add_foreign(&self, count: usize) {
        let (now, mut state) = (self.clock.now(), self.state());
        for _ in 0..count {
            state.made += 1;
            let held = Held {
                secret: format!("hvs.{}", state.made),
                parent: None,
                path: "auth/approle/login".to_owned(),
                meta: BTreeMap::new(),
                policies: Vec::new(),
                ends: now + Duration::from_secs(3600),
            };
            let accessor = format!("foreign-{}", state.made);
            state.tokens.insert(accessor, held);
        }
    }

    fn create(&self, parent: Option<&str>, ask: &TokenAsk<'_>) -> Result<Token, ProviderError> {
        let (now, mut state) = (self.clock.now(), self.state());
        let (orphan, mut policies) = match ask.role {
            "lanyard-parent" => (true, vec!["lanyard-parent".to_owned()]),
            "lanyard-lease" => (false, ask.policies.clone()),
            _ => return Err(refused("create a token", "400 unknown role")),
        };
        if policies
            .iter()
            .any(|it| !it.starts_with("payments-") && it != "lanyard-parent")
        {
            return Err(refused(
                "create a token",
                "400 must be subset of the role's allowed policies",
            ));
        }
        state.made += 1;
        let (accessor, secret) = (
            format!("accessor-{}", state.made),
            format!("hvs.{}", state.made),
        );
        let mut life = ask.life;
        let child = !orphan;
        if child && state.goes_wrong(Wrong::Longer) {
            life += Duration::from_secs(3600);
        }
        if child && state.goes_wrong(Wrong::Wider) {
            policies.push("payments-admin".to_owned());
        }
        let held = Held {
            secret: secret.clone(),
            parent: parent.filter(|_| child).map(str::to_owned),
            path: format!("auth/token/create/{}", ask.role),
            meta: ask.meta.clone(),
            policies: policies.clone(),
            ends: now + life,
        };
        state.tokens.insert(accessor.clone(), held);
        if child {
            state.last = Some(secret.clone());
        }
        if child && state.goes_wrong(Wrong::LostAnswer) {
            return Err(lost("create a token"));
        }
        let kind = child && state.goes_wrong(Wrong::Batch);
        let more = child && state.goes_wrong(Wrong::MoreUses);
        Ok(Token {
            token: Secret::new(secret),
            accessor,
            policies,
            kind: if kind { "batch" } else { "service" }.to_owned(),
            orphan: orphan || state.goes_wrong(Wrong::Orphan),
            life,
            renewable: child && state.goes_wrong(Wrong::Renewable),
            uses: ask.uses.filter(|_| !more),
        })
    }
}

pub(crate) fn credential(token: &str) -> Credential {
    VaultCredential {
        address: "https://fake.invalid".to_owned(),
        namespace: String::new(),
        certificate_authority: String::new(),
        token: Secret::new(token.to_owned()),
    }
    .into()
}

#[async_trait]
impl VaultApi for Fake {
    fn endpoint(&self) -> Endpoint {
        Endpoint {
            address: "https://fake.invalid".to_owned(),
            namespace: String::new(),
            certificate_authority: String::new(),
        }
    }

    async fn create_parent(&self, ask: &TokenAsk<'_>) -> Result<Token, ProviderError> {
        self.state().call("parent")?;
        self.create(None, ask)
    }

    async fn create_child(
        &self,
        parent: &Secret<String>,
        ask: &TokenAsk<'_>,
    ) -> Result<Token, ProviderError> {
        if self.state().goes_wrong(Wrong::Echo) {
            return aloud().create_child(parent, ask).await;
        }
        self.slow(Wrong::SlowChild).await;
        self.state().call("child")?;
        let found = self.state().by_secret(parent.expose(), self.clock.now());
        let Some((accessor, _)) = found else {
            return Err(refused("create a token", "403 permission denied"));
        };
        let token = self.create(Some(&accessor), ask)?;
        if self.state().goes_wrong(Wrong::Silence) {
            self.silent.notify_one();
            std::future::pending::<()>().await;
        }
        Ok(token)
    }

    async fn accessors(&self) -> Result<Vec<String>, ProviderError> {
        self.state().call("accessors")?;
        let mut all = self.live();
        all.extend(self.state().denied.iter().cloned());
        Ok(all)
    }

    async fn lookup(&self, accessor: &str) -> Result<AccessorLookup, ProviderError> {
        let mut state = self.state();
        state.call("lookup")?;
        state.lookups += 1;
        if state.denied.contains(accessor) {
            return Ok(AccessorLookup::Denied);
        }
        if !state.lives(accessor, self.clock.now()) {
            return Ok(AccessorLookup::Gone);
        }
        Ok(state
            .tokens
            .get(accessor)
            .map_or(AccessorLookup::Gone, |held| {
                AccessorLookup::Found(TokenFacts {
                    path: held.path.clone(),
                    meta: held.meta.clone(),
                })
            }))
    }

    async fn revoke_accessor(&self, accessor: &str) -> Result<(), ProviderError> {
        if self.state().goes_wrong(Wrong::Echo) {
            return aloud().revoke_accessor(accessor).await;
        }
        let mut state = self.state();
        state.call("revoke")?;
        let lease = state.tokens.get(accessor);
        let lease = lease.and_then(|held| held.meta.get("lanyard-lease")?.parse().ok());
        if lease.is_some_and(|lease| state.goes_wrong(Wrong::Unrevoked(lease))) {
            return Err(lost("revoke a token"));
        }
        state.end(accessor);
        Ok(())
    }

    async fn accepted(&self, token: &Secret<String>) -> Result<bool, ProviderError> {
        Ok(self
            .state()
            .by_secret(token.expose(), self.clock.now())
            .is_some())
    }

    async fn read(&self, token: &Secret<String>, path: &str) -> Result<Dynamic, ProviderError> {
        self.state().call("read")?;
        let found = self.state().by_secret(token.expose(), self.clock.now());
        let Some((accessor, held)) = found else {
            return Err(refused("read the secret", "403 permission denied"));
        };
        let lease = format!("{path}/{accessor}");
        self.state().secrets.insert(lease.clone(), accessor.clone());
        self.slow(Wrong::SlowSecret).await;
        let mut state = self.state();
        if state.goes_wrong(Wrong::NoSecret) {
            return Err(refused("read the secret", "403 permission denied"));
        }
        if state.goes_wrong(Wrong::LostSecret) {
            return Err(lost("read the secret"));
        }
        let longer = state.goes_wrong(Wrong::LongerSecret);
        let life = held.ends.since(self.clock.now());
        let unleased = state.goes_wrong(Wrong::NoLease);
        Ok(Dynamic {
            lease: if unleased { String::new() } else { lease },
            life: if longer { life * 2 } else { life },
            data: BTreeMap::from([("password".to_owned(), Secret::new("made".to_owned()))]),
        })
    }

    async fn revoke_lease(&self, lease: &str) -> Result<(), ProviderError> {
        if self.state().down.contains("hanging engine") {
            std::future::pending::<()>().await;
        }
        let mut state = self.state();
        state.call("revoke secret")?;
        state.secrets.remove(lease);
        Ok(())
    }

    async fn lease_exists(&self, lease: &str) -> Result<bool, ProviderError> {
        self.state().call("lookup secret")?;
        Ok(self.state().secrets.contains_key(lease))
    }

    async fn policy(&self, name: &str) -> Result<Option<String>, ProviderError> {
        self.state().call("policy")?;
        Ok(self.state().policies.get(name).cloned())
    }

    async fn mounts(&self) -> Result<Mounts, ProviderError> {
        self.slow(Wrong::SlowMounts).await;
        self.state().call("mounts")?;
        let mounts = [
            ("aws/", "aws"),
            ("cubbyhole/", "cubbyhole"),
            ("database/", "database"),
            ("identity/", "identity"),
            ("kv/", "kv"),
            ("pki/", "pki"),
            ("sys/", "system"),
            ("team/database/", "database"),
            ("team/kv/", "kv"),
            ("transit/", "transit"),
        ];
        Ok(mounts
            .map(|(path, kind)| (path.to_owned(), kind.to_owned()))
            .into())
    }

    async fn token_role(&self, _: &str) -> Result<Option<TokenRole>, ProviderError> {
        Ok(None)
    }

    async fn rights(&self, _: &[&str]) -> Result<BTreeMap<String, Vec<String>>, ProviderError> {
        Err(refused("read the broker's rights", "403 permission denied"))
    }
}
