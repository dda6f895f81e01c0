//! Plan and apply.

use anyhow::Result;
use lanyard_in_process::usual;

#[test]
fn an_apply_waits_for_two_people_and_is_good_once() -> Result<()> {
    let stage = usual()?;
    let task = stage.task()?;
    let unplanned = stage
        .agent
        .fails(3, &["request", "--task", &task, "move-tickets"])?;
    assert!(unplanned.contains("plans.required, line 28"), "{unplanned}");
    let (plan, digest, approval) = stage.plan(&task, "move ticket 7 to billing\n")?;
    let apply = ["request", "--task", &task, "move-tickets", "--plan", &plan];
    assert!(
        stage
            .agent
            .fails(5, &apply)?
            .contains("0 of 2 approvals given")
    );
    stage.approve("alice", &approval, &digest)?;
    assert!(
        stage
            .agent
            .fails(5, &apply)?
            .contains("1 of 2 approvals given")
    );
    stage.approve("bob", &approval, &digest)?;
    let lease = stage.agent.ok(&[&["-o", "name"], &apply[..]].concat())?;
    assert!(stage.agent.fails(5, &apply)?.contains("is still live"));
    stage.agent.ok(&["lease", "release", &lease])?;
    // T20
    assert!(
        stage
            .agent
            .fails(5, &apply)?
            .contains("no more of them is left")
    );
    Ok(())
}

// The bytes that the digest is over, for whoever answers for them.
#[test]
fn s02_the_exact_bytes_are_for_the_submitter_and_for_those_who_may_approve() -> Result<()> {
    let stage = usual()?;
    let task = stage.task()?;
    let exact = "move ticket 7\t\u{202e}to billing \n\nend";
    let (plan, digest, _) = stage.plan(&task, exact)?;
    let alice = stage.daemon.cli("alice")?;
    let raw = ["plan", "show", "--raw", &plan];
    for cli in [&alice, &stage.agent] {
        let answer = cli.run(&raw)?;
        assert_eq!(
            (answer.code, answer.stdout.as_str()),
            (0, exact),
            "{}",
            answer.stderr
        );
    }
    let shown = alice.ok(&["plan", "show", &plan])?;
    assert!(!shown.contains('\u{202e}'), "{shown}");
    // Nothing sensitive changes, so nothing is acknowledged.
    let (_, _, approval) = stage.plan(&task, "another")?;
    let wrong = [
        "approval",
        "approve",
        &approval,
        "--digest",
        &digest,
        "--comment",
        "x",
        "--acknowledge-sensitive",
        "1",
    ];
    assert_ne!(alice.run(&wrong)?.code, 0);
    Ok(())
}

// T18, T19
#[test]
fn t18_t19_a_consent_is_by_a_second_person_to_what_that_person_saw() -> Result<()> {
    let stage = usual()?;
    let task = stage.task()?;
    let (_, digest, approval) = stage.plan(&task, "one")?;
    let (_, other, _) = stage.plan(&task, "two")?;
    let alice = stage.daemon.cli("alice")?;
    let wrong = alice.fails(
        3,
        &[
            "approval",
            "approve",
            &approval,
            "--digest",
            &other,
            "--comment",
            "x",
        ],
    );
    let wrong = wrong.or_else(|_| {
        alice.fails(
            2,
            &[
                "approval",
                "approve",
                &approval,
                "--digest",
                &other,
                "--comment",
                "x",
            ],
        )
    })?;
    assert!(
        wrong.contains("the plan that you saw has the digest"),
        "{wrong}"
    );
    stage.approve("alice", &approval, &digest)?;
    let twice = alice.run(&[
        "approval",
        "approve",
        &approval,
        "--digest",
        &digest,
        "--comment",
        "x",
    ])?;
    assert!(
        twice.code != 0 && twice.stderr.contains("you have already approved this"),
        "{twice:?}"
    );
    for person in ["agent", "oncall"] {
        let cli = stage.daemon.cli(person)?;
        cli.fails(
            3,
            &[
                "approval",
                "approve",
                &approval,
                "--digest",
                &digest,
                "--comment",
                "x",
            ],
        )?;
    }
    Ok(())
}

#[test]
fn t18_a_plan_that_nobody_can_read_any_more_is_neither_approved_nor_applied() -> Result<()> {
    let stage = usual()?;
    let task = stage.task()?;
    let (plan, digest, approval) = stage.plan(&task, "move ticket 7 to billing\n")?;
    stage.approve("alice", &approval, &digest)?;
    let stored = stage.directory.path().join("data/plans");
    let stored = stored.join(digest.replace(':', "-"));
    let bytes = std::fs::read(&stored)?;
    let (kept, _) = bytes.split_at(bytes.len() / 2);
    std::fs::write(&stored, kept)?;
    let bob = stage.daemon.cli("bob")?;
    let refused = bob.run(&[
        "approval",
        "approve",
        &approval,
        "--digest",
        &digest,
        "--comment",
        "unseen",
    ])?;
    assert_eq!(refused.code, 7, "{refused:?}");
    assert!(
        refused
            .stderr
            .contains("it is neither shown, approved nor applied"),
        "{refused:?}"
    );
    std::fs::write(&stored, &bytes)?;
    stage.approve("bob", &approval, &digest)?;
    std::fs::remove_file(&stored)?;
    let apply = ["request", "--task", &task, "move-tickets", "--plan", &plan];
    let refused = stage.agent.fails(7, &apply)?;
    assert!(
        refused.contains("the stored plan cannot be used"),
        "{refused}"
    );
    std::fs::write(&stored, &bytes)?;
    stage.agent.ok(&apply)?;
    Ok(())
}

#[test]
fn a_no_is_final() -> Result<()> {
    let stage = usual()?;
    let task = stage.task()?;
    let (plan, digest, approval) = stage.plan(&task, "one")?;
    stage.approve("alice", &approval, &digest)?;
    stage
        .daemon
        .cli("bob")?
        .ok(&["approval", "deny", &approval, "--reason", "not today"])?;
    let line = stage.agent.fails(
        3,
        &["request", "--task", &task, "move-tickets", "--plan", &plan],
    )?;
    assert!(line.contains("denied: not today"), "{line}");
    Ok(())
}

// T21
#[test]
fn t21_what_a_terminal_would_act_on_is_shown_escaped() -> Result<()> {
    let stage = usual()?;
    let task = stage.task()?;
    let (plan, ..) = stage.plan(&task, "delete \u{1b}[8mproduction\u{1b}[0m \u{202e}txt")?;
    let shown = stage.daemon.cli("alice")?.ok(&["plan", "show", &plan])?;
    assert!(
        shown.contains("delete \\u{1b}[8mproduction\\u{1b}[0m \\u{202e}txt"),
        "{shown}"
    );
    Ok(())
}

/// T22: a consent counts while its giver may give it. The charter in force asks others now.
#[test]
fn t22_a_consent_of_people_who_may_no_longer_give_it_does_not_count() -> Result<()> {
    let stage = usual()?;
    let task = stage.task()?;
    let (plan, digest, approval) = stage.plan(&task, "move ticket 7 to billing\n")?;
    for person in ["alice", "bob"] {
        stage.approve(person, &approval, &digest)?;
    }
    let path = stage.directory.path().join("charters/ticket-router.yaml");
    let charter = std::fs::read_to_string(&path)?;
    std::fs::write(
        &path,
        charter.replace("group:support-leads", "group:finance"),
    )?;
    let in_force = ["audit", "query", "--kind", "charter-in-force"];
    let followed = (0..1000).any(|_| {
        let answer = stage.oncall.json(&in_force).unwrap_or_default();
        // That of the canary, the first, and the second.
        answer.as_array().is_some_and(|records| records.len() > 2)
    });
    assert!(followed, "the charter was not read again");
    let apply = ["request", "--task", &task, "move-tickets", "--plan", &plan];
    let refused = stage.agent.fails(3, &apply)?;
    // S42: nobody is in both groups, and that asks nobody, not anybody.
    assert!(refused.contains("no group is in both"), "{refused}");
    Ok(())
}

// T23
#[test]
fn t23_people_are_not_asked_without_end() -> Result<()> {
    let stage = usual()?;
    let task = stage.task()?;
    let mut approvals = Vec::new();
    for n in 0..10 {
        approvals.push(stage.plan(&task, &format!("move ticket {n}"))?.2);
    }
    let full = stage.plan(&task, "one more").unwrap_err().to_string();
    assert!(
        full.contains("10 requests of") && full.contains("wait until people have answered one"),
        "{full}"
    );
    let first = approvals.first().map(String::as_str).unwrap_or_default();
    let deny = ["approval", "deny", first, "--reason", "too many of these"];
    stage.daemon.cli("alice")?.ok(&deny)?;
    let cooling = stage.plan(&task, "one more").unwrap_err().to_string();
    assert!(cooling.contains("people denied a request of"), "{cooling}");
    Ok(())
}
