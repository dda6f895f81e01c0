//! The seam to AWS: the calls that the provider makes, without the SDK.

use async_trait::async_trait;
use lanyard_core::provider::ProviderError;
use lanyard_vocabulary::secret::Secret;
use lanyard_vocabulary::time::Timestamp;

/// The parameters of STS `AssumeRole`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AssumeRole {
    /// ARN of the role to assume.
    pub role_arn: String,
    /// The lease's id, used as session name and as source identity.
    pub lease: String,
    /// The session policy, as JSON.
    pub policy: String,
    /// `DurationSeconds`: the session's life in seconds.
    pub seconds: i32,
    /// Session tags, as key and value.
    pub tags: Vec<(&'static str, String)>,
}

/// The session that STS returned.
#[derive(Debug)]
pub struct Session {
    /// The access key's id: not secret, but it identifies the session.
    pub access_key_id: String,
    /// The secret half of the access key.
    pub secret_access_key: Secret<String>,
    /// The token that has to accompany the access key.
    pub session_token: Secret<String>,
    /// The time at which STS ends the session, by AWS's clock.
    pub expires: Timestamp,
    /// ARN of the session.
    pub arn: String,
    /// The session's source identity, if the answer names one.
    pub source_identity: Option<String>,
}

/// The credentials of an existing session, borrowed for one call.
#[derive(Debug)]
pub struct SessionKeys<'a> {
    /// The access key's id: not secret, but it identifies the session.
    pub access_key_id: &'a str,
    /// The secret half of the access key.
    pub secret_access_key: &'a Secret<String>,
    /// The token that has to accompany the access key.
    pub session_token: &'a Secret<String>,
}

/// A role's configuration at IAM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoleFacts {
    /// ARN of the permissions boundary, if the role has one.
    pub boundary: Option<String>,
    /// The trust policy, as JSON.
    pub trust: String,
}

/// The calls to AWS: STS as the minting principal, IAM as the revoking one.
#[async_trait]
pub trait AwsApi: Send + Sync {
    /// Calls `AssumeRole` once. Implementations never retry, since a lost answer may have created a
    /// session.
    ///
    /// # Errors
    /// See [`ProviderError`].
    async fn assume_role(&self, ask: &AssumeRole) -> Result<Session, ProviderError>;

    /// The time at AWS, from the `Date` header of an answer; `None` when the answer had none.
    ///
    /// # Errors
    /// See [`ProviderError`].
    async fn time(&self) -> Result<Option<Timestamp>, ProviderError> {
        Ok(None)
    }

    /// Reads the inline policy `policy` of `role`; `None` when there is none.
    ///
    /// # Errors
    /// See [`ProviderError`].
    async fn role_policy(&self, role: &str, policy: &str) -> Result<Option<String>, ProviderError>;

    /// Names of the inline policies of `role`.
    ///
    /// # Errors
    /// See [`ProviderError`].
    async fn role_policies(&self, role: &str) -> Result<Vec<String>, ProviderError>;

    /// Reads the configuration of `role`; `None` when the role does not exist.
    ///
    /// # Errors
    /// See [`ProviderError`].
    async fn role_facts(&self, role: &str) -> Result<Option<RoleFacts>, ProviderError>;

    /// Returns the ARN of a session's holder, asked with the session's own credentials; `None` if
    /// AWS refuses them.
    ///
    /// # Errors
    /// See [`ProviderError`].
    async fn holder(&self, session: &SessionKeys<'_>) -> Result<Option<String>, ProviderError>;

    /// The ARN of the minting principal, as STS reports it.
    ///
    /// # Errors
    /// See [`ProviderError`].
    async fn minter(&self) -> Result<String, ProviderError>;

    /// Writes the inline policy `policy` of `role`, replacing the whole document.
    ///
    /// # Errors
    /// See [`ProviderError`].
    async fn put_role_policy(
        &self,
        role: &str,
        policy: &str,
        document: &str,
    ) -> Result<(), ProviderError>;

    /// Deletes an inline policy; succeeds when the policy does not exist.
    ///
    /// # Errors
    /// See [`ProviderError`].
    async fn delete_role_policy(&self, role: &str, policy: &str) -> Result<(), ProviderError>;
}
