//! Plans as plain text, or as the output of `kubectl diff`. They are shown unchanged except for the
//! data of Secrets.

use lanyard_charter::plan::Risk;
use serde_json::Value;

use crate::masks::{SENSITIVE, speaks_of_a_secret};
use crate::review::Piece::Own;
use crate::review::Review;
use crate::secrets::Secrets;

/// Fields in which a Secret holds its values.
const FIELDS: &[&str] = &["data", "stringData"];

pub(crate) fn review(text: &str) -> Review {
    if !speaks_of_a_secret(text) {
        let mut review = Review::of(Secrets::default());
        review.lines_of_plan(text);
        return review;
    }
    let (shown, values) = without_data(text);
    let values: Vec<Value> = values.into_iter().map(Value::from).collect();
    let mut review = Review::of(Secrets::of_values(&values));
    review.line(&[Own(
        "NOT SHOWN: what this text has as the data of a Kubernetes Secret, or seems to have.",
    )]);
    review.find(
        Risk::High,
        &[Own(
            "the text holds a Kubernetes Secret, and what seems to be its data is not shown",
        )],
    );
    review.lines_of_plan(&shown);
    review
}

/// Returns the lines without the values below `data` and `stringData`, and the removed values.
fn without_data(text: &str) -> (String, Vec<&str>) {
    let (mut lines, mut values) = (Vec::new(), Vec::new());
    // Indentation of `data`, and of its first field.
    let mut within: Option<(usize, Option<usize>)> = None;
    for line in text.split('\n') {
        // The sign of a diff or of a list entry takes the place of a space.
        let body = line.trim_start_matches(['+', '-', ' ', '\t']);
        let margin = line.len() - body.len();
        if body.is_empty() {
            lines.push(line.to_owned());
            continue;
        }
        within = within.filter(|(of_data, _)| margin > *of_data);
        let (name, value) = field(body);
        match &mut within {
            Some((_, first)) => {
                let is_field = *first.get_or_insert(margin) == margin && value.is_some();
                let value = value.filter(|_| is_field).unwrap_or(body);
                let shown = if is_field {
                    line.len() - value.len()
                } else {
                    margin
                };
                lines.push(kept(line, shown, value, &mut values));
            }
            None if FIELDS.contains(&name) => {
                let value = value.unwrap_or_default();
                let opens = matches!(value.trim(), "" | "{" | "|" | ">");
                within = Some((margin, None));
                lines.push(if opens {
                    line.to_owned()
                } else {
                    kept(line, line.len() - value.len(), value, &mut values)
                });
            }
            // An object on a single line.
            None if FIELDS.iter().any(|field| body.contains(field)) && body.contains('{') => {
                lines.push(kept(line, margin, body, &mut values));
            }
            None => lines.push(line.to_owned()),
        }
    }
    (lines.join("\n"), values)
}

/// Splits `name: value`, with or without quotes around the name.
fn field(body: &str) -> (&str, Option<&str>) {
    match body.split_once([':', '=']) {
        Some((name, value)) => {
            let name = name.trim().trim_matches(['"', '\'']);
            (name, Some(value.trim_start()))
        }
        None => (body, None),
    }
}

fn kept<'a>(line: &str, shown: usize, value: &'a str, values: &mut Vec<&'a str>) -> String {
    let bare = value.trim().trim_end_matches(',').trim_matches(['"', '\'']);
    // kubectl itself already masks these values.
    if matches!(
        bare,
        "" | "***" | "*** (before)" | "*** (after)" | "{" | "}"
    ) {
        return line.to_owned();
    }
    values.push(bare);
    format!("{}{SENSITIVE}", line.get(..shown).unwrap_or_default())
}
