//! The chart, through a whole life: installed with few values, upgraded with leases alive, rolled
//! back, uninstalled.

use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::time::Instant;

use anyhow::{Context as _, Result, ensure};
use lanyard_rig::{Answer, Pods};
use serde_json::json;

use crate::agents::Agent;
use crate::broker::until;
use crate::gap::{Seen, while_asking};
use crate::pods;

const CHARTER: &str = include_str!("charter.yaml");
const CHART: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../charts/lanyard");
const RELEASE: &str = "lanyard";
const NAMESPACE: &str = "lanyard";
/// Where the agents are, and what the charter names.
const SHOP: &str = "shop";

/// The objects that an uninstall leaves, as docs/how-to/install-on-kubernetes.md names them.
const LEFT: [&str; 2] = [
    "persistentvolumeclaim/data-lanyard-0",
    "customresourcedefinition.apiextensions.k8s.io/charters.lanyard.dev",
];

struct Release {
    pods: Pods,
    helm: std::path::PathBuf,
    values: tempfile::TempDir,
}

impl Release {
    /// helm in the namespace, whatever comes of it.
    fn helm(&self, arguments: &[&str]) -> Result<Answer> {
        let home = self.values.path().display();
        let output = self
            .pods
            .command(Path::new("env"))?
            .arg(format!("HOME={home}"))
            .arg(&self.helm)
            .args(["--namespace", NAMESPACE])
            .args(arguments)
            .output()?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim_end().to_owned();
        Ok(Answer {
            code: output.status.code().unwrap_or(-1),
            stdout: text(&output.stdout),
            stderr: text(&output.stderr),
        })
    }

    /// The same, and wants success; says how long it took.
    #[expect(clippy::disallowed_methods, reason = "says how long helm took")]
    fn ok(&self, arguments: &[&str]) -> Result<String> {
        let from = Instant::now();
        let answer = self.helm(arguments)?;
        let what = arguments.first().copied().unwrap_or_default();
        ensure!(
            answer.code == 0,
            "helm {what}: {} {}\n{}",
            answer.stdout,
            answer.stderr,
            self.state()
        );
        println!(
            "measured: helm {what} took {:.1} s",
            from.elapsed().as_secs_f64()
        );
        Ok(answer.stdout)
    }

    /// The state of the pods, for whoever reads why a test failed.
    fn state(&self) -> String {
        let of = |arguments: &[&str]| {
            let answer = self
                .pods
                .kubectl(&[&["--namespace", NAMESPACE], arguments].concat());
            answer
                .map(|answer| format!("{}{}\n", answer.stdout, answer.stderr))
                .unwrap_or_default()
        };
        [
            of(&["get", "all"]),
            of(&["get", "events", "--sort-by=.lastTimestamp"]),
            of(&["logs", "lanyard-0", "--tail=20"]),
        ]
        .concat()
    }

    /// A line of what kubectl prints, from within the namespace.
    fn kubectl(&self, arguments: &[&str]) -> Result<String> {
        self.pods
            .ok(&[&["--namespace", NAMESPACE], arguments].concat())
    }

    /// `lanyard` in the broker's pod, as whoever may exec there.
    fn oncall(&self, arguments: &[&str]) -> Result<Answer> {
        let exec = [
            "--namespace",
            NAMESPACE,
            "exec",
            "lanyard-0",
            "--",
            "/bin/lanyard",
        ];
        self.pods.kubectl(&[&exec[..], arguments].concat())
    }

    /// The version of the image that runs.
    fn image(&self) -> Result<String> {
        self.kubectl(&[
            "get",
            "pod",
            "lanyard-0",
            "-o",
            "jsonpath={.spec.containers[0].image}",
        ])
    }

    /// Asks the kill plane all the time while helm does this.
    fn watched(&self, arguments: &[&str]) -> Result<Seen> {
        let address = self.kubectl(&[
            "get",
            "service",
            "lanyard-kill",
            "-o",
            "jsonpath={.spec.clusterIP}",
        ])?;
        let address = SocketAddr::new(address.parse::<IpAddr>()?, 7071);
        let authority = self.pods.ok(&[
            "--namespace",
            SHOP,
            "get",
            "configmap",
            "lanyard",
            "-o",
            "jsonpath={.data.ca\\.pem}",
        ])?;
        let place = (address, "lanyard-kill.lanyard.svc", "/readyz/kill");
        let (_, seen) = while_asking(&self.pods, place, &authority, || self.ok(arguments))?;
        let what = arguments.first().copied().unwrap_or_default();
        println!("measured: the kill plane during helm {what}: {seen:?}");
        Ok(seen)
    }

    /// Objects of the release that are still there, in its namespace and in the whole cluster.
    fn left(&self) -> Result<Vec<String>> {
        let namespaced = "all,configmaps,secrets,serviceaccounts,roles,rolebindings,persistentvolumeclaims,networkpolicies,jobs";
        let names = ["-o", "name"];
        let own = self.kubectl(&[&["get", namespaced], &names[..]].concat())?;
        let label = [
            "--all-namespaces",
            "-l",
            "app.kubernetes.io/instance=lanyard",
        ];
        let kinds = "configmaps,secrets,serviceaccounts,roles,rolebindings,clusterroles,clusterrolebindings,namespaces,crds,validatingwebhookconfigurations";
        let all = self
            .pods
            .ok(&[&["get", kinds], &label[..], &names[..]].concat())?;
        let everywhere = ["configmap/kube-root-ca.crt", "serviceaccount/default"];
        let lines = own.lines().chain(all.lines()).map(str::to_owned);
        Ok(lines
            .filter(|line| !everywhere.contains(&line.as_str()))
            .collect())
    }
}

/// Installs the chart under pod security `restricted`, with what a first install needs and nothing
/// else.
fn install(pods: Pods) -> Result<Release> {
    for namespace in [NAMESPACE, SHOP] {
        let restricted = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {
            "name": namespace, "labels": {"pod-security.kubernetes.io/enforce": "restricted"},
        }});
        pods.apply(&restricted.to_string())?;
    }
    let values = pods.folder()?;
    let charter = CHARTER
        .replace("NAMESPACE-shop", SHOP)
        .replace("TARGET", SHOP);
    std::fs::write(values.path().join("shop.yaml"), charter)?;
    let settings = json!({
        "image": {"repository": "localhost/lanyardd", "tag": "1"},
        "agentNamespaces": [SHOP],
        "kubernetesTarget": {"namespaces": [SHOP]},
        "config": {"targets": {"tickets": {"kind": "token"}}},
    });
    std::fs::write(values.path().join("values.yaml"), settings.to_string())?;
    let release = Release {
        pods,
        helm: lanyard_rig::helm()?.helm,
        values,
    };
    let folder = release.values.path().display().to_string();
    let (file, charter) = (
        format!("{folder}/values.yaml"),
        format!("charters.shop={folder}/shop.yaml"),
    );
    release.ok(&[
        "install",
        RELEASE,
        CHART,
        "--values",
        &file,
        "--set-file",
        &charter,
        "--wait",
        "--timeout",
        "5m",
    ])?;
    Ok(release)
}

/// A charter as an object is refused in lint's words where it does not lint, and is in force where
/// it does.
fn objects(release: &Release) -> Result<()> {
    let charter = CHARTER
        .replace("NAMESPACE-shop", SHOP)
        .replace("TARGET", SHOP)
        .replace("name: shop", "name: shop-object\n  namespace: lanyard");
    let refused = release
        .pods
        .try_apply(&charter.replace("purpose:", "purpos:"))?;
    let says = refused.stderr.contains("did you mean `purpose`?");
    ensure!(refused.code != 0 && says, "{refused:?}");
    release.pods.apply(&charter)?;
    until("the charter is in force", || {
        let status = "jsonpath={.status.conditions[?(@.type==\"InForce\")].status}";
        let get = ["get", "charter", "shop-object", "-o", status];
        Ok(release.kubectl(&get)? == "True")
    })
}

/// A configuration that the daemon does not take ends the upgrade, and not the broker.
fn a_broken_upgrade(release: &Release) -> Result<()> {
    let broken = ["--reuse-values", "--set-json", "config.nonsense=1"];
    let upgrade = [&["upgrade", RELEASE, CHART, "--timeout", "3m"], &broken[..]].concat();
    let refused = release.helm(&upgrade)?;
    ensure!(refused.code != 0, "{refused:?}");
    let said = release.kubectl(&["logs", "job/lanyard-check"])?;
    ensure!(said.contains("nonsense"), "{said}");
    let status = release.oncall(&["status"])?;
    ensure!(status.code == 0, "{status:?}");
    Ok(())
}

#[test]
fn a_release_is_installed_tested_upgraded_with_leases_alive_rolled_back_and_uninstalled()
-> Result<()> {
    let Some(pods) = pods() else {
        return Ok(());
    };
    let release = install(pods)?;
    let agent = Agent::start(&release.pods, SHOP)?;
    let task = agent.task()?;
    let token = agent.token(&task)?;
    assert!(agent.may_get(&token, "configmap/settings")?);
    release.ok(&["test", RELEASE, "--timeout", "5m"])?;
    objects(&release)?;
    a_broken_upgrade(&release)?;

    let alive = |image: &str| -> Result<()> {
        assert_eq!(release.image()?, image);
        assert!(
            agent.may_get(&token, "configmap/settings")?,
            "the lease did not outlive it"
        );
        let leases = release.oncall(&["lease", "list"])?;
        assert!(leases.stdout.contains("read-settings"), "{leases:?}");
        // The same task goes on, and a new credential comes.
        let next = agent.token(&task)?;
        assert!(agent.may_get(&next, "configmap/settings")?);
        Ok(())
    };
    let wait = ["--wait", "--timeout", "5m"];
    let upgrade = [
        "upgrade",
        RELEASE,
        CHART,
        "--reuse-values",
        "--set-string",
        "image.tag=2",
    ];
    let seen = release.watched(&[&upgrade[..], &wait].concat())?;
    assert!(seen.answered > 0, "{seen:?}");
    alive("localhost/lanyardd:2")?;
    let seen = release.watched(&[&["rollback", RELEASE, "1"], &wait[..]].concat())?;
    assert!(seen.answered > 0, "{seen:?}");
    alive("localhost/lanyardd:1")?;

    // Whoever uninstalls kills first: nobody could afterwards.
    release.ok(&["uninstall", RELEASE, "--wait", "--timeout", "5m"])?;
    assert!(
        !agent.may_get(&token, "configmap/settings")?,
        "a credential outlives the broker"
    );
    until("what is left is what the documentation names", || {
        Ok(release.left()? == LEFT)
    })
    .with_context(|| format!("{:?}", release.left()))?;
    Ok(())
}
