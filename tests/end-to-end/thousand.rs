//! A thousand live leases on a real cluster, killed while their holders go on using them.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, ensure};
use lanyard_client::{Client, v1};
use lanyard_rig::Cluster;
use lanyard_tests::Stage;
use tokio::sync::watch;
use tokio::task::JoinSet;

const LEASES: usize = 1000;
const CLIENTS: usize = 10;
const MINTERS: usize = 8;

const GRANT: &str = "
    - name: read-workers
      role: plan
      environments: [production]
      kubernetes:
        target: cluster
        namespace: thousand-target
        rules: [{apiGroups: [apps], resources: [deployments], verbs: [get, list]}]
";

#[expect(
    clippy::disallowed_methods,
    reason = "what the broker says is held against this clock"
)]
fn now() -> Duration {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
}

/// A credential in somebody's hands.
struct Held {
    lease: String,
    token: String,
}

/// The answers that a holder of one credential got.
#[derive(Debug, Clone, Copy, Default)]
struct Seen {
    /// When the last use began that was accepted.
    accepted: Duration,
    /// When the first use ended that was refused.
    refused: Option<Duration>,
}

async fn minted(context: &Path, task: &str) -> Result<(String, Vec<u8>, Vec<Held>)> {
    let mut minters = JoinSet::new();
    for _ in 0..MINTERS {
        let (mut client, task) = (Client::connect(context).await?, task.to_owned());
        minters.spawn(async move {
            let mut all = Vec::new();
            for _ in 0..LEASES / MINTERS {
                let ask = v1::IssueCredentialRequest {
                    task_id: task.clone(),
                    grant: "read-workers".to_owned(),
                    ..Default::default()
                };
                all.push(client.issue_credential(ask).await?);
            }
            anyhow::Ok(all)
        });
    }
    let (mut server, mut authority, mut held) = (String::new(), String::new(), Vec::new());
    while let Some(all) = minters.join_next().await {
        for issued in all?? {
            let kind = issued
                .credential
                .and_then(|it| it.kind)
                .context("no credential")?;
            let v1::credential::Kind::Kubernetes(credential) = kind else {
                anyhow::bail!("a credential of another kind");
            };
            (server, authority) = (credential.server, credential.certificate_authority);
            held.push(Held {
                lease: issued.lease_id,
                token: credential.token,
            });
        }
    }
    Ok((server, authority.into_bytes(), held))
}

/// Uses its credentials in turns until each is refused, or it is told to stop.
async fn use_all(
    http: reqwest::Client,
    server: String,
    held: Vec<Held>,
    stop: watch::Receiver<bool>,
) -> Result<BTreeMap<String, Seen>> {
    let server = server.trim_end_matches('/');
    let url = format!("{server}/apis/apps/v1/namespaces/thousand-target/deployments?limit=1");
    let mut seen: BTreeMap<String, Seen> = BTreeMap::new();
    loop {
        let mut open = 0;
        for Held { lease, token } in &held {
            let known = seen.entry(lease.clone()).or_default();
            // One more round over all of them at the end: what is dead stays dead.
            if known.refused.is_some() && !*stop.borrow() {
                continue;
            }
            open += 1;
            let began = now();
            let answer = http.get(&url).bearer_auth(token).send().await?.status();
            match answer.as_u16() {
                200 => known.accepted = began,
                401 | 403 => known.refused = known.refused.or(Some(now())),
                other => anyhow::bail!("the API server answered {other}"),
            }
        }
        if *stop.borrow() {
            return Ok(seen);
        }
        if open == 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
}

fn stage() -> Option<Stage> {
    let Some(cluster) = Cluster::shared() else {
        eprintln!("NOT RUN: no API server is named; `cargo xtask test` starts one");
        return None;
    };
    cluster
        .namespaces("thousand-leases", "thousand-target")
        .unwrap();
    let targets = format!(
        "cluster: {{kind: kubernetes, namespace: thousand-leases, drill_namespace: thousand-target, kubeconfig: {}}}\n",
        cluster.kubeconfig("broker").display()
    );
    let charter = include_str!("both.yaml").replace("live_leases: 100", "live_leases: 2000");
    let charter = charter.trim_end().to_owned() + GRANT;
    let directory = tempfile::tempdir().unwrap();
    Some(Stage::set_with(directory, &targets, &charter, &[]).unwrap())
}

fn at(time: &lanyard_client::Time) -> Duration {
    let (seconds, nanos) = (time.seconds, time.nanos);
    Duration::new(
        u64::try_from(seconds).unwrap_or(0),
        u32::try_from(nanos).unwrap_or(0),
    )
}

/// Every lease of the order, and when the report says that it was dead.
async fn reported(client: &mut Client, order: &str) -> Result<BTreeMap<String, Duration>> {
    let mut lines = client.read_kill_report(order.to_owned()).await?;
    let mut dead = BTreeMap::new();
    while let Some(page) = lines.message().await? {
        for line in page.lines {
            ensure!(line.state() == v1::LeaseState::ProvedDead, "{line:?}");
            dead.insert(line.lease_id, at(&line.dead_time.context("no time")?));
        }
    }
    Ok(dead)
}

// T65, T66
#[test]
fn no_lease_is_called_dead_before_its_holder_sees_it_dead() -> Result<()> {
    let Some(stage) = stage() else { return Ok(()) };
    let task = stage.task_of("both")?;
    let directory = stage.directory.path().join("contexts");
    let runtime = tokio::runtime::Runtime::new()?;
    let (seen, dead) = runtime.block_on(async {
        let (server, authority, mut held) = minted(&directory.join("agent.json"), &task).await?;
        ensure!(held.len() == LEASES, "{} were minted", held.len());
        // Another test of this program may have done it.
        rustls::crypto::ring::default_provider()
            .install_default()
            .ok();
        let authority = reqwest::Certificate::from_pem(&authority)?;
        let http = reqwest::Client::builder()
            .tls_certs_only([authority])
            .build()?;
        let (stop, stopping) = watch::channel(false);
        let mut clients = JoinSet::new();
        for _ in 0..CLIENTS {
            let own = held.split_off(held.len() - LEASES / CLIENTS);
            clients.spawn(use_all(http.clone(), server.clone(), own, stopping.clone()));
        }
        let mut oncall = Client::connect(&directory.join("oncall.json")).await?;
        let order = oncall
            .engage_kill(v1::EngageKillRequest {
                scope: Some(v1::Scope {
                    // Not the target: that would delete what all leases share, and no lease would
                    // have to die by itself.
                    kind: Some(v1::scope::Kind::Charter("both".to_owned())),
                }),
                reason: "drill".to_owned(),
                ..Default::default()
            })
            .await?;
        let order = order.order.context("no order")?.id;
        let mut reports = oncall.watch_kill(order.clone()).await?;
        while let Some(report) = reports.message().await? {
            if report.confirmed {
                break;
            }
        }
        let dead = Arc::new(reported(&mut oncall, &order).await?);
        stop.send_replace(true);
        let mut seen = BTreeMap::new();
        while let Some(client) = clients.join_next().await {
            seen.extend(client??);
        }
        anyhow::Ok((seen, dead))
    })?;
    assert_eq!((seen.len(), dead.len()), (LEASES, LEASES));
    for (lease, seen) in &seen {
        let dead = dead
            .get(lease)
            .context("a lease that the report leaves out")?;
        assert!(seen.refused.is_some(), "{lease} is not refused");
        // The report counts whole milliseconds, rounded down.
        let dead = *dead + Duration::from_millis(1);
        assert!(
            seen.accepted <= dead,
            "{lease} was used at {:?}, after it was called dead at {dead:?}",
            seen.accepted
        );
    }
    // Others are left alone: the canary is minted, works, and dies.
    let drill = stage.oncall.ok(&["drill", "cluster"])?;
    assert!(drill.contains("passed"), "{drill}");
    Ok(())
}
