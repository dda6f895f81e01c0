//! A broker in a namespace of its own, as plain manifests, under pod security `restricted`.

use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use lanyard_rig::{Answer, Pods};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use ring::signature::{Ed25519KeyPair, KeyPair as _};
use serde_json::{Map, Value, json};
use tempfile::TempDir;

/// How often a cluster is asked, and how long between: three minutes in all, for what takes seconds
/// on an idle machine.
const POLLS: u32 = 900;
const POLL_INTERVAL: Duration = Duration::from_millis(200);
/// The manifests that the documentation tells operators to apply.
const CLUSTER_RIGHTS: &str = include_str!("../../docs/kubernetes/cluster.yaml");
const NAMESPACE_RIGHTS: &str = include_str!("../../docs/kubernetes/namespaces.yaml");
const CHARTER: &str = include_str!("charter.yaml");

/// An authority for certificates of brokers.
pub(crate) struct Authority {
    params: CertificateParams,
    key: KeyPair,
    pub(crate) pem: String,
}

impl Authority {
    pub(crate) fn fresh() -> Result<Self> {
        let mut params = CertificateParams::new([])?;
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate()?;
        let pem = params.self_signed(&key)?.pem();
        Ok(Self { params, key, pem })
    }

    /// A certificate for this name, and its key.
    pub(crate) fn certify(&self, name: &str) -> Result<[String; 2]> {
        let key = KeyPair::generate()?;
        let certificate = CertificateParams::new([name.to_owned()])?
            .signed_by(&key, &Issuer::from_params(&self.params, &self.key))?;
        Ok([certificate.pem(), key.serialize_pem()])
    }
}

/// The settings of the pod that differ between tests.
pub(crate) struct Shape {
    /// The pod's `securityContext`, besides what `restricted` asks for.
    pub(crate) security: Value,
    /// The mode of the files of Secrets.
    pub(crate) secret_mode: u32,
}

impl Default for Shape {
    fn default() -> Self {
        Self {
            security: json!({"fsGroup": 65532}),
            secret_mode: 0o440,
        }
    }
}

/// A broker's namespace, and an operator of it.
pub(crate) struct Broker {
    pub(crate) pods: Pods,
    pub(crate) namespace: String,
    pub(crate) authority: Authority,
    /// The operator's context and key, written from within the node as well.
    folder: TempDir,
}

impl Broker {
    /// Installs a broker of this shape in the namespace; it need not get ready.
    pub(crate) fn install(pods: Pods, namespace: &str, shape: &Shape) -> Result<Self> {
        let folder = pods.folder()?;
        let authority = Authority::fresh()?;
        let broker = Self {
            pods,
            namespace: namespace.to_owned(),
            authority,
            folder,
        };
        let restricted = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {
            "name": namespace, "labels": {"pod-security.kubernetes.io/enforce": "restricted"},
        }});
        broker.pods.apply(&restricted.to_string())?;
        let rights = NAMESPACE_RIGHTS
            .replace("HOME", &broker.leases())
            .replace("TARGET", &broker.target());
        let account = format!("{{kind: ServiceAccount, name: lanyardd, namespace: {namespace}}}");
        let user = "{apiGroup: rbac.authorization.k8s.io, kind: User, name: lanyardd}";
        let rights = format!("{CLUSTER_RIGHTS}---\n{rights}").replace(user, &account);
        // The rights in the whole cluster are each broker's own.
        let rights = rights.replace(
            "name: lanyardd}\nroleRef",
            &format!("name: lanyardd-{namespace}}}\nroleRef"),
        );
        broker.pods.apply(&rights)?;
        broker.operator()?;
        broker.settle(CHARTER, &broker.authority.certify(&broker.host())?)?;
        broker.pods.apply(&broker.manifests(shape).to_string())?;
        Ok(broker)
    }

    /// The namespace of its leases.
    pub(crate) fn leases(&self) -> String {
        format!("{}-leases", self.namespace)
    }

    /// The namespace that charters name.
    pub(crate) fn target(&self) -> String {
        format!("{}-shop", self.namespace)
    }

    /// The name of its Service.
    pub(crate) fn host(&self) -> String {
        format!("lanyard.{}.svc.cluster.local", self.namespace)
    }

    pub(crate) fn url(&self) -> String {
        format!("https://{}:7070", self.host())
    }

    /// Writes the charter and the certificate, or changes them.
    pub(crate) fn settle(&self, charter: &str, [certificate, key]: &[String; 2]) -> Result<()> {
        let jwks = std::fs::read_to_string(self.folder.path().join("people.jwks.json"))?;
        let charter = charter
            .replace("NAMESPACE", &self.namespace)
            .replace("TARGET", &self.target());
        let metadata = |name: &str| json!({"name": name, "namespace": self.namespace});
        let files = json!({
            "lanyardd.yaml": self.config(), "people.jwks.json": jwks, "shop.yaml": charter,
        });
        self.pods.apply(
            &json!({"apiVersion": "v1", "kind": "List", "items": [
                {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata("lanyardd"), "data": files},
                {"apiVersion": "v1", "kind": "Secret", "metadata": metadata("lanyardd-tls"), "type": "kubernetes.io/tls",
                 "data": {"tls.crt": STANDARD.encode(certificate), "tls.key": STANDARD.encode(key)}},
            ]})
            .to_string(),
        )
    }

    fn config(&self) -> String {
        let (url, leases) = (self.url(), self.leases());
        format!(
            "data_dir: /var/lib/lanyard/data\n\
             charters: /etc/lanyard/charters\n\
             listen: 0.0.0.0:7070\n\
             kill_listen: 0.0.0.0:7071\n\
             tls: {{certificate: /etc/lanyard-tls/tls.crt, key: /etc/lanyard-tls/tls.key}}\n\
             issuer: {url}\n\
             audience: lanyard\n\
             issuers:\n\
             - {{issuer: https://kubernetes.default.svc.cluster.local, kind: agents, kubernetes: {{}}}}\n\
             - issuer: https://people.lanyard.invalid\n  kind: operators\n  jwks_file: people.jwks.json\n  \
             roles: {{viewer: [oncall], on-call: [oncall]}}\n\
             environments: {{production: production}}\n\
             targets:\n  tickets: {{kind: token}}\n  cluster: {{kind: kubernetes, namespace: {leases}}}\n"
        )
    }

    /// The Service and the StatefulSet.
    fn manifests(&self, shape: &Shape) -> Value {
        let metadata = |name: &str| json!({"name": name, "namespace": self.namespace});
        let labels = json!({"app": "lanyardd"});
        let security = json!({"runAsNonRoot": true, "seccompProfile": {"type": "RuntimeDefault"}});
        let more = shape.security.as_object().into_iter().flatten();
        let security: Map<String, Value> = security
            .as_object()
            .into_iter()
            .flatten()
            .chain(more)
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect();
        let probe = json!({"httpGet": {"scheme": "HTTPS", "path": "/readyz/kill", "port": 7071}, "periodSeconds": 1, "timeoutSeconds": 10});
        let config = json!({"name": "lanyardd", "items": [
            {"key": "lanyardd.yaml", "path": "lanyardd.yaml"},
            {"key": "people.jwks.json", "path": "people.jwks.json"},
            {"key": "shop.yaml", "path": "charters/shop.yaml"},
        ]});
        let mount = |name: &str, path: &str| json!({"name": name, "mountPath": path});
        let container = json!({
            "name": "lanyardd", "image": "localhost/lanyardd:1", "imagePullPolicy": "IfNotPresent",
            "args": ["serve", "--config", "/etc/lanyard/lanyardd.yaml"],
            "readinessProbe": probe,
            "securityContext": {
                "allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true, "capabilities": {"drop": ["ALL"]},
            },
            "volumeMounts": [
                mount("data", "/var/lib/lanyard"), mount("config", "/etc/lanyard"), mount("tls", "/etc/lanyard-tls"),
            ],
        });
        json!({"apiVersion": "v1", "kind": "List", "items": [
            {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata("lanyardd")},
            {"apiVersion": "v1", "kind": "Service", "metadata": metadata("lanyard"), "spec": {
                "selector": labels,
                "ports": [{"name": "agents", "port": 7070}, {"name": "kill", "port": 7071}],
            }},
            {"apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": metadata("lanyardd"), "spec": {
                "serviceName": "lanyard", "replicas": 1, "podManagementPolicy": "Parallel",
                "selector": {"matchLabels": labels},
                "template": {"metadata": {"labels": labels}, "spec": {
                    "serviceAccountName": "lanyardd", "terminationGracePeriodSeconds": 10,
                    "securityContext": security, "containers": [container],
                    "volumes": [
                        {"name": "config", "configMap": config},
                        {"name": "tls", "secret": {"secretName": "lanyardd-tls", "defaultMode": shape.secret_mode}},
                    ],
                }},
                "volumeClaimTemplates": [{"metadata": {"name": "data"}, "spec": {
                    "accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}},
                }}],
            }},
        ]})
    }

    /// kubectl in the namespace, whatever comes of it.
    pub(crate) fn kubectl(&self, arguments: &[&str]) -> Result<Answer> {
        let namespace = ["--namespace", &self.namespace];
        self.pods.kubectl(&[&namespace[..], arguments].concat())
    }

    /// kubectl in the namespace, and wants success; its standard output.
    pub(crate) fn ok(&self, arguments: &[&str]) -> Result<String> {
        let namespace = ["--namespace", &self.namespace];
        self.pods.ok(&[&namespace[..], arguments].concat())
    }

    /// Waits until the broker is ready and its Service leads there.
    pub(crate) fn ready(&self) -> Result<()> {
        let ready = "jsonpath={.status.containerStatuses[0].ready}";
        until("the broker is ready", || {
            let answer = self.kubectl(&["get", "pod", "lanyardd-0", "-o", ready])?;
            Ok(answer.stdout == "true" && self.oncall(&["status"])?.code == 0)
        })
        .with_context(|| self.log())
    }

    /// The log of the broker, with that of its last run before.
    pub(crate) fn log(&self) -> String {
        let logs = |more: &[&str]| {
            let answer = self.kubectl(&[&["logs", "lanyardd-0"], more].concat());
            answer.map(|answer| answer.stdout).unwrap_or_default()
        };
        let now = logs(&[]);
        if now.is_empty() {
            logs(&["--previous"])
        } else {
            now
        }
    }

    /// Ends the pod, and waits until the next one is ready.
    pub(crate) fn restart(&self) -> Result<()> {
        self.ok(&["delete", "pod", "lanyardd-0", "--wait=true"])?;
        self.ready()
    }

    /// The folder of its volume, as the machine sees it.
    pub(crate) fn volume(&self) -> Result<String> {
        let claim = [
            "get",
            "pvc",
            "data-lanyardd-0",
            "-o",
            "jsonpath={.spec.volumeName}",
        ];
        let volume = self.ok(&claim)?;
        self.pods
            .ok(&["get", "pv", &volume, "-o", "jsonpath={.spec.local.path}"])
    }

    /// `lanyard` as the operator, from within the node, whatever comes of it.
    pub(crate) fn oncall(&self, arguments: &[&str]) -> Result<Answer> {
        self.oncall_believing(&self.authority, arguments)
    }

    /// The same, believing this authority alone.
    pub(crate) fn oncall_believing(
        &self,
        authority: &Authority,
        arguments: &[&str],
    ) -> Result<Answer> {
        std::fs::write(self.folder.path().join("ca.pem"), &authority.pem)?;
        let output = self
            .pods
            .command(Path::new("env"))?
            .arg(format!(
                "LANYARD_STATE={}",
                self.folder.path().join("state").display()
            ))
            .arg(lanyard_rig::binaries()?.join("lanyard"))
            .arg("--context")
            .arg(self.folder.path().join("oncall.json"))
            .args(arguments)
            .output()?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim_end().to_owned();
        Ok(Answer {
            code: output.status.code().unwrap_or(-1),
            stdout: text(&output.stdout),
            stderr: text(&output.stderr),
        })
    }

    /// `lanyard` as the operator, and wants success; its standard output.
    pub(crate) fn oncall_ok(&self, arguments: &[&str]) -> Result<String> {
        let answer = self.oncall(arguments)?;
        ensure!(
            answer.code == 0,
            "lanyard {}: {}",
            arguments.join(" "),
            answer.stderr
        );
        Ok(answer.stdout)
    }

    /// The key of the operators' issuer, and a context for one of them.
    fn operator(&self) -> Result<()> {
        let folder = self.folder.path();
        let random = ring::rand::SystemRandom::new();
        let pkcs8 = Ed25519KeyPair::generate_pkcs8(&random)
            .ok()
            .context("no random bits")?;
        let pair = Ed25519KeyPair::from_pkcs8(pkcs8.as_ref())
            .ok()
            .context("no key")?;
        let mut file = std::fs::OpenOptions::new();
        let mut file = file
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(folder.join("people.pk8"))?;
        std::io::Write::write_all(&mut file, pkcs8.as_ref())?;
        let x = URL_SAFE_NO_PAD.encode(pair.public_key());
        let jwks = json!({"keys": [{"kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "use": "sig", "kid": "one", "x": x}]});
        std::fs::write(folder.join("people.jwks.json"), jwks.to_string())?;
        let context = json!({"endpoint": self.url(), "ca_file": "ca.pem", "identity": {
            "key_file": "people.pk8", "kid": "one", "issuer": "https://people.lanyard.invalid", "subject": "oncall",
            "audience": "lanyard", "groups": ["oncall"],
        }});
        Ok(std::fs::write(
            folder.join("oncall.json"),
            context.to_string(),
        )?)
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        // Volumes are few, and a node that is asked for less is quicker: what fails here ends with
        // the cluster.
        for namespace in [self.namespace.clone(), self.leases(), self.target()] {
            drop(
                self.pods
                    .kubectl(&["delete", "namespace", &namespace, "--wait=false"]),
            );
        }
    }
}

/// Asks again until it holds.
pub(crate) fn until(what: &str, mut so: impl FnMut() -> Result<bool>) -> Result<()> {
    for _ in 0..POLLS {
        if so()? {
            return Ok(());
        }
        std::thread::sleep(POLL_INTERVAL);
    }
    bail!("not in time: {what}")
}
