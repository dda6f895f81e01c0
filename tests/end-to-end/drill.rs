//! Drills: does the switch work?

use anyhow::Result;
use lanyard_tests::Stage;
use serde_json::Value;

#[test]
fn a_drill_kills_a_canary_and_leaves_everything_else_alone() -> Result<()> {
    let stage = Stage::set()?;
    let task = stage.task()?;
    let token = stage.token(&task)?;
    let before = stage.oncall.run(&["drill", "--last"])?;
    assert_eq!(
        before.code, 1,
        "a switch that was never tried is no proof: {before:?}"
    );
    assert!(
        before.stdout.contains("no drill was held yet"),
        "{before:?}"
    );
    let held = stage.oncall.json(&["drill"])?;
    let field = |name: &str| held.pointer(&format!("/0/{name}")).and_then(Value::as_str);
    assert_eq!(
        (field("target"), field("result")),
        (Some("tickets"), Some("passed"))
    );
    let spans = ["fenced", "taken", "dead"].map(|name| field(name).unwrap_or_default());
    assert!(spans.iter().all(|span| span.ends_with('s')), "{held}");
    stage.oncall.ok(&["drill", "--last"])?;
    let proof = stage.oncall.ok(&["identity"])?;
    assert!(stage.is_active(&token, &proof)?);
    // It is in the journal, and survives a crash.
    let drills = stage.oncall.json(&["audit", "query", "--kind", "drill"])?;
    assert!(drills.pointer("/0").is_some(), "{drills}");
    let stage = stage.crash()?;
    stage.oncall.ok(&["drill", "--last"])?;
    // The agent cannot hold one, and nobody else can be the canary.
    stage.agent.fails(3, &["drill"])?;
    let line = stage.oncall.fails(2, &["drill", "elsewhere"])?;
    assert!(
        line.contains("elsewhere: there is no such target"),
        "{line}"
    );
    Ok(())
}

#[test]
fn no_file_takes_the_place_of_the_canarys_charter() -> Result<()> {
    let stage = Stage::set()?;
    let charters = stage.directory.path().join("charters");
    let text = std::fs::read_to_string(charters.join("ticket-router.yaml"))?;
    let text = text.replace("name: ticket-router", "name: lanyard-drill");
    std::fs::write(charters.join("canary.yaml"), text)?;
    lanyard_tests::until(|| {
        let listed = stage.oncall.run(&["charter", "list"])?;
        Ok((listed.stdout + &listed.stderr).contains("no file may have its name"))
    })?;
    stage.oncall.ok(&["drill"]).map(drop)
}
