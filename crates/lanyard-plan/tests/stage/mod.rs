//! Plans as tests write them, and what is said of them.

#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a stage of several tests, each of which uses a part of it"
)]

use std::sync::LazyLock;

use lanyard_charter::plan::PlanFormat;
use lanyard_core::plan::Judgement;
use lanyard_plan::{Context, Document, PolicySet};
use lanyard_testkit::ids::Ids;
use lanyard_testkit::world;
use lanyard_vocabulary::time::Timestamp;
use serde_json::{Value, json};

/// Completes a plan as `terraform show -json` prints it, with a configuration that has each
/// resource of the plan.
pub(crate) fn whole(plan: &Value) -> Value {
    let mut whole = json!({"format_version": "1.2", "configuration": {"root_module": {}}});
    for (key, value) in plan.as_object().unwrap() {
        whole[key] = value.clone();
    }
    let changes = whole["resource_changes"].as_array().cloned();
    let each = changes.iter().flatten().map(|change| {
        let address = without_keys(change["address"].as_str().unwrap());
        json!({"address": address, "mode": "managed", "type": change["type"]})
    });
    let each: Vec<Value> = each.collect();
    let root = &mut whole["configuration"]["root_module"];
    match root["resources"].as_array_mut() {
        Some(resources) => resources.extend(each),
        None => root["resources"] = Value::Array(each),
    }
    whole
}

/// An address without the keys of instances.
fn without_keys(address: &str) -> String {
    let mut kept = address.to_owned();
    while let Some(start) = kept.find('[') {
        let end = kept[start..].find("\"]").map(|end| start + end + 2);
        let end = end.or_else(|| Some(start + kept[start..].find(']')? + 1));
        kept.replace_range(start..end.unwrap(), "");
    }
    kept
}

pub(crate) fn terraform(plan: &Value) -> Result<Document, String> {
    let text = whole(plan).to_string();
    Document::read(PlanFormat::TerraformJson, text.as_bytes()).map_err(|error| error.to_string())
}

/// A plan of one resource that changes so.
pub(crate) fn change(kind: &str, change: Value) -> Document {
    let address = format!("{kind}.it");
    terraform(&json!({"resource_changes": [{"address": address, "type": kind, "change": change}]}))
        .unwrap()
}

pub(crate) fn create(kind: &str, after: Value) -> Document {
    change(
        kind,
        json!({"actions": ["create"], "before": null, "after": after, "after_unknown": {}}),
    )
}

pub(crate) fn update(kind: &str, before: Value, after: Value) -> Document {
    change(
        kind,
        json!({"actions": ["update"], "before": before, "after": after, "after_unknown": {}}),
    )
}

pub(crate) fn manifests(text: &str) -> Result<Document, String> {
    Document::read(PlanFormat::Manifests, text.as_bytes()).map_err(|error| error.to_string())
}

pub(crate) fn judged_by(policies: &[(&str, &str)], document: &Document) -> Judgement {
    let task = world::task(&Ids::seeded(1), Timestamp::EPOCH);
    let plan = world::plan(&task, PlanFormat::TerraformJson);
    // The rules of the product alone are compiled once.
    static RULES: LazyLock<PolicySet> = LazyLock::new(|| PolicySet::compile([]).unwrap());
    let set = match policies {
        [] => RULES.clone(),
        _ => PolicySet::compile(policies.iter().copied()).unwrap(),
    };
    let (task, plan) = (&task, &plan);
    set.judge(document, Context { task, plan })
}

pub(crate) fn judged(document: &Document) -> Judgement {
    judged_by(&[], document)
}

#[track_caller]
pub(crate) fn has(text: &str, part: &str) {
    assert!(text.contains(part), "`{part}` is missing: {text}");
}

#[track_caller]
pub(crate) fn lacks(text: &str, part: &str) {
    assert!(!text.contains(part), "`{part}` is shown: {text}");
}
