//! The section `plans`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use lanyard_document::shape::{Form, List, Map, Shape, Word, optional, required};
use lanyard_document::{Code, Item};
use lanyard_vocabulary::digest::Digest;
use lanyard_vocabulary::name::Name;
use lanyard_vocabulary::text::escaped;

use super::PolicyFiles;
use crate::charter::{Autonomy, PlanRule, Policy};
use crate::plan::{PLAN_FORMATS, PlanFormat, Risk};
use crate::section::bounds::at_most;
use crate::section::names::{named, own_environments};
use crate::section::words::{ROLES, role};

pub(super) const RISKS: &[Word<Risk>] = &[
    Word::new("low", Risk::Low),
    Word::new("medium", Risk::Medium),
    Word::new("high", Risk::High),
];

/// The path of a policy, which its own reader checks.
const POLICY_PATH: Form = Form::new(
    "the path of a policy",
    r"^[A-Za-z0-9_-][A-Za-z0-9._-]*(/[A-Za-z0-9_-][A-Za-z0-9._-]*)*\.rego$",
);

pub(super) fn shape() -> Map {
    let needed = Map::new()
        .with(required("role", "The role that needs a plan.", role()))
        .with(required(
            "environments",
            "Where it needs one: environments of this charter.",
            own_environments(),
        ));
    let path = "A file in Rego, beneath the charter's folder; of a Kubernetes object \
                `CONFIGMAP/KEY.rego`.";
    let digest = "The digest that the file has to have; a Kubernetes object always names it.";
    let policy = Map::new()
        .with(required("path", path, POLICY_PATH))
        .with(required("digest", digest, Form::DIGEST));
    let policies = "What judges every plan that is submitted under the charter: `deny`, \
                    `violation` and `warn` as conftest reads them, `risk` and `approval`.";
    let formats = List::of(Shape::words(PLAN_FORMATS));
    Map::new()
        .with(required("required", "What needs a plan.", needed))
        .with(
            optional(
                "policies",
                policies,
                List::of(Shape::Either(POLICY_PATH, policy)),
            )
            .absent("none"),
        )
        .with(
            optional("formats", "The forms in which a plan is taken.", formats)
                .absent("all; `terraform-json` where there are policies"),
        )
}

pub(super) fn plans(
    item: Item<'_>,
    known: &BTreeMap<Name, Autonomy>,
    files: &dyn PolicyFiles,
) -> Option<PlanRule> {
    let section = item.section()?;
    let needed = section.get("required");
    let policies = section.get("policies").map(|item| policies(item, files));
    let policies = policies.unwrap_or_default();
    let formats = section.get("formats").map(|item| {
        let items = item.items().into_iter();
        items.filter_map(|item| item.word(PLAN_FORMATS)).collect()
    });
    let usual = || {
        let all = PLAN_FORMATS.iter().map(|word| word.value);
        let judged =
            |format: &PlanFormat| policies.is_empty() || *format == PlanFormat::TerraformJson;
        all.filter(judged).collect()
    };
    let formats: BTreeSet<PlanFormat> = formats.unwrap_or_else(usual);
    let needed = needed?;
    let section = needed.section()?;
    let role = section.get("role").and_then(|item| item.word(ROLES));
    let environments = section.get("environments").map(|item| named(item, known));
    Some(PlanRule {
        role: role?,
        environments: environments?,
        formats,
        policies_digest: Policy::digest(&policies),
        policies,
        at: needed.span().at,
    })
}

/// A policy as the charter names it.
struct Named<'a> {
    item: Item<'a>,
    path: &'a str,
    digest: Option<Digest>,
}

fn policies(item: Item<'_>, files: &dyn PolicyFiles) -> Vec<Policy> {
    let items = item.items();
    if !at_most(item, "policies", items.len()) {
        return Vec::new();
    }
    let mut seen = BTreeSet::new();
    let named: Vec<Named<'_>> = items
        .into_iter()
        .filter_map(|item| named_policy(item, files.are_pinned()))
        .filter(|policy| {
            let new = seen.insert(policy.path);
            if !new {
                let message = format!("{} is named twice", policy.path);
                policy.item.report(Code::Policy, message);
            }
            new
        })
        .collect();
    let paths: Vec<&str> = named.iter().map(|policy| policy.path).collect();
    match files.read(&paths) {
        Ok(texts) => named
            .iter()
            .zip(texts)
            .filter_map(|(policy, text)| policy.of(text))
            .collect(),
        Err(faults) => {
            for (place, why) in faults {
                let of = named.get(place).map_or(item, |it| it.item);
                of.report(Code::Policy, why);
            }
            Vec::new()
        }
    }
}

impl Named<'_> {
    /// The policy with this text, if its digest is the pinned one.
    fn of(&self, text: Arc<str>) -> Option<Policy> {
        let found = Digest::of(text.as_bytes());
        if let Some(meant) = self.digest.filter(|meant| *meant != found) {
            let message = format!(
                "{} has the digest `{found}`, and the charter names `{meant}`",
                self.path
            );
            let finding = self.item.finding(Code::Policy, message);
            self.item
                .f
                .add(finding.help("read what changed, then name the new digest"));
            return None;
        }
        Some(Policy {
            path: self.path.to_owned(),
            text,
            at: self.item.span().at,
        })
    }
}

/// Reads a path, or a path with the digest of its content.
fn named_policy(item: Item<'_>, pinned: bool) -> Option<Named<'_>> {
    let (of, path, digest) = if item.node.is_text() {
        (item, path(item), None)
    } else {
        let section = item.section()?;
        let of = section.get("path");
        let path = of.and_then(path);
        let digest = section.get("digest").map(Item::parsed);
        (of?, path, Some(digest??))
    };
    if pinned && digest.is_none() {
        let message = "the policy of an object is named with its digest";
        let finding = item.finding(Code::UnpinnedPolicy, message);
        let help = "write `{path: CONFIGMAP/KEY.rego, digest: sha256:…}`";
        item.f.add(finding.help(help));
    }
    Some(Named {
        item: of,
        path: path?,
        digest,
    })
}

/// Reads a path to a file below the charter's folder, whether or not it exists (T25).
fn path(item: Item<'_>) -> Option<&str> {
    let text = item.text()?;
    let plain = |part: &str| {
        let known = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
        !part.is_empty() && !part.starts_with('.') && part.chars().all(known)
    };
    let ok = text.split('/').all(plain) && text.ends_with(".rego") && text.len() <= 200;
    if !ok {
        let message = format!("`{}` is not the path of a policy", escaped(text));
        item.f.add(item.finding(Code::Policy, message).help(
            "name a .rego file beneath the charter's folder: policies/no-public-buckets.rego",
        ));
    }
    ok.then_some(text)
}
