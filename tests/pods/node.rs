//! The node itself: nothing of it is left, also when its owner is killed.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result};
use lanyard_rig::PodCluster;

use crate::broker::until;
use crate::pods;

/// Names the directory to the process that owns a node for the test below.
const OWNED: &str = "LANYARD_PODS_OWNED";

#[test]
fn an_owner_of_a_node() -> Result<()> {
    let Some(directory) = std::env::var_os(OWNED) else {
        return Ok(());
    };
    let _cluster = PodCluster::start(Path::new(&directory))?;
    // Until it is killed.
    loop {
        std::thread::park();
    }
}

#[test]
fn nothing_is_left_of_a_node_whose_owner_is_killed() -> Result<()> {
    if pods().is_none() {
        return Ok(());
    }
    let directory = tempfile::tempdir()?;
    let node = directory.path().join("node");
    let before = left(directory.path())?;
    assert_eq!(before.processes, BTreeSet::new());
    let mut owner = Command::new(std::env::current_exe()?)
        .args(["--exact", "node::an_owner_of_a_node", "--nocapture"])
        .env(OWNED, &node)
        .stdin(Stdio::null())
        .spawn()?;
    until("the node is ready", || {
        Ok(node.join("ready").exists() || owner.try_wait()?.is_some())
    })?;
    let during = left(directory.path())?;
    owner.kill()?;
    owner.wait()?;
    assert!(node.join("ready").exists(), "the node never was");
    assert!(during.processes.len() > 8, "{during:?}");
    assert!(during.cgroups.len() > before.cgroups.len(), "{during:?}");
    until("nothing is left", || Ok(left(directory.path())? == before))
        .with_context(|| format!("{:?}", left(directory.path())))?;
    assert!(!node.join("state").exists(), "its disk is not given back");
    Ok(())
}

/// The remains that a node could leave on a machine.
#[derive(Debug, PartialEq, Eq)]
struct Left {
    /// The command lines that name the directory, but for the tests' own.
    processes: BTreeSet<String>,
    cgroups: BTreeSet<String>,
    mounts: BTreeSet<String>,
    interfaces: BTreeSet<String>,
}

fn left(directory: &Path) -> Result<Left> {
    let named = directory.display().to_string();
    let mut processes = BTreeSet::new();
    for entry in std::fs::read_dir("/proc")?.flatten() {
        // A process that is gone meanwhile has no command line.
        let line = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
        let line = String::from_utf8_lossy(&line).replace('\0', " ");
        if line.contains(&named) {
            processes.insert(line);
        }
    }
    let mounts = std::fs::read_to_string("/proc/self/mountinfo")?;
    let mounts = mounts
        .lines()
        .filter(|line| line.contains(&named))
        .map(str::to_owned)
        .collect();
    let mut cgroups = BTreeSet::new();
    below(Path::new("/sys/fs/cgroup"), &mut cgroups);
    let interfaces = std::fs::read_dir("/sys/class/net")?.flatten();
    Ok(Left {
        processes,
        cgroups,
        mounts,
        interfaces: interfaces
            .map(|entry| entry.file_name().to_string_lossy().into_owned())
            .collect(),
    })
}

/// The nodes' own cgroups below a folder. A folder that goes away meanwhile has none.
fn below(folder: &Path, found: &mut BTreeSet<String>) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if entry
            .file_name()
            .to_string_lossy()
            .starts_with("lanyard-node.")
        {
            found.insert(path.display().to_string());
        } else if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            below(&path, found);
        }
    }
}
