//! Kubernetes objects that a Terraform plan changes.

use lanyard_charter::reach::KubernetesObject;
use serde_json::Value;

use super::{Effect, ResourceChange};
use crate::manifests;

/// Returns the objects of a change. Empty if the change does not name them.
pub(super) fn named(change: &ResourceChange) -> Vec<KubernetesObject> {
    let effect = change.effect();
    let created = matches!(effect, Effect::Create | Effect::Replace | Effect::Supersede);
    // A namespace that is only known after the apply could be any.
    let unknown = ["/metadata/0/namespace", "/manifest/metadata/namespace"];
    let after = &change.change.after_unknown;
    if unknown
        .iter()
        .any(|at| after.pointer(at) == Some(&Value::Bool(true)))
    {
        return Vec::new();
    }
    let found = change
        .sides()
        .filter_map(|side| of(&change.kind, side, created))
        .map(placed);
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

/// Sets the namespace `default` where there is none, as the provider does whatever the credential's
/// namespace is.
fn placed(object: KubernetesObject) -> KubernetesObject {
    if object.namespace.is_empty() && !object.is_of_the_cluster() {
        let namespace = "default".to_owned();
        return KubernetesObject {
            namespace,
            ..object
        };
    }
    object
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
