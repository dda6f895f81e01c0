//! JSON in which no name occurs twice in an object (RFC 8725, section 2.7). With repeated names,
//! two readers could see two different values.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

/// A text that is not acceptable JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unreadable {
    /// The text is not JSON, or not an object.
    Form,
    /// A name occurs twice in one object, at any depth.
    Twice,
}

/// A JSON value, or `None` if a name occurs twice in it. Parsing goes on after such a value, so
/// that one bad entry of a list leaves the other entries readable.
pub(crate) struct Unique(pub(crate) Option<Value>);

/// Parses a JSON object and returns its members.
pub(crate) fn object(text: &[u8]) -> Result<Map<String, Value>, Unreadable> {
    match serde_json::from_slice(text) {
        Ok(Unique(Some(Value::Object(members)))) => Ok(members),
        Ok(Unique(None)) => Err(Unreadable::Twice),
        Ok(Unique(Some(_))) | Err(_) => Err(Unreadable::Form),
    }
}

/// Names the JSON type of a value, for messages.
pub(crate) const fn type_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a truth value",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

impl<'de> Deserialize<'de> for Unique {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Any).map(Self)
    }
}

struct Any;

impl<'de> Visitor<'de> for Any {
    type Value = Option<Value>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(Some(Value::Null))
    }

    fn visit_bool<E>(self, value: bool) -> Result<Self::Value, E> {
        Ok(Some(value.into()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Self::Value, E> {
        Ok(Some(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Self::Value, E> {
        Ok(Some(value.into()))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Self::Value, E> {
        let number = Number::from_f64(value).ok_or_else(|| E::custom("not a number of JSON"))?;
        Ok(Some(number.into()))
    }

    fn visit_str<E>(self, value: &str) -> Result<Self::Value, E> {
        Ok(Some(value.into()))
    }

    fn visit_string<E>(self, value: String) -> Result<Self::Value, E> {
        Ok(Some(value.into()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        let mut values = Some(Vec::new());
        while let Some(Unique(value)) = list.next_element()? {
            values = values.zip(value).map(|(mut values, value)| {
                values.push(value);
                values
            });
        }
        Ok(values.map(Value::Array))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut members = Some(Map::new());
        while let Some((name, Unique(value))) = map.next_entry::<String, Unique>()? {
            members = members.zip(value).and_then(|(mut members, value)| {
                let is_new = members.insert(name, value).is_none();
                is_new.then_some(members)
            });
        }
        Ok(members.map(Value::Object))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn d27_t5_a_name_that_stands_twice_at_any_depth_is_found() {
        let read = |text: &str| object(text.as_bytes());
        assert!(read(r#"{"a": {"b": [1, 2.5, null, true, "x"]}, "b": {"a": 1}}"#).is_ok());
        for twice in [
            r#"{"a": 1, "a": 1}"#,
            r#"{"a": 1, "\u0061": 2}"#,
            r#"{"a": {"b": 1, "b": 2}}"#,
            r#"{"a": [{"b": {"c": 1, "c": 1}}], "d": 1}"#,
        ] {
            assert_eq!(read(twice), Err(Unreadable::Twice), "{twice}");
        }
        let deep = format!("{}{}", r#"{"a":"#.repeat(200), "}".repeat(200));
        for bad in ["", "[]", "1", r#"{"a": 1e999}"#, r#"{"a": 1} 2"#, &deep] {
            assert_eq!(read(bad), Err(Unreadable::Form), "{bad}");
        }
    }

    #[test]
    fn d24_t5_a_bad_entry_of_a_list_leaves_the_others_readable() {
        let list: Vec<Unique> =
            serde_json::from_str(r#"[{"a": 1}, {"a": 1, "a": 2}, null]"#).unwrap();
        let read: Vec<_> = list.iter().map(|entry| entry.0.is_some()).collect();
        assert_eq!(read, [true, false, true]);
    }
}
