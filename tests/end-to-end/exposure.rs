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

/// What every process of this machine shows of itself.
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
