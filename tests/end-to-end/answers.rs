//! Answers of no: the owner to ask, the role that a call takes, and the state of a plan and of a
//! lease.

use anyhow::{Context, Result};
use lanyard_tests::{Stage, until};
use serde_json::Value;

const OWNER: &str = "support-platform@acme.example";

fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    let found = value.pointer(pointer).and_then(Value::as_str);
    found.unwrap_or_default()
}

#[test]
fn u15_owners_are_named_where_people_can_change_the_answer() -> Result<()> {
    let stage = Stage::set()?;
    let task = stage.task()?;
    let owned = |exit: u8, arguments: &[&str], reason_code: &str| {
        let line = stage.agent.fails(exit.into(), arguments)?;
        let owner = format!("(owner of the charter: {OWNER})");
        assert!(line.contains(&owner), "{line}");
        let said = stage
            .agent
            .fails(exit.into(), &[&["-o", "json"], arguments].concat())?;
        let error: Value = serde_json::from_str(said.trim())?;
        for (pointer, value) in [
            ("/error/reason_code", reason_code),
            ("/error/owner_technical", OWNER),
            ("/error/owner_business", "support@acme.example"),
            ("/error/owner_security", "appsec@acme.example"),
        ] {
            assert_eq!(text(&error, pointer), value, "{error}");
        }
        anyhow::Ok(())
    };
    let request = ["request", "--task", &task, "move-tickets"];
    owned(3, &request, "PLAN_REQUIRED")?;
    let (plan, _, approval) = stage.plan(&task, "move ticket 7")?;
    let with_plan = [&request[..], &["--plan", &plan]].concat();
    owned(5, &with_plan, "APPROVAL_PENDING")?;
    let alice = stage.daemon.cli("alice")?;
    let shown = alice.json(&["approval", "show", &approval])?;
    for who in [OWNER, "support@acme.example", "appsec@acme.example"] {
        assert!(shown.to_string().contains(who), "{shown}");
    }
    stage
        .oncall
        .ok(&["pause", "--all", "--approval", "--reason", "looking"])?;
    let read = ["request", "--task", &task, "read-tickets"];
    owned(5, &read, "APPROVAL_REQUIRED")?;
    stage
        .oncall
        .ok(&["kill", "--all", "--yes", "--reason", "it loops"])?;
    owned(6, &read, "KILL_ENGAGED")?;
    let open = [
        "task",
        "open",
        "ticket-router",
        "--environment",
        "production",
    ];
    let open = [&open[..], &["--reason", "again"]].concat();
    owned(6, &open, "KILL_ENGAGED")?;
    // Of a charter that does not name the caller nothing is told, whatever stops it.
    let foreign = [
        "task",
        "open",
        "lanyard-drill",
        "--environment",
        "production",
    ];
    let foreign = [&foreign[..], &["--reason", "curious"]].concat();
    let said = stage.agent.run(&foreign)?;
    assert!(!format!("{said:?}").contains("owner"), "{said:?}");
    Ok(())
}

#[test]
fn friction_whoever_may_not_is_told_which_role_it_takes_and_which_the_login_gives() -> Result<()> {
    let stage = Stage::set()?;
    let alice = stage.daemon.cli("alice")?;
    let told = alice.fails(3, &["pause", "--all", "--reason", "looking"])?;
    assert!(
        told.contains("takes the role `on-call`") && told.contains("gives `viewer`, `approver`"),
        "{told}"
    );
    let task = stage.task()?;
    let (_, _, approval) = stage.plan(&task, "move ticket 7")?;
    let deny = ["approval", "deny", &approval, "--reason", "no"];
    let told = stage.oncall.fails(3, &deny)?;
    assert!(
        told.contains("takes the role `approver`") && told.contains("`viewer`, `on-call`"),
        "{told}"
    );
    // What is for agents is not for people, and the other way round.
    let open = [
        "task",
        "open",
        "ticket-router",
        "--environment",
        "production",
    ];
    let told = stage
        .oncall
        .fails(3, &[&open[..], &["--reason", "x"]].concat())?;
    assert!(told.contains("this is for agents"), "{told}");
    for words in [
        &["status"][..],
        &["who"],
        &["approval", "list"],
        &["pause", "list"],
        &["rearm", "show"],
        &["drill", "--last"],
    ] {
        let told = stage.agent.fails(3, words)?;
        assert!(
            told.contains("which people have and agents do not"),
            "{words:?}: {told}"
        );
    }
    let said = alice.fails(3, &["-o", "json", "pause", "--all", "--reason", "looking"])?;
    let error: Value = serde_json::from_str(said.trim())?;
    assert_eq!(text(&error, "/error/reason"), "ROLE_DENIED", "{error}");
    assert_eq!(text(&error, "/error/roles_needed"), "on-call", "{error}");
    assert_eq!(
        text(&error, "/error/roles_held"),
        "viewer approver",
        "{error}"
    );
    Ok(())
}

#[test]
fn plans_are_listed_by_task_with_what_became_of_each() -> Result<()> {
    let stage = Stage::set()?;
    let task = stage.task()?;
    let (waiting, _, _) = stage.plan(&task, "move ticket 7")?;
    let (denied, _, asked) = stage.plan(&task, "move ticket 8")?;
    let (approved, digest, yes) = stage.plan(&task, "move ticket 9")?;
    let (taken_back, _, no_more) = stage.plan(&task, "move ticket 10")?;
    let alice = stage.daemon.cli("alice")?;
    let other = stage.task()?;
    let (elsewhere, _, _) = stage.plan(&other, "move ticket 11")?;
    // Each of the two words is taken by each of the commands.
    alice.ok(&["approval", "deny", &asked, "--comment", "not today"])?;
    for person in ["alice", "bob"] {
        stage.approve(person, &yes, &digest)?;
    }
    stage.agent.ok(&[
        "approval",
        "withdraw",
        &no_more,
        "--comment",
        "done by hand",
    ])?;
    for who in [&stage.agent, &alice] {
        let listed = who.json(&["plan", "list"])?;
        let listed = listed.as_array().context("no list")?;
        assert_eq!(listed.len(), 5, "{listed:?}");
        for (plan, state) in [
            (&waiting, "waiting"),
            (&denied, "denied"),
            (&approved, "approved"),
            (&taken_back, "void"),
            (&elsewhere, "waiting"),
        ] {
            let mut found = listed.iter().filter(|it| text(it, "/plan") == plan);
            let found = found.next().context("not listed")?;
            assert_eq!(text(found, "/state"), state, "{found}");
            assert_eq!(found["needed"], 2, "{found}");
        }
        let of_task = who.json(&["plan", "list", "--task", &other])?;
        assert_eq!(text(&of_task, "/0/plan"), elsewhere, "{of_task}");
        assert_eq!(of_task.as_array().map(Vec::len), Some(1));
        let none = who.json(&["plan", "list", "--environment", "staging"])?;
        assert_eq!(none, Value::Array(Vec::new()));
    }
    let table = stage.agent.ok(&["plan", "list", "--task", &other])?;
    assert!(
        table.contains("waiting, 0 of 2") && table.contains("move-tickets in production"),
        "{table}"
    );
    // A plan of a task that is over waits for nobody.
    stage.agent.ok(&["task", "close", &other])?;
    let listed = alice.json(&["plan", "list", "--task", &other])?;
    assert_eq!(text(&listed, "/0/state"), "void", "{listed}");
    Ok(())
}

#[test]
fn a_lease_is_shown_with_how_it_ends_to_its_agent_and_to_operators_alone() -> Result<()> {
    let stage = Stage::set()?;
    let task = stage.task()?;
    let request = ["-o", "name", "request", "--task", &task, "read-tickets"];
    let asked = stage.agent.run(&request)?;
    let lease = asked.stdout.trim().to_owned();
    // Whoever asks so has no credential, and is told that the lease counts.
    let release = format!("lanyard lease release {lease}");
    assert!(asked.stderr.contains(&release), "{asked:?}");
    for who in [&stage.agent, &stage.oncall] {
        let shown = who.json(&["lease", "get", &lease])?;
        for (pointer, value) in [
            ("/state", "issued"),
            ("/task", task.as_str()),
            ("/grant", "read-tickets"),
            ("/role", "plan"),
            ("/target", "tickets"),
        ] {
            assert_eq!(text(&shown, pointer), value, "{shown}");
        }
    }
    stage.agent.ok(&["lease", "release", &lease])?;
    let shown = stage.oncall.ok(&["lease", "get", &lease])?;
    assert!(shown.contains("given back"), "{shown}");
    let never = "L-00000000000000000000000000";
    let told = stage.oncall.fails(2, &["lease", "get", never])?;
    assert!(told.contains("lanyard audit query"), "{told}");
    Ok(())
}

#[test]
fn friction_a_void_request_is_not_taken_back_and_asks_nobody() -> Result<()> {
    let stage = Stage::set()?;
    let task = stage.task()?;
    let (_, digest, approval) = stage.plan(&task, "move ticket 7")?;
    stage.approve("alice", &approval, &digest)?;
    let alice = stage.daemon.cli("alice")?;
    let waiting = alice.run(&["approval", "show", &approval])?;
    assert!(waiting.stderr.contains("to approve:"), "{waiting:?}");
    stage.agent.ok(&["task", "close", &task])?;
    let before = alice.json(&["approval", "show", &approval])?;
    assert!(text(&before, "/state").starts_with("void: "), "{before}");
    let void = alice.run(&["approval", "show", &approval])?;
    assert!(!void.stderr.contains("to approve:"), "{void:?}");
    let has_left = void.stdout.lines().any(|line| {
        let mut words = line.split_whitespace();
        words.next() == Some("left") && words.next().is_some()
    });
    assert!(!has_left, "{void:?}");
    let back = ["approval", "withdraw", &approval, "--reason", "never mind"];
    for who in [&stage.agent, &alice] {
        let told = who.fails(2, &back)?;
        assert!(
            told.contains("has ended, and this request with it"),
            "{told}"
        );
    }
    let after = alice.json(&["approval", "show", &approval])?;
    assert_eq!(before, after);
    Ok(())
}

#[test]
fn friction_a_reason_code_is_explained_without_a_broker() -> Result<()> {
    let tool = lanyard_rig::Cli::offline()?;
    let said = tool.ok(&["explain", "plan_required"])?;
    for part in [
        "PLAN_REQUIRED",
        "The grant takes a plan.",
        "lanyard plan submit",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
    let said = tool.fails(2, &["explain", "LIVE_LEASE"])?;
    assert!(said.contains("did you mean LIVE_LEASES?"), "{said}");
    Ok(())
}

#[test]
fn u14_a_charter_that_ends_soon_is_not_said_to_be_out_of_force() -> Result<()> {
    let stage = Stage::set()?;
    let date = std::process::Command::new("date")
        .args(["-u", "-d", "2 days", "+%Y-%m-%d"])
        .output()?;
    let day = String::from_utf8(date.stdout)?;
    stage.amend(&format!("  expires: {}\n", day.trim()))?;
    until(|| {
        let status = stage.oncall.run(&["status"])?;
        Ok(status.stderr.contains("charter ticket-router ends at"))
    })?;
    let status = stage.oncall.run(&["status"])?;
    assert!(!status.stderr.contains("not in force"), "{status:?}");
    Ok(())
}
