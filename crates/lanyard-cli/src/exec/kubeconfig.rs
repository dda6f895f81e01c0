//! A kubeconfig whose users come by their tokens through an exec plugin. It is YAML, of which JSON
//! is a part.

use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use lanyard_client::v1::KubernetesCredential;
use serde_json::{Value, json};

/// A cluster with one user.
pub(crate) struct Entry<'a> {
    pub(crate) name: &'a str,
    pub(crate) kubernetes: &'a KubernetesCredential,
    /// The program that prints the token.
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
    let kubernetes = entry.kubernetes;
    let fields = [
        ("server", kubernetes.server.clone()),
        ("certificate-authority-data", authority),
        ("tls-server-name", kubernetes.tls_server_name.clone()),
        ("proxy-url", kubernetes.proxy_url.clone()),
    ];
    let given = fields.into_iter().filter(|(_, value)| !value.is_empty());
    let cluster: serde_json::Map<String, Value> = given
        .map(|(name, value)| (name.to_owned(), value.into()))
        .collect();
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn c36_the_cluster_is_reached_as_the_broker_reaches_it() {
        let cluster_of = |kubernetes: &KubernetesCredential| -> Value {
            let entry = Entry {
                name: "change",
                kubernetes,
                program: Path::new("/bin/lanyard"),
                arguments: Vec::new(),
            };
            let document: Value = serde_json::from_str(&document(&[entry])).unwrap();
            document["clusters"][0]["cluster"].clone()
        };
        let mut kubernetes = KubernetesCredential {
            server: "https://127.0.0.2:6443".to_owned(),
            certificate_authority: "PEM".to_owned(),
            tls_server_name: "api.cluster.acme.example".to_owned(),
            proxy_url: "http://127.0.0.1:3128".to_owned(),
            ..KubernetesCredential::default()
        };
        let whole = json!({"server": "https://127.0.0.2:6443", "certificate-authority-data": "UEVN",
            "tls-server-name": "api.cluster.acme.example", "proxy-url": "http://127.0.0.1:3128"});
        assert_eq!(cluster_of(&kubernetes), whole);
        kubernetes.certificate_authority.clear();
        kubernetes.tls_server_name.clear();
        kubernetes.proxy_url.clear();
        assert_eq!(
            cluster_of(&kubernetes),
            json!({"server": "https://127.0.0.2:6443"})
        );
    }
}
