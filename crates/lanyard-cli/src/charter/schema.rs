//! The JSON Schema (draft 2020-12) of a charter, for editors: what lint says of fields and values, not of rules.

use lanyard_core::breaker::{EVENTS, PERS, THENS};
use serde_json::{Map, Value, json};

const NAME: &str = "^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$";

/// A map with exactly these fields.
fn fields(required: &[&str], properties: Value) -> Value {
    json!({
        "type": "object",
        "additionalProperties": false,
        "required": required,
        "properties": properties,
    })
}

fn text(description: &str) -> Value {
    json!({"type": "string", "minLength": 1, "description": description})
}

fn name(description: &str) -> Value {
    json!({"type": "string", "pattern": NAME, "description": description})
}

fn list(of: Value, least: u32) -> Value {
    json!({"type": "array", "items": of, "minItems": least})
}

fn span(description: &str) -> Value {
    json!({"type": "string", "pattern": "^[0-9]+[smh]$", "description": description})
}

fn words(words: &[&str]) -> Value {
    json!({"enum": words})
}

fn day(description: &str) -> Value {
    json!({
        "type": "string",
        "pattern": "^[0-9]{4}-[0-9]{2}-[0-9]{2}(T.+)?$",
        "description": description,
    })
}

fn time(description: &str) -> Value {
    json!({
        "type": "string",
        "pattern": "^([01][0-9]|2[0-3]):[0-5][0-9]$|^24:00$",
        "description": description,
    })
}

/// The schema.
pub(crate) fn charter() -> Value {
    let mut schema = fields(
        &["apiVersion", "kind", "metadata", "spec"],
        json!({
            "apiVersion": {"const": "lanyard.dev/v1"},
            "kind": {"const": "Charter"},
            "metadata": fields(&["name"], json!({
                "name": name("Unique in the directory."),
                "labels": {"type": "object", "additionalProperties": {"type": "string"}},
            })),
            "spec": spec(),
        }),
    );
    if let Some(schema) = schema.as_object_mut() {
        let head = [
            ("$schema", "https://json-schema.org/draft/2020-12/schema"),
            ("title", "Lanyard charter"),
        ];
        schema.extend(head.map(|(key, value)| (key.to_owned(), Value::from(value))));
    }
    schema
}

fn spec() -> Value {
    let owner = || text("A person or a group.");
    let mut properties = Map::new();
    let mut add = |name: &str, schema| properties.insert(name.to_owned(), schema);
    add("purpose", text("One sentence."));
    add(
        "owners",
        fields(
            &["business", "technical", "security"],
            json!({"business": owner(), "technical": owner(), "security": owner()}),
        ),
    );
    add("mode", words(&["enforce", "shadow"]));
    add("agents", list(agent(), 1));
    let autonomy = words(&[
        "observe",
        "propose",
        "execute-sandbox",
        "execute-production",
    ]);
    let environment = fields(&["autonomy"], json!({"autonomy": autonomy}));
    add(
        "environments",
        json!({"type": "object", "propertyNames": {"pattern": NAME}, "additionalProperties": environment}),
    );
    add("grants", list(grant(), 0));
    add("prohibited", list(prohibition(), 0));
    let role = || words(&["plan", "apply"]);
    let environments = || list(name("One of this charter's environments."), 0);
    let required = fields(
        &["role", "environments"],
        json!({"role": role(), "environments": environments()}),
    );
    add(
        "plans",
        fields(&["required"], json!({"required": required})),
    );
    add("approvals", list(approval(), 0));
    add("limits", limits());
    add("versions", list(version(), 1));
    add("breakers", list(breaker(), 0));
    let emergency = fields(
        &["grants", "people", "lasts"],
        json!({
            "grants": list(name("One of this charter's grants."), 0),
            "people": {"type": "integer", "minimum": 0, "maximum": 20},
            "lasts": span("After that it is over by itself; 24h at most."),
        }),
    );
    add("emergency", emergency);
    add("requires", list(words(&["reason", "ticket"]), 0));
    for (name, schema) in calendar() {
        add(name, schema);
    }
    let needed = [
        "purpose",
        "owners",
        "agents",
        "environments",
        "grants",
        "limits",
    ];
    fields(&needed, Value::Object(properties))
}

fn calendar() -> [(&'static str, Value); 3] {
    let freeze = fields(
        &["from", "to", "roles", "reason"],
        json!({
            "from": day("Its first day, in UTC."),
            "to": day("Its last day."),
            "roles": list(words(&["plan", "apply"]), 0),
            "environments": list(name("One of this charter's environments."), 0),
            "reason": text("What the agent is told."),
        }),
    );
    let days = words(&["mon", "tue", "wed", "thu", "fri", "sat", "sun"]);
    let hours = fields(
        &["zone", "days", "from", "to", "outside"],
        json!({
            "zone": text("Of the IANA database, such as Europe/Berlin."),
            "days": list(days, 1),
            "from": time("When they begin."),
            "to": time("When they end: on the next day, where that is not after `from`."),
            "outside": words(&["require-approval", "deny"]),
            "roles": list(words(&["plan", "apply"]), 1),
            "environments": list(name("One of this charter's environments."), 0),
        }),
    );
    [
        ("freezes", list(freeze, 0)),
        ("hours", hours),
        ("expires", day("From then on nothing is given.")),
    ]
}

fn breaker() -> Value {
    let events: Vec<_> = EVENTS.iter().map(|(word, _)| *word).collect();
    let pers: Vec<_> = PERS.iter().map(|(word, _)| *word).collect();
    let thens: Vec<_> = THENS.iter().map(|(word, _)| *word).collect();
    fields(
        &["on", "count", "within", "then"],
        json!({
            "on": words(&events),
            "count": {"type": "integer", "minimum": 1, "maximum": 10_000},
            "within": span("A sliding window; 24h at most."),
            "per": words(&pers),
            "then": words(&thens),
            "lasts": span("When what happened ends by itself; only a person ends it when absent."),
        }),
    )
}

fn version() -> Value {
    fields(
        &["model"],
        json!({
            "model": text("As the task states it."),
            "prompt": {
                "type": "string",
                "pattern": "^sha256:[0-9a-f]{64}$",
                "description": "The digest of its instructions; any when absent.",
            },
        }),
    )
}

fn approval() -> Value {
    let when = fields(
        &["role"],
        json!({"role": words(&["plan", "apply"]), "environment": name("Everywhere when absent.")}),
    );
    fields(
        &["when", "people"],
        json!({
            "when": when,
            "people": {"type": "integer", "minimum": 0, "maximum": 20},
            "from": list(json!({"type": "string", "pattern": "^group:.+$"}), 0),
            "expires": span("After the deciding approval; 30m when absent."),
            "uses": {"type": "integer", "minimum": 1, "maximum": 100},
        }),
    )
}

fn agent() -> Value {
    let named = fields(
        &["issuer", "subject"],
        json!({
            "issuer": text("The exact issuer."),
            "subject": text("Exact, or with one `*` for the last segment."),
        }),
    );
    let spiffe = json!({"type": "string", "pattern": "^spiffe://[^/]+"});
    json!({"oneOf": [named, fields(&["spiffe"], json!({"spiffe": spiffe}))]})
}

fn actions() -> Value {
    list(
        json!({"type": "string", "pattern": "^[A-Za-z0-9-]+:[A-Za-z0-9*?]+$"}),
        0,
    )
}

fn grant() -> Value {
    let target = || name("As the daemon's configuration declares it.");
    let token = fields(
        &["target", "audience"],
        json!({"target": target(), "audience": text("`aud`."), "scopes": list(text("A scope."), 0)}),
    );
    let statement = fields(
        &["actions", "resources"],
        json!({"actions": actions(), "resources": list(text("An ARN, or `*`."), 1)}),
    );
    let aws = fields(
        &["target", "allow"],
        json!({"target": target(), "allow": list(statement, 1), "destructive": actions()}),
    );
    let words = || list(json!({"type": "string"}), 0);
    let rule = fields(
        &["apiGroups", "resources", "verbs"],
        json!({
            "apiGroups": words(),
            "resources": words(),
            "verbs": words(),
            "resourceNames": words(),
        }),
    );
    let mut kubernetes = fields(
        &["target", "namespace"],
        json!({
            "target": target(),
            "namespace": name("Where the rights are bound."),
            "rules": list(rule, 1),
            "clusterRole": text("A role that the cluster's owners made."),
        }),
    );
    if let Some(schema) = kubernetes.as_object_mut() {
        let either = json!([{"required": ["rules"]}, {"required": ["clusterRole"]}]);
        schema.insert("oneOf".to_owned(), either);
    }
    let mut grant = fields(
        &["name", "role", "environments"],
        json!({
            "name": name("Unique in the charter."),
            "role": self::words(&["plan", "apply"]),
            "environments": list(name("One of this charter's environments."), 0),
            "ttl": span("Where it is shorter than limits.ttl."),
            "token": token,
            "aws": aws,
            "kubernetes": kubernetes,
        }),
    );
    if let Some(schema) = grant.as_object_mut() {
        let kinds = ["token", "aws", "kubernetes"];
        let one = kinds.map(|kind| json!({"required": [kind]}));
        schema.insert("oneOf".to_owned(), json!(one));
    }
    grant
}

fn prohibition() -> Value {
    let words = || list(json!({"type": "string"}), 0);
    let rule = fields(
        &[],
        json!({"apiGroups": words(), "resources": words(), "verbs": words()}),
    );
    let mut schema = fields(
        &["reason"],
        json!({"aws": actions(), "kubernetes": rule, "reason": text("What the agent is told.")}),
    );
    if let Some(schema) = schema.as_object_mut() {
        let either = json!([{"required": ["aws"]}, {"required": ["kubernetes"]}]);
        schema.insert("oneOf".to_owned(), either);
    }
    schema
}

fn limits() -> Value {
    let rate = fields(
        &["count", "per"],
        json!({"count": {"type": "integer", "minimum": 1, "maximum": 10_000}, "per": span("A window.")}),
    );
    fields(
        &["ttl", "task", "live_leases", "mints"],
        json!({
            "ttl": span("Of a credential; 12h at most."),
            "task": span("Of a task; 24h at most."),
            "live_leases": {"type": "integer", "minimum": 1, "maximum": 1_000_000},
            "mints": rate,
            "revocable_within": span("Refuse a credential whose declared worst case is longer."),
        }),
    )
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use lanyard_core::document::{Node, Value as Yaml, read};

    use super::*;

    /// Every field that the file has, and that the schema does not know there.
    fn unknown(node: &Node, schema: &Value, found: &mut Vec<String>) {
        match &node.value {
            Yaml::Scalar { .. } => {}
            Yaml::List(items) => {
                let items_of = schema.get("items").cloned().unwrap_or_default();
                items
                    .iter()
                    .for_each(|item| unknown(item, &items_of, found));
            }
            Yaml::Map(entries) => {
                let schemas = match schema.get("oneOf").and_then(Value::as_array) {
                    Some(either) if schema.get("properties").is_none() => either.clone(),
                    _ => vec![schema.clone()],
                };
                for (key, value) in entries {
                    let Yaml::Scalar { text, .. } = &key.value else {
                        continue;
                    };
                    let mut inner = schemas.iter().filter_map(|schema| {
                        let named = schema.get("properties").and_then(|all| all.get(text));
                        named.or_else(|| {
                            schema
                                .get("additionalProperties")
                                .filter(|more| more.is_object())
                        })
                    });
                    match inner.next() {
                        Some(inner) => unknown(value, inner, found),
                        None => found.push(text.clone()),
                    }
                }
            }
        }
    }

    #[test]
    fn the_schema_knows_every_field_of_the_good_charters_and_not_a_misspelt_one() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/charters");
        let check = |path: &Path| {
            let tree = read(&std::fs::read_to_string(path).unwrap()).unwrap();
            let mut found = Vec::new();
            unknown(&tree, &charter(), &mut found);
            found
        };
        for entry in std::fs::read_dir(folder.join("good")).unwrap() {
            let path = entry.unwrap().path();
            if lanyard_core::charter::is_charter_file(&path) {
                assert_eq!(check(&path), Vec::<String>::new(), "{}", path.display());
            }
        }
        assert_eq!(check(&folder.join("bad/unknown-field.yaml")).len(), 1);
    }
}
