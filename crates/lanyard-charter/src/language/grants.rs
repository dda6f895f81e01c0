//! The section `grants`: what every grant has, and one section of a kind of target.

use std::collections::BTreeMap;

use lanyard_document::shape::{Choice, Field, Form, List, Map, Shape, optional, required};
use lanyard_document::{Code, Item};
use lanyard_vocabulary::name::Name;

use crate::charter::{Autonomy, Grant};
use crate::kinds;
use crate::section::bounds::{MAX_TTL, at_most};
use crate::section::names::{named, own_environments, target, target_field};
use crate::section::words::{ROLES, role};
use crate::world::{GrantKind, World};

pub(super) fn shape(kinds: &[&dyn GrantKind]) -> List {
    let names: Vec<_> = kinds.iter().map(|it| format!("`{}`", it.id())).collect();
    let names = match names.split_last() {
        Some((last, first)) => format!("{} and {last}", first.join(", ")),
        None => String::new(),
    };
    let ways = kinds.iter().map(|kind| vec![section(*kind)]);
    let grant = Map::new()
        .with(required("name", "Unique in the charter.", Form::NAME))
        .with(required("role", "The role.", role()))
        .with(required(
            "environments",
            "Where the grant may be used: environments of this charter.",
            own_environments(),
        ))
        .with(
            optional(
                "ttl",
                "The longest life of a credential.",
                Shape::span(MAX_TTL),
            )
            .absent("`limits.ttl` alone"),
        )
        .with(
            Choice::exactly_one(ways)
                .code(Code::GrantKind)
                .message(format!("a grant is for one of {names}")),
        );
    List::of(grant)
}

/// The section of a kind.
fn section(kind: &dyn GrantKind) -> Field {
    let fields = Map::new().with(target_field()).and(kind.shape());
    required(kind.id().as_str(), kind.meaning(), fields)
}

pub(super) fn all(
    item: Item<'_>,
    world: &World,
    known: &BTreeMap<Name, Autonomy>,
) -> BTreeMap<Name, Grant> {
    let mut grants = BTreeMap::new();
    let items = item.items();
    if !at_most(item, "grants", items.len()) {
        return grants;
    }
    let kinds = kinds::all(world.more_kinds);
    for item in items {
        let Some(grant) = grant(item, (world, &kinds), known) else {
            continue;
        };
        if grants.contains_key(&grant.name) {
            let message = format!("there is a grant `{}` already", grant.name);
            item.report(Code::DuplicateGrant, message);
        }
        grants.insert(grant.name.clone(), grant);
    }
    grants
}

fn grant(
    item: Item<'_>,
    (world, kinds): (&World, &[&dyn GrantKind]),
    known: &BTreeMap<Name, Autonomy>,
) -> Option<Grant> {
    let section = item.section()?;
    let name = section.get("name").and_then(Item::parsed);
    let role = section.get("role").and_then(|item| item.word(ROLES));
    let environments = section.get("environments").map(|item| named(item, known));
    let lifetime = section.get("ttl").and_then(Item::span_of_time);
    let sections = kinds.iter().filter_map(|kind| {
        let section = section.get(kind.id().as_str())?.section();
        let read = |section| Some((target(&section, world, kind.id()), kind.parse(&section)?));
        Some(section.and_then(read))
    });
    let sections: Vec<_> = sections.collect();
    let mut sections = sections.into_iter();
    let (Some(section), None) = (sections.next(), sections.next()) else {
        return None;
    };
    let (target, rights) = section?;
    let (name, role, environments) = (name?, role?, environments?);
    Some(Grant {
        name,
        role,
        environments,
        target: target?,
        rights,
        ttl: lifetime,
        at: item.span().at,
    })
}
