//! S47: answers from a proxy or load balancer in the API server's place, read by the real client.

use std::collections::BTreeMap;

use lanyard_core::lease::LeaseRef;
use lanyard_core::provider::{Provider, ProviderError, Revocation};
use lanyard_provider_kubernetes::api::{Deleted, Kind, KubernetesApi as _, Object};
use lanyard_provider_kubernetes::{Cluster, KubernetesProvider, KubernetesTarget};
use lanyard_testkit::conformance::refuser;
use serde_json::json;

use crate::{NOW, faked};

const HTML: &str = "<html><body>404 Not Found</body></html>";
const BINDING: Object<'static> = Object {
    kind: Kind::RoleBinding,
    namespace: "payments",
    name: "lanyard-one",
};

/// Returns the client of a server that gives every request this answer.
async fn answered(status: &'static str, content_type: &'static str, body: String) -> Cluster {
    let address = refuser::start(status, content_type, body);
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("kubeconfig");
    let kubeconfig = format!(
        "apiVersion: v1\nkind: Config\ncurrent-context: fake\n\
         clusters: [{{name: fake, cluster: {{server: 'http://{address}'}}}}]\n\
         users: [{{name: fake, user: {{token: none}}}}]\n\
         contexts: [{{name: fake, context: {{cluster: fake, user: fake}}}}]\n"
    );
    std::fs::write(&path, kubeconfig).unwrap();
    Cluster::connect(Some(&path), None).await.unwrap()
}

fn status(code: u16, reason: &str, name: &str, kind: &str) -> String {
    let success = if code < 300 { "Success" } else { "Failure" };
    json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": success, "code": code,
        "reason": reason, "message": "no", "details": {"name": name, "kind": kind},
    })
    .to_string()
}

fn binding(name: &str, namespace: &str) -> String {
    json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding",
        "metadata": {"name": name, "namespace": namespace},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "x"},
    })
    .to_string()
}

fn foreign() -> Vec<(&'static str, &'static str, String)> {
    const JSON: &str = "application/json";
    let own = status(404, "NotFound", "lanyard-one", "rolebindings");
    let mut all = Vec::new();
    for code in [
        "200 OK",
        "404 Not Found",
        "500 Internal Server Error",
        "204 No Content",
    ] {
        for (media, body) in [
            ("text/html", HTML.to_owned()),
            (JSON, "{}".to_owned()),
            (JSON, "[]".to_owned()),
            (JSON, String::new()),
            (JSON, HTML.to_owned()),
            (JSON, binding("lanyard-another", "payments")),
            (JSON, binding("lanyard-one", "elsewhere")),
            (JSON, json!({"kind": "Secret", "apiVersion": "v1", "metadata": {"name": "lanyard-one"}}).to_string()),
            (JSON, status(404, "NotFound", "lanyard-another", "rolebindings")),
            (JSON, status(404, "NotFound", "lanyard-one", "secrets")),
            (JSON, status(404, "NotFound", "", "")),
            (JSON, status(200, "", "lanyard-another", "rolebindings")),
            (JSON, json!({"status": "Success", "details": {"name": "lanyard-one", "kind": "rolebindings"}}).to_string()),
            (JSON, own.chars().take(own.len() / 2).collect()),
            ("text/html", own.clone()),
            ("", own.clone()),
        ] {
            all.push((code, media, body));
        }
    }
    // The right document with another status code.
    all.push(("200 OK", JSON, own.clone()));
    all.push(("500 Internal Server Error", JSON, own));
    all
}

#[tokio::test]
async fn s47_a_foreign_answer_does_not_count_as_a_deletion() {
    for (code, media, body) in foreign() {
        let told = format!("{code}, {media}, {body}");
        let cluster = answered(code, media, body).await;
        let deleted = cluster.delete(BINDING).await;
        assert!(deleted.is_err(), "{told}: {deleted:?}");
        let listed = cluster
            .marked(Kind::ServiceAccount, "leases", "leases")
            .await;
        assert!(listed.is_err(), "{told}: {listed:?}");
    }
}

#[tokio::test]
async fn s47_the_servers_own_answers_count() {
    let json = "application/json; charset=utf-8";
    let own = [
        (
            "404 Not Found",
            status(404, "NotFound", "lanyard-one", "rolebindings"),
            Deleted::Gone,
        ),
        (
            "200 OK",
            status(200, "", "lanyard-one", "rolebindings"),
            Deleted::Taken,
        ),
        ("200 OK", binding("lanyard-one", "payments"), Deleted::Taken),
    ];
    for (code, body, means) in own {
        let cluster = answered(code, json, body).await;
        assert_eq!(cluster.delete(BINDING).await, Ok(means), "{code}");
    }
    let busy = answered("429 Too Many Requests", "text/plain", "later".to_owned()).await;
    let deleted = busy.delete(BINDING).await;
    assert!(
        matches!(deleted, Err(ProviderError::Throttled { .. })),
        "{deleted:?}"
    );
}

#[tokio::test]
async fn s47_answers_of_proxies_acknowledge_and_prove_nothing() {
    let faked = faked();
    let request = faked.request(60);
    let prepared = faked.provider.prepare(&request).unwrap();
    let lease = LeaseRef {
        id: request.lease,
        task: request.task,
        handle: prepared.handle.clone(),
        asked: NOW,
        worst_expiry: prepared.worst_expiry,
        kill: None,
    };
    for (code, media, body) in foreign() {
        let told = format!("{code}, {media}, {body}");
        let target = KubernetesTarget {
            namespace: "leases".to_owned(),
            cluster_roles: BTreeMap::new(),
            baseline: Vec::new(),
        };
        let provider = KubernetesProvider::new(target, answered(code, media, body).await);
        let revocation = Revocation {
            now: NOW,
            due: vec![lease.clone()],
            cut: Some(NOW),
            ..Revocation::default()
        };
        let report = provider.revoke(&revocation).await;
        assert!(
            report.outcomes.iter().all(|(_, it)| it.is_err()),
            "{told}: {report:?}"
        );
        let proved = provider
            .finish_and_prove(std::slice::from_ref(&lease))
            .await;
        assert!(
            proved.iter().all(|(_, it)| it.is_err()),
            "{told}: {proved:?}"
        );
        assert!(provider.probe(&lease).await.is_err(), "{told}");
        assert!(provider.list().await.is_err(), "{told}");
        assert!(provider.mint(&request, &prepared).await.is_err(), "{told}");
    }
}

#[tokio::test]
async fn s47_an_answer_without_end_is_cut_off() {
    const ANSWER_BYTES: usize = 16 * 1024 * 1024;
    let own = status(404, "NotFound", "lanyard-one", "rolebindings");
    for (more, counts) in [(0, true), (1, false)] {
        let body = format!("{own}{}", " ".repeat(ANSWER_BYTES - own.len() + more));
        let cluster = answered("404 Not Found", "application/json", body).await;
        let deleted = cluster.delete(BINDING).await;
        assert_eq!(deleted.is_ok(), counts, "{deleted:?}");
    }
}
