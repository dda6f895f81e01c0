//! What was done with credentials: reported, counted, told, and shown in one timeline.

use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use lanyard_tests::receiver::receiver;
use lanyard_tests::{Stage, until};
use serde_json::Value;

const SECRET: &str = "bGFueWFyZC1sYW55YXJkLWxhbnlhcmQt";

fn report<'a>(task: &'a str, action: &'a str, on: &'a str, outcome: &'a str) -> Vec<&'a str> {
    vec![
        "-o",
        "name",
        "action",
        "report",
        "--task",
        task,
        "--tool",
        "tickets",
        "--action",
        action,
        "--target",
        on,
        "--outcome",
        outcome,
    ]
}

/// A body over HTTP; the answer's status and body.
fn post(stage: &Stage, path: &str, headers: &[(&str, &str)], body: &str) -> Result<(u16, Value)> {
    let answer = stage.daemon.http("POST", path, headers, body)?;
    let (head, body) = answer.split_once("\r\n\r\n").context("no body")?;
    let status = head.split(' ').nth(1).context("no status")?.parse()?;
    Ok((status, serde_json::from_str(body).unwrap_or_default()))
}

/// As the specification has it, by another implementation than the daemon's.
fn signature(id: &str, at: u64, body: &str) -> Result<String> {
    let program = "import base64,hashlib,hmac,sys\n\
                   key=base64.b64decode(sys.argv[1])\n\
                   text='.'.join(sys.argv[2:5]).encode()\n\
                   print('v1,'+base64.b64encode(hmac.new(key,text,hashlib.sha256).digest()).decode())";
    let output = Command::new("python3")
        .args(["-c", program, SECRET, id, &at.to_string(), body])
        .output()?;
    ensure!(output.status.success(), "python3 did not sign");
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}

#[test]
fn a_task_is_one_timeline_from_the_request_to_the_last_action() -> Result<()> {
    let stage = Stage::set()?;
    let task = stage.task()?;
    let token = stage.token(&task)?;
    let started = stage
        .agent
        .ok(&report(&task, "ticket.move", "TICKET-7", "started"))?;
    let mut end = report(&task, "ticket.move", "TICKET-7", "succeeded");
    end.extend(["--id", &started, "--detail", "moved to \u{1b}[31mbilling"]);
    assert_eq!(stage.agent.ok(&end)?, started);
    // It has ended: it does not end again.
    let twice = stage.agent.fails(2, &end)?;
    assert!(
        twice.contains("there is no such action that was started"),
        "{twice}"
    );

    // A tool that was shown the token reports by it, and about nothing else.
    let bearer = format!("Bearer {token}");
    let headers = [("authorization", bearer.as_str())];
    let body =
        r#"{"tool":"search","action":"ticket.read","target":"TICKET-8","outcome":"succeeded"}"#;
    let (status, answer) = post(&stage, "/v1/actions", &headers, body)?;
    assert!(
        status == 200 && answer.get("action_id").is_some(),
        "{status} {answer}"
    );
    let other = format!(r#"{{"task":"{task}","tool":"x","action":"y","outcome":"failed"}}"#);
    assert_eq!(post(&stage, "/v1/actions", &headers, &other)?.0, 400);
    let tampered = [("authorization", "Bearer eyJhbGciOiJub25lIn0.e30.")];
    assert_eq!(post(&stage, "/v1/actions", &tampered, body)?.0, 401);
    assert_eq!(post(&stage, "/v1/actions", &[], body)?.0, 401);

    // Somebody else's task is none (T15).
    let stranger = report("T-00000000000000000000000000", "x", "y", "failed");
    stage.agent.fails(2, &stranger)?;

    stage.agent.ok(&["task", "close", &task])?;
    let (status, _) = post(&stage, "/v1/actions", &headers, body)?;
    assert_eq!(status, 401, "the lease is over");
    let shown = stage.agent.ok(&["task", "show", &task])?;
    let mut from = 0;
    for line in [
        "opened by https://agents.dev.lanyard.invalid#agent:router: ticket 12",
        "asked for read-tickets (plan on tickets): lease L-",
        "issued until",
        "tickets ticket.move on TICKET-7 started, says the agent",
        "tickets ticket.move on TICKET-7 succeeded, says the agent: moved to \\u{1b}[31mbilling",
        "search ticket.read on TICKET-8 succeeded, says the tool",
        "closed",
    ] {
        let found = shown.get(from..).and_then(|rest| rest.find(line));
        from += found.with_context(|| format!("{line} after {from}: {shown}"))?;
    }
    Ok(())
}

// A worked example: five production tickets in ten minutes, pause and tell a human.
#[test]
fn five_tickets_in_ten_minutes_pause_and_tell_somebody() -> Result<()> {
    let stage = Stage::set()?;
    stage.amend(
        "  breakers:\n    - {on: action, action: ticket.*, count: 5, within: 10m, per: agent, then: pause}\n",
    )?;
    let task = stage.task()?;
    stage.token(&task)?;
    for ticket in ["1", "2", "3", "4", "5"] {
        stage
            .agent
            .ok(&report(&task, "ticket.move", ticket, "succeeded"))?;
        // What is not a ticket does not count.
        stage
            .agent
            .ok(&report(&task, "queue.read", ticket, "succeeded"))?;
    }
    let ask = ["request", "--task", &task, "read-tickets"];
    until(|| Ok(stage.agent.run(&ask)?.stderr.contains("paused by H-")))?;
    let refused = stage.agent.fails(9, &ask)?;
    assert!(
        refused.contains("5 action ticket.* within 10m per agent: pause"),
        "{refused}"
    );
    let pauses = stage.oncall.json(&["pause", "list"])?;
    let id = pauses
        .pointer("/0/pause")
        .and_then(Value::as_str)
        .context("no pause")?;
    stage
        .oncall
        .ok(&["resume", id, "--reason", "looked at the tickets"])?;
    stage.agent.ok(&ask).map(drop)
}

// A worked example: three requests for what is not allowed, block and log for review.
#[test]
fn three_requests_for_a_restricted_permission_block_and_are_logged_for_review() -> Result<()> {
    let stage = Stage::set()?;
    stage.amend(
        "  breakers:\n    - {on: denied, count: 3, within: 10m, then: pause}\n    - {on: denied, count: 3, within: 10m, then: alert}\n",
    )?;
    let task = stage.task()?;
    for _ in 0..3 {
        stage
            .agent
            .fails(3, &["request", "--task", &task, "move-tickets"])?;
    }
    let ask = ["request", "--task", &task, "read-tickets"];
    until(|| Ok(stage.agent.run(&ask)?.stderr.contains("paused by H-")))?;
    let alerts = stage.oncall.json(&["audit", "query", "--kind", "alert"])?;
    let alert = alerts
        .pointer("/0")
        .map(Value::to_string)
        .context("no alert")?;
    assert!(alert.contains("evidence"), "{alert}");
    Ok(())
}

#[test]
fn a_spent_error_budget_suspends_the_apply_role_and_leaves_the_plan_role() -> Result<()> {
    let stage = Stage::set()?;
    stage.amend(
        "  breakers:\n    - {on: failed-apply, count: 2, within: 168h, then: suspend-apply}\n    - {on: retried, count: 1, within: 10m, then: alert}\n",
    )?;
    let task = stage.task()?;
    let (plan, digest, approval) = stage.plan(&task, "one")?;
    stage.approve("alice", &approval, &digest)?;
    stage.approve("bob", &approval, &digest)?;
    stage
        .agent
        .ok(&report(&task, "ticket.move", "7", "failed"))?;
    stage
        .agent
        .ok(&report(&task, "ticket.move", "7", "rolled-back"))?;
    let apply = ["request", "--task", &task, "move-tickets", "--plan", &plan];
    until(|| Ok(stage.agent.run(&apply)?.stderr.contains("role apply")))?;
    stage.token(&task)?;
    let alerts = stage.oncall.json(&["audit", "query", "--kind", "alert"])?;
    assert!(
        alerts.pointer("/0").is_some(),
        "the retry was not counted: {alerts}"
    );
    let pauses = stage.oncall.ok(&["pause", "list"])?;
    assert!(
        pauses.contains("charter ticket-router, role apply"),
        "{pauses}"
    );
    Ok(())
}

fn configured(lines: &str) -> Result<Stage> {
    Stage::configured(&[("hook.secret", &format!("whsec_{SECRET}\n"))], lines)
}

// What on-call does after a kill is told to others as well.
#[test]
fn u22_a_kill_that_is_taken_back_and_a_rearm_are_told_to_webhooks() -> Result<()> {
    let (address, hears) = receiver()?;
    let hook =
        format!("webhooks: [{{name: chat, url: 'http://{address}/in', secret_file: hook.secret}}]");
    let stage = configured(&hook)?;
    let next = |kind: &str| {
        // The receiver loses the first message, which is told again.
        for (_, body) in &hears {
            let event: Value = serde_json::from_str(&body)?;
            if event.get("type").and_then(Value::as_str) == Some(kind) {
                return Ok(event);
            }
        }
        anyhow::bail!("nothing of {kind} was heard")
    };
    let field = |event: &Value, at: &str| {
        let found = event.pointer(at).and_then(Value::as_str).map(str::to_owned);
        found.with_context(|| format!("no {at} in {event}"))
    };
    let nobody = ["kill", "--agent", "nobody", "--reason", "a typo", "--yes"];
    stage.oncall.fails(10, &nobody)?;
    let order = field(&next("kill.engaged")?, "/data/kill")?;
    let withdraw = ["kill", "withdraw", &order, "--reason", "mistyped"];
    stage.oncall.ok(&withdraw)?;
    let withdrawn = next("kill.withdrawn")?;
    assert_eq!(field(&withdrawn, "/data/kill")?, order);
    assert_eq!(field(&withdrawn, "/data/reason")?, "mistyped");
    assert!(field(&withdrawn, "/data/by")?.contains("oncall"));

    stage.task()?;
    let everything = [
        "kill",
        "--charter",
        "ticket-router",
        "--reason",
        "it loops",
        "--yes",
    ];
    stage.oncall.ok(&everything)?;
    // The message that was lost on the way is told again, perhaps after later ones.
    let order = loop {
        let told = field(&next("kill.engaged")?, "/data/kill")?;
        if told != order {
            break told;
        }
    };
    let rearm = stage
        .oncall
        .ok(&["rearm", &order, "--reason", "rolled back"])?;
    let proposed = next("rearm.proposed")?;
    assert_eq!(field(&proposed, "/data/rearm")?, rearm);
    assert_eq!(field(&proposed, "/data/kill")?, order);
    assert_eq!(field(&proposed, "/data/reason")?, "rolled back");
    stage
        .daemon
        .cli("oncall-two")?
        .ok(&["rearm", &rearm, "--confirm"])?;
    let confirmed = next("rearm.confirmed")?;
    assert_eq!(field(&confirmed, "/data/rearm")?, rearm);
    assert_eq!(field(&confirmed, "/data/kill")?, order);
    assert!(field(&confirmed, "/data/by")?.contains("oncall-two"));
    assert_eq!(
        field(&confirmed, "/data/show")?,
        format!("lanyard kill show {order}")
    );
    Ok(())
}

#[test]
fn a_webhook_is_told_again_until_it_answers() -> Result<()> {
    let (address, hears) = receiver()?;
    let hook =
        format!("webhooks: [{{name: chat, url: 'http://{address}/in', secret_file: hook.secret}}]");
    let stage = configured(&hook)?;
    let task = stage.task()?;
    let (_, _, approval) = stage.plan(&task, "move ticket 7")?;
    let (first, again) = (hears.recv()?, hears.recv()?);
    assert_eq!(first.1, again.1, "the same event, told again");
    let event: Value = serde_json::from_str(&again.1)?;
    let field = |at: &str| event.pointer(at).and_then(Value::as_str).map(str::to_owned);
    assert_eq!(field("/type").as_deref(), Some("approval.requested"));
    assert_eq!(field("/data/approval"), Some(approval.clone()));
    assert_eq!(
        field("/data/show"),
        Some(format!("lanyard approval show {approval}"))
    );
    let header = |name: &str| {
        let found = again.0.iter().find(|(known, _)| known == name);
        found
            .map(|(_, value)| value.clone())
            .with_context(|| name.to_owned())
    };
    let (id, at) = (header("webhook-id")?, header("webhook-timestamp")?);
    assert_eq!(
        header("webhook-signature")?,
        signature(&id, at.parse()?, &again.1)?
    );

    let deny = ["approval", "deny", &approval, "--reason", "not today"];
    stage.daemon.cli("alice")?.ok(&deny)?;
    let (_, answer) = hears.recv()?;
    assert!(
        answer.contains("approval.denied") && answer.contains("not today"),
        "{answer}"
    );
    Ok(())
}

#[test]
fn a_reporter_is_known_by_its_signature() -> Result<()> {
    let stage = configured("reporters: [{name: runbooks, secret_file: hook.secret}]")?;
    let task = stage.task()?;
    let body =
        format!(r#"{{"task":"{task}","tool":"runbook","action":"restart","outcome":"failed"}}"#);
    let at = std::fs::metadata(stage.directory.path().join("hook.secret"))?.modified()?;
    let at = at.duration_since(std::time::UNIX_EPOCH)?.as_secs();
    let good = signature("m-1", at, &body)?;
    let time = at.to_string();
    let send = |signature: &str, body: &str| {
        let headers = [
            ("webhook-id", "m-1"),
            ("webhook-timestamp", time.as_str()),
            ("webhook-signature", signature),
        ];
        post(&stage, "/v1/hooks/actions/runbooks", &headers, body)
    };
    let (status, once) = send(&good, &body)?;
    assert_eq!(status, 200, "{once}");
    assert_eq!(
        send(&good, &body)?,
        (200, once),
        "the same message is the same report"
    );
    assert_eq!(send(&good, &body.replace("failed", "succeeded"))?.0, 401);
    assert_eq!(send("v1,AAAA", &body)?.0, 401);
    let shown = stage.agent.ok(&["task", "show", &task])?;
    let said = shown.matches("runbook restart failed, says webhook runbooks");
    assert_eq!(said.count(), 1, "{shown}");
    Ok(())
}
