//! The resources of a Terraform plan, for the kinds of target that find their objects there.

use serde_json::Value;

/// A change of a resource in a plan of Terraform.
#[derive(Debug, Clone, Copy)]
pub struct ResourceChange<'a> {
    /// The type of the resource, such as `aws_sqs_queue`.
    pub resource: &'a str,
    /// The values before the change; `null` if there is no resource before.
    pub before: &'a Value,
    /// The values after the change; `null` if there is no resource after.
    pub after: &'a Value,
    /// True at the place of each value after the change that only the apply will tell.
    pub unknown_after: &'a Value,
    /// True if the change makes an object.
    pub creates: bool,
    /// True if the change deletes an object.
    pub deletes: bool,
    /// True if the objects of both sides are changed, so that both need a name: a resource whose
    /// new name is unknown could become anything.
    pub needs_both: bool,
}

impl<'a> ResourceChange<'a> {
    /// The values before and after, if present.
    pub fn sides(&self) -> impl Iterator<Item = &'a Value> + use<'a> {
        [self.before, self.after]
            .into_iter()
            .filter(|side| side.is_object())
    }

    /// Collects the objects that the sides stand for; none if a side that needs a name has none.
    pub fn objects<T>(&self, of: impl Fn(&Value) -> Vec<T>) -> Vec<T> {
        let found: Vec<Vec<T>> = self.sides().map(of).collect();
        let named = found.iter().filter(|objects| !objects.is_empty()).count();
        let needed = if self.needs_both { 2 } else { 1 };
        if named < needed {
            return Vec::new();
        }
        found.into_iter().flatten().collect()
    }
}
