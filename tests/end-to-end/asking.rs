//! What an agent's developer and a charter's author are told: refusals, tasks, decisions, charters.

use anyhow::{Context, Result};
use lanyard_rig::Cli;
use lanyard_tests::{Stage, until};
use serde_json::Value;

fn text<'a>(value: &'a Value, pointer: &str) -> Option<&'a str> {
    value.pointer(pointer).and_then(Value::as_str)
}

/// Another agent, under a charter of its own.
fn other(stage: &Stage) -> Result<Cli> {
    let folder = stage.directory.path();
    let usual = std::fs::read_to_string(folder.join("charters/ticket-router.yaml"))?;
    let own = usual
        .replace("name: ticket-router", "name: other")
        .replace("agent:router", "agent:other");
    std::fs::write(folder.join("charters/other.yaml"), own)?;
    let agent = std::fs::read_to_string(folder.join("contexts/agent.json"))?;
    let context = agent.replace("agent:router", "agent:other");
    std::fs::write(folder.join("contexts/other.json"), context)?;
    until(|| {
        Ok(stage
            .oncall
            .ok(&["charter", "list"])?
            .contains("agent:other"))
    })?;
    stage.daemon.cli("other")
}

/// The decision that a line ends with.
fn decision(line: &str) -> Result<&str> {
    let mut words = line.split(|c: char| !(c.is_alphanumeric() || c == '-'));
    words
        .rfind(|word| word.starts_with("D-"))
        .context("no decision")
}

#[test]
fn u22_a_refusal_for_now_ends_with_9_and_says_which_limit_until_when() -> Result<()> {
    let stage = Stage::set()?;
    let file = stage.directory.path().join("charters/ticket-router.yaml");
    let usual = std::fs::read_to_string(&file)?;
    let before = stage.oncall.ok(&["charter", "list"])?;
    std::fs::write(&file, usual.replace("live_leases: 100", "live_leases: 5"))?;
    until(|| Ok(stage.oncall.ok(&["charter", "list"])? != before))?;
    let task = stage.task()?;
    let request = ["request", "--task", &task, "read-tickets"];
    for _ in 0..5 {
        stage.agent.ok(&request)?;
    }
    let said = stage.agent.fails(9, &request)?;
    for part in [
        "5 live leases under this charter and may have 5",
        "lanyard lease release",
        "or wait until 20",
        "\nretry after 20",
        " (in ",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
    let line = said.lines().next().unwrap_or_default();
    let id = decision(line)?;
    let error = stage
        .agent
        .fails(9, &[&["-o", "json"], &request[..]].concat())?;
    let error: Value = serde_json::from_str(error.trim())?;
    for (pointer, value) in [
        ("/error/reason", "QUOTA"),
        ("/error/reason_code", "LIVE_LEASES"),
        ("/error/limit", "limits.live_leases"),
        ("/error/limit_value", "5"),
        ("/error/charter", "ticket-router"),
        ("/error/owner_technical", "support-platform@acme.example"),
    ] {
        assert_eq!(text(&error, pointer), Some(value), "{error}");
    }
    let number = |pointer| error.pointer(pointer).and_then(Value::as_u64);
    assert_eq!(number("/error/exit_code"), Some(9));
    assert!(
        number("/error/retry_after_seconds").is_some_and(|wait| wait <= 600),
        "{error}"
    );

    // The agent that asked and an operator are told why; another agent is not.
    for who in [&stage.agent, &stage.oncall] {
        let why = who.ok(&["explain", id])?;
        for part in [
            "refused",
            "LIVE_LEASES",
            "limits.live_leases: 5",
            "support-platform@",
        ] {
            assert!(why.contains(part), "{part}: {why}");
        }
    }
    let other = other(&stage)?;
    assert!(
        other
            .fails(2, &["explain", id])?
            .contains("no such decision")
    );
    let timeline = stage.agent.ok(&["task", "show", &task])?;
    assert!(
        timeline.contains("refused read-tickets: refused under"),
        "{timeline}"
    );

    // A pause is one too; nothing says when a person will end it.
    stage
        .oncall
        .ok(&["pause", "--all", "--reason", "looking"])?;
    let paused = stage.agent.fails(9, &request)?;
    assert!(
        paused.contains("lanyard resume H-") && !paused.contains("retry after"),
        "{paused}"
    );
    Ok(())
}

#[test]
fn friction_an_allowed_decision_names_who_approved_it() -> Result<()> {
    let stage = Stage::set()?;
    let task = stage.task()?;
    let (plan, digest, approval) = stage.plan(&task, "move ticket 7")?;
    let request = ["request", "--task", &task, "move-tickets", "--plan", &plan];
    let waits = stage.agent.fails(5, &request)?;
    assert!(waits.contains("0 of 2") && waits.contains("[D-"), "{waits}");
    for person in ["alice", "bob"] {
        stage.approve(person, &approval, &digest)?;
    }
    stage.agent.ok(&request)?;
    let timeline = stage.agent.ok(&["task", "show", &task])?;
    let asked = timeline
        .lines()
        .find(|line| line.contains("asked for move-tickets"));
    let id = decision(asked.context("nothing was asked for")?)?;
    let why = stage.oncall.ok(&["explain", id])?;
    for part in [
        "allowed",
        "ALLOWED",
        "alice",
        "bob",
        "of 2 needed",
        &approval,
    ] {
        assert!(why.contains(part), "{part}: {why}");
    }
    // An agent has no business with who they are.
    let why = stage.agent.ok(&["explain", id])?;
    assert!(why.contains("2 people, of 2 needed"), "{why}");
    assert!(!why.contains("alice"), "{why}");
    Ok(())
}

#[test]
fn u04_tasks_are_listed_by_pages_and_by_what_they_are() -> Result<()> {
    let stage = Stage::set()?;
    let (first, second) = (stage.task()?, stage.task()?);
    stage
        .agent
        .ok(&["request", "--task", &first, "read-tickets"])?;
    for who in [&stage.agent, &stage.oncall] {
        let listed = who.json(&["task", "list"])?;
        let ids: Vec<_> = listed.as_array().into_iter().flatten().collect();
        assert_eq!(ids.len(), 2, "{listed}");
        assert_eq!(
            text(&listed, "/0/task"),
            Some(first.as_str()),
            "what ends first comes first"
        );
        assert_eq!(listed.pointer("/0/live_leases"), Some(&Value::from(1)));
        assert_eq!(text(&listed, "/0/environment"), Some("production"));
    }
    let none = stage
        .oncall
        .json(&["task", "list", "--environment", "staging"])?;
    assert_eq!(none, Value::Array(Vec::new()));
    let own = stage
        .oncall
        .json(&["task", "list", "--charter", "ticket-router"])?;
    assert_eq!(own.as_array().map(Vec::len), Some(2));
    stage.agent.ok(&["task", "close", &first])?;
    let left = stage.agent.ok(&["-o", "name", "task", "list"])?;
    assert_eq!(left.trim(), second);
    // Nobody else's are listed for an agent.
    assert_eq!(other(&stage)?.ok(&["-o", "name", "task", "list"])?, "");
    Ok(())
}

#[test]
fn u14_a_charter_is_shown_and_a_matrix_says_who_can_change_what() -> Result<()> {
    let stage = Stage::set()?;
    let shown = stage.agent.ok(&["charter", "show", "ticket-router"])?;
    for part in [
        "technical support-platform@acme.example",
        "production: execute-production; reads by read-tickets",
        "may change tickets by move-tickets, after 2 people approved",
        "live_leases: 100",
        "apply in production: 2 people of support-leads",
    ] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
    let unknown = stage
        .oncall
        .fails(2, &["charter", "show", "ticket-ruter"])?;
    assert!(unknown.contains("did you mean ticket-router?"), "{unknown}");
    let matrix = stage.oncall.json(&["charter", "list", "--matrix"])?;
    let mut cells = matrix.as_array().into_iter().flatten();
    let production = cells
        .find(|cell| {
            text(cell, "/charter") == Some("ticket-router")
                && text(cell, "/environment") == Some("production")
        })
        .context("no production")?;
    for (pointer, value) in [
        ("/charter", "ticket-router"),
        ("/autonomy", "execute-production"),
        ("/changes/0/grant", "move-tickets"),
        ("/changes/0/target", "tickets"),
        ("/owners/security", "appsec@acme.example"),
    ] {
        assert_eq!(text(production, pointer), Some(value), "{production}");
    }
    assert_eq!(
        production.pointer("/changes/0/people_high_risk"),
        Some(&Value::from(2))
    );
    let table = stage.oncall.ok(&["charter", "list", "--matrix"])?;
    assert!(table.contains("move-tickets on tickets"), "{table}");
    // Nothing of a charter that does not name the agent.
    other(&stage)?.fails(2, &["charter", "show", "ticket-router"])?;
    Ok(())
}

/// A day, as `date` writes it.
fn in_two_days() -> Result<String> {
    let date = std::process::Command::new("date")
        .args(["-u", "-d", "2 days", "+%Y-%m-%d"])
        .output()?;
    Ok(String::from_utf8(date.stdout)?.trim().to_owned())
}

#[test]
fn u14_a_charter_that_ends_soon_is_warned_of() -> Result<()> {
    let stage = Stage::set()?;
    let day = in_two_days()?;
    stage.amend(&format!("  expires: {day}\n"))?;
    let listed = stage.oncall.run(&["charter", "list"])?;
    assert!(listed.stdout.contains(&day), "{listed:?}");
    assert!(
        listed.stderr.contains("charter ticket-router ends in "),
        "{listed:?}"
    );
    let status = stage.oncall.run(&["status"])?;
    assert!(
        status.stdout.contains("charter ticket-router ends at")
            || status.stderr.contains("charter ticket-router ends at"),
        "{status:?}"
    );
    let config = stage.directory.path().join("lanyardd.yaml");
    let charters = stage.directory.path().join("charters");
    let found = stage.agent.run(&[
        "charter",
        "lint",
        &charters.to_string_lossy(),
        "--config",
        &config.to_string_lossy(),
    ])?;
    assert_eq!(found.code, 0, "{found:?}");
    assert!(found.stdout.contains("[LC219]"), "{found:?}");
    // Without --config the configuration above the charters is the one that counts.
    let found = stage
        .agent
        .run(&["charter", "lint", &charters.to_string_lossy()])?;
    assert_eq!(found.code, 0, "{found:?}");
    assert!(found.stderr.contains("lanyardd.yaml"), "{found:?}");
    Ok(())
}

#[test]
fn u20_an_agent_takes_back_what_it_asked_people_for() -> Result<()> {
    let stage = Stage::set()?;
    let task = stage.task()?;
    let (_, digest, approval) = stage.plan(&task, "move ticket 7")?;
    let alice = stage.daemon.cli("alice")?;
    let waiting = alice.run(&["approval", "list"])?;
    assert!(waiting.stdout.contains(&approval), "{waiting:?}");
    assert!(waiting.stderr.contains("1 waits for people"), "{waiting:?}");
    let back = ["approval", "withdraw", &approval, "--reason", "not needed"];
    let told = stage.agent.ok(&back)?;
    assert!(told.contains("taken back"), "{told}");
    let waiting = alice.run(&["approval", "list"])?;
    assert!(!waiting.stdout.contains(&approval), "{waiting:?}");
    assert!(
        waiting.stderr.contains("1 decided or void; --all"),
        "{waiting:?}"
    );
    let all = alice.ok(&["approval", "list", "--all"])?;
    assert!(all.contains(&approval) && all.contains("void: "), "{all}");
    assert!(stage.approve("alice", &approval, &digest).is_err());
    // A task that is closed takes its requests with it.
    let (_, _, second) = stage.plan(&task, "move ticket 8")?;
    stage.agent.ok(&["task", "close", &task])?;
    let waiting = alice.run(&["approval", "list"])?;
    assert!(!waiting.stdout.contains(&second), "{waiting:?}");
    Ok(())
}

#[test]
fn friction_init_names_all_that_is_missing_with_its_flags() -> Result<()> {
    let tool = lanyard_rig::Cli::offline()?;
    let said = tool.fails(
        2,
        &[
            "charter",
            "init",
            "--environment",
            "here=sandbox",
            "--target",
            "there=token",
        ],
    )?;
    for part in [
        "NAME:",
        "--purpose TEXT",
        "--agent ISSUER SUBJECT",
        "--owners BUSINESS TECHNICAL SECURITY",
        "--in ENVIRONMENT: where (one of here)",
        "--on TARGET: on which target (one of there)",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
    Ok(())
}

#[test]
fn friction_help_shows_own_options_before_the_global_ones() -> Result<()> {
    let tool = lanyard_rig::Cli::offline()?;
    let help = tool.ok(&["task", "list", "--help"])?;
    let own = help.find("--charter").context("no --charter")?;
    let head = help.find("Global options:").context("no head")?;
    let global = help.find("--context").context("no --context")?;
    assert!(own < head && head < global, "{help}");
    Ok(())
}

#[test]
fn t15_an_agent_is_not_told_what_there_is_besides_its_own() -> Result<()> {
    let stage = Stage::set()?;
    // The names that there are, for a name that nothing has.
    let list = ["lease", "list", "--environment", "zzz"];
    let told = stage.oncall.run(&list)?;
    assert!(told.stderr.contains("production"), "{told:?}");
    let told = stage.agent.run(&list)?;
    assert!(!format!("{told:?}").contains("production"), "{told:?}");
    // A charter that names others: the answer is that of one that never was, its owners included.
    let open = |charter: &str| {
        let words = ["task", "open", charter, "--environment", "production"];
        let reason = ["--reason", "curious"];
        let refused = stage.agent.run(&[&words[..], &reason].concat())?;
        let explained = stage.agent.ok(&["explain", decision(&refused.stderr)?])?;
        anyhow::Ok(explained)
    };
    let (other, none) = (open("lanyard-drill")?, open("lanyard-drool")?);
    assert!(!other.contains("lanyard@localhost"), "{other}");
    assert_eq!(other.lines().count(), none.lines().count(), "{other}{none}");
    Ok(())
}
