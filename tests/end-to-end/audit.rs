//! What happened can be asked about, followed, and verified.

use anyhow::{Context, Result};
use lanyard_tests::Stage;
use serde_json::Value;

fn kinds(answer: &Value) -> Vec<&str> {
    let records = answer.as_array().into_iter().flatten();
    records
        .filter_map(|record| record.get("kind").and_then(Value::as_str))
        .collect()
}

#[test]
fn a_lease_can_be_followed_from_its_intent_to_its_end() -> Result<()> {
    let stage = Stage::set()?;
    let task = stage.task()?;
    stage.token(&task)?;
    let lease = stage.agent.ok(&["-o", "name", "lease", "list"])?;
    stage
        .oncall
        .ok(&["kill", "--lease", &lease, "--reason", "it leaks", "--yes"])?;
    let of_lease = stage.oncall.json(&["audit", "query", &lease])?;
    let kinds_of_lease = kinds(&of_lease);
    assert_eq!(
        kinds_of_lease.get(..2),
        Some(&["begin-mint", "confirm-mint"][..])
    );
    assert!(kinds_of_lease.contains(&"kill"), "{kinds_of_lease:?}");
    let kills = stage.oncall.json(&["audit", "query", "--kind", "kill"])?;
    let reason = kills.pointer("/0/command/reason").and_then(Value::as_str);
    assert_eq!(reason, Some("it leaks"), "{kills}");
    let by_person = stage.oncall.json(&["audit", "query", "oncall"])?;
    assert!(kinds(&by_person).contains(&"kill"), "{by_person}");
    // What an agent may not read, it is not told of.
    stage.agent.fails(3, &["audit", "query"])?;
    Ok(())
}

#[test]
fn a_decision_is_explained_by_its_id() -> Result<()> {
    let stage = Stage::set()?;
    let task = stage.task()?;
    let denied = stage
        .agent
        .fails(3, &["request", "--task", &task, "close-tickets"])?;
    let words = denied.split(|c: char| !(c.is_alphanumeric() || c == '-'));
    let id = words.into_iter().find(|word| word.starts_with("D-"));
    let why = stage.oncall.ok(&["explain", id.context("no decision")?])?;
    for part in [
        "denied",
        "rule",
        "grants",
        "there is no grant close-tickets",
        "the grants are",
    ] {
        assert!(why.contains(part), "{part}: {why}");
    }
    let nothing = stage
        .oncall
        .fails(2, &["explain", "D-00000000000000000000000000"])?;
    assert!(nothing.contains("there is no such decision"), "{nothing}");
    Ok(())
}

#[test]
fn t76_a_journal_is_verified_against_what_was_seen_before() -> Result<()> {
    let stage = Stage::set()?;
    let status = stage.oncall.json(&["status"])?;
    let seen = |name: &str| {
        let found = status.get(name).context("no such field")?;
        let text = found.as_str().map(str::to_owned);
        anyhow::Ok(text.unwrap_or_else(|| found.to_string()))
    };
    let (size, root) = (seen("journal_records")?, seen("journal_root")?);
    let task = stage.task()?;
    stage.token(&task)?;
    let cli = stage.daemon.cli("oncall")?;
    let stopped = stage.stop()?;
    let data = stopped.directory.path().join("data");
    let data = data.to_string_lossy();
    let verify = ["audit", "verify", "--data-dir", &data];
    let before = ["--size", &size, "--root", &root];
    let line = cli.ok(&[&verify[..], &before].concat())?;
    assert!(line.starts_with("ok: "), "{line}");
    let other = root.replace(['0', '1', '2', '3'], "4");
    let line = cli.fails(
        1,
        &[&verify[..], &["--size", &size, "--root", &other]].concat(),
    )?;
    assert!(line.contains("does not go on"), "{line}");
    let segment = std::fs::read_dir(stopped.directory.path().join("data/journal"))?
        .flatten()
        .map(|entry| entry.path())
        .find(|path| path.extension().is_some_and(|extension| extension == "seg"))
        .context("no segment")?;
    let mut bytes = std::fs::read(&segment)?;
    *bytes.get_mut(90).context("a short segment")? ^= 1;
    std::fs::write(&segment, bytes)?;
    let line = cli.fails(1, &verify)?;
    assert!(line.contains("after record 0"), "{line}");
    Ok(())
}
