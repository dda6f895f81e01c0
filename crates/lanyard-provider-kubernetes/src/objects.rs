//! Names, labels and annotations of a lease's objects in the cluster.

use std::collections::BTreeMap;

use lanyard_charter::{KubernetesGrant, KubernetesRights, PolicyRule};
use lanyard_core::lease::Handle;
use lanyard_core::provider::MintRequest;
use lanyard_vocabulary::id::LeaseId;
use ring::digest::{SHA256, digest};
use serde::{Deserialize, Serialize};

/// Label of every object that the broker created.
pub(crate) const MANAGED_BY: (&str, &str) = ("app.kubernetes.io/managed-by", "lanyardd");
/// Label with the broker's namespace, which tells two brokers on one cluster apart.
pub(crate) const HOME_LABEL: &str = "lanyard.dev/home";
/// Annotation with the lease's id.
pub(crate) const LEASE_ANNOTATION: &str = "lanyard.dev/lease";
/// Annotation with the lease's handle, by which it is revoked.
pub(crate) const HANDLE_ANNOTATION: &str = "lanyard.dev/handle";
/// Annotation with the time at which the first lease of a Role was asked for, in milliseconds.
pub(crate) const ASKED_ANNOTATION: &str = "lanyard.dev/asked-ms";

/// The labels and annotations of one object.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Marks {
    /// Labels, for selection. Their values are truncated digests or ids, since labels are short.
    pub labels: BTreeMap<String, String>,
    /// Annotations, with the full values.
    pub annotations: BTreeMap<String, String>,
}

/// A right of a credential. Losing it shows later that the credential is dead.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Question {
    /// The verb, such as `get`.
    pub verb: String,
    /// The API group; `""` is the core group.
    pub group: String,
    /// The resource, with its subresource after a slash.
    pub resource: String,
    /// The object's name; empty for any object.
    pub name: String,
}

impl Question {
    /// Picks one right that the grant's rules allow; `None` for a ClusterRole, whose rules are not
    /// known here.
    pub(crate) fn about(rights: &KubernetesRights) -> Option<Self> {
        let KubernetesRights::Rules(rules) = rights else {
            return None;
        };
        let rule = rules.first()?;
        Some(Self {
            verb: rule.verbs.first()?.clone(),
            group: rule.api_groups.first()?.clone(),
            resource: rule.resources.first()?.clone(),
            name: rule.resource_names.first().cloned().unwrap_or_default(),
        })
    }
}

/// The data that a revocation needs. Its JSON is the text of the lease's handle.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct LeaseHandle {
    /// Namespace of the ServiceAccount and the Secret.
    pub(crate) home: String,
    /// Namespace of the RoleBinding.
    pub(crate) namespace: String,
    /// The right whose loss shows that the lease is dead.
    pub(crate) ask: Option<Question>,
    /// Name of the shared Role; `None` for a ClusterRole, and in handles of earlier versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) role: Option<String>,
}

impl LeaseHandle {
    pub(crate) fn new(home: &str, request: &MintRequest, grant: &KubernetesGrant) -> Self {
        let role = match &grant.rights {
            KubernetesRights::Rules(rules) => Some(role_name(home, request, rules)),
            KubernetesRights::ClusterRole(_) => None,
        };
        Self {
            role,
            home: home.to_owned(),
            namespace: grant.namespace.clone(),
            ask: Question::about(&grant.rights),
        }
    }

    pub(crate) fn handle(&self) -> Handle {
        Handle(serde_json::json!(self).to_string().into())
    }

    pub(crate) fn read(handle: &Handle) -> Option<Self> {
        serde_json::from_str(&handle.0).ok()
    }
}

/// The name of every object of a lease: lower case and at most 63 characters, as DNS labels
/// require.
pub(crate) fn name(lease: LeaseId) -> String {
    format!("lanyard-{}", lease.to_string().to_ascii_lowercase())
}

/// The user and the groups as which a lease's token authenticates.
pub(crate) fn user(home: &str, lease: LeaseId) -> (String, Vec<String>) {
    let groups = [
        "system:serviceaccounts".to_owned(),
        format!("system:serviceaccounts:{home}"),
        "system:authenticated".to_owned(),
    ];
    (
        format!("system:serviceaccount:{home}:{}", name(lease)),
        groups.into(),
    )
}

/// Returns a user in the same groups as leases' users that never has a lease. Rights of this user
/// are rights of everybody.
pub(crate) fn user_without_lease(home: &str) -> (String, Vec<String>) {
    let (_, groups) = user(home, LeaseId::from_bits(0));
    (
        format!("system:serviceaccount:{home}:lanyard-nobody"),
        groups,
    )
}

/// The name of the Role that a grant's leases share. Other rules, another charter revision and a
/// later kill order each give another name.
pub(crate) fn role_name(home: &str, request: &MintRequest, rules: &[PolicyRule]) -> String {
    let of = serde_json::json!([
        home,
        request.charter.as_str(),
        request.revision.to_string(),
        request.grant.as_str(),
        request.epoch,
        rules,
    ]);
    format!("lanyard-{}", short(&of.to_string()))
}

/// The first 128 bits of SHA-256 in hex, which fit into a label.
fn short(text: &str) -> String {
    let hash = digest(&SHA256, text.as_bytes());
    hash.as_ref()
        .iter()
        .take(16)
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

fn texts(pairs: Vec<(&str, String)>) -> BTreeMap<String, String> {
    pairs
        .into_iter()
        .map(|(key, value)| (key.to_owned(), value))
        .collect()
}

/// Labels and annotations of a shared Role.
pub(crate) fn role_marks(home: &str, request: &MintRequest) -> Marks {
    let mut marks = marks(home, request);
    marks.annotations.insert(
        ASKED_ANNOTATION.to_owned(),
        request.now.as_millis().to_string(),
    );
    marks
}

/// Labels and annotations of an object that belongs to one lease.
pub(crate) fn lease_marks(home: &str, request: &MintRequest, handle: &Handle) -> Marks {
    let mut marks = marks(home, request);
    let lease = request.lease.to_string();
    marks
        .labels
        .insert(LEASE_ANNOTATION.to_owned(), lease.to_ascii_lowercase());
    marks.labels.insert(
        "lanyard.dev/task".to_owned(),
        request.task.to_string().to_ascii_lowercase(),
    );
    let more = [
        (LEASE_ANNOTATION, lease),
        (HANDLE_ANNOTATION, handle.0.to_string()),
        ("lanyard.dev/task", request.task.to_string()),
        ("lanyard.dev/agent", request.agent.0.clone()),
        ("lanyard.dev/expires", request.expires.to_string()),
    ];
    marks.annotations.extend(texts(more.into()));
    marks
}

fn marks(home: &str, request: &MintRequest) -> Marks {
    Marks {
        labels: texts(vec![
            (MANAGED_BY.0, MANAGED_BY.1.to_owned()),
            (HOME_LABEL, home.to_owned()),
            ("lanyard.dev/charter", short(request.charter.as_str())),
        ]),
        annotations: texts(vec![
            ("lanyard.dev/charter", request.charter.to_string()),
            ("lanyard.dev/revision", request.revision.to_string()),
            ("lanyard.dev/grant", request.grant.to_string()),
        ]),
    }
}
