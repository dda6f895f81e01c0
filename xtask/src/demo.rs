//! `cargo xtask demo [--servers]`: plays the whole story through the command line on a daemon of
//! its own. The story's tokens need no server; with `--servers` it also plays on the real servers
//! that this machine can have.

mod aws;
mod kubernetes;
mod token;
mod vault;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use lanyard_rig::{Aws, Cli, Cluster, Daemon, Kubernetes, Moto, Storage, Vault, VaultServer};
use serde_json::Value;

use crate::build;

const CHARTER: &str = include_str!("demo/shop-operator.yaml");

/// The steps that the story has told so far.
struct Story {
    steps: usize,
    left_out: Vec<String>,
}

impl Story {
    fn step<T>(&mut self, what: &str, done: Result<T>) -> Result<T> {
        let value =
            done.with_context(|| format!("demo: failed at step {}: {what}", self.steps + 1))?;
        self.steps += 1;
        println!("ok {:>3}  {what}", self.steps);
        Ok(value)
    }
}

/// The real servers; the story leaves out those that this machine cannot have.
struct Servers {
    moto: Result<Moto>,
    kubernetes: Result<Kubernetes>,
    vault: Result<VaultServer>,
}

impl Servers {
    fn start(directory: &Path) -> Self {
        let says = |what: &str| println!("demo: starting {what}");
        says("moto, for AWS");
        let moto = Moto::start(&directory.join("moto.log"));
        says("kube-apiserver and etcd");
        let kubernetes = Kubernetes::start(&directory.join("kubernetes"));
        says("Vault");
        let vault = VaultServer::start(&directory.join("vault"), Storage::Memory);
        Self {
            moto,
            kubernetes,
            vault,
        }
    }

    fn left_out(&self) -> Vec<String> {
        let errors = [
            ("AWS", self.moto.as_ref().err()),
            ("Kubernetes", self.kubernetes.as_ref().err()),
            ("Vault", self.vault.as_ref().err()),
        ];
        let errors = errors.into_iter();
        let lines = errors.filter_map(|(what, error)| Some(format!("{what}: {:#}", error?)));
        lines.collect()
    }
}

/// The daemon, the people, the targets and the task of the story.
struct Stage<'a> {
    directory: &'a Path,
    daemon: Daemon,
    agent: Cli,
    oncall: Cli,
    cluster: Option<&'a Cluster>,
    aws: Option<&'a Aws>,
    vault: Option<&'a Vault>,
    task: String,
}

/// The credentials that the agent holds when everything is stopped.
struct Held {
    token: String,
    kubeconfig: Option<PathBuf>,
    aws: Option<String>,
    vault: Option<String>,
}

/// Plays the story, and fails at the first step that does not happen.
pub(crate) fn run(arguments: &[String]) -> Result<()> {
    let with_servers = match arguments {
        [] => false,
        [flag] if flag == "--servers" => true,
        _ => bail!("usage: cargo xtask demo [--servers]"),
    };
    println!("demo: lanyardd and lanyard are built: minutes the first time, seconds after that");
    build::binaries()?;
    let directory = tempfile::tempdir()?;
    let directory = directory.path();
    let servers = with_servers.then(|| Servers::start(directory));
    let mut story = Story {
        steps: 0,
        left_out: servers.as_ref().map(Servers::left_out).unwrap_or_default(),
    };
    let stage = open(&mut story, directory, servers.as_ref())?;
    let held = plan(&mut story, &stage)?;
    apply(&mut story, &stage)?;
    prohibited(&mut story, &stage)?;
    kill(&mut story, &stage, &held)?;
    rearm(&mut story, &stage)?;
    let kills = stage.oncall.ok(&["audit", "query", "--kind", "kill"]);
    let kills = story.step("the kill stands in the journal", kills)?;
    println!("         {}", kills.lines().last().unwrap_or_default());
    let auditor = stage.daemon.cli("oncall")?;
    story.step("the daemon ends cleanly", stage.daemon.stop())?;
    let data = directory.join("data");
    let verify = ["audit", "verify", "--data-dir", &data.to_string_lossy()];
    let verified = story.step("the journal is verified", auditor.ok(&verify))?;
    println!("         {verified}");
    for what in &story.left_out {
        println!("left out: {what}");
    }
    println!("demo: ok ({} steps)", story.steps);
    if !with_servers {
        println!(
            "next: `cargo xtask demo --servers`, the same on Kubernetes, AWS and Vault; docs/quickstart.md, the same by hand"
        );
    }
    Ok(())
}

/// Starts the daemon, loads its charter and opens the task.
fn open<'a>(
    story: &mut Story,
    directory: &'a Path,
    servers: Option<&'a Servers>,
) -> Result<Stage<'a>> {
    let cluster = servers.and_then(|servers| servers.kubernetes.as_ref().ok());
    let cluster = cluster.map(Kubernetes::cluster);
    let aws = servers.and_then(|servers| servers.moto.as_ref().ok());
    let aws = aws.map(Moto::aws);
    let vault = servers.and_then(|servers| servers.vault.as_ref().ok());
    let vault = vault.map(VaultServer::vault);
    let (mut charter, mut targets, mut environment) = (CHARTER.to_owned(), String::new(), vec![]);
    if let Some(cluster) = cluster {
        charter.push_str(kubernetes::GRANTS);
        targets.push_str(&kubernetes::target(cluster)?);
    }
    if let Some(aws) = aws {
        charter.push_str(aws::GRANTS);
        let (target, credentials) = aws::target(aws, directory)?;
        targets.push_str(&target);
        environment.push(("AWS_SHARED_CREDENTIALS_FILE", credentials));
    }
    if let Some(vault) = vault {
        charter.push_str(vault::GRANTS);
        targets.push_str(&vault::target(vault, directory)?);
    }
    let file = directory.join("charters/shop-operator.yaml");
    std::fs::create_dir_all(directory.join("charters"))?;
    std::fs::write(&file, &charter)?;
    std::fs::write(directory.join("targets.yaml"), &targets)?;
    let named = directory.join("targets.yaml");
    let daemon = Daemon::start_with(
        directory,
        &["--targets", &named.to_string_lossy()],
        &environment,
    );
    let daemon = story.step("lanyardd starts on a data directory", daemon)?;
    let (agent, oncall) = (daemon.cli("agent")?, daemon.cli("oncall")?);
    let world = [
        "--environment=production=production",
        "--target=tickets=token",
        "--target=cluster=kubernetes",
        "--target=account=aws",
        "--target=vault=vault",
    ];
    let file = file.to_string_lossy();
    let linted = agent.ok(&[&["charter", "lint", &file], &world[..]].concat());
    story.step("the charter is linted", linted)?;
    let open = ["-o", "name", "task", "open", "shop-operator"];
    let why = ["--environment", "production", "--reason", "orders pile up"];
    let task = agent.ok(&[&open[..], &why].concat());
    let task = story.step("the agent opens a task", task)?;
    Ok(Stage {
        directory,
        daemon,
        agent,
        oncall,
        cluster,
        aws,
        vault,
        task,
    })
}

/// Returns the command that the aws tools run for a credential. Without `lanyard exec`, nothing
/// gives the credential back before the kill.
fn credential_process(stage: &Stage<'_>, grant: &str) -> Result<String> {
    let program = lanyard_rig::binaries()?.join("lanyard");
    let context = stage.directory.join("contexts/agent.json");
    let (program, context) = (program.display(), context.display());
    let task = &stage.task;
    Ok(format!(
        "{program} --context {context} creds aws {grant} --task {task} --direct"
    ))
}

/// Runs a command of the agent with the credential of a grant, as `lanyard exec` runs it, and
/// returns its stdout.
fn under_exec(stage: &Stage<'_>, grant: &str, command: &[&str]) -> Result<String> {
    let agent = stage.daemon.cli("agent")?.keeping();
    let exec = [
        "exec",
        "shop-operator",
        "--environment",
        "production",
        "--reason",
    ];
    let asked = ["orders pile up", "--grant", grant, "--"];
    let printed = agent.ok(&[&exec[..], &asked, command].concat())?;
    println!("         {}", printed.lines().last().unwrap_or_default());
    Ok(printed)
}

/// Runs a command as [`under_exec`] does, and fails unless the target refuses it.
fn refused_under_exec(stage: &Stage<'_>, grant: &str, command: &[&str]) -> Result<()> {
    match under_exec(stage, grant, command) {
        Ok(printed) => bail!("it was allowed: {printed}"),
        Err(error) => {
            let line = error.to_string();
            println!("         {}", line.lines().last().unwrap_or_default());
            Ok(())
        }
    }
}

/// Mints plan credentials on every target, and uses them.
fn plan(story: &mut Story, stage: &Stage<'_>) -> Result<Held> {
    let (agent, task) = (&stage.agent, stage.task.as_str());
    let token = agent.ok(&["creds", "token", "--task", task, "read-tickets"]);
    let token = story.step("and gets a token to read tickets", token)?;
    token::outside(story, &stage.daemon, &token)?;
    let active = token::active(&stage.daemon, &stage.oncall, &token, true);
    story.step("introspection says that it is live", active)?;
    let mut held = Held {
        token,
        kubeconfig: None,
        aws: None,
        vault: None,
    };
    if let Some(cluster) = stage.cluster {
        let kubectl = cluster.program().to_string_lossy();
        let read = [&*kubectl, "get", "deployments", "-n", "shop"];
        let read = under_exec(stage, "read-workers", &read);
        story.step("kubectl reads under lanyard exec", read)?;
        let write = [&*kubectl, "delete", "deployment", "workers", "-n", "shop"];
        let write = refused_under_exec(stage, "read-workers", &write);
        story.step("and is refused a write", write)?;
        let secret = agent.ok(&["creds", "kube", "--task", task, "read-workers"])?;
        let kept = kubernetes::kept(stage.directory, "kube.json", &secret)?;
        let command = ["cat", &kept.to_string_lossy()];
        held.kubeconfig = Some(kubernetes::kubeconfig(
            cluster,
            stage.directory,
            "held",
            &command,
        )?);
    }
    if let Some(aws) = stage.aws {
        let process = credential_process(stage, "read-queue")?;
        let read = aws::works(aws, stage.directory, &process);
        story.step("aws reads with lanyard as its credential process", read)?;
        let purge = ["sqs", "delete-queue", "--queue-url", "orders"];
        let purge = aws::refused(aws, stage.directory, &process, &purge);
        story.step("and is refused a write", purge)?;
        let secret = agent.ok(&["creds", "aws", "--task", task, "read-queue"])?;
        let kept = kubernetes::kept(stage.directory, "aws.json", &secret)?;
        held.aws = Some(format!("cat {}", kept.display()));
    }
    if let Some(vault) = stage.vault {
        let program = vault.program().to_string_lossy();
        let read = under_exec(stage, "read-config", &[&program, "read", vault::CONFIG]);
        story.step("vault reads under lanyard exec", read)?;
        let wide = refused_under_exec(stage, "read-config", &[&program, "read", "sys/mounts"]);
        story.step("and is refused what its policy lacks", wide)?;
        held.vault = Some(agent.ok(&["creds", "vault", "--task", task, "read-config"])?);
    }
    Ok(held)
}

fn refused(cli: &Cli, code: i32, arguments: &[&str], expected: &str) -> Result<()> {
    let line = cli.fails(code, arguments)?;
    if !line.contains(expected) {
        bail!("it was refused with another line: {line}");
    }
    println!("         {line}");
    Ok(())
}

/// Plays an apply, which waits for two people to approve the very plan that it came with.
fn apply(story: &mut Story, stage: &Stage<'_>) -> Result<()> {
    let (agent, task) = (&stage.agent, stage.task.as_str());
    let (tool, grant) = match stage.cluster {
        Some(_) => ("kube", "scale-workers"),
        None => ("token", "move-tickets"),
    };
    let request = ["creds", tool, "--task", task, grant];
    let without = refused(agent, 3, &request, "plans.required");
    story.step("an apply without a plan is refused", without)?;
    let file = stage.directory.join("plan.txt");
    std::fs::write(&file, "scale deployment workers from 1 to 3\n")?;
    let file = file.to_string_lossy();
    let submit = ["plan", "submit", &file, "--task", task, "--grant", grant];
    let submit = [&submit[..], &["--summary", "three workers"]].concat();
    let plan = story.step("the agent submits its plan", agent.json(&submit))?;
    let field = |name: &str| plan.get(name).and_then(Value::as_str).unwrap_or_default();
    let request = [&request[..], &["--plan", field("plan")]].concat();
    let early = refused(agent, 5, &request, "0 of 2 approvals given");
    story.step("an apply without approval is refused", early)?;
    for person in ["alice", "bob"] {
        let approve = ["approval", "approve", field("approval"), "--digest"];
        let seen = [field("digest"), "--comment", "seen"];
        let approved = stage
            .daemon
            .cli(person)?
            .ok(&[&approve[..], &seen].concat());
        story.step(&format!("{person} approves what was hashed"), approved)?;
    }
    let secret = story.step("the apply credential is issued", agent.ok(&request))?;
    if let Some(cluster) = stage.cluster {
        let kept = kubernetes::kept(stage.directory, "apply.json", &secret)?;
        let command = ["cat", &kept.to_string_lossy()];
        let config = kubernetes::kubeconfig(cluster, stage.directory, "apply", &command)?;
        let scale = [
            "scale",
            "deployment",
            "workers",
            "--replicas=3",
            "-n",
            "shop",
        ];
        let scale = kubernetes::works(cluster, &config, &scale);
        story.step("and kubectl applies the plan with it", scale)?;
    }
    let twice = refused(agent, 5, &request, "is still live");
    story.step("it is issued only once", twice)
}

/// Asks for what the charter prohibits and for what it does not grant.
fn prohibited(story: &mut Story, stage: &Stage<'_>) -> Result<()> {
    let (agent, task) = (&stage.agent, stage.task.as_str());
    let unknown = ["request", "--task", task, "delete-tickets"];
    let unknown = refused(agent, 3, &unknown, "there is no grant");
    story.step("what the charter does not grant is denied", unknown)?;
    if stage.aws.is_none() {
        return Ok(());
    }
    let file = stage.directory.join("plan.txt");
    let file = file.to_string_lossy();
    let submit = [
        "plan",
        "submit",
        &file,
        "--task",
        task,
        "--grant",
        "purge-queue",
    ];
    let more = ["--summary", "no queue", "--destructive", "sqs:DeleteQueue"];
    let submit = [&submit[..], &more].concat();
    let denied = refused(agent, 3, &submit, "sqs:DeleteQueue is prohibited");
    story.step("what it prohibits is denied, with the line", denied)
}

/// Stops everything, and tries every credential again.
fn kill(story: &mut Story, stage: &Stage<'_>, held: &Held) -> Result<()> {
    if let (Some(cluster), Some(config)) = (stage.cluster, &held.kubeconfig) {
        let read = kubernetes::works(cluster, config, &["get", "deployments", "-n", "shop"]);
        story.step("a cluster token works before the kill", read)?;
    }
    if let (Some(aws), Some(process)) = (stage.aws, &held.aws) {
        let read = aws::works(aws, stage.directory, process);
        story.step("an AWS session works before the kill", read)?;
    }
    if let (Some(vault), Some(token)) = (stage.vault, &held.vault) {
        let read = vault::reads(vault, token, 200);
        story.step("a Vault token works before the kill", read)?;
    }
    let report = stage
        .oncall
        .run(&["kill", "--all", "--reason", "drill", "--yes"])?;
    println!("{}\n{}", report.stderr, report.stdout);
    // Nothing proves an STS session dead: the report has to say that it is acknowledged, and no
    // more.
    let expected = if stage.aws.is_some() { 8 } else { 0 };
    let stopped = if report.code == expected {
        Ok(())
    } else {
        Err(anyhow::anyhow!("exit code {}", report.code))
    };
    story.step("the on-call engineer stops everything", stopped)?;
    let active = token::active(&stage.daemon, &stage.oncall, &held.token, false);
    story.step("the token is dead", active)?;
    if let (Some(cluster), Some(config)) = (stage.cluster, &held.kubeconfig) {
        let read = kubernetes::refused(cluster, config, &["get", "deployments", "-n", "shop"]);
        story.step("the cluster refuses its token", read)?;
    }
    if let (Some(aws), Some(process)) = (stage.aws, &held.aws) {
        let read = aws::refused(aws, stage.directory, process, aws::READ);
        story.step("AWS refuses its session", read)?;
    }
    if let (Some(vault), Some(token)) = (stage.vault, &held.vault) {
        let read = vault::reads(vault, token, 403);
        story.step("Vault refuses its token", read)?;
    }
    Ok(())
}

fn rearm(story: &mut Story, stage: &Stage<'_>) -> Result<()> {
    let (agent, oncall) = (&stage.agent, &stage.oncall);
    let request = ["request", "--task", &stage.task, "read-tickets"];
    let stopped = refused(agent, 6, &request, "stopped by kill order");
    story.step("nothing new is issued", stopped)?;
    let order = oncall.ok(&["-o", "name", "kill", "list"])?;
    // AWS sessions stay acknowledged, without a proof, for minutes: both people say that they know.
    let despite = "--despite-unconfirmed";
    let proposal = oncall.ok(&["rearm", &order, "--reason", "the drill is over", despite])?;
    let why = ["--reason", "AWS shows nothing more for minutes"];
    let alone = [&["rearm", &proposal, "--confirm", despite], &why[..]].concat();
    let refused = refused(oncall, 2, &alone, "a second person");
    story.step("one person cannot re-arm", refused)?;
    let second = stage.daemon.cli("oncall-two")?.ok(&alone);
    story.step("two can, the plan role first", second)?;
    story
        .step("and the agent reads again", agent.ok(&request))
        .map(drop)
}
