//! `cargo xtask demo`: the whole story through the command line, on a daemon of its own.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};
use lanyard_rig::{Cli, Daemon};
use serde_json::Value;

use crate::build;

/// What verifies a token in the demo besides us, installed from PyPI.
const PYJWT: &str = "pyjwt[crypto]==2.10.1";
/// Verifies the token on stdin's second line against the key set on its first.
const VERIFY: &str = "
import json, jwt, sys
keys, token, audience = (sys.stdin.readline().strip() for _ in range(3))
kid = jwt.get_unverified_header(token)['kid']
key = next(k for k in jwt.PyJWKSet.from_json(keys).keys if k.key_id == kid)
claims = jwt.decode(token, key.key, algorithms=['EdDSA'], audience=audience)
print(claims['sub'], claims['scope'])
";

/// The story as far as it has been told.
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

/// Plays it.
pub(crate) fn run() -> Result<()> {
    build::binaries()?;
    let directory = tempfile::tempdir()?;
    let mut story = Story {
        steps: 0,
        left_out: Vec::new(),
    };
    let daemon = story.step(
        "lanyardd starts on a data directory and nothing else",
        Daemon::start(directory.path()),
    )?;
    let (agent, oncall) = (daemon.cli("agent")?, daemon.cli("oncall")?);
    let charter = directory.path().join("charters/ticket-router.yaml");
    let lint = lint(&agent, &charter);
    story.step("its charter is linted", lint)?;
    let task = story.step("the agent opens a task", open(&agent))?;
    let token = agent.ok(&["creds", "token", "--task", &task, "read-tickets"]);
    let token = story.step("and gets a plan credential", token)?;
    outside(&mut story, &daemon, &token)?;
    let active = active(&daemon, &oncall, &token, true);
    story.step("introspection says that it is live", active)?;
    apply(&mut story, &daemon, &agent, &task, directory.path())?;
    let prohibited = refused(
        &agent,
        3,
        &["request", "--task", &task, "delete-tickets"],
        "there is no grant",
    );
    story.step("what the charter does not grant is denied", prohibited)?;
    kill(&mut story, &daemon, (&agent, &oncall), &task, &token)?;
    story.step("the daemon ends cleanly", daemon.stop())?;
    let verified = Command::new(lanyard_rig::binaries()?.join("lanyardd"))
        .args(["verify", "--data-dir"])
        .arg(directory.path().join("data"))
        .status()?;
    story.step(
        "the journal is verified",
        if verified.success() {
            Ok(())
        } else {
            Err(anyhow::anyhow!("it is not whole"))
        },
    )?;
    for what in &story.left_out {
        println!("left out: {what}");
    }
    println!("demo: ok ({} steps)", story.steps);
    Ok(())
}

fn lint(agent: &Cli, charter: &Path) -> Result<String> {
    let charter = charter.to_string_lossy();
    let world = [
        "--environment",
        "staging=sandbox",
        "--environment",
        "production=production",
        "--target",
        "tickets=token",
    ];
    agent.ok(&[&["charter", "lint", &charter], &world[..]].concat())
}

fn open(agent: &Cli) -> Result<String> {
    let open = [
        "-o",
        "name",
        "task",
        "open",
        "ticket-router",
        "--environment",
        "production",
    ];
    agent.ok(&[&open[..], &["--reason", "ticket 12 is in the wrong queue"]].concat())
}

fn refused(cli: &Cli, code: i32, arguments: &[&str], expected: &str) -> Result<()> {
    let line = cli.fails(code, arguments)?;
    if !line.contains(expected) {
        bail!("it was refused with another line: {line}");
    }
    println!("         {line}");
    Ok(())
}

fn apply(
    story: &mut Story,
    daemon: &Daemon,
    agent: &Cli,
    task: &str,
    directory: &Path,
) -> Result<()> {
    let request = ["request", "--task", task, "move-tickets"];
    story.step(
        "an apply without a plan is refused",
        refused(agent, 3, &request, "plans.required"),
    )?;
    let file = directory.join("plan.txt");
    std::fs::write(&file, "move ticket 12 to billing\n")?;
    let file = file.to_string_lossy();
    let submit = [
        "plan",
        "submit",
        &file,
        "--task",
        task,
        "--grant",
        "move-tickets",
        "--summary",
        "move ticket 12",
    ];
    let plan = story.step("the agent submits its plan", agent.json(&submit))?;
    let field = |name: &str| plan.get(name).and_then(Value::as_str).unwrap_or_default();
    let request = [&request[..], &["--plan", field("plan")]].concat();
    story.step(
        "an apply without approval is refused",
        refused(agent, 5, &request, "0 of 2 approvals given"),
    )?;
    for person in ["alice", "bob"] {
        let approve = [
            "approval",
            "approve",
            field("approval"),
            "--digest",
            field("digest"),
            "--comment",
            "seen",
        ];
        story.step(
            &format!("{person} approves what was hashed"),
            daemon.cli(person)?.ok(&approve),
        )?;
    }
    story.step("the apply credential is issued", agent.ok(&request))?;
    story.step(
        "and only once",
        refused(agent, 5, &request, "is still live"),
    )
}

fn kill(
    story: &mut Story,
    daemon: &Daemon,
    (agent, oncall): (&Cli, &Cli),
    task: &str,
    token: &str,
) -> Result<()> {
    let report = oncall.run(&["kill", "--all", "--reason", "drill", "--yes"])?;
    println!("{}\n{}", report.stderr, report.stdout);
    let confirmed = if report.code == 0 {
        Ok(())
    } else {
        Err(anyhow::anyhow!("exit code {}", report.code))
    };
    story.step("the on-call engineer stops everything", confirmed)?;
    story.step("the token is dead", active(daemon, oncall, token, false))?;
    let request = ["request", "--task", task, "read-tickets"];
    story.step(
        "nothing new is issued",
        refused(agent, 6, &request, "stopped by kill order"),
    )?;
    let order = oncall.ok(&["-o", "name", "kill", "list"])?;
    let proposal = oncall.ok(&["rearm", &order, "--reason", "the drill is over"])?;
    let alone = refused(
        oncall,
        2,
        &["rearm", &proposal, "--confirm"],
        "a second person",
    );
    story.step("one person cannot re-arm", alone)?;
    let second = daemon
        .cli("oncall-two")?
        .ok(&["rearm", &proposal, "--confirm"]);
    story.step("two can, the plan role first", second)?;
    story
        .step("and the agent reads again", agent.ok(&request))
        .map(drop)
}

fn active(daemon: &Daemon, oncall: &Cli, token: &str, expected: bool) -> Result<()> {
    let bearer = format!("Bearer {}", oncall.ok(&["identity"])?);
    let form = "application/x-www-form-urlencoded";
    let headers = [("authorization", bearer.as_str()), ("content-type", form)];
    let answer = daemon.http(
        "POST",
        "/oauth2/introspect",
        &headers,
        &format!("token={token}"),
    )?;
    if answer.contains(&format!(r#""active":{expected}"#)) {
        Ok(())
    } else {
        bail!("introspection answered {answer}")
    }
}

/// The token verified by another library, from the key set alone.
fn outside(story: &mut Story, daemon: &Daemon, token: &str) -> Result<()> {
    let python = match lanyard_rig::python(PYJWT) {
        Ok(python) => python,
        Err(error) => {
            story
                .left_out
                .push(format!("the token verified by PyJWT: {error:#}"));
            return Ok(());
        }
    };
    let answer = daemon.http("GET", "/.well-known/jwks.json", &[], "")?;
    let keys = answer.lines().last().context("no key set")?;
    let input = format!("{keys}\n{token}\nhttps://tickets.acme.example\n");
    let verified = build::feed(Command::new(python).args(["-c", VERIFY]), &input);
    let shown = story.step("PyJWT verifies it from the published keys", verified)?;
    println!("         {}", shown.trim());
    Ok(())
}
