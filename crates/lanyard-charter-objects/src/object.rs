//! An object of the API server, and the charter's document in it.
//!
//! The charter consists of `apiVersion`, `kind`, the name and the `spec`, in one canonical text.
//! Everything else that the API server keeps (labels, `managedFields`, `status`) is not part of it
//! and changes no revision.

use std::sync::Arc;

use lanyard_document::{Code, MAX_DOCUMENT_BYTES, MAX_DOCUMENT_DEPTH};
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use crate::finding::Finding;

/// The identity of an object.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Origin {
    /// Namespace of the object.
    pub namespace: String,
    /// Name of the object, which is the charter's name.
    pub name: String,
    /// The object's uid, which differs from that of an earlier object of the same name.
    pub uid: String,
}

/// The charter's document in an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// The document as canonical text.
    Text(Arc<str>),
    /// A document that cannot be read, with the reason.
    Unreadable(Finding),
}

/// A Charter object, as the API server has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Object {
    /// Identity of the object.
    pub origin: Origin,
    /// Time of creation in seconds since the epoch, by the API server's clock.
    pub created: i64,
    /// Generation, which the API server counts up with each change of the spec.
    pub generation: i64,
    /// Resource version, which differs after each write.
    pub version: String,
    /// The charter's document in the object.
    pub content: Content,
    /// The status that the object has now.
    pub status: Value,
}

#[derive(Deserialize)]
struct Raw<'a> {
    metadata: Metadata,
    #[serde(borrow)]
    status: Option<&'a RawValue>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Metadata {
    name: String,
    #[serde(default)]
    namespace: String,
    #[serde(default)]
    uid: String,
    #[serde(default)]
    creation_timestamp: Option<String>,
    #[serde(default)]
    generation: i64,
    #[serde(default)]
    resource_version: String,
}

impl Object {
    /// Parses an item of a list, or the object of an admission review. An object whose charter is
    /// too large or too deep still has a name, and a finding.
    ///
    /// # Errors
    /// When the item lacks an object's metadata.
    pub fn read(item: &RawValue) -> Result<Self, serde_json::Error> {
        let raw: Raw<'_> = serde_json::from_str(item.get())?;
        let Metadata {
            name,
            namespace,
            uid,
            creation_timestamp,
            generation,
            resource_version,
        } = raw.metadata;
        let created = creation_timestamp
            .and_then(|text| text.parse::<jiff::Timestamp>().ok())
            .map_or(i64::MAX, jiff::Timestamp::as_second);
        let status = raw
            .status
            .and_then(|text| serde_json::from_str(text.get()).ok());
        let content = match canonical(item, &name) {
            Ok(text) => Content::Text(text),
            Err(finding) => Content::Unreadable(finding),
        };
        Ok(Self {
            content,
            origin: Origin {
                namespace,
                name,
                uid,
            },
            created,
            generation,
            version: resource_version,
            status: status.unwrap_or_default(),
        })
    }
}

/// Renders the charter's document with its fields in order and each value on a line of its own, so
/// that findings have positions. Unknown fields beside `spec` are kept, so that the parser refuses
/// them.
///
/// # Errors
/// When the document is larger or deeper than a charter may be.
pub fn canonical(item: &RawValue, name: &str) -> Result<Arc<str>, Finding> {
    let refused = |code, message| Finding {
        code,
        path: String::new(),
        message,
    };
    let too_large = |bytes: usize| {
        let message = format!("the charter has {bytes} bytes and may have {MAX_DOCUMENT_BYTES}");
        refused(Code::TooLarge, message)
    };
    let unread = |error: serde_json::Error| {
        let message = format!("cannot be read: {error}");
        refused(Code::Yaml, message)
    };
    let fields: std::collections::BTreeMap<String, &RawValue> =
        serde_json::from_str(item.get()).map_err(unread)?;
    let own = fields
        .into_iter()
        .filter(|(field, _)| field != "metadata" && field != "status");
    let (mut document, mut bytes) = (Map::new(), 0);
    for (field, raw) in own {
        bytes += raw.get().len();
        if bytes > MAX_DOCUMENT_BYTES {
            return Err(too_large(raw.get().len()));
        }
        let value = serde_json::from_str::<Value>(raw.get());
        // The API server has parsed this text already, so only its depth can be wrong.
        let value = value.map_err(|_| {
            let message = format!("nested deeper than {MAX_DOCUMENT_DEPTH} levels");
            refused(Code::TooDeep, message)
        });
        document.insert(field, value?);
    }
    let metadata = Map::from_iter([("name".to_owned(), Value::from(name))]);
    document.insert("metadata".to_owned(), metadata.into());
    let mut text = String::with_capacity(bytes * 2);
    write(&document.into(), &mut text);
    if text.len() > MAX_DOCUMENT_BYTES {
        return Err(too_large(text.len()));
    }
    Ok(text.into())
}

/// Writes JSON that is YAML as well, with each value on a line of its own.
fn write(value: &Value, text: &mut String) {
    match value {
        Value::Object(fields) if !fields.is_empty() => {
            let mut sorted: Vec<_> = fields.iter().collect();
            sorted.sort_by_key(|(name, _)| *name);
            text.push('{');
            for (place, (name, value)) in sorted.into_iter().enumerate() {
                let gap = if place == 0 { "\n " } else { ",\n " };
                text.push_str(&format!("{gap}{}: ", Value::from(name.as_str())));
                write(value, text);
            }
            text.push_str("\n }");
        }
        Value::Array(items) if !items.is_empty() => {
            text.push('[');
            for (place, item) in items.iter().enumerate() {
                text.push_str(if place == 0 { "\n " } else { ",\n " });
                write(item, text);
            }
            text.push_str("\n ]");
        }
        Value::Object(_)
        | Value::Array(_)
        | Value::Null
        | Value::Bool(_)
        | Value::Number(_)
        | Value::String(_) => text.push_str(&value.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use lanyard_charter::{NoPolicies, parse};
    use lanyard_document::{Node, Value as Yaml, read};
    use lanyard_testkit::world;
    use serde_json::json;

    use super::*;
    use crate::finding::of_charter;

    /// The document of a file as `kubectl` sends it.
    pub(crate) fn as_json(node: &Node) -> Value {
        match &node.value {
            Yaml::Scalar { text, .. } => match text.parse::<i64>() {
                Ok(number) if number.to_string() == *text => number.into(),
                _ => text.as_str().into(),
            },
            Yaml::List(items) => items.iter().map(as_json).collect(),
            Yaml::Map(entries) => {
                let entries = entries.iter().map(|(key, value)| match &key.value {
                    Yaml::Scalar { text, .. } => (text.clone(), as_json(value)),
                    Yaml::List(_) | Yaml::Map(_) => unreachable!("keys are texts"),
                });
                Value::Object(entries.collect())
            }
        }
    }

    fn object(charter: &Value) -> Object {
        Object::read(&raw(charter)).unwrap()
    }

    fn raw(value: &Value) -> Box<RawValue> {
        RawValue::from_string(value.to_string()).unwrap()
    }

    fn text(object: &Object) -> &str {
        match &object.content {
            Content::Text(text) => text,
            Content::Unreadable(finding) => panic!("{finding}"),
        }
    }

    fn charter() -> Value {
        as_json(&read(world::CHARTER).unwrap())
    }

    #[test]
    fn an_object_is_the_charter_of_the_same_file() {
        let of_file = parse(world::CHARTER, &world::world()).unwrap().charter;
        let (of_object, _) =
            of_charter(text(&object(&charter())), &world::world(), &NoPolicies).unwrap();
        assert_eq!(of_object.name, of_file.name);
        assert_eq!(of_object.limits, of_file.limits);
        let lines = |charter: &lanyard_charter::Charter| {
            let grants = charter.grants.values();
            let all = grants.map(|grant| (grant.name.clone(), grant.rights.lines()));
            all.collect::<Vec<_>>()
        };
        assert_eq!(lines(&of_object), lines(&of_file));
        let grant = of_object.grants.values().next().unwrap();
        let path = of_object.paths.at(grant.at).unwrap();
        assert!(path.starts_with("spec.grants["), "{path}");
    }

    #[test]
    fn nothing_but_the_name_and_the_spec_changes_the_revision() {
        let revision = |change: fn(&mut Value)| {
            let mut charter = charter();
            change(&mut charter);
            let object = object(&charter);
            let read = of_charter(text(&object), &world::world(), &NoPolicies);
            read.unwrap().0.revision
        };
        let plain = revision(|_| ());
        let others = revision(|charter| {
            let metadata = json!({"labels": {"a": "b"}, "annotations": {"c": "d"}, "uid": "u",
                "resourceVersion": "7", "generation": 3, "managedFields": [{"manager": "x"}],
                "creationTimestamp": "2026-11-30T06:00:00Z", "namespace": "n"});
            charter["metadata"]
                .as_object_mut()
                .unwrap()
                .extend(metadata.as_object().unwrap().clone());
            charter["status"] = json!({"revision": "x"});
        });
        assert_eq!(plain, others);
        let other = revision(|charter| charter["spec"]["purpose"] = "Another one.".into());
        assert_ne!(plain, other);
        let renamed = revision(|charter| charter["metadata"]["name"] = "other".into());
        assert_ne!(plain, renamed);
    }

    #[test]
    fn unknown_fields_reach_the_parser() {
        for (path, field) in [("spec", "aprovals"), ("spec", "prohibitedd"), ("", "specs")] {
            let mut charter = charter();
            let at = if path.is_empty() {
                &mut charter
            } else {
                &mut charter[path]
            };
            at[field] = json!([]);
            let read = of_charter(text(&object(&charter)), &world::world(), &NoPolicies);
            let findings = read.unwrap_err();
            let gap = if path.is_empty() { "" } else { "." };
            let expected =
                format!("{path}{gap}{field}: error[LC013]: there is no field `{field}` here");
            assert!(
                findings[0].to_string().starts_with(&expected),
                "{findings:?}"
            );
        }
    }

    #[test]
    fn an_on_that_kubectl_turned_into_true_is_explained() {
        let mut charter = charter();
        charter["spec"]["breakers"] =
            json!([{"true": "denied", "count": 3, "within": "10m", "then": "stop-agent"}]);
        let read = of_charter(text(&object(&charter)), &world::world(), &NoPolicies);
        let said: Vec<String> = read.unwrap_err().iter().map(ToString::to_string).collect();
        assert!(
            said.iter().any(
                |line| line.contains("spec.breakers[0].true") && line.ends_with("write \"on\"")
            ),
            "{said:?}"
        );
    }

    #[test]
    fn an_object_that_is_too_large_or_too_deep_has_a_name_and_a_finding() {
        let mut large = charter();
        large["spec"]["purpose"] = "x".repeat(1_500_000).into();
        let mut deep = charter();
        let mut nested = json!("x");
        (0..100).for_each(|_| nested = json!([nested]));
        deep["spec"]["purpose"] = nested;
        let mut deepest = charter().to_string();
        let nested = format!("\"purpose\":{}{}", "[".repeat(5000), "]".repeat(5000));
        let purpose = format!("\"purpose\":{}", charter()["spec"]["purpose"]);
        deepest = deepest.replacen(&purpose, &nested, 1);
        for (item, code) in [
            (raw(&large), Code::TooLarge),
            (RawValue::from_string(deepest).unwrap(), Code::TooDeep),
        ] {
            let object = Object::read(&item).unwrap();
            assert_eq!(object.origin.name, "payments-terraform");
            let Content::Unreadable(finding) = object.content else {
                panic!("{code}");
            };
            assert_eq!(finding.code, code);
        }
        // A depth that JSON accepts is refused by the charter's parser.
        let read = of_charter(text(&object(&deep)), &world::world(), &NoPolicies);
        assert_eq!(read.unwrap_err()[0].code, Code::TooDeep);
    }

    #[test]
    fn any_text_of_an_object_is_read_as_it_is() {
        for odd in [
            "a\"b\\c\nd\te\r\u{7f}\u{85}\u{2028}\u{1f600}",
            "# no comment",
            "x: y",
            "",
            "\u{1}",
        ] {
            let mut charter = charter();
            charter["spec"]["owners"]["business"] = odd.into();
            let object = object(&charter);
            let Ok(root) = read(text(&object)) else {
                // A text that YAML refuses becomes a finding.
                assert!(odd.chars().any(char::is_control), "{odd:?}");
                continue;
            };
            assert_eq!(as_json(&root)["spec"]["owners"]["business"], odd);
        }
    }
}
