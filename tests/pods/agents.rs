//! Agents in pods, known by their service accounts: a credential for the cluster that they run on,
//! and its end.

use anyhow::{Context as _, Result, ensure};
use lanyard_rig::{Answer, Pods};
use serde_json::{Value, json};

use crate::broker::{Broker, Shape, until};
use crate::pods;

/// The exit code of what a kill order refuses.
const STOPPED: i32 = 6;
const API_SERVER: &str = "--server=https://kubernetes.default.svc.cluster.local";

/// An agent's pod, of the service account `router`.
pub(crate) struct Agent {
    pods: Pods,
    namespace: String,
}

impl Agent {
    /// Starts the pod in a namespace that has a ConfigMap `lanyard` with a context.
    pub(crate) fn start(pods: &Pods, namespace: &str) -> Result<Self> {
        let metadata = |name: &str| json!({"name": name, "namespace": namespace});
        let mount = |name: &str, path: &str| json!({"name": name, "mountPath": path});
        let pod = json!({
            "serviceAccountName": "router", "automountServiceAccountToken": false, "terminationGracePeriodSeconds": 1,
            "securityContext": {
                "runAsNonRoot": true, "runAsUser": 10001, "fsGroup": 10001, "seccompProfile": {"type": "RuntimeDefault"},
            },
            "containers": [{
                "name": "agent", "image": "localhost/agent:1", "imagePullPolicy": "IfNotPresent",
                "env": [
                    {"name": "LANYARD_CONTEXT", "value": "/etc/lanyard/context.json"},
                    {"name": "LANYARD_STATE", "value": "/var/lib/lanyard-client/state"},
                ],
                "securityContext": {
                    "allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true, "capabilities": {"drop": ["ALL"]},
                },
                "volumeMounts": [
                    mount("lanyard", "/etc/lanyard"), mount("lanyard-token", "/var/run/secrets/lanyard"),
                    mount("lanyard-state", "/var/lib/lanyard-client"),
                ],
            }],
            "volumes": [
                {"name": "lanyard", "configMap": {"name": "lanyard"}},
                {"name": "lanyard-token", "projected": {"sources": [
                    {"serviceAccountToken": {"audience": "lanyard", "expirationSeconds": 600, "path": "token"}},
                ]}},
                {"name": "lanyard-state", "emptyDir": {"medium": "Memory"}},
            ],
        });
        let manifests = json!({"apiVersion": "v1", "kind": "List", "items": [
            {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata("router")},
            {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata("settings"), "data": {"a": "b"}},
            {"apiVersion": "v1", "kind": "Pod", "metadata": metadata("router"), "spec": pod},
        ]});
        pods.apply(&manifests.to_string())?;
        pods.ok(&[
            "wait",
            "--namespace",
            namespace,
            "--for=condition=Ready",
            "pod/router",
            "--timeout=180s",
        ])?;
        Ok(Self {
            pods: pods.clone(),
            namespace: namespace.to_owned(),
        })
    }

    /// `lanyard` in the pod, whatever comes of it.
    pub(crate) fn run(&self, arguments: &[&str]) -> Result<Answer> {
        let exec = [
            "exec",
            "--namespace",
            &self.namespace,
            "router",
            "--",
            "/bin/lanyard",
        ];
        self.pods.kubectl(&[&exec[..], arguments].concat())
    }

    /// The same, and wants success; its standard output.
    pub(crate) fn ok(&self, arguments: &[&str]) -> Result<String> {
        let answer = self.run(arguments)?;
        ensure!(
            answer.code == 0,
            "lanyard {}: {}",
            arguments.join(" "),
            answer.stderr
        );
        Ok(answer.stdout)
    }

    /// Opens a task in production.
    pub(crate) fn task(&self) -> Result<String> {
        let open = [
            "-o",
            "name",
            "task",
            "open",
            "shop",
            "--environment",
            "production",
        ];
        self.ok(&[&open[..], &["--reason", "ticket 12"]].concat())
    }

    /// A token for the cluster's own API server, by the grant `read-settings`.
    pub(crate) fn token(&self, task: &str) -> Result<String> {
        let credential = self.ok(&["creds", "kube", "--task", task, "read-settings"])?;
        let credential: Value = serde_json::from_str(&credential)?;
        let token = credential.pointer("/status/token").and_then(Value::as_str);
        Ok(token.context("no token")?.to_owned())
    }

    /// True if the API server gives this to the token.
    pub(crate) fn may_get(&self, token: &str, what: &str) -> Result<bool> {
        let bearer = format!("--token={token}");
        let place = [
            "--kubeconfig=/dev/null",
            "--insecure-skip-tls-verify",
            "--namespace",
            &self.namespace,
        ];
        let get = [&[API_SERVER, &bearer], &place[..], &["get", what]].concat();
        Ok(self.pods.kubectl(&get)?.code == 0)
    }
}

#[test]
fn an_agent_in_a_pod_gets_a_credential_for_its_cluster_and_a_kill_ends_it() -> Result<()> {
    let Some(pods) = pods() else {
        return Ok(());
    };
    let broker = Broker::install(pods, "agents", &Shape::default())?;
    broker.ready()?;
    let namespace = broker.target();
    let context = json!({
        "endpoint": broker.url(), "ca_file": "/etc/lanyard/ca.pem",
        "identity": {"token_file": "/var/run/secrets/lanyard/token"},
    });
    let manifests = json!({"apiVersion": "v1", "kind": "List", "items": [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {
            "name": namespace, "labels": {"pod-security.kubernetes.io/enforce": "restricted"},
        }},
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "lanyard", "namespace": namespace}, "data": {
            "context.json": context.to_string(), "ca.pem": broker.authority.pem,
        }},
    ]});
    broker.pods.apply(&manifests.to_string())?;
    let agent = Agent::start(&broker.pods, &namespace)?;
    let who = agent.ok(&["whoami"])?;
    assert!(
        who.contains("token-review") && who.contains("pod=router"),
        "{who}"
    );
    let task = agent.task()?;
    let token = agent.token(&task)?;
    assert!(agent.may_get(&token, "configmap/settings")?);
    assert!(
        !agent.may_get(&token, "pods")?,
        "the token reads more than the grant names"
    );

    // A broker that starts again on its volume still knows the lease.
    broker.restart()?;
    let leases = broker.oncall_ok(&["lease", "list"])?;
    assert!(leases.contains("read-settings"), "{leases}");
    assert!(agent.may_get(&token, "configmap/settings")?);

    let killed = broker.oncall(&[
        "kill", "--target", "cluster", "--reason", "it loops", "--yes",
    ])?;
    assert_eq!(killed.code, 0, "{}{}", killed.stdout, killed.stderr);
    until("the token is refused", || {
        Ok(!agent.may_get(&token, "configmap/settings")?)
    })?;
    let refused = agent.run(&["request", "--task", &task, "read-settings"])?;
    assert_eq!(refused.code, STOPPED, "{}", refused.stderr);
    Ok(())
}
