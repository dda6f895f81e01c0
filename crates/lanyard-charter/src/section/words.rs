//! Words that several sections of a charter share.

use std::collections::BTreeSet;

use lanyard_document::Item;
use lanyard_document::shape::{List, Shape, Word};
use lanyard_vocabulary::role::Role;

pub(crate) const ROLES: &[Word<Role>] = &[
    Word::meaning("plan", Role::Plan, "reads"),
    Word::meaning("apply", Role::Apply, "changes"),
];

/// Describes the choice between the two roles.
pub(crate) fn role() -> Shape {
    Shape::words(ROLES)
}

/// Describes a list of roles.
pub(crate) fn roles() -> List {
    List::of(role())
}

/// Reads a list of roles.
pub(crate) fn roles_of(item: Item<'_>) -> BTreeSet<Role> {
    let items = item.items().into_iter();
    items.filter_map(|item| item.word(ROLES)).collect()
}
