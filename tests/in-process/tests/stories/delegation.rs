//! Tasks that one agent opens for another.

use anyhow::Result;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use lanyard_in_process::with_helper;
use lanyard_rig::{Answer, Cli};
use lanyard_tests::{Stage, until};

/// A stage with a second agent, the helper, under a charter of its own that allows more.
fn stage() -> Result<(Stage, Cli)> {
    with_helper(|text| text.replace("[tickets.read]}", "[tickets.read, tickets.list]}"))
}

/// Opens a task for the helper under this one.
fn delegate(stage: &Stage, task: &str) -> Result<Answer> {
    let issuer = "https://agents.dev.lanyard.invalid";
    let place = [
        "helper",
        "--environment",
        "production",
        "--reason",
        "find it",
    ];
    let under = ["--under", task, "--for", issuer, "agent:helper"];
    stage
        .agent
        .run(&[&["-o", "name", "task", "open"], &place[..], &under].concat())
}

/// The claims of a token, as JSON.
fn claims(token: &str) -> Result<String> {
    let payload = token.split('.').nth(1).unwrap_or_default();
    Ok(String::from_utf8(URL_SAFE_NO_PAD.decode(payload)?)?)
}

// T40
#[test]
fn a_task_for_another_agent_gets_what_both_charters_allow_and_ends_with_the_one_above() -> Result<()>
{
    let (stage, helper) = stage()?;
    let early = stage.task()?;
    stage.amend("  delegates: [helper]\n")?;
    // A task is held to the charter that it was opened under as well.
    let denied = delegate(&stage, &early)?;
    assert!(
        denied
            .stderr
            .contains("(delegates): a task under this charter opens none"),
        "{denied:?}"
    );

    let task = stage.task()?;
    let opened = delegate(&stage, &task)?;
    assert_eq!(opened.code, 0, "{opened:?}");
    let below = opened.stdout.trim();
    assert_ne!(
        stage.agent.run(&["task", "show", below])?.code,
        0,
        "it is the helper's"
    );
    assert!(helper.ok(&["task", "show", below])?.contains(&task));
    let ask = ["creds", "token", "--task", below, "read-tickets"];
    let token = helper.ok(&ask)?;
    let said = claims(&token)?;
    assert!(said.contains("\"scope\":\"tickets.read\""), "{said}");
    // On whose behalf, and who acts (RFC 8693).
    let issuer = "https://agents.dev.lanyard.invalid";
    let subject = format!("\"sub\":\"{issuer}#agent:router\"");
    let actor = format!("\"act\":{{\"sub\":\"{issuer}#agent:helper\"}}");
    assert!(said.contains(&subject) && said.contains(&actor), "{said}");
    let active = || stage.is_active(&token, &stage.agent.ok(&["identity"])?);
    assert!(active()?);

    stage.agent.ok(&["task", "close", &task])?;
    until(|| Ok(!active()?))?;
    let refused = helper.run(&ask)?;
    assert!(
        refused.code != 0 && refused.stderr.contains("has ended"),
        "{refused:?}"
    );
    Ok(())
}
