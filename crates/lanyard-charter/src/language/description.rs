//! The description of the language of charters: every field with what can stand in it. The reader,
//! the JSON Schema, the CustomResourceDefinition, the reference and the order of fields are made
//! from it. What belongs to a section is described beside the section's reader, and what belongs to
//! a kind of target beside that of the kind.

use lanyard_document::shape::Shape;
use serde_json::Value;

use super::sections;
use crate::kinds;
use crate::world::MoreKinds;

/// Describes a whole charter, where targets may be of these kinds beside those that are built in.
#[must_use]
pub fn shape(more: MoreKinds) -> Shape {
    sections::shape(&kinds::all(more))
}

/// The JSON Schema (draft 2020-12) of charters, for editors: what lint says of fields and values,
/// not of rules.
#[must_use]
pub fn schema(more: MoreKinds) -> Value {
    let mut schema = shape(more).schema();
    if let Some(schema) = schema.as_object_mut() {
        let head = [
            ("$schema", "https://json-schema.org/draft/2020-12/schema"),
            ("title", "Lanyard charter"),
        ];
        schema.extend(head.map(|(key, value)| (key.to_owned(), Value::from(value))));
    }
    schema
}

#[cfg(test)]
mod tests;
