//! Measures an agent that sends a thousand forbidden requests a second: how soon its breaker stops
//! it, and the effect on other callers, in one run.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use lanyard_client::{Client, ClientError, v1};
use lanyard_rig::Daemon;

use crate::stopwatch;

/// Denials within ten minutes that trip the breaker.
const TRIPS: u32 = 100;
/// Requests that the flood makes in a minute.
const RATE: u32 = 50_000;
/// Connections that the flood's requests are spread over.
const FLOODS: u32 = 16;
/// Other callers, each of which sends one request after the other with [`REST`] in between.
const OTHERS: usize = 4;
const REST: Duration = Duration::from_millis(5);

pub(crate) async fn run(seconds: u64) -> Result<()> {
    let directory = tempfile::tempdir()?;
    let directory = directory.path();
    std::fs::create_dir(directory.join("charters"))?;
    let charter = include_str!("bench.yaml");
    std::fs::write(directory.join("charters/bench.yaml"), charter)?;
    let flooded = charter
        .replace("name: bench\n", "name: flooded\n")
        .replace("agent:router", "agent:flood");
    let breaker =
        format!("\n  breakers: [{{on: denied, count: {TRIPS}, within: 10m, then: stop-agent}}]\n");
    std::fs::write(directory.join("charters/flooded.yaml"), flooded + &breaker)?;
    let _daemon = Daemon::start(directory)?;
    let agent = directory.join("contexts/agent.json");
    let flood = directory.join("contexts/flood.json");
    let text = std::fs::read_to_string(&agent)?;
    std::fs::write(&flood, text.replace("agent:router", "agent:flood"))?;

    let task = open(&agent, "bench").await?;
    let quiet = others(&agent, &task, seconds).await?;
    let hostile = open(&flood, "flooded").await?;
    let until = stopwatch() + Duration::from_secs(seconds);
    let flooding = tokio::spawn(floods(flood, hostile, until));
    let loud = others(&agent, &task, seconds).await?;
    let (sent, stopped) = flooding.await??;
    println!(
        "a flood of {} requests a minute from one agent, for {seconds} s ({sent} sent)",
        u64::from(sent) * 60 / seconds
    );
    let stopped = stopped.context("the breaker never tripped")?;
    println!(
        "  stopped {stopped:.2?} after its first request, by the breaker of {TRIPS} denials in 10 minutes"
    );
    for (name, took) in [("without it", &quiet), ("with it", &loud)] {
        println!(
            "  {OTHERS} others {name:<11} p50 {:>8.2?}   p99 {:>8.2?}",
            at(took, 50),
            at(took, 99)
        );
    }
    let ratio = |part| at(&loud, part).as_secs_f64() / at(&quiet, part).as_secs_f64();
    println!("  ratio: p50 {:.2}, p99 {:.2}", ratio(50), ratio(99));
    Ok(())
}

fn at(took: &[Duration], part: usize) -> Duration {
    took.get(took.len() * part / 100)
        .copied()
        .unwrap_or_default()
}

async fn open(context: &Path, charter: &str) -> Result<String> {
    let mut client = Client::connect(context).await?;
    let open = v1::OpenTaskRequest {
        charter: charter.to_owned(),
        environment: "production".to_owned(),
        reason: "a measurement".to_owned(),
        ..Default::default()
    };
    Ok(client.open_task(open).await?.task.context("no task")?.id)
}

fn ask(task: &str, grant: &str) -> v1::IssueCredentialRequest {
    v1::IssueCredentialRequest {
        task_id: task.to_owned(),
        grant: grant.to_owned(),
        ..Default::default()
    }
}

/// Measures how long the other callers wait for each answer; returns the sorted waits.
async fn others(context: &Path, task: &str, seconds: u64) -> Result<Vec<Duration>> {
    let until = stopwatch() + Duration::from_secs(seconds);
    let mut callers = tokio::task::JoinSet::new();
    for _ in 0..OTHERS {
        let (mut client, task) = (Client::connect(context).await?, task.to_owned());
        callers.spawn(async move {
            let mut took = Vec::new();
            while stopwatch() < until {
                let asked = stopwatch();
                client.issue_credential(ask(&task, "read")).await?;
                took.push(asked.elapsed());
                tokio::time::sleep(REST).await;
            }
            Ok::<_, ClientError>(took)
        });
    }
    let mut took = Vec::new();
    while let Some(caller) = callers.join_next().await {
        took.extend(caller??);
    }
    took.sort_unstable();
    ensure!(!took.is_empty(), "no request was answered");
    Ok(took)
}

/// Sends requests at [`RATE`]. Returns their number, and the time of the first refusal by a kill
/// order.
async fn floods(
    context: std::path::PathBuf,
    task: String,
    until: std::time::Instant,
) -> Result<(u32, Option<Duration>)> {
    let began = stopwatch();
    let every = Duration::from_secs(60) * FLOODS / RATE;
    let mut callers = tokio::task::JoinSet::new();
    for _ in 0..FLOODS {
        let (mut client, task) = (Client::connect(&context).await?, task.clone());
        callers.spawn(async move {
            let (mut sent, mut stopped) = (0_u32, None);
            let mut turns = tokio::time::interval(every);
            while stopwatch() < until {
                turns.tick().await;
                let answer = client.issue_credential(ask(&task, "none-such")).await;
                sent += 1;
                // The grant of the other requests does not exist. Only a request for a real grant
                // shows that the kill order refused it.
                if stopped.is_none() {
                    let held = client.issue_credential(ask(&task, "read")).await;
                    let killed = matches!(held, Err(ClientError::Killed(_)));
                    stopped = killed.then(|| began.elapsed());
                }
                drop(answer);
            }
            (sent, stopped)
        });
    }
    let (mut sent, mut first) = (0, None);
    while let Some(caller) = callers.join_next().await {
        let (more, stopped) = caller?;
        sent += more;
        first = [first, stopped].into_iter().flatten().min();
    }
    Ok((sent, first))
}
