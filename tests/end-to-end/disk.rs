//! A disk that is full, and one that fails.

use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::Result;
use lanyard_rig::Daemon;
use lanyard_tests::Stage;
use rustix::process::{Pid, Resource, Rlimit, prlimit};

/// Its data on a small file system of its own, which fills up once the file `fill` is there.
const SMALL: &str = r#"
mkdir -p "$0/data" && mount -t tmpfs -o size=40m lanyard "$0/data" || exit 99
(until [ -e "$0/fill" ]; do sleep 0.05; done; cat /dev/zero > "$0/data/filler"; : > "$0/full") 2>/dev/null &
exec "$@"
"#;

/// Deaf to the signal of a file that is too large: the write fails instead.
const DEAF: &str = r#"trap '' XFSZ; exec "$@""#;

fn can_mount() -> bool {
    let mount = "mount -t tmpfs -o size=1m lanyard /mnt";
    let tried = Command::new("unshare")
        .args(["-rm", "sh", "-c", mount])
        .stderr(Stdio::null())
        .status();
    tried.is_ok_and(|status| status.success())
}

fn under(script: &str, outer: &[&str], directory: &Path) -> Result<Daemon> {
    let place = directory.to_string_lossy();
    let program = [outer, &["sh", "-c", script, &place]].concat();
    Daemon::start_under(&program, directory, &[], &[])
}

/// T47, T60: nothing is issued; a kill and its revocations go through, and are durable.
#[test]
fn t60_a_full_disk_issues_nothing_and_kills() -> Result<()> {
    if !can_mount() {
        eprintln!("NOT RUN: this user cannot mount a file system to fill");
        return Ok(());
    }
    let directory = tempfile::tempdir()?;
    let daemon = under(SMALL, &["unshare", "-rm"], directory.path())?;
    let stage = Stage::of(directory, daemon)?;
    let task = stage.task()?;
    let token = stage.token(&task)?;
    std::fs::write(stage.directory.path().join("fill"), "")?;
    let full = stage.directory.path().join("full");
    while !full.exists() {
        std::thread::yield_now();
    }
    let request = ["request", "--task", &task, "read-tickets"];
    // What the file system had left in its last block may take a record or two.
    let refused = (0..200).find_map(|_| {
        let answer = stage.agent.run(&request).ok()?;
        (answer.code != 0).then_some(answer)
    });
    let refused = refused.unwrap();
    assert_eq!(refused.code, 7, "{}", refused.stderr);
    let killed = stage
        .oncall
        .run(&["kill", "--all", "--reason", "drill", "--yes"])?;
    assert_eq!(killed.code, 0, "{} {}", killed.stderr, stage.daemon.log());
    let proof = stage.oncall.ok(&["identity"])?;
    assert!(!stage.is_active(&token, &proof)?);
    let status = stage.oncall.ok(&["kill", "list"])?;
    assert!(status.contains("drill"), "{status}");
    Ok(())
}

/// T59: a write that fails is the end of the journal in this process: nothing is tried again. A kill is in effect, is
/// kept in the spool, and the next start has it.
#[test]
fn t59_a_journal_that_fails_takes_nothing_more_and_a_kill_is_kept_beside_it() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let daemon = under(DEAF, &[], directory.path())?;
    let stage = Stage::of(directory, daemon)?;
    let task = stage.task()?;
    let token = stage.token(&task)?;
    let journal = stage.directory.path().join("data/journal");
    let segment = std::fs::read_dir(journal)?
        .flatten()
        .map(|entry| entry.path())
        .find(|path| path.extension().is_some_and(|extension| extension == "seg"));
    let length = std::fs::metadata(segment.unwrap())?.len();
    let limit = |most: Option<u64>| {
        let id = i32::try_from(stage.daemon.process()).ok();
        let limit = Rlimit {
            current: most,
            maximum: None,
        };
        prlimit(id.and_then(Pid::from_raw), Resource::Fsize, limit)
    };
    // No file of the daemon grows beyond what its journal is now.
    limit(Some(length))?;
    let request = ["request", "--task", &task, "read-tickets"];
    stage.agent.fails(7, &request)?;
    // It works again, and is not believed.
    limit(None)?;
    stage.agent.fails(7, &request)?;
    let killed = stage
        .oncall
        .run(&["kill", "--all", "--reason", "drill", "--yes"])?;
    assert!(killed.stderr.contains("FENCED"), "{}", killed.stderr);
    let stage = stage.crash()?;
    let proof = stage.oncall.ok(&["identity"])?;
    assert!(!stage.is_active(&token, &proof)?);
    let line = stage.agent.fails(6, &request)?;
    assert!(line.contains("drill"), "{line}");
    Ok(())
}
