//! The section `prohibited`: sections of kinds of target, each with its reason.

use lanyard_document::shape::{Choice, List, Map, Shape, required};
use lanyard_document::{Code, Item};

use crate::kinds;
use crate::prohibition::Prohibition;
use crate::section::bounds::at_most;
use crate::target_kind::TargetKind;
use crate::world::{GrantKind, ProhibitedSection, World};

pub(super) fn shape(kinds: &[&dyn GrantKind]) -> List {
    let sections = of_kinds(kinds);
    let names: Vec<_> = sections.iter().map(|(it, _)| format!("`{it}`")).collect();
    let message = format!("a prohibition is about {}", names.join(" or about "));
    let ways = sections
        .into_iter()
        .map(|(kind, of)| vec![required(kind.as_str(), of.meaning, of.shape)]);
    let prohibition = Map::new()
        .with(Choice::exactly_one(ways).code(Code::Value).message(message))
        .with(required("reason", "What the agent is told.", Shape::Text));
    List::of(prohibition)
}

/// The kinds of which something can be prohibited.
fn of_kinds(kinds: &[&dyn GrantKind]) -> Vec<(TargetKind, ProhibitedSection)> {
    let kinds = kinds.iter();
    kinds
        .filter_map(|kind| Some((kind.id(), kind.prohibited()?)))
        .collect()
}

pub(super) fn all(item: Item<'_>, world: &World) -> Vec<Prohibition> {
    let sections = of_kinds(&kinds::all(world.more_kinds));
    let items = item.items().into_iter();
    let all: Vec<_> = items
        .filter_map(|item| prohibition(item, &sections))
        .collect();
    let entries = all.iter().map(|rule| rule.what.entries());
    if at_most(item, "prohibitions", entries.sum()) {
        all
    } else {
        Vec::new()
    }
}

fn prohibition(
    item: Item<'_>,
    sections: &[(TargetKind, ProhibitedSection)],
) -> Option<Prohibition> {
    let section = item.section()?;
    let mut found = Vec::new();
    for (kind, of) in sections {
        found.extend(section.get(kind.as_str()).map(of.read));
    }
    let reason = section.get("reason").and_then(Item::text);
    let [what] = found.as_slice() else {
        return None;
    };
    Some(Prohibition {
        what: what.clone()?,
        reason: reason?.to_owned(),
        at: item.span().at,
    })
}
