//! Names in a charter that have to be declared, in the charter or in the configuration.

use std::collections::{BTreeMap, BTreeSet};

use lanyard_document::shape::{Field, Form, List, required};
use lanyard_document::{Code, Diagnostic, Findings, Item, Node, Section, suggest};
use lanyard_vocabulary::name::Name;

use crate::charter::Autonomy;
use crate::target_kind::TargetKind;
use crate::world::World;

/// Checks that a name is declared, and suggests the nearest if it is not.
pub(crate) fn declared<T>(
    f: &Findings,
    node: &Node,
    name: &Name,
    known: &BTreeMap<Name, T>,
    kind: &str,
) -> bool {
    if known.contains_key(name) {
        return true;
    }
    let finding = Diagnostic::new(
        Code::Undeclared,
        node.span,
        format!("there is no {kind} `{name}`"),
    );
    f.add(suggest(
        finding,
        name.as_str(),
        known.keys().map(Name::as_str),
    ));
    false
}

/// Reads a name that is declared.
pub(crate) fn known<T>(item: Item<'_>, known: &BTreeMap<Name, T>, kind: &str) -> Option<Name> {
    let name = item.parsed();
    name.filter(|name| declared(item.f, item.node, name, known, kind))
}

/// Describes a list of environments of this charter.
pub(crate) fn own_environments() -> List {
    List::of(Form::NAME)
}

/// Reads an environment of this charter.
pub(crate) fn own_environment(item: Item<'_>, own: &BTreeMap<Name, Autonomy>) -> Option<Name> {
    known(item, own, "environment in this charter")
}

/// Reads a list of environments of this charter.
pub(crate) fn named(item: Item<'_>, own: &BTreeMap<Name, Autonomy>) -> BTreeSet<Name> {
    let items = item.items().into_iter();
    items
        .filter_map(|item| own_environment(item, own))
        .collect()
}

/// Describes the target of a grant.
pub(crate) fn target_field() -> Field {
    let meaning = "The target, as the daemon's configuration declares it.";
    required("target", meaning, Form::NAME)
}

/// Reads the target of a grant, which has to be of this kind.
pub(crate) fn target(section: &Section<'_>, world: &World, kind: TargetKind) -> Option<Name> {
    let item = section.get("target")?;
    let name = known(item, &world.targets, "target")?;
    if world.targets.get(&name) != Some(&kind) {
        item.report(
            Code::TargetKind,
            format!("target `{name}` is of another kind"),
        );
        return None;
    }
    Some(name)
}
