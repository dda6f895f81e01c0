//! The rights of an `aws` grant.

use std::collections::BTreeSet;
use std::fmt;

use serde::{Deserialize, Serialize};

mod arn;
mod condition;
mod facts;
mod identity;
mod table;

use std::collections::BTreeMap;

pub use arn::Arn;
pub use condition::{ConditionKey, Conditions, Kind, Test};
pub(super) use facts::{Beyond, Power, only_reads, power};
pub use identity::{iam_beyond, identity_refused};
pub use table::unlisted_action;
pub(super) use table::{Action, ResourceType, matched, unknown, version};

use crate::pattern::wildcard_matches;

/// An action or a pattern: `service:Action`, where the action may contain `*` and `?`. Compared
/// without regard to case, as IAM does.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ActionPattern(pub String);

impl ActionPattern {
    /// True if the pattern contains a wildcard.
    #[must_use]
    pub fn is_wild(&self) -> bool {
        self.0.contains(['*', '?'])
    }

    /// The pattern in lower case, as patterns are compared.
    #[must_use]
    pub fn lower(&self) -> String {
        self.0.to_ascii_lowercase()
    }

    /// True if the pattern matches the action.
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

/// An ARN whose resource part may contain `*` and `?`, or `*` alone for actions that name no
/// resource.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ResourcePattern(pub String);

impl ResourcePattern {
    /// True if the pattern matches the ARN.
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

/// Actions on resources, under conditions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AwsStatement {
    /// The actions, at least one.
    pub actions: BTreeSet<ActionPattern>,
    /// The resources, at least one.
    pub resources: BTreeSet<ResourcePattern>,
    /// The conditions, all of which must hold.
    pub when: Conditions,
    /// The reason why no plan narrows the statement. Set for rights that every apply needs and no
    /// plan names, such as those on Terraform's state.
    pub unnarrowed: Option<String>,
}

/// The actions of Terraform's and OpenTofu's S3 backend on its state, the lock beside it, and the
/// key of both.
/// <https://developer.hashicorp.com/terraform/language/backend/s3#permissions-required>
const OF_A_BACKEND: &[&str] = &[
    "dynamodb:deleteitem",
    "dynamodb:describetable",
    "dynamodb:getitem",
    "dynamodb:putitem",
    "kms:decrypt",
    "kms:describekey",
    "kms:encrypt",
    "kms:generatedatakey",
    "s3:deleteobject",
    "s3:getobject",
    "s3:listbucket",
    "s3:putobject",
];

/// True if the S3 backend uses the action on its state, its lock or their key.
pub(super) fn is_of_a_backend(action: &ActionPattern) -> bool {
    OF_A_BACKEND.contains(&action.lower().as_str())
}

impl AwsStatement {
    /// True if the statement allows the action on the ARN in a request with this context.
    #[must_use]
    pub fn matches(&self, action: &str, arn: &str, context: &BTreeMap<String, String>) -> bool {
        self.actions.iter().any(|pattern| pattern.matches(action))
            && self.resources.iter().any(|pattern| pattern.matches(arn))
            && self.when.matches(context)
    }
}

/// The rights of an AWS session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AwsGrant {
    /// The statements, at least one.
    pub allow: Vec<AwsStatement>,
    /// Actions that the session denies explicitly, unless an approval names them.
    pub destructive: BTreeSet<ActionPattern>,
    /// Actions that the session denies explicitly, whatever `allow` matches.
    pub except: BTreeSet<ActionPattern>,
    /// Reads that hand on secrets or act, which the plan role gets once a person approves.
    pub approved: BTreeSet<ActionPattern>,
}

impl AwsGrant {
    /// The action that hands the session a credential which outlives it, and why; `None` if there
    /// is none.
    #[must_use]
    pub fn gives_credential(&self) -> Option<(ActionPattern, String)> {
        self.allow.iter().find_map(|statement| {
            statement.actions.iter().find_map(|pattern| {
                let held = matched(&pattern.lower());
                let mut held = held.iter().filter(|action| !self.denies(action));
                let (action, why) = held
                    .find_map(|action| Some((action, action.gives_credential(&statement.when)?)))?;
                Some((ActionPattern(action.to_string()), why))
            })
        })
    }

    /// True if `except` matches the action.
    pub(super) fn denies(&self, action: &Action) -> bool {
        let mut except = self.except.iter();
        except.any(|pattern| pattern.matches(&action.lower))
    }
}
