//! A model that asks by the Model Context Protocol, with clients of the official SDK in each of the
//! protocol's eras.
#![expect(clippy::indexing_slicing, reason = "JSON that is not there is null")]

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use lanyard_rig::{Cli, Mcp, SDKS, Sdk};
use lanyard_tests::Stage;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use crate::providers::both;

/// A stage, and a client with its server.
struct Talk {
    stage: Stage,
    /// The agent's command line, as the model's shell has it.
    shell: Cli,
    mcp: Mcp,
}

impl Talk {
    fn begin(stage: Stage, sdk: Sdk, flags: &[&str]) -> Result<Self> {
        let shell = stage.daemon.cli("agent")?.keeping();
        let mcp = Mcp::start(stage.directory.path(), sdk, &shell, flags)?;
        Ok(Self { stage, shell, mcp })
    }

    /// Calls a tool that has to succeed, and returns its answer.
    fn done(&mut self, tool: &str, arguments: &Value) -> Result<Value> {
        let result = self.mcp.call(tool, arguments)?;
        ensure!(result["isError"] == json!(false), "{result}");
        structured(&result)
    }

    /// Why a tool did not do what was asked; its text is the broker's own line.
    fn refused(&mut self, tool: &str, arguments: &Value) -> Result<Value> {
        let result = self.mcp.call(tool, arguments)?;
        ensure!(result["isError"] == json!(true), "{result}");
        let line = result.pointer("/content/0/text").cloned();
        let error = structured(&result)?["error"].clone();
        ensure!(line.as_ref() == Some(&error["message"]), "{result}");
        Ok(error)
    }

    /// Opens a task for a credential.
    fn first(&mut self) -> Result<Value> {
        self.done("request_credential", &opening("read-tickets"))
    }

    /// Submits a plan under a task of its own; what asks for its credential, and its approval with
    /// the digest.
    fn planned(&mut self) -> Result<(Value, String, String)> {
        let mut plan = opening("move-tickets");
        plan["content"] = json!("move ticket 7 to billing\n");
        plan["format"] = json!("text");
        plan["summary"] = json!("move ticket 7");
        let plan = self.done("submit_plan", &plan)?;
        let approval = text(&plan["approval_id"])?;
        let shown = self
            .stage
            .oncall
            .json(&["plan", "show", &text(&plan["plan_id"])?])?;
        let asking = json!({"task_id": plan["task_id"], "grant": "move-tickets", "plan_id": plan["plan_id"]});
        Ok((asking, approval, text(&shown["digest"])?))
    }

    /// The secret that the model has a handle for.
    fn secret(&self, task: &Value) -> Result<String> {
        let task = text(task)?;
        self.shell
            .ok(&["creds", "token", "--task", &task, "read-tickets"])
    }

    /// Runs a line in the model's shell, and returns its output.
    fn typed(&self, line: &str, environment: &[(&str, &str)]) -> Result<String> {
        let own = self.shell.command(&[]);
        let own = own
            .get_envs()
            .filter_map(|(name, value)| Some((name, value?)));
        let mut shell = Command::new("sh");
        for taken in [
            "AWS_ACCESS_KEY_ID",
            "AWS_SECRET_ACCESS_KEY",
            "AWS_SHARED_CREDENTIALS_FILE",
        ] {
            shell.env_remove(taken);
        }
        let said = shell
            .args(["-c", &format!("{line} 2>&1")])
            .envs(own)
            .envs(environment.iter().copied())
            .output()?;
        Ok(String::from_utf8(said.stdout)?.trim().to_owned())
    }

    /// Ends both; everything that was said.
    fn end(self) -> Result<(Stage, String)> {
        let said = self.mcp.leave()?;
        self.shell.ok(&["agent", "stop"])?;
        Ok((self.stage, said))
    }
}

/// Clients of before 2025-06-18 know the text alone, which says the same.
fn structured(result: &Value) -> Result<Value> {
    if let Some(structured) = result.get("structuredContent").filter(|it| !it.is_null()) {
        return Ok(structured.clone());
    }
    let blocks = result["content"].as_array().context("no content")?;
    let last = blocks.last().context("no text")?;
    Ok(serde_json::from_str(&text(&last["text"])?)?)
}

fn opening(grant: &str) -> Value {
    json!({"charter": "ticket-router", "environment": "production", "reason": "ticket 12", "grant": grant})
}

fn text(value: &Value) -> Result<String> {
    Ok(value.as_str().context("no text")?.to_owned())
}

// T53
#[test]
fn t53_a_model_works_with_credentials_that_it_never_sees() -> Result<()> {
    for sdk in SDKS {
        let mut talk = Talk::begin(Stage::set()?, sdk, &[])?;
        let charters = talk.done("list_charters", &json!({}))?;
        let grant = charters.pointer("/charters/0/grants/0/name").cloned();
        assert!(grant.is_some(), "{charters}");
        let first = talk.first()?;
        assert_eq!(first["status"], "issued", "{first}");
        let secret = talk.secret(&first["task_id"])?;
        let proof = talk.stage.oncall.ok(&["identity"])?;
        assert!(talk.stage.is_active(&secret, &proof)?);
        // The secret is of the very lease that the model has a handle for.
        let status = json!({"task_id": first["task_id"]});
        let status = talk.done("task_status", &status)?;
        assert_eq!(status["live_leases"], json!([first["lease_id"]]));

        let denied = talk.refused("request_credential", &opening("drop-tickets"))?;
        assert_eq!(denied["reason"], "denied");
        let decision = json!({"what": denied["decision_id"]});
        let explained = talk.done("explain", &decision)?;
        assert!(
            text(&explained["text"])?.contains("drop-tickets"),
            "{explained}"
        );

        // Killed in the middle.
        let task = text(&first["task_id"])?;
        let kill = ["kill", "--task", &task, "--reason", "drill", "--yes"];
        talk.stage.oncall.ok(&kill)?;
        let again = json!({"task_id": task, "grant": "read-tickets"});
        // The local agent is told of it, and drops what it keeps.
        lanyard_tests::until(|| {
            let result = talk.mcp.call("request_credential", &again)?;
            Ok(result["isError"] == json!(true))
        })?;
        let killed = talk.refused("request_credential", &again)?;
        assert_eq!(killed["reason"], "killed", "{killed}");
        let status = talk.done("task_status", &json!({"task_id": task}))?;
        assert_eq!(status["kill_orders"][0]["kill_id"], killed["kill_id"]);
        assert_eq!(status["live_leases"], json!([]));

        let (_, said) = talk.end()?;
        assert!(said.contains("\"lease_id\":\"L-"), "{said}");
        for part in secret.split('.').chain([secret.as_str()]) {
            assert!(!said.contains(part), "{sdk:?}: {said}");
        }
    }
    Ok(())
}

#[test]
fn what_waits_for_people_is_told_and_asked_for_again() -> Result<()> {
    let mut talk = Talk::begin(Stage::set()?, SDKS[1], &[])?;
    let (asking, approval, digest) = talk.planned()?;
    let pending = talk.done("request_credential", &asking)?;
    assert_eq!(pending["status"], "approval_pending", "{pending}");
    assert_eq!(pending["approval_id"], json!(approval));
    assert!(text(&pending["message"])?.contains("0 of 2 approvals given"));
    let state = |talk: &mut Talk| -> Result<Value> {
        let status = json!({"task_id": asking["task_id"]});
        let status = talk.done("task_status", &status)?;
        Ok(status
            .pointer("/plans/0/approval/state")
            .cloned()
            .unwrap_or_default())
    };
    assert_eq!(state(&mut talk)?, "pending");
    talk.stage.approve("alice", &approval, &digest)?;
    talk.stage.approve("bob", &approval, &digest)?;
    assert_eq!(state(&mut talk)?, "approved");
    let issued = talk.done("request_credential", &asking)?;
    assert_eq!(issued["status"], "issued", "{issued}");

    let (asking, approval, _) = talk.planned()?;
    let deny = ["approval", "deny", &approval, "--reason", "not today"];
    talk.stage.daemon.cli("alice")?.ok(&deny)?;
    let denied = talk.refused("request_credential", &asking)?;
    assert_eq!(denied["reason"], "denied");
    assert!(text(&denied["message"])?.contains("not today"), "{denied}");
    talk.end()?;
    Ok(())
}

#[test]
fn people_are_sent_to_the_page_of_an_approval() -> Result<()> {
    for sdk in &SDKS[1..] {
        let url = "approval_url: https://lanyard.acme.example/approvals/{approval}";
        let mut talk = Talk::begin(Stage::configured(&[], url)?, *sdk, &[])?;
        let (asking, approval, digest) = talk.planned()?;
        let mut asked = 0;
        let declined = talk.mcp.call_with("request_credential", &asking, |page| {
            ensure!(page == format!("https://lanyard.acme.example/approvals/{approval}"));
            asked += 1;
            Ok("decline")
        })?;
        assert_eq!(structured(&declined)?["status"], "approval_pending");
        let stage = &talk.stage;
        let issued = talk.mcp.call_with("request_credential", &asking, |_| {
            asked += 1;
            stage.approve("alice", &approval, &digest)?;
            stage.approve("bob", &approval, &digest)?;
            Ok("accept")
        })?;
        assert_eq!(structured(&issued)?["status"], "issued", "{issued}");
        assert_eq!(asked, 2);
        talk.end()?;
    }
    Ok(())
}

#[test]
fn what_a_client_opened_ends_with_it() -> Result<()> {
    for (flags, ends) in [(&[][..], true), (&["--keep-tasks"][..], false)] {
        let mut talk = Talk::begin(Stage::set()?, SDKS[2], flags)?;
        let task = text(&talk.first()?["task_id"])?;
        let secret = talk.secret(&json!(task))?;
        let other = text(&talk.first()?["task_id"])?;
        let released = talk.done("release", &json!({"task_id": other}))?;
        assert_eq!(released["closed"], true);
        talk.mcp.leave()?;
        let proof = talk.stage.oncall.ok(&["identity"])?;
        assert_eq!(talk.stage.is_active(&secret, &proof)?, !ends);
        talk.shell.ok(&["agent", "stop"])?;
    }
    Ok(())
}

// T53
#[test]
fn the_lines_of_a_handle_work_as_they_are_written() -> Result<()> {
    let mut talk = Talk::begin(Stage::set()?, SDKS[2], &[])?;
    let first = talk.first()?;
    let secret = talk.secret(&first["task_id"])?;
    let line = text(&first["usage"]["commands"][0])?;
    let (print, _) = line.split_once(" | ").context("no pipe")?;
    assert_eq!(talk.typed(print, &[])?, secret);
    talk.end()?;
    Ok(())
}

// T53
#[test]
fn aws_and_kubectl_work_in_the_task_of_a_handle() -> Result<()> {
    let Some(both) = both("mcp") else {
        return Ok(());
    };
    let mut talk = Talk::begin(both.stage, SDKS[2], &[])?;
    let aws = both.aws.program()?;
    let folders = [aws.as_path(), both.cluster.program()];
    let folders = folders.iter().filter_map(|program| program.parent());
    let own = std::env::var_os("PATH").unwrap_or_default();
    let path = std::env::join_paths(
        folders
            .map(Path::to_path_buf)
            .chain(std::env::split_paths(&own)),
    )?;
    let (path, url) = (path.to_string_lossy(), both.aws.url());
    let around = [("PATH", path.as_ref()), ("AWS_ENDPOINT_URL", url)];

    let mut ask = opening("read-queue");
    ask["charter"] = json!("both");
    let queue = talk.done("request_credential", &ask)?;
    assert_eq!(queue["kind"], "aws", "{queue}");
    let line = text(&queue["usage"]["commands"][0])?;
    for _ in 0..2 {
        let said = talk.typed(&line, &around)?;
        assert!(said.contains("assumed-role"), "{said}");
    }
    let profile = talk.stage.directory.path().join("aws-profile");
    std::fs::write(&profile, text(&queue["usage"]["aws_profile"])?)?;
    let profile = profile.to_string_lossy();
    let by_profile = [
        ("AWS_CONFIG_FILE", profile.as_ref()),
        ("AWS_PROFILE", "lanyard-read-queue"),
        ("AWS_REGION", "eu-west-1"),
    ];
    let said = talk.typed(
        "aws sqs list-queues",
        &[&around[..], &by_profile[..]].concat(),
    )?;
    assert!(!said.contains("rror"), "{said}");

    let task = &queue["task_id"];
    let workers = json!({"task_id": task, "grant": "read-workers"});
    let workers = talk.done("request_credential", &workers)?;
    assert_eq!(workers["kind"], "kubernetes", "{workers}");
    let line = text(&workers["usage"]["commands"][0])?;
    let line = line.replace("get pods", "get deployments -n mcp-target");
    assert_eq!(
        talk.typed(&line, &around)?,
        "No resources found in mcp-target namespace."
    );

    // The task goes on after each command.
    let status = talk.done("task_status", &json!({"task_id": task}))?;
    assert_eq!(status["open"], true);
    assert_eq!(status["live_leases"].as_array().map(Vec::len), Some(2));
    talk.end()?;
    Ok(())
}

#[test]
fn a_broker_that_is_down_is_said_to_be() -> Result<()> {
    let Talk {
        stage,
        shell,
        mut mcp,
    } = Talk::begin(Stage::set()?, SDKS[2], &[])?;
    let stopped = stage.stop()?;
    let result = mcp.call("request_credential", &opening("read-tickets"))?;
    let error = structured(&result)?["error"].clone();
    assert_eq!(error["reason"], "unavailable", "{error}");
    let line = text(&error["message"])?;
    assert!(line.contains("the broker is not available"), "{line}");
    mcp.leave()?;
    shell.ok(&["agent", "stop"])?;
    drop(stopped);
    Ok(())
}

#[test]
fn a_signal_ends_it_as_its_client_going_does() -> Result<()> {
    let stage = Stage::set()?;
    let shell = stage.daemon.cli("agent")?.keeping();
    let mut server = shell
        .command(&["mcp"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    let mut input = server.stdin.take().context("no input")?;
    let mut output = BufReader::new(server.stdout.take().context("no output")?);
    let about = json!({
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientInfo": {"name": "test", "version": "1"},
        "io.modelcontextprotocol/clientCapabilities": {},
    });
    let params =
        json!({"name": "request_credential", "arguments": opening("read-tickets"), "_meta": about});
    let call = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params});
    writeln!(input, "{call}")?;
    let mut answer = String::new();
    output.read_line(&mut answer)?;
    let answer: Value = serde_json::from_str(&answer)?;
    let task = answer["result"]["structuredContent"]["task_id"].clone();
    let process = Pid::from_raw(server.id().cast_signed()).context("no process")?;
    kill_process(process, Signal::TERM)?;
    // Its client is there all the while.
    assert_eq!(server.wait()?.code(), Some(143));
    drop(input);
    let shown = shell.json(&["task", "show", &text(&task)?])?;
    assert_eq!(shown["open"], false, "{shown}");
    shell.ok(&["agent", "stop"])?;
    Ok(())
}
