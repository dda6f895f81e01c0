//! JSON values as YAML 1.2, in blocks. A text that could be taken for anything else stands in
//! quotes, as JSON has it, which is YAML as well.

use lanyard_vocabulary::text::is_hidden;
use serde_json::Value;

/// Words that some reader of YAML takes for something else than a text.
const WORDS: [&str; 11] = [
    "null", "true", "false", "yes", "no", "on", "off", "y", "n", "nan", "inf",
];

/// A document, with the end of its last line.
pub(crate) fn text(value: &Value) -> String {
    let mut out = String::new();
    if !block(value, 0, &mut out) {
        out.push_str(&format!("{}\n", scalar(value)));
    }
    out
}

/// Writes what takes lines of its own: a list or a map with something in it.
fn block(value: &Value, depth: usize, out: &mut String) -> bool {
    match value {
        Value::Array(all) if !all.is_empty() => items(all, depth, out),
        Value::Object(members) if !members.is_empty() => fields(members, depth, out),
        Value::Null
        | Value::Bool(_)
        | Value::Number(_)
        | Value::String(_)
        | Value::Array(_)
        | Value::Object(_) => return false,
    }
    true
}

fn items(all: &[Value], depth: usize, out: &mut String) {
    for one in all {
        let start = out.len();
        if !block(one, depth + 1, out) {
            out.push_str(&format!("{}{}\n", indent(depth + 1), scalar(one)));
        }
        // The dash stands in front of its first line.
        let dash = start + depth * 2;
        out.replace_range(dash..dash + 2, "- ");
    }
}

fn fields(members: &serde_json::Map<String, Value>, depth: usize, out: &mut String) {
    for (name, value) in members {
        let (indent, name) = (indent(depth), plain(name));
        let start = out.len();
        if block(value, depth + 1, out) {
            out.insert_str(start, &format!("{indent}{name}:\n"));
        } else {
            out.push_str(&format!("{indent}{name}: {}\n", scalar(value)));
        }
    }
}

fn indent(depth: usize) -> String {
    "  ".repeat(depth)
}

fn scalar(value: &Value) -> String {
    match value {
        Value::String(text) => plain(text),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => {
            value.to_string()
        }
    }
}

/// A text as it is, where it can be nothing else.
fn plain(text: &str) -> String {
    let first = text.chars().next();
    let letters = |c: char| c.is_ascii_alphanumeric() || matches!(c, ' ' | '-' | '_' | '.' | '/');
    let safe = first.is_some_and(|c| c.is_ascii_alphabetic())
        && !text.ends_with(' ')
        && text.chars().all(letters)
        && !WORDS.contains(&text.to_ascii_lowercase().as_str());
    if safe {
        return text.to_owned();
    }
    // YAML allows fewer characters in quotes than JSON does: what cannot be seen is escaped.
    let quoted = Value::from(text).to_string();
    quoted
        .chars()
        .map(|c| match c {
            c if is_hidden(c) && u32::from(c) > 0xffff => format!("\\U{:08x}", u32::from(c)),
            c if is_hidden(c) => format!("\\u{:04x}", u32::from(c)),
            c => c.to_string(),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::text;

    #[test]
    fn a_document_is_laid_out_in_blocks() {
        let value = json!([
            {"count": 7, "empty": [], "expires": "2027-01-15T08:00:00Z", "lease": "L-1", "why": ""},
            {"nested": {"list": ["a", ["b", {"c": null}], {}], "on": true}},
        ]);
        let expected = r#"- count: 7
  empty: []
  expires: "2027-01-15T08:00:00Z"
  lease: L-1
  why: ""
- nested:
    list:
      - a
      - - b
        - c: null
      - {}
    "on": true
"#;
        assert_eq!(text(&value), expected);
        assert_eq!(text(&json!([])), "[]\n");
        assert_eq!(text(&json!("x")), "x\n");
    }

    #[test]
    fn a_text_that_could_be_something_else_is_quoted() {
        for odd in [
            "",
            "no",
            "NULL",
            "Yes",
            "12",
            "1e3",
            "0x1f",
            ".5",
            "-",
            "- a",
            "a: b",
            "a #b",
            "#",
            "*a",
            "&a",
            "!x",
            "%x",
            "@x",
            "`x",
            "a\nb",
            "\u{85}",
            "\u{2028}",
            "~",
            "[a",
            "{a",
            "key:",
            "2027-01-15",
            "a ",
            " a",
            "é",
        ] {
            let shown = text(&json!(odd));
            assert!(shown.starts_with('"'), "{odd:?}: {shown}");
            let line = shown.trim_end_matches('\n');
            assert_eq!(
                serde_json::from_str::<String>(line).unwrap(),
                odd,
                "{shown}"
            );
        }
        for good in ["issued", "sha256-x", "proved dead", "a/b", "v1.2"] {
            assert_eq!(text(&json!(good)), format!("{good}\n"));
        }
    }
}
