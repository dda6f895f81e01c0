//! Terraform's plans: the JSON of `terraform show -json`, of format 1.
//!
//! <https://developer.hashicorp.com/terraform/internals/json-format>

mod arns;
mod objects;
mod text;

use std::collections::BTreeSet;

use lanyard_core::plan::{Effects, PlanReach, Reading};
use serde::Deserialize;
use serde_json::Value;

use crate::shown::line;

/// How many names of one kind are kept; a credential holds fewer.
const MOST: usize = 200;

/// A plan, with what it was read from.
#[derive(Debug, Clone)]
pub struct TerraformPlan {
    json: Value,
    changes: Vec<ResourceChange>,
}

#[derive(Debug, Clone, Deserialize)]
struct Outline {
    format_version: String,
    #[serde(default)]
    errored: bool,
    #[serde(default)]
    resource_changes: Vec<ResourceChange>,
}

/// One resource and what becomes of it.
#[derive(Debug, Clone, Deserialize)]
struct ResourceChange {
    address: String,
    #[serde(default)]
    mode: Option<String>,
    #[serde(rename = "type")]
    kind: String,
    change: Change,
}

#[derive(Debug, Clone, Deserialize)]
struct Change {
    actions: Vec<Action>,
    #[serde(default)]
    before: Value,
    #[serde(default)]
    after: Value,
    #[serde(default)]
    after_unknown: Value,
    #[serde(default)]
    before_sensitive: Value,
    #[serde(default)]
    after_sensitive: Value,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Action {
    NoOp,
    Create,
    Read,
    Update,
    Delete,
    Forget,
}

/// What a list of actions comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Effect {
    Nothing,
    Create,
    Update,
    Replace,
    Destroy,
}

impl ResourceChange {
    fn effect(&self) -> Effect {
        if self.mode.as_deref() == Some("data") {
            return Effect::Nothing;
        }
        let has = |action| self.change.actions.contains(&action);
        match (
            has(Action::Create),
            has(Action::Delete) || has(Action::Forget),
        ) {
            (true, true) => Effect::Replace,
            (true, false) => Effect::Create,
            (false, true) => Effect::Destroy,
            (false, false) if has(Action::Update) => Effect::Update,
            (false, false) => Effect::Nothing,
        }
    }

    /// What is there now and what will be.
    fn sides(&self) -> impl Iterator<Item = &Value> {
        [&self.change.before, &self.change.after]
            .into_iter()
            .filter(|side| side.is_object())
    }
}

impl TerraformPlan {
    /// Reads the bytes.
    ///
    /// # Errors
    /// Where and why they are not such a plan.
    pub(crate) fn parse(content: &[u8]) -> Result<Self, String> {
        let fault = |error: serde_json::Error| line(&error.to_string());
        let json: Value = serde_json::from_slice(content).map_err(fault)?;
        let outline = Outline::deserialize(&json).map_err(fault)?;
        if outline.format_version.split('.').next() != Some("1") {
            let version = line(&outline.format_version);
            return Err(format!("format_version {version} is not 1.x"));
        }
        if outline.errored {
            return Err("planning ended with an error, and the plan is not whole".to_owned());
        }
        let changes = outline.resource_changes;
        if changes
            .iter()
            .all(|change| change.effect() == Effect::Nothing)
        {
            return Err("it changes nothing, and needs no credential".to_owned());
        }
        Ok(Self { json, changes })
    }

    pub(crate) const fn json(&self) -> &Value {
        &self.json
    }

    /// What it changes, and by which names.
    pub(crate) fn reading(&self) -> Reading {
        let mut effects = Effects::default();
        let mut reach = PlanReach::default();
        for change in &self.changes {
            let counter = match change.effect() {
                Effect::Nothing => continue,
                Effect::Create => &mut effects.created,
                Effect::Update => &mut effects.updated,
                Effect::Replace => &mut effects.replaced,
                Effect::Destroy => &mut effects.destroyed,
            };
            *counter = counter.saturating_add(1);
            if change.kind.starts_with("aws_") {
                note(
                    change,
                    arns::named(change),
                    &mut reach.aws.named,
                    &mut reach.aws.unnamed,
                );
            } else if change.kind.starts_with("kubernetes_") {
                let of = &mut reach.kubernetes;
                note(
                    change,
                    objects::named(change),
                    &mut of.named,
                    &mut of.unnamed,
                );
            }
        }
        Reading {
            effects,
            reach,
            objects: Vec::new(),
        }
    }
}

/// Keeps the names of a change, or where it is when it has none.
fn note<T: Ord>(
    change: &ResourceChange,
    names: Vec<T>,
    named: &mut BTreeSet<T>,
    unnamed: &mut BTreeSet<String>,
) {
    if names.is_empty() || named.len() >= MOST {
        if unnamed.len() < MOST {
            unnamed.insert(line(&change.address));
        }
    } else {
        named.extend(names);
    }
}
