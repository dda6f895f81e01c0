//! The Python SDK: its own tests and checks on the wheel that is built of it, and what it does at a real broker.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use lanyard_rig::{Aws, python_with};
use lanyard_tests::Stage;
use tempfile::TempDir;

/// Its charter, besides that of every stage: leases of five minutes.
const GRANTS: &str = "
    - name: read-queue
      role: plan
      environments: [production]
      aws:
        target: account
        allow: [{actions: [sqs:ListQueues], resources: ['*']}]
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
    let directory = tempfile::tempdir()?;
    let mut live = sdk.module(&["pytest", "--quiet", "-rP", "tests/live"]);
    let stage = if let Some(aws) = Aws::shared() {
        live.env("LANYARD_LIVE_AWS", aws.url());
        with_account(&aws, directory)?
    } else {
        eprintln!("NOT RUN: boto3: no moto is named; `cargo xtask test` starts one");
        Stage::set()?
    };
    live.env("PYTHONPATH", sdk.sources.join("src"))
        .args(["-p", "lanyard.testing.pytest_plugin"])
        .env("LANYARD_LIVE", "1")
        .env("LANYARD_BIN", stage.agent.program())
        .env(
            "LANYARD_CONTEXT",
            stage.directory.path().join("contexts/agent.json"),
        );
    println!("{}", done(&mut live)?);
    Ok(())
}

fn with_account(aws: &Aws, directory: TempDir) -> Result<Stage> {
    let account = aws.account("python-sdk", directory.path())?;
    let targets = format!(
        "account: {{kind: aws, region: eu-west-1, endpoint: '{}', plan_role: '{}', apply_role: '{}', \
         minter_profile: {}, revoker_profile: {}}}\n",
        aws.url(),
        account.plan_role,
        account.apply_role,
        account.minter,
        account.revoker
    );
    let charter = include_str!("both.yaml")
        .trim_end()
        .replace("ttl: 10m", "ttl: 5m");
    let environment = [("AWS_SHARED_CREDENTIALS_FILE", account.credentials)];
    Stage::set_with(directory, &targets, &(charter + GRANTS), &environment)
}
