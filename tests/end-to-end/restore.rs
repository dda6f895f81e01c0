//! A data directory that comes back from a copy.

use std::path::Path;

use anyhow::Result;
use lanyard_rig::Daemon;
use lanyard_tests::Stage;

fn copy(from: &Path, to: &Path) -> Result<()> {
    std::fs::create_dir_all(to)?;
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
