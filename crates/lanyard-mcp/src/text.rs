//! Bounded texts in the arguments of tools.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};

/// A text of 1 to `MAX_CHARS` characters, passed on unchanged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Text<const MAX_CHARS: usize>(String);

/// A reason, ticket or summary, as long as the broker accepts.
pub(crate) type Sentence = Text<1000>;

impl<const MAX_CHARS: usize> Text<MAX_CHARS> {
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    pub(crate) fn into_inner(self) -> String {
        self.0
    }
}

impl<'de, const MAX_CHARS: usize> Deserialize<'de> for Text<MAX_CHARS> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let length = text.chars().count();
        if text.trim().is_empty() {
            return Err(D::Error::custom("a text must not be empty"));
        }
        if length > MAX_CHARS {
            let message = format!("a text has {length} characters and may have {MAX_CHARS}");
            return Err(D::Error::custom(message));
        }
        Ok(Self(text))
    }
}

impl<const MAX_CHARS: usize> JsonSchema for Text<MAX_CHARS> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        format!("Text{MAX_CHARS}").into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "string", "minLength": 1, "maxLength": MAX_CHARS})
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_has_a_length_limit() {
        let read = |text: &str| serde_json::from_value::<Text<3>>(serde_json::json!(text));
        assert_eq!(read("äöü").unwrap().as_str(), "äöü");
        for bad in ["", "  ", "äöüß"] {
            assert!(read(bad).is_err(), "{bad:?}");
        }
    }
}
