//! `lanyard exec`: what a command finds around it, and how the two end together.

use std::path::PathBuf;

use anyhow::{Context, Result};
use lanyard_rig::{Answer, Cli};
use lanyard_tests::{Stage, until};
use rustix::process::{Pid, Signal, kill_process};

/// Says that it has begun, and does not end soon.
const WAITS: [&str; 3] = ["sh", "-c", "echo started >&2; exec sleep 60 >&- 2>&-"];

/// The kill that reaches the task of every command here.
const STOPS_THE_CHARTER: [&str; 6] = [
    "kill",
    "--charter",
    "ticket-router",
    "--reason",
    "it loops",
    "--yes",
];

fn user(stage: &Stage) -> Result<Cli> {
    Ok(stage.daemon.cli("agent")?.keeping())
}

fn around<'a>(options: &[&'a str], command: &[&'a str]) -> Vec<&'a str> {
    let task = [
        "exec",
        "ticket-router",
        "--environment",
        "production",
        "--reason",
        "ticket 12",
    ];
    [&task[..], options, &["--"], command].concat()
}

fn run(stage: &Stage, options: &[&str], command: &[&str]) -> Result<Answer> {
    user(stage)?.run(&around(options, command))
}

fn send(process: u32, signal: Signal) -> Result<()> {
    let process = Pid::from_raw(process.cast_signed()).context("no process")?;
    Ok(kill_process(process, signal)?)
}

fn folders(stage: &Stage) -> Result<Vec<PathBuf>> {
    let all = stage.directory.path().join("contexts/state/exec");
    let entries = std::fs::read_dir(all)?;
    Ok(entries
        .map(|entry| Ok(entry?.path()))
        .collect::<std::io::Result<_>>()?)
}

#[test]
fn its_end_is_the_commands_end() -> Result<()> {
    let stage = Stage::set()?;
    assert_eq!(run(&stage, &[], &["true"])?.code, 0);
    assert_eq!(run(&stage, &[], &["sh", "-c", "exit 42"])?.code, 42);
    assert_eq!(run(&stage, &[], &["sh", "-c", "kill -TERM $$"])?.code, 143);
    let missing = run(&stage, &[], &["no-such-command"])?;
    assert_eq!(
        (missing.code, missing.stderr.as_str()),
        (127, "lanyard: no-such-command is not found")
    );
    let plain = stage.directory.path().join("plain");
    std::fs::write(&plain, "text")?;
    let plain = plain.to_string_lossy();
    assert_eq!(run(&stage, &[], &[&plain])?.code, 126);
    // Everything was cleaned up, and every task closed.
    assert!(folders(&stage)?.is_empty());
    let listed = stage.agent.ok(&["lease", "list"])?;
    assert!(!listed.contains("issued"), "{listed}");
    Ok(())
}

// T51, T53
#[test]
fn what_is_around_a_command_is_not_secret_and_not_the_users_own() -> Result<()> {
    let stage = Stage::set()?;
    let home = stage.directory.path().join("home");
    std::fs::create_dir_all(home.join(".aws"))?;
    std::fs::write(
        home.join(".aws/credentials"),
        "[default]\naws_access_key_id = AKIAHUMAN\n",
    )?;
    let (home, canary) = (home.to_string_lossy().into_owned(), "AKIAHUMANCANARY");
    let own = [
        ("HOME", home.as_str()),
        ("AWS_ACCESS_KEY_ID", canary),
        ("AWS_PROFILE", "human"),
        ("GITHUB_TOKEN", canary),
    ];
    let user = user(&stage)?.with(&own);
    let script = "env; echo; cat $AWS_CONFIG_FILE $AWS_SHARED_CREDENTIALS_FILE $KUBECONFIG; lanyard() { $LANYARD_BIN \"$@\"; }; \
        echo \"TOKEN $(lanyard creds token read-tickets)\"";
    let answer = user.run(&around(&[], &["sh", "-c", script]))?;
    assert_eq!(answer.code, 0, "{}", answer.stderr);
    let (surroundings, token) = answer.stdout.split_once("TOKEN ").context("no token")?;
    assert!(token.starts_with("ey"), "{token}");
    assert!(
        !surroundings.contains(token.trim()) && !surroundings.contains(canary),
        "{surroundings}"
    );
    let variables: Vec<&str> = surroundings
        .lines()
        .filter_map(|line| line.split_once('='))
        .map(|(name, _)| name)
        .collect();
    for taken in ["AWS_PROFILE", "AWS_ACCESS_KEY_ID", "GITHUB_TOKEN"] {
        assert!(!variables.contains(&taken), "{surroundings}");
    }
    for given in [
        "LANYARD_TASK",
        "AWS_CONFIG_FILE",
        "AWS_SHARED_CREDENTIALS_FILE",
        "KUBECONFIG",
        "GIT_CONFIG_COUNT",
    ] {
        assert!(variables.contains(&given), "{surroundings}");
    }
    // Only who asks for it has a secret in the environment, and is told.
    let answer = user.run(&around(
        &["--mode", "env"],
        &["sh", "-c", "echo $LANYARD_TOKEN"],
    ))?;
    assert!(answer.stdout.starts_with("ey"), "{}", answer.stdout);
    assert!(
        answer.stderr.contains("secrets are in the environment"),
        "{}",
        answer.stderr
    );
    Ok(())
}

// B33
#[test]
fn b33_nothing_that_could_log_in_stays_around_a_command_unless_it_is_kept_by_name() -> Result<()> {
    let stage = Stage::set()?;
    let own = [
        ("GITLAB_ACCESS_TOKEN", "CANARY-1"),
        ("CI_JOB_JWT_V2", "CANARY-2"),
        ("ACTIONS_ID_TOKEN_REQUEST_URL", "https://CANARY-3"),
        (
            "PIP_INDEX_URL",
            "https://me:CANARY-4@packages.acme.example/simple",
        ),
        ("GLAB_CONFIG_DIR", "/nowhere/CANARY-5"),
        ("TF_VAR_db_password", "CANARY-6"),
        ("TF_VAR_region", "eu-west-1"),
        ("HTTPS_PROXY", "http://127.0.0.1:3128"),
    ];
    let user = user(&stage)?.with(&own);
    let answer = user.run(&around(&[], &["env"]))?;
    assert_eq!(answer.code, 0, "{answer:?}");
    assert!(!answer.stdout.contains("CANARY"), "{answer:?}");
    for stays in [
        "TF_VAR_region=eu-west-1",
        "HTTPS_PROXY=http://127.0.0.1:3128",
    ] {
        assert!(answer.stdout.contains(stays), "{answer:?}");
    }
    let line = answer
        .stderr
        .lines()
        .find(|line| line.contains("took away"));
    let line = line.context("not said what was taken away")?;
    assert!(
        line.contains("CI_JOB_JWT_V2, GITLAB_ACCESS_TOKEN"),
        "{line}"
    );
    assert!(!line.contains("CANARY"), "{line}");

    let kept = user.run(&around(&["--keep", "TF_VAR_db_password"], &["env"]))?;
    assert!(
        kept.stdout.contains("TF_VAR_db_password=CANARY-6"),
        "{kept:?}"
    );
    assert!(!kept.stdout.contains("CANARY-1"), "{kept:?}");
    let refused = user.run(&around(&["--keep", "GIT_CONFIG_COUNT"], &["env"]))?;
    assert_eq!(refused.code, 125, "{refused:?}");
    assert!(
        refused
            .stderr
            .contains("in place of the credential of the task"),
        "{refused:?}"
    );
    Ok(())
}

#[test]
fn a_command_within_another_gets_no_more_than_that() -> Result<()> {
    let stage = Stage::set()?;
    let within = |inner: &str| {
        let script = format!(
            "$LANYARD_BIN exec {inner} -- sh -c 'echo $LANYARD_TASK $LANYARD_GRANTS'; echo \"exit $?\"; echo $LANYARD_TASK"
        );
        run(&stage, &[], &["sh", "-c", &script])
    };
    let narrow = within("--grant read-tickets")?;
    let lines: Vec<&str> = narrow.stdout.lines().collect();
    let [inner, exit, outer] = lines.as_slice() else {
        anyhow::bail!("{narrow:?}");
    };
    assert_eq!(
        (*exit, *inner),
        ("exit 0", format!("{outer} read-tickets").as_str())
    );
    for wider in [
        "ticket-router --reason more",
        "--grant move-tickets",
        "--task T-00000000000000000000000000 --grant read-tickets",
    ] {
        let refused = within(wider)?;
        assert!(refused.stdout.starts_with("exit 125"), "{refused:?}");
        assert!(
            refused.stderr.contains("would be wider: run it outside"),
            "{refused:?}"
        );
    }
    Ok(())
}

#[test]
fn a_signal_reaches_the_command_and_a_kill_of_its_task_ends_it() -> Result<()> {
    let stage = Stage::set()?;
    let user = user(&stage)?;
    let mut running = user.start(&around(&[], &WAITS))?;
    running.line("started")?;
    send(running.process(), Signal::TERM)?;
    assert_eq!(running.end()?.code, 143);

    let mut gently = user.start(&around(&[], &WAITS))?;
    let mut at_once = user.start(&around(&["--on-kill", "kill"], &WAITS))?;
    gently.line("started")?;
    at_once.line("started")?;
    stage.oncall.ok(&STOPS_THE_CHARTER)?;
    for (running, code, signal) in [(gently, 143, "SIGTERM"), (at_once, 137, "SIGKILL")] {
        let ended = running.end()?;
        assert_eq!(ended.code, code, "{ended:?}");
        let (_, line) = ended
            .stderr
            .split_once("lanyard: stopped by kill order K-")
            .context("not said")?;
        let said = format!(": it loops; the command is sent {signal}");
        assert!(line.contains(&said), "{ended:?}");
    }
    // Nothing begins while the order stands.
    let refused = run(&stage, &[], &["true"])?;
    assert_eq!(refused.code, 125);
    assert!(
        refused
            .stderr
            .starts_with("lanyard: stopped by kill order K-"),
        "{refused:?}"
    );
    Ok(())
}

#[test]
fn a_kill_reaches_what_the_command_has_started() -> Result<()> {
    let stage = Stage::set()?;
    let mark = stage.directory.path().join("mark");
    let waits = "i=0; while [ $i -lt 600 ]; do sleep 0.1; i=$((i+1)); done";
    let script = format!(
        "(trap 'rm {0}; exit' TERM; touch {0}; echo began >&2; {waits}) & wait",
        mark.display()
    );
    let mut running = user(&stage)?.start(&around(&[], &["sh", "-c", &script]))?;
    running.line("began")?;
    stage.oncall.ok(&STOPS_THE_CHARTER)?;
    // Standard error ends with the last of them.
    assert_eq!(running.end()?.code, 143);
    assert!(!mark.exists());
    Ok(())
}

/// Stands for Terraform and a provider plugin in the middle of a call: the command is told to stop,
/// lets the plugin finish, and keeps what was created.
#[test]
fn s45_a_kill_stops_the_command_first_and_what_it_has_started_after_it() -> Result<()> {
    let stage = Stage::set()?;
    let folder = stage.directory.path().display();
    let script = format!(
        "cd {folder}; (until [ -e finish ]; do sleep 0.1; done; echo queue > created) & plugin=$!; \
         trap 'touch finish; wait $plugin; cp created state; exit 7' TERM; echo began >&2; wait"
    );
    let mut running = user(&stage)?.start(&around(&[], &["sh", "-c", &script]))?;
    running.line("began")?;
    stage.oncall.ok(&STOPS_THE_CHARTER)?;
    assert_eq!(running.end()?.code, 7);
    let state = std::fs::read_to_string(stage.directory.path().join("state"))?;
    assert_eq!(state, "queue\n");
    Ok(())
}

#[test]
fn s45_what_does_not_end_within_the_grace_is_ended() -> Result<()> {
    let stage = Stage::set()?;
    let script = "trap '' TERM; (trap '' TERM; echo began >&2; while :; do sleep 0.1; done) & \
                  while :; do sleep 0.1; done";
    let mut running = user(&stage)?.start(&around(&["--grace", "1s"], &["sh", "-c", script]))?;
    running.line("began")?;
    stage.oncall.ok(&STOPS_THE_CHARTER)?;
    // Standard error ends with the last process that holds it.
    let ended = running.end()?;
    assert_eq!(ended.code, 137, "{ended:?}");
    assert!(
        ended.stderr.contains("did not end within 1s; SIGKILL"),
        "{ended:?}"
    );
    Ok(())
}

#[test]
fn a_plan_is_carried_out_within_another_command_as_well() -> Result<()> {
    let stage = Stage::set()?;
    let task = stage.task()?;
    let (plan, digest, approval) = stage.plan(&task, "move ticket 7 to billing")?;
    stage.approve("alice", &approval, &digest)?;
    stage.approve("bob", &approval, &digest)?;
    let inner =
        "$LANYARD_BIN exec --grant move-tickets -- sh -c 'echo $LANYARD_TASK $LANYARD_PLAN'";
    let ran = user(&stage)?.run(&["exec", "--plan", &plan, "--", "sh", "-c", inner])?;
    assert_eq!(
        (ran.code, ran.stdout),
        (0, format!("{task} {plan}")),
        "{}",
        ran.stderr
    );
    Ok(())
}

#[test]
fn people_are_waited_for_and_the_wait_can_be_taken_up_again() -> Result<()> {
    let stage = Stage::set()?;
    let task = stage.task()?;
    let (plan, digest, approval) = stage.plan(&task, "move ticket 7 to billing")?;
    let user = user(&stage)?;
    let command = [
        "exec",
        "--plan",
        &plan,
        "--",
        "sh",
        "-c",
        "echo $LANYARD_TASK $LANYARD_GRANTS",
    ];
    let mut waiting = user.start(&command)?;
    let pending = waiting.line("lanyard: approval ")?;
    assert!(
        pending.starts_with(&approval) && pending.contains("0 of 2 approvals given"),
        "{pending}"
    );
    waiting.line("lanyard: waiting for people")?;
    stage.approve("alice", &approval, &digest)?;
    // Ctrl-C leaves the task open, and says how to go on.
    send(waiting.process(), Signal::INT)?;
    let broken_off = waiting.end()?;
    assert_eq!(broken_off.code, 130);
    let context = stage.directory.path().join("contexts/agent.json");
    let context = context.display();
    let go_on = format!(
        "{task} is open; go on with: lanyard --context {context} exec --plan {plan} --grant move-tickets -- sh -c 'echo $LANYARD_TASK $LANYARD_GRANTS'"
    );
    assert!(broken_off.stderr.contains(&go_on), "{}", broken_off.stderr);

    let mut again = user.start(&command)?;
    again.line("lanyard: waiting for people")?;
    stage.approve("bob", &approval, &digest)?;
    let done = again.end()?;
    assert_eq!(
        (done.code, done.stdout.as_str()),
        (0, format!("{task} move-tickets").as_str()),
        "{}",
        done.stderr
    );
    Ok(())
}

#[test]
fn a_denial_is_one_line_that_is_complete() -> Result<()> {
    let stage = Stage::set()?;
    let denied = run(&stage, &["--grant", "move-tickets"], &["true"])?;
    assert_eq!(
        (denied.code, denied.stderr.lines().count()),
        (125, 1),
        "{denied:?}"
    );
    assert!(
        denied.stderr.contains("ticket-router") && denied.stderr.contains("[D-"),
        "{denied:?}"
    );
    let unknown = run(&stage, &["--grant", "nothing"], &["true"])?;
    assert_eq!(unknown.code, 125, "{unknown:?}");
    let other = user(&stage)?.run(&["exec", "no-such-charter", "--reason", "x", "--", "true"])?;
    let line = "lanyard: no charter no-such-charter in force names you; \
                the charter in force that names you is ticket-router";
    assert_eq!((other.code, other.stderr.as_str()), (125, line));
    let nowhere = user(&stage)?.run(&["exec", "ticket-router", "--reason", "x", "--", "true"])?;
    let line = "lanyard: ticket-router is for production, staging: name one with --environment";
    assert_eq!(nowhere.stderr, line);
    Ok(())
}

#[test]
fn what_a_killed_command_leaves_behind_is_seen_by_the_next() -> Result<()> {
    let stage = Stage::set()?;
    let user = user(&stage)?;
    let mut running = user.start(&around(&[], &WAITS))?;
    running.line("started")?;
    send(running.process(), Signal::KILL)?;
    assert_eq!(running.end()?.code, -1);
    until(|| Ok(folders(&stage)?.len() == 1))?;
    let next = run(&stage, &[], &["true"])?;
    assert!(
        next.stderr
            .contains("was left behind by a command under T-"),
        "{next:?}"
    );
    Ok(())
}
