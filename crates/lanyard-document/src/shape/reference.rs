//! The reference for people: one row for each field of a description.

use std::fmt::Write as _;

use super::{Field, Map, Part, Shape};

impl Shape {
    /// A table in Markdown with a row for each field, in the order in which fields are written.
    #[must_use]
    pub fn reference(&self) -> String {
        let mut table = "| field | present | value | meaning |\n|---|---|---|---|\n".to_owned();
        rows(self, "", &mut table);
        table
    }

    /// The values that can stand here, in words.
    fn in_words(&self) -> String {
        match self {
            Self::Map(_) => "a map".to_owned(),
            Self::Open(open) => format!("a map: {} to {}", open.names.what, open.values.in_words()),
            Self::List(list) => format!("a list: {}", list.of.in_words()),
            Self::Text => "a text".to_owned(),
            Self::Form(form) => form.what.to_owned(),
            Self::Constant(text) => format!("`{text}`"),
            Self::Words(words) => {
                let names: Vec<_> = words
                    .iter()
                    .map(|word| format!("`{}`", word.name))
                    .collect();
                names.join(", ")
            }
            Self::Number { from, to } => format!("a number from {from} to {to}"),
            Self::Span { .. } => "a span: `90s`, `10m`, `2h`".to_owned(),
            Self::Either(form, _) => format!("{}, or a map", form.what),
            Self::OneOrList(form, list) => {
                format!("{}, or a list: {}", form.what, list.of.in_words())
            }
            Self::Kinds(kinds) => {
                let words: Vec<_> = kinds
                    .all
                    .iter()
                    .map(|kind| format!("`{}`", kind.word))
                    .collect();
                format!("a map with `{}`: {}", kinds.tag, words.join(", "))
            }
        }
    }
}

fn rows(shape: &Shape, path: &str, out: &mut String) {
    for place in shape.maps(path) {
        let of = place
            .kind
            .map(|(tag, word)| format!(" with `{tag}: {word}`"));
        of_map(place.map, &place.path, &of.unwrap_or_default(), out);
    }
}

/// The rows of a map, which is one of several where `of` says which.
fn of_map(map: &Map, path: &str, of: &str, out: &mut String) {
    for part in map.parts() {
        match part {
            Part::Field(field) => {
                let present = if field.is_required {
                    "required"
                } else {
                    "optional"
                };
                row(field, &format!("{present}{of}"), path, out);
            }
            Part::Choice(choice) => {
                for field in choice.ways.iter().flatten() {
                    row(field, &format!("{}{of}", choice.in_words()), path, out);
                }
            }
        }
    }
}

fn row(field: &Field, present: &str, path: &str, out: &mut String) {
    let path = super::below(path, field.name);
    let (value, meaning) = (field.shape.in_words(), field.description());
    // A bar would end the cell.
    let [value, meaning] = [value, meaning].map(|text| text.replace('|', "\\|"));
    // Writing to a text does not fail.
    writeln!(out, "| `{path}` | {present} | {value} | {meaning} |").ok();
    rows(&field.shape, &path, out);
}
