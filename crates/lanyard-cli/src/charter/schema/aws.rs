//! The schema of an `aws` grant.

use serde_json::{Value, json};

use super::{fields, list, section, text};

pub(super) fn actions() -> Value {
    list(
        json!({"type": "string", "pattern": "^[A-Za-z0-9-]+:[A-Za-z0-9*?]+$"}),
        0,
    )
}

pub(super) fn grant(target: Value) -> Value {
    let statement = fields(
        &["actions", "resources"],
        json!({
            "actions": section("`service:Action`, with `*` and `?`.", actions()),
            "resources": list(text("An ARN, or `*`."), 1),
            "when": {
                "type": "object", "minProperties": 1,
                "additionalProperties": list(json!({"type": "string"}), 1),
                "description": "Condition keys of AWS, each with the values of which one has to be there; all of them hold.",
            },
            "unnarrowed": {
                "type": "string", "minLength": 1, "maxLength": 200,
                "description": "Why no plan narrows the statement. Every apply needs it, and no plan names it, as with the state and the lock of Terraform.",
            },
        }),
    );
    fields(
        &["target", "allow"],
        json!({
            "target": target,
            "allow": section("What the session may do.", list(statement, 1)),
            "destructive": section("Denied, unless the approved plan names them.", actions()),
            "except": section("Denied, whatever a pattern of `allow` holds.", actions()),
            "approved": section(
                "With the plan role: reads that hand on secrets, or act; a person approves each credential.",
                actions(),
            ),
        }),
    )
}
