//! Which fields of a description no reader asked for.

use super::Shape;

impl Shape {
    /// The paths of the fields that no reader of a document has taken since the description was
    /// made: `spec.breakers[].on`. A test that reads a document with every field expects none, so
    /// that nothing is described, accepted and then passed over.
    #[must_use]
    pub fn untaken(&self) -> Vec<String> {
        let mut found = Vec::new();
        collect(self, "", &mut found);
        found
    }
}

fn collect(shape: &Shape, path: &str, found: &mut Vec<String>) {
    for place in shape.maps(path) {
        let kind = place.kind.map(|(_, word)| format!("({word})"));
        let of = format!("{}{}", place.path, kind.unwrap_or_default());
        for field in place.map.fields() {
            let path = super::below(&of, field.name);
            if !field.taken.get() {
                found.push(path.clone());
            }
            collect(&field.shape, &path, found);
        }
    }
}
