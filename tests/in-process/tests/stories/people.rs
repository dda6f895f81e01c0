//! Who sees what of people's decisions and of other agents' affairs.

use anyhow::Result;
use lanyard_in_process::{usual, with_helper};
use lanyard_rig::Cli;
use lanyard_tests::{Stage, until};

/// A stage with a second agent, the helper, under a charter of its own.
fn stage() -> Result<(Stage, Cli)> {
    with_helper(|text| text)
}

#[test]
fn s24_an_agent_lists_the_orders_that_reach_it_and_no_others() -> Result<()> {
    let (stage, helper) = stage()?;
    let task = stage.task()?;
    let kill = |scope: &[&str], reason: &str| {
        let why = ["--reason", reason, "--yes"];
        stage.oncall.ok(&[&["kill"], scope, &why].concat())
    };
    let other = "https://agents.dev.lanyard.invalid#agent:helper";
    kill(&["--agent", other], "the helper loops")?;
    kill(&["--charter", "helper"], "its charter is wrong")?;
    kill(&["--task", &task], "this run is wrong")?;
    let own = stage.agent.ok(&["kill", "list"])?;
    assert!(own.contains("this run is wrong"), "{own}");
    assert!(!own.contains("helper"), "{own}");
    let people = ["alice", "oncall"];
    assert!(!people.iter().any(|name| own.contains(name)), "{own}");
    let others = helper.ok(&["kill", "list"])?;
    assert!(
        others.contains("the helper loops") && others.contains("its charter is wrong"),
        "{others}"
    );
    assert!(!others.contains("this run is wrong"), "{others}");
    let all = stage.oncall.ok(&["kill", "list"])?;
    assert_eq!(
        all.matches(" is wrong").count() + all.matches("loops").count(),
        3,
        "{all}"
    );
    // A drill reaches the broker's canary alone.
    assert_ne!(stage.agent.run(&["drill", "--last"])?.code, 0);
    Ok(())
}

#[test]
fn s24_an_agent_sees_that_people_decided_and_not_who_they_are_nor_what_they_said() -> Result<()> {
    let stage = usual()?;
    let task = stage.task()?;
    let (_, digest, approval) = stage.plan(&task, "one")?;
    stage.approve("alice", &approval, &digest)?;
    let alice = stage.daemon.cli("alice")?;
    alice.ok(&[
        "approval",
        "withdraw",
        &approval,
        "--reason",
        "on second thoughts",
    ])?;
    let bob = stage.daemon.cli("bob")?;
    bob.ok(&[
        "approval",
        "deny",
        &approval,
        "--reason",
        "not while the auditors are here",
    ])?;
    let seen = stage.agent.ok(&["task", "show", &task])?;
    for what in ["approved", "approval taken back", "approval denied"] {
        assert!(seen.contains(what), "{seen}");
    }
    for what in ["alice", "bob", "auditors", "second thoughts", "seen"] {
        assert!(!seen.contains(what), "{what}: {seen}");
    }
    let shown = stage.oncall.ok(&["task", "show", &task])?;
    assert!(
        shown.contains("alice") && shown.contains("auditors"),
        "{shown}"
    );
    Ok(())
}

#[test]
fn s31_an_id_in_free_text_says_nothing_in_another_task_s_timeline() -> Result<()> {
    let (stage, helper) = stage()?;
    let task = stage.task()?;
    let (plan, digest, approval) = stage.plan(&task, "one")?;
    let open = [
        "-o",
        "name",
        "task",
        "open",
        "helper",
        "--environment",
        "production",
        "--reason",
    ];
    for text in [&task, &plan, &approval] {
        helper.ok(&[&open[..], &[text, "--ticket", text]].concat())?;
    }
    // The helper asks in a task of its own with the other's plan, and reports on a thing of that
    // name.
    let own = helper.ok(&[&open[..], &["mine"]].concat())?;
    let asked = helper.run(&["request", "--task", &own, "move-tickets", "--plan", &plan])?;
    assert_ne!(asked.code, 0, "{asked:?}");
    let report = [
        "action",
        "report",
        "--task",
        &own,
        "--tool",
        &task,
        "--action",
        &plan,
        "--target",
        &approval,
        "--outcome",
        "succeeded",
    ];
    helper.ok(&report)?;
    stage.approve("alice", &approval, &digest)?;
    let other = "https://agents.dev.lanyard.invalid#agent:helper";
    stage
        .oncall
        .ok(&["kill", "--agent", other, "--reason", &task, "--yes"])?;
    let seen = stage.oncall.ok(&["task", "show", &task])?;
    assert!(!seen.contains("helper") && !seen.contains(&own), "{seen}");
    assert!(seen.contains("approved by"), "{seen}");
    // Whoever audits finds by ids what is about them, too.
    let found = stage.oncall.ok(&["audit", "query", &task])?;
    assert!(!found.contains("helper"), "{found}");
    Ok(())
}

#[test]
fn s34_a_charter_that_cannot_be_kept_leaves_no_wider_one_in_force() -> Result<()> {
    let stage = usual()?;
    let task = stage.task()?;
    stage.token(&task)?;
    let kept = stage.directory.path().join("data/revisions");
    let aside = stage.directory.path().join("revisions");
    std::fs::rename(&kept, &aside)?;
    std::fs::write(&kept, "no folder")?;
    let file = stage.directory.path().join("charters/ticket-router.yaml");
    let text = std::fs::read_to_string(&file)?;
    std::fs::write(&file, text.replace("ttl: ", "ttl:  "))?;
    until(|| Ok(stage.token(&task).is_err()))?;
    until(|| {
        let status = stage.oncall.run(&["status"])?;
        Ok(status.stderr.contains("its revision cannot be kept"))
    })?;
    // Once it can be kept it comes into force by itself.
    std::fs::remove_file(&kept)?;
    std::fs::rename(&aside, &kept)?;
    until(|| Ok(stage.task().is_ok()))?;
    Ok(())
}
