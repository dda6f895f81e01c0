//! `lanyard setup`: entries in the settings of tools, and nothing else in them touched.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};
use lanyard_rig::Cli;
use lanyard_tests::Stage;

const STANDING: [&str; 8] = [
    "--grant",
    "read-tickets",
    "--charter",
    "ticket-router",
    "--environment",
    "production",
    "--reason",
    "by hand",
];

/// A user with this home.
fn at_home(stage: &Stage) -> Result<(Cli, PathBuf)> {
    let home = stage.directory.path().join("home");
    std::fs::create_dir_all(&home)?;
    let cli = stage.daemon.cli("agent")?.keeping();
    // Without the file of whoever runs the tests.
    let own = [
        ("HOME", &*home.to_string_lossy()),
        ("AWS_SHARED_CREDENTIALS_FILE", ""),
    ];
    Ok((cli.with(&own), home.clone()))
}

#[test]
fn an_aws_profile_comes_and_goes() -> Result<()> {
    let stage = Stage::set()?;
    let (user, home) = at_home(&stage)?;
    let file = home.join(".aws/config");
    std::fs::create_dir_all(home.join(".aws"))?;
    let before = "[default]\nregion = eu-west-1\n";
    std::fs::write(&file, before)?;
    let setup = |more: &[&str]| user.run(&[&["setup", "aws"], &STANDING[..], more].concat());
    let printed = setup(&["--print", "--region", "eu-west-1"])?.stdout;
    assert!(
        printed.starts_with("[profile read-tickets]\nregion = eu-west-1\ncredential_process = /"),
        "{printed}"
    );
    assert_eq!(std::fs::read_to_string(&file)?, before);
    for _ in 0..2 {
        assert_eq!(setup(&["--region", "eu-west-1"])?.code, 0);
        let text = std::fs::read_to_string(&file)?;
        assert_eq!(
            text,
            format!(
                "{before}# lanyard: begin read-tickets\n{printed}\n# lanyard: end read-tickets\n"
            )
        );
    }
    // The command in it is one that can be run: this grant is no AWS grant, and the broker is asked
    // for it.
    let (_, process) = printed
        .split_once("credential_process = ")
        .context("no process")?;
    let state = stage.directory.path().join("contexts/state");
    let run = Command::new("sh")
        .args(["-c", process])
        .env("LANYARD_STATE", state)
        .output()?;
    let said = String::from_utf8_lossy(&run.stderr);
    assert_eq!(
        said.trim(),
        "lanyard: this grant gives a credential of another kind"
    );
    assert_eq!(setup(&["--undo"])?.code, 0);
    assert_eq!(std::fs::read_to_string(&file)?, before);
    // What somebody else wrote stays.
    let theirs = "[profile read-tickets]\nregion = x\n";
    std::fs::write(&file, theirs)?;
    let refused = setup(&[])?;
    assert!(
        refused.code == 2 && refused.stderr.contains("lanyard did not write"),
        "{refused:?}"
    );
    assert_eq!(std::fs::read_to_string(&file)?, theirs);
    Ok(())
}

#[test]
fn gits_helper_for_a_place_comes_and_goes() -> Result<()> {
    let stage = Stage::set()?;
    let (user, home) = at_home(&stage)?;
    let file = home.join(".gitconfig");
    let before = "[user]\n\tname = A\n";
    std::fs::write(&file, before)?;
    let setup = |more: &[&str]| {
        let url = ["--url", "https://tickets.acme.example"];
        user.ok(&[&["setup", "git"], &STANDING[..], &url, more].concat())
    };
    setup(&[])?;
    setup(&[])?;
    let fill = |host: &str| -> Result<String> {
        use std::io::Write as _;
        let mut git = Command::new("git")
            .args(["credential", "fill"])
            .env("HOME", &home)
            .env("GIT_TERMINAL_PROMPT", "0")
            .env(
                "LANYARD_STATE",
                stage.directory.path().join("contexts/state"),
            )
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::piped())
            .stderr(std::process::Stdio::null())
            .spawn()?;
        let mut stdin = git.stdin.take().context("no stdin")?;
        write!(stdin, "protocol=https\nhost={host}\npath=a.git\n\n")?;
        drop(stdin);
        Ok(String::from_utf8(git.wait_with_output()?.stdout)?)
    };
    let filled = fill("tickets.acme.example")?;
    assert!(filled.contains("username=lanyard\npassword=ey"), "{filled}");
    assert!(!fill("other.example")?.contains("password"));
    setup(&["--undo"])?;
    let after = std::fs::read_to_string(&file)?;
    assert!(
        after.starts_with(before) && !after.contains("lanyard"),
        "{after}"
    );
    Ok(())
}

#[test]
fn a_projects_mcp_server_comes_and_goes() -> Result<()> {
    let stage = Stage::set()?;
    let (user, home) = at_home(&stage)?;
    let file = home.join(".mcp.json");
    let named = file.to_string_lossy().into_owned();
    user.ok(&["setup", "claude-code", "--file", &named])?;
    let text = std::fs::read_to_string(&file)?;
    assert!(
        text.contains("\"mcpServers\"") && text.contains("\"mcp\""),
        "{text}"
    );
    user.ok(&["setup", "claude-code", "--file", &named, "--undo"])?;
    assert_eq!(std::fs::read_to_string(&file)?, "{}\n");
    std::fs::write(&file, "{ not json")?;
    let said = user.fails(2, &["setup", "claude-code", "--file", &named])?;
    assert!(
        said.contains(".mcp.json cannot be changed: it is not JSON"),
        "{said}"
    );
    assert_eq!(std::fs::read_to_string(&file)?, "{ not json");
    Ok(())
}

#[test]
fn what_would_win_over_a_profile_or_break_its_line_is_refused() -> Result<()> {
    let stage = Stage::set()?;
    let (user, home) = at_home(&stage)?;
    std::fs::create_dir_all(home.join(".aws"))?;
    std::fs::write(
        home.join(".aws/credentials"),
        "[ read-tickets ]\naws_access_key_id = AKIAHUMAN\n",
    )?;
    let setup = |more: &[&str]| user.run(&[&["setup", "aws"], &STANDING[..], more].concat());
    let keys = setup(&[])?;
    assert!(
        keys.code == 2 && keys.stderr.contains("and they would win"),
        "{keys:?}"
    );
    let default = setup(&["--profile", "default"])?;
    assert!(
        default.code == 2 && default.stderr.contains("is everybody's"),
        "{default:?}"
    );
    std::fs::write(home.join(".aws/config"), "[ profile  other ]\nregion = x\n")?;
    let spaced = setup(&["--profile", "other"])?;
    assert!(
        spaced.code == 2 && spaced.stderr.contains("lanyard did not write"),
        "{spaced:?}"
    );
    let mut hostile = STANDING;
    hostile[7] = "ticket #12; rm";
    let refused = user.run(&[&["setup", "aws"], &hostile[..], &["--print"]].concat())?;
    assert!(
        refused.code == 2
            && refused
                .stderr
                .contains("cannot be written so that every tool reads it"),
        "{refused:?}"
    );
    // Taking out what is not there writes nothing.
    std::fs::remove_file(home.join(".aws/config"))?;
    assert_eq!(setup(&["--undo"])?.code, 0);
    assert!(!home.join(".aws/config").exists());
    Ok(())
}
