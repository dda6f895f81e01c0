//! docs/how-to/first-install.md, done as it is written: its commands run in one shell, and what
//! they print is what the page shows.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::str::Lines;

use anyhow::{Context as _, Result, bail};
use lanyard_rig::{binaries, free_port};

/// The address of the page, in the place of which another one is free.
const ADDRESS: &str = "127.0.0.1:7070";
/// The mark that stands for any text: within a line for a part of it, on a line of its own for any
/// number of lines.
const ANYTHING: char = '…';
/// The mark that the shell prints before each step.
const MARK: &str = "@@ step";

/// A block of commands, and what the page shows of their output.
struct Step {
    commands: String,
    shown: Vec<String>,
}

/// The blocks of `sh`, each with the block of `text` that follows it.
fn steps(page: &str) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    let mut lines = page.lines();
    while let Some(line) = lines.next() {
        match line {
            "```sh" => steps.push(Step {
                commands: block(&mut lines).join("\n"),
                shown: Vec::new(),
            }),
            "```text" => {
                if let Some(step) = steps.last_mut() {
                    step.shown = block(&mut lines);
                }
            }
            _ => {}
        }
    }
    steps
}

/// The lines up to the end of the block.
fn block(lines: &mut Lines<'_>) -> Vec<String> {
    let inside = lines.by_ref().take_while(|line| *line != "```");
    inside.map(str::to_owned).collect()
}

/// True if the output is what the page shows.
fn is_shown(shown: &[String], output: &[&str]) -> bool {
    match (shown.split_first(), output.split_first()) {
        (None, None) => true,
        (None, Some(_)) => false,
        (Some((line, rest)), _) if line.trim() == ANYTHING.to_string() => {
            is_shown(rest, output)
                || output
                    .split_first()
                    .is_some_and(|(_, output)| is_shown(shown, output))
        }
        (Some(_), None) => false,
        (Some((line, shown)), Some((own, output))) => {
            is_line(line, own.trim_end()) && is_shown(shown, output)
        }
    }
}

/// True if the line has the parts between the marks, in their order.
fn is_line(shown: &str, own: &str) -> bool {
    let mut parts = shown.split(ANYTHING);
    let Some(mut rest) = parts.next().and_then(|first| own.strip_prefix(first)) else {
        return false;
    };
    let mut last = "";
    let mut open = false;
    for part in parts {
        let Some(at) = rest.find(part) else {
            return false;
        };
        (last, open) = (part, true);
        rest = rest.get(at + part.len()..).unwrap_or_default();
    }
    rest.is_empty() || open && (last.is_empty() || own.ends_with(last))
}

#[test]
fn the_page_of_a_first_installation_is_done_as_it_is_written() -> Result<()> {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/how-to/first-install.md");
    let page = fs::read_to_string(page)?;
    assert!(page.contains(ADDRESS));
    let page = page.replace(ADDRESS, &free_port()?.to_string());
    let steps = steps(&page);
    assert!(steps.len() > 5, "{}", steps.len());
    let mut script = "exec 2>&1\n".to_owned();
    for (number, step) in steps.iter().enumerate() {
        writeln!(script, "echo '{MARK} {number}'\n{}", step.commands)?;
    }
    let folder = tempfile::tempdir()?;
    let out = folder.path().join("output");
    let path = std::env::var("PATH").unwrap_or_default();
    let path = format!("{}:{path}", binaries()?.display());
    let work = folder.path().join("a folder of somebody");
    fs::create_dir(&work)?;
    let mut shell = Command::new("timeout")
        .args(["--kill-after=5", "120", "bash", "-c", &script])
        .current_dir(&work)
        .env("PATH", path)
        .env("HOME", folder.path())
        .env_remove("LANYARD_CONTEXT")
        .env_remove("XDG_STATE_HOME")
        .env_remove("XDG_CONFIG_HOME")
        .stdin(Stdio::null())
        .stdout(File::create(&out)?)
        .process_group(0)
        .spawn()
        .context("there is no bash")?;
    let ended = shell.wait()?;
    // The daemon of a page that was left half way.
    if let Some(group) = rustix::process::Pid::from_raw(i32::try_from(shell.id())?) {
        rustix::process::kill_process_group(group, rustix::process::Signal::KILL).ok();
    }
    let log = fs::read_to_string(work.join("broker.log")).unwrap_or_default();
    let output = fs::read_to_string(&out)?;
    assert!(ended.success(), "{ended}: {output}\n{log}");
    let mut faults = String::new();
    for (number, step) in steps.iter().enumerate() {
        let begin = format!("{MARK} {number}\n");
        let own = output.split_once(&begin).map_or("", |(_, own)| own);
        let own = own.split(MARK).next().unwrap_or_default();
        let own: Vec<_> = own.lines().collect();
        if !is_shown(&step.shown, &own) {
            let (commands, shown) = (&step.commands, step.shown.join("\n"));
            write!(
                faults,
                "\n{commands}\n---- is shown:\n{shown}\n---- prints:\n{}\n",
                own.join("\n")
            )?;
        }
    }
    if !faults.is_empty() {
        bail!("the page shows something else than its commands print:\n{faults}\n{log}");
    }
    Ok(())
}

#[test]
fn what_a_page_shows_is_compared_with_what_is_printed() {
    let shown = |text: &str| text.lines().map(str::to_owned).collect::<Vec<_>>();
    for (page, output, same) in [
        ("a\nb", "a\nb", true),
        ("a\nb", "a", false),
        ("a", "a\nb", false),
        ("T-… is open", "T-4Q9 is open", true),
        ("T-… is open", "T-4Q9 is closed", false),
        ("…\nlast", "one\ntwo\nlast", true),
        ("…\nlast", "last", true),
        ("…\nlast", "one\ntwo", false),
        ("a…", "abc", true),
        ("a…c", "abcbc", true),
        ("a…c", "abcd", false),
    ] {
        let output: Vec<_> = output.lines().collect();
        assert_eq!(is_shown(&shown(page), &output), same, "{page} {output:?}");
    }
}
