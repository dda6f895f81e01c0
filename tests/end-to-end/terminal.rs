//! What people see: `lanyard exec` on a terminal, as transcripts. `LANYARD_UPDATE=1` writes them
//! anew.

use std::io::{Read as _, Write as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, ensure};
use lanyard_tests::Stage;

/// A command on a terminal of its own (script(1)).
pub(crate) struct Terminal {
    child: Child,
    shown: String,
}

impl Terminal {
    fn open(stage: &Stage, arguments: &[&str]) -> Result<Self> {
        Self::start(stage, ("agent", ""), arguments)
    }

    /// As this person, on a screen of 80 columns and 24 lines.
    pub(crate) fn small(stage: &Stage, person: &str, arguments: &[&str]) -> Result<Self> {
        Self::start(stage, (person, "stty cols 80 rows 24 && exec "), arguments)
    }

    fn start(stage: &Stage, (person, first): (&str, &str), arguments: &[&str]) -> Result<Self> {
        let lanyard = stage.daemon.cli(person)?.keeping().command(arguments);
        let words = std::iter::once(lanyard.get_program()).chain(lanyard.get_args());
        let quoted: Vec<_> = words
            .map(|word| format!("'{}'", word.to_string_lossy()))
            .collect();
        let mut script = Command::new("script");
        for (name, value) in lanyard.get_envs() {
            match value {
                Some(value) => script.env(name, value),
                None => script.env_remove(name),
            };
        }
        let child = script
            .args([
                "--quiet",
                "--return",
                "--command",
                &format!("{first}{}", quoted.join(" ")),
                "/dev/null",
            ])
            .env("TERM", "xterm")
            .env("SHELL", "/bin/sh")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .context("script does not start")?;
        let shown = String::new();
        Ok(Self { child, shown })
    }

    /// Reads until this is shown.
    pub(crate) fn until(&mut self, text: &str) -> Result<()> {
        let mut byte = [0; 256];
        while !self.shown.contains(text) {
            let output = self.child.stdout.as_mut().context("no output")?;
            let read = output.read(&mut byte)?;
            ensure!(read > 0, "{text:?} was never shown: {}", self.shown);
            self.shown
                .push_str(&String::from_utf8_lossy(byte.get(..read).unwrap_or(&byte)));
        }
        Ok(())
    }

    pub(crate) fn press(&mut self, keys: &str) -> Result<()> {
        let input = self.child.stdin.as_mut().context("no input")?;
        input.write_all(keys.as_bytes())?;
        Ok(input.flush()?)
    }

    /// The whole output, and the exit code.
    pub(crate) fn end(mut self) -> Result<(String, i32)> {
        let output = self.child.stdout.as_mut().context("no output")?;
        let mut rest = Vec::new();
        output.read_to_end(&mut rest)?;
        self.shown.push_str(&String::from_utf8_lossy(&rest));
        let code = self.child.wait()?.code().unwrap_or(-1);
        Ok((std::mem::take(&mut self.shown), code))
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // It may have ended before.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Ids and paths of this run by their kind; a line that was overwritten is a line, and the same one
/// after another is one.
fn transcript(command: &str, (shown, code): (String, i32), stage: &Stage) -> String {
    let here = stage.directory.path().display().to_string();
    let shown = shown
        .replace(&here, "…")
        .replace("\r\n", "\n")
        .replace("^C", "");
    let shown = shown.replace("\r\u{1b}[K", "\n");
    let mut lines: Vec<String> = Vec::new();
    for line in shown.lines().map(|line| without_ids(line.trim_end())) {
        let turns = ["| ", "/ ", "- ", "\\ "]
            .iter()
            .find_map(|sign| line.strip_prefix(sign));
        let line = turns.map_or_else(|| line.clone(), |rest| format!("| {rest}"));
        if !line.is_empty() && lines.last() != Some(&line) {
            lines.push(line);
        }
    }
    format!("$ {command}\n{}\nexit {code}\n", lines.join("\n"))
}

pub(crate) fn without_ids(line: &str) -> String {
    let word = |word: &str| {
        let bare = word.trim_end_matches(|c: char| !c.is_ascii_alphanumeric());
        let tail = word.get(bare.len()..).unwrap_or_default();
        let start = bare.find(|c: char| c.is_ascii_alphanumeric()).unwrap_or(0);
        let (head, id) = bare.split_at(start);
        match id.split_once('-') {
            Some((kind, rest)) if rest.len() == 26 && kind.len() == 1 => {
                format!("{head}{kind}-…{tail}")
            }
            Some(_) | None => word.to_owned(),
        }
    };
    line.split(' ').map(word).collect::<Vec<_>>().join(" ")
}

pub(crate) fn same(name: &str, transcript: &str) -> Result<()> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("transcripts")
        .join(name);
    if std::env::var_os("LANYARD_UPDATE").is_some() {
        std::fs::create_dir_all(path.parent().context("no folder")?)?;
        std::fs::write(&path, transcript)?;
    }
    let golden = std::fs::read_to_string(&path).with_context(|| path.display().to_string())?;
    assert_eq!(transcript, golden, "{}", path.display());
    Ok(())
}

const EXEC: [&str; 6] = [
    "exec",
    "ticket-router",
    "--environment",
    "production",
    "--reason",
    "ticket 12",
];

const STOPS_THE_CHARTER: [&str; 6] = [
    "kill",
    "--charter",
    "ticket-router",
    "--reason",
    "it loops",
    "--yes",
];

#[test]
fn a_command_runs() -> Result<()> {
    let stage = Stage::set()?;
    let terminal = Terminal::open(&stage, &[&EXEC[..], &["--", "echo", "done"]].concat())?;
    let command =
        "lanyard exec ticket-router --environment production --reason 'ticket 12' -- echo done";
    same("exec.txt", &transcript(command, terminal.end()?, &stage))
}

#[test]
fn a_command_is_denied() -> Result<()> {
    let stage = Stage::set()?;
    let asked = ["--grant", "move-tickets", "--", "echo", "done"];
    let terminal = Terminal::open(&stage, &[&EXEC[..], &asked].concat())?;
    let command = "lanyard exec ticket-router --environment production --reason 'ticket 12' --grant move-tickets -- echo done";
    same("denied.txt", &transcript(command, terminal.end()?, &stage))
}

#[test]
fn a_command_is_killed_in_the_middle() -> Result<()> {
    let stage = Stage::set()?;
    let mut terminal = Terminal::open(
        &stage,
        &[&EXEC[..], &["--", "sh", "-c", "echo working; sleep 60"]].concat(),
    )?;
    terminal.until("working")?;
    stage.oncall.ok(&STOPS_THE_CHARTER)?;
    let command = "lanyard exec ticket-router --environment production --reason 'ticket 12' -- sh -c 'echo working; sleep 60'";
    same("killed.txt", &transcript(command, terminal.end()?, &stage))
}

/// A script that leaves a process behind, which takes the mark away once it is told to end.
fn leaves_behind(stage: &Stage, before: &str) -> Result<(String, std::path::PathBuf)> {
    let mark = stage.directory.path().join("mark");
    let script = stage.directory.path().join("work.sh");
    let text = format!(
        "{before}\n(trap 'rm {0}; exit' TERM; trap '' HUP; touch {0}; echo began; i=0; while [ $i -lt 600 ]; do sleep 0.1; i=$((i+1)); done) &\n\
         wait\n",
        mark.display()
    );
    std::fs::write(&script, text)?;
    Ok((script.display().to_string(), mark))
}

// On a terminal the command shares the process group of what started it, and a shell with jobs has
// groups of its own.
#[test]
fn s45_a_kill_on_a_terminal_reaches_what_the_command_has_started() -> Result<()> {
    for before in ["", "set -m", "exec 2>/dev/null; (sleep 600 &)"] {
        let stage = Stage::set()?;
        let (script, mark) = leaves_behind(&stage, before)?;
        let asked = [&EXEC[..], &["--", "sh", &script]].concat();
        let mut terminal = Terminal::open(&stage, &asked)?;
        terminal.until("began")?;
        stage.oncall.ok(&STOPS_THE_CHARTER)?;
        let (shown, code) = terminal.end()?;
        assert_eq!(code, 143, "{before}: {shown}");
        assert!(!mark.exists(), "{before}: {shown}");
    }
    Ok(())
}

#[test]
fn s45_a_kill_at_once_on_a_terminal_ends_what_the_command_has_started() -> Result<()> {
    let stage = Stage::set()?;
    let (script, _) = leaves_behind(&stage, "trap '' TERM")?;
    let asked = [&EXEC[..], &["--on-kill", "kill", "--", "sh", &script]].concat();
    let mut terminal = Terminal::open(&stage, &asked)?;
    terminal.until("began")?;
    stage.oncall.ok(&STOPS_THE_CHARTER)?;
    let (shown, code) = terminal.end()?;
    assert_eq!(code, 137, "{shown}");
    let left = std::process::Command::new("pgrep")
        .args(["-f", &script])
        .output()?;
    assert!(left.stdout.is_empty(), "{left:?}");
    Ok(())
}

#[test]
fn people_are_waited_for() -> Result<()> {
    let stage = Stage::set()?;
    let task = stage.task()?;
    let (plan, digest, approval) = stage.plan(&task, "move ticket 7 to billing")?;
    let mut terminal = Terminal::open(&stage, &["exec", "--plan", &plan, "--", "echo", "done"])?;
    terminal.until("0 of 2 approved")?;
    stage.approve("alice", &approval, &digest)?;
    terminal.until("1 of 2 approved")?;
    stage.approve("bob", &approval, &digest)?;
    let command = "lanyard exec --plan P-… -- echo done";
    same(
        "approval.txt",
        &transcript(command, terminal.end()?, &stage),
    )
}

#[test]
fn the_wait_is_broken_off() -> Result<()> {
    let stage = Stage::set()?;
    let task = stage.task()?;
    let (plan, _, _) = stage.plan(&task, "move ticket 7 to billing")?;
    let mut terminal = Terminal::open(&stage, &["exec", "--plan", &plan, "--", "echo", "done"])?;
    terminal.until("0 of 2 approved")?;
    terminal.press("\u{3}")?;
    let command = "lanyard exec --plan P-… -- echo done";
    same(
        "interrupted.txt",
        &transcript(command, terminal.end()?, &stage),
    )
}
