//! AWS workloads: a signed `GetCallerIdentity` request is the proof, and what STS answers to it is the identity.
//!
//! The caller signs a request to STS and hands it to the broker, which sends one that it has rebuilt from the parsed
//! parts. Nothing that the caller chose decides where the request goes, what it asks, or how the answer is read. No IO
//! here: somebody else sends what [`CallerIdentityRequest`] holds, and brings the answer to [`CallerIdentity::parse`].
//!
//! The form of the signature is that of AWS Signature Version 4 (IAM User Guide, "Create a signed AWS API request").

mod answer;
mod authorization;
mod request;

use std::collections::BTreeSet;
use std::str::FromStr;

pub use answer::{CallerIdentity, RejectedAnswer};
pub use request::{BODY, CallerIdentityRequest, MAX_EVIDENCE_BYTES, PREFIX, RejectedRequest};

/// The longest server id, in bytes.
///
/// # Limit
/// - for: the configuration
/// - unit: bytes
/// - beyond: the configuration is refused
/// - test: `names_of_the_configuration_have_bounds`
const MAX_SERVER_ID_BYTES: usize = 255;
/// The longest name of a region, in bytes.
///
/// # Limit
/// - for: the configuration
/// - unit: bytes
/// - beyond: the configuration is refused
/// - test: `names_of_the_configuration_have_bounds`
const MAX_REGION_BYTES: usize = 32;

/// Which requests are sent, and whom the answers may name.
#[derive(Debug, Clone)]
pub struct AwsCallers {
    server_id: ServerId,
    regions: BTreeSet<Region>,
    accounts: BTreeSet<AccountId>,
    lease_roles: BTreeSet<RoleArn>,
}

impl AwsCallers {
    /// Requests that name this server, for these regions, from these accounts. The sessions of the lease roles are
    /// what the broker itself hands out: they never speak for a workload.
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

    /// The configured region whose STS this is the URL of, byte for byte.
    fn region_of(&self, url: &str) -> Option<&Region> {
        self.regions.iter().find(|region| region.url() == url)
    }
}

/// A name that is not of the expected form.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not {0}")]
pub struct Malformed(&'static str);

/// What a signed request has to name, so that what was signed for one server is good at no other.
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
    /// As it stands in the header.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A region of AWS, whose STS is asked. The isolated partitions are not known here.
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
    /// Its name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The host of its STS. The global endpoint is none of these.
    #[must_use]
    pub fn host(&self) -> String {
        format!("sts.{}.{}", self.0, self.places().1)
    }

    /// The one URL that a request to its STS has.
    #[must_use]
    pub fn url(&self) -> String {
        format!("https://{}/", self.host())
    }

    /// Its partition, as it stands in ARNs.
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

/// The number of an account.
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
    /// Twelve digits.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A role, by what tells it from the others of its account: the name. The path is no part of that, and IAM takes names
/// that differ only by case for one.
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

/// A name of a user, a role or a session: what IAM allows in one (`[\w+=,.@-]{1,64}`).
fn entity(name: &str) -> Option<&str> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"_+=,.@-".contains(&byte);
    let fits = !name.is_empty() && name.len() <= 64 && name.bytes().all(allowed);
    fits.then_some(name)
}
