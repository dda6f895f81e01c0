//! The section `agents`, and lints on how agents are named.

use std::collections::BTreeMap;

use lanyard_document::{Code, Diagnostic, Findings, Node};
use lanyard_vocabulary::text::escaped;

use crate::agent::{AgentRule, SubjectPattern};
use crate::charter::Charter;
use crate::places::Places;

pub(super) fn all(f: &Findings, node: &Node) -> Vec<AgentRule> {
    let items = f.list(node);
    if items.is_empty() {
        f.add(Diagnostic::new(
            Code::NoAgents,
            node.span,
            "a charter needs at least one agent".to_owned(),
        ));
    }
    items.iter().filter_map(|item| agent(f, item)).collect()
}

fn agent(f: &Findings, node: &Node) -> Option<AgentRule> {
    let fields = f.map(node)?;
    let spiffe = fields.optional("spiffe");
    let rule = if let Some(id) = spiffe {
        let text = f.text(id)?;
        let domain = text
            .strip_prefix("spiffe://")
            .and_then(|rest| rest.split('/').next());
        let Some(domain) = domain.filter(|domain| !domain.is_empty()) else {
            let message = format!("`{}` is not a SPIFFE ID", escaped(text));
            f.add(
                Diagnostic::new(Code::Value, id.span, message)
                    .help("write spiffe://trust-domain/path"),
            );
            return None;
        };
        subject(f, id, text).map(|subject| (format!("spiffe://{domain}"), subject))
    } else {
        let issuer = fields.required("issuer").and_then(|node| f.text(node));
        let pattern = fields
            .required("subject")
            .and_then(|node| subject(f, node, f.text(node)?));
        issuer.map(str::to_owned).zip(pattern)
    };
    let claims = fields.optional("claims").map(|node| claims(f, node));
    fields.finish();
    let (issuer, subject) = rule?;
    Some(AgentRule {
        issuer,
        subject,
        claims: claims.unwrap_or_default(),
        at: node.span.at,
    })
}

fn claims(f: &Findings, node: &Node) -> BTreeMap<String, SubjectPattern> {
    let Some(fields) = f.map(node) else {
        return BTreeMap::new();
    };
    let claims = fields.open().filter_map(|(name, _, value)| {
        let pattern = subject(f, value, f.text(value)?)?;
        Some((name.to_owned(), pattern))
    });
    claims.collect()
}

fn subject(f: &Findings, node: &Node, text: &str) -> Option<SubjectPattern> {
    match text.strip_suffix('*') {
        None if !text.contains('*') => Some(SubjectPattern::Exact(text.to_owned())),
        Some(prefix) if prefix.ends_with([':', '/']) && !prefix.contains('*') => {
            Some(SubjectPattern::Prefix(prefix.to_owned()))
        }
        Some(_) | None => {
            let message = format!(
                "`{}` is not an exact subject, nor a prefix of whole segments",
                escaped(text)
            );
            f.add(
                Diagnostic::new(Code::Value, node.span, message)
                    .help("put one `*` at the end, after `:` or `/`"),
            );
            None
        }
    }
}

/// The issuer of GitHub Actions. An enterprise has an issuer of its own below this one.
const GITHUB: &str = "https://token.actions.githubusercontent.com";
/// Claims of GitHub and GitLab that survive a rename.
const LASTING: &[&str] = &[
    "repository_id",
    "repository_owner_id",
    "enterprise_id",
    "project_id",
    "namespace_id",
];

/// Lints agents that run in CI pipelines.
pub(super) fn look(f: &Findings, charter: &Charter, places: &Places<'_>) {
    for rule in &charter.agents {
        let (text, open) = match &rule.subject {
            SubjectPattern::Exact(text) => (text, false),
            SubjectPattern::Prefix(text) => (text, true),
        };
        let is_pipeline = rule.issuer == GITHUB
            || rule.issuer.starts_with(&format!("{GITHUB}/"))
            || text.starts_with("repo:")
            || text.starts_with("project_path:");
        if !is_pipeline {
            continue;
        }
        let span = places.at(rule.at);
        let subject = rule.subject.to_string();
        let shown = escaped(&subject);
        if !rule
            .claims
            .keys()
            .any(|name| LASTING.contains(&name.as_str()))
        {
            let message = format!("`{shown}` goes by names that can change hands");
            let finding = Diagnostic::new(Code::RenamableAgent, span, message);
            f.add(finding.help("name `repository_owner_id` and `repository_id` (GitHub) or `project_id` (GitLab) in `claims`"));
        }
        if text.ends_with(":pull_request") || (open && text.matches(':').count() < 3) {
            let message = format!("`{shown}` is met by pull requests");
            let finding = Diagnostic::new(Code::PullRequestAgent, span, message);
            f.add(finding.help("name a protected branch or an environment"));
        } else if open {
            let message = format!(
                "`{shown}` is met by whatever somebody calls a branch, a tag or an environment"
            );
            let finding = Diagnostic::new(Code::OpenAgent, span, message);
            f.add(finding.help("name one that is protected"));
        }
    }
}
