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

const CHARTER: &str = "# Charter reference

Every field of a charter, from the schema that `lanyard charter schema` prints;
[charter.md](charter.md) says what they mean together. A field in bold has to be there. What lint
says of each is in [findings.md](findings.md).

| field | value | meaning |
|---|---|---|
";

/// The kind of value that a place takes, in words.
fn kind(schema: &Value) -> String {
    let text = |name: &str| schema.get(name).and_then(Value::as_str).unwrap_or_default();
    if let Some(constant) = schema.get("const").and_then(Value::as_str) {
        return format!("`{constant}`");
    }
    if let Some(words) = schema.get("enum").and_then(Value::as_array) {
        let words: Vec<_> = words.iter().filter_map(Value::as_str).collect();
        return format!("`{}`", words.join("`, `"));
    }
    let either = schema.get("oneOf").and_then(Value::as_array);
    let mut either = either.into_iter().flatten();
    if either.any(|one| one.get("type") == Some(&"string".into())) {
        return "a text, or a map".to_owned();
    }
    match (text("type"), text("pattern")) {
        ("integer", _) => {
            let bound = |name| schema.get(name).and_then(Value::as_u64).unwrap_or_default();
            format!("a number from {} to {}", bound("minimum"), bound("maximum"))
        }
        ("array", _) => {
            let items = schema.get("items").map(kind).unwrap_or_default();
            format!("a list: {items}")
        }
        ("object", _) => "a map".to_owned(),
        (_, pattern) if pattern.contains("[smh]") => "a span: `90s`, `10m`, `2h`".to_owned(),
        (_, pattern) if pattern.contains("{4}-[0-9]{2}") => "a day or a moment".to_owned(),
        (_, pattern) if pattern.contains("24:00") => "a time of day".to_owned(),
        (_, pattern) if pattern.contains("[a-z0-9-]{0,61}") => "a name".to_owned(),
        (_, pattern) if pattern.contains("sha256") => "a digest: `sha256:…`".to_owned(),
        ("string", _) => "a text".to_owned(),
        _ => "a map".to_owned(),
    }
}

fn rows(schema: &Value, path: &str, out: &mut String) -> Result<()> {
    if let Some(items) = schema.get("items") {
        return rows(items, &format!("{path}[]"), out);
    }
    if let Some(any) = schema
        .get("additionalProperties")
        .filter(|any| any.is_object())
    {
        return rows(any, &format!("{path}.*"), out);
    }
    let either = schema.get("oneOf").and_then(Value::as_array);
    if schema.get("properties").is_none() {
        return either
            .into_iter()
            .flatten()
            .try_for_each(|one| rows(one, path, out));
    }
    let required = schema.get("required").and_then(Value::as_array);
    let has_to = |name: &str| required.is_some_and(|all| all.iter().any(|one| one == name));
    let fields = schema.get("properties").and_then(Value::as_object);
    for (name, inner) in fields.into_iter().flatten() {
        let path = if path.is_empty() {
            name.clone()
        } else {
            format!("{path}.{name}")
        };
        let shown = if has_to(name) {
            format!("**`{path}`**")
        } else {
            format!("`{path}`")
        };
        let of = |schema: &Value| {
            schema
                .get("description")
                .and_then(Value::as_str)
                .map(str::to_owned)
        };
        let meaning = of(inner)
            .or_else(|| inner.get("items").and_then(of))
            .unwrap_or_default();
        anyhow::ensure!(!meaning.is_empty(), "{path} has no description");
        writeln!(out, "| {shown} | {} | {meaning} |", kind(inner))?;
        rows(inner, &path, out)?;
    }
    Ok(())
}

#[test]
fn the_charter_reference_is_the_schema() -> Result<()> {
    let schema = lanyard_rig::Cli::offline()?.json(&["charter", "schema"])?;
    let mut text = CHARTER.to_owned();
    rows(&schema, "", &mut text)?;
    is_written("charter-reference.md", &text)
}
