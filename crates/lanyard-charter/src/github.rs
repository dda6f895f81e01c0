//! The rights of a `github` grant, and their consequences.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::{Deserialize, Serialize};

/// The level of a GitHub permission.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Access {
    /// The level `read`.
    Read,
    /// The level `write`, which includes reading.
    Write,
    /// The level `admin`, of permissions that have more than writing.
    Admin,
}

impl Access {
    /// The level's name at GitHub.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Admin => "admin",
        }
    }
}

impl fmt::Display for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// The levels by the names that charters use.
pub(super) const ACCESS: &[(&str, Access)] = &[
    ("read", Access::Read),
    ("write", Access::Write),
    ("admin", Access::Admin),
];

/// The rights of an installation token of a GitHub App, in repositories of one owner.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GitHubGrant {
    /// The repositories' names, without the owner.
    pub repositories: BTreeSet<String>,
    /// The permissions by their names at GitHub, those of the profile included.
    pub permissions: BTreeMap<String, Access>,
    /// True for the profile `propose`: what it writes stays a proposal while the rules of the
    /// default branch hold.
    pub proposes: bool,
}

/// The most repositories of one token.
/// <https://docs.github.com/en/rest/apps/apps#create-an-installation-access-token-for-an-app>
///
/// # Limit
/// - for: a grant of GitHub
/// - unit: repositories
/// - beyond: the charter is refused
/// - test: `what_a_charter_may_say_has_bounds`
pub const MAX_REPOSITORIES_PER_TOKEN: usize = 500;

/// The permissions of repositories with the highest level of each.
/// <https://docs.github.com/en/rest/authentication/permissions-required-for-github-apps>
const PERMISSIONS: &[(&str, Access)] = &[
    ("actions", Access::Write),
    ("administration", Access::Write),
    ("attestations", Access::Write),
    ("checks", Access::Write),
    ("codespaces", Access::Write),
    ("codespaces_lifecycle_admin", Access::Write),
    ("codespaces_metadata", Access::Read),
    ("codespaces_secrets", Access::Write),
    ("contents", Access::Write),
    ("dependabot_secrets", Access::Write),
    ("deployments", Access::Write),
    ("discussions", Access::Write),
    ("environments", Access::Write),
    ("issues", Access::Write),
    ("merge_queues", Access::Write),
    ("metadata", Access::Read),
    ("packages", Access::Write),
    ("pages", Access::Write),
    ("pull_requests", Access::Write),
    ("repository_advisories", Access::Write),
    ("repository_custom_properties", Access::Write),
    ("repository_hooks", Access::Write),
    ("repository_projects", Access::Admin),
    ("secret_scanning_alerts", Access::Write),
    ("secrets", Access::Write),
    ("security_events", Access::Write),
    ("single_file", Access::Write),
    ("statuses", Access::Write),
    ("variables", Access::Write),
    ("vulnerability_alerts", Access::Write),
    ("workflows", Access::Write),
];

/// Permissions to read secrets, or what is as good as a secret.
const SECRETS: &[&str] = &["secret_scanning_alerts"];

/// Permissions that a proposal may write: none of it takes effect before somebody merges.
const OF_A_PROPOSAL: &[&str] = &[
    "checks",
    "contents",
    "discussions",
    "issues",
    "pull_requests",
    "statuses",
    "workflows",
];

/// Permissions that lead to more rights once written, with the path.
const POWERS: &[(&str, &str)] = &[
    ("actions", "a run has the secrets of the repository"),
    (
        "administration",
        "it lifts the rules of branches and adds collaborators",
    ),
    (
        "codespaces",
        "a codespace has the secrets that are set for it",
    ),
    ("codespaces_secrets", "others then run with what it sets"),
    ("dependabot_secrets", "others then run with what it sets"),
    (
        "environments",
        "it lifts the rules of deployments, behind which secrets are",
    ),
    (
        "merge_queues",
        "it decides what is merged without another look",
    ),
    (
        "repository_hooks",
        "a hook sends what happens in the repository elsewhere",
    ),
    ("secrets", "workflows then run with what it sets"),
    ("variables", "workflows then run with what it sets"),
    (
        "workflows",
        "a workflow that it writes runs with the secrets of the repository",
    ),
];

/// The profile `propose`: push a branch and open a pull request.
pub(super) const PROPOSE: &[(&str, Access)] = &[
    ("contents", Access::Write),
    ("metadata", Access::Read),
    ("pull_requests", Access::Write),
];

/// The names of all permissions.
pub(super) fn permissions() -> impl Iterator<Item = &'static str> {
    PERMISSIONS.iter().map(|(name, _)| *name)
}

/// The highest level of a permission; `None` if repositories have no such permission.
pub(super) fn most(permission: &str) -> Option<Access> {
    let mut known = PERMISSIONS.iter();
    known
        .find(|(name, _)| *name == permission)
        .map(|(_, most)| *most)
}

impl GitHubGrant {
    /// The permissions that no plan role may have, with the reason: those that write more than a
    /// proposal, and those that read secrets.
    pub fn more_than_planning(&self) -> impl Iterator<Item = (&str, &'static str)> {
        self.permissions.iter().filter_map(|(name, access)| {
            let proposed = self.proposes && OF_A_PROPOSAL.contains(&name.as_str());
            if SECRETS.contains(&name.as_str()) {
                Some((name.as_str(), "hands on secrets"))
            } else if *access > Access::Read && !proposed {
                Some((name.as_str(), "can do more than read"))
            } else {
                None
            }
        })
    }

    /// The permissions that lead to more rights, with the path.
    pub fn powers(&self) -> impl Iterator<Item = (&str, &'static str)> {
        let written = self
            .permissions
            .iter()
            .filter(|(_, access)| **access > Access::Read);
        written.filter_map(|(name, _)| {
            let (_, how) = POWERS.iter().find(|(known, _)| known == name)?;
            Some((name.as_str(), *how))
        })
    }

    /// True if the grant may delete a repository.
    #[must_use]
    pub fn deletes(&self) -> bool {
        let administration = self.permissions.get("administration");
        administration.is_some_and(|access| *access > Access::Read)
    }
}
