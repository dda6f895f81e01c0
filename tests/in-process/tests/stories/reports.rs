//! What was asked for over a time.

use anyhow::Result;
use lanyard_in_process::usual;
use serde_json::Value;

// An agent's new version is decided in shadow beside the one that acts, and the two are compared.
#[test]
fn two_versions_of_an_agent_are_compared_over_the_same_time() -> Result<()> {
    let stage = usual()?;
    stage.amend("  versions: [{model: router-1}]\n")?;
    let open = |model: &str| {
        let place = [
            "ticket-router",
            "--environment",
            "production",
            "--reason",
            "ticket 12",
        ];
        let open = [
            &["-o", "name", "task", "open"],
            &place[..],
            &["--model", model],
        ]
        .concat();
        stage.agent.ok(&open)
    };
    let (one, two) = (open("router-1")?, open("router-2")?);
    stage
        .agent
        .ok(&["request", "--task", &one, "read-tickets"])?;
    let shadowed = stage
        .agent
        .fails(3, &["request", "--task", &two, "read-tickets"])?;
    assert!(shadowed.contains("this would be allowed"), "{shadowed}");
    for _ in 0..2 {
        stage
            .agent
            .fails(3, &["request", "--task", &two, "move-tickets"])?;
    }
    let report = stage
        .oncall
        .json(&["report", "shadow", "--charter", "ticket-router"])?;
    let of = |version: &str, field: &str| {
        let rows = report.as_array().into_iter().flatten();
        let row = rows
            .into_iter()
            .find(|row| row.get("version").and_then(Value::as_str) == Some(version));
        row.and_then(|row| row.get(field))
            .cloned()
            .unwrap_or_default()
    };
    assert_eq!(
        (of("router-1", "allowed"), of("router-1", "shadowed")),
        (1.into(), 0.into())
    );
    assert_eq!(
        (of("router-2", "allowed"), of("router-2", "shadowed")),
        (1.into(), 1.into())
    );
    assert_eq!(of("router-2", "denied"), 2, "{report}");
    let charter = stage.directory.path().join("charters/ticket-router.yaml");
    let file = charter.to_string_lossy();
    let config = stage.directory.path().join("lanyardd.yaml");
    let config = config.to_string_lossy();
    let said = stage
        .oncall
        .run(&["report", "shadow", "--file", &file, "--config", &config])?;
    assert!(
        said.stderr.contains("denied 2 times of grant move-tickets"),
        "{said:?}"
    );
    Ok(())
}
