//! What the documentation says of metrics is there.

use std::collections::BTreeSet;

use anyhow::Result;
use lanyard_in_process::usual;
use lanyard_tests::{Stage, until};

const RULES: &str = include_str!("../../../../docs/prometheus/lanyard.rules.yaml");
const DASHBOARD: &str = include_str!("../../../../charts/lanyard/dashboards/lanyard.json");
const METRICS: &str = include_str!("../../../../docs/prometheus/metrics.md");

/// Every name of a metric in a text.
fn named(text: &str) -> BTreeSet<&str> {
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let words = text.split(|c: char| !word(c));
    words.filter(|word| word.starts_with("lanyard_")).collect()
}

/// A task with everything that is counted: answers of every kind, a plan that people approve, one
/// that is taken back, a report.
fn used(stage: &Stage) -> Result<()> {
    let task = stage.task()?;
    stage.token(&task)?;
    for _ in 0..2 {
        stage
            .agent
            .fails(3, &["request", "--task", &task, "move-tickets"])?;
    }
    let (plan, digest, approval) = stage.plan(&task, "move ticket 7")?;
    let apply = ["request", "--task", &task, "move-tickets", "--plan", &plan];
    stage.agent.fails(5, &apply)?;
    for person in ["alice", "bob"] {
        stage.approve(person, &approval, &digest)?;
    }
    let (_, _, second) = stage.plan(&task, "move ticket 8")?;
    let back = ["approval", "withdraw", &second, "--reason", "not needed"];
    stage.agent.ok(&back)?;
    let report = ["action", "report", "--task", &task, "--tool", "tickets"];
    let what = ["--action", "ticket.move", "--outcome", "failed"];
    stage.agent.ok(&[&report[..], &what].concat())?;
    let open = ["task", "open", "made-up", "--environment", "production"];
    stage
        .agent
        .fails(3, &[&open[..], &["--reason", "x"]].concat())?;
    stage.agent.ok(&["task", "close", &task])?;
    Ok(())
}

#[test]
fn every_metric_that_a_rule_a_dashboard_or_the_documentation_names_is_served() -> Result<()> {
    let address = lanyard_rig::free_port()?;
    let stage = usual()?.with_lines(&[], &format!("metrics_listen: {address}"))?;
    stage.oncall.ok(&["drill"])?;
    used(&stage)?;
    let mut served = String::new();
    until(|| {
        served = stage
            .daemon
            .http_on(address, "/metrics")
            .unwrap_or_default();
        Ok(served.contains("lanyard_drill_dead_seconds{"))
    })?;
    for value in [
        r#"decisions_total{charter="ticket-router",request="task",outcome="allowed",reason_code="ALLOWED"} 1"#,
        r#"decisions_total{charter="ticket-router",request="plan",outcome="allowed",reason_code="ALLOWED"} 2"#,
        r#"decisions_total{charter="ticket-router",request="credential",outcome="allowed",reason_code="ALLOWED"} 1"#,
        r#"decisions_total{charter="ticket-router",request="credential",outcome="denied",reason_code="PLAN_REQUIRED"} 2"#,
        r#"decisions_total{charter="ticket-router",request="credential",outcome="refused",reason_code="APPROVAL_PENDING"} 1"#,
        r#"decisions_total{charter="",request="task",outcome="denied",reason_code="NOT_IN_FORCE"} 1"#,
        r#"credentials_failed_total{kind="token",role="plan"} 0"#,
        r#"actions_reported_total{charter="ticket-router",outcome="failed"} 1"#,
        r#"approvals_total{event="requested"} 2"#,
        r#"approvals_total{event="approved"} 1"#,
        r#"approvals_total{event="denied"} 0"#,
        r#"approvals_total{event="taken-back"} 1"#,
        r#"unusual_approvals_total{pattern="outside-hours"} 0"#,
        r#"unusual_approvals_total{pattern="in-a-row"} 0"#,
        r#"approval_wait_seconds_count{answer="approved"} 1"#,
        r#"approval_wait_seconds_bucket{le="+Inf",answer="approved"} 1"#,
        r#"task_duration_seconds_count{charter="ticket-router"} 1"#,
        r#"task_duration_seconds_bucket{le="86400.0",charter="ticket-router"} 1"#,
    ] {
        let line = format!("lanyard_{value}");
        assert!(served.lines().any(|it| it == line), "{line}\n{served}");
    }
    // The canary of the drill, and the agent's own.
    let issued = r#"lanyard_credentials_issued_total{kind="token",role="plan"} 2"#;
    assert!(served.contains(issued), "{served}");
    let served = named(&served);
    // What only a target has that waits for a provider, or whose provider has a clock of its own.
    let elsewhere = [
        "lanyard_revocations_worst_case_timestamp_seconds",
        "lanyard_target_clock_skew_seconds",
        // What only a broker has that identity providers tell of their sessions.
        "lanyard_security_events_total",
        // What only a charter has that ends.
        "lanyard_charter_expire_timestamp_seconds",
    ];
    for text in [RULES, DASHBOARD, METRICS] {
        let named = named(text);
        assert!(!named.is_empty());
        let missing: Vec<_> = named
            .difference(&served)
            .filter(|name| !elsewhere.contains(name))
            .collect();
        assert_eq!(missing, [&""; 0]);
    }
    Ok(())
}
