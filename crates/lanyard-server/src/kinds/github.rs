//! Targets of kind `github`: the installation of a GitHub App at one owner.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use lanyard_charter::TargetKind;
use lanyard_core::provider::Provider;
use lanyard_core::target::{Shared, Target, TargetError, TargetReader};
use lanyard_document::shape::{Form, Map, Shape, Word, optional, required};
use lanyard_document::{Code, Item, Section};
use lanyard_provider_github::{
    AppKey, BranchRules, Client, GitHubProvider, GitHubTarget, SealingKeys,
};
use lanyard_vocabulary::name::Name;
use url::Url;

use crate::values::{PATH, URL, path};

/// The entry of kind `github` in the registry.
pub(super) struct GitHub;

impl TargetReader for GitHub {
    fn kind(&self) -> TargetKind {
        TargetKind::GITHUB
    }

    fn meaning(&self) -> &'static str {
        "The installation of a GitHub App at one owner."
    }

    fn shape(&self) -> Map {
        shape()
    }

    fn read(&self, section: &Section<'_>, _name: &Name, base: &Path) -> Option<Arc<dyn Target>> {
        Some(Arc::new(installation(section, base)?))
    }
}

#[derive(Debug)]
struct Installation {
    target: GitHubTarget,
    api: String,
    app_id: String,
    private_key: PathBuf,
    owner: String,
    sealing_keys: PathBuf,
    /// The repository whose metadata the canary of a drill may read.
    drill_repository: Option<String>,
}

#[tonic::async_trait]
impl Target for Installation {
    async fn provider(&self, _shared: &mut Shared) -> Result<Arc<dyn Provider>, TargetError> {
        let key = AppKey::read(&self.app_id, &self.private_key)?;
        let sealing = SealingKeys::read(&self.sealing_keys)?;
        let client = Client::new(&self.api, key, &self.owner)?;
        let provider = GitHubProvider::new(self.target.clone(), client, Arc::new(sealing));
        Ok(Arc::new(provider))
    }

    fn drill(&self, name: &Name) -> Option<String> {
        let repository = self.drill_repository.as_ref()?;
        Some(format!(
            "github: {{target: {name}, repositories: ['{repository}'], permissions: {{metadata: read}}}}"
        ))
    }
}

/// The rules of branches that a target can rely on, by the words of the configuration.
const BRANCH_RULES: &[Word<BranchRules>] = &[
    Word::new("required", BranchRules::Required),
    Word::new("not-checked", BranchRules::NotChecked),
];

fn shape() -> Map {
    let name = |what| Form::new(what, "^[A-Za-z0-9_.-]+$");
    Map::new()
        .with(required("app_id", "The id of the App.", Shape::Text))
        .with(required(
            "private_key",
            "The private key of the App in PEM, mode 0600.",
            PATH,
        ))
        .with(required(
            "owner",
            "The organization or the user that installed the App.",
            name("a name of GitHub"),
        ))
        .with(required(
            "sealing_keys",
            "The keys that seal tokens in handles, mode 0600.",
            PATH,
        ))
        .with(optional("host", "The server of git.", URL).or("https://github.com"))
        .with(optional("api", "The server of the API.", URL).or("https://api.github.com"))
        .with(
            optional(
                "branch_rules",
                "Whether the default branch must be protected where a grant can push.",
                Shape::words(BRANCH_RULES),
            )
            .or("required"),
        )
        .with(
            optional(
                "drill_repository",
                "The repository whose metadata the canary of a drill may read.",
                name("a repository's name"),
            )
            .absent("no drill is held"),
        )
}

fn installation(section: &Section<'_>, base: &Path) -> Option<Installation> {
    let file = |name| section.get(name).and_then(|item| path(item, base));
    let app_id = section.get("app_id").and_then(Item::text);
    let owner = section.get("owner");
    let owner = owner.and_then(|item| name(item, "the name of an organization or of a user"));
    let (private_key, sealing_keys) = (file("private_key"), file("sealing_keys"));
    let url = |name| section.get(name).and_then(origin);
    let (host, api) = (url("host"), url("api"));
    let branch_rules = section.get("branch_rules");
    let branch_rules = branch_rules.and_then(|item| item.word(BRANCH_RULES));
    let drill_repository = section
        .get("drill_repository")
        .and_then(|item| name(item, "the name of a repository"));
    Some(Installation {
        target: GitHubTarget {
            host: host?,
            branch_rules: branch_rules?,
        },
        api: api?,
        app_id: app_id?.to_owned(),
        private_key: private_key?,
        owner: owner?,
        sealing_keys: sealing_keys?,
        drill_repository,
    })
}

fn name(item: Item<'_>, what: &str) -> Option<String> {
    let text = item.text()?;
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_.".contains(&b);
    if text.is_empty() || text == "." || text == ".." || !text.bytes().all(plain) {
        item.report(Code::Value, format!("expected {what}"));
        return None;
    }
    Some(text.to_owned())
}

/// Reads a URL over TLS, or on this machine, without user, query and trailing slash.
fn origin(item: Item<'_>) -> Option<String> {
    let text = item.text()?;
    let well = text.parse::<Url>().is_ok_and(|url| {
        let here = matches!(url.host_str(), Some("127.0.0.1" | "localhost" | "[::1]"));
        let safe = url.scheme() == "https" || (url.scheme() == "http" && here);
        let bare = url.username().is_empty() && url.password().is_none();
        safe && bare && url.query().is_none() && url.fragment().is_none()
    });
    if !well {
        item.report(Code::Value, "expected an https URL");
        return None;
    }
    Some(text.trim_end_matches('/').to_owned())
}
