//! Dry runs of manifests: asks the API server what it would make of an object, with a server-side
//! apply and `dryRun=All`.
//!
//! <https://kubernetes.io/docs/reference/using-api/api-concepts/#dry-run>

use kube::Client;
use kube::api::{DynamicObject, GetParams, Patch, PatchParams};
use kube::core::{GroupVersionKind, Request, Resource as _, TypeMeta};
use kube::discovery::pinned_kind;
use lanyard_core::provider::{ProviderError, Rehearsed};
use serde_json::Value;

use crate::answer::{self, Fault, Subject, provider_error_with_message, refused};

const OPERATION: &str = "rehearsal";
/// Field manager of the rehearsed apply.
const FIELD_MANAGER: &str = "lanyard-rehearsal";

/// Returns the object as it is now and as it would become; changes nothing.
pub(crate) async fn rehearse(
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
            return provider_error_with_message(OPERATION, &Fault::Status(status));
        }
        provider_error_with_message(
            OPERATION,
            &Fault::Lost("cannot read the kinds of the cluster"),
        )
    })?;
    let subject = Subject {
        api_version: resource.api_version.clone(),
        kind: resource.kind.clone(),
        plural: resource.plural.clone(),
        name: Some(name.to_owned()),
        namespace: Some(namespace.to_owned()),
    };
    let failed = |fault: Fault| provider_error_with_message(OPERATION, &fault);
    let unbuilt = |_| odd("the request cannot be built");
    let path = Request::new(DynamicObject::url_path(&resource, Some(namespace)));
    let request = path.get(name, &GetParams::default()).map_err(unbuilt)?;
    let before = match answer::document::<DynamicObject>(&client, request, &subject).await {
        Err(fault) if fault.is_missing(&subject) => None,
        found => Some(found.map_err(failed)?),
    };
    let dry = PatchParams::apply(FIELD_MANAGER).force().dry_run();
    let request = path.patch(name, &dry, &Patch::Apply(object));
    let request = request.map_err(unbuilt)?;
    let after = answer::document::<DynamicObject>(&client, request, &subject).await;
    Ok(Rehearsed {
        before: before.map(plain),
        after: plain(after.map_err(failed)?),
    })
}

/// Removes the fields that the API server maintains itself.
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
