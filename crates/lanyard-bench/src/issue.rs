//! Measures the issuing of tokens by the real daemon, with 64 calls in flight, compared with the
//! echo server in the same run.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use lanyard_client::{Client, v1};
use lanyard_rig::{Daemon, free_port};

use crate::stopwatch;

const IN_FLIGHT: usize = 64;
const CHARTER: &str = include_str!("bench.yaml");

struct Measured {
    rate: f64,
    half: Duration,
    most: Duration,
}

/// A child process that is killed on drop.
struct Ends(Child);

impl Drop for Ends {
    fn drop(&mut self) {
        // The process may have ended already.
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

pub(crate) async fn run(seconds: u64) -> Result<()> {
    let directory = tempfile::tempdir()?;
    let directory = directory.path();
    std::fs::create_dir(directory.join("charters"))?;
    std::fs::write(directory.join("charters/bench.yaml"), CHARTER)?;
    let daemon = Daemon::start(directory)?;
    let context = directory.join("contexts/agent.json");
    let mut client = Client::connect(&context).await?;
    let open = v1::OpenTaskRequest {
        charter: "bench".to_owned(),
        environment: "production".to_owned(),
        reason: "a measurement".to_owned(),
        ..Default::default()
    };
    let task = client.open_task(open).await?.task.context("no task")?.id;
    println!("issuing, {IN_FLIGHT} in flight over TLS, {seconds} s each, everything durable");
    let lanyard = measure(&context, &task, seconds).await?;
    show("lanyardd", &lanyard);
    drop(daemon);
    let plain = echo(directory, &task, seconds, false).await?;
    show("echo", &plain);
    let signing = echo(directory, &task, seconds, true).await?;
    show("echo that signs", &signing);
    println!(
        "  lanyardd issues at {:.2} of the rate of the echo, {:.2} of the echo that signs",
        lanyard.rate / plain.rate,
        lanyard.rate / signing.rate
    );
    Ok(())
}

fn show(name: &str, measured: &Measured) {
    println!(
        "  {name:<16} {:>8.0} a second   p50 {:>8.2?}   p99 {:>8.2?}",
        measured.rate, measured.half, measured.most
    );
}

async fn echo(directory: &Path, task: &str, seconds: u64, sign: bool) -> Result<Measured> {
    let listen = free_port()?;
    let mut command = Command::new(std::env::current_exe()?);
    command
        .args(["echo", "--listen", &listen.to_string(), "--directory"])
        .arg(directory)
        .stdin(Stdio::null());
    if sign {
        command.arg("--sign");
    }
    let _echo = Ends(command.spawn()?);
    let context = directory.join("contexts/echo.json");
    let agent = std::fs::read_to_string(directory.join("contexts/agent.json"))?;
    let (before, rest) = agent
        .split_once("https://127.0.0.1:")
        .context("no endpoint")?;
    let (_, after) = rest.split_once('"').context("no endpoint")?;
    std::fs::write(&context, format!("{before}https://{listen}\"{after}"))?;
    for _ in 0..100 {
        if Client::connect(&context).await.is_ok() {
            return measure(&context, task, seconds).await;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    bail!("the echo does not answer")
}

async fn measure(context: &Path, task: &str, seconds: u64) -> Result<Measured> {
    let began = stopwatch();
    let until = began + Duration::from_secs(seconds);
    let mut callers = tokio::task::JoinSet::new();
    for _ in 0..IN_FLIGHT {
        let mut client = Client::connect(context).await?;
        let task = task.to_owned();
        callers.spawn(async move {
            let mut took = Vec::new();
            while stopwatch() < until {
                let ask = v1::IssueCredentialRequest {
                    task_id: task.clone(),
                    grant: "read".to_owned(),
                    ..Default::default()
                };
                let asked = stopwatch();
                client.issue_credential(ask).await?;
                took.push(asked.elapsed());
            }
            Ok::<_, anyhow::Error>(took)
        });
    }
    let mut took = Vec::new();
    while let Some(caller) = callers.join_next().await {
        took.extend(caller??);
    }
    let elapsed = began.elapsed().as_secs_f64();
    took.sort_unstable();
    let at = |part: usize| {
        let found = took.get(took.len() * part / 100).copied();
        found.context("no call was answered")
    };
    Ok(Measured {
        rate: took.len() as f64 / elapsed,
        half: at(50)?,
        most: at(99)?,
    })
}
