//! A disk that is full, and one that fails.

use std::io::Write as _;
use std::os::unix::fs::{MetadataExt as _, chown};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Result, bail};
use lanyard_rig::Daemon;
use lanyard_tests::{Stage, local_kill};
use rustix::process::{Pid, Resource, Rlimit, prlimit};

/// Runs the daemon with its data on a small file system, which fills up once file `fill` exists.
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
    // Tasks, of which there may be more than leases. What was allocated ahead takes some records.
    let reason = "the disk is full ".repeat(50);
    let request = [
        "task",
        "open",
        "ticket-router",
        "--environment",
        "staging",
        "--reason",
        &reason,
    ];
    let refused = (0..1000).find_map(|_| {
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

/// T59: a write that fails is the end of the journal in this process: nothing is tried again. A
/// kill is in effect, is kept in the spool, and the next start has it.
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

/// A small file system, for as long as this is held.
struct Small(PathBuf);

impl Small {
    /// None where this user cannot mount one.
    fn mount(at: PathBuf) -> Result<Option<Self>> {
        std::fs::create_dir_all(&at)?;
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=40m,mode=0700", "lanyard"])
            .arg(&at)
            .stderr(Stdio::null())
            .status();
        Ok(mounted
            .is_ok_and(|status| status.success())
            .then_some(Self(at)))
    }

    fn filler(&self) -> PathBuf {
        self.0.join("filler")
    }

    /// Takes all the space that there is; again and again, since what a process gives up is taken
    /// as well.
    fn fill(&self) -> Result<()> {
        let mut options = std::fs::File::options();
        let mut file = options.create(true).append(true).open(self.filler())?;
        while file.write_all(&[7; 4096]).is_ok() {}
        Ok(())
    }

    fn free(&self) -> Result<()> {
        Ok(std::fs::remove_file(self.filler())?)
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        // A daemon that is not gone yet keeps the file system until it is.
        drop(Command::new("umount").arg("-l").arg(&self.0).status());
    }
}

/// Opens tasks until one is refused for want of space: what was allocated ahead takes some records
/// still.
fn refused_as_full(stage: &Stage) -> Result<()> {
    let reason = "the disk is full ".repeat(50);
    let request = [
        "task",
        "open",
        "ticket-router",
        "--environment",
        "staging",
        "--reason",
        &reason,
    ];
    let mut last = String::new();
    for _ in 0..1000 {
        last = stage.agent.run(&request)?.stderr;
        if last.contains("the disk is full") {
            return Ok(());
        }
    }
    bail!("it is never refused: {last} {}", stage.daemon.log())
}

/// S9: the disk is filled before every step of kill, restart and local kill, and nothing is lost.
#[test]
fn s09_a_disk_that_is_full_at_every_step_keeps_every_kill_and_every_start() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let Some(small) = Small::mount(directory.path().join("data"))? else {
        eprintln!("NOT RUN: this user cannot mount a file system to fill");
        return Ok(());
    };
    let daemon = Daemon::start(directory.path())?;
    let stage = Stage::of(directory, daemon)?;
    let task = stage.task()?;
    let token = stage.token(&task)?;
    let place = stage.directory.path().to_path_buf();
    let engaged = |stage: &Stage, agent: &str| -> Result<bool> {
        Ok(stage.oncall.ok(&["kill", "list"])?.contains(agent))
    };

    small.fill()?;
    refused_as_full(&stage)?;
    for agent in ["by-the-daemon-1", "by-the-daemon-2"] {
        let kill = ["kill", "--agent", agent, "--reason", "drill", "--yes"];
        let killed = stage.oncall.run(&kill)?;
        // Nothing has that name.
        assert_eq!(killed.code, 10, "{} {}", killed.stderr, stage.daemon.log());
        assert!(killed.stderr.contains("FENCED"), "{}", killed.stderr);
        small.fill()?;
    }
    for agent in ["beside-the-daemon-1", "beside-the-daemon-2"] {
        let killed = local_kill(&place, &["--agent", agent])?;
        assert!(killed.stderr.contains("FENCED"), "{}", killed.stderr);
        assert!(engaged(&stage, agent)?);
        small.fill()?;
    }
    let Stage {
        directory, daemon, ..
    } = stage;
    daemon.crash()?;
    for agent in [
        "without-a-daemon-1",
        "without-a-daemon-2",
        "without-a-daemon-3",
    ] {
        small.fill()?;
        let killed = local_kill(&place, &["--agent", agent])?;
        assert!(killed.stderr.contains("KEPT"), "{}", killed.stderr);
        assert!(killed.stderr.contains("FENCED"), "{}", killed.stderr);
    }
    small.fill()?;
    let daemon = Daemon::start(directory.path())?;
    let stage = Stage::of(directory, daemon)?;
    for agent in [
        "by-the-daemon-1",
        "by-the-daemon-2",
        "beside-the-daemon-1",
        "beside-the-daemon-2",
        "without-a-daemon-1",
        "without-a-daemon-2",
        "without-a-daemon-3",
    ] {
        assert!(engaged(&stage, agent)?, "{agent} is lost");
    }
    small.free()?;
    while !stage
        .daemon
        .http("GET", "/readyz", &[], "")?
        .starts_with("HTTP/1.1 200")
    {
        std::thread::yield_now();
    }
    stage.token(&task)?;
    let proof = stage.oncall.ok(&["identity"])?;
    assert!(stage.is_active(&token, &proof)?, "it is of another scope");
    stage.daemon.stop()
}

/// S10: root stops things beside a daemon that is not root, and leaves nothing that the daemon
/// cannot read.
#[test]
fn s10_root_kills_beside_and_without_a_daemon_that_is_not_root() -> Result<()> {
    const NOBODY: u32 = 65_534;
    let directory = tempfile::tempdir()?;
    if chown(directory.path(), Some(NOBODY), Some(NOBODY)).is_err() {
        eprintln!("NOT RUN: this user is not root");
        return Ok(());
    }
    let id = NOBODY.to_string();
    let as_nobody = ["setpriv", "--reuid", &id, "--regid", &id, "--clear-groups"];
    let start = |place: &Path| Daemon::start_under(&as_nobody, place, &[], &[]);
    let place = directory.path().to_path_buf();
    let stage = Stage::of(directory, start(&place)?)?;
    let killed = local_kill(&place, &["--agent", "beside"])?;
    assert!(
        killed.stderr.contains("by the daemon that runs"),
        "{}",
        killed.stderr
    );
    assert!(stage.oncall.ok(&["kill", "list"])?.contains("beside"));
    let Stage {
        directory, daemon, ..
    } = stage;
    daemon.stop()?;
    let killed = local_kill(&place, &["--agent", "without"])?;
    assert!(
        killed.stderr.contains("no daemon runs"),
        "{}",
        killed.stderr
    );
    let mut folders = vec![place.join("data")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder)? {
            let path = entry?.path();
            let found = std::fs::metadata(&path)?;
            assert_eq!(found.uid(), NOBODY, "{} is root's", path.display());
            if found.is_dir() {
                folders.push(path);
            }
        }
    }
    let stage = Stage::of(directory, start(&place)?)?;
    assert!(stage.oncall.ok(&["kill", "list"])?.contains("without"));
    stage.daemon.stop()
}

/// S16, T58: damage in the middle of the journal, on a daemon that runs: it starts, names the
/// place, and kills.
#[test]
fn s16_a_daemon_starts_on_a_damaged_journal_and_kills() -> Result<()> {
    let stage = Stage::set()?;
    let task = stage.task()?;
    let token = stage.token(&task)?;
    let place = stage.directory.path().to_path_buf();
    let Stage {
        directory, daemon, ..
    } = stage;
    daemon.stop()?;
    let journal = place.join("data/journal");
    let segment = std::fs::read_dir(journal)?
        .flatten()
        .map(|entry| entry.path())
        .find(|path| path.extension().is_some_and(|extension| extension == "seg"))
        .unwrap();
    let mut bytes = std::fs::read(&segment)?;
    // In the body of the first batch.
    bytes[90] ^= 1;
    std::fs::write(&segment, bytes)?;
    let stage = Stage::of(directory, Daemon::start(&place)?)?;
    let status = stage.oncall.ok(&["status"])?;
    assert!(status.contains("damaged at byte 24"), "{status}");
    // A kill may be among what is lost: everything is stopped.
    let proof = stage.oncall.ok(&["identity"])?;
    assert!(!stage.is_active(&token, &proof)?);
    let kill = ["kill", "--agent", "nobody", "--reason", "drill", "--yes"];
    let killed = stage.oncall.run(&kill)?;
    assert!(killed.stderr.contains("FENCED"), "{}", killed.stderr);
    assert!(stage.oncall.ok(&["kill", "list"])?.contains("nobody"));
    stage.daemon.stop()
}

/// A part that cannot be used is a reason to issue nothing: the daemon starts, and kills are
/// carried out with it and without.
#[test]
fn s16_parts_that_cannot_be_used_keep_no_daemon_and_no_kill_from_their_work() -> Result<()> {
    let stage = Stage::set()?;
    let task = stage.task()?;
    stage.token(&task)?;
    let place = stage.directory.path().join("data");
    let stage = stage.stop()?;
    for key in std::fs::read_dir(place.join("keys"))?.flatten() {
        std::fs::write(key.path(), "")?;
    }
    std::fs::remove_dir_all(place.join("plans")).ok();
    std::fs::write(place.join("plans"), "no directory")?;
    std::fs::remove_dir_all(place.join("revisions")).ok();
    std::os::unix::fs::symlink("/nowhere", place.join("revisions"))?;
    // Without a daemon the command revokes by itself.
    let alone = stage.local_kill(&["--target", "tickets"])?;
    assert_eq!(alone.code, 0, "{}", alone.stderr);
    assert!(alone.stdout.contains("proved dead"), "{}", alone.stdout);
    let stage = stage.start_again()?;
    let status = stage.oncall.ok(&["status"])?;
    for part in ["a signing key", "the plans in", "the kept revisions in"] {
        assert!(status.contains(part), "{status}");
    }
    let kill = ["kill", "--agent", "nobody", "--reason", "drill", "--yes"];
    let killed = stage.oncall.run(&kill)?;
    assert!(killed.stderr.contains("FENCED"), "{}", killed.stderr);
    stage.daemon.stop()
}

/// An empty directory in the journal's place, where its disk is not mounted, is no first start.
#[test]
fn s15_a_journal_that_is_gone_while_the_rest_is_there_stops_everything() -> Result<()> {
    for witness in [true, false] {
        let stage = Stage::set()?;
        let task = stage.task()?;
        let token = stage.token(&task)?;
        let place = stage.directory.path().join("data");
        let stage = stage.stop()?;
        std::fs::remove_dir_all(place.join("journal"))?;
        std::fs::create_dir(place.join("journal"))?;
        if !witness {
            std::fs::remove_file(place.join("journal-witness.json"))?;
        }
        let stage = stage.start_again()?;
        let orders = stage.oncall.ok(&["kill", "list"])?;
        let said = if witness {
            "is older than"
        } else {
            "has no records"
        };
        assert!(orders.contains(said), "{orders}");
        let proof = stage.oncall.ok(&["identity"])?;
        assert!(!stage.is_active(&token, &proof)?);
        stage.daemon.stop()?;
    }
    Ok(())
}
