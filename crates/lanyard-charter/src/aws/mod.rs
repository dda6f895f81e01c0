//! The rights of an `aws` grant.

use std::collections::BTreeSet;
use std::fmt;

use serde::{Deserialize, Serialize};

mod condition;
mod facts;
mod identity;
mod table;

use std::collections::BTreeMap;

pub use condition::{ConditionKey, Conditions, Kind, Test};
pub(super) use facts::{Beyond, Power, only_reads, power};
pub use identity::{iam_beyond, identity_refused};
pub use table::unlisted_action;
pub(super) use table::{Action, ResourceType, matched, unknown, version};

use crate::pattern::wildcard_matches;

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

/// These actions on these resources, under these conditions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AwsStatement {
    /// At least one.
    pub actions: BTreeSet<ActionPattern>,
    /// At least one.
    pub resources: BTreeSet<ResourcePattern>,
    /// All of which have to hold.
    pub when: Conditions,
    /// Why no plan narrows it, where none does: what each apply needs and no plan names, such as the state of Terraform.
    pub unnarrowed: Option<String>,
}

/// What a backend of Terraform or OpenTofu in S3 does with its state, with the lock beside it, and with the key of both.
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

/// Whether a backend of Terraform does this with its state, its lock or their key.
pub(super) fn is_of_a_backend(action: &ActionPattern) -> bool {
    OF_A_BACKEND.contains(&action.lower().as_str())
}

impl AwsStatement {
    /// Whether it allows this action on this ARN, in a request with this context.
    #[must_use]
    pub fn matches(&self, action: &str, arn: &str, context: &BTreeMap<String, String>) -> bool {
        self.actions.iter().any(|pattern| pattern.matches(action))
            && self.resources.iter().any(|pattern| pattern.matches(arn))
            && self.when.matches(context)
    }
}

/// What an AWS session may do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AwsGrant {
    /// At least one.
    pub allow: Vec<AwsStatement>,
    /// Denied explicitly unless an approval names them.
    pub destructive: BTreeSet<ActionPattern>,
    /// Denied explicitly, whatever a pattern of `allow` holds.
    pub except: BTreeSet<ActionPattern>,
    /// Reads that hand on secrets, or act: given to the plan role once a person approves.
    pub approved: BTreeSet<ActionPattern>,
}

impl AwsGrant {
    /// Why a credential that the session is given outlives the session, where it is given one: by which action, and how.
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

    /// Whether `except` takes an action out.
    pub(super) fn denies(&self, action: &Action) -> bool {
        let mut except = self.except.iter();
        except.any(|pattern| pattern.matches(&action.lower))
    }
}
