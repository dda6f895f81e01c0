//! The section `plans`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use lanyard_document::{Code, Diagnostic, Findings, Node};
use lanyard_vocabulary::digest::Digest;
use lanyard_vocabulary::name::Name;
use lanyard_vocabulary::text::escaped;

use super::PolicyFiles;
use crate::charter::{Autonomy, PlanRule, Policy};
use crate::plan::{PLAN_FORMATS, PlanFormat, Risk};
use crate::section::bounds::at_most;
use crate::section::names::named;
use crate::section::words::ROLES;

pub(super) const RISKS: &[(&str, Risk)] = &[
    ("low", Risk::Low),
    ("medium", Risk::Medium),
    ("high", Risk::High),
];

pub(super) fn plans(
    f: &Findings,
    node: &Node,
    known: &BTreeMap<Name, Autonomy>,
    files: &dyn PolicyFiles,
) -> Option<PlanRule> {
    let fields = f.map(node)?;
    let required = fields.required("required");
    let policies = fields
        .optional("policies")
        .map(|node| policies(f, node, files))
        .unwrap_or_default();
    let formats = fields.optional("formats").map(|node| {
        let items = f.list(node).iter();
        items
            .filter_map(|item| f.one_of(item, PLAN_FORMATS))
            .collect()
    });
    fields.finish();
    let usual = || {
        let all = PLAN_FORMATS.iter().map(|(_, format)| *format);
        let judged =
            |format: &PlanFormat| policies.is_empty() || *format == PlanFormat::TerraformJson;
        all.filter(judged).collect()
    };
    let formats: BTreeSet<PlanFormat> = formats.unwrap_or_else(usual);
    let node = required?;
    let fields = f.map(node)?;
    let role = fields
        .required("role")
        .and_then(|node| f.one_of(node, ROLES));
    let environments = fields
        .required("environments")
        .map(|node| named(f, node, known));
    fields.finish();
    Some(PlanRule {
        role: role?,
        environments: environments?,
        formats,
        policies_digest: Policy::digest(&policies),
        policies,
        at: node.span.at,
    })
}

/// A policy as the charter names it.
struct Named<'a> {
    node: &'a Node,
    path: &'a str,
    digest: Option<Digest>,
}

fn policies(f: &Findings, node: &Node, files: &dyn PolicyFiles) -> Vec<Policy> {
    let items = f.list(node);
    if !at_most(f, node, "policies", items.len()) {
        return Vec::new();
    }
    let mut seen = BTreeSet::new();
    let named: Vec<Named<'_>> = items
        .iter()
        .filter_map(|item| named_policy(f, item, files.are_pinned()))
        .filter(|policy| {
            let new = seen.insert(policy.path);
            if !new {
                let message = format!("{} is named twice", policy.path);
                f.add(Diagnostic::new(Code::Policy, policy.node.span, message));
            }
            new
        })
        .collect();
    let paths: Vec<&str> = named.iter().map(|policy| policy.path).collect();
    match files.read(&paths) {
        Ok(texts) => named
            .iter()
            .zip(texts)
            .filter_map(|(policy, text)| policy.of(f, text))
            .collect(),
        Err(faults) => {
            for (place, why) in faults {
                let span = named.get(place).map_or(node.span, |it| it.node.span);
                f.add(Diagnostic::new(Code::Policy, span, why));
            }
            Vec::new()
        }
    }
}

impl Named<'_> {
    /// The policy with this text, if its digest is the pinned one.
    fn of(&self, f: &Findings, text: Arc<str>) -> Option<Policy> {
        let found = Digest::of(text.as_bytes());
        if let Some(meant) = self.digest.filter(|meant| *meant != found) {
            let message = format!(
                "{} has the digest `{found}`, and the charter names `{meant}`",
                self.path
            );
            let finding = Diagnostic::new(Code::Policy, self.node.span, message);
            f.add(finding.help("read what changed, then name the new digest"));
            return None;
        }
        Some(Policy {
            path: self.path.to_owned(),
            text,
            at: self.node.span.at,
        })
    }
}

/// Reads a path, or a path with the digest of its content.
fn named_policy<'a>(f: &'a Findings, node: &'a Node, pinned: bool) -> Option<Named<'a>> {
    let (of, path, digest) = if node.is_text() {
        (node, path(f, node), None)
    } else {
        let fields = f.map(node)?;
        let of = fields.required("path");
        let path = of.and_then(|node| path(f, node));
        let digest = fields.required("digest").map(|node| f.parsed(node));
        fields.finish();
        (of?, path, Some(digest??))
    };
    if pinned && digest.is_none() {
        let message = "the policy of an object is named with its digest".to_owned();
        let finding = Diagnostic::new(Code::UnpinnedPolicy, node.span, message);
        f.add(finding.help("write `{path: CONFIGMAP/KEY.rego, digest: sha256:…}`"));
    }
    Some(Named {
        node: of,
        path: path?,
        digest,
    })
}

/// Reads a path to a file below the charter's folder, whether or not it exists (T25).
fn path<'a>(f: &Findings, node: &'a Node) -> Option<&'a str> {
    let text = f.text(node)?;
    let plain = |part: &str| {
        let known = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
        !part.is_empty() && !part.starts_with('.') && part.chars().all(known)
    };
    let ok = text.split('/').all(plain) && text.ends_with(".rego") && text.len() <= 200;
    if !ok {
        let message = format!("`{}` is not the path of a policy", escaped(text));
        f.add(Diagnostic::new(Code::Policy, node.span, message).help(
            "name a .rego file beneath the charter's folder: policies/no-public-buckets.rego",
        ));
    }
    ok.then_some(text)
}
