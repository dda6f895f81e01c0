//! The rights of an `aws` grant.

use std::collections::BTreeSet;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::wildcard_matches;

/// `service:Action`, where the action may hold `*` and `?`. Compared without regard to case, as IAM does.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ActionPattern(pub String);

impl ActionPattern {
    /// Whether the pattern holds a wildcard.
    #[must_use]
    pub fn is_wild(&self) -> bool {
        self.0.contains(['*', '?'])
    }

    /// In lower case, as patterns are compared.
    #[must_use]
    pub fn lower(&self) -> String {
        self.0.to_ascii_lowercase()
    }

    /// Whether it matches this action.
    #[must_use]
    pub fn matches(&self, action: &str) -> bool {
        wildcard_matches(&self.0.to_ascii_lowercase(), &action.to_ascii_lowercase())
    }
}

impl fmt::Display for ActionPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// An ARN, where the resource part may hold `*` and `?`, or `*` alone for actions that name no resource.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ResourcePattern(pub String);

impl ResourcePattern {
    /// Whether it matches this ARN.
    #[must_use]
    pub fn matches(&self, arn: &str) -> bool {
        wildcard_matches(&self.0, arn)
    }
}

impl fmt::Display for ResourcePattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// These actions on these resources.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AwsStatement {
    /// At least one.
    pub actions: BTreeSet<ActionPattern>,
    /// At least one.
    pub resources: BTreeSet<ResourcePattern>,
}

impl AwsStatement {
    /// Whether it allows this action on this ARN.
    #[must_use]
    pub fn matches(&self, action: &str, arn: &str) -> bool {
        self.actions.iter().any(|pattern| pattern.matches(action))
            && self.resources.iter().any(|pattern| pattern.matches(arn))
    }
}

/// What an AWS session may do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AwsGrant {
    /// At least one.
    pub allow: Vec<AwsStatement>,
    /// Denied explicitly unless an approval names them.
    pub destructive: BTreeSet<ActionPattern>,
}
