//! What the chart renders, on a real API server: a server-side dry run of every scenario, in a
//! namespace that enforces the strictest of the pod security standards.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use lanyard_rig::{Cluster, HelmTools};
use serde_json::json;

const CHART: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../charts/lanyard");
/// The namespace of the releases, and its beginning of the namespace of their leases.
const NAMESPACE: &str = "chart-dry-run";

/// Kinds of others, which this API server does not know by itself: with any content.
const OTHERS: &[(&str, &str, &str, &str)] = &[
    (
        "monitoring.coreos.com",
        "v1",
        "ServiceMonitor",
        "servicemonitors",
    ),
    (
        "monitoring.coreos.com",
        "v1",
        "PrometheusRule",
        "prometheusrules",
    ),
    ("cert-manager.io", "v1", "Certificate", "certificates"),
    ("gateway.networking.k8s.io", "v1", "TLSRoute", "tlsroutes"),
];

#[test]
fn the_api_server_takes_what_every_scenario_renders() -> Result<()> {
    let Some(cluster) = Cluster::shared() else {
        eprintln!("NOT RUN: no API server is named; `cargo xtask test` starts one");
        return Ok(());
    };
    let tools = match lanyard_rig::helm() {
        Ok(tools) => tools,
        Err(error) => {
            eprintln!("NOT RUN: helm cannot be built: {error:#}");
            return Ok(());
        }
    };
    prepared(&cluster)?;
    let mut scenarios = 0;
    for scenario in std::fs::read_dir(Path::new(CHART).join("tests/scenarios"))? {
        let scenario = scenario?.path();
        let rendered = Command::new(&tools.helm)
            .args(["template", "lanyard", CHART, "--namespace", NAMESPACE])
            .args(["--kube-version", "1.36.0", "--values"])
            .arg(&scenario)
            .output()
            .context("helm does not start")?;
        let why = String::from_utf8_lossy(&rendered.stderr);
        ensure!(rendered.status.success(), "{}: {why}", scenario.display());
        let directory = tempfile::tempdir()?;
        let file = directory.path().join("rendered.yaml");
        std::fs::write(&file, &rendered.stdout)?;
        let file = file.to_string_lossy();
        let apply = [
            "apply",
            "--dry-run=server",
            "--validate=strict",
            "-f",
            &file,
        ];
        let taken = cluster.kubectl("admin", &apply)?;
        ensure!(taken.code == 0, "{}: {}", scenario.display(), taken.stderr);
        let is_open = taken.stderr.contains("would violate PodSecurity");
        ensure!(!is_open, "{}: {}", scenario.display(), taken.stderr);
        scenarios += 1;
    }
    ensure!(scenarios > 3, "{scenarios} scenarios");
    Ok(())
}

/// helm as the administrator of this API server: its standard output.
fn helm(cluster: &Cluster, tools: &HelmTools, arguments: &[&str]) -> Result<String> {
    let output = Command::new(&tools.helm)
        .arg("--kubeconfig")
        .arg(cluster.kubeconfig("admin"))
        .args(arguments)
        .output()
        .context("helm does not start")?;
    let why = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "helm {arguments:?}: {why}");
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

#[test]
fn what_the_chart_draws_is_kept_over_an_upgrade_and_notes_say_what_comes_next() -> Result<()> {
    let Some(cluster) = Cluster::shared() else {
        eprintln!("NOT RUN: no API server is named; `cargo xtask test` starts one");
        return Ok(());
    };
    let tools = match lanyard_rig::helm() {
        Ok(tools) => tools,
        Err(error) => {
            eprintln!("NOT RUN: helm cannot be built: {error:#}");
            return Ok(());
        }
    };
    // No kubelet is there: nothing is waited for.
    // The definition of charters is another test's on this API server.
    let release = [
        "lanyard",
        CHART,
        "--namespace",
        "chart-upgrade",
        "--set",
        "charterObjects.crd=false",
    ];
    let first = [&["install", "--create-namespace"], &release[..]].concat();
    let notes = helm(&cluster, &tools, &first)?;
    for line in [
        "helm -n chart-upgrade test lanyard --logs",
        "kubectl -n chart-upgrade exec lanyard-0 -- /bin/lanyard status",
        "exec -it lanyard-0 -- /bin/lanyard kill --all --yes",
        "Secret lanyard-tls",
    ] {
        ensure!(notes.contains(line), "`{line}` is missing: {notes}");
    }
    let drawn = || -> Result<Vec<String>> {
        ["lanyard-tls", "lanyard-metrics"]
            .map(|secret| {
                let get = [
                    "-n",
                    "chart-upgrade",
                    "get",
                    "secret",
                    secret,
                    "-o",
                    "jsonpath={.data}",
                ];
                let found = cluster.kubectl("admin", &get)?;
                ensure!(found.code == 0, "{}", found.stderr);
                Ok(found.stdout)
            })
            .into_iter()
            .collect()
    };
    let before = drawn()?;
    let upgrade = ["upgrade", "--no-hooks"];
    let again = [&upgrade, &release[..], &["--set", "logLevel=debug"]].concat();
    helm(&cluster, &tools, &again)?;
    ensure!(drawn()? == before, "an upgrade drew new keys");
    // Another name takes another certificate; the token of the metrics stays.
    let name = ["--set", "tls.names={lanyard.acme.example}"];
    helm(&cluster, &tools, &[&upgrade, &release[..], &name].concat())?;
    let [certificate, token] = drawn()?.try_into().unwrap();
    ensure!(before.first() != Some(&certificate) && before.get(1) == Some(&token));
    helm(
        &cluster,
        &tools,
        &[
            "uninstall",
            "lanyard",
            "--namespace",
            "chart-upgrade",
            "--no-hooks",
        ],
    )?;
    Ok(())
}

/// Creates what a dry run needs, because a dry run creates nothing.
fn prepared(cluster: &Cluster) -> Result<()> {
    for (group, version, kind, plural) in OTHERS {
        let any = json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
        let definition = json!({
            "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
            "metadata": {"name": format!("{plural}.{group}"),
                "annotations": {"api-approved.kubernetes.io": "unapproved, for a test"}},
            "spec": {"group": group, "scope": "Namespaced",
                "names": {"plural": plural, "singular": kind.to_lowercase(), "kind": kind, "listKind": format!("{kind}List")},
                "versions": [{"name": version, "served": true, "storage": true, "schema": {"openAPIV3Schema": any}}]},
        });
        cluster.apply(&definition.to_string())?;
        let established = [
            "wait",
            "--for=condition=Established",
            "--timeout=60s",
            "crd",
        ];
        let name = format!("{plural}.{group}");
        let waited = cluster.kubectl("admin", &[&established[..], &[name.as_str()]].concat())?;
        ensure!(waited.code == 0, "{}", waited.stderr);
    }
    let leases = format!("{NAMESPACE}-leases");
    for name in [NAMESPACE, &leases, "agents", "lanyard", "payments", "shop"] {
        let labels = json!({"pod-security.kubernetes.io/enforce": "restricted", "pod-security.kubernetes.io/warn": "restricted"});
        let labels = if name == NAMESPACE { labels } else { json!({}) };
        let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}});
        cluster.apply(&namespace.to_string())?;
    }
    // A pod is refused whose service account is not there.
    let account = json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "lanyard-test", "namespace": NAMESPACE}});
    cluster.apply(&account.to_string())
}
