//! The calls to a Vault or OpenBao that the provider makes, and nothing else of it.

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;
use lanyard_core::provider::ProviderError;
use lanyard_core::secret::Secret;
use lanyard_core::time::Timestamp;

pub use crate::policy::Mounts;

/// Where the server is, as its users see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// Its URL.
    pub address: String,
    /// The namespace; empty for the root's.
    pub namespace: String,
    /// Its certificate authorities, PEM; empty where the system's roots serve.
    pub certificate_authority: String,
}

/// What is asked of `auth/token/create/:role`: a service token, not renewable, without the policy `default`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenAsk<'a> {
    /// The token role.
    pub role: &'a str,
    /// Its policies.
    pub policies: Vec<String>,
    /// Its whole life.
    pub life: Duration,
    /// How often it can be used, where that is bounded.
    pub uses: Option<u32>,
    /// What is written on it, for whoever looks it up.
    pub meta: BTreeMap<String, String>,
}

/// A token as the server gave it.
#[derive(Debug)]
pub struct Token {
    /// The secret.
    pub token: Secret<String>,
    /// What it is looked up and revoked by.
    pub accessor: String,
    /// All its policies, by whichever way it has them.
    pub policies: Vec<String>,
    /// `service` or `batch`.
    pub kind: String,
    /// Whether nothing above it takes it along when it ends.
    pub orphan: bool,
    /// How long it lives from now on.
    pub life: Duration,
    /// Whether that can be made longer.
    pub renewable: bool,
    /// How often it can be used; nothing for any number.
    pub uses: Option<u32>,
}

/// What can be learned of a token by its accessor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenFacts {
    /// How it was made: `auth/token/create/ROLE`. The server writes it, not who asked.
    pub path: String,
    /// What is written on it.
    pub meta: BTreeMap<String, String>,
}

/// What the server says of an accessor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Looked {
    /// There is a token.
    There(TokenFacts),
    /// There is no such accessor.
    Gone,
    /// Denied in the words of a missing right that the broker has. The server says so of an accessor that was left
    /// behind without its token; but a rule that cannot be seen from here could say it of one that works.
    Denied,
}

/// The settings of a token role that matter here.
/// <https://developer.hashicorp.com/vault/api-docs/auth/token#create-update-token-role>
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TokenRole {
    /// Whether its tokens outlive who made them.
    pub orphan: bool,
    /// Whether its tokens can be renewed.
    pub renewable: bool,
    /// `service`, `default-service`, …
    pub token_type: String,
    /// Seconds; not zero for tokens that can be renewed for ever.
    pub period: u64,
    /// Whether its tokens are kept from having the policy `default`.
    pub no_default_policy: bool,
    /// What its tokens may carry; all that who asks has, where both are empty.
    pub allowed_policies: Vec<String>,
    /// The same, with wildcards.
    pub allowed_policies_glob: Vec<String>,
}

/// A secret that was made for whoever read it.
#[derive(Debug)]
pub struct Dynamic {
    /// What it is revoked by; empty where it is no such secret.
    pub lease: String,
    /// How long it lives.
    pub life: Duration,
    /// Its fields.
    pub data: BTreeMap<String, Secret<String>>,
}

/// The server, as the broker. No call that makes something is ever repeated.
#[async_trait]
pub trait VaultApi: Send + Sync {
    /// Where agents find it.
    fn endpoint(&self) -> Endpoint;

    /// What time it is there, by the `Date` of an answer; nothing where none was given.
    ///
    /// # Errors
    /// See [`ProviderError`].
    async fn time(&self) -> Result<Option<Timestamp>, ProviderError> {
        Ok(None)
    }

    /// Makes a token, with the broker's own token.
    ///
    /// # Errors
    /// See [`ProviderError`].
    async fn create_parent(&self, ask: &TokenAsk<'_>) -> Result<Token, ProviderError>;

    /// Makes a token, with this one.
    ///
    /// # Errors
    /// See [`ProviderError`].
    async fn create_child(
        &self,
        parent: &Secret<String>,
        ask: &TokenAsk<'_>,
    ) -> Result<Token, ProviderError>;

    /// The accessors of all tokens that there are.
    ///
    /// # Errors
    /// See [`ProviderError`]; a list without the broker's own is not all there is.
    async fn accessors(&self) -> Result<Vec<String>, ProviderError>;

    /// What there is of a token.
    ///
    /// # Errors
    /// See [`ProviderError`]; a refusal for want of rights is no answer.
    async fn lookup(&self, accessor: &str) -> Result<Looked, ProviderError>;

    /// Ends a token and all that it made; one that is not there has ended.
    ///
    /// # Errors
    /// See [`ProviderError`].
    async fn revoke_accessor(&self, accessor: &str) -> Result<(), ProviderError>;

    /// Whether a token is accepted, by the token itself.
    ///
    /// # Errors
    /// See [`ProviderError`].
    async fn accepted(&self, token: &Secret<String>) -> Result<bool, ProviderError>;

    /// Reads a path with a token of a lease.
    ///
    /// # Errors
    /// See [`ProviderError`].
    async fn read(&self, token: &Secret<String>, path: &str) -> Result<Dynamic, ProviderError>;

    /// Ends a dynamic secret, and answers when its engine has ended it; one that is not there has ended.
    ///
    /// # Errors
    /// See [`ProviderError`]; whatever the engine says of it is no end.
    async fn revoke_lease(&self, lease: &str) -> Result<(), ProviderError>;

    /// Whether the server still holds a dynamic secret.
    ///
    /// # Errors
    /// See [`ProviderError`].
    async fn lease_exists(&self, lease: &str) -> Result<bool, ProviderError>;

    /// The text of a policy, when there is one.
    ///
    /// # Errors
    /// See [`ProviderError`].
    async fn policy(&self, name: &str) -> Result<Option<String>, ProviderError>;

    /// What is mounted where.
    ///
    /// # Errors
    /// See [`ProviderError`].
    async fn mounts(&self) -> Result<Mounts, ProviderError>;

    /// A token role, when there is one.
    ///
    /// # Errors
    /// See [`ProviderError`].
    async fn token_role(&self, name: &str) -> Result<Option<TokenRole>, ProviderError>;

    /// What the broker's own token may do on these paths.
    ///
    /// # Errors
    /// See [`ProviderError`].
    async fn rights(&self, paths: &[&str]) -> Result<BTreeMap<String, Vec<String>>, ProviderError>;
}
