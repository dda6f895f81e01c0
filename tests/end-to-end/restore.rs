//! A data directory that comes back from a copy.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::Path;

use anyhow::{Context as _, Result};
use lanyard_rig::{Daemon, daemon_command};
use lanyard_tests::Stage;

fn copy(from: &Path, to: &Path) -> Result<()> {
    // As the data directory itself is: for nobody else.
    DirBuilder::new().recursive(true).mode(0o700).create(to)?;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy(&entry.path(), &target)?;
        } else {
            std::fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}

/// Serves with a witness file; what happens in between does so while nothing runs.
fn witnessed(daemon: Daemon, between: impl FnOnce() -> Result<()>) -> Result<Daemon> {
    let mut happened = Ok(());
    let daemon = daemon.serve_again(|config| {
        happened = between();
        format!("{config}witness_file: witness.json\n")
    });
    happened.and(daemon)
}

// T61
#[test]
fn t61_an_old_copy_issues_nothing_until_two_people_have_looked() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let (data, backup) = (
        directory.path().join("data"),
        directory.path().join("backup"),
    );
    let daemon = witnessed(Daemon::start(directory.path())?, || Ok(()))?;
    let stage = Stage::of(directory, daemon)?;
    let task = stage.task()?;
    let before = stage.token(&task)?;
    let Stage {
        directory, daemon, ..
    } = stage;
    let daemon = witnessed(daemon, || copy(&data, &backup))?;
    let stage = Stage::of(directory, daemon)?;
    // What the copy does not know: a credential, and a kill.
    let lost = stage.token(&task)?;
    let kill = ["kill", "--agent", "nobody", "--reason", "drill", "--yes"];
    stage.oncall.fails(10, &kill)?;
    let Stage {
        directory, daemon, ..
    } = stage;
    let daemon = witnessed(daemon, || {
        std::fs::remove_dir_all(&data)?;
        copy(&backup, &data)
    })?;
    let stage = Stage::of(directory, daemon)?;
    let request = ["request", "--task", &task, "read-tickets"];
    let line = stage.agent.fails(6, &request)?;
    let said = "the journal is older than the witness file remembers";
    assert!(line.contains(said), "{line}");
    for token in [&before, &lost] {
        let proof = stage.oncall.ok(&["identity"])?;
        assert!(
            !stage.is_active(token, &proof)?,
            "a token outlived a restore"
        );
    }
    let order = stage.oncall.ok(&["-o", "name", "kill", "list"])?;
    let reason = ["--reason", "looked through"];
    let proposal = stage
        .oncall
        .ok(&[&["rearm", &order], &reason[..]].concat())?;
    let second = stage.daemon.cli("oncall-two")?;
    second.ok(&["rearm", &proposal, "--confirm"])?;
    stage.token(&task)?;
    // The same loss is not found again.
    let Stage {
        directory, daemon, ..
    } = stage;
    let daemon = witnessed(daemon, || Ok(()))?;
    Stage::of(directory, daemon)?.token(&task).map(drop)
}

/// Runs `lanyardd` with the configuration of a directory, and returns its standard output.
fn lanyardd(directory: &Path, arguments: &[&str]) -> Result<String> {
    let config = directory.join("lanyardd.yaml");
    let config = config.to_string_lossy();
    let (command, rest) = arguments.split_first().context("no command")?;
    let answer = daemon_command(&[&[*command, "--config", &config], rest].concat())?;
    anyhow::ensure!(answer.code == 0, "{}", answer.stderr);
    Ok(answer.stdout)
}

/// The names of the files of signing keys below a data directory.
fn keys(data: &Path) -> Result<BTreeSet<OsString>> {
    let files = std::fs::read_dir(data.join("keys"))?;
    let names: BTreeSet<_> = files
        .map(|entry| Ok(entry?.file_name()))
        .collect::<Result<_>>()?;
    anyhow::ensure!(!names.is_empty(), "no key in {}", data.display());
    Ok(names)
}

#[test]
fn a_backup_of_a_running_daemon_comes_back_with_everything_stopped() -> Result<()> {
    let stage = Stage::set()?;
    let task = stage.task()?;
    let before = stage.token(&task)?;
    let backups = stage.directory.path().join("backups");
    let into = backups.to_string_lossy();
    let said = lanyardd(stage.directory.path(), &["backup", "--into", &into])?;
    let backup = said.lines().next().context("no folder")?.to_owned();
    let manifest = std::fs::read_to_string(Path::new(&backup).join("backup.json"))?;
    let manifest: serde_json::Value = serde_json::from_str(&manifest)?;
    // The backup knows neither of these.
    let lost = stage.token(&task)?;
    let kill = ["kill", "--agent", "nobody", "--reason", "drill", "--yes"];
    stage.oncall.fails(10, &kill)?;
    let data = stage.directory.path().join("data");
    // A running daemon's directory is not written over.
    let occupied = lanyardd(stage.directory.path(), &["restore", "--from", &backup]);
    let occupied = occupied.expect_err("a data directory was written over");
    assert!(occupied.to_string().contains("is not empty"), "{occupied}");
    let Stage {
        directory, daemon, ..
    } = stage;
    let at = directory.path().to_owned();
    let mut restored = Ok(String::new());
    let daemon = daemon.serve_again(|config| {
        restored = std::fs::rename(&data, at.join("before"))
            .map_err(anyhow::Error::from)
            .and_then(|()| lanyardd(&at, &["restore", "--from", &backup]));
        config
    })?;
    let restored = restored?;
    assert!(restored.contains("two people re-arm"), "{restored}");
    let stage = Stage::of(directory, daemon)?;
    let request = ["request", "--task", &task, "read-tickets"];
    let line = stage.agent.fails(6, &request)?;
    let taken = manifest["taken"].as_str().unwrap_or_default();
    let reason = format!("was restored from the backup of {taken}");
    assert!(line.contains(&reason), "{line}");
    for token in [&before, &lost] {
        let proof = stage.oncall.ok(&["identity"])?;
        assert!(
            !stage.is_active(token, &proof)?,
            "a token outlived a restore"
        );
    }
    let (size, root) = (manifest["records"].to_string(), manifest["root"].as_str());
    let data = stage.directory.path().join("data");
    // A key that was revoked since may be among those of the backup.
    assert!(keys(&data)?.is_disjoint(&keys(&Path::new(&backup).join("data"))?));
    let verify = ["audit", "verify", "--data-dir", &data.to_string_lossy()];
    let held = ["--size", &size, "--root", root.unwrap_or_default()];
    stage.oncall.ok(&[&verify[..], &held].concat())?;
    // One order, which two people lift once.
    let orders = stage
        .oncall
        .ok(&["-o", "name", "kill", "list", "--engaged"])?;
    assert_eq!(orders.lines().count(), 1, "{orders}");
    let reason = ["--reason", "looked through"];
    let proposal = stage
        .oncall
        .ok(&[&["rearm", &orders], &reason[..]].concat())?;
    stage
        .daemon
        .cli("oncall-two")?
        .ok(&["rearm", &proposal, "--confirm"])?;
    stage.token(&task)?;
    let Stage {
        directory, daemon, ..
    } = stage;
    let daemon = daemon.serve_again(|config| config)?;
    Stage::of(directory, daemon)?.token(&task).map(drop)
}
