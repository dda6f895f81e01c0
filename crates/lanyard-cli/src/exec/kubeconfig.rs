//! A kubeconfig whose users come by their tokens through an exec plugin. It is YAML, of which JSON is a part.

use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use lanyard_client::v1::KubernetesCredential;
use serde_json::{Value, json};

/// One cluster with one user.
pub(crate) struct Entry<'a> {
    pub(crate) name: &'a str,
    pub(crate) kubernetes: &'a KubernetesCredential,
    /// What gives the token.
    pub(crate) program: &'a Path,
    pub(crate) arguments: Vec<String>,
}

/// The first entry is the current one.
pub(crate) fn document(entries: &[Entry<'_>]) -> String {
    let all = |of: fn(&Entry<'_>) -> Value| -> Vec<Value> { entries.iter().map(of).collect() };
    let first = entries.first().map_or("", |entry| entry.name);
    let config = json!({"apiVersion": "v1", "kind": "Config", "current-context": first, "preferences": {},
        "clusters": all(cluster), "users": all(user), "contexts": all(context)});
    format!("{config:#}\n")
}

fn cluster(entry: &Entry<'_>) -> Value {
    let authority = STANDARD.encode(&entry.kubernetes.certificate_authority);
    let mut cluster = json!({"server": entry.kubernetes.server});
    if !authority.is_empty()
        && let Some(fields) = cluster.as_object_mut()
    {
        fields.insert("certificate-authority-data".to_owned(), authority.into());
    }
    json!({"name": entry.name, "cluster": cluster})
}

fn user(entry: &Entry<'_>) -> Value {
    json!({"name": entry.name, "user": {"exec": {
        "apiVersion": "client.authentication.k8s.io/v1",
        "command": entry.program.display().to_string(),
        "args": entry.arguments,
        "interactiveMode": "Never",
        "installHint": "the token comes from lanyard, which is not where it was: run this again under lanyard"}}})
}

fn context(entry: &Entry<'_>) -> Value {
    let namespace = &entry.kubernetes.namespace;
    json!({"name": entry.name, "context": {"cluster": entry.name, "user": entry.name, "namespace": namespace}})
}
