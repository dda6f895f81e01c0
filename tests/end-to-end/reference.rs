//! docs/cli.md is what the binaries say of themselves. `LANYARD_UPDATE=1` writes it anew.

use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};

const HEAD: &str = "# The command line

What `--help` says, of `lanyard`, the command line of agents and operators, and of `lanyardd`, the daemon. Data goes to stdout and
everything else to stderr; the exit codes are in [quickstart.md](quickstart.md#exit-codes).
";

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
    let text: Vec<&str> = help.lines().map(str::trim_end).collect();
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
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/cli.md");
    if std::env::var_os("LANYARD_UPDATE").is_some() {
        std::fs::write(&file, &text)?;
    }
    let written = std::fs::read_to_string(&file)?;
    assert!(
        written == text,
        "docs/cli.md is out of date: run this test with LANYARD_UPDATE=1"
    );
    Ok(())
}
