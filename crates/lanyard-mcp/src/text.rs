//! Texts that a model gives, within bounds.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};

/// One to so many characters, passed on as they are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Text<const MOST: usize>(String);

/// As long as a broker takes reasons, tickets and summaries.
pub(crate) type Sentence = Text<1000>;

impl<const MOST: usize> Text<MOST> {
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    pub(crate) fn into_inner(self) -> String {
        self.0
    }
}

impl<'de, const MOST: usize> Deserialize<'de> for Text<MOST> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let length = text.chars().count();
        if text.trim().is_empty() {
            return Err(D::Error::custom("a text must not be empty"));
        }
        if length > MOST {
            let message = format!("a text has {length} characters and may have {MOST}");
            return Err(D::Error::custom(message));
        }
        Ok(Self(text))
    }
}

impl<const MOST: usize> JsonSchema for Text<MOST> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        format!("Text{MOST}").into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "string", "minLength": 1, "maxLength": MOST})
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_has_one_to_so_many_characters() {
        let read = |text: &str| serde_json::from_value::<Text<3>>(serde_json::json!(text));
        assert_eq!(read("äöü").unwrap().as_str(), "äöü");
        for bad in ["", "  ", "äöüß"] {
            assert!(read(bad).is_err(), "{bad:?}");
        }
    }
}
