//! Manifests: judged object by object, rehearsed by the API server, applied with their own names.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use lanyard_rig::Cluster;
use lanyard_tests::Stage;
use serde_json::Value;

const CHARTER: &str = "
    - name: change-workloads
      role: apply
      environments: [production]
      kubernetes:
        target: cluster
        namespace: TARGET
        rules:
          - {apiGroups: [apps], resources: [deployments], verbs: [get, list, create, patch]}
          - {apiGroups: [''], resources: [configmaps], verbs: [get, list, create, patch]}
  plans:
    required: {role: apply, environments: [production]}
    policies: [policies/kubernetes/workloads.rego]
    formats: [manifests]
  approvals:
    - {when: {role: apply, environment: production}, people: 2}
";

const MANIFESTS: &str = r#"apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: TARGET}
spec:
  replicas: 3
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      securityContext: {runAsNonRoot: true}
      containers:
        - {name: web, image: "web:IMAGE", resources: {limits: {memory: 64Mi}}}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: settings}
data: {level: debug}
"#;

struct Workloads {
    stage: Stage,
    cluster: Cluster,
    target: String,
    task: String,
}

fn workloads(name: &str) -> Result<Option<Workloads>> {
    let Some(cluster) = Cluster::shared() else {
        eprintln!("NOT RUN: no API server is named; `cargo xtask test` starts one");
        return Ok(None);
    };
    let (home, target) = (format!("{name}-leases"), format!("{name}-target"));
    cluster.namespaces(&home, &target)?;
    let directory = tempfile::tempdir()?;
    let targets = format!(
        "cluster: {{kind: kubernetes, namespace: {home}, kubeconfig: {}}}\n",
        cluster.kubeconfig("broker").display()
    );
    let policies = directory.path().join("charters/policies/kubernetes");
    std::fs::create_dir_all(&policies)?;
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/policies/kubernetes");
    std::fs::copy(
        shipped.join("workloads.rego"),
        policies.join("workloads.rego"),
    )?;
    let charter = include_str!("both.yaml").trim_end().to_owned() + CHARTER;
    let stage = Stage::set_with(
        directory,
        &targets,
        &charter.replace("TARGET", &target),
        &[],
    )?;
    let create = [
        "create",
        "deployment",
        "web",
        "--image=web:1.1",
        "-n",
        &target,
    ];
    let created = cluster.kubectl("admin", &create)?;
    ensure!(created.code == 0, "{}", created.stderr);
    let task = stage.task_of("both")?;
    Ok(Some(Workloads {
        stage,
        cluster,
        target,
        task,
    }))
}

impl Workloads {
    fn manifests(&self, image: &str) -> Result<PathBuf> {
        let file = self.stage.directory.path().join("manifests.yaml");
        let text = MANIFESTS
            .replace("TARGET", &self.target)
            .replace("IMAGE", image);
        std::fs::write(&file, text)?;
        Ok(file)
    }

    fn submit(&self, image: &str) -> Result<lanyard_rig::Answer> {
        let file = self.manifests(image)?;
        let file = file.to_string_lossy();
        self.stage.agent.run(&[
            "-o",
            "json",
            "plan",
            "submit",
            &file,
            "--task",
            &self.task,
            "--grant",
            "change-workloads",
            "--format",
            "manifests",
            "--summary",
            "web 1.2",
        ])
    }

    /// Submits a plan, and returns it as the agent and as alice are shown it.
    fn shown(&self, image: &str) -> Result<(String, String)> {
        let answer = self.submit(image)?;
        ensure!(answer.code == 0, "{}", answer.stderr);
        let plan: Value = serde_json::from_str(&answer.stdout)?;
        let id = plan.get("plan").and_then(Value::as_str).context("no id")?;
        let shown = self.stage.daemon.cli("alice")?.ok(&["plan", "show", id])?;
        Ok((id.to_owned(), shown))
    }
}

#[test]
fn a_rehearsal_is_shown_to_people_and_not_to_the_agent() -> Result<()> {
    let Some(workloads) = workloads("rehearsed")? else {
        return Ok(());
    };
    let denied = workloads.submit("latest")?;
    assert_eq!(denied.code, 3);
    assert!(
        denied.stderr.contains("web: web:latest is not pinned"),
        "{}",
        denied.stderr
    );

    // Where the broker may not, it says so, and people see what was submitted.
    let (_, shown) = workloads.shown("1.2")?;
    assert!(
        shown.contains("not rehearsed: kubernetes refused rehearsal: 403"),
        "{shown}"
    );
    assert!(shown.contains("spec.replicas = 3"), "{shown}");

    let role =
        include_str!("../../docs/kubernetes/rehearsal.yaml").replace("TARGET", &workloads.target);
    workloads.cluster.apply(&role)?;
    let (id, shown) = workloads.shown("1.2")?;
    for line in [
        "1 created, 1 updated, 0 replaced, 0 destroyed",
        "~ apps/v1 Deployment web in",
        "~ spec.replicas = 1 -> 3",
        "~ spec.template.spec.containers[name=\"web\"].image = \"web:1.1\" -> \"web:1.2\"",
        "+ v1 ConfigMap settings in",
    ] {
        assert!(shown.contains(line), "{line}: {shown}");
    }
    // The agent learns nothing of what is there: no value, no difference, and not which of the
    // objects there are.
    let own = workloads.stage.agent.ok(&["plan", "show", &id])?;
    for part in [
        "web:1.1",
        "at the time of the submission",
        "1 created",
        "is created",
    ] {
        assert!(!own.contains(part), "{part}: {own}");
    }
    assert!(own.contains("spec.replicas = 3"), "{own}");
    // It was a rehearsal.
    let image = [
        "get",
        "deployment",
        "web",
        "-n",
        &workloads.target,
        "-o",
        "jsonpath={..image}",
    ];
    assert_eq!(
        workloads.cluster.kubectl("admin", &image)?.stdout.trim(),
        "web:1.1"
    );
    Ok(())
}
