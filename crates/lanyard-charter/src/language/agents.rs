//! The section `agents`, and lints on how agents are named.

use std::collections::BTreeMap;

use lanyard_document::shape::{Choice, Empty, Form, List, Map, Open, Shape, optional, required};
use lanyard_document::{Code, Diagnostic, Findings, Item};
use lanyard_vocabulary::text::escaped;

use crate::agent::{AgentRule, SubjectPattern};
use crate::charter::Charter;
use crate::places::Places;

/// An exact text, or a prefix of whole segments, which its own reader checks.
const SUBJECT: Form = Form::new("a text", r"^([^*]+|[^*]*[:/]\*)$");
/// A SPIFFE ID, which its own reader checks.
const SPIFFE_ID: Form = Form::new("a SPIFFE ID", "^spiffe://[^/]+");

pub(super) fn shape() -> List {
    let subject = "The subject; exact, or with one `*` for the last segment.";
    let claims = "What the issuer has to say besides, of the claims that the daemon's \
                  configuration takes from it; each exact, or with one `*` for the last segment.";
    let agent = Map::new()
        .with(Choice::exactly_one([
            vec![
                required("issuer", "The exact issuer.", Shape::Text),
                required("subject", subject, SUBJECT),
            ],
            vec![required(
                "spiffe",
                "The workload instead of issuer and subject; exact, or with one `*` for the last segment.",
                SPIFFE_ID,
            )],
        ]))
        .with(optional("claims", claims, Open::of(Form::ANY, SUBJECT)).absent("nothing"));
    List::of(agent).not_empty(Empty::new(
        Code::NoAgents,
        "a charter needs at least one agent",
    ))
}

pub(super) fn all(item: Item<'_>) -> Vec<AgentRule> {
    item.items().into_iter().filter_map(agent).collect()
}

fn agent(item: Item<'_>) -> Option<AgentRule> {
    let section = item.section()?;
    let issuer = section.get("issuer").and_then(Item::text);
    let pattern = section.get("subject").and_then(subject);
    let named = issuer.map(str::to_owned).zip(pattern);
    let workload = section.get("spiffe").map(spiffe);
    let claims = section.get("claims").map(claims);
    let (issuer, subject) = workload.unwrap_or(named)?;
    Some(AgentRule {
        issuer,
        subject,
        claims: claims.unwrap_or_default(),
        at: item.span().at,
    })
}

/// Reads a SPIFFE ID: the trust domain as the issuer, and the whole as the subject.
fn spiffe(item: Item<'_>) -> Option<(String, SubjectPattern)> {
    let text = item.text()?;
    let domain = text
        .strip_prefix("spiffe://")
        .and_then(|rest| rest.split('/').next());
    let Some(domain) = domain.filter(|domain| !domain.is_empty()) else {
        let message = format!("`{}` is not a SPIFFE ID", escaped(text));
        let finding = item.finding(Code::Value, message);
        item.f.add(finding.help("write spiffe://trust-domain/path"));
        return None;
    };
    subject(item).map(|subject| (format!("spiffe://{domain}"), subject))
}

fn claims(item: Item<'_>) -> BTreeMap<String, SubjectPattern> {
    let entries = item.entries().into_iter();
    let claims = entries.filter_map(|it| Some((it.name.to_owned(), subject(it.value)?)));
    claims.collect()
}

fn subject(item: Item<'_>) -> Option<SubjectPattern> {
    let text = item.text()?;
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
            let finding = item.finding(Code::Value, message);
            item.f
                .add(finding.help("put one `*` at the end, after `:` or `/`"));
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
