//! Measures how long a tool waits for a credential that the local agent already holds: the command,
//! compared with the start of the `aws` command line, and the agent's endpoint and socket with a
//! hundred concurrent callers.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use lanyard_proto::agent::v1::GetCredentialRequest;
use lanyard_proto::agent::v1::agent_service_client::AgentServiceClient;
use lanyard_rig::{Aws, Cli, Daemon};
use serde_json::Value;
use tonic::transport::Endpoint;

use crate::stopwatch;

/// The number of concurrent callers.
const CONCURRENT_CLIENTS: usize = 100;
/// Requests that each caller makes.
const REQUESTS_PER_CLIENT: usize = 200;
const CHARTER: &str = include_str!("deliver.yaml");

/// The daemon, the AWS server, and the local agent with an open task.
struct Stage {
    directory: tempfile::TempDir,
    _daemon: Daemon,
    aws: Aws,
    agent: Cli,
    task: String,
}

pub(crate) fn run() -> Result<()> {
    let stage = set()?;
    println!("a credential for the aws tools; {CONCURRENT_CLIENTS} at once for the local agent");
    let cold = times(5, || {
        stage.agent.ok(&["agent", "stop"])?;
        let began = stopwatch();
        stage.creds()?;
        Ok(began.elapsed())
    })?;
    show("creds aws, the agent started and a session minted", &cold);
    let minted = times(10, || {
        stage.release()?;
        let began = stopwatch();
        stage.creds()?;
        Ok(began.elapsed())
    })?;
    show("creds aws, a session minted", &minted);
    let kept = times(100, || {
        let began = stopwatch();
        stage.creds()?;
        Ok(began.elapsed())
    })?;
    show("creds aws, the session at hand", &kept);
    let aws = stage.aws.program()?;
    let own = times(10, || {
        let began = stopwatch();
        let status = Command::new(&aws)
            .arg("--version")
            .stdout(Stdio::null())
            .status()?;
        anyhow::ensure!(status.success(), "aws --version failed");
        Ok(began.elapsed())
    })?;
    show("aws --version", &own);
    println!(
        "  a session at hand costs {:.3} of the aws command line's own start",
        half(&kept)?.as_secs_f64() / half(&own)?.as_secs_f64()
    );
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    show("the endpoint", &runtime.block_on(stage.endpoint())?);
    show("the socket", &runtime.block_on(stage.socket())?);
    Ok(())
}

fn set() -> Result<Stage> {
    let aws =
        Aws::shared().context("LANYARD_MOTO_URL names no moto: run cargo xtask bench deliver")?;
    let directory = tempfile::tempdir()?;
    let path = directory.path();
    let account = aws.account("deliver", path)?;
    std::fs::create_dir(path.join("charters"))?;
    std::fs::write(path.join("charters/deliver.yaml"), CHARTER)?;
    let targets = path.join("targets.yaml");
    let text = format!(
        "account: {{kind: aws, region: eu-west-1, endpoint: '{}', plan_role: '{}', apply_role: '{}', \
         minter_profile: {}, revoker_profile: {}}}\n",
        aws.url(),
        account.plan_role,
        account.apply_role,
        account.minter,
        account.revoker
    );
    std::fs::write(&targets, text)?;
    let environment = [("AWS_SHARED_CREDENTIALS_FILE", account.credentials)];
    let targets = targets.to_string_lossy().into_owned();
    let daemon = Daemon::start_with(path, &["--targets", &targets], &environment)?;
    let agent = daemon.cli("agent")?.keeping();
    let open = [
        "-o",
        "name",
        "task",
        "open",
        "deliver",
        "--environment",
        "production",
        "--reason",
        "a measurement",
    ];
    let task = agent.ok(&open)?;
    Ok(Stage {
        directory,
        _daemon: daemon,
        aws,
        agent,
        task,
    })
}

impl Stage {
    fn creds(&self) -> Result<String> {
        self.agent
            .ok(&["creds", "aws", "read-queue", "--task", &self.task])
    }

    /// Releases the session, and waits until the local agent has dropped it.
    fn release(&self) -> Result<()> {
        let kept = self.agent.json(&["agent", "status"])?;
        let lease = kept
            .pointer("/0/lease")
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned();
        self.agent.ok(&["lease", "release", &lease])?;
        for _ in 0..500 {
            let kept = self.agent.json(&["agent", "status"])?;
            if kept.pointer("/0/lease").and_then(Value::as_str) != Some(&lease) {
                return Ok(());
            }
        }
        bail!("the local agent still holds the released session")
    }

    fn state(&self) -> PathBuf {
        self.directory.path().join("contexts/state")
    }

    async fn endpoint(&self) -> Result<Vec<Duration>> {
        let opened = self
            .agent
            .json(&["agent", "endpoint", "--task", &self.task])?;
        let field = |name: &str| opened.get(name).and_then(Value::as_str).context("no field");
        let url = format!("{}/v1/aws/read-queue", field("url")?);
        let token = std::fs::read_to_string(field("token_file")?)?;
        // Fails if another measurement installed it first.
        drop(rustls::crypto::ring::default_provider().install_default());
        at_once(|| {
            let (client, url, token) = (reqwest::Client::new(), url.clone(), token.clone());
            async move {
                let mut took = Vec::new();
                for _ in 0..REQUESTS_PER_CLIENT {
                    let began = stopwatch();
                    let answer = client
                        .get(&url)
                        .header("authorization", &token)
                        .send()
                        .await?;
                    let answer = answer.error_for_status()?.bytes().await?;
                    anyhow::ensure!(!answer.is_empty(), "the answer is empty");
                    took.push(began.elapsed());
                }
                Ok(took)
            }
        })
        .await
    }

    async fn socket(&self) -> Result<Vec<Duration>> {
        let socket = self.state().join("agent.sock");
        let context = self.directory.path().join("contexts/agent.json");
        at_once(|| {
            let (socket, context, task) = (socket.clone(), context.clone(), self.task.clone());
            async move { ask_the_socket(&socket, &context, task).await }
        })
        .await
    }
}

async fn ask_the_socket(socket: &Path, context: &Path, task: String) -> Result<Vec<Duration>> {
    let endpoint = Endpoint::try_from(format!("unix:{}", socket.display()))?;
    let mut client = AgentServiceClient::new(endpoint.connect().await?);
    let mut took = Vec::new();
    for _ in 0..REQUESTS_PER_CLIENT {
        let mut request = tonic::Request::new(GetCredentialRequest {
            task_id: task.clone(),
            grant: "read-queue".to_owned(),
            ..Default::default()
        });
        let named = context.display().to_string().parse()?;
        request.metadata_mut().insert("lanyard-context", named);
        let began = stopwatch();
        client.get_credential(request).await?;
        took.push(began.elapsed());
    }
    Ok(took)
}

async fn at_once<F>(mut ask: impl FnMut() -> F) -> Result<Vec<Duration>>
where
    F: Future<Output = Result<Vec<Duration>>> + Send + 'static,
{
    let mut asking = tokio::task::JoinSet::new();
    for _ in 0..CONCURRENT_CLIENTS {
        asking.spawn(ask());
    }
    let mut took = Vec::new();
    while let Some(asked) = asking.join_next().await {
        took.extend(asked??);
    }
    took.sort_unstable();
    Ok(took)
}

fn times(count: usize, mut one: impl FnMut() -> Result<Duration>) -> Result<Vec<Duration>> {
    let took: Result<Vec<_>> = (0..count).map(|_| one()).collect();
    let mut took = took?;
    took.sort_unstable();
    Ok(took)
}

fn at(took: &[Duration], part: usize) -> Result<Duration> {
    let found = took.get((took.len() * part / 100).min(took.len().saturating_sub(1)));
    found.copied().context("nothing was measured")
}

fn half(took: &[Duration]) -> Result<Duration> {
    at(took, 50)
}

fn show(name: &str, took: &[Duration]) {
    if let (Ok(half), Ok(most)) = (half(took), at(took, 99)) {
        println!(
            "  {name:<50} p50 {half:>9.2?}   p99 {most:>9.2?}   of {}",
            took.len()
        );
    }
}
