//! Normalising the arguments of a tool call. Models and their clients write absent values as null
//! or empty strings, numbers as floats or strings, and lists as strings. Anything else that does
//! not fit is refused with the name of its field.

use rmcp::handler::server::tool::schema_for_input;
use rmcp::model::JsonObject;
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde_json::{Number, Value};

use crate::refused::{Reason, Refused};

/// Parses the arguments of a tool.
///
/// # Errors
/// The field that does not fit, and how.
pub(crate) fn read<T>(arguments: JsonObject) -> Result<T, Refused>
where
    T: DeserializeOwned + JsonSchema + 'static,
{
    let schema = schema_for_input::<T>();
    let schema = schema.map_err(|why| Refused::here(Reason::Refused, why))?;
    let mut fitted = JsonObject::new();
    for (name, value) in arguments {
        let field = Field::of(&schema, &name);
        if let Some(value) = field.fitted(value)? {
            fitted.insert(name, value);
        }
    }
    serde_path_to_error::deserialize(Value::Object(fitted)).map_err(|error| {
        let path = error.path().to_string();
        let why = error.into_inner();
        // The path `.` means the whole object: the error itself names the missing or unknown field.
        if path == "." {
            return Refused::input(why);
        }
        Refused::input(format!("`{path}`: {why}"))
    })
}

/// A field in the schema of a tool.
struct Field<'a> {
    name: &'a str,
    schema: Option<&'a Value>,
    is_required: bool,
}

impl<'a> Field<'a> {
    fn of(schema: &'a JsonObject, name: &'a str) -> Self {
        let required = schema.get("required").and_then(Value::as_array);
        Self {
            name,
            schema: schema.get("properties").and_then(|all| all.get(name)),
            is_required: required.is_some_and(|all| all.iter().any(|one| one == name)),
        }
    }

    /// True if the schema accepts this JSON type. A schema without a type accepts any.
    fn takes(&self, of: &str) -> bool {
        match self.schema.and_then(|schema| schema.get("type")) {
            Some(Value::String(one)) => one == of,
            Some(Value::Array(several)) => several.iter().any(|one| one == of),
            Some(Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_)) | None => true,
        }
    }

    fn takes_numbers_alone(&self) -> bool {
        self.takes("integer") && !self.takes("string")
    }

    fn takes_lists_alone(&self) -> bool {
        self.takes("array") && !self.takes("string")
    }

    /// Returns the value as the tool expects it. `None` if the field counts as absent.
    fn fitted(&self, value: Value) -> Result<Option<Value>, Refused> {
        let is = match value {
            Value::Null => return Ok(None),
            // Models send an empty text for an optional field that they mean to leave out.
            Value::String(text)
                if text.trim().is_empty() && !self.is_required && self.is_known() =>
            {
                return Ok(None);
            }
            // Clients that write every argument as a text also write `null` and lists as texts.
            Value::String(text) if text.trim() == "null" && !self.takes("string") => {
                return Ok(None);
            }
            Value::String(text) if self.takes_lists_alone() => {
                let list: Option<Vec<Value>> = serde_json::from_str(&text).ok();
                let list = list.ok_or_else(|| self.misfit("a text"))?;
                return Ok(Some(Value::Array(list)));
            }
            Value::String(text) if self.takes_numbers_alone() => {
                let number: Option<Number> = serde_json::from_str(text.trim()).ok();
                return self.whole(number.as_ref()).map(Some);
            }
            Value::Number(number) if self.takes("integer") && self.is_known() => {
                return self.whole(Some(&number)).map(Some);
            }
            Value::String(_) if !self.takes("string") => "a text",
            Value::Number(_) if !self.takes("number") => "a number",
            Value::Bool(_) if !self.takes("boolean") => "a truth value",
            Value::Array(_) if !self.takes("array") => "a list",
            Value::Object(_) if !self.takes("object") => "an object",
            fits @ (Value::Bool(_)
            | Value::Number(_)
            | Value::String(_)
            | Value::Array(_)
            | Value::Object(_)) => return Ok(Some(fits)),
        };
        Err(self.misfit(is))
    }

    const fn is_known(&self) -> bool {
        self.schema.is_some()
    }

    /// Accepts a whole number in any notation.
    fn whole(&self, number: Option<&Number>) -> Result<Value, Refused> {
        let Some(number) = number else {
            return Err(self.misfit("a text"));
        };
        if number.is_u64() || number.is_i64() {
            return Ok(number.clone().into());
        }
        let float = number
            .as_f64()
            .filter(|float| float.fract() == 0.0 && float.abs() < 1e15);
        #[expect(
            clippy::cast_possible_truncation,
            reason = "the number is whole, and within what an i64 holds"
        )]
        let whole = float.map(|float| Value::from(float as i64));
        whole.ok_or_else(|| self.misfit("a number with a fraction, or too large"))
    }

    fn misfit(&self, is: &str) -> Refused {
        let words = [
            ("string", "a text"),
            ("integer", "a whole number"),
            ("array", "a list"),
            ("object", "an object"),
        ];
        let wanted = words.iter().find(|(of, _)| self.takes(of));
        let wanted = wanted.map_or("of another type", |(_, word)| *word);
        Refused::input(format!("`{}` is {is}, and has to be {wanted}", self.name))
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;
    use serde_json::json;

    use super::*;
    use crate::text::Sentence;

    #[derive(Debug, PartialEq, Deserialize, JsonSchema)]
    #[serde(deny_unknown_fields)]
    struct Input {
        grant: String,
        #[serde(default)]
        reason: Option<Sentence>,
        #[serde(default)]
        wait: u16,
        #[serde(default)]
        actions: Vec<Sentence>,
        #[serde(default)]
        what: What,
    }

    #[derive(Debug, PartialEq, Default, Deserialize, JsonSchema)]
    #[serde(rename_all = "snake_case")]
    enum What {
        /// A variant without data.
        #[default]
        All,
        /// A second variant without data.
        Some,
    }

    fn given(more: &Value) -> Result<Input, String> {
        let mut all = json!({"grant": "g"});
        for (name, value) in more.as_object().unwrap() {
            all[name] = value.clone();
        }
        read(all.as_object().unwrap().clone()).map_err(|refused| {
            assert_eq!(refused.reason, Reason::InvalidInput);
            refused.line
        })
    }

    #[test]
    fn d38_null_and_empty_optionals_are_left_out() {
        let plain = given(&json!({})).unwrap();
        for name in ["reason", "wait", "actions", "what"] {
            for empty in [json!(null), json!(""), json!("  ")] {
                assert_eq!(
                    given(&json!({ name: empty })).as_ref(),
                    Ok(&plain),
                    "{name}"
                );
            }
        }
        assert_eq!(given(&json!({"actions": []})).as_ref(), Ok(&plain));
        assert_eq!(given(&json!({"unknown": null})).as_ref(), Ok(&plain));
        let unknown = given(&json!({"unknown": ""})).unwrap_err();
        assert!(unknown.contains("unknown field `unknown`"), "{unknown}");
        let missing = given(&json!({"grant": null})).unwrap_err();
        assert!(missing.contains("missing field `grant`"), "{missing}");
    }

    // As clients send them whose models write every argument as a text.
    #[test]
    fn d38_null_and_lists_are_read_from_texts() {
        let plain = given(&json!({})).unwrap();
        for name in ["wait", "actions"] {
            let as_text = given(&json!({ name: "null" }));
            assert_eq!(as_text.as_ref(), Ok(&plain), "{name}");
        }
        // A field of type text keeps the word `null`.
        let reason = given(&json!({"reason": "null"})).unwrap().reason;
        assert!(reason.is_some());
        let list = given(&json!({"actions": ["delete a", "delete b"]})).unwrap();
        let as_text = given(&json!({"actions": "[\"delete a\", \"delete b\"]"}));
        assert_eq!(as_text.as_ref(), Ok(&list));
        assert_eq!(given(&json!({"actions": "[]"})).as_ref(), Ok(&plain));
        for bad in ["[\"a\"", "{}", "a, b", "7"] {
            let line = given(&json!({ "actions": bad })).unwrap_err();
            assert!(
                line.contains("`actions` is a text, and has to be a list"),
                "{line}"
            );
        }
        let line = given(&json!({"actions": "[7]"})).unwrap_err();
        assert!(line.contains("`actions[0]`: "), "{line}");
    }

    #[test]
    fn d38_a_whole_number_is_read_in_every_notation() {
        for thirty in [
            json!(30),
            json!(30.0),
            json!(3e1),
            json!("30"),
            json!(" 30 "),
            json!("30.0"),
        ] {
            assert_eq!(
                given(&json!({"wait": thirty})).unwrap().wait,
                30,
                "{thirty}"
            );
        }
        for (bad, said) in [
            (
                json!(30.5),
                "`wait` is a number with a fraction, or too large, and has to be a whole number",
            ),
            (json!("30.5"), "`wait` is a number with a fraction"),
            (
                json!(1e300),
                "`wait` is a number with a fraction, or too large",
            ),
            (
                json!("soon"),
                "`wait` is a text, and has to be a whole number",
            ),
            (
                json!("30s"),
                "`wait` is a text, and has to be a whole number",
            ),
            (
                json!("0x1e"),
                "`wait` is a text, and has to be a whole number",
            ),
            (
                json!(true),
                "`wait` is a truth value, and has to be a whole number",
            ),
            (
                json!([30]),
                "`wait` is a list, and has to be a whole number",
            ),
            (json!(-1), "`wait`: "),
            (json!(65536), "`wait`: "),
        ] {
            let line = given(&json!({"wait": bad})).unwrap_err();
            assert!(line.contains(said), "{line}");
        }
    }

    #[test]
    fn d38_a_value_of_a_wrong_type_is_refused_with_its_field() {
        for (bad, said) in [
            (
                json!({"reason": 7}),
                "`reason` is a number, and has to be a text",
            ),
            (
                json!({"reason": {"text": "x"}}),
                "`reason` is an object, and has to be a text",
            ),
            (
                json!({"actions": "x"}),
                "`actions` is a text, and has to be a list",
            ),
            (json!({"actions": ["x", 7]}), "`actions[1]`: "),
            (json!({"actions": [null]}), "`actions[0]`: "),
            (json!({"what": "none"}), "`what`: unknown variant `none`"),
            (
                json!({"grant": ["g"]}),
                "`grant` is a list, and has to be a text",
            ),
        ] {
            let line = given(&bad).unwrap_err();
            assert!(line.contains(said), "{line}");
        }
        assert_eq!(given(&json!({"what": "some"})).unwrap().what, What::Some);
    }
}
