//! Answers of tools in the forms that clients of all protocol versions read: structured, and as
//! text.

use rmcp::handler::server::tool::schema_for_output;
use rmcp::model::{
    CallToolResponse, CallToolResult, ContentBlock, InputRequiredResult, JsonObject,
};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Value, json};

use crate::refused::{Failure, Reason};

/// The outcome of a tool call.
pub(crate) enum Reply<T> {
    /// The answer of the tool.
    Done(T),
    /// The client must do something first and call again (protocol 2026-07-28).
    Ask(Box<InputRequiredResult>),
}

/// The two forms of an answer.
#[derive(Serialize, JsonSchema)]
#[serde(untagged)]
#[schemars(transform = an_object)]
enum Form<T> {
    Done(T),
    Failed {
        /// The reason why the tool did nothing.
        error: Failure,
    },
}

/// Declares the root as an object, which older protocol versions require.
fn an_object(schema: &mut schemars::Schema) {
    schema.insert("type".to_owned(), json!("object"));
}

/// Returns the output schema of a tool.
pub(crate) fn schema<T: JsonSchema + 'static>() -> JsonObject {
    plain(&schema_for_output::<Form<T>>())
}

/// Removes the formats of Rust's integer types, about which clients warn.
pub(crate) fn plain(schema: &JsonObject) -> JsonObject {
    fn clean(value: &Value) -> Value {
        match value {
            Value::Object(object) => Value::Object(plain(object)),
            Value::Array(all) => Value::Array(all.iter().map(clean).collect()),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value.clone(),
        }
    }
    let is_size = |key: &str, value: &Value| key == "format" && value.is_string();
    let kept = schema.iter().filter(|(key, value)| !is_size(key, value));
    kept.map(|(key, value)| (key.clone(), clean(value)))
        .collect()
}

/// Renders an answer for the client.
pub(crate) fn response<T: Serialize>(reply: Result<Reply<T>, Failure>) -> CallToolResponse {
    match reply {
        Ok(Reply::Done(answer)) => {
            let structured = value(&Form::Done(answer));
            let text = ContentBlock::text(structured.to_string());
            result(false, vec![text], structured)
        }
        Ok(Reply::Ask(asked)) => CallToolResponse::InputRequired(*asked),
        // The sentence comes first and alone, because it is complete and meant for people.
        Err(error) => {
            let line = ContentBlock::text(error.message.clone());
            let structured = value(&Form::<()>::Failed { error });
            let all = ContentBlock::text(structured.to_string());
            result(true, vec![line, all], structured)
        }
    }
}

fn result(is_error: bool, content: Vec<ContentBlock>, structured: Value) -> CallToolResponse {
    let mut result = CallToolResult::success(content);
    result.is_error = Some(is_error);
    result.structured_content = Some(structured);
    CallToolResponse::Complete(result)
}

fn value<T: Serialize>(form: &Form<T>) -> Value {
    // Serialization only fails for maps without string keys, which no form has.
    serde_json::to_value(form).unwrap_or_else(
        |_| json!({"error": {"reason": Reason::Refused, "message": "the answer cannot be written", "next": ""}}),
    )
}
