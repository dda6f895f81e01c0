//! `lanyard doctor`: what it finds, where something is wrong on purpose.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use anyhow::{Context, Result};
use lanyard_rig::Cli;
use lanyard_tests::{Stage, until};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

/// The state, what was found, and what to do, of each check.
type Found = BTreeMap<String, [String; 3]>;

fn found(tool: &Cli, code: i32, options: &[&str]) -> Result<Found> {
    let asked = [&["-o", "json", "doctor"], options].concat();
    let answer = tool.run(&asked)?;
    assert_eq!(answer.code, code, "{answer:?}");
    let checks: Vec<Value> = serde_json::from_str(&answer.stdout)?;
    let text = |check: &Value, name: &str| {
        let field = check.get(name).and_then(Value::as_str);
        field.map(str::to_owned).context("no such field")
    };
    let row = |check: &Value| {
        let [state, what, remedy] = ["state", "what", "remedy"].map(|name| text(check, name));
        Ok((text(check, "check")?, [state?, what?, remedy?]))
    };
    checks.iter().map(row).collect()
}

fn state<'a>(found: &'a Found, check: &str) -> &'a str {
    found.get(check).map_or("", |row| row[0].as_str())
}

fn what<'a>(found: &'a Found, check: &str) -> &'a str {
    found.get(check).map_or("", |row| row[1].as_str())
}

fn remedy<'a>(found: &'a Found, check: &str) -> &'a str {
    found.get(check).map_or("", |row| row[2].as_str())
}

fn set_mode(path: &Path, mode: u32) -> Result<()> {
    Ok(std::fs::set_permissions(
        path,
        PermissionsExt::from_mode(mode),
    )?)
}

/// Without settings of whoever runs the tests.
fn clean(stage: &Stage, more: &[(&'static str, &str)]) -> Result<Cli> {
    let home = stage.directory.path().join("home");
    std::fs::create_dir_all(&home)?;
    let home = home.to_string_lossy();
    let own = [
        ("HOME", home.as_ref()),
        ("AWS_ACCESS_KEY_ID", ""),
        ("AWS_PROFILE", ""),
        ("AWS_SHARED_CREDENTIALS_FILE", ""),
        ("KUBECONFIG", ""),
        ("GIT_CONFIG_SYSTEM", "/dev/null"),
    ];
    Ok(stage.daemon.cli("agent")?.with(&[&own, more].concat()))
}

#[test]
fn where_all_is_well_it_says_so_of_everything() -> Result<()> {
    let stage = Stage::set()?;
    let tool = clean(&stage, &[])?;
    let found = found(&tool, 0, &[])?;
    for check in [
        "context",
        "broker",
        "certificate",
        "clock",
        "identity",
        "local agent",
        "leftovers",
        "files",
        "aws's settings",
        "kubectl's settings",
        "git's settings",
    ] {
        assert_eq!(state(&found, check), "ok", "{check}: {found:?}");
    }
    assert!(what(&found, "context").contains("named by --context"));
    assert!(what(&found, "identity").ends_with("agent:router (agent)"));
    let table = tool.ok(&["doctor"])?;
    assert!(
        table.contains("broker") && !table.contains('\u{1b}'),
        "{table}"
    );
    assert!(!tool.ok(&["-q", "doctor"])?.contains("answers, and issues"));
    Ok(())
}

#[test]
fn a_broker_that_is_away_or_somebody_else_is_a_fault() -> Result<()> {
    let stage = Stage::set()?;
    let tool = clean(&stage, &[])?;
    let contexts = stage.directory.path().join("contexts");
    let stranger: Value = serde_json::from_slice(&std::fs::read(contexts.join("agent.json"))?)?;
    let mut stranger = stranger.as_object().cloned().context("no context")?;
    stranger.remove("ca_file");
    let text = Value::Object(stranger).to_string();
    std::fs::write(contexts.join("stranger.json"), text)?;
    let unknown = found(&stage.daemon.cli("stranger")?, 1, &[])?;
    assert_eq!(state(&unknown, "broker"), "fault");
    assert!(
        remedy(&unknown, "broker").contains("ca_file"),
        "{unknown:?}"
    );
    stage.daemon.crash()?;
    let away = found(&tool, 1, &[])?;
    assert_eq!(state(&away, "broker"), "fault");
    assert!(
        what(&away, "broker").contains("does not answer"),
        "{away:?}"
    );
    // What can be seen without it is seen all the same.
    assert_eq!(state(&away, "files"), "ok");
    Ok(())
}

// T62
#[test]
fn t62_a_clock_that_is_an_hour_off_is_a_fault() -> Result<()> {
    let stage = Stage::set()?;
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let endpoint = format!("http://{}", listener.local_addr()?);
    let elsewhere = std::thread::spawn(move || -> Result<()> {
        let (mut stream, _) = listener.accept()?;
        let mut asked = [0; 1024];
        anyhow::ensure!(stream.read(&mut asked)? > 0);
        let date = "Thu, 01 Jan 2026 00:00:00 GMT";
        write!(
            stream,
            "HTTP/1.1 200 OK\r\ndate: {date}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
        )?;
        Ok(())
    });
    let context = stage.directory.path().join("contexts/elsewhere.json");
    let text = json!({"endpoint": endpoint, "identity": {"token_file": "token"}});
    std::fs::write(context, text.to_string())?;
    let found = found(&stage.daemon.cli("elsewhere")?, 1, &[])?;
    elsewhere.join().ok().context("it fell")??;
    assert_eq!(state(&found, "clock"), "fault", "{found:?}");
    assert!(what(&found, "clock").ends_with("s ahead of the broker's"));
    assert_eq!(state(&found, "identity"), "fault");
    Ok(())
}

#[test]
fn settings_of_the_users_own_that_would_win_are_named() -> Result<()> {
    let stage = Stage::set()?;
    let own = [("AWS_ACCESS_KEY_ID", "AKIAHUMAN"), ("KUBECONFIG", "/mine")];
    let tool = clean(&stage, &own)?;
    let home = stage.directory.path().join("home");
    std::fs::write(home.join(".gitconfig"), "[credential]\n\thelper = store\n")?;
    let first = found(&tool, 0, &[])?;
    for (check, what_is) in [
        ("aws's settings", "AWS_ACCESS_KEY_ID is set"),
        ("kubectl's settings", "KUBECONFIG is /mine"),
        ("git's settings", "credential.helper is store"),
    ] {
        assert_eq!(
            (state(&first, check), what(&first, check)),
            ("warning", what_is)
        );
        assert_ne!(remedy(&first, check), "");
    }
    std::fs::create_dir_all(home.join(".aws"))?;
    std::fs::write(
        home.join(".aws/credentials"),
        "[default]\naws_access_key_id = A\n",
    )?;
    let second = found(&clean(&stage, &[])?, 0, &[])?;
    assert!(
        what(&second, "aws's settings").ends_with("has a profile [default]"),
        "{second:?}"
    );
    Ok(())
}

// T51
#[test]
fn t51_what_others_may_read_or_enter_is_a_fault() -> Result<()> {
    let stage = Stage::set()?;
    let tool = clean(&stage, &[])?;
    let state_folder = stage.directory.path().join("contexts/state");
    std::fs::create_dir_all(&state_folder)?;
    set_mode(&state_folder, 0o700)?;
    let kept = state_folder.join("agent.tokens");
    std::fs::write(&kept, "{}")?;
    set_mode(&kept, 0o644)?;
    let open = found(&tool, 1, &[])?;
    assert_eq!(state(&open, "files"), "fault", "{open:?}");
    assert!(remedy(&open, "files").starts_with("chmod 600 "));
    set_mode(&kept, 0o600)?;
    set_mode(&state_folder, 0o755)?;
    let entered = found(&tool, 1, &[])?;
    for check in ["state folder", "agent's folder"] {
        assert_eq!(state(&entered, check), "fault", "{entered:?}");
        assert!(remedy(&entered, check).starts_with("chmod 700 "));
    }
    set_mode(&state_folder, 0o700)?;
    found(&tool, 0, &[])?;
    Ok(())
}

#[test]
fn what_a_killed_command_left_is_found_and_removed_and_its_task_closed() -> Result<()> {
    let stage = Stage::set()?;
    let tool = clean(&stage, &[])?.keeping();
    let mut running = tool.start(&[
        "exec",
        "ticket-router",
        "--environment",
        "production",
        "--reason",
        "ticket 12",
        "--",
        "sh",
        "-c",
        "echo started >&2; exec sleep 60 >&- 2>&-",
    ])?;
    running.line("started")?;
    let process = Pid::from_raw(running.process().cast_signed()).context("no process")?;
    kill_process(process, Signal::KILL)?;
    running.end()?;
    until(|| Ok(state(&found(&tool, 0, &[])?, "leftovers") == "warning"))?;
    let left = found(&tool, 0, &[])?;
    assert!(remedy(&left, "leftovers").contains("doctor --fix"));
    assert!(
        what(&left, "local agent").contains("as process"),
        "{left:?}"
    );
    let place = what(&left, "leftovers");
    let task = place.split_whitespace().find(|word| word.starts_with("T-"));
    let task = task.context("no task")?.to_owned();
    let mended = found(&tool, 0, &["--fix"])?;
    assert!(
        what(&mended, "leftovers").starts_with("removed "),
        "{mended:?}"
    );
    let shown = tool.json(&["task", "show", &task])?;
    assert_eq!(shown.get("open"), Some(&Value::Bool(false)), "{shown}");
    assert_eq!(
        what(&found(&tool, 0, &[])?, "leftovers"),
        "none of lanyard exec"
    );
    tool.ok(&["agent", "stop"])?;
    let without = found(&tool, 0, &[])?;
    assert!(
        what(&without, "local agent").starts_with("does not run"),
        "{without:?}"
    );
    Ok(())
}
