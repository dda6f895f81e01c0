//! Names in a charter that have to be declared, in the charter or in the configuration.

use std::collections::{BTreeMap, BTreeSet};

use lanyard_document::{Code, Diagnostic, Fields, Findings, Node, suggest};
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

/// A list of environments of this charter.
pub(crate) fn named(f: &Findings, node: &Node, known: &BTreeMap<Name, Autonomy>) -> BTreeSet<Name> {
    f.list(node)
        .iter()
        .filter_map(|item| {
            f.parsed(item)
                .filter(|name| declared(f, item, name, known, "environment in this charter"))
        })
        .collect()
}

/// The target of a grant, which has to be of this kind.
pub fn target(f: &Findings, fields: &Fields<'_>, world: &World, kind: TargetKind) -> Option<Name> {
    let node = fields.required("target")?;
    let name = f
        .parsed(node)
        .filter(|name| declared(f, node, name, &world.targets, "target"))?;
    if world.targets.get(&name) != Some(&kind) {
        let message = format!("target `{name}` is of another kind");
        f.add(Diagnostic::new(Code::TargetKind, node.span, message));
        return None;
    }
    Some(name)
}
