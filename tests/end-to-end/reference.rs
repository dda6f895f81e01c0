//! docs/cli.md and docs/findings.md are what the binaries say of themselves. `LANYARD_UPDATE=1`
//! writes them anew.

use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};
use serde_json::Value;

const HEAD: &str = "# The command line

The output of `--help`, of `lanyard`, the command line of agents and operators, and of `lanyardd`,
the daemon. Data goes to stdout and everything else to stderr; the exit codes are in
[quickstart.md](quickstart.md#exit-codes). The global options of `lanyard` are those of all its
commands; they are listed once, with `lanyard` itself. A span of time is written `90s`, `10m`,
`1h30m` or `7d`.
";

/// The lines without the options that every command takes, and without the one that asks for this
/// help.
fn without_global<'a>(lines: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let mut kept = Vec::new();
    let mut is_global = false;
    for line in lines {
        if line == "Global options:" {
            is_global = true;
        } else if !line.is_empty() && !line.starts_with(' ') {
            is_global = false;
        }
        if !is_global {
            kept.push(line);
        }
    }
    kept
}

/// The help of a command, then of each command in it.
fn describe(program: &Path, path: &[String], out: &mut String) -> Result<()> {
    let name = program.file_name().context("no name")?.to_string_lossy();
    let output = Command::new(program)
        .args(path)
        .arg("--help")
        .env_clear()
        .output()?;
    let help = String::from_utf8(output.stdout)?;
    let level = "#".repeat(path.len().min(2) + 2);
    let title = [&[name.into_owned()], path].concat().join(" ");
    // What every command takes is said once, with the program itself.
    let all = help.lines();
    let own: Vec<&str> = if path.is_empty() {
        all.collect()
    } else {
        without_global(all)
    };
    let text: Vec<&str> = own.iter().map(|line| line.trim_end()).collect();
    write!(
        out,
        "\n{level} {title}\n\n```text\n{}\n```\n",
        text.join("\n").trim_end()
    )?;
    let commands = help.lines().skip_while(|line| *line != "Commands:").skip(1);
    for line in commands.take_while(|line| !line.is_empty()) {
        // A second line of a description is further in.
        let first = line
            .strip_prefix("  ")
            .filter(|line| !line.starts_with(' '));
        let Some(command) = first.and_then(|line| line.split_whitespace().next()) else {
            continue;
        };
        if command != "help" {
            let path = [path, &[command.to_owned()]].concat();
            describe(program, &path, out)?;
        }
    }
    Ok(())
}

#[test]
fn the_reference_says_what_the_binaries_say() -> Result<()> {
    let mut text = HEAD.to_owned();
    for program in ["lanyard", "lanyardd"] {
        describe(&lanyard_rig::binaries()?.join(program), &[], &mut text)?;
    }
    is_written("cli.md", &text)
}

/// Holds a page to its text, or writes it.
fn is_written(page: &str, text: &str) -> Result<()> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../docs")
        .join(page);
    if std::env::var_os("LANYARD_UPDATE").is_some() {
        std::fs::write(&file, text)?;
    }
    let written = std::fs::read_to_string(&file)?;
    assert!(
        written == text,
        "docs/{page} is out of date: run this test with LANYARD_UPDATE=1"
    );
    Ok(())
}

/// Ends each line of a paragraph at 100 columns.
fn wrapped(text: &str) -> String {
    let mut lines = String::new();
    let mut column = 0;
    for word in text.split(' ') {
        let length = word.chars().count();
        if column > 0 && column + 1 + length > 100 {
            lines.push('\n');
            column = 0;
        } else if column > 0 {
            lines.push(' ');
            column += 1;
        }
        lines.push_str(word);
        column += length;
    }
    lines
}

const FINDINGS: &str = "# Findings

The findings of `lanyard charter lint` and of the daemon about a charter or a configuration. A code
never changes its meaning. An error keeps a file out of force; a warning does not, and can be
allowed on its line or on the line before it:

    # lanyard:allow LC213 because a restart is a patch, and two people approve it
";

#[test]
fn the_findings_are_those_that_the_tool_explains() -> Result<()> {
    let tool = lanyard_rig::Cli::offline()?;
    let mut text = FINDINGS.to_owned();
    let all = tool.json(&["explain"])?;
    for code in all.as_array().context("no list")? {
        let id = code
            .get("code")
            .and_then(Value::as_str)
            .context("no code")?;
        let one = tool.json(&["explain", id])?;
        let part = |name| one.get(name).and_then(Value::as_str).unwrap_or_default();
        // A reason code of decisions has no name; docs/refusals.md lists those.
        if part("name").is_empty() {
            continue;
        }
        let (severity, summary) = (part("severity"), part("summary"));
        let said = format!("*{severity}.* {summary} {}", part("explanation"));
        write!(text, "\n## {id} {}\n\n{}\n", part("name"), wrapped(&said))?;
    }
    is_written("findings.md", &text)
}
