//! Expressions of a configuration: their constants, and those whose text a plan omits.

use serde_json::Value;

use crate::difference::join;
use crate::review::Piece::{Own, Plan};
use crate::review::Review;

/// Replaces constant expressions by their values.
pub(super) fn constants(value: &Value) -> Value {
    match value {
        Value::Object(map) => match (map.get("constant_value"), map.len()) {
            (Some(constant), 1) => constant.clone(),
            _ => map
                .iter()
                .map(|(key, inner)| (key.clone(), constants(inner)))
                .collect(),
        },
        Value::Array(items) => items.iter().map(constants).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value.clone(),
    }
}

/// Returns the arguments of a provisioner or provider, except the fields in `without`.
pub(super) fn expressions(of: &Value, without: &[&str]) -> Value {
    let mut told = match of.get("expressions") {
        Some(told) if told.is_object() => constants(told),
        None | Some(Value::Null) => Value::Object(serde_json::Map::new()),
        Some(other) => serde_json::json!({"expressions": constants(other)}),
    };
    if let (Some(told), Some(all)) = (told.as_object_mut(), of.as_object()) {
        for (key, value) in all {
            if key != "expressions" && !without.contains(&key.as_str()) {
                told.insert(key.clone(), constants(value));
            }
        }
    }
    told
}

/// Returns the paths of expressions that are no constants, whose text the plan omits. Stops when
/// `room` is used up; the view is then too long anyway.
pub(super) fn unwritten(of: &Value, room: &mut usize) -> Vec<String> {
    let mut found = Vec::new();
    let expressions = of.get("expressions").unwrap_or(&Value::Null);
    without_text(None, expressions, &mut found, room);
    found
}

/// A position in expressions. The path is built only for findings: a long key may stand above very
/// many others.
#[derive(Clone, Copy)]
struct ExpressionPath<'a> {
    above: Option<&'a Self>,
    own: Step<'a>,
}

#[derive(Clone, Copy)]
enum Step<'a> {
    Key(&'a str),
    Entry(usize),
}

impl ExpressionPath<'_> {
    fn path(&self) -> String {
        let steps = std::iter::successors(Some(self), |place| place.above);
        let mut steps: Vec<Step<'_>> = steps.map(|place| place.own).collect();
        steps.reverse();
        steps.iter().fold(String::new(), |path, step| match step {
            Step::Key(key) => join(&path, key),
            Step::Entry(place) => format!("{path}[{place}]"),
        })
    }
}

fn without_text(
    above: Option<&ExpressionPath<'_>>,
    value: &Value,
    found: &mut Vec<String>,
    room: &mut usize,
) {
    let mut below =
        |own, inner| without_text(Some(&ExpressionPath { above, own }), inner, found, room);
    match value {
        Value::Object(map) if map.contains_key("constant_value") => {}
        Value::Object(map) if map.get("references").is_some_and(Value::is_array) => {
            if *room > 0 {
                let path = above.map_or_else(String::new, ExpressionPath::path);
                *room = room.saturating_sub(path.len() + 1);
                found.push(path);
            }
        }
        Value::Object(map) => {
            for (key, inner) in map {
                below(Step::Key(key), inner);
            }
        }
        Value::Array(items) => {
            for (place, inner) in items.iter().enumerate() {
                below(Step::Entry(place), inner);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// Adds a line for each expression whose text the plan omits.
pub(super) fn unwritten_parts(review: &mut Review, paths: &[String]) {
    for path in paths {
        review.line(&[
            Own("    NOT SHOWN: the text of "),
            Plan(path),
            Own(", which is put together during the apply; the plan has only what it refers to"),
        ]);
    }
}
