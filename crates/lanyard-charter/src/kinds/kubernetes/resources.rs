//! The objects of a cluster that a plan changes, in manifests and in resources of Terraform.

use serde_json::Value;

use crate::kubernetes::KubernetesObject;
use crate::reach::{PlanObject, ResourceChange};
use crate::target_kind::TargetKind;

/// The built-in kinds: kind, API group and resource.
const KINDS: &[(&str, &str, &str)] = &[
    ("ConfigMap", "", "configmaps"),
    ("CronJob", "batch", "cronjobs"),
    ("DaemonSet", "apps", "daemonsets"),
    ("Deployment", "apps", "deployments"),
    ("EndpointSlice", "discovery.k8s.io", "endpointslices"),
    (
        "HorizontalPodAutoscaler",
        "autoscaling",
        "horizontalpodautoscalers",
    ),
    ("Ingress", "networking.k8s.io", "ingresses"),
    ("Job", "batch", "jobs"),
    ("LimitRange", "", "limitranges"),
    ("Namespace", "", "namespaces"),
    ("NetworkPolicy", "networking.k8s.io", "networkpolicies"),
    ("PersistentVolume", "", "persistentvolumes"),
    ("PersistentVolumeClaim", "", "persistentvolumeclaims"),
    ("Pod", "", "pods"),
    ("PodDisruptionBudget", "policy", "poddisruptionbudgets"),
    ("ReplicaSet", "apps", "replicasets"),
    ("ResourceQuota", "", "resourcequotas"),
    ("Role", "rbac.authorization.k8s.io", "roles"),
    ("RoleBinding", "rbac.authorization.k8s.io", "rolebindings"),
    ("Secret", "", "secrets"),
    ("Service", "", "services"),
    ("ServiceAccount", "", "serviceaccounts"),
    ("StatefulSet", "apps", "statefulsets"),
];

impl PlanObject for KubernetesObject {
    const KIND: TargetKind = TargetKind::KUBERNETES;
    const RESOURCES: &'static str = "kubernetes_";
    const IS_IN_EVERY_REACH: bool = true;

    fn of_resource(change: &ResourceChange<'_>) -> Vec<Self> {
        // A namespace that is only known after the apply could be any.
        let unknown = ["/metadata/0/namespace", "/manifest/metadata/namespace"];
        let after = change.unknown_after;
        if unknown
            .iter()
            .any(|at| after.pointer(at) == Some(&Value::Bool(true)))
        {
            return Vec::new();
        }
        change.objects(|side| {
            let object = of(change.resource, side, change.creates);
            object.map(placed).into_iter().collect()
        })
    }
}

impl KubernetesObject {
    /// Returns the object of a manifest if its kind is known.
    #[must_use]
    pub fn of_manifest(json: &Value, created: bool) -> Option<Self> {
        let text = |at: &str| json.pointer(at).and_then(Value::as_str);
        let (version, kind, name) = (
            text("/apiVersion")?,
            text("/kind")?,
            text("/metadata/name")?,
        );
        let group = version.rsplit_once('/').map_or("", |(group, _)| group);
        let mut kinds = KINDS.iter();
        let (_, group, resource) = kinds.find(|(known, of, _)| *known == kind && *of == group)?;
        Some(Self {
            group: (*group).to_owned(),
            resource: (*resource).to_owned(),
            namespace: text("/metadata/namespace").unwrap_or_default().to_owned(),
            name: name.to_owned(),
            created,
        })
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

fn of(resource: &str, side: &Value, created: bool) -> Option<KubernetesObject> {
    if resource == "kubernetes_manifest" {
        return KubernetesObject::of_manifest(side.get("manifest")?, created);
    }
    let kind = resource.strip_prefix("kubernetes_")?;
    let kind = kind.strip_suffix("_v1").unwrap_or(kind);
    let plain = kind.replace('_', "");
    let mut kinds = KINDS.iter();
    let (_, group, resource) = kinds.find(|(name, ..)| name.to_lowercase() == plain)?;
    let metadata = side.get("metadata")?.get(0)?;
    let text = |name: &str| metadata.get(name).and_then(Value::as_str);
    Some(KubernetesObject {
        group: (*group).to_owned(),
        resource: (*resource).to_owned(),
        namespace: text("namespace").unwrap_or_default().to_owned(),
        name: text("name")?.to_owned(),
        created,
    })
}
