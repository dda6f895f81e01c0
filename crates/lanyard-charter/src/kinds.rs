//! The kinds of target: one module for each, and the registry that names them.

pub(crate) mod aws;
mod credential;
mod github;
pub(crate) mod kubernetes;
mod reach_in_json;
mod token;
mod vault;

use crate::reach::PlanObjects;
use crate::target_kind::TargetKind;
use crate::world::{GrantKind, MoreKinds};

pub use crate::prohibited_actions::ProhibitedActions;
pub use aws::AwsCredential;
pub use credential::{Credential, CredentialForm};
pub use github::{Access, GitHubCredential, GitHubGrant, MAX_REPOSITORIES_PER_TOKEN};
pub use kubernetes::{KubernetesCredential, ProhibitedRequests, policy_rule, policy_rule_shape};
pub use token::{TokenCredential, TokenGrant};
pub use vault::{VaultCredential, VaultGives, VaultGrant, VaultSecretCredential};

/// The registry: every kind that is built in, in the order in which people are told of them.
const BUILT_IN: &[&dyn GrantKind] = &[
    &token::Token,
    &aws::Aws,
    &kubernetes::Kubernetes,
    &vault::Vault,
    &github::GitHub,
];

/// Every kind: those that are built in, and those that a program adds.
#[must_use]
pub fn all(more: MoreKinds) -> Vec<&'static dyn GrantKind> {
    BUILT_IN.iter().chain(more.0).copied().collect()
}

/// Every kind by its name.
#[must_use]
pub fn names(more: MoreKinds) -> Vec<(&'static str, TargetKind)> {
    let kinds = all(more).into_iter().map(GrantKind::id);
    kinds.map(|kind| (kind.as_str(), kind)).collect()
}

/// The objects in plans of every kind that has some.
#[must_use]
pub fn plan_objects(more: MoreKinds) -> Vec<PlanObjects> {
    let kinds = all(more).into_iter();
    kinds.filter_map(GrantKind::plan_objects).collect()
}

/// Joins words for people.
fn list_of<'a>(words: impl IntoIterator<Item = &'a str>) -> String {
    words.into_iter().collect::<Vec<_>>().join(", ")
}
