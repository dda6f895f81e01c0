//! The section `grants`, by provider.

use std::collections::BTreeMap;

use lanyard_document::{Code, Diagnostic, Findings, Node};
use lanyard_vocabulary::name::Name;

use crate::charter::{Autonomy, Grant};
use crate::kinds;
use crate::section::bounds::{MAX_TTL, at_most};
use crate::section::names::named;
use crate::section::words::ROLES;
use crate::world::World;

pub(super) fn all(
    f: &Findings,
    node: &Node,
    world: &World,
    known: &BTreeMap<Name, Autonomy>,
) -> BTreeMap<Name, Grant> {
    let mut grants = BTreeMap::new();
    if !at_most(f, node, "grants", f.list(node).len()) {
        return grants;
    }
    for item in f.list(node) {
        let Some(grant) = grant(f, item, world, known) else {
            continue;
        };
        if grants.contains_key(&grant.name) {
            let message = format!("there is a grant `{}` already", grant.name);
            f.add(Diagnostic::new(Code::DuplicateGrant, item.span, message));
        }
        grants.insert(grant.name.clone(), grant);
    }
    grants
}

fn grant(
    f: &Findings,
    node: &Node,
    world: &World,
    known: &BTreeMap<Name, Autonomy>,
) -> Option<Grant> {
    let fields = f.map(node)?;
    let name = fields.required("name").and_then(|node| f.parsed(node));
    let role = fields
        .required("role")
        .and_then(|node| f.one_of(node, ROLES));
    let environments = fields
        .required("environments")
        .map(|node| named(f, node, known));
    let lifetime = fields
        .optional("ttl")
        .and_then(|node| f.span_of_time(node, MAX_TTL));
    let kinds = kinds::all(world.more_kinds);
    let sections = kinds.iter().filter_map(|kind| {
        let node = fields.optional(kind.id().as_str())?;
        Some(kind.parse(f, node, world))
    });
    let sections: Vec<_> = sections.collect();
    fields.finish();
    let mut sections = sections.into_iter();
    let (Some(section), None) = (sections.next(), sections.next()) else {
        let names: Vec<String> = kinds
            .iter()
            .map(|kind| format!("`{}`", kind.id()))
            .collect();
        let (last, first) = names.split_last()?;
        let message = format!("a grant is for one of {} and {last}", first.join(", "));
        f.add(Diagnostic::new(Code::GrantKind, node.span, message));
        return None;
    };
    let (target, rights) = section?;
    let (name, role, environments) = (name?, role?, environments?);
    Some(Grant {
        name,
        role,
        environments,
        target,
        rights,
        ttl: lifetime,
        at: node.span.at,
    })
}
