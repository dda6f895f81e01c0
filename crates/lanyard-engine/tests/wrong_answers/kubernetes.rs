//! kube-apiserver.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use lanyard_charter::TargetKind;
use lanyard_charter::kinds::{Credential, KubernetesCredential};
use lanyard_core::provider::Provider;
use lanyard_provider_kubernetes::{Cluster, KubernetesProvider, KubernetesTarget};
use lanyard_testkit::conformance::between::{Answer, Between, Fault, Rule};
use lanyard_testkit::world;
use lanyard_vocabulary::id::LeaseId;

use crate::play::{Site, play};

const HOME: &str = "wrong-leases";
const TARGET: &str = "wrong-target";
const JSON: &str = "application/json";
/// An object of the API, and what the API server says of another one that is not there and of
/// another one that it deleted.
const OTHERS: [(&str, &str); 3] = [
    (
        JSON,
        r#"{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "other", "namespace": "wrong-target"}}"#,
    ),
    (
        JSON,
        r#"{"apiVersion": "v1", "kind": "Status", "status": "Failure", "code": 404, "reason": "NotFound", "details": {"name": "other", "kind": "secrets"}}"#,
    ),
    (
        JSON,
        r#"{"apiVersion": "v1", "kind": "Status", "status": "Success", "code": 200, "details": {"name": "other", "kind": "rolebindings"}}"#,
    ),
];
const THROTTLES: [Answer; 2] = [
    Answer {
        status: "429 Too Many Requests",
        media: "text/plain",
        body: "Too many requests, please try again later.",
    },
    Answer {
        status: "503 Service Unavailable",
        media: JSON,
        body: r#"{"apiVersion": "v1", "kind": "Status", "status": "Failure", "code": 503, "reason": "ServiceUnavailable"}"#,
    },
];

struct Behind {
    cluster: lanyard_rig::Cluster,
    between: Between,
    broker: Cluster,
}

async fn behind() -> Option<Behind> {
    let Some(cluster) = lanyard_rig::Cluster::shared() else {
        eprintln!("NOT RUN: no API server is named; `cargo xtask test` starts one");
        return None;
    };
    cluster.namespaces(HOME, TARGET).unwrap();
    let server = cluster.clone();
    let between = Between::before(move || {
        let stream = server.connect().map_err(std::io::Error::other)?;
        Ok(Box::new(stream))
    });
    let directory = tempfile::tempdir().unwrap();
    let [real, ..] = cluster.issuer().unwrap();
    let config = std::fs::read_to_string(cluster.kubeconfig("broker")).unwrap();
    let config = config.replace(&real, &format!("http://{}", between.address()));
    let path = directory.path().join("kubeconfig");
    std::fs::write(&path, config).unwrap();
    let broker = Cluster::connect(Some(&path), None).await.unwrap();
    Some(Behind {
        cluster,
        between,
        broker,
    })
}

#[async_trait]
impl Site for Behind {
    fn kind(&self) -> TargetKind {
        TargetKind::KUBERNETES
    }

    fn charter(&self) -> String {
        let namespace = format!("namespace: {TARGET}");
        let text = world::CHARTER.replace("namespace: payments", &namespace);
        text.replace("ttl: 10m", "ttl: 1h")
    }

    async fn provider(&self) -> Arc<dyn Provider> {
        let target = KubernetesTarget {
            namespace: HOME.to_owned(),
            cluster_roles: BTreeMap::new(),
            baseline: Vec::new(),
        };
        Arc::new(KubernetesProvider::new(target, self.broker.clone()))
    }

    fn between(&self) -> &Between {
        &self.between
    }

    fn calls(&self) -> Vec<Rule> {
        let delete = Rule::method("DELETE");
        vec![
            delete,
            delete.at("/rolebindings/"),
            delete.at("/secrets/"),
            delete.at("/serviceaccounts/"),
            delete.at("/roles/"),
            Rule::method("GET"),
            Rule::method("POST").at("/subjectaccessreviews"),
        ]
    }

    fn faults(&self) -> Vec<Fault> {
        Fault::all(&THROTTLES, &OTHERS)
    }

    async fn works(&self, _lease: LeaseId, credential: &Credential) -> bool {
        let Some(KubernetesCredential { token, .. }) = credential.get() else {
            unreachable!("a credential of another kind")
        };
        let path = format!("/apis/apps/v1/namespaces/{TARGET}/deployments");
        let code = self.cluster.get(token.expose(), &path).unwrap();
        assert!(matches!(code, 200 | 401 | 403), "{code}");
        code == 200
    }
}

#[tokio::test]
async fn s47_kubernetes_no_token_is_called_dead_while_it_works_and_all_die_once_the_way_is_clear() {
    if let Some(behind) = behind().await {
        play(&behind).await;
    }
}
