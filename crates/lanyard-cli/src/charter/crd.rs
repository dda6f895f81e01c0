//! The CustomResourceDefinition of charters, from the JSON Schema of the language.
//!
//! Nothing in the definition drops, refuses or fills in a field of a charter: the broker's reader
//! sees what was written, and decides. What the schema says is for `kubectl explain` and for
//! editors.

use std::fmt::Write as _;

use lanyard_charter::description;
use serde_json::{Map, Value, json};

use crate::kinds;

/// The comment above the definition.
const HEAD: &str = "\
# Charters as Kubernetes objects; docs/how-to/charters-in-kubernetes.md.
# Made by `lanyard charter crd`. The API server keeps every field that is written and adds none: the broker's reader decides.
";
const PRESERVE: &str = "x-kubernetes-preserve-unknown-fields";

/// The definition, in YAML.
pub(crate) fn text() -> String {
    let mut text = HEAD.to_owned();
    write_yaml(&definition(), 0, &mut text);
    text
}

fn definition() -> Value {
    json!({
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": "charters.lanyard.dev"},
        "spec": {
            "group": "lanyard.dev",
            "names": {
                "kind": "Charter", "listKind": "CharterList", "plural": "charters", "singular": "charter",
            },
            "scope": "Namespaced",
            "versions": [{
                "name": "v1",
                "served": true,
                "storage": true,
                "subresources": {"status": {}},
                "additionalPrinterColumns": columns(),
                "schema": {"openAPIV3Schema": root()},
            }],
        },
    })
}

fn columns() -> Value {
    let column =
        |name: &str, kind: &str, path: &str| json!({"name": name, "type": kind, "jsonPath": path});
    let condition = |part: &str| format!(".status.conditions[?(@.type==\"InForce\")].{part}");
    json!([
        column("In force", "string", &condition("status")),
        column("Revision", "string", ".status.shortRevision"),
        column("Owner", "string", ".spec.owners.technical"),
        column("Reason", "string", &condition("reason")),
        column("Findings", "integer", ".status.findingCount"),
        column("Age", "date", ".metadata.creationTimestamp"),
    ])
}

fn root() -> Value {
    let charter = description::schema(kinds::more());
    let meaning = |name: &str| {
        let found = charter.pointer(&format!("/properties/{name}/description"));
        found.cloned().unwrap_or_default()
    };
    let spec = charter.pointer("/properties/spec").map(structural);
    json!({
        "description": "What an agent may do, which systems it may reach, which outcomes are prohibited, and what people must approve.",
        "type": "object",
        PRESERVE: true,
        "properties": {
            "apiVersion": {"type": "string", "description": meaning("apiVersion")},
            "kind": {"type": "string", "description": meaning("kind")},
            "metadata": {"type": "object"},
            "spec": spec,
            "status": status(),
        },
    })
}

/// The schema of the status that the broker writes.
fn status() -> Value {
    let text = |meaning: &str| json!({"type": "string", "description": meaning});
    let number =
        |meaning: &str| json!({"type": "integer", "format": "int64", "description": meaning});
    json!({
        "type": "object",
        "description": "What the broker made of the charter; written by the broker alone.",
        PRESERVE: true,
        "properties": {
            "observedGeneration": number("The generation that the rest is about."),
            "revision": text("The revision in force: the digest of name, spec and policies."),
            "shortRevision": text("Its first twelve digits."),
            "findingCount": number("How many findings there are, warnings among them."),
            "findings": {
                "type": "array",
                "description": "What lint says, the first twenty.",
                "items": {
                    "type": "object",
                    PRESERVE: true,
                    "properties": {
                        "code": text("`lanyard explain CODE` says more."),
                        "severity": text("An error keeps the charter out of force."),
                        "path": text("The field."),
                        "message": text("What is wrong, and what would help."),
                    },
                },
            },
            "conditions": {
                "type": "array",
                "description": "InForce: whether tasks can be opened under the charter.",
                "x-kubernetes-list-type": "map",
                "x-kubernetes-list-map-keys": ["type"],
                "items": {
                    "type": "object",
                    PRESERVE: true,
                    "required": ["type"],
                    "properties": {
                        "type": text("InForce."),
                        "status": text("True or False."),
                        "reason": text("One word."),
                        "message": text("What lint says, or why the broker does not take the charter."),
                        "observedGeneration": number("The generation that the condition is about."),
                        "lastTransitionTime": {
                            "type": "string", "format": "date-time",
                            "description": "When the status changed last.",
                        },
                    },
                },
            },
        },
    })
}

/// The part of a JSON Schema that a structural schema can say without deciding anything: types,
/// names and meanings.
fn structural(schema: &Value) -> Value {
    let mut made = Map::new();
    let mut meaning = schema
        .get("description")
        .and_then(Value::as_str)
        .unwrap_or_default()
        .to_owned();
    let properties = properties(schema);
    let either = schema.get("oneOf").and_then(Value::as_array);
    let is_text = |one: &Value| one.get("type") == Some(&"string".into());
    if either.is_some_and(|either| either.iter().any(is_text)) {
        // A text or a map: a structural schema has no word for that, and takes both where it names
        // neither.
        return json!({
            "description": "CONFIGMAP/KEY.rego and what has to be there: `{path: …, digest: sha256:…}`.",
            PRESERVE: true,
        });
    }
    let words = schema.get("enum").and_then(Value::as_array);
    let words: Vec<&str> = words
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    // The meaning names the words that have meanings.
    let is_named = |word: &&str| meaning.contains(&format!("`{word}`"));
    if !words.iter().all(is_named) {
        let gap = if meaning.is_empty() { "" } else { " " };
        meaning.push_str(&format!("{gap}One of: {}.", words.join(", ")));
    }
    if !meaning.is_empty() {
        made.insert("description".to_owned(), meaning.into());
    }
    let more = schema
        .get("additionalProperties")
        .filter(|it| it.is_object());
    let kind = schema.get("type").and_then(Value::as_str);
    if let Some(items) = schema.get("items") {
        made.insert("type".to_owned(), "array".into());
        made.insert("items".to_owned(), structural(items));
    } else if let Some(more) = more {
        made.insert("type".to_owned(), "object".into());
        let mut inner = structural(more);
        // Numbers of repositories and projects are written without quotes: whoever reads them takes
        // both.
        if let (Some(Value::String(kind)), true) = (inner.get("type"), inner.is_object())
            && kind == "string"
            && let Some(fields) = inner.as_object_mut()
        {
            fields.remove("type");
            fields.insert("x-kubernetes-int-or-string".to_owned(), true.into());
        }
        made.insert("additionalProperties".to_owned(), inner);
    } else if kind == Some("object") || !properties.is_empty() {
        made.insert("type".to_owned(), "object".into());
        made.insert(PRESERVE.to_owned(), true.into());
        made.insert("properties".to_owned(), properties.into());
    } else if kind == Some("integer") {
        made.insert("x-kubernetes-int-or-string".to_owned(), true.into());
    } else {
        made.insert("type".to_owned(), "string".into());
    }
    made.into()
}

fn properties(schema: &Value) -> Map<String, Value> {
    let known = schema.get("properties").and_then(Value::as_object);
    let known = known.into_iter().flatten();
    known
        .map(|(name, schema)| (name.clone(), structural(schema)))
        .collect()
}

/// Block style, two spaces a level, every text in quotes that is more than a word.
fn write_yaml(value: &Value, level: usize, out: &mut String) {
    let pad = "  ".repeat(level);
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                out.push_str(&format!("{pad}{}:", scalar(&Value::from(name.as_str()))));
                nested(value, level + 1, out);
            }
        }
        Value::Array(items) => {
            for item in items {
                let mut inner = String::new();
                write_yaml(item, level + 1, &mut inner);
                let inner = inner.trim_start();
                // The first field of an item stands on the line of its dash.
                out.push_str(&format!("{pad}- {inner}"));
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {
            out.push_str(&format!("{pad}{}\n", scalar(value)));
        }
    }
}

fn nested(value: &Value, level: usize, out: &mut String) {
    match value {
        Value::Object(fields) if fields.is_empty() => out.push_str(" {}\n"),
        Value::Array(items) if items.is_empty() => out.push_str(" []\n"),
        Value::Object(_) | Value::Array(_) => {
            out.push('\n');
            write_yaml(value, level, out);
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {
            // Writing to a text does not fail.
            writeln!(out, " {}", scalar(value)).ok();
        }
    }
}

fn scalar(value: &Value) -> String {
    let Value::String(text) = value else {
        return value.to_string();
    };
    let is_word = |c: char| c.is_ascii_alphanumeric() || "./-_".contains(c);
    let begins = text.starts_with(|c: char| c.is_ascii_alphabetic());
    // What older parsers read as true or false is quoted: `on` of a breaker is one of these.
    let is_odd = matches!(
        text.as_str(),
        "on" | "off" | "yes" | "no" | "y" | "n" | "true" | "false" | "null"
    );
    if begins && !is_odd && text.chars().all(is_word) {
        text.clone()
    } else {
        value.to_string()
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use lanyard_document::{Node, Value as Yaml, read};

    use super::*;

    fn objects<'a>(path: String, schema: &'a Value, found: &mut Vec<(String, &'a Value)>) {
        found.push((path.clone(), schema));
        for (name, inner) in schema
            .get("properties")
            .and_then(Value::as_object)
            .into_iter()
            .flatten()
        {
            objects(format!("{path}.{name}"), inner, found);
        }
        for name in ["items", "additionalProperties"] {
            if let Some(inner) = schema.get(name) {
                objects(format!("{path}[]"), inner, found);
            }
        }
    }

    #[test]
    fn docs_hold_the_definition_of_this_version() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../../docs/kubernetes")
            .join("charter-crd.yaml");
        if std::env::var_os("LANYARD_UPDATE").is_some() {
            std::fs::write(&path, text()).unwrap();
        }
        assert!(
            std::fs::read_to_string(&path).unwrap_or_default() == text(),
            "docs/kubernetes/charter-crd.yaml is out of date: run this test with LANYARD_UPDATE=1"
        );
    }

    #[test]
    fn nothing_of_a_charter_is_dropped_refused_or_filled_in() {
        let schema = root();
        let mut all = Vec::new();
        objects(String::new(), &schema, &mut all);
        assert!(all.iter().any(|(path, _)| path == ".spec.breakers[].on"));
        for (path, schema) in all {
            let has = |name| schema.get(name).is_some();
            assert!(!has("default"), "{path}");
            let decides = ["enum", "pattern", "minLength", "minItems", "oneOf", "anyOf"];
            assert!(!decides.into_iter().any(has), "{path}: {schema}");
            assert!(!has("required") || path == ".status.conditions[]", "{path}");
            if schema.get("type") == Some(&"object".into())
                && !has("additionalProperties")
                && path != ".metadata"
            {
                assert_eq!(schema.get(PRESERVE), Some(&true.into()), "{path}");
            }
            // `kubectl explain` has something to say of every field that the language describes.
            let typed = has("type")
                || has("x-kubernetes-int-or-string")
                || path == ".spec.plans.policies[]";
            assert!(typed, "{path}: {schema}");
        }
    }

    fn same(node: &Node, value: &Value) -> bool {
        match (&node.value, value) {
            (Yaml::Map(entries), Value::Object(fields)) => {
                entries.len() == fields.len()
                    && entries.iter().all(|(key, inner)| {
                        let Yaml::Scalar { text, .. } = &key.value else {
                            return false;
                        };
                        fields.get(text).is_some_and(|value| same(inner, value))
                    })
            }
            (Yaml::List(items), Value::Array(values)) => {
                items.len() == values.len() && items.iter().zip(values).all(|(a, b)| same(a, b))
            }
            (Yaml::Scalar { text, .. }, Value::String(value)) => text == value,
            (Yaml::Scalar { text, .. }, value) => {
                let shown = value.to_string();
                shown == *text
            }
            _ => matches!(value, Value::Object(fields) if fields.is_empty()),
        }
    }

    #[test]
    fn the_text_is_the_definition() {
        assert!(same(&read(&text()).unwrap(), &definition()));
    }
}
