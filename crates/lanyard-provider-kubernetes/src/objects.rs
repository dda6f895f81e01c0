//! How what belongs to a lease is named and marked in the cluster.

use std::collections::BTreeMap;

use lanyard_core::charter::{KubernetesGrant, KubernetesRights, PolicyRule};
use lanyard_core::id::LeaseId;
use lanyard_core::lease::Handle;
use lanyard_core::provider::MintRequest;
use ring::digest::{SHA256, digest};
use serde::{Deserialize, Serialize};

/// On everything that the broker made.
pub(crate) const MANAGED_BY: (&str, &str) = ("app.kubernetes.io/managed-by", "lanyardd");
/// The broker's namespace, which tells two brokers on one cluster apart.
pub(crate) const HOME: &str = "lanyard.dev/home";
/// The lease's id, as annotation.
pub(crate) const LEASE: &str = "lanyard.dev/lease";
/// What the lease is revoked by.
pub(crate) const HANDLE: &str = "lanyard.dev/handle";
/// When the first lease that uses a Role was asked for, in milliseconds.
pub(crate) const ASKED: &str = "lanyard.dev/asked-ms";

/// Labels and annotations of one object.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Marks {
    /// What is selected by; values are truncated digests or ids.
    pub labels: BTreeMap<String, String>,
    /// The whole of it.
    pub annotations: BTreeMap<String, String>,
}

/// One thing that a credential may do: asked about, to show that it no longer may.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Question {
    /// `get`, …
    pub verb: String,
    /// The empty group is `""`.
    pub group: String,
    /// With its subresource after a slash.
    pub resource: String,
    /// The object; empty for any.
    pub name: String,
}

impl Question {
    /// Something that these rules allow.
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

/// Everything that a revocation needs to know; the text of the lease's handle.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Held {
    /// Where the ServiceAccount and the Secret are.
    pub(crate) home: String,
    /// Where the rights are bound.
    pub(crate) namespace: String,
    /// What shows that they are not any more.
    pub(crate) ask: Option<Question>,
    /// The shared Role that they are in; nothing where the charter names a ClusterRole, and in handles of earlier versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) role: Option<String>,
}

impl Held {
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

/// The name of every object of a lease; 63 characters at most, lower case.
pub(crate) fn name(lease: LeaseId) -> String {
    format!("lanyard-{}", lease.to_string().to_ascii_lowercase())
}

/// The user that a lease's token authenticates as, and its groups.
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

/// A user like that of a lease, in the same groups, that no lease stands for.
pub(crate) fn nobody(home: &str) -> (String, Vec<String>) {
    let (_, groups) = user(home, LeaseId::from_bits(0));
    (
        format!("system:serviceaccount:{home}:lanyard-nobody"),
        groups,
    )
}

/// The Role that the leases of one grant share: another one for other rules, another charter revision, and
/// after a kill.
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

/// 128 bits of SHA-256, in hex: what fits into a label.
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

/// Of a Role.
pub(crate) fn role_marks(home: &str, request: &MintRequest) -> Marks {
    let mut marks = marks(home, request);
    marks
        .annotations
        .insert(ASKED.to_owned(), request.now.as_millis().to_string());
    marks
}

/// Of what belongs to one lease.
pub(crate) fn lease_marks(home: &str, request: &MintRequest, handle: &Handle) -> Marks {
    let mut marks = marks(home, request);
    let lease = request.lease.to_string();
    marks
        .labels
        .insert(LEASE.to_owned(), lease.to_ascii_lowercase());
    marks.labels.insert(
        "lanyard.dev/task".to_owned(),
        request.task.to_string().to_ascii_lowercase(),
    );
    let more = [
        (LEASE, lease),
        (HANDLE, handle.0.to_string()),
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
            (HOME, home.to_owned()),
            ("lanyard.dev/charter", short(request.charter.as_str())),
        ]),
        annotations: texts(vec![
            ("lanyard.dev/charter", request.charter.to_string()),
            ("lanyard.dev/revision", request.revision.to_string()),
            ("lanyard.dev/grant", request.grant.to_string()),
        ]),
    }
}
