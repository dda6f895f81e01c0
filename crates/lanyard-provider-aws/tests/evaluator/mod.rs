//! A small evaluator of the policies that Lanyard writes, independent of the code that writes them.
//! It reads the JSON, matches by recursion, and fails on anything unknown.

use serde_json::Value;

/// A request with its context.
pub(crate) struct Request<'a> {
    pub(crate) action: &'a str,
    pub(crate) resource: &'a str,
    pub(crate) now: &'a str,
    pub(crate) issued: &'a str,
    pub(crate) source_identity: &'a str,
}

/// The answer of one policy: allow, deny, or nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    Allowed,
    Denied,
    Silent,
}

pub(crate) fn evaluate(policy: &str, request: &Request<'_>) -> Verdict {
    let policy: Value = serde_json::from_str(policy).expect("a policy is JSON");
    let matching: Vec<&str> = policy["Statement"]
        .as_array()
        .expect("statements")
        .iter()
        .filter(|statement| matches(statement, request))
        .map(|statement| statement["Effect"].as_str().expect("an effect"))
        .collect();
    if matching.contains(&"Deny") {
        Verdict::Denied
    } else if matching.contains(&"Allow") {
        Verdict::Allowed
    } else {
        Verdict::Silent
    }
}

fn matches(statement: &Value, request: &Request<'_>) -> bool {
    let action = request.action.to_lowercase();
    let action_matches = texts(&statement["Action"])
        .iter()
        .any(|pattern| like(pattern.to_lowercase().as_bytes(), action.as_bytes()));
    let resource_matches = texts(&statement["Resource"])
        .iter()
        .any(|pattern| like(pattern.as_bytes(), request.resource.as_bytes()));
    action_matches && resource_matches && conditions_hold(statement, request)
}

fn conditions_hold(statement: &Value, request: &Request<'_>) -> bool {
    let Some(condition) = statement.get("Condition") else {
        return true;
    };
    condition
        .as_object()
        .expect("operators")
        .iter()
        .all(|(operator, keys)| {
            keys.as_object().expect("keys").iter().all(|(key, values)| {
                let found = match key.as_str() {
                    "aws:CurrentTime" => request.now,
                    "aws:TokenIssueTime" => request.issued,
                    "aws:SourceIdentity" => request.source_identity,
                    other => panic!("unknown key {other}"),
                };
                // Times in one format and one zone can be compared as texts.
                texts(values).iter().any(|value| match operator.as_str() {
                    "DateGreaterThan" => found > value.as_str(),
                    "DateLessThan" => found < value.as_str(),
                    "StringEquals" => found == value,
                    other => panic!("unknown operator {other}"),
                })
            })
        })
}

fn texts(value: &Value) -> Vec<String> {
    match value {
        Value::String(one) => vec![one.clone()],
        Value::Array(many) => many
            .iter()
            .map(|one| one.as_str().expect("a text").to_owned())
            .collect(),
        other => panic!("neither a text nor a list: {other}"),
    }
}

fn like(pattern: &[u8], text: &[u8]) -> bool {
    match (pattern.split_first(), text.split_first()) {
        (None, None) => true,
        (Some((b'*', rest)), _) => {
            like(rest, text)
                || text
                    .split_first()
                    .is_some_and(|(_, less)| like(pattern, less))
        }
        (Some((b'?', rest)), Some((_, less))) => like(rest, less),
        (Some((one, rest)), Some((other, less))) => one == other && like(rest, less),
        _ => false,
    }
}
