//! The Python SDK: its own tests and checks on the wheel that is built of it, and what it does at a
//! real broker.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use lanyard_rig::{Aws, Cluster, python_with};
use lanyard_tests::Stage;
use tempfile::TempDir;

/// The grant that the script uses with boto3: leases of five minutes.
const QUEUE: &str = "
    - name: read-queue
      role: plan
      environments: [production]
      aws:
        target: account
        allow: [{actions: [sqs:ListQueues], resources: ['*']}]
";
/// The grant that the script uses with the Kubernetes client.
const WORKERS: &str = "
    - name: read-workers
      role: plan
      environments: [production]
      kubernetes:
        target: cluster
        namespace: python-target
        rules: [{apiGroups: [apps], resources: [deployments], verbs: [get, list]}]
";

/// The sources, the Python to try them with, and a folder for what comes of it.
struct Sdk {
    sources: PathBuf,
    python: PathBuf,
    folder: TempDir,
}

impl Sdk {
    fn new() -> Result<Self> {
        let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("../sdk/python");
        let sources = sources.canonicalize()?;
        let requirements =
            ["examples", "tests"].map(|part| sources.join(part).join("requirements.txt"));
        Ok(Self {
            python: python_with(&requirements.each_ref().map(PathBuf::as_path))?,
            sources,
            folder: tempfile::tempdir()?,
        })
    }

    /// `python -m` this, which leaves nothing beside the sources.
    fn module(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.python);
        command.arg("-m").args(arguments).current_dir(&self.sources);
        for name in ["MYPY_CACHE_DIR", "RUFF_CACHE_DIR"] {
            command.env(name, self.folder.path().join(name));
        }
        command.env("PYTHONDONTWRITEBYTECODE", "1");
        for name in [
            "LANYARD_AGENT",
            "LANYARD_CONTEXT",
            "LANYARD_STATE",
            "LANYARD_TASK",
        ] {
            command.env_remove(name);
        }
        command
    }

    /// Builds the wheel and unpacks it; the folder to import it from.
    fn installed(&self) -> Result<PathBuf> {
        let (wheels, site) = (
            self.folder.path().join("wheels"),
            self.folder.path().join("site"),
        );
        let out = wheels.to_str().context("no Unicode")?;
        done(&mut self.module(&["build", "--wheel", "--no-isolation", "--outdir", out]))?;
        let wheel = std::fs::read_dir(&wheels)?
            .next()
            .context("no wheel")??
            .path();
        let mut install = self.module(&["pip", "install", "--quiet", "--no-deps", "--target"]);
        done(install.arg(&site).arg(wheel))?;
        Ok(site)
    }
}

fn done(command: &mut Command) -> Result<String> {
    let output = command.output()?;
    let [stdout, stderr] =
        [&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text).into_owned());
    ensure!(output.status.success(), "{command:?}: {stdout}{stderr}");
    Ok(stdout)
}

#[test]
fn the_wheel_passes_its_tests_and_its_types_hold() -> Result<()> {
    let sdk = Sdk::new()?;
    let site = sdk.installed()?;
    assert!(site.join("lanyard/py.typed").exists());
    done(&mut sdk.module(&["ruff", "check"]))?;
    done(&mut sdk.module(&["ruff", "format", "--check"]))?;
    done(&mut sdk.module(&["mypy"]))?;
    let mut tests = sdk.module(&["pytest", "--quiet", "--ignore", "tests/live"]);
    println!("{}", done(tests.env("PYTHONPATH", &site))?);
    Ok(())
}

#[test]
fn it_does_what_it_says_at_a_real_broker() -> Result<()> {
    let sdk = Sdk::new()?;
    let mut live = sdk.module(&["pytest", "--quiet", "-rP", "tests/live"]);
    let stage = with_targets(&mut live)?;
    live.env("PYTHONPATH", sdk.sources.join("src"))
        .args(["-p", "lanyard_pytest"])
        .env("LANYARD_LIVE", "1")
        .env("LANYARD_BIN", stage.agent.program())
        .env("LANYARD_LIVE_DAEMON", stage.daemon.process().to_string())
        .env(
            "LANYARD_CONTEXT",
            stage.directory.path().join("contexts/agent.json"),
        );
    println!("{}", done(&mut live)?);
    Ok(())
}

/// A stage with the targets that there are, which the tests are told of.
fn with_targets(live: &mut Command) -> Result<Stage> {
    let directory = tempfile::tempdir()?;
    let (mut targets, mut environment) = (String::new(), Vec::new());
    let charter = include_str!("both.yaml").trim_end();
    let mut charter = charter.replace("ttl: 10m", "ttl: 5m");
    if let Some(aws) = Aws::shared() {
        let account = aws.account("python-sdk", directory.path())?;
        writeln!(
            targets,
            "account: {{kind: aws, region: eu-west-1, endpoint: '{}', plan_role: '{}', apply_role: '{}', \
             minter_profile: {}, revoker_profile: {}}}",
            aws.url(),
            account.plan_role,
            account.apply_role,
            account.minter,
            account.revoker
        )?;
        charter.push_str(QUEUE.trim_end());
        environment.push(("AWS_SHARED_CREDENTIALS_FILE", account.credentials));
        live.env("LANYARD_LIVE_AWS", aws.url());
    }
    if let Some(cluster) = Cluster::shared() {
        cluster.namespaces("python-leases", "python-target")?;
        let broker = cluster.kubeconfig("broker");
        let broker = broker.display();
        writeln!(
            targets,
            "cluster: {{kind: kubernetes, namespace: python-leases, kubeconfig: {broker}}}"
        )?;
        charter.push_str(WORKERS.trim_end());
        live.env("LANYARD_LIVE_KUBERNETES", "python-target");
    }
    if targets.is_empty() {
        eprintln!(
            "NOT RUN: boto3 and the Kubernetes client: `cargo xtask test` starts their servers"
        );
        return Stage::set();
    }
    Stage::set_with(directory, &targets, &charter, &environment)
}
