//! Wrong requests get an error that names the place, and the daemon goes on.

use anyhow::Result;
use lanyard_tests::{Stage, until};

#[test]
fn a_wrong_request_is_told_what_is_wrong_and_the_daemon_goes_on() -> Result<()> {
    let stage = Stage::set()?;
    let task = stage.task()?;
    let unknown = "T-00000000000000000000000001";
    let cases: &[(i32, &[&str], &str)] = &[
        (
            3,
            &[
                "task",
                "open",
                "nobody",
                "--environment",
                "production",
                "--reason",
                "x",
            ],
            "no such charter",
        ),
        (
            3,
            &[
                "task",
                "open",
                "ticket-router",
                "--environment",
                "moon",
                "--reason",
                "x",
            ],
            "environment moon is not",
        ),
        (
            2,
            &[
                "task",
                "open",
                "Ticket",
                "--environment",
                "production",
                "--reason",
                "x",
            ],
            "charter: `Ticket` is not",
        ),
        (
            2,
            &[
                "task",
                "open",
                "ticket-router",
                "--environment",
                "production",
                "--reason",
                " ",
            ],
            "reason: must not be",
        ),
        (2, &["task", "show", unknown], "there is no such task"),
        (2, &["task", "show", "T-1"], "`T-1` is not a task id"),
        (
            2,
            &["request", "--task", unknown, "read-tickets"],
            "there is no such task",
        ),
        (
            3,
            &["request", "--task", &task, "read-ticket"],
            "there is no grant read-ticket",
        ),
        (
            3,
            &["request", "--task", &task, "read-tickets", "--ttl", "25h"],
            "is longer than the 10m",
        ),
        (
            2,
            &[
                "request",
                "--task",
                &task,
                "read-tickets",
                "--plan",
                "P-00000000000000000000000001",
            ],
            "no such plan",
        ),
        (
            2,
            &["creds", "aws", "--task", &task, "read-tickets"],
            "a credential of another kind",
        ),
        (
            2,
            &["lease", "release", "L-00000000000000000000000001"],
            "there is no such lease",
        ),
    ];
    for (code, arguments, expected) in cases {
        let line = stage.agent.fails(*code, arguments)?;
        assert!(line.contains(expected), "{arguments:?}: {line}");
    }
    stage.token(&task)?;
    Ok(())
}

// T44
#[test]
fn t44_a_plan_over_the_limit_and_a_large_message_are_refused() -> Result<()> {
    let stage = Stage::set()?;
    let task = stage.task()?;
    let file = stage.directory.path().join("large.txt");
    std::fs::write(&file, "x".repeat(4 * 1024 * 1024 + 1))?;
    let file = file.to_string_lossy();
    let submit = [
        "plan",
        "submit",
        &file,
        "--task",
        &task,
        "--grant",
        "move-tickets",
        "--summary",
        "large",
    ];
    assert!(
        stage
            .agent
            .fails(2, &submit)?
            .contains("a plan has 4194304 (4 MiB) at most")
    );
    let reason = "x".repeat(100_000);
    let open = [
        "task",
        "open",
        "ticket-router",
        "--environment",
        "production",
        "--reason",
        &reason,
    ];
    assert!(
        stage
            .agent
            .fails(2, &open)?
            .contains("the message is too large: found 1")
    );
    stage.token(&task)?;
    Ok(())
}

// T49
#[test]
fn t49_the_daemon_leaves_no_core() -> Result<()> {
    let stage = Stage::set()?;
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", stage.daemon.process()))?;
    let core = limits
        .lines()
        .find(|line| line.starts_with("Max core file size"))
        .unwrap();
    let words: Vec<_> = core.split_whitespace().collect();
    assert_eq!(words.get(4..6).unwrap(), ["0", "0"], "{core}");
    Ok(())
}

// T49
#[test]
fn t49_no_secret_is_in_the_log_or_on_the_disk() -> Result<()> {
    let stage = Stage::set()?;
    let task = stage.task()?;
    let token = stage.token(&task)?;
    let proof = stage.oncall.ok(&["identity"])?;
    stage.is_active(&token, &proof)?;
    let mut folders = vec![stage.directory.path().to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder)? {
            let path = entry?.path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let text = String::from_utf8_lossy(&std::fs::read(&path)?).into_owned();
            for secret in [&token, &proof] {
                let signature = secret.rsplit('.').next().unwrap();
                assert!(
                    !text.contains(signature),
                    "a token is in {}",
                    path.display()
                );
            }
        }
    }
    Ok(())
}

// T15
#[test]
fn t15_another_agents_task_looks_like_none() -> Result<()> {
    let stage = Stage::set()?;
    let task = stage.task()?;
    let path = stage.directory.path().join("contexts/agent.json");
    let context = std::fs::read_to_string(&path)?.replace("agent:router", "agent:other");
    std::fs::write(stage.directory.path().join("contexts/other.json"), context)?;
    let other = stage.daemon.cli("other")?;
    let theirs = other.fails(2, &["task", "show", &task])?;
    let nobodys = other.fails(2, &["task", "show", "T-00000000000000000000000001"])?;
    assert_eq!(theirs, nobodys);
    let hidden = other.fails(
        3,
        &[
            "task",
            "open",
            "ticket-router",
            "--environment",
            "production",
            "--reason",
            "x",
        ],
    )?;
    let absent = other.fails(
        3,
        &[
            "task",
            "open",
            "no-charter",
            "--environment",
            "production",
            "--reason",
            "x",
        ],
    )?;
    let kind = |line: &str| {
        line.split("): ")
            .nth(1)
            .unwrap()
            .split(" [")
            .next()
            .unwrap()
            .to_owned()
    };
    assert_eq!(kind(&hidden), kind(&absent));
    Ok(())
}

// T28
#[test]
fn t28_a_charter_that_is_gone_or_broken_denies_and_one_that_is_mended_serves() -> Result<()> {
    let stage = Stage::set()?;
    let task = stage.task()?;
    stage.token(&task)?;
    let path = stage.directory.path().join("charters/ticket-router.yaml");
    let good = std::fs::read_to_string(&path)?;
    std::fs::write(&path, good.replace("purpose:", "porpoise:"))?;
    let request = ["request", "--task", &task, "read-tickets"];
    until(|| Ok(stage.agent.run(&request)?.code == 3))?;
    let said = "ticket-router.yaml:7:3: error[LC013]: there is no field `porpoise` here";
    // A write in place empties the file first: the daemon may read, and report, the empty file
    // before it reads the text.
    let listed = || {
        let listed = stage.oncall.run(&["charter", "list"])?;
        Ok(listed.code == 1 && listed.stderr.contains(said))
    };
    until(listed)?;
    assert!(stage.daemon.log().contains(said), "{}", stage.daemon.log());
    std::fs::write(&path, &good)?;
    until(|| Ok(stage.agent.run(&request)?.code == 0))?;
    std::fs::remove_file(&path)?;
    until(|| Ok(stage.agent.run(&request)?.code == 3))?;
    Ok(())
}

#[test]
fn a_charter_that_asks_for_a_ticket_opens_no_task_without_one() -> Result<()> {
    let stage = Stage::set()?;
    let path = stage.directory.path().join("charters/ticket-router.yaml");
    let good = std::fs::read_to_string(&path)?;
    std::fs::write(&path, format!("{good}  requires: [reason, ticket]\n"))?;
    let open = [
        "task",
        "open",
        "ticket-router",
        "--environment",
        "staging",
        "--reason",
        "r",
    ];
    until(|| Ok(stage.agent.run(&open)?.code == 3))?;
    let line = stage.agent.fails(3, &open)?;
    assert!(
        line.contains("(requires): the task names no ticket"),
        "{line}"
    );
    let with = [&open[..], &["--ticket", "OPS-7"]].concat();
    let task = stage.agent.ok(&with)?;
    assert!(task.contains("OPS-7"), "{task}");
    Ok(())
}

/// As Kubernetes mounts a ConfigMap: files are links through a link to a folder, which is swapped.
#[test]
fn a_mounted_folder_of_charters_is_swapped_as_a_whole() -> Result<()> {
    use std::os::unix::fs::symlink;
    let stage = Stage::set()?;
    let task = stage.task()?;
    let charters = stage.directory.path().join("charters");
    let good = std::fs::read_to_string(charters.join("ticket-router.yaml"))?;
    let fill = |folder: &str, text: &str| -> Result<()> {
        std::fs::create_dir(charters.join(folder))?;
        std::fs::write(charters.join(folder).join("ticket-router.yaml"), text)?;
        Ok(())
    };
    let point = |folder: &str| -> Result<()> {
        symlink(folder, charters.join("..data_tmp"))?;
        std::fs::rename(charters.join("..data_tmp"), charters.join("..data"))?;
        Ok(())
    };
    fill("..one", &good)?;
    fill(
        "..two",
        &good.replace("name: read-tickets", "name: see-tickets"),
    )?;
    point("..one")?;
    std::fs::remove_file(charters.join("ticket-router.yaml"))?;
    symlink(
        "..data/ticket-router.yaml",
        charters.join("ticket-router.yaml"),
    )?;
    let request = ["request", "--task", &task, "read-tickets"];
    until(|| Ok(stage.agent.run(&request)?.code == 0))?;
    point("..two")?;
    until(|| Ok(stage.agent.run(&request)?.code == 3))?;
    let grants = stage.oncall.ok(&["charter", "list"])?;
    assert!(grants.contains("see-tickets"), "{grants}");
    Ok(())
}
