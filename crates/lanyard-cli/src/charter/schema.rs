//! The JSON Schema (draft 2020-12) of a charter, for editors: what lint says of fields and values,
//! not of rules.

use lanyard_charter::schema::{NAME_PATTERN, aws_actions, fields, list, name, section, text};
use lanyard_charter::{EVENTS, GrantKind, MoreKinds, PERS, THENS, kinds};
use serde_json::{Map, Value, json};

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

/// The schema, with the kinds that are built in and these.
pub(crate) fn charter(more: MoreKinds) -> Value {
    let mut schema = fields(
        &["apiVersion", "kind", "metadata", "spec"],
        json!({
            "apiVersion": section("The version of the language.", json!({"const": "lanyard.dev/v1"})),
            "kind": section("What the file holds.", json!({"const": "Charter"})),
            "metadata": section("What it is known by.", fields(&["name"], json!({
                "name": name("Unique in the directory."),
                "labels": {
                    "type": "object", "additionalProperties": {"type": "string"},
                    "description": "For whoever looks; they decide nothing.",
                },
            }))),
            "spec": section("What it allows.", spec(more)),
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

fn spec(more: MoreKinds) -> Value {
    let mut properties = Map::new();
    let mut add = |name: &str, meaning: &str, schema| {
        properties.insert(name.to_owned(), section(meaning, schema));
    };
    add("purpose", "What it is for, in one sentence.", text(""));
    add("owners", "Who answers for it.", owners());
    let mode = words(&["enforce", "shadow"]);
    add(
        "mode",
        "`shadow` decides and records, and issues nothing.",
        mode,
    );
    add("agents", "Who may open a task.", list(agent(), 1));
    let meaning = "How far an agent may go, by environment.";
    add("environments", meaning, environments());
    let meaning = "Charters under which a task of this one may open tasks for other agents.";
    add("delegates", meaning, list(name("A charter."), 0));
    add(
        "grants",
        "What it may be given.",
        list(grant(&kinds::all(more)), 0),
    );
    let meaning = "What dominates every grant.";
    add(
        "prohibited",
        meaning,
        list(prohibition(&kinds::all(more)), 0),
    );
    add("plans", "Where an apply needs a plan.", plans());
    let meaning = "Who has to approve what; the rules that meet a request count together.";
    add("approvals", meaning, list(approval(), 0));
    add("limits", "Bounds.", limits());
    let meaning = "Actions of AWS that the table of this version does not list, in full.";
    add("unlisted_actions", meaning, aws_actions());
    let meaning = "The builds of the agent that may act; every one when absent.";
    add("versions", meaning, list(version(), 1));
    let meaning = "What is counted, and what happens by itself when there is too much of it.";
    add("breakers", meaning, list(breaker(), 0));
    let meaning = "What is given on easier terms in an emergency that a person declares.";
    add("emergency", meaning, emergency());
    let stated = list(words(&["reason", "ticket", "proof-of-possession"]), 0);
    add(
        "requires",
        "What a task has to state or prove; a reason always.",
        stated,
    );
    for (name, meaning, schema) in calendar() {
        add(name, meaning, schema);
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

fn owners() -> Value {
    let owner = || text("A person or a group.");
    fields(
        &["business", "technical", "security"],
        json!({"business": owner(), "technical": owner(), "security": owner()}),
    )
}

fn environments() -> Value {
    let autonomy = words(&[
        "observe",
        "propose",
        "execute-sandbox",
        "execute-production",
    ]);
    let meaning = "Plans alone; proposals too; applies outside production; applies in production.";
    let environment = fields(
        &["autonomy"],
        json!({"autonomy": section(meaning, autonomy)}),
    );
    json!({"type": "object", "propertyNames": {"pattern": NAME_PATTERN}, "additionalProperties": environment})
}

fn role() -> Value {
    section("`plan` reads, `apply` changes.", words(&["plan", "apply"]))
}

fn own_environments() -> Value {
    list(name("One of this charter's environments."), 0)
}

fn plans() -> Value {
    let required = fields(
        &["role", "environments"],
        json!({"role": role(), "environments": own_environments()}),
    );
    let required = section("What needs one.", required);
    let path = json!({
        "type": "string", "pattern": r"^[A-Za-z0-9_-][A-Za-z0-9._-]*(/[A-Za-z0-9_-][A-Za-z0-9._-]*)*\.rego$",
        "description": "A file in Rego, beneath the charter's folder; of a Kubernetes object CONFIGMAP/KEY.rego.",
    });
    let digest = json!({
        "type": "string", "pattern": "^sha256:[0-9a-f]{64}$",
        "description": "What has to be there; a Kubernetes object always says so.",
    });
    let pinned = json!({"path": path.clone(), "digest": digest});
    let policy = json!({"oneOf": [path, fields(&["path", "digest"], pinned)]});
    let meaning = "What judges every plan that is submitted under the charter: `deny`, `violation` and `warn` as conftest reads them, `risk` and `approval`.";
    let forms = words(&["terraform-json", "manifests", "manifest-diff", "text"]);
    let taken = "In which forms a plan is taken. All of them when absent; terraform-json where there are policies.";
    fields(
        &["required"],
        json!({
            "required": required,
            "policies": section(meaning, list(policy, 0)),
            "formats": section(taken, list(forms, 1)),
        }),
    )
}

fn emergency() -> Value {
    let grants = list(name("One of this charter's grants."), 0);
    fields(
        &["grants", "people", "lasts"],
        json!({
            "grants": section("Which grants of this charter.", grants),
            "people": {
                "type": "integer", "minimum": 0, "maximum": 20,
                "description": "How many approve, besides whoever declared it.",
            },
            "lasts": span("After that it is over by itself; 24h at most."),
        }),
    )
}

fn calendar() -> [(&'static str, &'static str, Value); 3] {
    let freeze = fields(
        &["from", "to", "roles", "reason"],
        json!({
            "from": day("Its first day, in UTC."),
            "to": day("Its last day."),
            "roles": section("Which roles it stops.", list(role(), 0)),
            "environments": section("Where; everywhere when absent.", own_environments()),
            "reason": text("What the agent is told."),
        }),
    );
    let days = words(&["mon", "tue", "wed", "thu", "fri", "sat", "sun"]);
    let hours = fields(
        &["zone", "days", "from", "to", "outside"],
        json!({
            "zone": text("Of the IANA database, such as Europe/Berlin."),
            "days": section("On which they begin.", list(days, 1)),
            "from": time("When they begin."),
            "to": time("When they end: on the next day, where that is not after `from`."),
            "outside": section(
                "One person approves, where nobody had to; or nothing is given.",
                words(&["require-approval", "deny"]),
            ),
            "roles": section("Of which roles; both when absent.", list(role(), 1)),
            "environments": section("Where; everywhere when absent.", own_environments()),
        }),
    );
    [
        (
            "freezes",
            "When something is not given: the change calendar.",
            list(freeze, 0),
        ),
        ("hours", "When it gives what it allows.", hours),
        ("expires", "From then on nothing is given.", day("")),
    ]
}

fn breaker() -> Value {
    let events: Vec<_> = EVENTS.iter().map(|(word, _)| *word).collect();
    let pers: Vec<_> = PERS.iter().map(|(word, _)| *word).collect();
    let thens: Vec<_> = THENS.iter().map(|(word, _)| *word).collect();
    fields(
        &["on", "count", "within", "then"],
        json!({
            "on": section("What is counted.", words(&events)),
            "count": {
                "type": "integer", "minimum": 1, "maximum": 10_000,
                "description": "How many trip it.",
            },
            "action": {
                "type": "string", "pattern": r"^[A-Za-z0-9._:/-]+(\.\*)?$", "maxLength": 102,
                "description": "Of reported actions, those of this name; `ticket.*` names all that begin so.",
            },
            "within": span("A sliding window; 720h at most."),
            "per": section("Counted for each of these by itself.", words(&pers)),
            "then": section("What happens then.", words(&thens)),
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
    let mut when = fields(
        &[],
        json!({
            "role": section("apply, where a risk is named.", role()),
            "environment": name("Everywhere when absent."),
            "risk": section(
                "For plans of this risk and above; it counts as high where the credential is not narrowed to the plan.",
                words(&["low", "medium", "high"]),
            ),
        }),
    );
    if let Value::Object(when) = &mut when {
        let either = json!([{"required": ["role"]}, {"required": ["risk"]}]);
        when.insert("anyOf".to_owned(), either);
    }
    fields(
        &["when", "people"],
        json!({
            "when": section("What it is about.", when),
            "people": {
                "type": "integer", "minimum": 0, "maximum": 20,
                "description": "How many distinct people.",
            },
            "from": section(
                "Of any of these groups, written `group:name`; anybody with the approver role when absent.",
                list(json!({"type": "string", "pattern": "^group:.+$"}), 0),
            ),
            "expires": span("After the deciding approval; 30m when absent."),
            "uses": {
                "type": "integer", "minimum": 1, "maximum": 100,
                "description": "How many apply sessions it is good for; 1 when absent.",
            },
        }),
    )
}

fn agent() -> Value {
    let named = fields(
        &["issuer", "subject"],
        json!({
            "issuer": text("The exact issuer."),
            "subject": text("Exact, or with one `*` for the last segment."),
            "claims": claims(),
        }),
    );
    let spiffe = json!({
        "type": "string", "pattern": "^spiffe://[^/]+",
        "description": "Instead of issuer and subject: a SPIFFE ID, exact or with one `*` for the last segment.",
    });
    let by_id = fields(&["spiffe"], json!({"spiffe": spiffe, "claims": claims()}));
    json!({"oneOf": [named, by_id]})
}

fn claims() -> Value {
    json!({
        "type": "object",
        "additionalProperties": {"type": "string", "minLength": 1},
        "description": "What the issuer has to say besides, of what the daemon's configuration takes from it: each claim exact, or with one `*` for the last segment.",
    })
}

fn grant(kinds: &[&dyn GrantKind]) -> Value {
    let mut grant = fields(
        &["name", "role", "environments"],
        json!({
            "name": name("Unique in the charter."),
            "role": role(),
            "environments": section("Where it may be used.", own_environments()),
            "ttl": span("Where it is shorter than limits.ttl."),
        }),
    );
    if let Some(properties) = grant.get_mut("properties").and_then(Value::as_object_mut) {
        for kind in kinds {
            let target = name("As the daemon's configuration declares it.");
            let schema = section(kind.meaning(), kind.schema(target));
            properties.insert(kind.id().to_string(), schema);
        }
    }
    if let Some(schema) = grant.as_object_mut() {
        let one = kinds
            .iter()
            .map(|kind| json!({"required": [kind.id().as_str()]}));
        schema.insert("oneOf".to_owned(), one.collect());
    }
    grant
}

fn prohibition(kinds: &[&dyn GrantKind]) -> Value {
    let mut properties = Map::new();
    let mut either = Vec::new();
    for (kind, of) in kinds
        .iter()
        .filter_map(|kind| Some((kind.id(), kind.prohibited()?)))
    {
        properties.insert(kind.to_string(), section(of.meaning, of.schema));
        either.push(json!({"required": [kind.as_str()]}));
    }
    properties.insert("reason".to_owned(), text("What the agent is told."));
    let mut schema = fields(&["reason"], Value::Object(properties));
    if let Some(schema) = schema.as_object_mut() {
        schema.insert("oneOf".to_owned(), Value::Array(either));
    }
    schema
}

fn limits() -> Value {
    let rate = fields(
        &["count", "per"],
        json!({
            "count": {
                "type": "integer", "minimum": 1, "maximum": 10_000,
                "description": "How many.",
            },
            "per": span("In each window of this length; 24h at most."),
        }),
    );
    fields(
        &["ttl", "task", "live_leases", "mints"],
        json!({
            "ttl": span("Of a credential; 12h at most."),
            "task": span("Of a task; 24h at most."),
            "budget": section(
                "What one task may have in all; then it closes itself.",
                fields(
                    &["mints", "time"],
                    json!({
                        "mints": {
                            "type": "integer", "minimum": 1, "maximum": 10_000,
                            "description": "How many credentials.",
                        },
                        "time": span("Of credentials, added up; 720h at most."),
                    }),
                ),
            ),
            "approval_requests": section(
                "How often one agent may ask people; 10 open requests and 1m when absent.",
                fields(
                    &["open", "cooldown"],
                    json!({
                        "open": {
                            "type": "integer", "minimum": 1, "maximum": 1000,
                            "description": "How many requests may wait at once.",
                        },
                        "cooldown": span("For how long after a denial nothing can be asked; 24h at most."),
                    }),
                ),
            ),
            "live_leases": {
                "type": "integer", "minimum": 1, "maximum": 1_000_000,
                "description": "How many credentials of one agent may live at once.",
            },
            "mints": section("How many credentials one agent may be given in a while.", rate),
            "revocable_within": span("Refuse a credential whose declared worst case is longer."),
        }),
    )
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use lanyard_document::{Node, Value as Yaml, read};

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
            unknown(&tree, &charter(MoreKinds::default()), &mut found);
            found
        };
        for entry in std::fs::read_dir(folder.join("good")).unwrap() {
            let path = entry.unwrap().path();
            if lanyard_charter::is_charter_file(&path) {
                assert_eq!(check(&path), Vec::<String>::new(), "{}", path.display());
            }
        }
        assert_eq!(check(&folder.join("bad/unknown-field.yaml")).len(), 1);
    }
}
