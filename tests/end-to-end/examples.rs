//! The examples in Rust, as somebody who tries them runs them: an agent, and a tool that lets the
//! agent in.

use std::io::{BufRead as _, BufReader, Lines};
use std::process::{Child, ChildStderr, ChildStdout, Command, Stdio};

use anyhow::{Context, Result};
use lanyard_tests::Stage;

/// A program that runs, and is ended with the test.
struct Example {
    child: Child,
    out: Lines<BufReader<ChildStdout>>,
    err: Lines<BufReader<ChildStderr>>,
}

impl Example {
    fn start(package: &str, name: &str, arguments: &[&str]) -> Result<Self> {
        let program = lanyard_rig::binaries()?.join("examples").join(name);
        let mut child = Command::new(&program)
            .args(arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .with_context(|| {
                format!(
                    "there is no `{}`: run `cargo build -p {package} --example {name}`",
                    program.display()
                )
            })?;
        let out = BufReader::new(child.stdout.take().context("no stdout")?).lines();
        let err = BufReader::new(child.stderr.take().context("no stderr")?).lines();
        Ok(Self { child, out, err })
    }

    /// The next line that the program prints.
    fn line(&mut self) -> Result<String> {
        let Some(line) = self.out.next() else {
            let why: Vec<String> = self.err.by_ref().map_while(Result::ok).collect();
            anyhow::bail!("the example ended: {}", why.join("\n"));
        };
        Ok(line?)
    }
}

impl Drop for Example {
    fn drop(&mut self) {
        // Has ended already where the test waited for that.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

fn tool(stage: &Stage) -> Result<(Example, String)> {
    let authority = stage.directory.path().join("dev-ca.pem");
    let authority = authority.to_string_lossy();
    let arguments = [
        "https://dev.lanyard.invalid",
        &stage.url(""),
        &authority,
        "127.0.0.1:0",
    ];
    let mut tool = Example::start("lanyard-verifier", "tickets", &arguments)?;
    let line = tool.line()?;
    let address = line.strip_prefix("tickets: ").context("no address")?;
    Ok((tool, address.to_owned()))
}

#[test]
fn the_agent_reads_tickets_until_a_kill_stops_it() -> Result<()> {
    let stage = Stage::set()?;
    let (_tool, address) = tool(&stage)?;
    let context = stage.directory.path().join("contexts/agent.json");
    let mut agent = Example::start(
        "lanyard-client",
        "agent",
        &[&context.to_string_lossy(), &address],
    )?;
    let task = agent.err.next().context("no task")??;
    let task = task.strip_prefix("task ").context("no task")?.to_owned();
    let expected = format!(
        "tickets of production, for https://agents.dev.lanyard.invalid#agent:router under {task}"
    );
    assert_eq!(agent.line()?, expected);
    let kill = ["kill", "--task", &task, "--reason", "drill", "--yes"];
    let order = stage.oncall.ok(&kill)?;
    let why: Vec<String> = agent.err.by_ref().collect::<Result<_, _>>()?;
    let status = agent.child.wait()?;
    assert!(!status.success(), "{order}");
    let why = why.join("\n");
    assert!(why.contains("K-") && why.contains("drill"), "{why}");
    Ok(())
}

#[test]
fn the_tool_lets_nobody_in_without_a_token() -> Result<()> {
    let stage = Stage::set()?;
    let (_tool, address) = tool(&stage)?;
    // Whether another test was first does not matter.
    drop(rustls::crypto::ring::default_provider().install_default());
    let runtime = tokio::runtime::Runtime::new()?;
    let answer = runtime.block_on(reqwest::get(format!("{address}/tickets")))?;
    assert_eq!(answer.status(), 401);
    Ok(())
}
