//! A fake of STS and IAM. It accepts what AWS accepts, stores the sessions and policies, and
//! evaluates the policies that Lanyard writes. It panics on any other policy.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use lanyard_charter::kinds::{AwsCredential, Credential};
use lanyard_core::provider::ProviderError;
use lanyard_provider_aws::api::{AssumeRole, AwsApi, RoleFacts, Session, SessionKeys};
use lanyard_provider_aws::policy::{Document, Effect, Statement};
use lanyard_provider_aws::{AwsProvider, AwsTarget, Sdk};
use lanyard_testkit::clock::ManualClock;
use lanyard_testkit::conformance::refuser::{self, CANARY};
use lanyard_vocabulary::id::LeaseId;
use lanyard_vocabulary::secret::Secret;
use lanyard_vocabulary::time::Timestamp;
use parking_lot::Mutex;
use tokio::sync::Notify;

pub(crate) const ROLE: &str = "arn:aws:iam::111122223333:role/lanyard/plan";

/// The fault that the next suitable call meets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wrong {
    Silence,
    LostAnswer,
    Throttle,
    Longer,
    Wider,
    Echo,
    Unrevoked(LeaseId),
}

/// A session that the fake issued.
#[derive(Debug, Clone)]
struct Made {
    role: String,
    lease: String,
    policy: String,
    at: Timestamp,
    expires: Timestamp,
    token: String,
}

#[derive(Default)]
pub(crate) struct Account {
    pub(crate) clock: ManualClock,
    pub(crate) asked: Mutex<Vec<AssumeRole>>,
    pub(crate) policies: Mutex<BTreeMap<(String, String), String>>,
    pub(crate) iam_is_down: Mutex<bool>,
    pub(crate) wrong: Mutex<VecDeque<Wrong>>,
    pub(crate) silent: Notify,
    made: Mutex<Vec<Made>>,
}

pub(crate) struct Fake(pub(crate) Arc<Account>);

pub(crate) fn down() -> ProviderError {
    ProviderError::Ambiguous {
        provider: "aws",
        operation: "iam",
        code: "down".to_owned(),
    }
}

impl Account {
    /// Removes the fault and returns true if it is `wrong`; each fault hits one call.
    fn takes(&self, wrong: Wrong) -> bool {
        let mut queue = self.wrong.lock();
        let next = queue.front() == Some(&wrong);
        if next {
            queue.pop_front();
        }
        next
    }

    fn throttled(&self, operation: &'static str) -> Result<(), ProviderError> {
        if self.takes(Wrong::Throttle) {
            return Err(ProviderError::Throttled {
                provider: "aws",
                operation,
            });
        }
        Ok(())
    }

    fn iam(&self, operation: &'static str) -> Result<(), ProviderError> {
        self.throttled(operation)?;
        if *self.iam_is_down.lock() {
            return Err(down());
        }
        Ok(())
    }

    fn session(&self, made: &Made) -> Session {
        let role = made.role.rsplit('/').next().unwrap();
        Session {
            access_key_id: "ASIA".to_owned(),
            secret_access_key: Secret::new(format!("key to {}", made.token)),
            session_token: Secret::new(made.token.clone()),
            expires: made.expires,
            arn: format!(
                "arn:aws:sts::111122223333:assumed-role/{role}/{}",
                made.lease
            ),
            source_identity: Some(made.lease.clone()),
        }
    }

    /// Returns the last session that was issued, whoever holds it.
    pub(crate) fn last_made(&self) -> Option<Credential> {
        let made = self.made.lock().last().cloned()?;
        let session = self.session(&made);
        Some(
            AwsCredential {
                access_key_id: session.access_key_id,
                secret_access_key: session.secret_access_key,
                session_token: session.session_token,
                region: "eu-west-1".to_owned(),
            }
            .into(),
        )
    }

    /// Decides whether a session may read an object that its policy allows: by its expiry, and by
    /// the explicit denies of its own policy and of the role's.
    pub(crate) fn allows(&self, token: &str) -> bool {
        let made = self.made.lock();
        let Some(made) = made.iter().find(|made| made.token == token) else {
            return false;
        };
        let now = self.clock.now();
        let role = made.role.rsplit('/').next().unwrap();
        let policies = self.policies.lock();
        let of_role = policies.iter().filter(|((of, _), _)| of == role);
        let documents = of_role.map(|(_, text)| text).chain([&made.policy]);
        let denied = documents
            .map(|text| serde_json::from_str::<Document>(text).unwrap())
            .flat_map(|document| document.statement)
            .any(|statement| denies(&statement, made, now));
        now < made.expires && !denied
    }
}

/// Checks whether a statement denies `s3:GetObject` to a session.
fn denies(statement: &Statement, made: &Made, now: Timestamp) -> bool {
    let actions = statement.action.as_slice();
    let of_it = |action: &String| action == "*" || action.starts_with("s3:");
    if statement.effect != Effect::Deny || !actions.iter().any(of_it) {
        return false;
    }
    // IAM compares times by the second.
    let text = |at: Timestamp| Timestamp::from_secs(at.as_secs()).to_string();
    statement.condition.iter().all(|(operator, keys)| {
        keys.iter().all(|(key, values)| {
            let mut values = values.as_slice().iter();
            match (operator.as_str(), key.as_str()) {
                ("StringEquals", "aws:SourceIdentity") => values.any(|value| *value == made.lease),
                ("DateLessThan", "aws:TokenIssueTime") => {
                    values.any(|value| text(made.at) < *value)
                }
                ("DateGreaterThan", "aws:CurrentTime") => values.any(|value| text(now) > *value),
                other => unreachable!("this fake does not know {other:?}"),
            }
        })
    })
}

/// Returns the real client of a server that refuses everything and repeats a secret wherever an
/// answer has room for text.
fn refused_aloud() -> Sdk {
    let body = format!(
        "<ErrorResponse><Error><Type>Sender</Type><Code>{CANARY}</Code><Message>no {CANARY}</Message></Error>\
         <RequestId>{CANARY}</RequestId></ErrorResponse>"
    );
    let address = refuser::start("403 Forbidden", "text/xml", body);
    let key = Credentials::new("AKIA", "secret", None, None, "test");
    let config = SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("eu-west-1"))
        .endpoint_url(format!("http://{address}"))
        .http_client(aws_smithy_http_client::Builder::new().build_http())
        .credentials_provider(SharedCredentialsProvider::new(key))
        .build();
    Sdk::of(&config, &config)
}

#[async_trait]
impl AwsApi for Fake {
    async fn assume_role(&self, ask: &AssumeRole) -> Result<Session, ProviderError> {
        let account = &self.0;
        account.throttled("sts:AssumeRole")?;
        if account.takes(Wrong::Echo) {
            return refused_aloud().assume_role(ask).await;
        }
        let name = |c: char| c.is_ascii_alphanumeric() || "_+=,.@-".contains(c);
        assert!((2..=64).contains(&ask.lease.len()) && ask.lease.chars().all(name));
        assert!((900..=3600).contains(&ask.seconds) && ask.policy.len() <= 2048);
        serde_json::from_str::<serde_json::Value>(&ask.policy).unwrap();
        account.asked.lock().push(ask.clone());
        let longer = if account.takes(Wrong::Longer) {
            3600
        } else {
            0
        };
        let seconds = u64::try_from(ask.seconds).unwrap() + longer;
        let at = account.clock.now();
        let made = Made {
            role: ask.role_arn.clone(),
            lease: ask.lease.clone(),
            policy: ask.policy.clone(),
            at,
            expires: at + Duration::from_secs(seconds),
            token: format!("session of {} from {at}", ask.lease),
        };
        account.made.lock().push(made.clone());
        if account.takes(Wrong::Silence) {
            account.silent.notify_one();
            std::future::pending::<()>().await;
        }
        if account.takes(Wrong::LostAnswer) {
            return Err(down());
        }
        let mut session = account.session(&made);
        if account.takes(Wrong::Wider) {
            session.arn = session.arn.replace("/plan/", "/admin/");
        }
        Ok(session)
    }

    async fn role_policy(&self, role: &str, policy: &str) -> Result<Option<String>, ProviderError> {
        self.0.iam("iam:GetRolePolicy")?;
        let key = (role.to_owned(), policy.to_owned());
        Ok(self.0.policies.lock().get(&key).cloned())
    }

    async fn role_policies(&self, role: &str) -> Result<Vec<String>, ProviderError> {
        self.0.iam("iam:ListRolePolicies")?;
        let policies = self.0.policies.lock();
        let of_role = policies.keys().filter(|(of, _)| of == role);
        Ok(of_role.map(|(_, name)| name.clone()).collect())
    }

    async fn delete_role_policy(&self, role: &str, policy: &str) -> Result<(), ProviderError> {
        self.0.iam("iam:DeleteRolePolicy")?;
        let key = (role.to_owned(), policy.to_owned());
        self.0.policies.lock().remove(&key);
        Ok(())
    }

    async fn role_facts(&self, role: &str) -> Result<Option<RoleFacts>, ProviderError> {
        Ok((role == "plan").then(|| RoleFacts {
            boundary: None,
            trust: "{}".to_owned(),
        }))
    }

    async fn holder(&self, session: &SessionKeys<'_>) -> Result<Option<String>, ProviderError> {
        let token = session.session_token.expose();
        let made = self.0.made.lock();
        let made = made.iter().find(|made| made.token == *token);
        Ok(made.map(|made| self.0.session(made).arn))
    }

    async fn minter(&self) -> Result<String, ProviderError> {
        Ok("arn:aws:iam::111122223333:user/minter".to_owned())
    }

    async fn put_role_policy(
        &self,
        role: &str,
        policy: &str,
        document: &str,
    ) -> Result<(), ProviderError> {
        self.0.iam("iam:PutRolePolicy")?;
        if self.0.takes(Wrong::Echo) {
            let refused = refused_aloud();
            return refused.put_role_policy(role, policy, document).await;
        }
        let next = self.0.wrong.lock().front().copied();
        if let Some(Wrong::Unrevoked(lease)) = next
            && document.contains(&lease.to_string())
        {
            self.0.wrong.lock().pop_front();
            return Err(down());
        }
        let mut policies = self.0.policies.lock();
        let others = policies
            .iter()
            .filter(|((of, name), _)| of == role && name != policy);
        let taken: usize = others.map(|(_, text)| text.len()).sum();
        if taken + document.len() > 10_240 {
            return Err(ProviderError::Refused {
                provider: "aws",
                operation: "iam:PutRolePolicy",
                code: "LimitExceeded".to_owned(),
            });
        }
        policies.insert((role.to_owned(), policy.to_owned()), document.to_owned());
        Ok(())
    }
}

pub(crate) fn provider() -> (AwsProvider<Fake>, Arc<Account>) {
    let account = Arc::new(Account::default());
    (target_of(&account, "one"), account)
}

/// Returns a target with the common roles and a deny policy of its own.
pub(crate) fn target_of(account: &Arc<Account>, instance: &str) -> AwsProvider<Fake> {
    let target = AwsTarget {
        region: "eu-west-1".to_owned(),
        plan_role: ROLE.to_owned(),
        apply_role: "arn:aws:iam::111122223333:role/lanyard/apply".to_owned(),
        boundary: None,
        instance: instance.to_owned(),
    };
    AwsProvider::new(target, Fake(Arc::clone(account)))
}
