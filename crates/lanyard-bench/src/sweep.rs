//! Measures a kill of many Kubernetes leases at once on a real API server, compared with the rate
//! at which a bare client deletes objects there, in one run; and how soon a holder is refused.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use lanyard_client::{Client, v1};
use lanyard_provider_kubernetes::api::{Kind, KubernetesApi as _, Object};
use lanyard_provider_kubernetes::{Cluster, Marks};
use lanyard_rig::Daemon;
use tokio::task::JoinSet;

use crate::stopwatch;

const MINTERS: usize = 16;
/// Concurrent deletions, as many as the broker makes.
const CONCURRENT_REVOCATIONS: usize = 16;
/// Objects of each lease.
const OBJECTS: usize = 3;
const HOME: &str = "sweep-leases";
const TARGET: &str = "sweep-target";

const GRANT: &str = "
    - name: read-workers
      role: plan
      environments: [production]
      kubernetes:
        target: cluster
        namespace: sweep-target
        rules: [{apiGroups: [apps], resources: [deployments], verbs: [get, list]}]
";

pub(crate) async fn run(leases: usize) -> Result<()> {
    let cluster = lanyard_rig::Cluster::shared();
    let cluster = cluster.context("no API server is configured: run `cargo xtask bench sweep`")?;
    cluster.namespaces(HOME, TARGET)?;
    let directory = tempfile::tempdir()?;
    let directory = directory.path();
    std::fs::create_dir(directory.join("charters"))?;
    let charter = include_str!("bench.yaml").replace(
        "  limits:",
        &format!("{}  limits:", GRANT.trim_start_matches('\n')),
    );
    std::fs::write(directory.join("charters/bench.yaml"), charter)?;
    let kubeconfig = cluster.kubeconfig("broker");
    let targets = directory.join("targets.yaml");
    let target = format!(
        "cluster: {{kind: kubernetes, namespace: {HOME}, kubeconfig: {}}}\n",
        kubeconfig.display()
    );
    std::fs::write(&targets, target)?;
    let named = targets.to_string_lossy();
    let _daemon = Daemon::start_with(directory, &["--targets", &named], &[])?;
    println!("{leases} live Kubernetes leases on a real API server");
    let held = minted(&directory.join("contexts/agent.json"), leases).await?;
    let bare = bare_rate(&kubeconfig, leases).await?;
    let mut oncall = Client::connect(&directory.join("contexts/oncall.json")).await?;
    let swept = swept(&mut oncall, held).await?;
    let rate = (leases * OBJECTS) as f64 / swept.as_secs_f64();
    println!(
        "  every lease dead     {swept:>8.2?}, {rate:.0} objects a second, each lease then asked about"
    );
    println!("  a bare client        {bare:>8.0} objects a second");
    println!(
        "  the sweep deletes at {:.2} of the bare client's rate",
        rate / bare
    );
    Ok(())
}

/// A usable token of one of the leases.
struct Held {
    server: String,
    authority: String,
    token: String,
}

async fn minted(context: &Path, leases: usize) -> Result<Held> {
    let mut client = Client::connect(context).await?;
    let open = v1::OpenTaskRequest {
        charter: "bench".to_owned(),
        environment: "production".to_owned(),
        reason: "a measurement".to_owned(),
        ..Default::default()
    };
    let task = client.open_task(open).await?.task.context("no task")?.id;
    let began = stopwatch();
    let mut minters = JoinSet::new();
    for minter in 0..MINTERS {
        let (mut client, task) = (client.clone(), task.clone());
        minters.spawn(async move {
            let mut last = None;
            for _ in (minter..leases).step_by(MINTERS) {
                let ask = v1::IssueCredentialRequest {
                    task_id: task.clone(),
                    grant: "read-workers".to_owned(),
                    ..Default::default()
                };
                last = client.issue_credential(ask).await?.credential;
            }
            anyhow::Ok(last)
        });
    }
    let mut held = None;
    while let Some(last) = minters.join_next().await {
        if let Some(v1::credential::Kind::Kubernetes(one)) = last??.and_then(|it| it.kind) {
            held = Some(Held {
                server: one.server.trim_end_matches('/').to_owned(),
                authority: one.certificate_authority,
                token: one.token,
            });
        }
    }
    let rate = leases as f64 / began.elapsed().as_secs_f64();
    println!("  minted               {rate:>8.0} a second");
    held.context("no credential was minted")
}

/// Measures the rate at which objects of the same kinds, created by the broker's own client, can be
/// deleted without the broker.
async fn bare_rate(kubeconfig: &Path, leases: usize) -> Result<f64> {
    let cluster = Cluster::connect(Some(kubeconfig), None).await?;
    let marks = Marks::default();
    let names: Vec<String> = (0..leases).map(|n| format!("bare-{n}")).collect();
    let made = stream::iter(&names).map(|name| cluster.create_service_account(HOME, name, &marks));
    made.buffer_unordered(CONCURRENT_REVOCATIONS)
        .try_collect::<Vec<_>>()
        .await?;
    let began = stopwatch();
    let deleted = stream::iter(&names).map(|name| {
        cluster.delete(Object {
            kind: Kind::ServiceAccount,
            namespace: HOME,
            name,
        })
    });
    deleted
        .buffer_unordered(CONCURRENT_REVOCATIONS)
        .try_collect::<Vec<_>>()
        .await?;
    Ok(leases as f64 / began.elapsed().as_secs_f64())
}

/// Measures the time from the kill until the report calls every lease dead; prints how soon one
/// holder was refused.
async fn swept(oncall: &mut Client, held: Held) -> Result<Duration> {
    let began = stopwatch();
    let order = oncall
        .engage_kill(v1::EngageKillRequest {
            scope: Some(v1::Scope {
                // An order over the target would delete its shared Role in one write, and measure
                // no sweep.
                kind: Some(v1::scope::Kind::Charter("bench".to_owned())),
            }),
            reason: "a measurement".to_owned(),
            ..Default::default()
        })
        .await?;
    let answered = began.elapsed();
    let refused = tokio::spawn(first_refusal(held, began));
    let id = order.order.context("no order")?.id;
    let mut reports = oncall.watch_kill(id).await?;
    let mut last = None;
    while let Some(report) = reports.message().await? {
        let confirmed = report.confirmed;
        last = report.total;
        if confirmed {
            break;
        }
    }
    let took = began.elapsed();
    let total = last.context("no report")?;
    ensure!(total.requested + total.acknowledged == 0, "{total:?}");
    println!("  the kill's answer    {answered:>8.2?}");
    println!(
        "  one holder refused   {:>8.2?} after it was ordered",
        refused.await??
    );
    Ok(took)
}

async fn first_refusal(held: Held, began: std::time::Instant) -> Result<Duration> {
    rustls::crypto::ring::default_provider()
        .install_default()
        .ok();
    let authority = reqwest::Certificate::from_pem(held.authority.as_bytes())?;
    let http = reqwest::Client::builder()
        .tls_certs_only([authority])
        .build()?;
    let url = format!(
        "{}/apis/apps/v1/namespaces/{TARGET}/deployments?limit=1",
        held.server
    );
    loop {
        let answer = http
            .get(&url)
            .bearer_auth(&held.token)
            .send()
            .await?
            .status();
        if !answer.is_success() {
            return Ok(began.elapsed());
        }
    }
}
