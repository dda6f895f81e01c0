//! A command of the daemon that cannot do its work says so in one plain line, and ends with exit
//! code 2.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result};
use lanyard_rig::{Answer, binaries};
use lanyard_tests::Stage;

const GOOD: &str = "data_dir: data\ncharters: charters\nlisten: 127.0.0.1:7070\nissuer: https://lanyard.example\n\
    audience: lanyard\nissuers: []\nenvironments: {staging: sandbox}\ntargets: {tickets: {kind: token}}\n";

/// With a backtrace asked for, which nobody is to see.
fn command(arguments: &[&str]) -> Result<Command> {
    let mut command = Command::new(binaries()?.join("lanyardd"));
    command
        .args(arguments)
        .env("RUST_BACKTRACE", "1")
        .env_remove("LANYARDD_CONFIG")
        .stdin(Stdio::null());
    Ok(command)
}

fn one_line(mut command: Command) -> Result<String> {
    let output = command.output().context("lanyardd does not start")?;
    let answer = Answer::of(&output);
    let shown = format!("{command:?}: {}{}", answer.stdout, answer.stderr);
    assert_eq!(answer.code, 2, "{shown}");
    assert_eq!(answer.stdout, "", "{shown}");
    let lines: Vec<_> = answer.stderr.lines().collect();
    let [line] = lines.as_slice() else {
        anyhow::bail!("{} lines: {shown}", lines.len());
    };
    assert!(
        !line.starts_with('{') && !line.contains('\u{1b}'),
        "{shown}"
    );
    Ok((*line).to_owned())
}

/// Every command that reads a configuration.
fn commands(config: &Path) -> Result<Vec<Command>> {
    let config = config.display().to_string();
    let kill = ["kill", "--local", "--all", "--reason", "drill", "--config"];
    Ok(vec![
        command(&["serve", "--config", &config])?,
        command(&["check", "--config", &config])?,
        command(&[&kill[..], &[&config]].concat())?,
    ])
}

#[test]
fn a_bad_configuration_and_a_missing_file_get_one_line_each_and_exit_code_2() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let file = |name: &str, text: &str| -> Result<PathBuf> {
        let path = folder.path().join(name);
        fs::write(&path, text)?;
        Ok(path)
    };
    let pipe = folder.path().join("pipe");
    anyhow::ensure!(Command::new("mkfifo").arg(&pipe).status()?.success());
    let cases = [
        (folder.path().join("none.yaml"), "there is no configuration"),
        (
            folder.path().join("none/none.yaml"),
            "there is no configuration",
        ),
        (
            folder.path().to_owned(),
            "is a directory: name the file in it",
        ),
        (pipe, "is not a plain file"),
        (file("empty.yaml", "")?, "the file is empty"),
        (file("comment.yaml", "# nothing\n")?, "the file is empty"),
        (file("text.yaml", "x")?, "expected fields and values"),
        (file("yaml.yaml", "data_dir: [\n")?, "this is not YAML"),
        (file("tab.yaml", "data_dir:\n\t- x\n")?, "this is not YAML"),
        (
            file("unknown.yaml", &format!("{GOOD}listne: x\n"))?,
            "there is no field `listne`",
        ),
        (
            file("missing.yaml", &GOOD.replacen("audience: lanyard\n", "", 1))?,
            "the field `audience` is missing",
        ),
        (
            file("address.yaml", &GOOD.replacen("127.0.0.1", "0.0.0.0", 1))?,
            "is not on loopback",
        ),
        (
            file("kind.yaml", &GOOD.replacen("kind: token", "kind: tokn", 1))?,
            "did you mean `token`?",
        ),
    ];
    for (path, says) in cases {
        for command in commands(&path)? {
            let line = one_line(command)?;
            assert!(line.contains(says), "{line}");
            assert!(line.contains(&path.display().to_string()), "{line}");
        }
    }
    let bytes = folder.path().join("bytes.yaml");
    fs::write(&bytes, b"data_dir: \xff")?;
    for command in commands(&bytes)? {
        assert!(one_line(command)?.contains("is not text"));
    }
    // Each fault has its line.
    let two = file("two.yaml", &GOOD.replacen("audience:", "audiense:", 1))?;
    for mut command in commands(&two)? {
        let said = Answer::of(&command.output()?);
        assert_eq!(
            (said.code, said.stderr.lines().count()),
            (2, 2),
            "{}",
            said.stderr
        );
    }
    Ok(())
}

#[test]
fn a_file_that_is_not_for_this_user_gets_one_line() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("lanyardd.yaml");
    fs::write(&path, GOOD)?;
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600))?;
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755))?;
    if !rustix::process::geteuid().is_root() {
        fs::set_permissions(&path, fs::Permissions::from_mode(0o000))?;
    }
    for mut command in commands(&path)? {
        if rustix::process::geteuid().is_root() {
            // Who that is does not matter: somebody else.
            command.uid(65534).gid(65534);
            let mut probe = Command::new(command.get_program());
            if probe.arg("--version").uid(65534).output().is_err() {
                eprintln!("NOT RUN: another user cannot run the binaries of this machine");
                return Ok(());
            }
        }
        let line = one_line(command)?;
        assert!(line.contains("permission denied for user"), "{line}");
    }
    Ok(())
}

#[test]
fn a_data_directory_that_cannot_be_used_gets_one_line() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("lanyardd.yaml");
    let with = |data: &Path| {
        GOOD.replacen(
            "data_dir: data",
            &format!("data_dir: {}", data.display()),
            1,
        )
    };
    fs::write(&path, with(Path::new("/proc/none")))?;
    let config = path.display().to_string();
    let serve = ["serve", "--config", &config];
    assert!(one_line(command(&serve)?)?.contains("cannot use data directory"));
    fs::write(&path, with(&path))?;
    assert!(one_line(command(&serve)?)?.contains("is no directory"));
    let open = folder.path().join("open");
    fs::create_dir(&open)?;
    fs::write(open.join("of-somebody"), "text")?;
    fs::set_permissions(&open, fs::Permissions::from_mode(0o755))?;
    fs::write(&path, with(&open))?;
    assert!(one_line(command(&serve)?)?.contains("must be 0700"));
    Ok(())
}

#[test]
fn a_second_daemon_on_a_data_directory_gets_one_line() -> Result<()> {
    let stage = Stage::set()?;
    let config = stage.directory.path().join("lanyardd.yaml");
    let line = one_line(command(&["serve", "--config", &config.to_string_lossy()])?)?;
    assert!(line.contains("another process uses the journal"), "{line}");
    // Looking at the configuration of a daemon that runs is no fault, and changes nothing for that
    // daemon.
    let checked = command(&["check", "--config", &config.to_string_lossy()])?.output()?;
    let checked = Answer::of(&checked);
    assert_eq!(checked.code, 0, "{}", checked.stderr);
    assert!(checked.stdout.contains("in use now"), "{}", checked.stdout);
    stage.oncall.ok(&["status"])?;
    stage.daemon.stop()
}

#[test]
fn a_directory_in_which_nothing_can_be_made_gets_one_line() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("file");
    fs::write(&file, "text")?;
    let below = file.join("below").display().to_string();
    for arguments in [
        &["init", &below][..],
        &["init", &file.display().to_string()],
        &["init", &folder.path().display().to_string()],
        &["dev", "--data-dir", &below],
        &["dev", "--data-dir", &below, "--listen", "0.0.0.0:7070"],
        &["man", "--out", &below],
    ] {
        let line = one_line(command(arguments)?)?;
        assert!(line.starts_with("lanyardd: "), "{line}");
    }
    Ok(())
}
