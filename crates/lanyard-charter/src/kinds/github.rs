//! Kind `github`: installation tokens of a GitHub App, and their consequences.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use lanyard_document::shape::{Choice, Empty, Form, List, Map, Open, Shape, Word, required};
use lanyard_document::{Code, Diagnostic, Entry, Item, Section, Value as Yaml, suggest};
use lanyard_vocabulary::name::Name;
use lanyard_vocabulary::role::Role;
use lanyard_vocabulary::secret::Secret;
use lanyard_vocabulary::text::escaped;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::credential::CredentialForm;
use super::list_of;
use crate::charter::{Autonomy, Grant};
use crate::prohibition::Prohibition;
use crate::reach::PlanReach;
use crate::rights::{KindRights, Rights, ToPlan};
use crate::target_kind::TargetKind;
use crate::usage::Usage;
use crate::world::{Check, DELETES_STATE, GrantKind, Starter};

impl TargetKind {
    /// An owner of repositories at GitHub.
    pub const GITHUB: Self = Self::new("github");
}

/// The level of a GitHub permission.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Access {
    /// GitHub's access level `read`.
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
const ACCESS: &[Word<Access>] = &[
    Word::new("read", Access::Read),
    Word::new("write", Access::Write),
    Word::new("admin", Access::Admin),
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
const PROPOSE: &[(&str, Access)] = &[
    ("contents", Access::Write),
    ("metadata", Access::Read),
    ("pull_requests", Access::Write),
];

/// The permissions that a profile stands for, by the names that charters use.
const PROFILES: &[Word<&[(&str, Access)]>] = &[Word::meaning(
    "propose",
    PROPOSE,
    "can push a branch and open a pull request",
)];

/// The names of all permissions.
fn permissions() -> impl Iterator<Item = &'static str> {
    PERMISSIONS.iter().map(|(name, _)| *name)
}

/// The highest level of a permission; `None` if repositories have no such permission.
fn most(permission: &str) -> Option<Access> {
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

/// The entry of kind `github` in the registry.
pub(super) struct GitHub;

impl GrantKind for GitHub {
    fn id(&self) -> TargetKind {
        TargetKind::GITHUB
    }

    fn meaning(&self) -> &'static str {
        "An installation token of a GitHub App."
    }

    fn shape(&self) -> Map {
        let nothing = Empty::new(Code::EmptyGrant, NOTHING).help(NAME_SOMETHING);
        let repositories = "The repositories without their owner; 500 at most.";
        let profile = "The permissions that the word stands for.";
        let permissions = "Permissions of repositories, as GitHub names them; beside the profile, \
                           where there is one.";
        let permission = Form::new("a permission", "^[a-z_]+$");
        Map::new()
            .with(required(
                "repositories",
                repositories,
                List::of(REPOSITORY).not_empty(nothing),
            ))
            .with(
                Choice::at_least_one([
                    vec![required("profile", profile, Shape::words(PROFILES))],
                    vec![required(
                        "permissions",
                        permissions,
                        Open::of(permission, Shape::words(ACCESS)),
                    )],
                ])
                .code(Code::EmptyGrant)
                .message(NOTHING)
                .help(NAME_SOMETHING),
            )
    }

    fn parse(&self, section: &Section<'_>) -> Option<Rights> {
        section_of(section)
    }

    fn starter(&self) -> Starter {
        Starter {
            reads: "github: {target: TARGET, repositories: [repository], permissions: {contents: read}}\n",
            changes: "github: {target: TARGET, repositories: [repository], permissions: {contents: write}}\n",
        }
    }

    fn check(&self, check: &Check<'_>, grant: &Grant) {
        let Some(rights) = grant.rights.get::<GitHubGrant>() else {
            return;
        };
        let name = &grant.name;
        if grant.role == Role::Apply {
            return;
        }
        for (what, why) in rights.more_than_planning() {
            let message = format!("grant {name} has the plan role, and {what} {why}");
            check.report(grant, what, Code::PlanWrites, message);
        }
        let observed = |environment: &&Name| {
            let autonomy = check.charter.environments.get(*environment);
            autonomy == Some(&Autonomy::Observe)
        };
        if rights.proposes
            && let Some(environment) = grant.environments.iter().find(observed)
        {
            let message = format!(
                "grant {name} can open a proposal, and the autonomy in {environment} is observe"
            );
            let finding = check.about(grant, environment.as_str(), Code::Autonomy, message);
            check.f.add(finding.help("use propose or more there"));
        }
    }
}

const NOTHING: &str = "this grant allows nothing";
const NAME_SOMETHING: &str = "name repositories, and permissions or the profile propose";

/// True for a map without entries. What is no map is found to be none.
fn is_empty(item: Item<'_>) -> bool {
    matches!(&item.node.value, Yaml::Map(entries) if entries.is_empty())
}

fn section_of(section: &Section<'_>) -> Option<Rights> {
    let repositories = section.get("repositories").map(|item| {
        let repositories = item.texts();
        if repositories.len() > MAX_REPOSITORIES_PER_TOKEN {
            let message = format!(
                "a token is for {MAX_REPOSITORIES_PER_TOKEN} repositories at most, and these are {}",
                repositories.len()
            );
            item.report(Code::Value, message);
        }
        repositories
    });
    let profile = section.get("profile").map(|item| item.word(PROFILES));
    let named = section.get("permissions").map(|item| {
        let entries = item.entries();
        if is_empty(item) && profile.is_none() {
            let finding = section.item.finding(Code::EmptyGrant, NOTHING);
            section.item.f.add(finding.help(NAME_SOMETHING));
        }
        granted(&entries)
    });
    let proposes = profile.is_some();
    let mut granted: BTreeMap<String, Access> = match profile {
        Some(profile) => profile?
            .iter()
            .map(|(name, access)| ((*name).to_owned(), *access))
            .collect(),
        None => BTreeMap::new(),
    };
    for (name, access) in named.unwrap_or_default() {
        let most = granted.get(&name).copied().unwrap_or(access).max(access);
        granted.insert(name, most);
    }
    let repositories = repositories.filter(|repositories| !repositories.is_empty());
    let rights = GitHubGrant {
        repositories: repositories?,
        permissions: granted,
        proposes,
    };
    (!rights.permissions.is_empty()).then(|| rights.into())
}

/// A repository's name, without its owner.
const REPOSITORY: Form =
    Form::new("the name of a repository", "^[A-Za-z0-9._-]{1,100}$").checked(repository);

fn repository(text: &str) -> Result<(), &'static str> {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_.".contains(&b);
    if text.contains('/') {
        return Err("the owner is the target's: write the repository's name alone");
    }
    let well = (1..=100).contains(&text.len()) && text.bytes().all(plain);
    if well && text != "." && text != ".." {
        Ok(())
    } else {
        Err("this is no name of a repository")
    }
}

fn granted(entries: &[Entry<'_>]) -> BTreeMap<String, Access> {
    let permission = |entry: &Entry<'_>| {
        let (name, value) = (entry.name, entry.value);
        let access = value.word(ACCESS)?;
        let Some(most) = most(name) else {
            let message = format!("`{}` is no permission of a repository", escaped(name));
            let finding = Diagnostic::new(Code::Value, entry.key.span, message);
            value.f.add(suggest(finding, name, permissions()));
            return None;
        };
        if access > most {
            value.report(Code::Value, format!("`{name}` goes no further than {most}"));
            return None;
        }
        Some((name.to_owned(), access))
    };
    entries.iter().filter_map(permission).collect()
}

impl KindRights for GitHubGrant {
    fn kind(&self) -> TargetKind {
        TargetKind::GITHUB
    }

    fn lines(&self) -> Vec<String> {
        let repositories = list_of(self.repositories.iter().map(String::as_str));
        let permissions = self.permissions.iter();
        permissions
            .map(|(name, access)| format!("{name}: {access} in {repositories}"))
            .collect()
    }

    fn narrowed(&self, other: &Rights) -> Option<Rights> {
        let other: &Self = other.get()?;
        let repositories: BTreeSet<_> = self
            .repositories
            .intersection(&other.repositories)
            .cloned()
            .collect();
        let permissions: BTreeMap<_, _> = self
            .permissions
            .iter()
            .filter_map(|(name, access)| {
                let least = *other.permissions.get(name)?.min(access);
                Some((name.clone(), least))
            })
            .collect();
        (!repositories.is_empty() && !permissions.is_empty()).then(|| {
            Self {
                repositories,
                permissions,
                // What one of the two calls a proposal is held to be no more than one.
                proposes: self.proposes || other.proposes,
            }
            .into()
        })
    }

    fn beyond(&self, other: &Rights, _prohibited: [&[Prohibition]; 2]) -> Vec<String> {
        let Some(other) = other.get::<Self>() else {
            return self.lines();
        };
        let mut given = Vec::new();
        for repository in &self.repositories {
            let known = other.repositories.contains(repository);
            for (name, access) in &self.permissions {
                let before = other.permissions.get(name).filter(|_| known);
                if before.is_none_or(|before| access > before) {
                    given.push(format!("{name}: {access} in {repository}"));
                }
            }
        }
        if other.proposes && !self.proposes {
            given.push("more than proposals".to_owned());
        }
        given
    }

    /// A question names no requests to GitHub.
    fn gives(&self, _usage: &Usage) -> bool {
        false
    }

    fn request(&self, _object: &str) -> Option<Value> {
        Some(json!({"repositories": self.repositories, "permissions": self.permissions}))
    }

    fn to_plan(&self, _reach: &PlanReach) -> ToPlan {
        ToPlan::Whole("a plan names no repositories".to_owned())
    }

    fn powers(&self) -> Vec<(String, String)> {
        let powers = Self::powers(self);
        powers
            .map(|(name, how)| (name.to_owned(), format!("{name}: {how}")))
            .collect()
    }

    fn peril(&self) -> Option<(String, &'static str)> {
        self.deletes()
            .then(|| ("administration".to_owned(), DELETES_STATE))
    }
}

/// An installation token of a GitHub App.
#[derive(Debug)]
pub struct GitHubCredential {
    /// The URL that git clones from, such as `https://github.com`.
    pub host: String,
    /// The URL of the API.
    pub api: String,
    /// The account that owns the repositories.
    pub owner: String,
    /// The repositories' names, without the owner.
    pub repositories: BTreeSet<String>,
    /// The installation token that GitHub issued.
    pub token: Secret<String>,
}

impl CredentialForm for GitHubCredential {
    fn kind(&self) -> TargetKind {
        TargetKind::GITHUB
    }

    fn values(&self) -> Vec<(&str, String)> {
        vec![
            ("host", self.host.clone()),
            ("api", self.api.clone()),
            ("owner", self.owner.clone()),
            (
                "repositories",
                list_of(self.repositories.iter().map(String::as_str)),
            ),
        ]
    }

    fn secrets(&self) -> Vec<(&str, &Secret<String>)> {
        vec![("token", &self.token)]
    }
}
