//! Rehearsals: what the API server would make of an object, by a server-side apply with `dryRun=All`.
//!
//! <https://kubernetes.io/docs/reference/using-api/api-concepts/#dry-run>

use kube::Client;
use kube::api::{Api, DynamicObject, Patch, PatchParams};
use kube::core::{GroupVersionKind, TypeMeta};
use kube::discovery::pinned_kind;
use lanyard_core::provider::{ProviderError, Rehearsed};
use serde_json::Value;

use crate::cluster::{explained, refused};

const OPERATION: &str = "rehearsal";
/// Whose fields the rehearsed apply would be.
const MANAGER: &str = "lanyard-rehearsal";

/// What is there now, and what would be. Nothing changes.
pub(crate) async fn one(
    client: Client,
    namespace: &str,
    object: &Value,
) -> Result<Rehearsed, ProviderError> {
    let odd = |why: &str| refused(OPERATION, why.to_owned());
    let text = |at: &str| object.pointer(at).and_then(Value::as_str);
    let name = text("/metadata/name").ok_or_else(|| odd("the object has no name"))?;
    if text("/metadata/namespace").is_some_and(|own| own != namespace) {
        return Err(odd("the object is in another namespace than the grant"));
    }
    let types = TypeMeta {
        api_version: text("/apiVersion").unwrap_or_default().to_owned(),
        kind: text("/kind").unwrap_or_default().to_owned(),
    };
    let kind = GroupVersionKind::try_from(&types);
    let kind = kind.map_err(|_| odd("the object's apiVersion cannot be read"))?;
    let failed = |error: &kube::Error| explained(OPERATION, error);
    let (resource, _) = pinned_kind(&client, &kind)
        .await
        .map_err(|error| failed(&error))?;
    let api: Api<DynamicObject> = Api::namespaced_with(client, namespace, &resource);
    let before = api.get_opt(name).await.map_err(|error| failed(&error))?;
    let dry = PatchParams::apply(MANAGER).force().dry_run();
    let after = api.patch(name, &dry, &Patch::Apply(object)).await;
    let after = after.map_err(|error| failed(&error))?;
    Ok(Rehearsed {
        before: before.map(plain),
        after: plain(after),
    })
}

/// Without what the API server keeps for itself.
fn plain(object: DynamicObject) -> Value {
    let mut value = serde_json::to_value(object).unwrap_or_default();
    if let Some(top) = value.as_object_mut() {
        top.remove("status");
    }
    if let Some(metadata) = value.get_mut("metadata").and_then(Value::as_object_mut) {
        for name in [
            "managedFields",
            "resourceVersion",
            "uid",
            "generation",
            "creationTimestamp",
        ] {
            metadata.remove(name);
        }
    }
    value
}
