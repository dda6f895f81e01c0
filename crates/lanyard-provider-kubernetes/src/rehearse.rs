//! Rehearsals: what the API server would make of an object, by a server-side apply with `dryRun=All`.
//!
//! <https://kubernetes.io/docs/reference/using-api/api-concepts/#dry-run>

use kube::Client;
use kube::api::{DynamicObject, GetParams, Patch, PatchParams};
use kube::core::{GroupVersionKind, Request, Resource as _, TypeMeta};
use kube::discovery::pinned_kind;
use lanyard_core::provider::{ProviderError, Rehearsed};
use serde_json::Value;

use crate::answer::{self, Fault, Subject, explained, refused};

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
    let (resource, _) = pinned_kind(&client, &kind).await.map_err(|error| {
        if let kube::Error::Api(status) = error {
            return explained(OPERATION, &Fault::Status(status));
        }
        explained(
            OPERATION,
            &Fault::Lost("the kinds of the cluster cannot be read"),
        )
    })?;
    let subject = Subject {
        api_version: resource.api_version.clone(),
        kind: resource.kind.clone(),
        plural: resource.plural.clone(),
        name: Some(name.to_owned()),
        namespace: Some(namespace.to_owned()),
    };
    let failed = |fault: Fault| explained(OPERATION, &fault);
    let unbuilt = |_| odd("the request cannot be built");
    let path = Request::new(DynamicObject::url_path(&resource, Some(namespace)));
    let request = path.get(name, &GetParams::default()).map_err(unbuilt)?;
    let before = match answer::document::<DynamicObject>(&client, request, &subject).await {
        Err(fault) if fault.is_missing(&subject) => None,
        found => Some(found.map_err(failed)?),
    };
    let dry = PatchParams::apply(MANAGER).force().dry_run();
    let request = path.patch(name, &dry, &Patch::Apply(object));
    let request = request.map_err(unbuilt)?;
    let after = answer::document::<DynamicObject>(&client, request, &subject).await;
    Ok(Rehearsed {
        before: before.map(plain),
        after: plain(after.map_err(failed)?),
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
