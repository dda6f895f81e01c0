//! The JSON Schema (draft 2020-12) of a description.
//!
//! The schema says of fields and values what the reader says, as far as JSON Schema has words for
//! it: it refuses nothing that the reader accepts.

use serde_json::{Map as Json, Value, json};

use super::{Absent, Choice, Chosen, Field, Form, List, Map, Open, Shape};

impl Shape {
    /// The JSON Schema of the shape, without `$schema` and title.
    #[must_use]
    pub fn schema(&self) -> Value {
        match self {
            Self::Map(map) => of_map(map),
            Self::Open(open) => of_open(open),
            Self::List(list) => of_list(list),
            Self::Text => json!({"type": "string", "minLength": 1}),
            Self::Form(form) => of_form(form),
            Self::Constant(text) => json!({"const": text}),
            Self::Words(words) => {
                let names: Vec<_> = words.iter().map(|word| word.name).collect();
                json!({"enum": names})
            }
            Self::Number { from, to } => {
                json!({"type": "integer", "minimum": from, "maximum": to})
            }
            Self::Span { .. } => json!({"type": "string", "pattern": "^[0-9]+[smh]$"}),
            Self::Either(form, map) => json!({"oneOf": [of_form(form), of_map(map)]}),
            Self::OneOrList(form, list) => json!({"oneOf": [of_form(form), of_list(list)]}),
            Self::Kinds(kinds) => {
                let kinds: Vec<_> = kinds.all.iter().map(|kind| of_map(&kind.map)).collect();
                json!({"oneOf": kinds})
            }
        }
    }
}

impl Field {
    /// The meaning with what the schema's other words cannot say: what the words mean, the longest
    /// span, and what holds when the field is absent.
    #[must_use]
    pub fn description(&self) -> String {
        let mut said = self.meaning.to_owned();
        let mut add = |more: &str| {
            let gap = if said.is_empty() { "" } else { " " };
            said.push_str(gap);
            said.push_str(more);
        };
        if let Some(meanings) = self.shape.meanings() {
            add(&meanings);
        }
        if let Shape::Span { longest } = &self.shape {
            add(&format!("{longest} at most."));
        }
        match &self.absent {
            Absent::Nothing => {}
            Absent::Value(node) => {
                add(&format!(
                    "`{}` when absent.",
                    node.text().unwrap_or_default()
                ));
            }
            Absent::Means(means) => add(&format!("When absent: {means}.")),
        }
        said
    }
}

impl Shape {
    /// The words of the shape, or of a list's items, with their meanings; `None` without any.
    fn meanings(&self) -> Option<String> {
        let words = match self {
            Self::Words(words) => words,
            Self::List(list) => return list.of.meanings(),
            Self::Map(_)
            | Self::Open(_)
            | Self::Text
            | Self::Form(_)
            | Self::Constant(_)
            | Self::Number { .. }
            | Self::Span { .. }
            | Self::Either(..)
            | Self::OneOrList(..)
            | Self::Kinds(_) => return None,
        };
        let told = words.iter().filter(|word| !word.meaning.is_empty());
        let told: Vec<_> = told
            .map(|word| format!("`{}`: {}", word.name, word.meaning))
            .collect();
        (!told.is_empty()).then(|| format!("{}.", told.join("; ")))
    }
}

fn of_form(form: &Form) -> Value {
    json!({"type": "string", "pattern": form.pattern})
}

fn of_list(list: &List) -> Value {
    let least = usize::from(list.empty.is_some());
    let mut schema = json!({"type": "array", "items": list.of.schema(), "minItems": least});
    if let (Some(most), Some(schema)) = (list.most, schema.as_object_mut()) {
        schema.insert("maxItems".to_owned(), most.into());
    }
    schema
}

fn of_open(open: &Open) -> Value {
    let mut schema = json!({
        "type": "object",
        "propertyNames": {"pattern": open.names.pattern},
        "additionalProperties": open.values.schema(),
    });
    if let Some(schema) = schema.as_object_mut() {
        if open.empty.is_some() {
            schema.insert("minProperties".to_owned(), 1.into());
        }
        if let Some(most) = open.most {
            schema.insert("maxProperties".to_owned(), most.into());
        }
    }
    schema
}

fn of_map(map: &Map) -> Value {
    let mut properties = Json::new();
    for field in map.fields() {
        let mut schema = field.shape.schema();
        if let Some(schema) = schema.as_object_mut() {
            schema.insert("description".to_owned(), field.description().into());
        }
        properties.insert(field.name.to_owned(), schema);
    }
    let needed = map.parts().iter().filter_map(|part| match part {
        super::Part::Field(field) => field.is_required.then_some(field.name),
        super::Part::Choice(_) => None,
    });
    let needed: Vec<_> = needed.collect();
    let mut schema = Json::new();
    schema.insert("type".to_owned(), "object".into());
    let is_partial = map.is_partial();
    schema.insert("additionalProperties".to_owned(), is_partial.into());
    schema.insert("required".to_owned(), needed.into());
    schema.insert("properties".to_owned(), properties.into());
    let mut choices: Vec<Json<String, Value>> = map.choices().map(of_choice).collect();
    if choices.len() == 1 {
        schema.extend(choices.remove(0));
    } else if !choices.is_empty() {
        let all: Vec<Value> = choices.into_iter().map(Value::Object).collect();
        schema.insert("allOf".to_owned(), all.into());
    }
    schema.into()
}

/// The keywords that hold a map to a choice.
fn of_choice(choice: &Choice) -> Json<String, Value> {
    let names = |way: &[Field]| way.iter().map(|field| field.name).collect::<Vec<_>>();
    let (keyword, value): (&str, Vec<Value>) = match choice.chosen {
        Chosen::ExactlyOne => {
            let ways = choice.ways.iter().enumerate();
            let ways = ways.map(|(place, way)| {
                let others = choice.ways.iter().enumerate();
                let others = others.filter(|(other, _)| *other != place);
                let others = others.flat_map(|(_, way)| names(way));
                only(way, others)
            });
            ("oneOf", ways.collect())
        }
        Chosen::AtLeastOne => {
            let ways = choice
                .ways
                .iter()
                .map(|way| json!({"required": needed(way)}));
            ("anyOf", ways.collect())
        }
        Chosen::AtMostOne => {
            let ways = choice.ways.iter().enumerate();
            let pairs = ways.flat_map(|(place, one)| {
                let later = choice.ways.iter().skip(place + 1);
                later.flat_map(move |two| {
                    let pairs = one
                        .iter()
                        .flat_map(|one| two.iter().map(move |two| (one, two)));
                    pairs.map(|(one, two)| json!({"not": {"required": [one.name, two.name]}}))
                })
            });
            ("allOf", pairs.collect())
        }
    };
    [(keyword.to_owned(), Value::from(value))]
        .into_iter()
        .collect()
}

fn needed(way: &[Field]) -> Vec<&'static str> {
    let needed = way.iter().filter(|field| field.is_required);
    needed.map(|field| field.name).collect()
}

/// The schema of one way of a choice. A way of several fields also names those of the others, so
/// that a half of one way beside the whole of another is refused.
fn only(way: &[Field], others: impl Iterator<Item = &'static str>) -> Value {
    let mut schema = json!({"required": needed(way)});
    let others: Json<String, Value> = others.map(|name| (name.to_owned(), false.into())).collect();
    if let Some(schema) = schema.as_object_mut() {
        schema.insert("properties".to_owned(), others.into());
    }
    schema
}
