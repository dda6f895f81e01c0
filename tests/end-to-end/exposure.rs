//! Where the secrets of a running command are not: environments, command lines, files, core files.

use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use lanyard_tests::workshop::{LocalAgent, Workshop};
use rustix::process::Signal;

const GRANTS: &str = "
    - name: read-tickets
      role: plan
      environments: [production]
      token: {target: tickets, audience: 'https://tickets.acme.example', scopes: [tickets.read]}
";

/// The files under this folder, with what is in them.
fn files(folder: &Path) -> Result<Vec<(PathBuf, Vec<u8>)>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        let kind = std::fs::symlink_metadata(&path)?.file_type();
        if kind.is_dir() {
            found.extend(files(&path)?);
        } else if kind.is_file() {
            found.push((path.clone(), std::fs::read(&path)?));
        }
    }
    Ok(found)
}

/// The command lines and environments that the processes of this machine show.
fn processes() -> Result<Vec<(PathBuf, Vec<u8>)>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc")? {
        let path = entry?.path();
        for name in ["environ", "cmdline"] {
            let file = path.join(name);
            // One that ends meanwhile, or is somebody else's, shows nothing.
            if let Ok(content) = std::fs::read(&file) {
                found.push((file, content));
            }
        }
    }
    ensure!(!found.is_empty(), "/proc shows no process");
    Ok(found)
}

fn holds(content: &[u8], secret: &str) -> bool {
    content
        .windows(secret.len())
        .any(|part| part == secret.as_bytes())
}

// T49, T51, T53
#[test]
fn t49_a_secret_is_in_no_environment_no_argument_no_file_and_no_core() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let workshop = Workshop::set(directory, ("more: {kind: token}\n", GRANTS), &[], &[])?;
    let agent = LocalAgent::start(&workshop.agent, 20)?;
    let gate = workshop.home.join("gate");
    ensure!(
        Command::new("mkfifo").arg(&gate).status()?.success(),
        "no mkfifo"
    );
    let wait = "echo \"task $LANYARD_TASK\" >&2; read -r _ < \"$HOME/gate\"";
    let mut running =
        workshop.start(&["--mode", "endpoint"], "read-tickets", &["sh", "-c", wait])?;
    let task = running.line("task ")?;
    let jwt = workshop
        .agent
        .ok(&["creds", "token", "--task", &task, "read-tickets"])?;
    assert_eq!(workshop.mints("read-tickets")?, 1);
    let endpoint = workshop
        .agent
        .json(&["agent", "endpoint", "--task", &task])?;
    let file = endpoint
        .pointer("/0/token_file")
        .or_else(|| endpoint.get("token_file"));
    let file = file
        .and_then(serde_json::Value::as_str)
        .context("no token file")?;
    let token = std::fs::read_to_string(file)?;
    let signature = jwt.rsplit('.').next().context("no JWT")?;
    let everywhere = || -> Result<Vec<PathBuf>> {
        let mut seen = processes()?;
        seen.extend(files(workshop.stage.directory.path())?);
        let shows = |(path, content): (PathBuf, Vec<u8>)| {
            let shown = holds(&content, signature) || holds(&content, &token);
            shown.then_some(path)
        };
        Ok(seen.into_iter().filter_map(shows).collect())
    };
    // The endpoint's own token, for its owner alone, is where it has to be.
    assert_eq!(everywhere()?, [PathBuf::from(file)]);

    let control = Command::new("sh")
        .args(["-c", "ulimit -c unlimited; kill -ABRT $$"])
        .current_dir(&workshop.home)
        .status()?;
    if !control.core_dumped() {
        eprintln!("NOT RUN: no process of this machine leaves a core file");
    }
    let ended = agent.end(Signal::ABORT)?;
    assert_eq!(ended.signal(), Some(6));
    assert!(!ended.core_dumped(), "{ended:?}");
    std::fs::write(&gate, "go\n")?;
    running.end()?;
    let left = everywhere()?;
    assert!(left.is_empty() || left == [PathBuf::from(file)], "{left:?}");
    Ok(())
}

/// The writable memory of a process that holds this; `None` where the system does not show it.
fn in_memory(process: u32, secret: &str) -> Option<usize> {
    use std::os::unix::fs::FileExt as _;
    let memory = std::fs::File::open(format!("/proc/{process}/mem")).ok()?;
    let maps = std::fs::read_to_string(format!("/proc/{process}/maps")).ok()?;
    let writable = maps.lines().filter(|line| line.contains(" rw-p "));
    let found = writable.filter_map(|line| {
        let (from, to) = line.split(' ').next()?.split_once('-')?;
        let from = u64::from_str_radix(from, 16).ok()?;
        let to = u64::from_str_radix(to, 16).ok()?;
        let mut bytes = vec![0; usize::try_from(to - from).ok()?];
        // A page that is not there cannot be read, and holds nothing.
        memory.read_at(&mut bytes, from).ok()?;
        let at = bytes
            .windows(secret.len())
            .filter(|part| *part == secret.as_bytes());
        Some(at.count())
    });
    Some(found.sum())
}

/// The connection to the broker and the one to the agent's client each hold the last message that
/// they carried, until the next one overwrites it or the connection ends.
const BUFFERS_OF_CONNECTIONS: usize = 2;

// S52
#[test]
fn s52_the_local_agent_keeps_a_secret_in_nothing_but_its_connections_when_its_task_is_over()
-> Result<()> {
    let directory = tempfile::tempdir()?;
    let workshop = Workshop::set(directory, ("more: {kind: token}\n", GRANTS), &[], &[])?;
    let agent = LocalAgent::start(&workshop.agent, 20)?;
    let show =
        "echo \"token $($LANYARD_BIN creds token read-tickets)\" >&2; read -r _ < \"$HOME/gate\"";
    let gate = workshop.home.join("gate");
    ensure!(
        Command::new("mkfifo").arg(&gate).status()?.success(),
        "no mkfifo"
    );
    let mut running = workshop.start(&[], "read-tickets", &["sh", "-c", show])?;
    let jwt = running.line("token ")?;
    let signature = jwt.rsplit('.').next().context("no JWT")?;
    let Some(kept) = in_memory(agent.process(), signature) else {
        eprintln!("NOT RUN: the memory of another process is not shown here");
        return Ok(());
    };
    // The search finds what is there: the agent keeps the token while its task is open.
    ensure!(
        kept > BUFFERS_OF_CONNECTIONS,
        "the agent keeps nothing, or the search finds nothing: {kept}"
    );
    std::fs::write(&gate, "go\n")?;
    running.end()?;
    lanyard_tests::until(|| {
        let left = in_memory(agent.process(), signature);
        Ok(left.is_some_and(|left| left <= BUFFERS_OF_CONNECTIONS))
    })
}
