//! Targets of kind `github`: the installation of a GitHub App at one owner.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Result;
use lanyard_core::document::{Code, Diagnostic, Fields, Findings, Node};
use lanyard_core::provider::Provider;
use lanyard_provider_github::{
    AppKey, BranchRules, Client, GitHubProvider, GitHubTarget, SealingKeys,
};
use url::Url;

const HOST: &str = "https://github.com";
const API: &str = "https://api.github.com";

/// The configuration of one installation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct GitHubConfig {
    target: GitHubTarget,
    api: String,
    app_id: String,
    private_key: PathBuf,
    owner: String,
    sealing_keys: PathBuf,
    /// The repository whose metadata the canary of a drill may read.
    pub(crate) drill_repository: Option<String>,
}

impl GitHubConfig {
    pub(crate) fn connect(&self) -> Result<Arc<dyn Provider>> {
        let key = AppKey::read(&self.app_id, &self.private_key)?;
        let sealing = SealingKeys::read(&self.sealing_keys)?;
        let client = Client::new(&self.api, key, &self.owner)?;
        let provider = GitHubProvider::new(self.target.clone(), client, Arc::new(sealing));
        Ok(Arc::new(provider))
    }
}

pub(super) fn github(f: &Findings, fields: &Fields<'_>, base: &Path) -> Option<GitHubConfig> {
    let rules = [
        ("required", BranchRules::Required),
        ("not-checked", BranchRules::NotChecked),
    ];
    let text = |name| fields.required(name).and_then(|node| f.text(node));
    let app_id = text("app_id");
    let owner = fields
        .required("owner")
        .and_then(|node| name(f, node, "the name of an organization or of a user"));
    let (private_key, sealing_keys) = (text("private_key"), text("sealing_keys"));
    let url = |name, usual: &str| {
        let node = fields.optional(name);
        node.map_or_else(|| Some(usual.to_owned()), |node| origin(f, node))
    };
    let (host, api) = (url("host", HOST), url("api", API));
    let branch_rules = fields.optional("branch_rules");
    let branch_rules =
        branch_rules.map_or(Some(BranchRules::Required), |node| f.one_of(node, &rules));
    let drill_repository = fields
        .optional("drill_repository")
        .and_then(|node| name(f, node, "the name of a repository"));
    Some(GitHubConfig {
        target: GitHubTarget {
            host: host?,
            branch_rules: branch_rules?,
        },
        api: api?,
        app_id: app_id?.to_owned(),
        private_key: base.join(private_key?),
        owner: owner?,
        sealing_keys: base.join(sealing_keys?),
        drill_repository,
    })
}

fn name(f: &Findings, node: &Node, what: &str) -> Option<String> {
    let text = f.text(node)?;
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_.".contains(&b);
    if text.is_empty() || text == "." || text == ".." || !text.bytes().all(plain) {
        let message = format!("expected {what}");
        f.add(Diagnostic::new(Code::Value, node.span, message));
        return None;
    }
    Some(text.to_owned())
}

/// Reads a URL over TLS, or on this machine, without user, query and trailing slash.
fn origin(f: &Findings, node: &Node) -> Option<String> {
    let text = f.text(node)?;
    let well = text.parse::<Url>().is_ok_and(|url| {
        let here = matches!(url.host_str(), Some("127.0.0.1" | "localhost" | "[::1]"));
        let safe = url.scheme() == "https" || (url.scheme() == "http" && here);
        let bare = url.username().is_empty() && url.password().is_none();
        safe && bare && url.query().is_none() && url.fragment().is_none()
    });
    if !well {
        let message = "expected an https URL".to_owned();
        f.add(Diagnostic::new(Code::Value, node.span, message));
        return None;
    }
    Some(text.trim_end_matches('/').to_owned())
}
