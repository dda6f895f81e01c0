//! Measures what the broker adds to a provider: mints and revocations through the daemon's gRPC,
//! compared with the same calls by the bare client of the provider, against one server, in
//! alternating rounds of one run.

mod against;

use std::path::Path;
use std::time::Duration;

use against::Against;
use anyhow::{Context, Result, ensure};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use lanyard_charter::TargetKind;
use lanyard_client::{Client, v1};
use lanyard_core::lease::LeaseRef;
use lanyard_core::provider::{MintRequest, Revocation};
use lanyard_engine::clock::{Clock as _, SystemClock};
use lanyard_rig::Daemon;
use lanyard_testkit::ids::Ids;
use lanyard_testkit::world;
use lanyard_vocabulary::id::LeaseId;

use crate::stopwatch;

const CHARTER: &str = include_str!("providers.yaml");
/// Rounds of each side.
const ROUNDS: u64 = 5;
/// Mints that a turn makes one after the other, for the time of one call. With those of
/// [`MINTS_PER_TURN`] they fit, over all rounds, into the list of denied sessions of an AWS role.
const ALONE: usize = 15;
/// Mints that a round makes with [`CONCURRENT_MINTS`] in flight, to measure the rate.
const MINTS_PER_TURN: usize = 35;
const CONCURRENT_MINTS: usize = 8;

/// The times of one side, over all rounds.
#[derive(Default)]
struct Side {
    calls: Vec<Duration>,
    minting: Duration,
    revoking: Duration,
}

impl Side {
    fn mints(&self) -> f64 {
        (ROUNDS as usize * MINTS_PER_TURN) as f64 / self.minting.as_secs_f64()
    }

    fn revocations(&self) -> f64 {
        (ROUNDS as usize * (ALONE + MINTS_PER_TURN)) as f64 / self.revoking.as_secs_f64()
    }

    /// Returns the median time of a call.
    fn call(&mut self) -> Duration {
        self.calls.sort_unstable();
        let half = self.calls.get(self.calls.len() / 2);
        half.copied().unwrap_or_default()
    }
}

pub(crate) async fn run() -> Result<()> {
    println!(
        "{ROUNDS} rounds in turns, each {ALONE} mints one by one, {MINTS_PER_TURN} by {CONCURRENT_MINTS} at once, then all revoked together"
    );
    for against in against::all().await? {
        match against {
            Ok(against) => measure(against).await?,
            Err(missing) => println!("  NOT MEASURED: {missing}"),
        }
    }
    Ok(())
}

async fn measure(against: Against) -> Result<()> {
    let directory = tempfile::tempdir()?;
    let path = directory.path();
    std::fs::create_dir(path.join("charters"))?;
    let charter = format!("{CHARTER}      {}\n", against.grant);
    std::fs::write(path.join("charters/providers.yaml"), charter)?;
    let targets = path.join("targets.yaml");
    std::fs::write(&targets, &against.target)?;
    let named = targets.to_string_lossy();
    let daemon = Daemon::start_with(path, &["--targets", &named], &against.environment)?;
    let (mut broker, mut bare) = (Side::default(), Side::default());
    for round in 0..ROUNDS {
        // The sides alternate in going first, so that neither gains from the order.
        if round % 2 == 0 {
            through(path, &mut broker).await?;
            alone(&against, round, &mut bare).await?;
        } else {
            alone(&against, round, &mut bare).await?;
            through(path, &mut broker).await?;
        }
    }
    drop(daemon);
    show(&against, broker, bare);
    Ok(())
}

fn show(against: &Against, mut broker: Side, mut bare: Side) {
    println!("  {}", against.name);
    let rate = |what: &str, with: f64, without: f64| {
        // The broker signs tokens itself, so there is no server time to compare with.
        let own = match against.kind {
            TargetKind::TOKEN => String::new(),
            _ => {
                let percent = 100.0 * (without / with - 1.0);
                format!(", the broker's own {percent:+.0} %")
            }
        };
        println!(
            "    {what:<12} {with:>9.1} a second by the broker, {without:>9.1} by a bare client{own}"
        );
    };
    rate("mints", broker.mints(), bare.mints());
    rate("revocations", broker.revocations(), bare.revocations());
    let (with, without) = (broker.call(), bare.call());
    println!(
        "    {:<12} {with:>9.2?} by the broker, {without:>9.2?} by a bare client, {:.2?} more (p50)",
        "one mint",
        with.saturating_sub(without)
    );
}

/// Runs a round through the broker, with a task of its own that is killed at the end, until the
/// provider has acknowledged every revocation.
async fn through(path: &Path, side: &mut Side) -> Result<()> {
    let mut agent = Client::connect(&path.join("contexts/agent.json")).await?;
    let open = v1::OpenTaskRequest {
        charter: "providers".to_owned(),
        environment: "production".to_owned(),
        reason: "a measurement".to_owned(),
        ..Default::default()
    };
    let task = agent.open_task(open).await?.task.context("no task")?.id;
    let ask = || v1::IssueCredentialRequest {
        task_id: task.clone(),
        grant: "measured".to_owned(),
        ..Default::default()
    };
    for _ in 0..ALONE {
        let began = stopwatch();
        agent.issue_credential(ask()).await?;
        side.calls.push(began.elapsed());
    }
    let began = stopwatch();
    let mints = stream::iter(0..MINTS_PER_TURN).map(|_| {
        let (mut agent, ask) = (agent.clone(), ask());
        async move { agent.issue_credential(ask).await.map(drop) }
    });
    let mints = mints.buffer_unordered(CONCURRENT_MINTS);
    mints.try_collect::<Vec<()>>().await?;
    side.minting += began.elapsed();
    let mut oncall = Client::connect(&path.join("contexts/oncall.json")).await?;
    let began = stopwatch();
    let kill = v1::EngageKillRequest {
        scope: Some(v1::Scope {
            kind: Some(v1::scope::Kind::TaskId(task)),
        }),
        reason: "a measurement".to_owned(),
        ..Default::default()
    };
    let order = oncall.engage_kill(kill).await?.order.context("no order")?;
    let mut reports = oncall.watch_kill(order.id).await?;
    while let Some(report) = reports.message().await? {
        if report.total.is_some_and(|total| total.requested == 0) {
            side.revoking += began.elapsed();
            return Ok(());
        }
    }
    anyhow::bail!("the report ended before every revocation was acknowledged")
}

/// Runs a round of the bare client, which makes the provider's calls without decisions and without
/// a journal.
async fn alone(against: &Against, round: u64, side: &mut Side) -> Result<()> {
    let ids = Ids::seeded(SystemClock::default().now().as_millis() ^ round);
    let mut minted = Vec::with_capacity(ALONE + MINTS_PER_TURN);
    for _ in 0..ALONE {
        let request = against.request(&ids);
        let began = stopwatch();
        minted.push(mint(against, request).await?);
        side.calls.push(began.elapsed());
    }
    let began = stopwatch();
    let requests: Vec<_> = (0..MINTS_PER_TURN).map(|_| against.request(&ids)).collect();
    let mints = stream::iter(requests).map(|request| mint(against, request));
    let together: Vec<LeaseRef> = mints
        .buffer_unordered(CONCURRENT_MINTS)
        .try_collect()
        .await?;
    side.minting += began.elapsed();
    minted.extend(together);
    let revocation = Revocation {
        now: SystemClock::default().now(),
        due: minted,
        ..Revocation::default()
    };
    let began = stopwatch();
    let report = against.provider.revoke(&revocation).await;
    side.revoking += began.elapsed();
    let failed: Vec<&(LeaseId, _)> = report
        .outcomes
        .iter()
        .filter(|(_, it)| it.is_err())
        .collect();
    ensure!(failed.is_empty(), "not revoked: {failed:?}");
    // The broker finishes its revocations between its rounds, so the bare client does too.
    against.provider.finish_and_prove(&revocation.due).await;
    Ok(())
}

async fn mint(against: &Against, request: MintRequest) -> Result<LeaseRef> {
    against.provider.ensure_shared_objects(&request).await?;
    let prepared = against.provider.prepare(&request)?;
    let minted = against.provider.mint(&request, &prepared).await?;
    Ok(LeaseRef {
        id: request.lease,
        task: request.task,
        handle: minted.handle.unwrap_or(prepared.handle),
        asked: request.now,
        worst_expiry: prepared.worst_expiry,
        kill: None,
    })
}

impl Against {
    fn request(&self, ids: &Ids) -> MintRequest {
        let now = SystemClock::default().now();
        let task = world::task(ids, now);
        let mut request = world::request(self.kind, ids.lease(), &task, now);
        request.rights = self.rights.clone();
        request.request_number = ids.word();
        request
    }
}
