//! The kill switch.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use anyhow::{Context as _, Result};
use lanyard_tests::Stage;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

fn proof(stage: &Stage, person: &str) -> String {
    stage.daemon.cli(person).unwrap().ok(&["identity"]).unwrap()
}

#[test]
fn a_kill_is_taken_while_the_daemon_ends_and_an_agent_holds_a_connection_open() -> Result<()> {
    let stage = Stage::set()?;
    let bearer = format!("Bearer {}", proof(&stage, "oncall"));
    let headers = [("authorization", bearer.as_str())];
    let begun = "POST /v1/kill HTTP/1.1\r\nhost: lanyard\r\nexpect: 100-continue\r\ncontent-length: 100\r\n\r\n";
    let mut held = stage.daemon.half_asked(begun)?;
    // The daemon has read the head once it asks for the body. A connection without a head is closed
    // at once, and then nothing is held open. The rest the daemon waits for as for anybody's.
    let mut asks = [0; 12];
    held.read_exact(&mut asks)?;
    assert_eq!(&asks, b"HTTP/1.1 100");
    held.write_all(b"{")?;
    held.flush()?;
    let id = Pid::from_raw(i32::try_from(stage.daemon.process())?).context("no process")?;
    kill_process(id, Signal::TERM)?;
    while TcpStream::connect(stage.daemon.address()).is_ok() {}
    let everything = r#"{"scope": "all", "reason": "it loops"}"#;
    let answer = stage.daemon.kill_plane(&headers, everything)?;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    drop(held);
    let stage = stage.stop()?.start_again()?;
    assert!(stage.oncall.ok(&["kill", "list"])?.contains("it loops"));
    Ok(())
}

#[test]
fn a_kill_of_everything_ends_every_token_and_refuses_the_next() -> Result<()> {
    let stage = Stage::set()?;
    let task = stage.task()?;
    let tokens = [stage.token(&task)?, stage.token(&task)?];
    for token in &tokens {
        assert!(stage.is_active(token, &proof(&stage, "oncall"))?);
    }
    let report = stage
        .oncall
        .json(&["kill", "--all", "--reason", "drill", "--yes"])?;
    let leases = report.get("leases").and_then(Value::as_array).unwrap();
    let states = leases.iter().map(|line| line.get("state").unwrap());
    assert_eq!(states.collect::<Vec<_>>(), ["proved dead", "proved dead"]);
    let total = |field: &str| report.pointer(&format!("/total/{field}")).cloned();
    assert_eq!(total("proved_dead"), Some(json!(2)));
    assert!(
        total("dead_seconds/p99")
            .and_then(|it| it.as_f64())
            .is_some()
    );
    assert_eq!(report.get("confirmed"), Some(&json!(true)));
    for token in &tokens {
        assert!(!stage.is_active(token, &proof(&stage, "oncall"))?);
    }
    let line = stage
        .agent
        .fails(6, &["request", "--task", &task, "read-tickets"])?;
    assert!(
        line.contains("stopped by kill order K-") && line.contains("drill"),
        "{line}"
    );
    Ok(())
}

// T68, T69
#[test]
fn t68_rearming_takes_two_people_and_the_plan_role_comes_first() -> Result<()> {
    let stage = Stage::set()?;
    let task = stage.task()?;
    stage
        .oncall
        .ok(&["kill", "--all", "--reason", "drill", "--yes"])?;
    let order = stage.oncall.ok(&["-o", "name", "kill", "list"])?;
    stage.oncall.fails(
        2,
        &["rearm", &order, "--stage", "apply", "--reason", "over"],
    )?;
    let proposal = stage.oncall.ok(&["rearm", &order, "--reason", "over"])?;
    let alone = stage.oncall.fails(2, &["rearm", &proposal, "--confirm"])?;
    assert!(alone.contains("a re-arm needs a second person"), "{alone}");
    let second = stage.daemon.cli("oncall-two")?;
    // A proposal was made about the orders that there were then.
    let nobody = ["kill", "--agent", "nobody", "--reason", "drill", "--yes"];
    stage.oncall.fails(10, &nobody)?;
    let late = second.fails(2, &["rearm", &proposal, "--confirm"])?;
    assert!(late.contains("was engaged after this re-arm"), "{late}");
    let proposal = stage.oncall.ok(&["rearm", &order, "--reason", "over"])?;
    second.ok(&["rearm", &proposal, "--confirm"])?;
    second.fails(2, &["rearm", &proposal, "--confirm"])?;
    stage.token(&task)?;
    // The apply role waits for the plan role to have shown that all is well.
    let apply = ["rearm", &order, "--stage", "apply", "--reason", "over"];
    let early = stage.oncall.fails(9, &apply)?;
    assert!(
        early.contains("the apply role can be re-armed from "),
        "{early}"
    );
    // The agent cannot pull, and cannot re-arm.
    stage
        .agent
        .fails(3, &["kill", "--all", "--reason", "drill", "--yes"])?;
    Ok(())
}

#[test]
fn an_order_for_apply_leaves_the_plan_role_alone() -> Result<()> {
    let stage = Stage::set()?;
    let task = stage.task()?;
    stage.oncall.ok(&[
        "kill",
        "--charter",
        "ticket-router",
        "--role",
        "apply",
        "--reason",
        "drill",
        "--yes",
    ])?;
    stage.token(&task)?;
    let (plan, digest, approval) = stage.plan(&task, "x")?;
    stage.approve("alice", &approval, &digest)?;
    stage.approve("bob", &approval, &digest)?;
    stage.agent.fails(
        6,
        &["request", "--task", &task, "move-tickets", "--plan", &plan],
    )?;
    Ok(())
}

#[test]
fn each_scope_stops_what_is_in_it() -> Result<()> {
    let stage = Stage::set()?;
    let agent = "https://agents.dev.lanyard.invalid#agent:router";
    let task = stage.task()?;
    for (scope, code) in [
        (["--environment", "staging"], 0),
        (["--agent", "somebody"], 10),
        (["--lease", "L-00000000000000000000000001"], 10),
    ] {
        let killed = stage
            .oncall
            .run(&[&["kill"], &scope[..], &["--reason", "drill", "--yes"]].concat())?;
        assert_eq!(killed.code, code, "{scope:?}: {killed:?}");
        stage.token(&task)?;
    }
    stage
        .oncall
        .ok(&["kill", "--task", &task, "--reason", "drill", "--yes"])?;
    stage
        .agent
        .fails(6, &["request", "--task", &task, "read-tickets"])?;
    let another = stage.task()?;
    stage.token(&another)?;
    stage
        .oncall
        .ok(&["kill", "--agent", agent, "--reason", "drill", "--yes"])?;
    stage
        .agent
        .fails(6, &["request", "--task", &another, "read-tickets"])?;
    Ok(())
}

#[test]
fn one_http_request_stops_everything() -> Result<()> {
    let stage = Stage::set()?;
    let task = stage.task()?;
    let bearer = format!("Bearer {}", proof(&stage, "oncall"));
    let body = r#"{"scope":"all","reason":"paged"}"#;
    let answer = stage
        .daemon
        .http("POST", "/v1/kill", &[("authorization", &bearer)], body)?;
    assert!(
        answer.starts_with("HTTP/1.1 200") && answer.contains(r#""durable":true"#),
        "{answer}"
    );
    stage
        .agent
        .fails(6, &["request", "--task", &task, "read-tickets"])?;
    for wrong in [
        r#"{"scope":"all"}"#,
        r#"{"scope":"al","reason":"x"}"#,
        r#"{"scope":"all","reason":" "}"#,
        "{",
    ] {
        let bearer = format!("Bearer {}", proof(&stage, "oncall"));
        let answer = stage
            .daemon
            .http("POST", "/v1/kill", &[("authorization", &bearer)], wrong)?;
        assert!(answer.starts_with("HTTP/1.1 400"), "{wrong}: {answer}");
    }
    // T12
    let again = stage.daemon.http(
        "POST",
        "/oauth2/introspect",
        &[("authorization", &bearer)],
        "token=x",
    )?;
    assert!(!again.contains("active"), "a proof was good twice: {again}");
    let anonymous = stage.daemon.http("POST", "/v1/kill", &[], body)?;
    assert!(anonymous.starts_with("HTTP/1.1 401"), "{anonymous}");
    Ok(())
}

/// Rule of the offline door: a ticket stops its scope, on the kill plane too, and nothing else.
#[test]
fn a_ticket_stops_its_scope_without_any_issuer() -> Result<()> {
    let stage = Stage::set()?;
    let task = stage.task()?;
    let token = stage.token(&task)?;
    let key = stage.directory.path().join("dev-issuer.pk8");
    let key = key.to_string_lossy();
    let sign = ["kill", "ticket", "--key", &key, "--kid", "dev"];
    let scope = ["--audience", "lanyard-dev", "--charter", "ticket-router"];
    let ticket = stage.agent.ok(&[&sign[..], &scope].concat())?;
    let bearer = format!("Bearer {ticket}");
    let headers = [("authorization", bearer.as_str())];
    let everything = r#"{"scope":"all","reason":"drill"}"#;
    let wider = stage.daemon.kill_plane(&headers, everything)?;
    assert!(wider.starts_with("HTTP/1.1 403"), "{wider}");
    let charter = r#"{"scope":{"charter":"ticket-router"},"reason":"drill"}"#;
    let answer = stage.daemon.kill_plane(&headers, charter)?;
    assert!(answer.contains(r#""durable":true"#), "{answer}");
    assert!(!stage.is_active(&token, &proof(&stage, "oncall"))?);
    let by = stage.oncall.ok(&["kill", "list"])?;
    assert!(by.contains("of dev"), "{by}");
    Ok(())
}

/// T75: with a daemon that runs, it takes the order over; without one, the command revokes by
/// itself.
#[test]
fn t75_a_kill_on_the_machine_needs_neither_network_nor_daemon() -> Result<()> {
    let stage = Stage::set()?;
    let task = stage.task()?;
    let token = stage.token(&task)?;
    let running = stage.local_kill(&["--charter", "ticket-router"])?;
    assert_eq!(running.code, 8, "{}", running.stderr);
    assert!(running.stderr.contains("FENCED"), "{}", running.stderr);
    assert!(!stage.is_active(&token, &proof(&stage, "oncall"))?);

    let stage = Stage::set()?;
    let task = stage.task()?;
    stage.token(&task)?;
    let stage = stage.stop()?;
    let alone = stage.local_kill(&["--all"])?;
    assert_eq!(alone.code, 0, "{}", alone.stderr);
    assert!(alone.stdout.contains("proved dead"), "{}", alone.stdout);
    let stage = stage.start_again()?;
    let line = stage
        .agent
        .fails(6, &["request", "--task", &task, "read-tickets"])?;
    assert!(line.contains("stopped by kill order"), "{line}");
    Ok(())
}

/// An order that cannot be read may be about anything: nothing is issued, kills are taken, and
/// issuing goes on when the file is gone.
#[test]
fn s11_a_broken_order_in_the_spool_stops_all_issuing_and_no_kill() -> Result<()> {
    let stage = Stage::set()?;
    let task = stage.task()?;
    let stage = stage.stop()?;
    let spool = stage.directory.path().join("data/kill-spool");
    let file = spool.join("K-1.json");
    std::fs::write(&file, "{")?;
    let stage = stage.start_again()?;
    let request = ["request", "--task", &task, "read-tickets"];
    let line = stage.agent.fails(7, &request)?;
    assert!(line.contains("revoke-only (spool-unreadable)"), "{line}");
    assert!(!line.contains("K-1.json"), "{line}");
    let ready = |path: &str| stage.daemon.http("GET", path, &[], "");
    assert!(ready("/readyz")?.starts_with("HTTP/1.1 503"));
    assert!(ready("/readyz/kill")?.starts_with("HTTP/1.1 200"));
    let status = stage.oncall.ok(&["status"])?;
    assert!(
        status.contains("revoke-only") && status.contains("K-1.json` cannot be read"),
        "{status}"
    );
    let line = stage.oncall.fails(
        2,
        &["condition", "accept", "spool-unreadable", "--reason", "no"],
    )?;
    assert!(line.contains("cannot be accepted"), "{line}");
    let other = "https://agents.example#agent:other";
    let kill = ["kill", "--agent", other, "--reason", "drill", "--yes"];
    stage.oncall.fails(10, &kill)?;
    let log = stage.daemon.log();
    assert!(log.contains("K-1.json` cannot be read"), "{log}");
    std::fs::remove_file(file)?;
    while !ready("/readyz")?.starts_with("HTTP/1.1 200") {
        std::thread::yield_now();
    }
    stage.agent.ok(&request)?;
    Ok(())
}

#[test]
fn s46_a_mistyped_name_is_fenced_and_is_no_success() -> Result<()> {
    let stage = Stage::set()?;
    let task = stage.task()?;
    stage.token(&task)?;
    let kill = |scope: [&str; 2]| {
        let kill = ["kill", "--yes", scope[0], scope[1], "--reason", "it loops"];
        stage.oncall.run(&kill)
    };
    for scope in [
        ["--target", "tickts"],
        ["--environment", "prod"],
        ["--charter", "ticket-routr"],
        ["--agent", "agent:rooter"],
    ] {
        let answer = kill(scope)?;
        assert_eq!(answer.code, 10, "{scope:?}: {answer:?}");
        let line = format!("`{}` is known", scope[1]);
        assert!(answer.stderr.contains("FENCED"), "{answer:?}");
        assert!(answer.stderr.contains(&line), "{answer:?}");
    }
    stage.token(&task)?;
    assert_eq!(kill(["--target", "tickets"])?.code, 0);
    Ok(())
}

/// A context of on-call whose broker does not answer, with this kill plane.
fn lost(stage: &Stage, name: &str, kill_endpoint: Option<String>) -> Result<()> {
    let contexts = stage.directory.path().join("contexts");
    let text = std::fs::read_to_string(contexts.join("oncall.json"))?;
    let mut context: Value = serde_json::from_str(&text)?;
    let fields = context.as_object_mut().context("no object")?;
    // Nobody listens at the port that no listener is given.
    fields.insert("endpoint".to_owned(), json!("https://127.0.0.1:1"));
    fields.remove("kill_endpoint");
    fields.extend(kill_endpoint.map(|url| ("kill_endpoint".to_owned(), json!(url))));
    std::fs::write(contexts.join(format!("{name}.json")), context.to_string())?;
    Ok(())
}

#[test]
fn u18_a_kill_goes_by_the_kill_plane_where_the_broker_does_not_answer() -> Result<()> {
    let stage = Stage::set()?;
    let url = format!("https://{}", stage.daemon.kill_address());
    lost(&stage, "by-kill-plane", Some(url.clone()))?;
    let cli = stage.daemon.cli("by-kill-plane")?;
    let everything = ["kill", "--all", "--yes", "--reason", "it loops"];
    let killed = cli.run(&everything)?;
    assert_eq!(killed.code, 0, "{killed:?}");
    assert!(
        killed.stderr.contains("asking its kill plane"),
        "{killed:?}"
    );
    assert!(killed.stderr.contains("FENCED K-"), "{killed:?}");
    let listed = stage.oncall.json(&["kill", "list"])?;
    assert_eq!(
        listed.as_array().map(Vec::len),
        Some(1),
        "engaged once: {listed}"
    );
    assert!(cli.ok(&["kill", "list"])?.contains("it loops"));
    // The context of `lanyardd dev` names the kill plane, and doctor tries it.
    let looked = stage.oncall.run(&["-o", "json", "doctor"])?;
    let checks: Value = serde_json::from_str(&looked.stdout)?;
    let checks = checks.as_array().context("no checks")?;
    let plane = checks.iter().find(|check| check["check"] == "kill plane");
    assert_eq!(plane.context("no kill plane")?["state"], "ok", "{looked:?}");
    Ok(())
}

#[test]
fn u18_a_kill_that_reaches_nobody_says_what_is_left_with_what_was_to_be_stopped() -> Result<()> {
    let stage = Stage::set()?;
    lost(&stage, "lost", None)?;
    lost(&stage, "twice", Some("https://127.0.0.1:1".to_owned()))?;
    let agent = ["kill", "--agent", "router", "--yes", "--reason", "it loops"];
    for (name, says) in [
        ("lost", "A broker with `kill_listen` in its configuration"),
        (
            "twice",
            "its kill plane at https://127.0.0.1:1 was asked too",
        ),
    ] {
        let line = stage.daemon.cli(name)?.fails(7, &agent)?;
        assert!(
            line.contains("whether anything is stopped is not known"),
            "{line}"
        );
        assert!(line.contains(says), "{line}");
        assert!(
            line.contains(r#"{"reason":"it loops","scope":{"agent":"router"}}"#),
            "{line}"
        );
        assert!(line.contains("--cacert "), "{line}");
        assert!(
            line.contains("--agent router --reason 'it loops'"),
            "{line}"
        );
    }
    Ok(())
}
