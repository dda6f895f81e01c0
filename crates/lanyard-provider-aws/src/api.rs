//! The calls to AWS that the provider makes, and nothing else of it.

use async_trait::async_trait;
use lanyard_core::provider::ProviderError;
use lanyard_core::secret::Secret;
use lanyard_core::time::Timestamp;

/// What is asked of STS AssumeRole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AssumeRole {
    /// The role.
    pub role_arn: String,
    /// The session's name and its source identity: the lease's id.
    pub lease: String,
    /// The session policy.
    pub policy: String,
    /// DurationSeconds.
    pub seconds: i32,
    /// Session tags.
    pub tags: Vec<(&'static str, String)>,
}

/// What STS answers.
#[derive(Debug)]
pub struct Session {
    /// Not secret, but identifying.
    pub access_key_id: String,
    /// Secret.
    pub secret_access_key: Secret<String>,
    /// Secret.
    pub session_token: Secret<String>,
    /// When STS ends it.
    pub expires: Timestamp,
    /// The ARN of the session.
    pub arn: String,
    /// The source identity that the session carries, where the answer says so.
    pub source_identity: Option<String>,
}

/// A session in somebody's hands.
#[derive(Debug)]
pub struct Held<'a> {
    /// Not secret, but identifying.
    pub access_key_id: &'a str,
    /// Secret.
    pub secret_access_key: &'a Secret<String>,
    /// Secret.
    pub session_token: &'a Secret<String>,
}

/// How a role is set up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoleFacts {
    /// The ARN of its permissions boundary.
    pub boundary: Option<String>,
    /// Who may assume it: its trust policy, as JSON.
    pub trust: String,
}

/// STS as the minting principal, IAM as the revoking one.
#[async_trait]
pub trait AwsApi: Send + Sync {
    /// Called once for a lease; never retried.
    ///
    /// # Errors
    /// See [`ProviderError`].
    async fn assume_role(&self, ask: &AssumeRole) -> Result<Session, ProviderError>;

    /// What time it is there, by the `Date` of an answer; nothing where none was given.
    ///
    /// # Errors
    /// See [`ProviderError`].
    async fn time(&self) -> Result<Option<Timestamp>, ProviderError> {
        Ok(None)
    }

    /// The inline policy of this name on a role, when there is one.
    ///
    /// # Errors
    /// See [`ProviderError`].
    async fn role_policy(&self, role: &str, policy: &str) -> Result<Option<String>, ProviderError>;

    /// The names of the inline policies of a role.
    ///
    /// # Errors
    /// See [`ProviderError`].
    async fn role_policies(&self, role: &str) -> Result<Vec<String>, ProviderError>;

    /// How a role is set up, when there is one.
    ///
    /// # Errors
    /// See [`ProviderError`].
    async fn role_facts(&self, role: &str) -> Result<Option<RoleFacts>, ProviderError>;

    /// Who the holder of a session is, asked with the session itself; nothing where it is refused.
    ///
    /// # Errors
    /// See [`ProviderError`].
    async fn holder(&self, session: &Held<'_>) -> Result<Option<String>, ProviderError>;

    /// The ARN of the minting principal.
    ///
    /// # Errors
    /// See [`ProviderError`].
    async fn minter(&self) -> Result<String, ProviderError>;

    /// Writes it, whole.
    ///
    /// # Errors
    /// See [`ProviderError`].
    async fn put_role_policy(
        &self,
        role: &str,
        policy: &str,
        document: &str,
    ) -> Result<(), ProviderError>;

    /// Deletes it; one that is not there is deleted.
    ///
    /// # Errors
    /// See [`ProviderError`].
    async fn delete_role_policy(&self, role: &str, policy: &str) -> Result<(), ProviderError>;
}
