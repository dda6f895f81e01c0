//! The seam to a Vault or OpenBao server: the calls that the provider makes, without HTTP.

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;
use lanyard_core::provider::ProviderError;
use lanyard_vocabulary::secret::Secret;
use lanyard_vocabulary::time::Timestamp;

pub use crate::policy::Mounts;

/// The server's address, as agents use it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// URL of the server.
    pub address: String,
    /// Vault namespace; empty for the root namespace.
    pub namespace: String,
    /// Certificate authorities in PEM; empty where the system's roots apply.
    pub certificate_authority: String,
}

/// The parameters of `auth/token/create/:role`: a service token that is not renewable and lacks the
/// policy `default`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenAsk<'a> {
    /// Name of the token role.
    pub role: &'a str,
    /// Policies of the token.
    pub policies: Vec<String>,
    /// Whole life of the token (`explicit_max_ttl`).
    pub life: Duration,
    /// Number of uses; `None` for any number.
    pub uses: Option<u32>,
    /// Metadata of the token, by which the broker recognises its own tokens.
    pub meta: BTreeMap<String, String>,
}

/// A token that the server created.
#[derive(Debug)]
pub struct Token {
    /// The secret token itself.
    pub token: Secret<String>,
    /// The accessor, by which the broker looks the token up and revokes it.
    pub accessor: String,
    /// All policies of the token, those of its identity included.
    pub policies: Vec<String>,
    /// Token type, `service` or `batch`.
    pub kind: String,
    /// The token has no parent whose end would end it.
    pub orphan: bool,
    /// Remaining life of the token.
    pub life: Duration,
    /// The token's life can be extended.
    pub renewable: bool,
    /// Number of uses left; `None` for any number.
    pub uses: Option<u32>,
}

/// A token's properties, as found by its accessor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenFacts {
    /// The path that created the token, `auth/token/create/ROLE`. The server writes the path, so no
    /// caller can forge it.
    pub path: String,
    /// Metadata of the token, which whoever created it chose.
    pub meta: BTreeMap<String, String>,
}

/// The result of looking up an accessor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AccessorLookup {
    /// The token exists and has these properties.
    Found(TokenFacts),
    /// No token has this accessor.
    Gone,
    /// The server denied the look-up although the broker has the right to it. It does so for an
    /// accessor whose token is gone; but a rule that the broker cannot see could also deny the
    /// look-up of a working token.
    Denied,
}

/// The settings of a token role that the provider checks.
/// <https://developer.hashicorp.com/vault/api-docs/auth/token#create-update-token-role>
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TokenRole {
    /// Tokens of the role have no parent.
    pub orphan: bool,
    /// Tokens of the role can be renewed.
    pub renewable: bool,
    /// Token type, such as `service` or `default-service`.
    pub token_type: String,
    /// Period in seconds; above zero, tokens can be renewed for ever.
    pub period: u64,
    /// Tokens of the role never get the policy `default`.
    pub no_default_policy: bool,
    /// Policies that tokens may have. Where both lists are empty, tokens may have all policies of
    /// their creator.
    pub allowed_policies: Vec<String>,
    /// Patterns of policies that tokens may have.
    pub allowed_policies_glob: Vec<String>,
}

/// A dynamic secret, which an engine created for the token that read it.
#[derive(Debug)]
pub struct Dynamic {
    /// The server's lease id, by which the secret is revoked; empty for a secret that is not
    /// dynamic.
    pub lease: String,
    /// Life of the secret.
    pub life: Duration,
    /// Fields of the secret, by name.
    pub data: BTreeMap<String, Secret<String>>,
}

/// The calls to the server, as the broker. Implementations never repeat a call that creates
/// something.
#[async_trait]
pub trait VaultApi: Send + Sync {
    /// The address that agents reach the server by.
    fn endpoint(&self) -> Endpoint;

    /// The time at the server, from the `Date` header of an answer; `None` when the answer had
    /// none.
    ///
    /// # Errors
    /// See [`ProviderError`].
    async fn time(&self) -> Result<Option<Timestamp>, ProviderError> {
        Ok(None)
    }

    /// Creates a parent token with the broker's own token.
    ///
    /// # Errors
    /// See [`ProviderError`].
    async fn create_parent(&self, ask: &TokenAsk<'_>) -> Result<Token, ProviderError>;

    /// Creates a lease's token with the parent token.
    ///
    /// # Errors
    /// See [`ProviderError`].
    async fn create_child(
        &self,
        parent: &Secret<String>,
        ask: &TokenAsk<'_>,
    ) -> Result<Token, ProviderError>;

    /// Lists the accessors of all tokens.
    ///
    /// # Errors
    /// See [`ProviderError`]. A list without the accessor of the broker's own token is incomplete
    /// and an error.
    async fn accessors(&self) -> Result<Vec<String>, ProviderError>;

    /// Looks a token up by its accessor.
    ///
    /// # Errors
    /// See [`ProviderError`]. A denial for want of the broker's own rights is an error and no
    /// result.
    async fn lookup(&self, accessor: &str) -> Result<AccessorLookup, ProviderError>;

    /// Revokes a token, its children and their secrets; succeeds when the token does not exist.
    ///
    /// # Errors
    /// See [`ProviderError`].
    async fn revoke_accessor(&self, accessor: &str) -> Result<(), ProviderError>;

    /// Asks with the token itself whether the server accepts it.
    ///
    /// # Errors
    /// See [`ProviderError`].
    async fn accepted(&self, token: &Secret<String>) -> Result<bool, ProviderError>;

    /// Reads `path` with a lease's token.
    ///
    /// # Errors
    /// See [`ProviderError`].
    async fn read(&self, token: &Secret<String>, path: &str) -> Result<Dynamic, ProviderError>;

    /// Revokes a dynamic secret and waits until its engine has ended it; succeeds when the secret
    /// does not exist.
    ///
    /// # Errors
    /// See [`ProviderError`]. An error of the engine never counts as an end.
    async fn revoke_lease(&self, lease: &str) -> Result<(), ProviderError>;

    /// Asks whether the server still holds a dynamic secret.
    ///
    /// # Errors
    /// See [`ProviderError`].
    async fn lease_exists(&self, lease: &str) -> Result<bool, ProviderError>;

    /// Reads a policy's text; `None` when the policy does not exist.
    ///
    /// # Errors
    /// See [`ProviderError`].
    async fn policy(&self, name: &str) -> Result<Option<String>, ProviderError>;

    /// The mounted engines, by path.
    ///
    /// # Errors
    /// See [`ProviderError`].
    async fn mounts(&self) -> Result<Mounts, ProviderError>;

    /// Reads a token role; `None` when the role does not exist.
    ///
    /// # Errors
    /// See [`ProviderError`].
    async fn token_role(&self, name: &str) -> Result<Option<TokenRole>, ProviderError>;

    /// The capabilities of the broker's own token on `paths`, by path.
    ///
    /// # Errors
    /// See [`ProviderError`].
    async fn rights(&self, paths: &[&str]) -> Result<BTreeMap<String, Vec<String>>, ProviderError>;
}
