//! The cluster of the story.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use lanyard_rig::Cluster;

/// The grants of the story's charter on the cluster.
pub(super) const GRANTS: &str = "
    - name: read-workers
      role: plan
      environments: [production]
      kubernetes:
        target: cluster
        namespace: shop
        rules: [{apiGroups: [apps], resources: [deployments], verbs: [get, list]}]
    - name: scale-workers
      role: apply
      environments: [production]
      kubernetes:
        target: cluster
        namespace: shop
        rules: [{apiGroups: [apps], resources: [deployments, deployments/scale], verbs: [get, patch, update]}]
";

const WORKERS: &str = "
apiVersion: apps/v1
kind: Deployment
metadata: {name: workers, namespace: shop}
spec:
  replicas: 1
  selector: {matchLabels: {app: workers}}
  template:
    metadata: {labels: {app: workers}}
    spec: {containers: [{name: worker, image: worker.example/worker}]}
";

/// Returns the target of the daemon's configuration.
pub(super) fn target(cluster: &Cluster) -> Result<String> {
    cluster.namespaces("lanyard-leases", "shop")?;
    cluster.apply(WORKERS)?;
    let kubeconfig = cluster.kubeconfig("broker");
    Ok(format!(
        "cluster: {{kind: kubernetes, namespace: lanyard-leases, kubeconfig: {}}}\n",
        kubeconfig.display()
    ))
}

/// Writes a kubeconfig, as an agent's tools are given one: its user is whatever the command prints.
pub(super) fn kubeconfig(
    cluster: &Cluster,
    directory: &Path,
    name: &str,
    command: &[&str],
) -> Result<PathBuf> {
    let admin = std::fs::read_to_string(cluster.kubeconfig("admin"))?;
    let (keep, _) = admin
        .split_once("users:")
        .context("the kubeconfig has no users")?;
    let exec = serde_json::json!([{"name": "it", "user": {"exec": {
        "apiVersion": "client.authentication.k8s.io/v1", "interactiveMode": "Never",
        "command": command.first(), "args": command.get(1..),
    }}}]);
    let file = directory.join(name);
    std::fs::write(&file, format!("{keep}users: {exec}\n"))?;
    Ok(file)
}

/// Runs kubectl with the kubeconfig, and returns what it printed.
pub(super) fn works(cluster: &Cluster, kubeconfig: &Path, arguments: &[&str]) -> Result<String> {
    let answer = cluster.kubectl_with(kubeconfig, arguments)?;
    if answer.code != 0 {
        bail!("kubectl ended with {}: {}", answer.code, answer.stderr);
    }
    println!(
        "         {}",
        answer.stdout.lines().last().unwrap_or_default()
    );
    Ok(answer.stdout)
}

/// Runs kubectl with the kubeconfig, and fails unless the API server refuses.
pub(super) fn refused(cluster: &Cluster, kubeconfig: &Path, arguments: &[&str]) -> Result<()> {
    let answer = cluster.kubectl_with(kubeconfig, arguments)?;
    let words = ["orbidden", "Unauthorized", "must be logged in"];
    if answer.code == 0 || !words.iter().any(|word| answer.stderr.contains(word)) {
        bail!(
            "kubectl was not refused: {} {}",
            answer.stdout,
            answer.stderr
        );
    }
    println!(
        "         {}",
        answer.stderr.lines().last().unwrap_or_default()
    );
    Ok(())
}

/// Writes a secret to a file that only the owner may read, and returns the file's path.
pub(super) fn kept(directory: &Path, name: &str, secret: &str) -> Result<PathBuf> {
    let file = directory.join(name);
    std::fs::write(&file, "")?;
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600))?;
    std::fs::write(&file, secret)?;
    Ok(file)
}
