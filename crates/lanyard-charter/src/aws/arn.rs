//! The names of resources in AWS, as far as a plan says them.

use std::fmt;

use serde::{Deserialize, Serialize};

/// An Amazon Resource Name. A plan may leave region and account to the provider.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Arn {
    /// The partition, such as `aws-cn`; `None` matches every partition.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub partition: Option<String>,
    /// The service, such as `sqs`.
    pub service: String,
    /// The region; empty if the service has none, `None` matches every region.
    pub region: Option<String>,
    /// The account; empty if the service has none, `None` matches every account.
    pub account: Option<String>,
    /// The part after the fifth colon. The only wildcard in it is `?`, for characters that AWS
    /// chooses.
    pub resource: String,
}

impl Arn {
    /// Parses a complete ARN; `None` if the text is none, or has parts that a policy would take for
    /// more than a name (T30).
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.splitn(6, ':');
        let mut part = || parts.next();
        let (arn, partition, service) = (part()?, part()?, part()?);
        let (region, account, resource) = (part()?, part()?, part()?);
        let plain = |text: &str| {
            let odd = |c: char| c.is_control() || c.is_whitespace() || "*?${}".contains(c);
            !text.contains(odd)
        };
        let whole = [partition, service, resource]
            .iter()
            .all(|part| !part.is_empty());
        (arn == "arn" && whole && plain(text)).then(|| Self {
            partition: Some(partition.to_owned()),
            service: service.to_owned(),
            region: Some(region.to_owned()),
            account: Some(account.to_owned()),
            resource: resource.to_owned(),
        })
    }
}

impl fmt::Display for Arn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let known = |part: &Option<String>| part.clone().unwrap_or_else(|| "*".to_owned());
        let (partition, region) = (known(&self.partition), known(&self.region));
        write!(
            f,
            "arn:{partition}:{}:{region}:{}:{}",
            self.service,
            known(&self.account),
            self.resource
        )
    }
}
