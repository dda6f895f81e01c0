//! The section `plans`.

use std::collections::{BTreeMap, BTreeSet};

use super::PolicyFiles;
use super::sections::{ROLES, at_most, named};
use crate::charter::{Autonomy, Name, PlanRule, Policy};
use crate::document::{Code, Diagnostic, Findings, Node, escaped};
use crate::plan::{PLAN_FORMATS, PlanFormat, Risk};

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

fn policies(f: &Findings, node: &Node, files: &dyn PolicyFiles) -> Vec<Policy> {
    let items = f.list(node);
    if !at_most(f, node, "policies", items.len()) {
        return Vec::new();
    }
    let mut seen = BTreeSet::new();
    let named: Vec<(&Node, &str)> = items
        .iter()
        .filter_map(|item| Some((item, path(f, item)?)))
        .filter(|(item, path)| {
            let new = seen.insert(*path);
            if !new {
                let message = format!("{path} is named twice");
                f.add(Diagnostic::new(Code::Policy, item.span, message));
            }
            new
        })
        .collect();
    let paths: Vec<&str> = named.iter().map(|(_, path)| *path).collect();
    match files.read(&paths) {
        Ok(texts) => named
            .iter()
            .zip(texts)
            .map(|((item, path), text)| Policy {
                path: (*path).to_owned(),
                text,
                at: item.span.at,
            })
            .collect(),
        Err(faults) => {
            for (place, why) in faults {
                let span = named.get(place).map_or(node.span, |(item, _)| item.span);
                f.add(Diagnostic::new(Code::Policy, span, why));
            }
            Vec::new()
        }
    }
}

/// A path that leads to a file beneath the charter's folder, whatever is there (T25).
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
