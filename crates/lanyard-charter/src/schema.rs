//! Pieces of the JSON Schema (draft 2020-12) of charters, which the sections of kinds are described
//! with.

use serde_json::{Value, json};

/// The pattern of a name of Lanyard's own.
pub const NAME_PATTERN: &str = "^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$";

/// A map with exactly these fields.
#[must_use]
pub fn fields(required: &[&str], properties: Value) -> Value {
    json!({
        "type": "object",
        "additionalProperties": false,
        "required": required,
        "properties": properties,
    })
}

/// A text that is not empty.
#[must_use]
pub fn text(description: &str) -> Value {
    json!({"type": "string", "minLength": 1, "description": description})
}

/// A name of Lanyard's own.
#[must_use]
pub fn name(description: &str) -> Value {
    json!({"type": "string", "pattern": NAME_PATTERN, "description": description})
}

/// A list with at least so many items.
#[must_use]
pub fn list(of: Value, least: u32) -> Value {
    json!({"type": "array", "items": of, "minItems": least})
}

/// A list of texts.
#[must_use]
pub fn strings(description: &str) -> Value {
    section(description, list(json!({"type": "string"}), 0))
}

/// A schema with a description, where the schema does not have one of its own.
#[must_use]
pub fn section(meaning: &str, mut schema: Value) -> Value {
    if let Some(fields) = schema.as_object_mut() {
        fields.insert("description".to_owned(), Value::from(meaning));
    }
    schema
}

/// A list of AWS actions and patterns.
#[must_use]
pub fn aws_actions() -> Value {
    list(
        json!({"type": "string", "pattern": "^[A-Za-z0-9-]+:[A-Za-z0-9*?]+$"}),
        0,
    )
}
