//! Reads the part of the daemon's configuration that charters may refer to.

use std::collections::BTreeMap;

use lanyard_document::shape::{Form, Kinds, Map, Open, Shape, required};
use lanyard_document::{Diagnostic, Entry, Findings, Item, Section, read};
use lanyard_vocabulary::name::Name;

use crate::kinds;
use crate::world::{ENVIRONMENT_KINDS, EnvironmentKind, MoreKinds, World};

/// Describes the section `environments` of the configuration.
#[must_use]
pub fn environments_shape() -> Open {
    Open::of(Form::NAME, Shape::words(ENVIRONMENT_KINDS))
}

/// Describes the two sections, where targets may be of these kinds too. Other sections, and the
/// other fields of targets, are the daemon's.
fn shape(more: MoreKinds) -> Shape {
    let none = Kinds::told_by("kind");
    let targets = kinds::all(more).into_iter().fold(none, |all, kind| {
        let fields = kind.declared().partial();
        all.with(kind.id().as_str(), kind.meaning(), fields)
    });
    let environments = "The environments that charters may name, each with its kind.";
    let on = "The targets that grants may be on.";
    Map::new()
        .with(required("environments", environments, environments_shape()))
        .with(required("targets", on, Open::of(Form::NAME, targets)))
        .partial()
        .into()
}

impl World {
    /// Reads the environments and targets of a daemon's configuration. Other sections are skipped.
    ///
    /// # Errors
    /// Every fault of the two sections.
    pub fn of_configuration(text: &str) -> Result<Self, Vec<Diagnostic>> {
        Self::of_configuration_with(text, MoreKinds::default())
    }

    /// Reads the same, where targets may be of these kinds too.
    ///
    /// # Errors
    /// Every fault of the two sections.
    pub fn of_configuration_with(text: &str, more: MoreKinds) -> Result<Self, Vec<Diagnostic>> {
        let root = read(text).map_err(|fault| vec![fault])?;
        let (findings, shape) = (Findings::default(), shape(more));
        let world = findings
            .item(&root, &shape)
            .section()
            .and_then(|top| Self::of_sections(&top, more));
        let faults = findings.sorted();
        match world {
            Some(world) if faults.is_empty() => Ok(world),
            Some(_) | None => Err(faults),
        }
    }

    fn of_sections(top: &Section<'_>, more: MoreKinds) -> Option<Self> {
        let environments = top.get("environments");
        let targets = top.get("targets").map(Item::entries);
        let mut world = Self::of_environments(environments?, more);
        for Entry { key, value, .. } in targets? {
            let (Some(name), Some(kind)) = (value.f.parsed(key), value.kind()) else {
                continue;
            };
            if let Some(section) = value.section() {
                world.declare(kind, &section, name);
            }
        }
        Some(world)
    }

    /// Reads the configuration's section `environments`: a world that has no targets yet.
    #[must_use]
    pub fn of_environments(item: Item<'_>, more_kinds: MoreKinds) -> Self {
        let entries = item.entries().into_iter();
        let environments: BTreeMap<Name, EnvironmentKind> = entries
            .filter_map(|Entry { key, value, .. }| {
                Some((value.f.parsed(key)?, value.word(ENVIRONMENT_KINDS)?))
            })
            .collect();
        Self {
            environments,
            more_kinds,
            ..Self::default()
        }
    }

    /// Adds a target of the configuration, of the kind with this name.
    pub fn declare(&mut self, kind: &str, section: &Section<'_>, name: Name) {
        let mut kinds = kinds::all(self.more_kinds).into_iter();
        if let Some(kind) = kinds.find(|known| known.id().as_str() == kind) {
            kind.declare(section, &name, self);
            self.targets.insert(name, kind.id());
        }
    }
}
