//! Tries every value of the schema wrong: helm has to refuse each and name its path.

use anyhow::{Context, Result, ensure};
use serde_json::{Map, Value, json};

use super::Chart;

/// A wrong value, with what helm's message has to hold.
struct Wrong {
    path: Vec<String>,
    value: Value,
    says: String,
    /// Only something missing makes this value wrong, and another value in the same place would
    /// bring it.
    is_alone: bool,
}

pub(super) fn check(chart: &Chart) -> Result<()> {
    let schema = read(chart)?;
    let mut wrong = Vec::new();
    collect(&schema, &mut Vec::new(), &mut wrong);
    ensure!(wrong.len() > 200, "the schema has {} leaves", wrong.len());
    let count = wrong.len();
    let directory = tempfile::tempdir()?;
    // helm names every fault of a file at once, so a file takes as many faults as do not touch each
    // other.
    while !wrong.is_empty() {
        let mut values = Value::Object(Map::new());
        let mut tried = Vec::new();
        let mut is_alone = false;
        wrong.retain(|one| {
            let fits = !is_alone
                && (!one.is_alone || tried.is_empty())
                && set(&mut values, &one.path, &one.value);
            if fits {
                is_alone = one.is_alone;
                tried.push(one.says.clone());
            }
            !fits
        });
        ensure!(!tried.is_empty(), "no value can be tried");
        let file = directory.path().join("values.json");
        std::fs::write(&file, values.to_string())?;
        let (ok, _, why) = chart.rendered(Some(&file), &[])?;
        ensure!(!ok, "helm takes {values}");
        for says in tried {
            ensure!(
                why.contains(&says),
                "helm refuses {values} without a word of {says}:\n{why}"
            );
        }
    }
    println!("chart: {count} wrong values are refused by their paths");
    // A single fault by itself shows that no value is refused because of another.
    let (ok, _, why) = chart.rendered(None, &["image.tagg=\"1\""])?;
    ensure!(!ok && why.contains("'tagg' not allowed"), "{why}");
    Ok(())
}

/// Collects the wrong values of this part of the schema.
fn collect(schema: &Value, path: &mut Vec<String>, wrong: &mut Vec<Wrong>) {
    let at = format!("'/{}'", path.join("/"));
    let mut add = |value: Value, says: String| {
        wrong.push(Wrong {
            path: path.clone(),
            is_alone: value == json!({}),
            value,
            says,
        });
    };
    let kind = schema.get("type").and_then(Value::as_str);
    if !path.is_empty() {
        let other = match kind {
            Some("string") => json!(17),
            Some("boolean" | "integer" | "object") => json!("wrong"),
            Some("array") => json!({"a": 1}),
            Some(_) | None => json!([1]),
        };
        add(other, at.clone());
    }
    if schema.get("enum").is_some() || schema.get("pattern").is_some() {
        add(json!("!! wrong !!"), at.clone());
    }
    if let Some(least) = schema.get("minimum").and_then(Value::as_i64) {
        add(json!(least - 1), at.clone());
    }
    if let Some(most) = schema.get("maximum").and_then(Value::as_i64) {
        add(json!(most + 1), at.clone());
    }
    if schema.get("minLength").is_some() {
        add(json!(""), at.clone());
    }
    if schema.get("minItems").is_some() {
        add(json!([]), at.clone());
    }
    if schema.get("additionalProperties") == Some(&json!(false)) {
        add(
            json!({"unknownKey": 1}),
            "'unknownKey' not allowed".to_owned(),
        );
    }
    for required in schema
        .get("required")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
    {
        add(json!({}), required.to_string().replace('"', "'"));
    }
    for (name, property) in schema
        .get("properties")
        .and_then(Value::as_object)
        .into_iter()
        .flatten()
    {
        path.push(name.clone());
        collect(property, path, wrong);
        path.pop();
    }
    if let Some(items) = schema.get("items") {
        path.push("0".to_owned());
        collect(items, path, wrong);
        path.pop();
    }
    if let Some(each @ Value::Object(_)) = schema.get("additionalProperties") {
        path.push("some-name".to_owned());
        collect(each, path, wrong);
        path.pop();
    }
}

/// Sets a value at its path unless something else is at or beneath the path; returns whether it was
/// set.
fn set(root: &mut Value, path: &[String], value: &Value) -> bool {
    let Some((first, rest)) = path.split_first() else {
        let (Value::Object(all), Value::Object(more)) = (root, value) else {
            return false;
        };
        let is_new = more.keys().all(|key| !all.contains_key(key));
        if is_new {
            all.extend(more.clone());
        }
        return is_new;
    };
    if first == "0" {
        if *root == json!({}) {
            *root = json!([{}]);
        }
        let Some(item) = root.get_mut(0) else {
            return false;
        };
        if rest.is_empty() {
            let is_new = *item == json!({});
            if is_new {
                *item = value.clone();
            }
            return is_new;
        }
        return set(item, rest, value);
    }
    let Value::Object(all) = root else {
        return false;
    };
    if rest.is_empty() {
        let is_new = !all.contains_key(first);
        if is_new {
            all.insert(first.clone(), value.clone());
        }
        return is_new;
    }
    let is_new = !all.contains_key(first);
    let next = all.entry(first.clone()).or_insert_with(|| json!({}));
    let put = set(next, rest, value);
    if is_new && !put {
        all.remove(first);
    }
    put
}

/// Reads the schema, for what describes the values.
pub(super) fn read(chart: &Chart) -> Result<Value> {
    let file = chart.folder.join("values.schema.json");
    let text = std::fs::read_to_string(&file).with_context(|| file.display().to_string())?;
    Ok(serde_json::from_str(&text)?)
}
