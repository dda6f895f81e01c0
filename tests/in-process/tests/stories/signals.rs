//! Systems that may engage a kill.

use anyhow::{Context, Result};
use lanyard_in_process::usual;
use lanyard_tests::receiver::receiver;
use lanyard_tests::{Stage, until};
use serde_json::{Value, json};

const SECRET: &str = "a-secret-of-the-monitoring-system";
const AGENT: &str = "https://agents.dev.lanyard.invalid#agent:router";

fn post(stage: &Stage, path: &str, bearer: &str, body: &str) -> Result<(u16, Value)> {
    let authorization = format!("Bearer {bearer}");
    let headers = [("authorization", authorization.as_str())];
    let answer = stage.daemon.kill_plane_at(path, &headers, body)?;
    let status = answer.split(' ').nth(1).context("no status")?.parse()?;
    let (_, body) = answer.split_once("\r\n\r\n").context("no body")?;
    Ok((status, serde_json::from_str(body).unwrap_or_default()))
}

/// As Alertmanager 0.28 sends it.
fn message(group: &str, alerts: &[Value]) -> String {
    json!({
        "receiver": "lanyard", "status": "firing", "alerts": alerts, "groupLabels": {"alertname": "AgentRunaway"},
        "commonLabels": {}, "commonAnnotations": {}, "externalURL": "https://alerts.acme.example", "version": "4",
        "groupKey": group, "truncatedAlerts": 0,
    })
    .to_string()
}

fn alert(status: &str, labels: Value, at: &str) -> Value {
    json!({
        "status": status, "labels": labels, "annotations": {"summary": "it loops"}, "startsAt": at,
        "endsAt": "0001-01-01T00:00:00Z", "generatorURL": "https://prometheus.acme.example/graph",
        "fingerprint": "5f6d1d3ee3a1d3aa",
    })
}

fn orders(stage: &Stage) -> Result<Vec<Value>> {
    let listed = stage.oncall.json(&["kill", "list"])?;
    Ok(listed.as_array().cloned().unwrap_or_default())
}

const PATH: &str = "/v1/hooks/alertmanager";
const GROUP: &str = "{}:{alertname=\"AgentRunaway\"}";
const BEFORE: &str = "2026-01-01T00:00:00Z";

/// A daemon that heeds alerts, with a task of its agent that has had a token.
fn alerted() -> Result<(Stage, String)> {
    let stage = usual()?.with_lines(
        &[("alerts.secret", SECRET)],
        "alertmanager:\n  secret_file: alerts.secret\n  kills:\n    \
         - {labels: {alertname: AgentRunaway}, scope: {agent: {label: agent}}}\n    \
         - {labels: {alertname: LedgerTampered}, scope: all}",
    )?;
    let task = stage.task()?;
    stage.token(&task)?;
    Ok((stage, task))
}

fn runaway() -> Value {
    json!({"alertname": "AgentRunaway", "agent": AGENT})
}

#[test]
fn an_alert_engages_once_for_its_group_until_it_starts_again() -> Result<()> {
    let (stage, task) = alerted()?;
    let firing = |at: &str| message(GROUP, &[alert("firing", runaway(), at)]);
    let body = firing(BEFORE);
    let (status, once) = post(&stage, PATH, SECRET, &body)?;
    assert_eq!(
        (status, once.get("durable")),
        (200, Some(&json!(true))),
        "{once}"
    );
    let again = post(&stage, PATH, SECRET, &body)?;
    assert_eq!(again, (200, once), "the same group is the same order");
    let request = ["request", "--task", &task, "read-tickets"];
    let stopped = stage.agent.fails(6, &request)?;
    assert!(
        stopped.contains("alert AgentRunaway: it loops"),
        "{stopped}"
    );
    let listed = orders(&stage)?;
    assert_eq!(listed.len(), 1);
    let by = listed
        .first()
        .and_then(|it| it.get("by"))
        .and_then(Value::as_str);
    assert!(
        by.is_some_and(|by| by.starts_with("alertmanager ")),
        "{by:?}"
    );

    // People lifted it and know why it fires: only a new start of the alert is news.
    let order = stage.oncall.ok(&["-o", "name", "kill", "list"])?;
    let proposal = stage.oncall.ok(&["rearm", &order, "--reason", "known"])?;
    let second = stage.daemon.cli("oncall-two")?;
    second.ok(&["rearm", &proposal, "--confirm"])?;
    post(&stage, PATH, SECRET, &body)?;
    assert_eq!(orders(&stage)?.len(), 1);
    post(&stage, PATH, SECRET, &firing("2099-01-01T00:00:00Z"))?;
    assert_eq!(orders(&stage)?.len(), 2);
    Ok(())
}

// T69
#[test]
fn t69_what_is_no_alert_of_the_configured_sender_engages_nothing() -> Result<()> {
    let (stage, _) = alerted()?;
    let body = message(GROUP, &[alert("firing", runaway(), BEFORE)]);
    assert_eq!(post(&stage, PATH, "another secret", &body)?.0, 401);
    let unmatched = alert("firing", json!({"alertname": "DiskFull"}), BEFORE);
    let resolved = alert("resolved", runaway(), BEFORE);
    let nothing = post(
        &stage,
        PATH,
        SECRET,
        &message(GROUP, &[unmatched, resolved]),
    )?;
    assert_eq!(nothing, (200, json!({"orders": [], "durable": true})));
    // What was meant to stop something and names nothing is an error that the sender counts.
    let nameless = alert("firing", json!({"alertname": "AgentRunaway"}), BEFORE);
    let bad = [
        (
            message(GROUP, &[nameless]),
            "the alert has no label `agent`",
        ),
        (body.replace("\"4\"", "\"5\""), "version 5 of the message"),
        (body.replace(BEFORE, "yesterday"), "the body: "),
    ];
    for (body, why) in bad {
        let (status, said) = post(&stage, PATH, SECRET, &body)?;
        assert_eq!(status, 400, "{said}");
        assert!(said.to_string().contains(why), "{said}");
    }
    assert_eq!(orders(&stage)?.len(), 0);
    Ok(())
}

/// One broker tells another: what it sends is what it takes.
#[test]
fn a_kill_is_told_as_a_security_event_and_such_an_event_is_a_kill() -> Result<()> {
    let (address, hears) = receiver()?;
    let sender = usual()?.with_lines(
        &[("caep.authorization", "Bearer receiver-token")],
        &format!(
            "caep_receivers:\n  - {{name: sso, url: 'http://{address}/events', audience: 'https://other.example', \
             authorization_file: caep.authorization}}"
        ),
    )?;
    sender.task()?;
    let keys = sender
        .daemon
        .http("GET", "/.well-known/jwks.json", &[], "")?;
    let (_, keys) = keys.split_once("\r\n\r\n").context("no keys")?;
    sender
        .oncall
        .ok(&["kill", "--agent", AGENT, "--reason", "it loops", "--yes"])?;
    let (first, again) = (hears.recv()?, hears.recv()?);
    assert_eq!(first.1, again.1, "told again until it is taken");
    let header = |name: &str| {
        again
            .0
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, value)| value.as_str())
    };
    assert_eq!(header("content-type"), Some("application/secevent+jwt"));
    assert_eq!(header("authorization"), Some("Bearer receiver-token"));
    let event = again.1;

    let taker = usual()?.with_lines(
        &[("sso.jwks.json", keys)],
        "caep_transmitters:\n  - {name: sso, issuer: 'https://dev.lanyard.invalid', audience: 'https://other.example', \
         jwks_file: sso.jwks.json}",
    )?;
    let task = taker.task()?;
    taker.token(&task)?;
    let path = "/v1/hooks/caep";
    let forged = format!("{}AAAA", event.get(..event.len() - 4).context("short")?);
    for (bad, code) in [
        (forged.as_str(), "invalid_key"),
        ("nonsense", "invalid_request"),
    ] {
        let (status, said) = post(&taker, path, "", bad)?;
        assert_eq!(
            (status, said.get("err")),
            (400, Some(&json!(code))),
            "{said}"
        );
    }
    taker.token(&task)?;
    for _ in 0..2 {
        assert_eq!(post(&taker, path, "", &event)?.0, 202);
    }
    let listed = orders(&taker)?;
    assert_eq!(listed.len(), 1, "the same event is the same order");
    let line = taker
        .agent
        .fails(6, &["request", "--task", &task, "read-tickets"])?;
    assert!(
        line.contains("sso revoked the session of") && line.contains("it loops"),
        "{line}"
    );
    until(|| {
        let order = taker.oncall.ok(&["-o", "name", "kill", "list"])?;
        Ok(taker.oncall.run(&["kill", "show", &order])?.code == 0)
    })
}
