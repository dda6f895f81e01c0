//! AWS workloads: the caller proves its identity with a signed `GetCallerIdentity` request, and STS
//! names the caller in its answer.
//!
//! The caller signs a request to STS and hands it to the broker, which sends one rebuilt from the
//! parsed parts. No value that the caller chose decides where the request goes, what the request
//! asks, or how the answer is read. This module does no IO: the server sends what
//! [`CallerIdentityRequest`] holds, and passes the answer to [`CallerIdentity::parse`].
//!
//! The signature has the form of AWS Signature Version 4 (IAM User Guide, "Create a signed AWS API
//! request").

mod answer;
mod authorization;
mod request;

use std::collections::BTreeSet;
use std::str::FromStr;

pub use answer::{CallerIdentity, RejectedAnswer};
pub use request::{BODY, CallerIdentityRequest, MAX_EVIDENCE_BYTES, PREFIX, RejectedRequest};

/// Longest server id.
///
/// # Limit
/// - for: the configuration
/// - unit: bytes
/// - beyond: the configuration is refused
/// - test: `names_of_the_configuration_have_bounds`
const MAX_SERVER_ID_BYTES: usize = 255;
/// Longest name of an AWS region.
///
/// # Limit
/// - for: the configuration
/// - unit: bytes
/// - beyond: the configuration is refused
/// - test: `names_of_the_configuration_have_bounds`
const MAX_REGION_BYTES: usize = 32;

/// Rules for AWS callers: which requests the broker sends to STS, and whom an answer may name.
#[derive(Debug, Clone)]
pub struct AwsCallers {
    server_id: ServerId,
    regions: BTreeSet<Region>,
    accounts: BTreeSet<AccountId>,
    lease_roles: BTreeSet<RoleArn>,
}

impl AwsCallers {
    /// Accepts requests that name `server_id`, for these regions, from these accounts. Sessions of
    /// a lease role are refused: the broker itself issues those, so an agent with a lease could
    /// otherwise log in as a workload.
    #[must_use]
    pub const fn new(
        server_id: ServerId,
        regions: BTreeSet<Region>,
        accounts: BTreeSet<AccountId>,
        lease_roles: BTreeSet<RoleArn>,
    ) -> Self {
        Self {
            server_id,
            regions,
            accounts,
            lease_roles,
        }
    }

    /// Returns the configured region whose STS URL equals `url` byte for byte.
    fn region_of(&self, url: &str) -> Option<&Region> {
        self.regions.iter().find(|region| region.url() == url)
    }
}

/// A configured value of a wrong form. Holds the expected form.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not {0}")]
pub struct Malformed(&'static str);

/// The name of this broker in signed requests. A request signed for one broker is refused by all
/// others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerId(String);

impl FromStr for ServerId {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<Self, Malformed> {
        let visible = text.bytes().all(|byte| byte.is_ascii_graphic());
        if text.is_empty() || text.len() > MAX_SERVER_ID_BYTES || !visible {
            return Err(Malformed("a server id: visible ASCII, 255 bytes at most"));
        }
        Ok(Self(text.to_owned()))
    }
}

impl ServerId {
    /// Returns the header value.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// An AWS region whose regional STS verifies callers. The isolated partitions are not supported.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Region(String);

impl FromStr for Region {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<Self, Malformed> {
        let mut words: Vec<&str> = text.split('-').collect();
        let number = words.pop().map(str::as_bytes);
        let is_word =
            |word: &&str| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_lowercase());
        let isolated = words.get(1).is_some_and(|word| word.starts_with("iso"));
        let formed = words.len() >= 2
            && words.iter().all(is_word)
            && !isolated
            && matches!(number, Some([b'1'..=b'9']));
        if formed && text.len() <= MAX_REGION_BYTES {
            Ok(Self(text.to_owned()))
        } else {
            Err(Malformed("a region of AWS, like `eu-west-1`"))
        }
    }
}

impl Region {
    /// Returns the name, for instance `eu-west-1`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the host of the regional STS. The global endpoint is not used.
    #[must_use]
    pub fn host(&self) -> String {
        format!("sts.{}.{}", self.0, self.places().1)
    }

    /// Returns the only URL that requests to the regional STS may have.
    #[must_use]
    pub fn url(&self) -> String {
        format!("https://{}/", self.host())
    }

    /// Returns the partition as ARNs name it.
    fn partition(&self) -> &'static str {
        self.places().0
    }

    fn places(&self) -> (&'static str, &'static str) {
        if self.0.starts_with("cn-") {
            ("aws-cn", "amazonaws.com.cn")
        } else if self.0.starts_with("us-gov-") {
            ("aws-us-gov", "amazonaws.com")
        } else if self.0.starts_with("eusc-") {
            ("aws-eusc", "amazonaws.eu")
        } else {
            ("aws", "amazonaws.com")
        }
    }
}

/// The number of an AWS account.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct AccountId(String);

impl FromStr for AccountId {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<Self, Malformed> {
        if text.len() == 12 && text.bytes().all(|byte| byte.is_ascii_digit()) {
            Ok(Self(text.to_owned()))
        } else {
            Err(Malformed("the number of an AWS account: twelve digits"))
        }
    }
}

impl AccountId {
    /// Returns the twelve digits.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// An IAM role, by account and name. The path is left out because role names are unique in an
/// account, and the name is lower case because IAM compares names without case.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct RoleArn {
    account: AccountId,
    name: String,
}

impl RoleArn {
    fn new(account: AccountId, name: &str) -> Self {
        Self {
            account,
            name: name.to_ascii_lowercase(),
        }
    }
}

impl FromStr for RoleArn {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<Self, Malformed> {
        let parts: Vec<&str> = text.splitn(6, ':').collect();
        let parts = <[&str; 6]>::try_from(parts);
        let role = parts.ok().and_then(|parts| match parts {
            ["arn", _, "iam", "", account, resource] => {
                let name = resource.strip_prefix("role/")?.rsplit('/').next()?;
                Some(Self::new(account.parse().ok()?, entity(name)?))
            }
            _ => None,
        });
        role.ok_or(Malformed("the ARN of an IAM role"))
    }
}

/// Returns `name` if IAM allows it as the name of a user, role or session (`[\w+=,.@-]{1,64}`).
fn entity(name: &str) -> Option<&str> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"_+=,.@-".contains(&byte);
    let fits = !name.is_empty() && name.len() <= 64 && name.bytes().all(allowed);
    fits.then_some(name)
}
