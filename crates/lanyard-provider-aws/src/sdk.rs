//! The implementation of [`AwsApi`] on the AWS SDK, with ring and regional endpoints.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use aws_config::profile::ProfileFileCredentialsProvider;
use aws_config::provider_config::ProviderConfig;
use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_sts::config::interceptors::BeforeDeserializationInterceptorContextRef;
use aws_sdk_sts::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_sts::error::{BoxError, ProvideErrorMetadata};
use aws_sdk_sts::types::Tag;
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};
use lanyard_core::provider::ProviderError;
use lanyard_vocabulary::secret::Secret;
use lanyard_vocabulary::time::Timestamp;
use parking_lot::Mutex;

use crate::api::{AssumeRole, AwsApi, RoleFacts, Session, SessionKeys};
use crate::errors::{ambiguous, provider_error, refused};

/// Time limit of one call.
///
/// # Limit
/// - for: a call of IAM or STS
/// - unit: time
/// - beyond: the call fails; a mint is then ambiguous, and a revocation is repeated
/// - test: `a_call_of_aws_that_is_not_answered_is_given_up`
const CALL_TIMEOUT: Duration = Duration::from_secs(15);

/// The endpoint and the two principals.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Access {
    /// Region whose STS endpoint is called.
    pub region: String,
    /// Profile of the minting principal; without one, the SDK's default chain.
    pub minter_profile: Option<String>,
    /// Profile of the revoking principal; without one, the SDK's default chain.
    pub revoker_profile: Option<String>,
    /// An endpoint that replaces those of STS and IAM.
    pub endpoint: Option<String>,
}

/// The SDK's clients for STS and IAM.
#[derive(Debug)]
pub struct Sdk {
    sts: aws_sdk_sts::Client,
    iam: aws_sdk_iam::Client,
}

impl Sdk {
    /// Creates the clients. The only calls are those that the credential chain needs.
    pub async fn connect(access: &Access) -> Self {
        // Without the SDK's retries: a repeated mint could create two sessions, and the engine
        // repeats revocations.
        let minter = config(access, access.minter_profile.as_deref()).await;
        let revoker = config(access, access.revoker_profile.as_deref()).await;
        Self::of(&minter, &revoker)
    }

    /// Wraps clients with configurations of the caller's. Neither configuration may retry.
    #[must_use]
    pub fn of(minter: &SdkConfig, revoker: &SdkConfig) -> Self {
        Self {
            sts: aws_sdk_sts::Client::new(minter),
            iam: aws_sdk_iam::Client::new(revoker),
        }
    }
}

async fn config(access: &Access, profile: Option<&str>) -> SdkConfig {
    let http = aws_smithy_http_client::Builder::new()
        .tls_provider(Provider::Rustls(CryptoMode::Ring))
        .build_https();
    let mut loader = aws_config::defaults(BehaviorVersion::latest())
        .http_client(http.clone())
        .region(Region::new(access.region.clone()))
        .retry_config(RetryConfig::disabled())
        .timeout_config(
            TimeoutConfig::builder()
                .operation_timeout(CALL_TIMEOUT)
                .build(),
        );
    if let Some(profile) = profile {
        // Only this profile: the default chain would prefer credentials from the environment.
        let provided = ProviderConfig::default()
            .with_http_client(http)
            .with_region(Some(Region::new(access.region.clone())));
        let credentials = ProfileFileCredentialsProvider::builder()
            .configure(&provided)
            .profile_name(profile);
        loader = loader.credentials_provider(credentials.build());
    }
    if let Some(endpoint) = &access.endpoint {
        loader = loader.endpoint_url(endpoint);
    }
    loader.load().await
}

/// Captures the `Date` header of an answer.
#[derive(Debug, Clone, Default)]
struct DateSeen(Arc<Mutex<Option<Timestamp>>>);

impl Intercept for DateSeen {
    fn name(&self) -> &'static str {
        "DateSeen"
    }

    fn read_before_deserialization(
        &self,
        context: &BeforeDeserializationInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let date = context.response().headers().get("date");
        *self.0.lock() = date.and_then(Timestamp::from_http_date);
        Ok(())
    }
}

#[async_trait]
impl AwsApi for Sdk {
    async fn assume_role(&self, ask: &AssumeRole) -> Result<Session, ProviderError> {
        const OPERATION: &str = "sts:AssumeRole";
        let mut call = self
            .sts
            .assume_role()
            .role_arn(&ask.role_arn)
            .role_session_name(&ask.lease)
            .source_identity(&ask.lease)
            .policy(&ask.policy)
            .duration_seconds(ask.seconds);
        for (key, value) in &ask.tags {
            let incomplete = |_| refused(OPERATION, "tag");
            call = call.tags(
                Tag::builder()
                    .key(*key)
                    .value(value)
                    .build()
                    .map_err(incomplete)?,
            );
        }
        let answer = call
            .send()
            .await
            .map_err(|error| provider_error(OPERATION, &error))?;
        let half = || ambiguous(OPERATION, "incomplete answer");
        let credentials = answer.credentials.ok_or_else(half)?;
        let arn = answer.assumed_role_user.ok_or_else(half)?.arn;
        Ok(Session {
            access_key_id: credentials.access_key_id,
            secret_access_key: Secret::new(credentials.secret_access_key),
            session_token: Secret::new(credentials.session_token),
            expires: Timestamp::from_secs(
                u64::try_from(credentials.expiration.secs()).map_err(|_| half())?,
            ),
            arn,
            source_identity: answer.source_identity,
        })
    }

    async fn time(&self) -> Result<Option<Timestamp>, ProviderError> {
        let seen = DateSeen::default();
        let call = self.sts.get_caller_identity().customize();
        let answer = call.interceptor(seen.clone()).send().await;
        answer.map_err(|error| provider_error("sts:GetCallerIdentity", &error))?;
        Ok(*seen.0.lock())
    }

    async fn role_policy(&self, role: &str, policy: &str) -> Result<Option<String>, ProviderError> {
        const OPERATION: &str = "iam:GetRolePolicy";
        let answer = self
            .iam
            .get_role_policy()
            .role_name(role)
            .policy_name(policy)
            .send()
            .await;
        match answer {
            // A proxy or cache may have answered with another caller's document.
            Ok(found) if found.role_name != role || found.policy_name != policy => {
                Err(ambiguous(OPERATION, "the answer about another policy"))
            }
            Ok(found) => percent_decoded(&found.policy_document)
                .map(Some)
                .ok_or_else(|| ambiguous(OPERATION, "not UTF-8")),
            Err(error) if error.code() == Some("NoSuchEntity") => Ok(None),
            Err(error) => Err(provider_error(OPERATION, &error)),
        }
    }

    async fn role_policies(&self, role: &str) -> Result<Vec<String>, ProviderError> {
        let pages = self.iam.list_role_policies().role_name(role);
        let names = pages.into_paginator().items().send();
        let names: Result<Vec<String>, _> = names.collect().await;
        names.map_err(|error| provider_error("iam:ListRolePolicies", &error))
    }

    async fn role_facts(&self, role: &str) -> Result<Option<RoleFacts>, ProviderError> {
        const OPERATION: &str = "iam:GetRole";
        let found = match self.iam.get_role().role_name(role).send().await {
            Ok(answer) => answer.role,
            Err(error) if error.code() == Some("NoSuchEntity") => None,
            Err(error) => return Err(provider_error(OPERATION, &error)),
        };
        let Some(found) = found else { return Ok(None) };
        let trust = found.assume_role_policy_document.unwrap_or_default();
        Ok(Some(RoleFacts {
            boundary: found
                .permissions_boundary
                .and_then(|attached| attached.permissions_boundary_arn),
            trust: percent_decoded(&trust).ok_or_else(|| ambiguous(OPERATION, "not UTF-8"))?,
        }))
    }

    async fn holder(&self, session: &SessionKeys<'_>) -> Result<Option<String>, ProviderError> {
        const OPERATION: &str = "sts:GetCallerIdentity";
        let credentials = aws_sdk_sts::config::Credentials::new(
            session.access_key_id,
            session.secret_access_key.expose(),
            Some(session.session_token.expose().clone()),
            None,
            "drill",
        );
        let own = aws_sdk_sts::config::Builder::new().credentials_provider(credentials);
        let asked = self.sts.get_caller_identity().customize();
        // Overridden for this call alone; the client goes on as the minting principal.
        match asked.config_override(own).send().await {
            Ok(answer) => Ok(Some(answer.arn.unwrap_or_default())),
            Err(error) => match provider_error(OPERATION, &error) {
                ProviderError::Refused { .. } => Ok(None),
                error @ (ProviderError::Throttled { .. }
                | ProviderError::Ambiguous { .. }
                | ProviderError::Pending { .. }
                | ProviderError::Excessive { .. }) => Err(error),
            },
        }
    }

    async fn minter(&self) -> Result<String, ProviderError> {
        const OPERATION: &str = "sts:GetCallerIdentity";
        let answer = self.sts.get_caller_identity().send().await;
        let answer = answer.map_err(|error| provider_error(OPERATION, &error))?;
        answer.arn.ok_or_else(|| ambiguous(OPERATION, "no ARN"))
    }

    async fn put_role_policy(
        &self,
        role: &str,
        policy: &str,
        document: &str,
    ) -> Result<(), ProviderError> {
        let call = self
            .iam
            .put_role_policy()
            .role_name(role)
            .policy_name(policy)
            .policy_document(document);
        call.send()
            .await
            .map(drop)
            .map_err(|error| provider_error("iam:PutRolePolicy", &error))
    }

    async fn delete_role_policy(&self, role: &str, policy: &str) -> Result<(), ProviderError> {
        let call = self.iam.delete_role_policy();
        let call = call.role_name(role).policy_name(policy);
        match call.send().await {
            Ok(_) => Ok(()),
            Err(error) if error.code() == Some("NoSuchEntity") => Ok(()),
            Err(error) => Err(provider_error("iam:DeleteRolePolicy", &error)),
        }
    }
}

/// Decodes a document that IAM has percent-encoded (RFC 3986).
/// <https://docs.aws.amazon.com/IAM/latest/APIReference/API_GetRolePolicy.html>
fn percent_decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let hex = [rest.next()?, rest.next()?];
            bytes.push(u8::from_str_radix(std::str::from_utf8(&hex).ok()?, 16).ok()?);
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use aws_credential_types::Credentials;
    use aws_credential_types::provider::SharedCredentialsProvider;
    use aws_sdk_sts::error::SdkError;
    use tokio::io::AsyncReadExt as _;

    use super::*;

    #[tokio::test]
    async fn a_call_of_aws_that_is_not_answered_is_given_up() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let access = Access {
            region: "eu-west-1".to_owned(),
            minter_profile: None,
            revoker_profile: None,
            endpoint: Some(format!("http://{}", listener.local_addr().unwrap())),
        };
        let own = SharedCredentialsProvider::new(Credentials::for_tests());
        let config = config(&access, None).await.into_builder();
        let config = config.credentials_provider(own).build();
        let sdk = Sdk::of(&config, &config);
        let asking = tokio::spawn(async move { sdk.sts.get_caller_identity().send().await });
        let (mut connection, _) = listener.accept().await.unwrap();
        let mut request = [0; 16];
        connection.read_exact(&mut request).await.unwrap();
        // From here on only the paused clock moves.
        tokio::time::pause();
        let patience = CALL_TIMEOUT + Duration::from_millis(1);
        let given_up = tokio::time::timeout(patience, asking).await;
        let error = given_up.unwrap().unwrap().unwrap_err();
        assert!(matches!(error, SdkError::TimeoutError(_)), "{error:?}");
    }

    #[test]
    fn documents_are_read_as_they_were_written() {
        assert_eq!(
            percent_decoded("%7B%22a%22%3A1%7D+").as_deref(),
            Some("{\"a\":1}+")
        );
        assert_eq!(percent_decoded("%7"), None);
        assert_eq!(percent_decoded("%ff"), None);
    }
}
