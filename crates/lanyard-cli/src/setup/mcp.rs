//! `lanyard setup claude-code`.

use std::path::PathBuf;

use clap::Args;
use serde_json::{Value, json};

use super::{How, file};
use crate::Global;
use crate::outcome::Outcome;
use crate::terminal::say;

const SERVERS: &str = "mcpServers";
const NAME: &str = "lanyard";

#[derive(Args)]
pub(crate) struct Entry {
    /// The project's file that names MCP servers.
    #[arg(long, default_value = ".mcp.json")]
    file: PathBuf,
    #[command(flatten)]
    how: How,
}

pub(super) fn run(global: &Global, asked: &Entry) -> Result<(), Outcome> {
    let context = global.whole_context()?;
    let entry = json!({"type": "stdio", "command": crate::agent::program()?.display().to_string(),
        "args": ["--context", context.display().to_string(), "mcp"]});
    if asked.how.print {
        println!("{:#}", json!({SERVERS: {NAME: entry}}));
        return Ok(());
    }
    let path = &asked.file;
    let text = file::read(path)?;
    if asked.how.undo && text.is_empty() {
        say(format_args!("there is no {}", path.display()));
        return Ok(());
    }
    let changed = change(&text, (!asked.how.undo).then_some(entry));
    let changed = changed.map_err(|fault| file::failed(path, "changed", fault))?;
    file::write(path, &changed)?;
    let what = if asked.how.undo {
        "no longer has"
    } else {
        "has"
    };
    say(format_args!(
        "{} {what} the MCP server {NAME}",
        path.display()
    ));
    Ok(())
}

/// Tells if it is what this command writes: lanyard, with mcp as its last word.
fn is_ours(entry: &Value) -> bool {
    let command = entry
        .get("command")
        .and_then(Value::as_str)
        .unwrap_or_default();
    let arguments = entry.get("args").and_then(Value::as_array);
    let last = arguments.and_then(|all| all.last()).and_then(Value::as_str);
    command.rsplit('/').next() == Some("lanyard") && last == Some("mcp")
}

/// Tells if a number in it has more digits than are kept when it is read.
fn has_long_numbers(text: &str) -> bool {
    text.split(|c: char| !c.is_ascii_digit())
        .any(|digits| digits.len() > 15)
}

/// The file with this entry, or without one.
fn change(text: &str, entry: Option<Value>) -> Result<String, String> {
    let mut document: Value = match text.trim() {
        "" => json!({}),
        text => serde_json::from_str(text).map_err(|error| format!("it is not JSON: {error}"))?,
    };
    if has_long_numbers(text) {
        return Err(
            "it has numbers that would be rounded: change it by hand, with --print".to_owned(),
        );
    }
    let top = document.as_object_mut().ok_or("it is no JSON object")?;
    let servers = top.entry(SERVERS).or_insert_with(|| json!({}));
    let servers = servers
        .as_object_mut()
        .ok_or_else(|| format!("its {SERVERS} is no object"))?;
    if servers.get(NAME).is_some_and(|found| !is_ours(found)) {
        return Err(format!("it has a server {NAME} that lanyard did not write"));
    }
    match entry {
        Some(entry) => drop(servers.insert(NAME.to_owned(), entry)),
        None => drop(servers.remove(NAME)),
    }
    if servers.is_empty() {
        top.remove(SERVERS);
    }
    Ok(format!("{document:#}\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_comes_and_goes_and_nothing_else_is_touched() {
        let entry = || json!({"command": "lanyard", "args": ["mcp"]});
        let before = r#"{"mcpServers": {"other": {"command": "x"}}, "more": [1]}"#;
        let with = change(before, Some(entry())).unwrap();
        let parsed: Value = serde_json::from_str(&with).unwrap();
        assert_eq!(parsed.pointer("/mcpServers/lanyard"), Some(&entry()));
        let without: Value = serde_json::from_str(&change(&with, None).unwrap()).unwrap();
        assert_eq!(without, serde_json::from_str::<Value>(before).unwrap());
        assert_eq!(
            change(&change("", Some(entry())).unwrap(), None).unwrap(),
            "{}\n"
        );
        for bad in [
            "[]",
            "{",
            r#"{"mcpServers": 1}"#,
            r#"{"mcpServers": {"lanyard": {"command": "theirs"}}}"#,
            r#"{"mcpServers": {"lanyard": {"command": "docker", "args": ["run", "mcp"]}}}"#,
            r#"{"more": 12345678901234567890123}"#,
        ] {
            assert!(change(bad, Some(entry())).is_err(), "{bad}");
        }
    }
}
