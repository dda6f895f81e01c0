//! The rights of a grant, in the words of its provider.

use crate::aws::AwsGrant;
use crate::github::GitHubGrant;
use crate::kubernetes::{KubernetesGrant, KubernetesRights};
use crate::token::TokenGrant;
use crate::vault::{VaultGives, VaultGrant};

/// The rights of a grant, by kind of target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rights {
    /// Lanyard's own access tokens.
    Token(TokenGrant),
    /// An AWS STS session.
    Aws(AwsGrant),
    /// A Kubernetes service-account token.
    Kubernetes(KubernetesGrant),
    /// A token of Vault or OpenBao, or a dynamic secret of theirs.
    Vault(VaultGrant),
    /// An installation token of a GitHub App.
    GitHub(GitHubGrant),
}

impl Rights {
    /// The provider's name as charters and reports write it.
    #[must_use]
    pub const fn provider(&self) -> &'static str {
        match self {
            Self::Token(_) => "token",
            Self::Aws(_) => "aws",
            Self::Kubernetes(_) => "kubernetes",
            Self::Vault(_) => "vault",
            Self::GitHub(_) => "github",
        }
    }

    /// The namespace that rights on a cluster are bound in.
    #[must_use]
    pub fn namespace(&self) -> Option<&str> {
        match self {
            Self::Kubernetes(grant) => Some(&grant.namespace),
            Self::Token(_) | Self::Aws(_) | Self::Vault(_) | Self::GitHub(_) => None,
        }
    }

    /// True if the rights hand on secrets, which a person has to approve.
    pub(crate) fn hands_on_approved(&self) -> bool {
        match self {
            Self::Aws(grant) => !grant.approved.is_empty(),
            Self::Token(_) | Self::Kubernetes(_) | Self::Vault(_) | Self::GitHub(_) => false,
        }
    }

    /// Describes the rights for people, one line each.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        fn list<'a>(of: impl IntoIterator<Item = &'a str>) -> String {
            of.into_iter().collect::<Vec<_>>().join(", ")
        }
        match self {
            Self::Token(grant) => {
                let scopes = list(grant.scopes.iter().map(String::as_str));
                vec![format!("{scopes} at {}", grant.audience)]
            }
            Self::Aws(grant) => grant
                .allow
                .iter()
                .map(|statement| {
                    let actions = list(statement.actions.iter().map(|it| it.0.as_str()));
                    let resources = list(statement.resources.iter().map(|it| it.0.as_str()));
                    let mut line = format!("{actions} on {resources}");
                    if !statement.when.is_empty() {
                        line.push_str(&format!(", when {}", statement.when));
                    }
                    if let Some(why) = &statement.unnarrowed {
                        line.push_str(&format!(", whatever the plan changes ({why})"));
                    }
                    line
                })
                .chain((!grant.except.is_empty()).then(|| {
                    let except = list(grant.except.iter().map(|it| it.0.as_str()));
                    format!("none of {except}")
                }))
                .collect(),
            Self::Kubernetes(grant) => match &grant.rights {
                KubernetesRights::ClusterRole(name) => {
                    vec![format!("ClusterRole {name} in {}", grant.namespace)]
                }
                KubernetesRights::Rules(rules) => rules
                    .iter()
                    .map(|rule| format!("{rule} in {}", grant.namespace))
                    .collect(),
            },
            Self::Vault(grant) => {
                let policies = list(grant.policies.iter().map(String::as_str));
                vec![match &grant.gives {
                    VaultGives::Token { uses: None } => format!("a token with {policies}"),
                    VaultGives::Token { uses: Some(uses) } => {
                        format!("a token with {policies}, for {uses} requests")
                    }
                    VaultGives::Secret { path } => format!("{path}, read with {policies}"),
                }]
            }
            Self::GitHub(grant) => {
                let repositories = list(grant.repositories.iter().map(String::as_str));
                let permissions = grant.permissions.iter();
                permissions
                    .map(|(name, access)| format!("{name}: {access} in {repositories}"))
                    .collect()
            }
        }
    }
}
