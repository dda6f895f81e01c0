//! What stops by itself, and pauses.

use anyhow::Result;
use lanyard_tests::{Stage, until};

/// The dev charter with these breakers.
fn with(breakers: &str) -> Result<Stage> {
    let stage = Stage::set()?;
    stage.amend(&format!("  breakers:\n{breakers}"))?;
    Ok(stage)
}

fn active(stage: &Stage, token: &str) -> Result<bool> {
    stage.is_active(token, &stage.agent.ok(&["identity"])?)
}

#[test]
fn t41_an_agent_that_asks_for_what_it_may_not_have_is_stopped_with_the_evidence() -> Result<()> {
    let stage = with("    - {on: denied, count: 3, within: 10m, then: stop-agent}\n")?;
    let task = stage.task()?;
    let token = stage.token(&task)?;
    for _ in 0..3 {
        stage
            .agent
            .fails(3, &["request", "--task", &task, "move-tickets"])?;
    }
    let stopped = ["request", "--task", &task, "read-tickets"];
    let refused = stage.agent.run(&stopped)?;
    assert_ne!(refused.code, 0, "{refused:?}");
    until(|| {
        Ok(stage
            .agent
            .run(&stopped)?
            .stderr
            .contains("stopped by kill order K-"))
    })?;
    let orders = stage.oncall.ok(&["kill", "list"])?;
    assert!(
        orders.contains("3 denied within 10m per agent: stop-agent, by agent https://agents.dev.lanyard.invalid#agent:router (records "),
        "{orders}"
    );
    assert!(
        orders.contains("breaker of charter ticket-router, line 40"),
        "{orders}"
    );
    until(|| Ok(!active(&stage, &token)?))?;

    // A restart changes nothing of it.
    let stage = stage.crash()?;
    assert!(
        stage
            .agent
            .run(&stopped)?
            .stderr
            .contains("stopped by kill order K-")
    );
    Ok(())
}

#[test]
fn five_tickets_in_ten_minutes_pause_the_charter_until_a_person_resumes() -> Result<()> {
    let stage = with("    - {on: minted, count: 5, within: 10m, then: pause, per: charter}\n")?;
    let task = stage.task()?;
    let mut tokens = Vec::new();
    for turn in 0..5 {
        tokens.push(stage.token(&task)?);
        if turn == 2 {
            // What was counted is counted on the disk.
            let before = stage.oncall.ok(&["status"])?;
            assert!(before.contains("pauses"), "{before}");
        }
    }
    let stage = stage.crash()?;
    let request = ["request", "--task", &task, "read-tickets"];
    let refused = stage.agent.run(&request)?;
    assert_ne!(refused.code, 0, "{refused:?}");
    until(|| Ok(stage.agent.run(&request)?.stderr.contains("paused by H-")))?;
    // That the last one was handed over may not have been written down before the crash: it is then
    // revoked.
    for token in tokens.iter().take(4) {
        assert!(active(&stage, token)?, "a pause revokes nothing");
    }
    let listed = stage.oncall.ok(&["pause", "list"])?;
    assert!(
        listed.contains("charter ticket-router") && listed.contains("5 minted within 10m"),
        "{listed}"
    );
    let id = stage.oncall.ok(&["pause", "list", "-o", "name"])?;
    stage.agent.fails(3, &["resume", &id, "--reason", "x"])?;
    stage
        .oncall
        .ok(&["resume", &id, "--reason", "they were all asked for"])?;
    stage.token(&task)?;
    assert!(
        stage
            .oncall
            .run(&["resume", &id, "--reason", "x"])?
            .stderr
            .contains("there is no pause")
    );
    Ok(())
}

#[test]
fn a_person_pauses_a_target_and_asks_for_approvals_of_an_agent() -> Result<()> {
    let stage = Stage::set()?;
    let task = stage.task()?;
    let id = stage.oncall.ok(&[
        "pause",
        "--target",
        "tickets",
        "--reason",
        "the ticket system is down",
    ])?;
    let refused = stage
        .agent
        .run(&["request", "--task", &task, "read-tickets"])?;
    assert!(
        refused
            .stderr
            .contains("over target tickets: the ticket system is down"),
        "{refused:?}"
    );
    stage.oncall.ok(&["resume", &id, "--reason", "up again"])?;
    let watched = [
        "pause",
        "--charter",
        "ticket-router",
        "--approval",
        "--reason",
        "odd requests",
    ];
    stage.oncall.ok(&watched)?;
    let refused = stage
        .agent
        .run(&["request", "--task", &task, "read-tickets"])?;
    assert_ne!(refused.code, 0, "{refused:?}");
    let nothing = stage.oncall.fails(2, &["pause", "--reason", "x"])?;
    assert!(
        nothing.contains("name what to pause, or say --all"),
        "{nothing}"
    );
    Ok(())
}

#[test]
fn an_emergency_lifts_the_freeze_for_what_its_terms_name_and_a_second_person_approves() -> Result<()>
{
    let stage = Stage::set()?;
    stage.amend(
        "  emergency: {grants: [move-tickets], people: 1, lasts: 1h}\n  freezes:\n    \
         - {from: 2020-01-01, to: 2099-01-01, roles: [apply], reason: nobody is there}\n",
    )?;
    let task = stage.task()?;
    let frozen = stage.plan(&task, "one").unwrap_err().to_string();
    assert!(
        frozen.contains("apply is frozen in production until 2099-01-02"),
        "{frozen}"
    );
    stage.agent.fails(
        3,
        &["emergency", "declare", "ticket-router", "--reason", "x"],
    )?;
    let declare = [
        "emergency",
        "declare",
        "ticket-router",
        "--reason",
        "tickets pile up",
    ];
    let said = stage.oncall.run(&declare)?;
    assert!(
        said.stderr
            .starts_with("EMERGENCY under charter ticket-router until 2"),
        "{said:?}"
    );
    assert!(stage.oncall.ok(&["status"])?.contains("ticket-router"));
    let (plan, digest, approval) = stage.plan(&task, "one")?;
    stage.approve("alice", &approval, &digest)?;
    let apply = ["request", "--task", &task, "move-tickets", "--plan", &plan];
    stage.agent.ok(&apply)?;
    stage
        .oncall
        .ok(&["emergency", "end", "ticket-router", "--reason", "over"])?;
    stage.agent.fails(9, &apply)?;
    Ok(())
}

#[test]
fn a_kill_test_is_an_agents_own_and_reaches_its_task_alone() -> Result<()> {
    let stage = with(
        "    - {on: action, action: ticket.stop, count: 1, within: 1m, per: task, then: stop-task}\n",
    )?;
    let other = stage.token(&stage.task()?)?;
    let trial = |action: &str, within: &str| {
        let charter = ["kill", "test", "ticket-router", "--environment", "staging"];
        let grant = [
            "--grant",
            "read-tickets",
            "--action",
            action,
            "--within",
            within,
        ];
        stage.agent.run(&[&charter[..], &grant[..]].concat())
    };
    let said = trial("ticket.stop", "1m")?;
    assert_eq!(said.code, 0, "{said:?}");
    assert!(said.stdout.contains("proved dead"), "{said:?}");
    assert!(said.stdout.contains("stopped by kill order K-"), "{said:?}");
    assert!(
        active(&stage, &other)?,
        "another task of the agent was reached"
    );

    // Without a breaker nothing dies, and the test says so.
    let said = trial("ticket.move", "1s")?;
    assert_eq!(said.code, 8, "{said:?}");
    assert!(said.stderr.contains("is not known to be dead"), "{said:?}");
    Ok(())
}
