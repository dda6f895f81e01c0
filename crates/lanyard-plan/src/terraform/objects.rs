//! The objects of a cluster that a plan changes.

use lanyard_core::plan::KubernetesObject;
use serde_json::Value;

use super::{Effect, ResourceChange};
use crate::manifests;

/// The objects of a change; none when it does not name them.
pub(super) fn named(change: &ResourceChange) -> Vec<KubernetesObject> {
    let effect = change.effect();
    let created = matches!(effect, Effect::Create | Effect::Replace | Effect::Supersede);
    let found = change
        .sides()
        .filter_map(|side| of(&change.kind, side, created));
    let found: Vec<KubernetesObject> = found.collect();
    let sides = if matches!(effect, Effect::Update | Effect::Replace) {
        2
    } else {
        1
    };
    if found.len() < sides {
        Vec::new()
    } else {
        found
    }
}

fn of(kind: &str, side: &Value, created: bool) -> Option<KubernetesObject> {
    if kind == "kubernetes_manifest" {
        return manifests::object(side.get("manifest")?, created);
    }
    let kind = kind.strip_prefix("kubernetes_")?;
    let kind = kind.strip_suffix("_v1").unwrap_or(kind);
    let plain = kind.replace('_', "");
    let (_, group, resource) =
        manifests::kinds().find(|(name, ..)| name.to_lowercase() == plain)?;
    let metadata = side.get("metadata")?.get(0)?;
    let text = |name: &str| metadata.get(name).and_then(Value::as_str);
    Some(KubernetesObject {
        group: group.to_owned(),
        resource: resource.to_owned(),
        namespace: text("namespace").unwrap_or_default().to_owned(),
        name: text("name")?.to_owned(),
        created,
    })
}
