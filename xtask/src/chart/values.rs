//! Reads the comments in values.yaml, each above the value that it is about: the descriptions in
//! values.schema.json and the table in README.md are made from them.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use super::{Chart, made, schema};

/// The lines of README.md that enclose the table.
const TABLE: [&str; 2] = [
    "<!-- values: cargo xtask chart -->\n",
    "<!-- end of values -->\n",
];

/// A line of values.yaml that has a key.
struct Entry {
    path: Vec<String>,
    default: String,
    comment: String,
}

impl Entry {
    /// Returns the path of the entry in the schema, as a JSON pointer.
    fn pointer(&self) -> String {
        let parts = self.path.iter().map(|name| format!("/properties/{name}"));
        parts.collect()
    }
}

pub(super) fn check(chart: &Chart) -> Result<()> {
    let text = std::fs::read_to_string(chart.folder.join("values.yaml"))?;
    let entries = entries(&text);
    let mut schema = schema::read(chart)?;
    for entry in &entries {
        let pointer = entry.pointer();
        let path = entry.path.join(".");
        let known = schema.pointer_mut(&pointer);
        let known = known.with_context(|| format!("values.schema.json knows no `{path}`"))?;
        let is_open = known.get("properties").is_none() || !entry.default.is_empty();
        ensure!(
            !is_open || !entry.comment.is_empty(),
            "`{path}` has no comment in values.yaml"
        );
        if let Some(known) = known.as_object_mut()
            && !entry.comment.is_empty()
        {
            known.insert("description".to_owned(), json!(entry.comment));
        }
    }
    described(&schema, &mut Vec::new(), &entries)?;
    let text = format!("{}\n", serde_json::to_string_pretty(&sorted(&schema))?);
    made(&chart.folder.join("values.schema.json"), &text)?;
    let readme = chart.folder.join("README.md");
    let page = std::fs::read_to_string(&readme)?;
    let (before, rest) = page
        .split_once(TABLE[0])
        .context("README.md has no table")?;
    let (_, after) = rest
        .split_once(TABLE[1])
        .context("README.md's table has no end")?;
    let table = table(&entries, &schema);
    made(
        &readme,
        &format!("{before}{}{table}{}{after}", TABLE[0], TABLE[1]),
    )
}

/// Orders the members of every object, since serde_json may keep any order.
fn sorted(value: &Value) -> Value {
    match value {
        Value::Object(members) => {
            let by_name: BTreeMap<&String, Value> = members
                .iter()
                .map(|(name, member)| (name, sorted(member)))
                .collect();
            json!(by_name)
        }
        Value::Array(items) => items.iter().map(sorted).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value.clone(),
    }
}

/// Checks that values.yaml has every property of the schema for which the chart has a default.
fn described(schema: &Value, path: &mut Vec<String>, entries: &[Entry]) -> Result<()> {
    let properties = schema.get("properties").and_then(Value::as_object);
    for (name, property) in properties.into_iter().flatten() {
        // helm itself defines `global`, for charts of charts.
        if path.is_empty() && name == "global" {
            continue;
        }
        path.push(name.clone());
        let entry = entries.iter().find(|entry| entry.path == *path);
        let entry = entry.with_context(|| {
            let path = path.join(".");
            format!("values.yaml has no `{path}`, which is in the schema")
        })?;
        // A value that stands on one line has no parts of its own.
        if entry.default.is_empty() {
            described(property, path, entries)?;
        }
        path.pop();
    }
    Ok(())
}

/// Reads the keys of values.yaml, down to those whose value stands on their line or is free.
fn entries(text: &str) -> Vec<Entry> {
    let mut entries: Vec<Entry> = Vec::new();
    let mut stack: Vec<(usize, String)> = Vec::new();
    let mut comment = String::new();
    for line in text.lines() {
        let trimmed = line.trim_start();
        let indent = line.len() - trimmed.len();
        if let Some(said) = trimmed.strip_prefix("# ") {
            if !comment.is_empty() {
                comment.push(' ');
            }
            comment.push_str(said);
            continue;
        }
        let Some((key, value)) = trimmed.split_once(':') else {
            comment.clear();
            continue;
        };
        stack.retain(|(depth, _)| *depth < indent);
        let mut path: Vec<String> = stack.iter().map(|(_, key)| key.clone()).collect();
        path.push(key.to_owned());
        stack.push((indent, key.to_owned()));
        entries.push(Entry {
            path,
            default: value.trim().to_owned(),
            comment: std::mem::take(&mut comment),
        });
    }
    // Beneath a free value the chart has no values of its own.
    let free: Vec<Vec<String>> = entries
        .iter()
        .filter(|entry| entry.default.is_empty() && !entry.comment.is_empty())
        .map(|entry| entry.path.clone())
        .collect();
    entries.retain(|entry| {
        let is_beneath =
            |free: &Vec<String>| entry.path.len() > free.len() && entry.path.starts_with(free);
        !free.iter().any(is_beneath)
    });
    entries
}

fn table(entries: &[Entry], schema: &Value) -> String {
    let mut table = String::from("| value | default | meaning |\n|---|---|---|\n");
    for entry in entries {
        let pointer = entry.pointer();
        let known = schema.pointer(&pointer);
        let has_members = known.is_some_and(|known| known.get("properties").is_some());
        if has_members && entry.default.is_empty() {
            continue;
        }
        let default = match entry.default.as_str() {
            "" => "see values.yaml".to_owned(),
            default => format!("`{default}`"),
        };
        let meaning = entry.comment.replace('|', "\\|");
        table.push_str(&format!(
            "| `{}` | {default} | {meaning} |\n",
            entry.path.join(".")
        ));
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_comment_is_of_the_key_beneath_it_and_free_values_are_one() {
        let text = "# Of the page.\n\na:\n  # One\n  # line.\n  b: 1\n# Free.\nc:\n  d: {e: 1}\n";
        let entries = entries(text);
        let shown: Vec<String> = entries
            .iter()
            .map(|entry| {
                format!(
                    "{}={}:{}",
                    entry.path.join("."),
                    entry.default,
                    entry.comment
                )
            })
            .collect();
        assert_eq!(shown, ["a=:", "a.b=1:One line.", "c=:Free."]);
    }
}
